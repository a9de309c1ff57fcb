"""Split S3 URIs. A key may have any character: what a URL gives a meaning, such as "?" and "#", has none here."""

from __future__ import annotations

from core.errors import InputError


def split_uri(uri: str) -> tuple[str, str]:
    """Split `s3://bucket/a/key` into ("bucket", "a/key"). Raises InputError, also without a key."""
    scheme, _, place = uri.partition("://")
    bucket, _, key = place.partition("/")
    if scheme != "s3" or not bucket or not key:
        raise InputError(f"{uri!r} is not an S3 URI.", todo="Use the form s3://bucket/folder/file.")
    return bucket, key


def split_prefix(uri: str) -> tuple[str, str]:
    """Split `s3://bucket/a/pre` into ("bucket", "a/pre"), with every slash: each belongs to the keys.

    The prefix may be empty. Raises InputError.
    """
    scheme, _, place = uri.partition("://")
    bucket, _, prefix = place.partition("/")
    if scheme != "s3" or not bucket:
        raise InputError(f"{uri!r} is not an S3 URI.", todo="Use the form s3://bucket/folder/.")
    return bucket, prefix


def split_folder(uri: str) -> tuple[str, str]:
    """Split as `split_prefix` does; the prefix ends in one slash, or is empty. Raises InputError."""
    bucket, prefix = split_prefix(uri)
    return bucket, f"{prefix.rstrip('/')}/" if prefix.strip("/") else ""
