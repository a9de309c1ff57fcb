"""The source of a model to deploy, and of its class names: a training job, S3, or a local file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from core.artifacts.artifact import Artifact, inspect_artifact_file
from core.endpoints.endpoint import CLASSES_TAG, classes_uri_for
from core.errors import InputError
from core.imaging.classes import Classes
from core.local_files import open_regular, read_regular, reason
from core.plans.deploy import ModelUpload
from core.training.diagnosis import diagnose
from core.training.job import TrainingJob, status_in_words

ARCHIVE, NAMES = "model.tar.gz", "classes.json"
"""File names of the artifact and the class names, in S3 and locally."""

COMMON = ("output", "model", "models", ARCHIVE)
"""Parts of an S3 URI that do not identify the model."""

MAX_NAMES = 1_000_000
CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class LocalModel:
    """An inspected local `model.tar.gz`, and its destination.

    classes:     None if it has no class names.
    classes_uri: their destination, next to the artifact; empty if there are none.
    """

    artifact: Artifact
    upload: ModelUpload
    classes: Classes | None
    classes_uri: str


def local_model(path: Path, folder: str, classes: Classes | None = None) -> LocalModel:
    """Inspect a local archive and choose its destination under `folder`, by a hash of archive and class names.

    So the same model always has the same destination, and never replaces another one.

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
    key = digest.copy()
    key.update(classes.to_json().encode() if classes else b"")
    uri = f"{folder.rstrip('/')}/{key.hexdigest()[:16]}/{ARCHIVE}"
    upload = ModelUpload(str(path.resolve()), uri, artifact.size, digest.hexdigest())
    return LocalModel(artifact, upload, classes, (classes_uri_for(uri) or "") if classes else "")


def read_classes(path: Path) -> Classes:
    """Read class names from a local `classes.json`. Raises InputError."""
    try:
        text = read_regular(path, max_bytes=MAX_NAMES)
    except OSError as error:
        raise InputError(f"{path} cannot be read.", why=reason(error)) from error
    try:
        return Classes.from_json(text)
    except InputError as error:
        raise InputError(
            f"{path} is not valid.", why=f"{error.what} {error.why}".strip(), todo=error.todo
        ) from error


def class_names_file(path: Path) -> Path | None:
    """Return the `classes.json` next to a local archive; None if there is none."""
    names = path.with_name(NAMES)
    return names if names.is_file() else None


def class_name_uris(job: TrainingJob) -> tuple[str, ...]:
    """Return where a job's class names may be: its tag, next to its model, next to its training data."""
    train = next((channel.uri for channel in job.channels if channel.name == "train"), "")
    data = train.rstrip("/").rpartition("/")[0]
    uris = (
        job.tags.get(CLASSES_TAG, ""),
        classes_uri_for(job.model_uri or ""),
        classes_uri_for(f"{data}/") if data else None,
    )
    return tuple(dict.fromkeys(uri for uri in uris if uri))


def missing_model(job: TrainingJob) -> InputError:
    """Return why a job has no model to deploy: it has not ended, or ended without one."""
    if job.running:
        return InputError(
            f"The training job {job.name} has no model yet.",
            why=f"It is {status_in_words(job)}.",
            todo="Wait until it has ended, or choose another job.",
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
        todo=f"{diagnosis.todo if diagnosis else 'Clone it to run it again.'} Until then, choose another job.",
    )


def class_count_mismatch(artifact: Artifact, classes: Classes | None) -> str:
    """Return a sentence if the numbers of classes and of names differ; empty if they match."""
    if classes is None or artifact.num_classes in (None, len(classes)):
        return ""
    return f"The model has {artifact.num_classes} classes, but there are {len(classes)} class names."


def base_name(uri: str) -> str:
    """Return a name for an artifact: the last meaningful part of its S3 URI, such as the job's name."""
    parts = [part for part in uri.removeprefix("s3://").split("/")[1:] if part and part not in COMMON]
    return parts[-1].removesuffix(".tar.gz") if parts else "model"
