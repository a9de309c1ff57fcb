"""Define a demo: the source of its images, how it is trained, and the texts of its model card."""

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
"""An image (H, W, 3) and its labels (H, W), both uint8; label 255 is ignored."""


@dataclass(frozen=True, slots=True, eq=False)
class ExampleImage:
    """An example image that ships with the demo.

    image, labels: see Example.
    """

    name: str
    title: str
    note: str
    image: NDArray[np.uint8]
    labels: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class TrainingSchedule:
    """How the light network is trained; crop: side in pixels."""

    epochs: int
    batch: int
    crop: int
    learning_rate: float


@dataclass(frozen=True, slots=True)
class Demo:
    """One demo.

    classes:    name and color of each class, by id.
    training:   draws or reads the training examples.
    validation: draws or reads the held-out examples; empty means: the example images.
    shown:      draws or reads the example images.
    about, data, limits, license: texts of the model card, see `card`.
    """

    name: str
    title: str
    classes: tuple[tuple[str, str], ...]
    schedule: TrainingSchedule
    training: Callable[[], Sequence[Example]]
    validation: Callable[[], Sequence[Example]]
    shown: Callable[[], Sequence[ExampleImage]]
    about: str
    data: str
    limits: str
    license: str

    @property
    def folder(self) -> Path:
        """Return the folder of the weights, the card and the example images."""
        return HERE / self.name

    @property
    def class_names(self) -> tuple[str, ...]:
        """Return the names of the classes, by id."""
        return tuple(name for name, _ in self.classes)


def jpeg(image: NDArray[np.uint8]) -> bytes:
    """Return the image as the JPEG that ships; training images are compressed the same way."""
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=JPEG_QUALITY, optimize=True)
    return stream.getvalue()


def through_jpeg(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the image after JPEG compression."""
    return np.asarray(Image.open(io.BytesIO(jpeg(image))))


def read_example(folder: Path, name: str) -> Example:
    """Return an example image and its ground truth. Raises FileNotFoundError."""
    with Image.open(folder / "examples" / f"{name}.jpg") as image:
        pixels = np.asarray(image.convert("RGB"))
    with Image.open(folder / "examples" / f"{name}_truth.png") as mask:
        return pixels, np.asarray(mask)
