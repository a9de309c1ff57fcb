"""The cached reads of the deploy page, shared by all users; errors are cached for a short while too."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TypeVar

from core.artifacts.artifact import Artifact
from core.aws.artifacts import inspect_s3_artifact
from core.aws.class_names import FoundClasses, find_classes
from core.aws.connection import Connection, clients
from core.aws.models import model_with_job, newest_models
from core.endpoints.detail import Model
from pages.parts import cached

T = TypeVar("T")

ARTIFACT_SECONDS = 600
"""Seconds that an inspected artifact is cached: inspecting reads all of it."""

SECONDS = 60

ARTIFACT_LIMIT = 600.0
"""Seconds that reading an artifact of several hundred megabytes may take."""


def artifact(connection: Connection, uri: str) -> Artifact:
    """Return the contents of a `model.tar.gz` in S3. Raises InputError, ArtifactError, AwsError, PendingError."""
    reading = cached.shelf().read(
        ("artifact", connection, uri),
        lambda: inspect_s3_artifact(clients(connection), uri),
        ARTIFACT_SECONDS,
        f"the contents of {uri}",
        limit=ARTIFACT_LIMIT,
    )
    return reading.value


def class_names(connection: Connection, uris: tuple[str, ...]) -> FoundClasses:
    """Return the class names from the first of these S3 URIs that has them. Raises AwsError, PendingError."""
    key = ("classes", connection, uris)
    return _read(key, lambda: find_classes(clients(connection), uris), "the class names")


def models(connection: Connection) -> tuple[str, ...]:
    """Return the names of the newest models. Raises AwsError, PendingError."""
    return _read(("models", connection), lambda: newest_models(clients(connection)), "the models")


def model(connection: Connection, name: str) -> Model:
    """Return one model. Raises NotFoundError, AwsError, PendingError."""
    key = ("model", connection, name)
    return _read(key, lambda: model_with_job(clients(connection), name), f"the model {name}")


def _read(key: Hashable, load: Callable[[], T], what: str) -> T:
    return cached.shelf().read(key, load, SECONDS, what).value
