"""Find the class names of a model: the S3 URIs where they may be, and the first that has them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from core.aws.connection import Clients
from core.aws.storage import get_bytes
from core.endpoints.endpoint import CLASSES_TAG, classes_uri_for
from core.errors import DeniedError, InputError, NotFoundError, TooLargeError
from core.imaging.classes import Classes
from core.plans.model_source import MAX_NAMES
from core.training.job import TrainingJob, TrainingSpec


@dataclass(frozen=True, slots=True)
class FoundClasses:
    """The class names of a model.

    classes: None if none were found.
    uri:     their S3 URI; empty if none were found.
    notes:   sentences about URIs that could not be read.
    """

    classes: Classes | None = None
    uri: str = ""
    notes: tuple[str, ...] = ()


def class_uris_of_job(job: TrainingJob) -> tuple[str, ...]:
    """Return where the class names of a job's model may be: by its tag, next to its artifact, and with its data."""
    uris = (job.tags.get(CLASSES_TAG), classes_uri_for(job.model_uri or ""), class_uri_with_data(job))
    return tuple(dict.fromkeys(uri for uri in uris if uri))


def class_uri_with_data(job: TrainingJob | TrainingSpec) -> str:
    """Return where they would be with the job's training data; empty if that has another layout."""
    train = job.channel("train")
    data = train.uri.rstrip("/") if train else ""
    return (classes_uri_for(data) or "") if data.endswith("/train") else ""


def find_classes(clients: Clients, uris: Iterable[str]) -> FoundClasses:
    """Return the class names at the first of these URIs that has any. Raises AwsError if AWS fails.

    A URI without class names is skipped; an unreadable one is skipped with a note. Without permission to list a
    bucket, S3 returns "denied" for missing objects too. An empty URI is skipped.
    """
    notes: list[str] = []
    for uri in filter(None, uris):
        try:
            classes = Classes.from_json(get_bytes(clients, uri, max_bytes=MAX_NAMES))
        except NotFoundError:
            continue
        except (DeniedError, InputError, TooLargeError) as error:
            notes.append(f"The class names at {uri} cannot be read. {error}")
        else:
            return FoundClasses(classes, uri, tuple(notes))
    return FoundClasses(notes=tuple(notes))
