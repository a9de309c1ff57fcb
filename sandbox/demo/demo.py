"""What a demo is: where its pictures come from, what is trained on them, and what is said about both."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

HERE = Path(__file__).parent
JPEG_QUALITY = 92

Example = tuple[NDArray[np.uint8], NDArray[np.uint8]]
"""A picture (H, W, 3) and its labels (H, W), both uint8; label 255 is ignored."""


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """A picture that ships with the demo.

    picture, labels: see Example.
    """

    name: str
    title: str
    note: str
    picture: NDArray[np.uint8]
    labels: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class TrainingSchedule:
    """How long and in which pieces the light network is trained: crops in pixels."""

    epochs: int
    batch: int
    crop: int
    learning_rate: float


@dataclass(frozen=True, slots=True)
class Demo:
    """One demo.

    classes:    name and colour of each class, by id.
    training:   draws or reads the examples to train on.
    validation: the examples that training never sees; empty means: the pictures shown.
    shown:      draws or reads the pictures that ship.
    card:       the model card's text, see `card`.
    """

    name: str
    title: str
    classes: tuple[tuple[str, str], ...]
    schedule: TrainingSchedule
    training: Callable[[], Sequence[Example]]
    validation: Callable[[], Sequence[Example]]
    shown: Callable[[], Sequence[Shown]]
    about: str
    data: str
    limits: str
    licence: str

    @property
    def folder(self) -> Path:
        """Where the weights, the card and the pictures lie."""
        return HERE / self.name

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names alone."""
        return tuple(name for name, _ in self.classes)


def jpeg(picture: NDArray[np.uint8]) -> bytes:
    """The picture as the JPEG that ships; trained on are pictures that went through the same."""
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "JPEG", quality=JPEG_QUALITY, optimize=True)
    return stream.getvalue()


def through_jpeg(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture as it comes out of its JPEG."""
    return np.asarray(Image.open(io.BytesIO(jpeg(picture))))


def read_shown(folder: Path, name: str) -> Example:
    """A shipped picture and its truth. Raises FileNotFoundError."""
    with Image.open(folder / "examples" / f"{name}.jpg") as picture:
        pixels = np.asarray(picture.convert("RGB"))
    with Image.open(folder / "examples" / f"{name}_truth.png") as truth:
        return pixels, np.asarray(truth)
