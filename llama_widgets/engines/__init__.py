"""What answers: the seam, and the engines behind it."""
