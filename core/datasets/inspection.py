"""Inspect a single pair: everything that does not depend on other pairs. Runs in worker processes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import UnidentifiedImageError

from core.datasets.masks import (
    MOST_COLORS,
    UNKNOWN_COLOR,
    Colors,
    MaskCoding,
    MaskKind,
    has_numbers,
    header,
    mask_kind,
    number_kind,
    read_mask,
    unknown_colors,
    values_without_data,
)
from core.datasets.problems import DataProblem, problem
from core.datasets.source import Sample
from core.errors import ImageError
from core.imaging.counting import pixel_counts
from core.imaging.image import (
    SWAPS_SIDES,
    UPRIGHT,
    DecodedImage,
    has_stored_size,
    image_share,
    mask_share,
    open_image,
)
from core.imaging.tiff import is_tiff, read_header
from core.local_files import read_regular, reason
from core.text import listing, plural

UNSAFE_CHARACTER = re.compile(r"[^A-Za-z0-9._-]")
Values = tuple[bytes, tuple[int, ...]]
"""The pixel values of a mask, and the number of pixels of each."""

NO_VALUES: Values = b"", ()

SAVE_MASK = "Export the mask again as an 8-bit indexed PNG, or copy the file again from its source."
CHECK_THE_PAIR = (
    "View the pair. If image and mask match, a fixed copy corrects this. If not, the mask was drawn on the image as "
    "stored: remove the EXIF orientation, for example with exiftool -n -Orientation=1 FILE."
)


@dataclass(frozen=True, slots=True)
class PairFacts:
    """The facts about a pair. Pixels are not kept.

    width, height: of the upright image, in pixels; 0 where it cannot be read.
    digest:        BLAKE2b hash of the image file; empty where there is none.
    values:        the pixel values of the mask, each once, before any label map.
    counts:        number of pixels of each value.
    problems:      the problems of this pair.
    """

    sample: Sample
    width: int
    height: int
    digest: bytes
    values: bytes
    counts: tuple[int, ...]
    problems: tuple[DataProblem, ...]


@dataclass(frozen=True, slots=True)
class _ImageFacts:
    """A readable image. size: (width, height) upright, in pixels; orientation: EXIF orientation."""

    size: tuple[int, int]
    orientation: int = UPRIGHT

    @property
    def stored(self) -> tuple[int, int]:
        """Return the size as stored, (width, height)."""
        return self.size[::-1] if self.orientation in SWAPS_SIDES else self.size


UNREADABLE = _ImageFacts((0, 0))


class _FaultError(Exception):
    """A problem after which a file cannot be inspected further."""

    def __init__(self, code: str, message: str, *, todo: str = "", fixable: bool | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.todo, self.fixable = code, message, todo, fixable

    def at(self, path: str) -> DataProblem:
        return problem(self.code, path, self.message, todo=self.todo, fixable=self.fixable)


def inspect_pairs(root: Path, samples: Sequence[Sample], colors: Colors) -> list[PairFacts]:
    """Inspect pairs one after the other, so that only one image is in memory."""
    return [inspect_pair(root, sample, colors) for sample in samples]


def inspect_pair(root: Path, sample: Sample, colors: Colors) -> PairFacts:
    """Read both files of a pair completely. Faults in them are not raised; they become problems."""
    problems: list[DataProblem] = []
    facts, digest, values = UNREADABLE, b"", NO_VALUES
    if sample.image:
        facts, digest = _photo(root, sample.image, problems)
    if sample.mask:
        values, mask_size = _mask(root, sample.mask, colors, problems)
        problems += _together(sample, facts, mask_size)
    problems += [_odd(path) for path in (sample.image, sample.mask) if UNSAFE_CHARACTER.search(_last(path))]
    return PairFacts(sample, *facts.size, digest, *values, tuple(problems))


def _photo(root: Path, path: str, problems: list[DataProblem]) -> tuple[_ImageFacts, bytes]:
    """Return size and orientation of the image, and the hash of its file."""
    digest = b""
    try:
        data = _read(root / path, "photo_unreadable")
        digest = hashlib.blake2b(data, digest_size=16).digest()
        return _inspect_image(data, path, problems), digest
    except _FaultError as fault:
        problems.append(fault.at(path))
        return UNREADABLE, digest


def _inspect_image(data: bytes, path: str, problems: list[DataProblem]) -> _ImageFacts:
    """Decode the image completely within the memory budget; its pixels are not kept."""
    try:
        with image_share(data, path, extra=0):
            image = open_image(data, path)
            problems += _form(image, path)
            return _ImageFacts((image.width, image.height), image.orientation)
    except ImageError as error:
        code = "photo_truncated" if is_truncated(data) else "photo_unreadable"
        raise _FaultError(code, _reason(error, path)) from error


def _form(image: DecodedImage, path: str) -> list[DataProblem]:
    """Return problems with the format and pixel type of a readable image."""
    if image.format not in ("JPEG", "MPO"):
        return [problem("photo_not_jpeg", path, " ".join((f"The image is {image.format}.", *image.notes)))]
    if not path.lower().endswith((".jpg", ".jpeg")):
        return [problem("photo_not_jpeg", path, "It is a JPEG file, but its name does not end in .jpg.")]
    if image.mode not in ("RGB", "L"):
        return [problem("photo_not_rgb", path, f"Its color mode is {image.mode}.")]
    return []


def _mask(
    root: Path, path: str, colors: Colors, problems: list[DataProblem]
) -> tuple[Values, tuple[int, int]]:
    """Return the values of the mask and its size (width, height) in pixels; zeros where it cannot be read."""
    try:
        data = _read(root / path, "mask_unreadable")
        kind, form = _mask_kind(data)
        with _mask_memory(data, path):
            ids, coding = _ids(data, path, kind, colors)
            if coding == "color":
                _check_colors(data, ids)
            if coding == "nodata":
                message = f"It holds {values_without_data(data)}, which are not class ids."
                problems.append(problem("mask_nodata", path, message))
            counts, size = pixel_counts(ids), (ids.shape[1], ids.shape[0])
            del ids  # before its share of the memory budget is released
    except _FaultError as fault:
        problems.append(fault.at(path))
        return NO_VALUES, (0, 0)
    problems += _mask_form(coding, kind, form, path, png_depth(data))
    values = np.flatnonzero(counts)
    return (values.astype(np.uint8).tobytes(), tuple(counts[values].tolist())), size


@contextmanager
def _mask_memory(data: bytes, path: str) -> Iterator[None]:
    """Hold the memory for the mask. Raises _FaultError where its header cannot be read, or it is too large."""
    with ExitStack() as held:
        try:
            held.enter_context(mask_share(data, path))
        except ImageError as error:
            code = "mask_truncated" if is_truncated(data) else "mask_unreadable"
            raise _FaultError(code, _reason(error, path)) from error
        yield


def _together(sample: Sample, facts: _ImageFacts, mask: tuple[int, int]) -> list[DataProblem]:
    """Return problems with the sizes of image and mask, upright and as stored. mask: (width, height); 0: unknown."""
    turned = [_turned(sample, facts, mask)] if facts.orientation != UPRIGHT else []
    if not all(facts.size) or not all(mask) or mask == facts.size:
        return turned
    sizes = f"The mask is {_by(mask)} pixels, its image is {_by(facts.size)}"
    if not has_stored_size(mask, facts.size, facts.orientation):
        return [*turned, problem("sizes_differ", sample.mask, f"{sizes}.")]
    why = f"{sizes} upright: it was drawn on the image as stored (EXIF orientation {facts.orientation})."
    return [*turned, problem("mask_lying", sample.mask, why)]


def _turned(sample: Sample, facts: _ImageFacts, mask: tuple[int, int]) -> DataProblem:
    """Return the problem with a rotated image: training ignores EXIF, so an upright mask would not match it."""
    turned = f"It is stored rotated, with EXIF orientation {facts.orientation}"
    if facts.stored == facts.size == mask:
        message = f"{turned}. Its mask has the size of both orientations; check whether it matches."
        return problem("photo_turned", sample.image, message, todo=CHECK_THE_PAIR)
    if mask == facts.size:
        message = f"{turned}. It is stored as {_by(facts.stored)} pixels, but its mask is {_by(mask)}."
        return problem("photo_turned", sample.image, message, severity="error")
    return problem("photo_turned", sample.image, f"{turned}.")


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"


def _mask_kind(data: bytes) -> tuple[MaskKind, str]:
    """Return what the mask's pixels are, and its file format as Pillow names it."""
    if not data:
        raise _FaultError("mask_unreadable", "The file is empty.")
    if has_numbers(data):
        return number_kind(data), "TIFF"
    try:
        image = header(data)
    except UnidentifiedImageError as error:  # its text has the address of an object in memory
        raise _FaultError("mask_unreadable", _unidentified(data), todo=SAVE_MASK) from error
    except Exception as error:
        code = "mask_truncated" if is_truncated(data) else "mask_unreadable"
        raise _FaultError(code, f"It cannot be read: {_first_line(error)}") from error
    form = image.format or ""
    if mask_kind(image) == "lossy":
        raise _FaultError("mask_lossy", f"The mask is {form}.")
    return mask_kind(image), form


def _unidentified(data: bytes) -> str:
    """Return what a file is that Pillow cannot open."""
    try:
        layout = (
            f"It is a TIFF of {read_header(data).mode} values; a mask has one band." if is_tiff(data) else ""
        )
    except ValueError as error:
        layout = f"It is a damaged TIFF: {_first_line(error)}"
    return layout or "It is not an image in a supported format."


def _ids(data: bytes, path: str, kind: MaskKind, colors: Colors) -> tuple[NDArray[np.uint8], MaskCoding]:
    try:
        return read_mask(data, path, colors, nodata_as_ignore=True)
    except ImageError as error:
        if kind in ("16 bit", "float") and not is_truncated(data):
            raise _FaultError("mask_16bit", _reason(error, path), todo=error.todo, fixable=False) from error
        code = "mask_truncated" if is_truncated(data) else "mask_unreadable"
        raise _FaultError(code, _reason(error, path)) from error


def _check_colors(data: bytes, ids: NDArray[np.uint8]) -> None:
    unknown_pixels = int(np.count_nonzero(ids == UNKNOWN_COLOR))
    if unknown_pixels:
        colors, total = unknown_colors(data, ids)
        shown = listing([f"{red},{green},{blue}" for red, green, blue in colors], MOST_COLORS, total=total)
        raise _FaultError(
            "color_unknown", f"{unknown_pixels:,} pixels have colors that no class has: {shown}."
        )


def _mask_form(coding: MaskCoding, kind: MaskKind, form: str, path: str, depth: int) -> list[DataProblem]:
    if coding == "nodata":
        return []  # reported with its values
    if coding == "palette":
        return [problem("mask_index", path, "Its palette indices are not the class ids of their colors.")]
    if coding == "gray":
        message = "The mask has several identical gray channels; their values are used as class ids."
        return [problem("mask_rgb", path, message)]
    if kind == "colors":
        return [problem("mask_rgb", path, "The mask is in color; each color is that of a class.")]
    if kind == "16 bit":
        return [problem("mask_16bit", path, "The mask has 16 bits per pixel.")]
    if kind == "float":
        return [problem("mask_16bit", path, "The mask has floating-point values.")]
    if form != "PNG" or not path.lower().endswith(".png"):
        return [problem("mask_not_png", path, f"The mask is {form}, with the name {_last(path)}.")]
    if depth in (1, 2, 4):
        return [
            problem("mask_low_depth", path, f"It is a grayscale PNG of {plural(depth, 'bit')} per pixel.")
        ]
    return []


def png_depth(data: bytes) -> int:
    """Return the bits per pixel of a grayscale PNG; 0 for anything else."""
    return data[24] if data[:4] == b"\x89PNG" and data[25] == 0 else 0


def is_truncated(data: bytes) -> bool:
    """Return whether the end of a JPEG or PNG file is missing."""
    if data[:2] == b"\xff\xd8":
        return b"\xff\xd9" not in data[-1024:]
    return data[:4] == b"\x89PNG" and b"IEND" not in data[-1024:]


def _read(path: Path, code: str) -> bytes:
    try:
        return read_regular(path)
    except OSError as error:
        raise _FaultError(code, f"It cannot be opened. {reason(error)}") from error


def _odd(path: str) -> DataProblem:
    characters = sorted(
        {
            "a space" if character.isspace() else character
            for character in UNSAFE_CHARACTER.findall(_last(path))
        }
    )
    return problem("name_odd", path, f"The name contains {listing(characters)}.")


def _last(path: str) -> str:
    return path.rpartition("/")[2]


def _reason(error: ImageError, path: str) -> str:
    """Return the error without the path, which is shown next to it."""
    return f"{error.what.replace(path, 'The file', 1)} {error.why}".strip()


def _first_line(error: Exception) -> str:
    return f"{(str(error) or type(error).__name__).splitlines()[0].rstrip('. ')}."
