"""One message to several models or settings side by side, and which answer was better; knows no widget."""
