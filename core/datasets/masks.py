"""Decode class ids from all mask formats that annotation programs write.

Only Pillow reads indexed and color files: other libraries convert palette indices to colors. rasterio reads TIFFs
with one band of more than 8 bits.
"""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.errors import ImageError
from core.imaging.classes import IGNORE, Color
from core.imaging.counting import pixel_counts, remap
from core.imaging.image import FORMATS, MAX_PIXELS, open_mask
from core.imaging.pixels import row_blocks
from core.imaging.tiff import is_tiff, read_header, read_values
from core.text import listing, plural

MaskKind = Literal["ids", "colors", "16 bit", "float", "lossy"]

MaskCoding = Literal["index", "palette", "color", "gray", "nodata"]
"""What encodes the class of a mask's pixels: their index; the palette color of their index, if it is the color of
another class; their color; their gray value, if a color mask is all gray; or their index, if some pixels have a value
for no data instead, which became 255."""

UNKNOWN_COLOR = 254
"""The id of colors without a class; never a class id, as there are at most 254 classes."""

LOSSY = ("JPEG", "WEBP", "MPO")

MOST_COLORS = 10
"""Maximum number of unknown colors in a message; an ordinary image saved as a mask has millions."""


@dataclass(frozen=True, slots=True)
class Colors:
    """The colors of the classes in masks.

    pairs:     color -> class id, sorted.
    from_file: whether a class names file defines the colors.
    """

    pairs: tuple[tuple[Color, int], ...] = ()
    from_file: bool = False


def mask_kind(image: Image.Image) -> MaskKind:
    """Return what the pixels of a mask are, by its header."""
    if image.format in LOSSY:
        return "lossy"
    if image.mode in ("1", "L", "P"):
        return "ids"
    if image.mode == "F":
        return "float"
    return "16 bit" if image.mode.startswith("I") else "colors"


def header(data: bytes) -> Image.Image:
    """Open an image without decoding it. Raises what Pillow raises.

    Only the formats of `core.imaging.image` are tried: others, such as EPS, run another program.
    """
    image = Image.open(io.BytesIO(data), formats=FORMATS)
    if image.width * image.height > MAX_PIXELS:
        raise ValueError(
            f"it has {image.width:,} x {image.height:,} pixels, more than {MAX_PIXELS:,} in total"
        )
    return image


def has_numbers(data: bytes) -> bool:
    """Return whether the file is a TIFF with one band of more than 8 bits, of any number type."""
    if not is_tiff(data):
        return False
    try:
        tiff = read_header(data)
    except ValueError:  # the file is damaged; opening it as an image reports how
        return False
    return tiff.bands == 1 and tiff.bits > 8


def number_kind(data: bytes) -> MaskKind:
    """Return the kind of a mask for which `has_numbers` is true."""
    return "float" if read_header(data).kind == "float" else "16 bit"


def read_ids(data: bytes, name: str, colors: Colors, *, nodata_as_ignore: bool = False) -> NDArray[np.uint8]:
    """Return class ids, (H, W) uint8; see `read_mask`."""
    return read_mask(data, name, colors, nodata_as_ignore=nodata_as_ignore)[0]


def read_mask(
    data: bytes, name: str, colors: Colors, *, nodata_as_ignore: bool = False
) -> tuple[NDArray[np.uint8], MaskCoding]:
    """Return class ids, (H, W) uint8, and how they are encoded; UNKNOWN_COLOR where a color has no class.

    nodata_as_ignore: values that mark pixels without data become 255, and the coding is "nodata".

    Raises ImageError where the file does not contain class ids.
    """
    try:
        if has_numbers(data):
            return _by_value(
                read_values(data), name, read_header(data).nodata, nodata_as_ignore=nodata_as_ignore
            )
        image = header(data)
        kind = mask_kind(image)
        if kind == "ids":
            return _by_palette(image, open_mask(data, name), colors)
        values = np.asarray(
            image if kind in ("16 bit", "float") or image.mode == "RGB" else image.convert("RGB")
        )
    except ImageError:
        raise
    except Exception as error:
        raise ImageError(
            f"{name} cannot be read.",
            why=f"{str(error).rstrip('. ') or type(error).__name__}.",
            todo="Save the mask again as an 8-bit indexed PNG.",
        ) from error
    if kind == "lossy":
        raise ImageError(
            f"{name} is {image.format}, which changes class ids.",
            why="Its compression is lossy.",
            todo="Export it again as PNG.",
        )
    if kind == "colors":
        return _by_color(values, colors)
    return _by_value(values, name, None, nodata_as_ignore=nodata_as_ignore)


def _by_value(
    values: NDArray[Any], name: str, nodata: float | None, *, nodata_as_ignore: bool
) -> tuple[NDArray[np.uint8], MaskCoding]:
    """Return the class ids of a mask of numbers. nodata: the value for no data by the file's own tag."""
    valid = (values >= 0) & (values <= IGNORE)
    if values.dtype.kind == "f":
        valid &= values == np.floor(values)
    if valid.all():
        return values.astype(np.uint8), "index"
    wrong = np.unique(values[~valid])
    if not nodata_as_ignore or not _marks_no_data(wrong, nodata).all():
        raise ImageError(
            f"{name} holds {_values_text(wrong)} in {plural(int((~valid).sum()), 'pixel')}.",
            why="A mask has whole numbers as class ids, 0 to 253, and 255 for pixels to ignore.",
            todo="If these values mark pixels without data, change them to 255; else export the mask again.",
        )
    return np.where(valid, values, IGNORE).astype(np.uint8), "nodata"


def _marks_no_data(wrong: NDArray[Any], nodata: float | None) -> NDArray[np.bool_]:
    """Return which of the values can only mark pixels without data: a class id is never negative or that large."""
    marks: NDArray[np.bool_] = ~np.isfinite(wrong) | (wrong <= -1)
    if wrong.dtype.kind != "f":
        marks |= wrong == np.iinfo(wrong.dtype).max
    if nodata is not None:
        marks |= wrong == (wrong.dtype.type(nodata) if wrong.dtype.kind == "f" else nodata)
    return marks


def values_without_data(data: bytes) -> str:
    """Return the values of a mask that are not class ids, and how many pixels have them, for a message."""
    values = read_values(data) if has_numbers(data) else np.asarray(header(data))
    wrong = values[~((values >= 0) & (values <= IGNORE))]
    return f"{_values_text(np.unique(wrong))} in {plural(wrong.size, 'pixel')}"


def _values_text(values: NDArray[Any]) -> str:
    shown = values[:MOST_COLORS]
    texts = [f"{value:.10g}" if values.dtype.kind == "f" else str(value) for value in shown]
    return listing(texts, total=values.size)


def _by_color(pixels: NDArray[np.uint8], colors: Colors) -> tuple[NDArray[np.uint8], MaskCoding]:
    """Return the class ids of pixels, (H, W, 3) uint8, by their color.

    Gray values that are not class colors are ids: some programs save ids in three identical channels.
    """
    table = color_table(colors)
    ids = np.empty(pixels.shape[:2], np.uint8)
    unknown, all_gray = False, True
    for rows in row_blocks(*pixels.shape[:2]):
        part, gray = ids[rows], pixels[rows, :, 0]
        part[...] = table[packed(pixels[rows])]
        unmatched = part == UNKNOWN_COLOR
        unknown = unknown or bool(unmatched.any())
        all_gray = (
            all_gray
            and bool((pixels[rows] == pixels[rows, :, :1]).all())
            and bool((unmatched | (part == gray)).all())
        )
    return (pixels[..., 0].copy(), "gray") if unknown and all_gray else (ids, "color")


def _by_palette(
    image: Image.Image, indices: NDArray[np.uint8], colors: Colors
) -> tuple[NDArray[np.uint8], MaskCoding]:
    """Return the class ids of an indexed mask by its palette, if that does not have the order of the classes.

    Some programs number the colors arbitrarily. The palette is used only if a class names file defines the colors of
    the classes, and each color that occurs is one of them and is in the palette once.
    """
    if not colors.from_file or image.palette is None:
        return indices, "index"
    kind, raw = image.palette.getdata()  # `getpalette` would decode the pixels again
    flat = list(raw) if kind == "RGB" else image.getpalette() or []
    palette = list(zip(flat[::3], flat[1::3], flat[2::3], strict=False))
    used = np.flatnonzero(pixel_counts(indices)).tolist()
    known, times = dict(colors.pairs), Counter(palette)
    table = np.arange(256, dtype=np.uint8)
    for index in used:
        color = palette[index] if index < len(palette) else None
        if color not in known or times[color] > 1:
            return indices, "index"
        table[index] = known[color]
    differs = bool((table[used] != used).any())
    return (remap(indices, table), "palette") if differs else (indices, "index")


def packed(pixels: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Return colors as one number each, (H, W, 3) uint8 -> (H, W) uint32."""
    codes: NDArray[np.uint32] = pixels[..., 0].astype(np.uint32)
    codes <<= 8
    codes |= pixels[..., 1]
    codes <<= 8
    codes |= pixels[..., 2]
    return codes


@lru_cache(maxsize=1)
def color_table(colors: Colors) -> NDArray[np.uint8]:
    """Return the id of each of the 16,777,216 colors, uint8: a lookup per pixel is faster than a search."""
    table = np.full(1 << 24, UNKNOWN_COLOR, np.uint8)
    for (red, green, blue), number in colors.pairs:
        table[red << 16 | green << 8 | blue] = number
    return table


def unknown_colors(data: bytes, ids: NDArray[np.uint8], most: int = MOST_COLORS) -> tuple[list[Color], int]:
    """Return the `most` frequent colors of an RGB mask that no class has, and the total number of such colors."""
    pixels = np.asarray(header(data).convert("RGB"))
    counts = np.zeros(1 << 24, np.uint32)
    for rows in row_blocks(*pixels.shape[:2]):
        numbers, times = np.unique(packed(pixels[rows])[ids[rows] == UNKNOWN_COLOR], return_counts=True)
        counts[numbers] += times.astype(np.uint32)
    present = np.flatnonzero(counts)
    ranked = present[np.argsort(-counts[present].astype(np.int64), kind="stable")][:most].tolist()
    return [(number >> 16, number >> 8 & 255, number & 255) for number in ranked], len(present)
