"""Split S3 URIs."""

from __future__ import annotations


def split_uri(uri: str) -> tuple[str, str]:
    """Return bucket and key of s3://bucket/key."""
    bucket, _, key = uri.partition("://")[2].partition("/")
    return bucket, key
