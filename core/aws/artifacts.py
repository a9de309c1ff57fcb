"""Inspect artifacts in S3 as a stream, or download them."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from core.artifacts.archive import ArchiveLimits
from core.artifacts.artifact import Artifact, inspect_artifact
from core.aws.class_names import find_classes
from core.aws.connection import Clients
from core.aws.errors import required
from core.endpoints.endpoint import classes_uri_for
from core.errors import ArtifactError, InputError
from core.plans.model_source import ARCHIVE, NAMES
from core.s3_uri import split_uri

MAX_SECONDS = 120.0
MAX_PACKED = 4 << 30
CHUNK = 1 << 20


def inspect_s3_artifact(
    clients: Clients, uri: str, *, limits: ArchiveLimits | None = None, max_seconds: float = MAX_SECONDS
) -> Artifact:
    """Inspect the `model.tar.gz` at an S3 URI. Raises InputError for the URI, ArtifactError, AwsError.

    After `max_seconds` it stops reading and returns a partial result.
    """
    until = time.monotonic() + max_seconds
    with _opened(clients, uri, "inspect") as (body, size):
        return inspect_artifact(body, uri, size, limits=limits, out_of_time=lambda: time.monotonic() > until)


def download_artifact(clients: Clients, uri: str, folder: Path, *, notes: list[str] | None = None) -> Path:
    """Download the artifact at an S3 URI, and the class names next to it, to an empty folder; return its path.

    notes: gets a sentence about class names that exist but cannot be read.

    It is not inspected. Raises InputError for the URI or if the folder has no space, ArtifactError, AwsError.
    """
    path = folder / ARCHIVE
    try:
        with _opened(clients, uri, "download") as (body, _), path.open("xb") as file:
            shutil.copyfileobj(body, file, CHUNK)
        names = find_classes(clients, (classes_uri_for(uri) or "",))
        if names.classes is not None:
            (folder / NAMES).write_text(names.classes.to_json(), encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"{path} cannot be written.",
            why=f"{error.strerror}.",
            todo="Free some disk space, then try again.",
        ) from error
    if notes is not None:
        notes.extend(names.notes)
    return path


@contextmanager
def _opened(clients: Clients, uri: str, doing: str) -> Iterator[tuple[Any, int]]:
    """Yield an object's stream and its size in bytes."""
    bucket, key = split_uri(uri)
    with clients.calling(f"{doing} {uri}"):
        answer = clients.s3.get_object(Bucket=bucket, Key=key)
        size: int = required(answer, "ContentLength", f"{doing} {uri}")
        with closing(required(answer, "Body", f"{doing} {uri}")) as body:
            if size > MAX_PACKED:
                raise ArtifactError(
                    f"{uri} is {size:,} bytes; the limit is {MAX_PACKED:,}.",
                    todo="Check that it is the right model.tar.gz.",
                )
            yield body, size
