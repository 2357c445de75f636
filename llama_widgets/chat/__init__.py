"""The conversation: turns, asking, answering. Knows no widget."""
