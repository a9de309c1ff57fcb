"""Masks of every kind that programs write -> class ids. Pillow alone reads them: others lose a palette's ids."""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.errors import ImageError
from core.imaging.classes import Color
from core.imaging.counting import pixel_counts, remap
from core.imaging.image import FORMATS, MAX_PIXELS, open_mask
from core.imaging.pixels import row_blocks

MaskKind = Literal["ids", "colors", "16 bit", "lossy"]

MaskCoding = Literal["index", "palette", "color", "grey"]
"""What of a mask's pixels says the class: their own number; the colour that a palette gives it, where that is another
class's; the colour itself; or, where a mask in colour is all grey, how bright it is."""

UNKNOWN_COLOR = 254
"""The id of a colour that nobody named: never a class, as there are at most 254."""

LOSSY = ("JPEG", "WEBP", "MPO")

MOST_COLORS = 10
"""Unknown colors that are listed; a photo saved as a mask has millions."""


@dataclass(frozen=True, slots=True)
class Colors:
    """What colours mean in masks. pairs: colour -> class id, sorted; told: whether a file of names says so."""

    pairs: tuple[tuple[Color, int], ...] = ()
    told: bool = False


def mask_kind(image: Image.Image) -> MaskKind:
    """What the pixels of a mask are, by its header."""
    if image.format in LOSSY:
        return "lossy"
    if image.mode in ("1", "L", "P"):
        return "ids"
    return "16 bit" if image.mode.startswith("I") else "colors"


def header(data: bytes) -> Image.Image:
    """Return the image, not yet decoded. Raises what Pillow raises.

    Only by the formats of `core.imaging.image`: others, such as EPS, run another program.
    """
    image = Image.open(io.BytesIO(data), formats=FORMATS)
    if image.width * image.height > MAX_PIXELS:
        raise ValueError(f"it has {image.width:,} x {image.height:,} pixels, more than {MAX_PIXELS:,} in all")
    return image


def read_ids(data: bytes, name: str, colors: Colors) -> NDArray[np.uint8]:
    """Class ids, (H, W) uint8; see `read_mask`."""
    return read_mask(data, name, colors)[0]


def read_mask(data: bytes, name: str, colors: Colors) -> tuple[NDArray[np.uint8], MaskCoding]:
    """Class ids, (H, W) uint8, and what tells them; UNKNOWN_COLOR where an RGB mask has a colour nobody named.

    Raises ImageError for what holds no ids.
    """
    try:
        image = header(data)
        kind = mask_kind(image)
        if kind == "ids":
            return _by_palette(image, open_mask(data, name), colors)
        values = np.asarray(image if kind == "16 bit" or image.mode == "RGB" else image.convert("RGB"))
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
            f"{name} is {image.format}, which blurs class ids.", todo="Save it as PNG from its source."
        )
    if kind == "colors":
        return _by_color(values, colors)
    if int(values.max(initial=0)) > 255 or int(values.min(initial=0)) < 0:
        raise ImageError(
            f"{name} holds pixel values from {int(values.min())} to {int(values.max())}.",
            why="A mask holds class ids of 8 bits, 0 to 255.",
            todo="Export it again with class ids of 0 to 253, and 255 for pixels to ignore.",
        )
    return values.astype(np.uint8), "index"


def _by_color(pixels: NDArray[np.uint8], colors: Colors) -> tuple[NDArray[np.uint8], MaskCoding]:
    """pixels: (H, W, 3) uint8. Greys are ids where no colour says otherwise: programs save three channels of them."""
    table = color_table(colors)
    ids = np.empty(pixels.shape[:2], np.uint8)
    unknown, all_grey = False, True
    for rows in row_blocks(*pixels.shape[:2]):
        part, grey = ids[rows], pixels[rows, :, 0]
        part[...] = table[packed(pixels[rows])]
        unmatched = part == UNKNOWN_COLOR
        unknown = unknown or bool(unmatched.any())
        all_grey = (
            all_grey
            and bool((pixels[rows] == pixels[rows, :, :1]).all())
            and bool((unmatched | (part == grey)).all())
        )
    return (pixels[..., 0].copy(), "grey") if unknown and all_grey else (ids, "color")


def _by_palette(
    image: Image.Image, indices: NDArray[np.uint8], colors: Colors
) -> tuple[NDArray[np.uint8], MaskCoding]:
    """Programs that save colours in few bytes number them as they please: then the palette says what is meant.

    It says so where a file tells the colours of the classes, and each that occurs is one of them, and stands in the
    palette once.
    """
    if not colors.told or image.palette is None:
        return indices, "index"
    kind, raw = image.palette.getdata()  # `getpalette` would decode the pixels, a second time
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
    """Colours as one number each, (H, W, 3) uint8 -> (H, W) uint32."""
    codes: NDArray[np.uint32] = pixels[..., 0].astype(np.uint32)
    codes <<= 8
    codes |= pixels[..., 1]
    codes <<= 8
    codes |= pixels[..., 2]
    return codes


@lru_cache(maxsize=1)
def color_table(colors: Colors) -> NDArray[np.uint8]:
    """The id of each of the 16,777,216 colours, uint8. One look-up a pixel, where a search would take a sort."""
    table = np.full(1 << 24, UNKNOWN_COLOR, np.uint8)
    for (red, green, blue), number in colors.pairs:
        table[red << 16 | green << 8 | blue] = number
    return table


def unknown_colors(data: bytes, ids: NDArray[np.uint8], most: int = MOST_COLORS) -> tuple[list[Color], int]:
    """Return the colors of an RGB mask that no class has, the commonest `most` of them, and how many there are."""
    pixels = np.asarray(header(data).convert("RGB"))
    counts = np.zeros(1 << 24, np.uint32)
    for rows in row_blocks(*pixels.shape[:2]):
        numbers, times = np.unique(packed(pixels[rows])[ids[rows] == UNKNOWN_COLOR], return_counts=True)
        counts[numbers] += times.astype(np.uint32)
    present = np.flatnonzero(counts)
    ranked = present[np.argsort(-counts[present].astype(np.int64), kind="stable")][:most].tolist()
    return [(number >> 16, number >> 8 & 255, number & 255) for number in ranked], len(present)
