"""Artifacts in S3: looked into as their bytes come, with nothing kept; or brought to this machine."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from core.artifacts.archive import ArchiveLimits
from core.artifacts.artifact import Artifact, look
from core.aws.connection import Clients
from core.aws.errors import required
from core.aws.storage import get_bytes, parse_uri
from core.endpoints.endpoint import classes_beside
from core.errors import ArtifactError, DeniedError, InputError, NotFoundError, TooLargeError
from core.imaging.classes import Classes
from core.plans.model_source import ARCHIVE, MAX_NAMES, NAMES

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
        return look(body, uri, size, limits=limits, out_of_time=lambda: time.monotonic() > until)


def fetch(clients: Clients, uri: str, folder: Path) -> Path:
    """Bring the artifact at an S3 URI into an empty folder, and the class names beside it; the artifact's path.

    It is not looked into. Raises InputError for the URI or where the folder cannot hold it, ArtifactError, AwsError.
    """
    path = folder / ARCHIVE
    try:
        with _opened(clients, uri, "fetch") as (body, _), path.open("xb") as file:
            shutil.copyfileobj(body, file, CHUNK)
        found = find_classes(clients, (classes_beside(uri) or "",))
        if found:
            (folder / NAMES).write_text(found[1].to_json(), encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"{path} cannot be written.", why=f"{error.strerror}.", todo="Make room, then try again."
        ) from error
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


def find_classes(
    clients: Clients, places: Iterable[str], *, notes: list[str] | None = None
) -> tuple[str, Classes] | None:
    """Class names at the first of these addresses where there are any, and the address. Raises AwsError.

    notes: gets a sentence on names that are there and cannot be read; the next address is tried then.
    """
    for uri in filter(None, places):
        try:
            return uri, Classes.from_json(get_bytes(clients, uri, max_bytes=MAX_NAMES))
        except (DeniedError, NotFoundError):
            continue  # without the right to list a bucket, S3 says "denied" for what is not there
        except (InputError, TooLargeError) as error:
            if notes is not None:
                notes.append(f"The class names at {uri} cannot be used. {error}")
    return None
