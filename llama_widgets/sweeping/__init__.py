"""Prompts, parameters, models and seeds in every combination, as a table; knows no widget."""
