"""Artifacts in S3: looked into as their bytes come, with nothing kept; or brought to this machine."""

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
from core.aws.storage import parse_uri
from core.endpoints.endpoint import classes_beside
from core.errors import ArtifactError, InputError
from core.plans.model_source import ARCHIVE, NAMES

MAX_SECONDS = 120.0
MAX_PACKED = 4 << 30
CHUNK = 1 << 20


def look_into(
    clients: Clients, uri: str, *, limits: ArchiveLimits | None = None, max_seconds: float = MAX_SECONDS
) -> Artifact:
    """Look into the `model.tar.gz` at an S3 URI. Raises InputError for the URI, ArtifactError, AwsError.

    After `max_seconds` it returns with what is known until then; nothing is read behind that.
    """
    until = time.monotonic() + max_seconds
    with _opened(clients, uri, "look into") as (body, size):
        return inspect_artifact(body, uri, size, limits=limits, out_of_time=lambda: time.monotonic() > until)


def fetch(clients: Clients, uri: str, folder: Path, *, notes: list[str] | None = None) -> Path:
    """Bring the artifact at an S3 URI into an empty folder, and the class names beside it; the artifact's path.

    notes: gets a sentence on class names that are there and cannot be read.

    It is not looked into. Raises InputError for the URI or where the folder cannot hold it, ArtifactError, AwsError.
    """
    path = folder / ARCHIVE
    try:
        with _opened(clients, uri, "fetch") as (body, _), path.open("xb") as file:
            shutil.copyfileobj(body, file, CHUNK)
        names = find_classes(clients, (classes_beside(uri) or "",))
        if names.classes is not None:
            (folder / NAMES).write_text(names.classes.to_json(), encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"{path} cannot be written.", why=f"{error.strerror}.", todo="Make room, then try again."
        ) from error
    if notes is not None:
        notes.extend(names.notes)
    return path


@contextmanager
def _opened(clients: Clients, uri: str, doing: str) -> Iterator[tuple[Any, int]]:
    """The bytes of an object as they come, and how many they are."""
    bucket, key = parse_uri(uri)
    with clients.calling(f"{doing} {uri}"):
        answer = clients.s3.get_object(Bucket=bucket, Key=key)
        size: int = required(answer, "ContentLength", f"{doing} {uri}")
        with closing(required(answer, "Body", f"{doing} {uri}")) as body:
            if size > MAX_PACKED:
                raise ArtifactError(
                    f"{uri} is {size:,} bytes; at most {MAX_PACKED:,} are taken.",
                    todo="Check that it is the model.tar.gz that was meant.",
                )
            yield body, size
