"""What the data of a training job shows besides its file names: the number of classes, and the size of images."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from PIL import Image, UnidentifiedImageError

from core.aws.class_names import FoundClasses, class_uri_with_data, find_classes
from core.aws.connection import Clients
from core.aws.storage import get_start
from core.aws.training import NO_ANSWER
from core.errors import AwsError, InputError
from core.training.hyperparameters import effective
from core.training.job import TrainingSpec
from core.training.preflight import SIZE_SENSITIVE

SIZED_IMAGES = 3
"""Validation images whose size is read."""

HEADER_BYTES = 256_000
"""The size of an image is in its header; embedded metadata can come before it."""


@dataclass(frozen=True, slots=True)
class JobData:
    """What is known of a job's data.

    classes: number of classes, by the classes.json next to the channels; None if unknown.
    sizes:   (width, height) in pixels of some validation images; None if none was read.
    notes:   sentences on what could not be read.
    """

    classes: int | None = None
    sizes: tuple[tuple[int, int], ...] | None = None
    notes: tuple[str, ...] = ()


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
    classes = len(names.classes) if names.classes else None
    sizes = None
    if effective(spec.hyperparameters).get("algorithm") in SIZE_SENSITIVE:
        sizes = _sizes(clients, spec, keys.get("validation", ()), notes)
    return JobData(classes, sizes, tuple(notes))


def _sizes(
    clients: Clients, spec: TrainingSpec, keys: Sequence[str], notes: list[str]
) -> tuple[tuple[int, int], ...] | None:
    channel = spec.channel("validation")
    bucket = channel.uri.removeprefix("s3://").partition("/")[0] if channel else ""
    images = [key for key in keys if key.lower().endswith((".jpg", ".jpeg", ".png"))]
    sizes = []
    for key in images[:SIZED_IMAGES]:
        try:
            size = _size(get_start(clients, f"s3://{bucket}/{key}", HEADER_BYTES))
        except (AwsError, InputError) as error:
            notes.append(f"The size of validation images was not checked. {error}")
            break
        if size is None:
            notes.append(f"The size of s3://{bucket}/{key} could not be read from its header.")
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
