"""What is seen in a notebook, and what the widgets share."""
