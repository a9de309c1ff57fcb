"""Decoding of the formats in which an endpoint responds. No network, no clock, no files."""
