"""What a model is told and what it says: chat templates, thoughts, calls of tools."""
