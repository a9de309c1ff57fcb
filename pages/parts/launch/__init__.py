"""The launch form: its fields, its prefill, the pre-flight checks and the summary next to it."""
