"""The commands of `cli.py`, one module per command group, and what they share."""
