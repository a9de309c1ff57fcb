"""What the data of a training job shows besides its file names: classes, sizes of images, augmented manifests."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from PIL import Image, UnidentifiedImageError

from core.aws.class_names import FoundClasses, class_uri_with_data, find_classes
from core.aws.connection import Clients
from core.aws.manifests import read_manifests
from core.aws.storage import get_start
from core.aws.training import NO_ANSWER
from core.errors import AwsError, InputError
from core.training.channels import SOURCE_REF
from core.training.hyperparameters import Problem, effective
from core.training.job import TrainingSpec
from core.training.manifest import ManifestFile
from core.training.preflight import SIZE_SENSITIVE

SIZED_IMAGES = 3
"""Validation images whose size is read."""

HEADER_BYTES = 256_000
"""The size of an image is in its header; embedded metadata can come before it."""


@dataclass(frozen=True, slots=True)
class JobData:
    """What is known of a job's data.

    classes:   number of classes, by the classes.json next to the channels or by the manifests; None if unknown.
    sizes:     (width, height) in pixels of some validation images; None if none was read.
    notes:     sentences on what could not be read.
    manifests: channel -> its augmented manifest, for those that were read.
    problems:  with the manifests and the buckets and objects that they name.
    """

    classes: int | None = None
    sizes: tuple[tuple[int, int], ...] | None = None
    notes: tuple[str, ...] = ()
    manifests: Mapping[str, ManifestFile] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    def images(self, spec: TrainingSpec) -> dict[str, int]:
        """Return channel -> number of images that the job gets, for the channels whose manifest was read."""
        channels = [channel for channel in spec.channels if channel.name in self.manifests]
        return {
            channel.name: len(self.manifests[channel.name].images(channel.attributes)) for channel in channels
        }


def read_job_data(clients: Clients, spec: TrainingSpec, keys: Mapping[str, Sequence[str]]) -> JobData:
    """Read what the checks of a job need. Images are read only for decoders that depend on their size.

    keys: channel -> object keys, as `core.aws.training.list_channels` returns them.
    """
    names = FoundClasses()
    try:
        names = find_classes(clients, [class_uri_with_data(spec)])
        notes = list(names.notes)
    except AwsError as error:
        notes = [f"The number of classes was not checked. {error}"]
        if isinstance(error, NO_ANSWER):
            return JobData(notes=tuple(notes))
    manifests = read_manifests(clients, spec)
    notes += manifests.notes
    train = manifests.files.get("train")
    classes = len(names.classes) if names.classes else train.classes if train is not None else None
    sizes = None
    if effective(spec.hyperparameters).get("algorithm") in SIZE_SENSITIVE:
        validation = manifests.files.get("validation")
        images = validation.uris(SOURCE_REF) if validation is not None else _image_uris(spec, keys)
        sizes = _sizes(clients, images, notes)
    return JobData(classes, sizes, tuple(notes), manifests.files, manifests.problems)


def _image_uris(spec: TrainingSpec, keys: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the S3 URIs of the validation images under a prefix."""
    channel = spec.channel("validation")
    bucket = channel.uri.removeprefix("s3://").partition("/")[0] if channel else ""
    images = [key for key in keys.get("validation", ()) if key.lower().endswith((".jpg", ".jpeg", ".png"))]
    return [f"s3://{bucket}/{key}" for key in images]


def _sizes(clients: Clients, images: Sequence[str], notes: list[str]) -> tuple[tuple[int, int], ...] | None:
    sizes = []
    for uri in images[:SIZED_IMAGES]:
        try:
            size = _size(get_start(clients, uri, HEADER_BYTES))
        except (AwsError, InputError) as error:
            notes.append(f"The size of validation images was not checked. {error}")
            break
        if size is None:
            notes.append(f"The size of {uri} could not be read from its header.")
        else:
            sizes.append(size)
    return tuple(sizes) or None


def _size(start: bytes) -> tuple[int, int] | None:
    """Return (width, height) from the first bytes of a JPEG or PNG; None if they do not hold a header."""
    try:
        with Image.open(io.BytesIO(start), formats=("JPEG", "PNG")) as image:
            return image.size
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None
