"""S3 URIs: a bucket and a key of any characters."""

from __future__ import annotations

import pytest

from core.errors import InputError
from core.plans.steps import put_object
from core.s3_uri import split_folder, split_prefix, split_uri

KEYS = ("k", "a/b c#d?e", "/k", "what?", "?", "tab\tand\nline", "a%20b", "s3://b/k", "a;b=c&d", "ü/\u2028")


@pytest.mark.parametrize("key", KEYS)
def test_a_key_may_have_any_characters(key: str) -> None:
    """An S3 URI is a bucket and a key, whatever characters the key has, and a step writes to that key."""
    assert split_uri(f"s3://my.bucket/{key}") == ("my.bucket", key)
    params = put_object(f"s3://my.bucket/{key}", {"Body": b""}, "Write.").params
    assert (params["Bucket"], params["Key"]) == ("my.bucket", key)


@pytest.mark.parametrize("uri", ["", "b/k", "http://b/k", "s3://b", "s3://b/", "s3:///k", "s3:/b/k"])
def test_what_is_no_address_in_s3(uri: str) -> None:
    """Anything else is an error that shows it."""
    with pytest.raises(InputError) as error:
        split_uri(uri)
    assert repr(uri) in str(error.value)


def test_a_prefix_keeps_every_slash() -> None:
    """A prefix may be empty, and each of its slashes belongs to the keys; a folder ends in one slash."""
    assert split_prefix("s3://b") == ("b", "")
    assert split_prefix("s3://b//a//") == ("b", "/a//")
    assert split_prefix("s3://b/2024-") == ("b", "2024-")
    assert split_folder("s3://b/a//") == ("b", "a/")
    assert split_folder("s3://b//") == ("b", "")
    for uri in ("", "b/a", "s3:///a"):
        with pytest.raises(InputError) as error:
            split_prefix(uri)
        assert repr(uri) in str(error.value)
