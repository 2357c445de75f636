"""Tokens as data: what a text is made of, how likely each of them is, and what may come next."""
