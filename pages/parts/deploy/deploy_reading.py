"""What the deploy page asks AWS for, shared by all who look; also an error is kept a while before it asks anew."""

from __future__ import annotations

from core.artifact import Artifact
from core.aws.artifacts import look_into
from core.aws.class_names import FoundClasses, find_classes
from core.aws.connection import Connection, clients
from core.aws.models import model_with_job, newest_models
from core.endpoint_detail import Model
from pages.parts import cached

ARTIFACT_SECONDS = 600
"""Looking into one reads all of it."""

SECONDS = 60


def artifact(connection: Connection, uri: str) -> Artifact:
    """What is inside a `model.tar.gz` in S3. Raises InputError, ArtifactError, AwsError."""
    return (
        cached.shelf()
        .read(("artifact", connection, uri), lambda: look_into(clients(connection), uri), ARTIFACT_SECONDS)
        .value
    )


def class_names(connection: Connection, places: tuple[str, ...]) -> FoundClasses:
    """The class names in the first of these places that has them. Raises AwsError."""
    return (
        cached.shelf()
        .read(("classes", connection, places), lambda: find_classes(clients(connection), places), SECONDS)
        .value
    )


def models(connection: Connection) -> tuple[str, ...]:
    """The names of the newest models. Raises AwsError."""
    return (
        cached.shelf().read(("models", connection), lambda: newest_models(clients(connection)), SECONDS).value
    )


def model(connection: Connection, name: str) -> Model:
    """One model. Raises NotFoundError, AwsError."""
    return (
        cached.shelf()
        .read(("model", connection, name), lambda: model_with_job(clients(connection), name), SECONDS)
        .value
    )
