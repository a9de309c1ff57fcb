"""Bytes to values: the formats an endpoint answers in. No network, no clock, no files."""
