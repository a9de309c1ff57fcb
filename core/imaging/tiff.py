"""Read the TIFF files that Pillow cannot read or reads wrongly, with rasterio (GDAL).

Pillow opens 8-bit images of one to four bands, and gray images of more bits. Of several bands with more than 8 bits
it keeps the upper byte, which turns 12-bit data almost black; many band layouts of satellite images it refuses.

Only the header is read at first: rasterio is imported when such a file is decoded, in blocks of rows.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from core.errors import ImageError
from core.imaging.pixels import SENSOR_BITS, TRANSPARENT, row_blocks

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

MOST_PAGES = 1_000
"""Pages that are counted; a file can hold a loop of them."""

GDAL_CACHE = 64_000_000
"""Bytes of decoded tiles that GDAL keeps, so that a block of rows does not decode a tile again."""

NEW_SUBFILE_TYPE, WIDTH, HEIGHT, BITS, PHOTOMETRIC, ORIENTATION = 254, 256, 257, 258, 262, 274
SAMPLES, EXTRA_SAMPLES, SAMPLE_FORMAT, GDAL_NODATA = 277, 338, 339, 42113
"""TIFF tags (TIFF 6.0, sections 4 to 8; GDAL's documentation of its GTiff driver)."""

SMALLER_COPY, TRANSPARENCY_MASK = 1, 4
"""Bits of NEW_SUBFILE_TYPE: a page that is not an image of its own."""

MIN_IS_WHITE, MIN_IS_BLACK, RGB, YCBCR = 0, 1, 2, 6
"""Values of PHOTOMETRIC."""

ALPHA = (1, 2)
"""Values of EXTRA_SAMPLES: associated and unassociated alpha; 0 is a band of unknown meaning."""

KINDS = {1: "uint", 2: "int", 3: "float", 4: "uint"}
"""SAMPLE_FORMAT -> the kind of number; 4 is undefined data, which readers take for unsigned."""


@dataclass(frozen=True, slots=True)
class TiffHeader:
    """The first page of a TIFF file.

    width, height: as stored, in pixels.
    bands:         all bands, with alpha.
    bits:          bits per value; the largest where bands differ.
    kind:          "uint", "int", "float", or "complex" for anything else.
    photometric:   the TIFF tag PhotometricInterpretation.
    alpha:         whether the band after the colors is alpha.
    orientation:   as in EXIF, 1 to 8.
    nodata:        the value of pixels without data, by GDAL's tag; None where it is not given.
    pages:         NEW_SUBFILE_TYPE of each page.
    """

    width: int
    height: int
    bands: int
    bits: int
    kind: str
    photometric: int
    alpha: bool
    orientation: int
    nodata: float | None
    pages: tuple[int, ...]

    @property
    def size(self) -> tuple[int, int]:
        """Return (width, height) as stored, in pixels."""
        return self.width, self.height

    @property
    def mode(self) -> str:
        """Return bands and number type, such as `4 x uint16`."""
        return f"{self.bands} x {self.kind}{self.bits}"

    @property
    def color_bands(self) -> int:
        """Return how many bands are used: the first three, or the first of one or two."""
        return 3 if self.bands - self.alpha >= 3 else 1

    @property
    def bytes_per_pixel(self) -> int:
        """Return the bytes of a decoded pixel with all its bands: a strip can be the whole image."""
        return self.bands * -(-self.bits // 8)

    @property
    def several_images(self) -> bool:
        """Return whether other pages are images of their own."""
        return any(not kind & (SMALLER_COPY | TRANSPARENCY_MASK) for kind in self.pages[1:])

    @property
    def has_mask_page(self) -> bool:
        """Return whether a page is the transparency mask of the first, as GDAL writes for pixels without data."""
        return any(kind & TRANSPARENCY_MASK for kind in self.pages[1:])

    @property
    def band_note(self) -> str:
        """Return which bands are used; empty where all are."""
        if self.color_bands + self.alpha == self.bands:
            return ""
        used = "bands 1-3" if self.color_bands == 3 else "band 1"
        return f"{used} of {self.bands}"

    @property
    def pillow_is_exact(self) -> bool:
        """Return whether Pillow keeps the values of the bands, if it can open the file."""
        return self.bits <= 8 or self.bands == 1

    @property
    def pillow_changes_gray(self) -> bool:
        """Return whether Pillow scales or inverts the gray values, which leaves no class ids."""
        fewer_bits = 1 < self.bits < 8 and self.photometric == MIN_IS_BLACK
        return self.bands == 1 and (fewer_bits or self.photometric == MIN_IS_WHITE)


def is_tiff(data: bytes) -> bool:
    """Return whether the file starts as a TIFF or BigTIFF does."""
    return data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def read_header(data: bytes) -> TiffHeader:
    """Read the directories of a TIFF file. Raises ValueError where they are damaged."""
    try:
        return _read_header(data)
    except ValueError:
        raise
    except (
        Exception
    ) as error:  # Pillow raises SyntaxError, struct.error, TypeError and KeyError for damaged tags
        raise ValueError(str(error) or type(error).__name__) from error


def _read_header(data: bytes) -> TiffHeader:
    directories = _directories(data)
    first = next(directories, None)
    if first is None or WIDTH not in first or HEIGHT not in first:
        raise ValueError("the TIFF has no image")
    pages = (
        int(first.get(NEW_SUBFILE_TYPE, 0)),
        *(int(page.get(NEW_SUBFILE_TYPE, 0)) for page in directories),
    )
    bands = int(first.get(SAMPLES, 1))
    bits, formats = _numbers(first.get(BITS, 1)), set(_numbers(first.get(SAMPLE_FORMAT, 1)))
    kind = KINDS.get(formats.pop(), "complex") if len(formats) == 1 else "complex"
    extra = _numbers(first.get(EXTRA_SAMPLES, ()))
    return TiffHeader(
        int(first[WIDTH]),
        int(first[HEIGHT]),
        bands,
        max(bits),
        kind,
        int(first.get(PHOTOMETRIC, MIN_IS_BLACK)),
        bool(extra) and extra[0] in ALPHA and bands - len(extra) in (1, 3),
        int(first.get(ORIENTATION, 1)),
        _nodata(first.get(GDAL_NODATA)),
        pages,
    )


def _directories(data: bytes) -> Iterator[Any]:
    """Yield the directory of each page."""
    stream = io.BytesIO(data)
    # The first offset is in the header: 8 bytes, or 16 in a BigTIFF.
    directory = ImageFileDirectory_v2(data[: 16 if b"+" in data[2:4] else 8])
    seen: set[int] = set()
    while directory.next and directory.next not in seen and len(seen) < MOST_PAGES:
        seen.add(directory.next)
        stream.seek(directory.next)
        directory.load(stream)
        yield directory


def _numbers(value: Any) -> tuple[int, ...]:
    return tuple(int(number) for number in value) if isinstance(value, tuple) else (int(value),)


def _nodata(value: Any) -> float | None:
    try:
        return None if value is None else float(str(value).strip("\0 "))
    except ValueError:
        return None  # GDAL ignores such a text too


def check_readable(header: TiffHeader, name: str) -> None:
    """Raise ImageError for a layout that has no meaning as a color or gray image."""
    colors = (MIN_IS_WHITE, MIN_IS_BLACK, RGB, YCBCR)
    if header.kind == "complex" or header.photometric not in colors:
        raise ImageError(
            f"{name} has {header.mode} values with the TIFF photometric interpretation {header.photometric}.",
            why="Supported are gray and RGB bands of integers or floats.",
            todo=f"Export it as 8-bit RGB, for example: gdal_translate -ot Byte -scale {bands_option(header)}IN OUT",
        )


def bands_option(header: TiffHeader) -> str:
    """Return the options of gdal_translate that select the bands."""
    return "-b 1 -b 2 -b 3 " if header.color_bands == 3 else "-b 1 "


@contextmanager
def opened(data: bytes) -> Iterator[DatasetReader]:
    """Open a TIFF with rasterio, without any other file or driver. Raises what rasterio raises."""
    import rasterio  # noqa: PLC0415 - GDAL takes a third of a second to import, and few images need it
    from rasterio.errors import NotGeoreferencedWarning  # noqa: PLC0415
    from rasterio.session import DummySession  # noqa: PLC0415

    warnings.filterwarnings("ignore", category=NotGeoreferencedWarning)
    with (
        # Without a session of its own, rasterio looks for AWS credentials in the environment.
        rasterio.Env(
            session=DummySession(), GDAL_CACHEMAX=GDAL_CACHE, GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"
        ),
        rasterio.MemoryFile(data) as file,
        file.open(driver="GTiff", sharing=False) as dataset,
    ):
        yield dataset


def read_image(data: bytes, header: TiffHeader) -> tuple[Image.Image, tuple[str, ...]]:
    """Return the image as RGB or L of 8 bits, as stored, and notes on how the values were converted.

    Raises what rasterio raises.
    """
    bands = list(range(1, header.color_bands + 1))
    transparent = False
    with opened(data) as dataset:
        scale = _scale(dataset, header, bands)
        image = Image.new("RGB" if len(bands) == 3 else "L", header.size)
        for rows in row_blocks(header.height, header.width):
            block = np.stack([scale.apply(_band(dataset, band, rows)) for band in bands], axis=-1)
            if header.photometric == MIN_IS_WHITE:
                block = np.uint8(255) - block
            if header.alpha:
                alpha = scale.apply_alpha(_band(dataset, len(bands) + 1, rows))
                transparent = transparent or bool((alpha < 255).any())
                block = _on_white(block, alpha)
            image.paste(Image.fromarray(block if len(bands) == 3 else block[..., 0]), (0, rows.start))
    parts = [header.band_note, scale.note]
    text = ", ".join(part for part in parts if part)
    notes = [f"TIFF of {header.mode}: {text}."] if text else []
    if transparent:
        notes.append(TRANSPARENT)
    return image, tuple(notes)


def read_values(data: bytes) -> NDArray[Any]:
    """Return the values of a TIFF with one band, (H, W), in its own type. Raises what rasterio raises."""
    with opened(data) as dataset:
        values: NDArray[Any] = dataset.read(1)
        return values


def _band(dataset: DatasetReader, band: int, rows: slice) -> NDArray[Any]:
    values: NDArray[Any] = dataset.read(band, window=((rows.start, rows.stop), (0, dataset.width)))
    return values


def _on_white(block: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    share = alpha[..., None].astype(np.uint16)
    return ((block * share + 255 * (255 - share) + 127) // 255).astype(np.uint8)


@dataclass(frozen=True, slots=True)
class _Scale:
    """How values become 8 bits: low..high to 0..255. nodata: the value that becomes black; None: there is none."""

    low: float
    high: float
    nodata: float | None
    note: str
    alpha_high: float

    def apply(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        if values.dtype == np.uint8 and self.high == 255 and self.nodata is None:
            same: NDArray[np.uint8] = values
            return same
        scaled = values.astype(np.float64)
        missing = _missing(values, self.nodata)
        scaled[missing] = self.low
        scaled -= self.low
        scaled *= 255 / (self.high - self.low) if self.high > self.low else 0.0
        scaled += 0.5
        return scaled.clip(0, 255).astype(np.uint8)

    def apply_alpha(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        scaled = values.astype(np.float64) * (255 / self.alpha_high) + 0.5
        return np.nan_to_num(scaled).clip(0, 255).astype(np.uint8)


def _missing(values: NDArray[Any], nodata: float | None) -> NDArray[np.bool_]:
    """Return where a pixel has no data: not finite, or GDAL's nodata value."""
    missing: NDArray[np.bool_] = ~np.isfinite(values)
    if nodata is not None and np.isfinite(nodata):
        # A float32 has the nearest value to the one in the tag; an integer is compared as it is.
        missing |= values == (values.dtype.type(nodata) if values.dtype.kind == "f" else nodata)
    return missing


def _scale(dataset: DatasetReader, header: TiffHeader, bands: list[int]) -> _Scale:
    """Return the scale, the same for all color bands.

    Integers without negative values are stretched from 0 to the largest one: a camera's 12 bits and a satellite's
    reflectances use only a part of the 16 bits that hold them. Other values are stretched from the smallest to the
    largest; floats within 0..1 are kept.
    """
    alpha_high = 1.0 if header.kind == "float" else float((1 << (header.bits - (header.kind == "int"))) - 1)
    if header.kind == "uint" and header.bits == 8:
        return _Scale(0, 255, None, "", alpha_high)
    if header.kind == "uint" and header.bits not in (16, 32, 64):
        top = (1 << header.bits) - 1
        return _Scale(0, top, header.nodata, f"scaled from 0..{top}", alpha_high)
    low, high, any_missing = _range(dataset, header, bands)
    rule = "stretched"
    if header.kind != "float" and low >= 0:
        low, high = 0.0, max(high, 1.0)
        if len(bands) == 1 and high <= 65535:  # as `core.imaging.pixels` does for gray
            high, rule = float(next((1 << bits) - 1 for bits in SENSOR_BITS if high < 1 << bits)), "scaled"
    elif header.kind == "float" and low >= 0 and high <= 1:
        low, high, rule = 0.0, 1.0, "scaled"
    note = f"{rule} from {low:g}..{high:g}"
    if any_missing:
        value = "" if header.nodata is None else f" ({header.nodata:g})"
        note += f"; pixels without data{value} became black"
    return _Scale(low, high, header.nodata, note, alpha_high)


def _range(dataset: DatasetReader, header: TiffHeader, bands: list[int]) -> tuple[float, float, bool]:
    """Return the smallest and largest value of the bands, and whether pixels have no data."""
    low, high, any_missing = np.inf, -np.inf, False
    for rows in row_blocks(header.height, header.width):
        for band in bands:
            values = _band(dataset, band, rows)
            missing = _missing(values, header.nodata)
            any_missing = any_missing or bool(missing.any())
            present = values[~missing]
            if present.size:
                low, high = min(low, float(present.min())), max(high, float(present.max()))
    return (low, high, any_missing) if low <= high else (0.0, 1.0, any_missing)
