"""Read the channels of a training job: find images and masks, pair them by name, check and load them on demand.

Source: SageMaker developer guide, "Semantic Segmentation Algorithm" (input/output interface).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from sandbox.algorithm import log
from sandbox.algorithm.augment import Example
from sandbox.algorithm.failure import ClientError, invalid_channels
from sandbox.algorithm.label_map import identity, read_label_map
from sandbox.algorithm.scores import IGNORE

REQUIRED = ("train", "validation", "train_annotation", "validation_annotation")
IMAGE_FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG"}
MASK_FORMATS = {".png": "PNG"}
MASK_MODES = ("L", "P", "1")
CACHE_BYTES = 256 * 2**20
"""Size of the cache of decoded examples; the least recently used one is dropped."""
AT_ONCE = 4
"""Number of files checked in parallel."""
_UNREADABLE = (OSError, SyntaxError, ValueError, UnidentifiedImageError, Image.DecompressionBombError)


@dataclass(frozen=True, slots=True)
class TrainingPair:
    """One image with its mask."""

    image: Path
    mask: Path


class Examples(Sequence[Example]):
    """The pairs of a channel, loaded on demand; the most recently used ones stay decoded.

    labels: the label of each pixel value, (256,) uint8.
    """

    def __init__(
        self,
        pairs: Sequence[TrainingPair],
        classes: int,
        labels: NDArray[np.uint8],
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self.pairs, self._classes, self._labels = pairs, classes, labels
        self._room = cache_bytes
        self._cache: OrderedDict[int, Example] = OrderedDict()

    def __len__(self) -> int:
        return len(self.pairs)

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Example]: ...
    def __getitem__(self, index: int | slice) -> Example | Sequence[Example]:
        """Load one example. Raises ClientError for an image that cannot be read."""
        if isinstance(index, slice):
            return Examples(self.pairs[index], self._classes, self._labels, self._room)
        number = range(len(self))[index]
        if number in self._cache:
            self._cache.move_to_end(number)
            return self._cache[number]
        example = self._read(self.pairs[number])
        self._keep(number, example)
        return example

    def check(self) -> None:
        """Read every mask, and the size of every image. Raises ClientError, which names the file."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            try:
                for _ in pool.map(self._check, self.pairs):
                    pass
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def _check(self, pair: TrainingPair) -> None:
        """Check one pair. Raises ClientError."""
        shape = read_mask(pair.mask, pair.mask.name, self._labels, self._classes).shape
        check_sizes(pair.image.name, pair.mask.name, _size(pair.image), shape)

    def _read(self, pair: TrainingPair) -> Example:
        """Decode one pair. Raises ClientError."""
        labels = read_mask(pair.mask, pair.mask.name, self._labels, self._classes)
        image = read_image(pair.image, pair.image.name)
        check_sizes(pair.image.name, pair.mask.name, image.shape[:2], labels.shape)
        return image, labels

    def _keep(self, number: int, example: Example) -> None:
        """Cache an example, and drop old ones."""
        self._cache[number] = example
        self._room -= _bytes(example)
        while self._room < 0:
            self._room += _bytes(self._cache.popitem(last=False)[1])


def check_channels(data: Path, piped: Collection[str] = ()) -> None:
    """Raise ClientError when a channel is missing or empty.

    data:  the folder `input/data`.
    piped: the channels in Pipe mode, which have no files, and the masks with the images.
    """
    for name in (name for name in REQUIRED if name.removesuffix("_annotation") not in piped):
        if not (data / name).is_dir():
            raise invalid_channels(f"u'{name}' is a required property")
        if not any(path.is_file() for path in (data / name).rglob("*")):
            raise ClientError(f"No files found in the channel '{name}'.")


def read_channel(data: Path, name: str, classes: int) -> Examples:
    """Read the examples of `train` or `validation`, with the label map if there is one. Raises ClientError."""
    pairs = find_pairs(data / name, data / f"{name}_annotation")
    return Examples(pairs, classes, label_table(data, name))


def label_table(data: Path, name: str) -> NDArray[np.uint8]:
    """Return the label of each pixel value of a channel, (256,) uint8, by its label map. Raises ClientError."""
    labels = identity()
    path = data / "label_map" / f"{name}_label_map.json"
    if path.is_file():
        labels = read_label_map(path)
        log.info(f"The channel {name} has a label map: {_changes(labels)}")
    elif path.parent.is_dir():
        log.warning(f"The channel label_map has no {path.name}: the labels of {name} are used unchanged")
    return labels


def find_pairs(image_folder: Path, mask_folder: Path) -> list[TrainingPair]:
    """Find images and masks of the same name in two folders, sorted by name. Raises ClientError."""
    images, annotations = _by_stem(image_folder, IMAGE_FORMATS), _by_stem(mask_folder, MASK_FORMATS)
    if not images:
        raise ClientError(
            f"No image files found in the channel '{image_folder.name}': expected .jpg images with .png masks."
        )
    alone = sorted(set(images) - set(annotations))
    if alone:
        more = f" and {len(alone) - 1} more" if len(alone) > 1 else ""
        raise ClientError(
            f"The image {images[alone[0]].name}{more} of the channel '{image_folder.name}' has no annotation: "
            f"no file {alone[0]}.png was found in the channel '{mask_folder.name}'."
        )
    left_over = sorted(set(annotations) - set(images))
    if left_over:
        log.warning(
            f"{len(left_over)} annotations have no image, the first is {annotations[left_over[0]].name}"
        )
    return [TrainingPair(path, annotations[stem]) for stem, path in sorted(images.items())]


def read_image(source: Path | BinaryIO, name: str) -> NDArray[np.uint8]:
    """Read (H, W, 3) uint8 red, green, blue as stored: EXIF orientation is not applied. Raises ClientError.

    name: for messages.
    """
    try:
        with Image.open(source, formats=sorted(set(IMAGE_FORMATS.values()))) as image:
            return np.asarray(image.convert("RGB"))
    except _UNREADABLE as error:
        raise ClientError(f"Cannot read the image {name}: {_why(error)}") from error


def read_mask(
    source: Path | BinaryIO, name: str, labels: NDArray[np.uint8], classes: int
) -> NDArray[np.uint8]:
    """Read (H, W) uint8 class ids and 255. Raises ClientError. name: for messages."""
    try:
        with Image.open(source, formats=["PNG"]) as image:
            if image.mode not in MASK_MODES:
                raise ClientError(
                    f"Cannot read labels from the annotation {name}: it has mode {image.mode}, "
                    "expected a PNG with a single channel of 8 bits (mode L or P) whose pixel values are class ids."
                )
            values = np.asarray(image).astype(np.uint8)
    except _UNREADABLE as error:
        raise ClientError(f"Cannot read the annotation {name}: {_why(error)}") from error
    mapped = labels[values]
    outside = (mapped >= classes) & (mapped != IGNORE)
    if outside.any():
        raise ClientError(
            f"The annotation {name} has the label {int(values[outside][0])}, which is out of range: expected "
            f"0 to {classes - 1} (num_classes is {classes}), or 255 for pixels to ignore."
        )
    return mapped


def _by_stem(folder: Path, kinds: Iterable[str]) -> dict[str, Path]:
    """Return the files with these extensions in a folder, by their path without the extension. Raises ClientError."""
    paths: dict[str, Path] = {}
    others = 0
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix.lower() not in kinds:
            others += 1
        elif path.is_file():
            stem = path.relative_to(folder).with_suffix("").as_posix()
            if stem in paths:
                raise ClientError(
                    f"{paths[stem].name} and {path.name} of the channel '{folder.name}' have the same name."
                )
            paths[stem] = path
    if others:
        log.warning(f"{others} files of the channel {folder.name} have another type and are skipped")
    return paths


def _size(path: Path) -> tuple[int, int]:
    """Return height and width, from the file's header. Raises ClientError."""
    try:
        with Image.open(path, formats=sorted(set(IMAGE_FORMATS.values()))) as image:
            return image.height, image.width
    except _UNREADABLE as error:
        raise ClientError(f"Cannot read the image {path.name}: {_why(error)}") from error


def check_sizes(image_name: str, mask_name: str, image: Sequence[int], mask: Sequence[int]) -> None:
    """Raise ClientError when image and mask differ in size. image, mask: height and width."""
    if tuple(image) != tuple(mask):
        raise ClientError(
            f"The image {image_name} has {image[1]} x {image[0]} pixels and its annotation {mask_name} has "
            f"{mask[1]} x {mask[0]}: their sizes do not match."
        )


def _changes(labels: NDArray[np.uint8]) -> str:
    """Return what a label map changes, for the log."""
    changed = [f"{value} is {label}" for value, label in enumerate(labels.tolist()) if value != label][:12]
    return (
        f"pixel value {', '.join(changed)}{' ...' if len(changed) == 12 else ''}" if changed else "no change"
    )


def _bytes(example: Example) -> int:
    """Return the size of a decoded example."""
    return example[0].nbytes + example[1].nbytes


def _why(error: Exception) -> str:
    """Return why a file cannot be read, for a message."""
    if isinstance(error, UnidentifiedImageError):
        return "cannot identify image file"
    return str(error) or type(error).__name__
