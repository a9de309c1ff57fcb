"""The only package that calls AWS, or the sandbox in its place."""
