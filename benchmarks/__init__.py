"""What the widgets cost, measured beside the bare way of doing the same."""
