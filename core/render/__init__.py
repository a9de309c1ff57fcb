"""Render values as images."""
