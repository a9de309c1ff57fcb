"""Segment images of any size in overlapping tiles, with bounded memory, and keep their georeferencing."""
