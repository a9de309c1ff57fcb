"""The sandbox's S3: objects in files, their index in SQLite, streamed both ways.

Our own, after looking at the package `nanio`: it is an ASGI application (the sandbox is one threaded WSGI process),
keeps keys as paths (so `a` and `a/b`, `//` and `..` cannot be keys), knows neither conditional requests nor
checksums nor the `aws-chunked` trailers that boto3 sends, and calls itself alpha.
"""

from sandbox.services.s3.app import S3

__all__ = ["S3"]
