"""Class names of a model: the places where they may lie, and the first of these that has them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from core.aws.connection import Clients
from core.aws.storage import get_bytes
from core.endpoints.endpoint import CLASSES_TAG, classes_beside
from core.errors import DeniedError, InputError, NotFoundError, TooLargeError
from core.imaging.classes import Classes
from core.plans.model_source import MAX_NAMES
from core.training.job import TrainingJob


@dataclass(frozen=True, slots=True)
class FoundClasses:
    """What was found.

    classes: None where nowhere were any.
    uri:     where; empty likewise.
    notes:   sentences on places that could not be read.
    """

    classes: Classes | None = None
    uri: str = ""
    notes: tuple[str, ...] = ()


def class_uris_of_job(job: TrainingJob) -> tuple[str, ...]:
    """Where the class names of a job's model may lie: by its tag, beside its artifact, and with its data."""
    places = (job.tags.get(CLASSES_TAG), classes_beside(job.model_uri or ""), class_uri_with_data(job))
    return tuple(dict.fromkeys(place for place in places if place))


def class_uri_with_data(job: TrainingJob) -> str:
    """Where they would lie with the data that a job learned from; empty where that has another layout."""
    train = job.channel("train")
    data = train.uri.rstrip("/") if train else ""
    return (classes_beside(data) or "") if data.endswith("/train") else ""


def find_classes(clients: Clients, places: Iterable[str]) -> FoundClasses:
    """Return the class names at the first of these URIs that has any. Raises AwsError where AWS fails.

    A URI where there are none is passed over; one that cannot be read, with a note. Without the right to list a
    bucket, S3 answers "denied" for what is missing too. An empty URI is skipped.
    """
    notes: list[str] = []
    for uri in filter(None, places):
        try:
            classes = Classes.from_json(get_bytes(clients, uri, max_bytes=MAX_NAMES))
        except NotFoundError:
            continue
        except (DeniedError, InputError, TooLargeError) as error:
            notes.append(f"The class names at {uri} cannot be read. {error}")
        else:
            return FoundClasses(classes, uri, tuple(notes))
    return FoundClasses(notes=tuple(notes))
