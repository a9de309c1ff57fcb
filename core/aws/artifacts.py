"""Artifacts in S3, looked into as their bytes come: nothing is kept, on disk or in memory."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import closing

from core.archive import Limits
from core.artifact import Artifact, look
from core.aws.connection import Clients
from core.aws.storage import get_bytes, parse_uri
from core.classes import Classes
from core.errors import ArtifactError, DeniedError, InputError, NotFoundError, TooLargeError
from core.model_source import MAX_NAMES

MAX_SECONDS = 120.0
MAX_PACKED = 4 << 30


def look_into(
    clients: Clients, uri: str, *, limits: Limits | None = None, max_seconds: float = MAX_SECONDS
) -> Artifact:
    """Look into the `model.tar.gz` at an S3 URI. Raises InputError for the URI, ArtifactError, AwsError.

    After `max_seconds` it returns with what is known until then; nothing is read behind that.
    """
    bucket, key = parse_uri(uri)
    until = time.monotonic() + max_seconds
    with clients.calling(f"look into {uri}"):
        answer = clients.s3.get_object(Bucket=bucket, Key=key)
        size: int = answer["ContentLength"]
        with closing(answer["Body"]) as body:
            if size > MAX_PACKED:
                raise ArtifactError(
                    f"{uri} is {size:,} bytes; at most {MAX_PACKED:,} are looked at.",
                    todo="Check that it is the model.tar.gz that was meant.",
                )
            return look(body, uri, size, limits=limits, out_of_time=lambda: time.monotonic() > until)


def find_classes(
    clients: Clients, places: Iterable[str], *, notes: list[str] | None = None
) -> tuple[str, Classes] | None:
    """Class names at the first of these addresses where there are any, and the address. Raises AwsError.

    notes: gets a sentence on names that are there and cannot be read; the next address is tried then.
    """
    for uri in places:
        try:
            return uri, Classes.from_json(get_bytes(clients, uri, max_bytes=MAX_NAMES))
        except (DeniedError, NotFoundError):
            continue  # without the right to list a bucket, S3 says "denied" for what is not there
        except (InputError, TooLargeError) as error:
            if notes is not None:
                notes.append(f"The class names at {uri} cannot be used. {error}")
    return None
