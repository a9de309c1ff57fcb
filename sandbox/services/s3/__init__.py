"""The sandbox's S3: objects in files, their index in SQLite, streamed both ways.

The package `nanio` does not fit: it is an ASGI application (the sandbox is one threaded WSGI process), stores keys as
paths (so `a` and `a/b`, `//` and `..` cannot be keys), lacks conditional requests, checksums and the `aws-chunked`
trailers that boto3 sends, and is an alpha version.
"""

from sandbox.services.s3.app import S3

__all__ = ["S3"]
