"""The commands of `cli.py`, a module for each group, and what they share."""
