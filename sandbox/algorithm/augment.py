"""Build batches for training: random crops, in random orientations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sandbox.algorithm.predict import normalize
from sandbox.algorithm.scores import IGNORE

Example = tuple[NDArray[np.uint8], NDArray[np.uint8]]
"""An image (H, W, 3) and its labels (H, W), both uint8; label 255 is ignored."""
Examples = Sequence[Example] | Iterable[Example]
"""All examples of an epoch: a sequence in random access, otherwise a stream in its own order."""
Orientation = Callable[[Example, np.random.Generator], Example]
"""A random flip or rotation of a crop."""
Cropping = Callable[[Example, int, np.random.Generator], Example]
"""A random square crop of an example; the number is its side in pixels."""


def random_orientation(example: Example, random: np.random.Generator) -> Example:
    """Turn an example into one of the eight orientations, which are all plausible in images from above."""
    image, labels = example
    choice = int(random.integers(8))
    if choice & 1:
        image, labels = image[:, ::-1], labels[:, ::-1]
    if choice & 2:
        image, labels = image[::-1], labels[::-1]
    if choice & 4:
        image, labels = image.transpose(1, 0, 2), labels.T
    return image, labels


def random_mirror(example: Example, random: np.random.Generator) -> Example:
    """Mirror an example half of the time, which suits images taken on the ground."""
    image, labels = example
    return (image[:, ::-1], labels[:, ::-1]) if random.integers(2) else example


def random_crop(example: Example, side: int, random: np.random.Generator) -> Example:
    """Crop a square of the image; outside of a smaller image it is black and ignored."""
    image, labels = example
    height, width = labels.shape
    top = int(random.integers(max(0, height - side) + 1))
    left = int(random.integers(max(0, width - side) + 1))
    cut = image[top : top + side, left : left + side], labels[top : top + side, left : left + side]
    return _filled_up(cut, side)


@dataclass(frozen=True, slots=True)
class ScaledCrop:
    """A random crop of the image at a random scale, as AWS does.

    base_size: the long side is scaled to this, times a random number from 0.5 to 2 (SageMaker developer guide,
        "Semantic Segmentation Hyperparameters").
    """

    base_size: int

    def __call__(self, example: Example, side: int, random: np.random.Generator) -> Example:
        """Crop an example; only the part in the crop is scaled."""
        image, labels = example
        scale = self.base_size * random.uniform(0.5, 2.0) / max(labels.shape)
        height, width = (max(1, round(length * scale)) for length in labels.shape)
        top = int(random.integers(max(0, height - side) + 1))
        left = int(random.integers(max(0, width - side) + 1))
        size = min(side, width), min(side, height)
        down, right = labels.shape[0] / height, labels.shape[1] / width
        box = (left * right, top * down, (left + size[0]) * right, (top + size[1]) * down)
        bilinear, nearest = Image.Resampling.BILINEAR, Image.Resampling.NEAREST
        cut = (
            np.asarray(Image.fromarray(image).resize(size, bilinear, box)),
            np.asarray(Image.fromarray(labels).resize(size, nearest, box)),
        )
        return _filled_up(cut, side)


def scaled_down(example: Example, pixels: int) -> Example:
    """Return the example if it has at most `pixels`, else a smaller copy that does."""
    image, labels = example
    height, width = labels.shape
    if height * width <= pixels:
        return example
    scale = (pixels / (height * width)) ** 0.5
    size = max(1, int(width * scale)), max(1, int(height * scale))
    return (
        np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR)),
        np.asarray(Image.fromarray(labels).resize(size, Image.Resampling.NEAREST)),
    )


def _filled_up(example: Example, side: int) -> Example:
    """Pad to a square, right and below, with black and ignored pixels."""
    image, labels = example
    rows, columns = side - labels.shape[0], side - labels.shape[1]
    if rows or columns:
        image = np.pad(image, ((0, rows), (0, columns), (0, 0)))
        labels = np.pad(labels, ((0, rows), (0, columns)), constant_values=IGNORE)
    return image, labels


def batches(
    examples: Examples,
    *,
    size: int,
    crop: int,
    orientation: Orientation,
    random: np.random.Generator,
    cropping: Cropping = random_crop,
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.uint8]]]:
    """Yield one epoch, without the last incomplete batch unless it is the only one; a sequence in random order.

    Yields images (N, 3, crop, crop) float32, normalized, and labels (N, crop, crop) uint8.
    """
    complete = False
    crops: list[Example] = []
    for example in _epoch(examples, size, random):
        crops.append(orientation(cropping(example, crop, random), random))
        if len(crops) == size:
            yield _batch(crops)
            crops, complete = [], True
    if crops and not complete:
        yield _batch(crops)


def _epoch(examples: Examples, size: int, random: np.random.Generator) -> Iterator[Example]:
    """Yield the examples of one epoch, of a sequence only those that form batches of this size."""
    if not isinstance(examples, Sequence):
        yield from examples
        return
    order = random.permutation(len(examples))
    for number in order[: len(order) // size * size or None]:
        yield examples[int(number)]


def _batch(crops: Sequence[Example]) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    images = np.concatenate([normalize(image) for image, _ in crops])
    return images, np.stack([labels for _, labels in crops])
