"""Artifacts in S3, looked into as their bytes come: nothing is kept, on disk or in memory."""

from __future__ import annotations

import time
from contextlib import closing

from core.archive import Limits
from core.artifact import Artifact, look
from core.aws.connection import Clients
from core.aws.storage import parse_uri
from core.errors import ArtifactError

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
