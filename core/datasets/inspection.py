"""One pair looked at: everything about it that can be known without the others. Runs in other processes."""

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
    UNKNOWN_COLOR,
    Colors,
    MaskCoding,
    MaskKind,
    header,
    mask_kind,
    read_mask,
    unknown_colors,
)
from core.datasets.problems import DataProblem, problem
from core.datasets.source import Sample
from core.errors import ImageError
from core.imaging.counting import pixel_counts
from core.imaging.image import LYING, UPRIGHT, Photo, drawn_lying, mask_share, open_photo, photo_share
from core.local_files import read_regular, reason
from core.text import listing, plural

ODD = re.compile(r"[^A-Za-z0-9._-]")
Values = tuple[bytes, tuple[int, ...]]
"""The pixel values of a mask, and how many pixels have each."""

NO_VALUES: Values = b"", ()

LOOK_AT_IT = (
    "Look at the pair. Where the two fit, a converted copy has it right. Where not, the mask was drawn on the "
    "photograph as it is stored: take the note away, for example with exiftool -n -Orientation=1 FILE."
)


@dataclass(frozen=True, slots=True)
class PairFacts:
    """What is known of a pair. No pixel is kept.

    width, height: of the photograph, upright, in pixels; 0 where it cannot be read.
    digest:        of the photograph's bytes; empty where there is none.
    values:        the pixel values of the mask, each once, as ids before any label map.
    counts:        how many pixels each has.
    problems:      what is wrong with this pair.
    """

    sample: Sample
    width: int
    height: int
    digest: bytes
    values: bytes
    counts: tuple[int, ...]
    problems: tuple[DataProblem, ...]


@dataclass(frozen=True, slots=True)
class _Seen:
    """A readable photograph. size: (width, height) upright, in pixels; orientation: EXIF's."""

    size: tuple[int, int]
    orientation: int = UPRIGHT

    @property
    def stored(self) -> tuple[int, int]:
        """(width, height) as it is stored."""
        return self.size[::-1] if self.orientation in LYING else self.size


UNSEEN = _Seen((0, 0))


class _FaultError(Exception):
    """A problem after which nothing more can be said of a file."""

    def __init__(self, code: str, message: str, *, todo: str = "", fixable: bool | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.todo, self.fixable = code, message, todo, fixable

    def at(self, path: str) -> DataProblem:
        return problem(self.code, path, self.message, todo=self.todo, fixable=self.fixable)


def inspect_pairs(root: Path, samples: Sequence[Sample], colors: Colors) -> list[PairFacts]:
    """One after the other, so that no more than one picture is held."""
    return [inspect_pair(root, sample, colors) for sample in samples]


def inspect_pair(root: Path, sample: Sample, colors: Colors) -> PairFacts:
    """Read both files whole. What is wrong with them is not raised: it becomes a problem."""
    problems: list[DataProblem] = []
    seen, digest, values = UNSEEN, b"", NO_VALUES
    if sample.photo:
        seen, digest = _photo(root, sample.photo, problems)
    if sample.mask:
        values, mask_size = _mask(root, sample.mask, colors, problems)
        problems += _together(sample, seen, mask_size)
    problems += [_odd(path) for path in (sample.photo, sample.mask) if ODD.search(_last(path))]
    return PairFacts(sample, *seen.size, digest, *values, tuple(problems))


def _photo(root: Path, path: str, problems: list[DataProblem]) -> tuple[_Seen, bytes]:
    """How it is seen, and the digest of its bytes."""
    digest = b""
    try:
        data = _read(root / path, "photo_unreadable")
        digest = hashlib.blake2b(data, digest_size=16).digest()
        return _seen(data, path, problems), digest
    except _FaultError as fault:
        problems.append(fault.at(path))
        return UNSEEN, digest


def _seen(data: bytes, path: str, problems: list[DataProblem]) -> _Seen:
    """Decode the photo whole, in its turn; nothing of it is kept."""
    try:
        with photo_share(data, path, extra=0):
            photo = open_photo(data, path)
            problems += _form(photo, path)
            return _Seen((photo.width, photo.height), photo.orientation)
    except ImageError as error:
        code = "photo_truncated" if is_cut(data) else "photo_unreadable"
        raise _FaultError(code, _reason(error, path)) from error


def _form(photo: Photo, path: str) -> list[DataProblem]:
    """What kind of file a readable photograph is."""
    if photo.format not in ("JPEG", "MPO"):
        return [problem("photo_not_jpeg", path, f"The photograph is {photo.format}.")]
    if not path.lower().endswith((".jpg", ".jpeg")):
        return [problem("photo_not_jpeg", path, "It is a JPEG whose name does not end in .jpg.")]
    if photo.mode not in ("RGB", "L"):
        return [problem("photo_not_rgb", path, f"Its pixels are {photo.mode}.")]
    return []


def _mask(
    root: Path, path: str, colors: Colors, problems: list[DataProblem]
) -> tuple[Values, tuple[int, int]]:
    """What is in it, and its (width, height) in pixels; zeros where it cannot be read."""
    try:
        data = _read(root / path, "mask_unreadable")
        kind, form = _mask_kind(data)
        with _mask_memory(data, path):
            ids, coding = _ids(data, path, kind, colors)
            if coding == "color":
                _check_colors(data, ids)
            counts, size = pixel_counts(ids), (ids.shape[1], ids.shape[0])
            del ids  # before its memory is given back
    except _FaultError as fault:
        problems.append(fault.at(path))
        return NO_VALUES, (0, 0)
    problems += _mask_form(coding, kind, form, path, png_depth(data))
    values = np.flatnonzero(counts)
    return (values.astype(np.uint8).tobytes(), tuple(counts[values].tolist())), size


@contextmanager
def _mask_memory(data: bytes, path: str) -> Iterator[None]:
    """Hold what the mask takes. Raises _FaultError where its header cannot be read, or it is too large."""
    with ExitStack() as held:
        try:
            held.enter_context(mask_share(data, path))
        except ImageError as error:
            code = "mask_truncated" if is_cut(data) else "mask_unreadable"
            raise _FaultError(code, _reason(error, path)) from error
        yield


def _together(sample: Sample, seen: _Seen, mask: tuple[int, int]) -> list[DataProblem]:
    """Whether the mask fits the photograph, upright and as it is stored. mask: (width, height), zeros: not known."""
    turned = [_turned(sample, seen, mask)] if seen.orientation != UPRIGHT else []
    if not all(seen.size) or not all(mask) or mask == seen.size:
        return turned
    sizes = f"The mask is {_by(mask)} pixels, its photograph {_by(seen.size)}"
    if not drawn_lying(mask, seen.size, seen.orientation):
        return [*turned, problem("sizes_differ", sample.mask, f"{sizes}.")]
    why = f"{sizes} upright: it was drawn on the photograph as it is stored (EXIF orientation {seen.orientation})."
    return [*turned, problem("mask_lying", sample.mask, why)]


def _turned(sample: Sample, seen: _Seen, mask: tuple[int, int]) -> DataProblem:
    """A job sees the photograph as it is stored: a mask for the upright one fits it only by chance of its sides."""
    turned = f"It is stored turned: EXIF orientation {seen.orientation} says how to show it upright"
    if seen.stored == seen.size == mask:
        message = f"{turned}. Its mask has the size of both, so whether it fits is for you to see."
        return problem("photo_turned", sample.photo, message, todo=LOOK_AT_IT)
    if mask == seen.size:
        message = f"{turned}. It is stored as {_by(seen.stored)} pixels, and its mask is {_by(mask)}."
        return problem("photo_turned", sample.photo, message, severity="error")
    return problem("photo_turned", sample.photo, f"{turned}.")


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"


def _mask_kind(data: bytes) -> tuple[MaskKind, str]:
    """What its pixels are, and Pillow's name of the file's format."""
    if not data:
        raise _FaultError("mask_unreadable", "The file is empty.")
    try:
        image = header(data)
    except UnidentifiedImageError as error:  # its text names an object in memory
        raise _FaultError("mask_unreadable", "It is no picture of a known format.") from error
    except Exception as error:
        code = "mask_truncated" if is_cut(data) else "mask_unreadable"
        raise _FaultError(code, f"It cannot be read: {_first_line(error)}") from error
    form = image.format or ""
    if mask_kind(image) == "lossy":
        raise _FaultError("mask_lossy", f"The mask is {form}.")
    return mask_kind(image), form


def _ids(data: bytes, path: str, kind: MaskKind, colors: Colors) -> tuple[NDArray[np.uint8], MaskCoding]:
    try:
        return read_mask(data, path, colors)
    except ImageError as error:
        if kind == "16 bit" and not is_cut(data):
            todo = "Export it again with class ids of 0 to 253, and 255 for pixels to ignore."
            raise _FaultError("mask_16bit", _reason(error, path), todo=todo, fixable=False) from error
        code = "mask_truncated" if is_cut(data) else "mask_unreadable"
        raise _FaultError(code, _reason(error, path)) from error


def _check_colors(data: bytes, ids: NDArray[np.uint8]) -> None:
    unknown_pixels = int(np.count_nonzero(ids == UNKNOWN_COLOR))
    if unknown_pixels:
        colors, total = unknown_colors(data, ids)
        shown = listing([f"{red},{green},{blue}" for red, green, blue in colors], total)
        raise _FaultError(
            "color_unknown", f"{unknown_pixels:,} pixels have a colour that no class has: {shown}."
        )


def _mask_form(coding: MaskCoding, kind: MaskKind, form: str, path: str, depth: int) -> list[DataProblem]:
    if coding == "palette":
        return [
            problem("mask_index", path, "The indices of its palette are not the ids of its colours' classes.")
        ]
    if coding == "grey":
        return [
            problem(
                "mask_rgb",
                path,
                "The mask has several channels, all of the same greys: those are taken for ids.",
            )
        ]
    if kind == "colors":
        return [problem("mask_rgb", path, "The mask is in colour; each colour is that of a class.")]
    if kind == "16 bit":
        return [problem("mask_16bit", path, "The mask has 16 bits a pixel.")]
    if form != "PNG" or not path.lower().endswith(".png"):
        return [problem("mask_not_png", path, f"The mask is {form}, under the name {_last(path)}.")]
    if depth in (1, 2, 4):
        return [problem("mask_low_depth", path, f"It is a grey PNG of {plural(depth, 'bit')} a pixel.")]
    return []


def png_depth(data: bytes) -> int:
    """Bits a pixel of a grey PNG; 0 for anything else."""
    return data[24] if data[:4] == b"\x89PNG" and data[25] == 0 else 0


def is_cut(data: bytes) -> bool:
    """Whether a JPEG or PNG lacks its end."""
    if data[:2] == b"\xff\xd8":
        return b"\xff\xd9" not in data[-1024:]
    return data[:4] == b"\x89PNG" and b"IEND" not in data[-1024:]


def _read(path: Path, code: str) -> bytes:
    try:
        return read_regular(path)
    except OSError as error:
        raise _FaultError(code, f"It cannot be opened. {reason(error)}") from error


def _odd(path: str) -> DataProblem:
    signs = sorted({"a space" if sign.isspace() else sign for sign in ODD.findall(_last(path))})
    return problem("name_odd", path, f"The name has {listing(signs)} in it.")


def _last(path: str) -> str:
    return path.rpartition("/")[2]


def _reason(error: ImageError, path: str) -> str:
    """The error without the path, which is told beside it."""
    return f"{error.what.replace(path, 'The file', 1)} {error.why}".strip()


def _first_line(error: Exception) -> str:
    return f"{(str(error) or type(error).__name__).splitlines()[0].rstrip('. ')}."
