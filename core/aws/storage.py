"""Read objects from S3."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from core.aws.connection import Clients
from core.aws.errors import required
from core.errors import TooLargeError
from core.s3_uri import split_uri

MAX_BYTES = 10_000_000
PIECE_BYTES = 8_000_000


def get_bytes(clients: Clients, uri: str, *, max_bytes: int = MAX_BYTES) -> bytes:
    """Return an object's content. Raises InputError for the URI, TooLargeError above `max_bytes`, AwsError."""
    return read_object(clients, *split_uri(uri), max_bytes=max_bytes)


def read_object(
    clients: Clients, bucket: str, key: str, *, max_bytes: int = MAX_BYTES, etag: str = ""
) -> bytes:
    """Return an object's content, whatever characters its key has. Raises TooLargeError, AwsError.

    etag: of the content to read, as it was listed; another content is an error. Empty: any.
    """
    uri = f"s3://{bucket}/{key}"
    with clients.calling(f"read {uri}"):
        condition = {"IfMatch": f'"{etag}"'} if etag else {}
        answer = clients.s3.get_object(Bucket=bucket, Key=key, **condition)
        with closing(required(answer, "Body", f"read {uri}")) as stream:
            size = answer.get("ContentLength")  # S3-compatible servers may omit it
            if size is not None and size > max_bytes:
                raise _too_large(uri, f"{size:,}", max_bytes)
            body: bytes = stream.read() if size is not None else stream.read(max_bytes + 1)
    if len(body) > max_bytes:
        raise _too_large(uri, f"more than {max_bytes:,}", max_bytes)
    return body


def get_start(clients: Clients, uri: str, size: int) -> bytes:
    """Return the first `size` bytes of an object. Raises InputError for the URI, AwsError."""
    bucket, key = split_uri(uri)
    with clients.calling(f"read {uri}"):
        answer = clients.s3.get_object(Bucket=bucket, Key=key, Range=f"bytes=0-{size - 1}")
        with closing(required(answer, "Body", f"read {uri}")) as stream:
            body: bytes = stream.read(size)
    return body


def download(
    clients: Clients, uri: str, path: Path, *, max_bytes: int, on_bytes: Callable[[int, int], None]
) -> None:
    """Write an object to a new file, in pieces. Raises InputError for the URI, TooLargeError, AwsError, OSError.

    on_bytes: called with how many bytes are written, and how many there are (0: unknown).
    """
    bucket, key = split_uri(uri)
    with clients.calling(f"read {uri}"):
        answer = clients.s3.get_object(Bucket=bucket, Key=key)
        size = int(answer.get("ContentLength") or 0)
        if size > max_bytes:
            raise _too_large(uri, f"{size:,}", max_bytes)
        done = 0
        with closing(required(answer, "Body", f"read {uri}")) as stream, path.open("xb") as file:
            while piece := stream.read(PIECE_BYTES):
                done += file.write(piece)
                if done > max_bytes:
                    raise _too_large(uri, f"more than {max_bytes:,}", max_bytes)
                on_bytes(done, size)


def _too_large(uri: str, size: str, max_bytes: int) -> TooLargeError:
    return TooLargeError(
        f"{uri} is {size} bytes; the limit is {max_bytes:,}.",
        todo="Check that it is the right file.",
    )
