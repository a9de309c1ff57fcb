"""Where a model that is to be served comes from, and its class names with it: a training job, S3, or a local file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from core.artifacts.artifact import Artifact, inspect_artifact_file
from core.endpoints.endpoint import CLASSES_TAG, classes_beside
from core.errors import InputError
from core.imaging.classes import Classes
from core.local_files import open_regular, read_regular, reason
from core.plans.deploy import ModelUpload
from core.training.diagnosis import diagnose
from core.training.job import TrainingJob, status_in_words

ARCHIVE, NAMES = "model.tar.gz", "classes.json"
"""What artifact and class names are called, in S3 and on this machine."""

COMMON = ("output", "model", "models", ARCHIVE)
"""Parts of an S3 address that tell nothing of the model."""

MAX_NAMES = 1_000_000
CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A `model.tar.gz` of this machine that was looked into, and where it goes.

    classes:     None where it brought no names.
    classes_uri: where they go, beside the artifact; empty where there are none.
    """

    artifact: Artifact
    upload: ModelUpload
    classes: Classes | None
    classes_uri: str


def local_model(path: Path, folder: str, classes: Classes | None = None) -> LocalModel:
    """Look into a local archive and say where it goes: below `folder`, by what archive and names hold.

    So the same model is brought to the same place, and another one never over it.

    folder: an S3 prefix, such as "s3://bucket/models".

    Raises ArtifactError; InputError where the file cannot be read.
    """
    digest = hashlib.sha256()
    try:
        artifact = inspect_artifact_file(path)
        with open_regular(path) as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
    except OSError as error:
        raise InputError(f"{path} cannot be read.", why=reason(error)) from error
    place = digest.copy()
    place.update(classes.to_json().encode() if classes else b"")
    uri = f"{folder.rstrip('/')}/{place.hexdigest()[:16]}/{ARCHIVE}"
    upload = ModelUpload(str(path.resolve()), uri, artifact.size, digest.hexdigest())
    return LocalModel(artifact, upload, classes, (classes_beside(uri) or "") if classes else "")


def read_classes(path: Path) -> Classes:
    """Class names of a local `classes.json`. Raises InputError."""
    try:
        text = read_regular(path, max_bytes=MAX_NAMES)
    except OSError as error:
        raise InputError(f"{path} cannot be read.", why=reason(error)) from error
    try:
        return Classes.from_json(text)
    except InputError as error:
        raise InputError(
            f"{path} cannot be used.", why=f"{error.what} {error.why}".strip(), todo=error.todo
        ) from error


def names_beside(path: Path) -> Path | None:
    """The `classes.json` beside a local archive; None where there is none."""
    beside = path.with_name(NAMES)
    return beside if beside.is_file() else None


def class_places(job: TrainingJob) -> tuple[str, ...]:
    """Where a job's class names may lie, the nearest first: its tag, beside its model, beside its training data."""
    train = next((channel.uri for channel in job.channels if channel.name == "train"), "")
    data = train.rstrip("/").rpartition("/")[0]
    places = (
        job.tags.get(CLASSES_TAG, ""),
        classes_beside(job.model_uri or ""),
        classes_beside(f"{data}/") if data else None,
    )
    return tuple(dict.fromkeys(place for place in places if place))


def no_model(job: TrainingJob) -> InputError:
    """Why a job that left no model cannot be served: it has not come to its end, or ended without one."""
    if job.running:
        return InputError(
            f"The training job {job.name} has no model yet.",
            why=f"It is {status_in_words(job)}.",
            todo="Wait until it has ended, or take another job.",
        )
    diagnosis = diagnose(job)
    why = (
        (diagnosis.title + ".", diagnosis.cause, diagnosis.evidence)
        if diagnosis
        else (f"It is {status_in_words(job)}.",)
    )
    return InputError(
        f"The training job {job.name} left no model.",
        why=" ".join(filter(None, why)),
        todo=f"{diagnosis.todo if diagnosis else 'Clone it to run it again.'} Until then, take another job.",
    )


def misnamed(artifact: Artifact, classes: Classes | None) -> str:
    """What is wrong between a model and its names, in a sentence; empty where nothing is."""
    if classes is None or artifact.num_classes in (None, len(classes)):
        return ""
    return f"The model has {artifact.num_classes} classes, and there are {len(classes)} names."


def base_name(uri: str) -> str:
    """A name from an artifact's address: of the last folder that tells something, such as the job's."""
    parts = [part for part in uri.removeprefix("s3://").split("/")[1:] if part and part not in COMMON]
    return parts[-1].removesuffix(".tar.gz") if parts else "model"
