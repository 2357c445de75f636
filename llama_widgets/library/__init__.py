"""Which model: references, what is on this machine, and downloads from the model hub."""
