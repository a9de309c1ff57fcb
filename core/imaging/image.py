"""Decode images of any common format, rotate them upright, and encode the JPEG that is sent to an endpoint.

The user's files are only read. Everything that can be wrong with them raises an ImageError.
"""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from core.errors import ImageError
from core.imaging.pixel_budget import PIXELS, OnWait
from core.imaging.pixels import bytes_per_pixel, is_gray, to_8_bit
from core.imaging.tiff import TiffHeader, check_readable, is_tiff, read_header, read_image, read_values

# Pillow warns about unusual metadata that does not matter here; real problems raise errors. Set once at import,
# because `warnings.catch_warnings` is not thread-safe.
warnings.filterwarnings("ignore", module=r"PIL\.")

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "JPEG2000", "PPM", "QOI", "SGI", "PCX")
"""Pillow's formats that are tried, in this order. Not included: formats that run other programs (EPS), that have no
signature (TGA), or that do not hold photographic images."""

READS_BANDS = (0, 1, 2)
"""Photometric interpretations of a TIFF in which each band is a color or gray value (TIFF 6.0)."""

MAX_PIXELS = 100_000_000
MAX_BYTES = 6_291_456
"""The limit for the body of InvokeEndpoint: 6 MiB (`BodyBlob` in the botocore service model)."""

FIT = (800, 600)
"""Width and height of the box that images are fitted into: the size that AWS's example notebook sends."""

JPEG_MAX_SIDE = 65_500
"""libjpeg's `JPEG_MAX_DIMENSION`."""

QUALITY = 92
LOWER_QUALITIES = (85, 75, 60)
UPRIGHT = 1
TRANSPOSES = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF `Orientation` (Exif 2.3, tag 274) -> the transposition that makes the image upright."""

HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"mif1", b"hevc", b"msf1")
"""Brands of HEIC files (ISO/IEC 23008-12, annex B)."""

SWAPS_SIDES = (5, 6, 7, 8)
"""Orientations that swap width and height."""

SIGNATURES = {
    b"%PDF": "a PDF",
    b"PK\x03\x04": "a ZIP file",
    b"<svg": "an SVG file",
    b"<?xml": "an XML file",
    b"<!DOC": "a web page",
    b"\x0a\x23\xd7\xce": "an endpoint's RecordIO response",
}
"""First bytes -> file types that are often chosen by mistake."""

Number = TypeVar("Number", bound=np.generic)


@dataclass(frozen=True, slots=True, eq=False)
class DecodedImage:
    """A decoded image.

    name:   the file name, for messages.
    pixels: 8 bit, upright, without metadata: RGB, or L where the file is gray, which takes a quarter of the memory.
    format: the file's format as Pillow names it, such as `JPEG`.
    mode:   the file's pixel type as Pillow names it, such as `CMYK`; of a TIFF that rasterio reads, `4 x uint16`.
    jpeg:   the file's own bytes where it is an upright RGB JPEG, which can be sent unchanged; else None.
    orientation: EXIF orientation of the file, 1 to 8; 1 is upright.
    notes:  sentences on what was changed or left out to get 8-bit colors, such as bands, range and transparency.
    """

    name: str
    pixels: Image.Image
    format: str
    mode: str
    jpeg: bytes | None
    orientation: int = UPRIGHT
    notes: tuple[str, ...] = ()

    @property
    def image(self) -> Image.Image:
        """Return the pixels as RGB: `pixels` itself, or a new image at each call if it is gray."""
        return _rgb(self.pixels)

    @property
    def height(self) -> int:
        """Return the height of the upright image, in pixels."""
        return self.pixels.height

    @property
    def width(self) -> int:
        """Return the width of the upright image, in pixels."""
        return self.pixels.width

    def array(self) -> NDArray[np.uint8]:
        """Return the pixels, (H, W, 3) uint8, a new read-only array at each call."""
        return np.asarray(self.image)


@dataclass(frozen=True, slots=True, eq=False)
class EncodedImage:
    """An image encoded as JPEG, for an endpoint or a browser.

    body:          the JPEG.
    content_type:  `image/jpeg`.
    height, width: the size of the JPEG, in pixels.
    original_height, original_width: the size of the image, in pixels.
    quality:       JPEG quality, 1 to 95; None where the body is the user's file, unchanged.
    """

    body: bytes
    content_type: str
    height: int
    width: int
    original_height: int
    original_width: int
    quality: int | None

    @property
    def reduced(self) -> bool:
        """Return whether the JPEG is smaller than the image."""
        return (self.height, self.width) != (self.original_height, self.original_width)


def open_image(data: bytes, name: str, *, max_pixels: int = MAX_PIXELS) -> DecodedImage:
    """Decode an image and rotate it upright by its EXIF orientation.

    Reads every format in FORMATS and every pixel type (see `core.imaging.pixels`). Size and frames are checked in the
    header, before any pixel is decoded. Raises ImageError where the file is empty, not an image, truncated, animated,
    has several pages, or has more than `max_pixels` pixels.
    """
    file = _open(data, name)
    _check_size(file, name, max_pixels)
    _check_single(file, name)
    form, mode = file.format, file.mode
    with PIXELS.share(file.decode_bytes, name):
        image, orientation, notes = _decode(file)
        del file  # free the memory of the file's pixels before the upright copy is made
        transpose = TRANSPOSES.get(orientation)
        own_bytes = data if (form, mode, transpose) == ("JPEG", "RGB", None) else None
        try:
            pixels = image if transpose is None else image.transpose(transpose)
        except Exception as error:
            raise _damaged(name, error) from error
        pixels.info = {}  # files made from the image must not contain its location and time
        return DecodedImage(name, pixels, form, mode, own_bytes, orientation, notes)


def image_size(data: bytes, name: str, *, max_pixels: int = MAX_PIXELS) -> tuple[tuple[int, int], int]:
    """Return the size of the upright image, (width, height) in pixels, and its EXIF orientation, by the header.

    Call it within `image_share`. Raises ImageError where the header cannot be read.
    """
    file = _open(data, name)
    _check_size(file, name, max_pixels)
    if file.image is None:
        orientation = UPRIGHT if file.tiff is None else file.tiff.orientation
    else:
        orientation = _orientation(file.image)
    size = file.width, file.height
    return (size[::-1] if orientation in SWAPS_SIDES else size), orientation


@contextmanager
def image_share(
    data: bytes, name: str, *, extra: int, on_wait: OnWait | None = None, max_pixels: int = MAX_PIXELS
) -> Iterator[None]:
    """Hold the memory to decode an image and then keep `extra` bytes per pixel in addition to it.

    Keep no reference to the image, or to arrays of its size, after the block.

    on_wait: see `core.imaging.pixel_budget`; only the header has been read at that time.

    Raises ImageError like `open_image` for the header, and where the image needs more than the whole budget.
    """
    file = _open(data, name)
    _check_size(file, name, max_pixels)
    size = max(file.decode_bytes, (file.kept_bytes + extra) * file.width * file.height)
    del file
    with PIXELS.share(size, name, on_wait=on_wait):
        yield


@contextmanager
def mask_share(data: bytes, name: str, *, max_pixels: int = MAX_PIXELS) -> Iterator[None]:
    """Hold the memory to decode a mask and convert and count its class ids. Raises ImageError like `image_share`."""
    file = _open(data, name)
    _check_size(file, name, max_pixels)
    # The decoded mask, its array, the ids, and the renumbered ids; a color mask is converted to RGB in between.
    per_pixel = 2 * file.native_bytes + (2 if file.gray or file.mode == "P" else 6)
    size = per_pixel * file.width * file.height
    del file
    with PIXELS.share(size, name):
        yield


def encode(
    image: DecodedImage,
    *,
    fit: tuple[int, int] | None = FIT,
    max_bytes: int = MAX_BYTES,
    quality: int = QUALITY,
) -> EncodedImage:
    """Return the image as a JPEG of at most `max_bytes`, within `fit` (width, height); fit=None keeps its size.

    The aspect ratio is kept and nothing is enlarged; a portrait image is as high as the box. An upright RGB JPEG that
    already fits is returned byte for byte. Where the JPEG is too large, the quality is reduced first, then the size.
    Raises ImageError where even a single pixel takes more than `max_bytes`.
    """
    width, height = fitted_size(image.width, image.height, fit)
    if image.jpeg is not None and (width, height) == image.pixels.size and len(image.jpeg) <= max_bytes:
        return _encoded(image, image.jpeg, width, height, None)
    while True:
        resized = _rgb(_resized(image.pixels, width, height))
        for level in (quality, *(lower for lower in LOWER_QUALITIES if lower < quality)):
            body = _jpeg(resized, level)
            if len(body) <= max_bytes:
                return _encoded(image, body, width, height, level)
        if width == height == 1:
            raise ImageError(
                f"{image.name} cannot be compressed below {len(body):,} bytes.",
                why=f"The limit is {max_bytes:,} bytes.",
                todo="Raise the limit.",
            )
        shrink = min(0.9, 0.95 * (max_bytes / len(body)) ** 0.5)
        width, height = max(1, int(width * shrink)), max(1, int(height * shrink))


def preview(image: DecodedImage, longest: int = 1600) -> EncodedImage:
    """Return the image for the screen: a JPEG whose longest side is at most `longest` pixels."""
    return encode(image, fit=(longest, longest))


def shrunk(image: Image.Image, box: tuple[int, int]) -> Image.Image:
    """Return a new RGB image within the box (width, height), with its aspect ratio, never enlarged."""
    size = fitted_size(image.width, image.height, box)
    return image.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0).convert("RGB")


def fitted_size(width: int, height: int, fit: tuple[int, int] | None) -> tuple[int, int]:
    """Return the width and height that fit the box and the JPEG limit: same aspect ratio, at least 1, not larger."""
    box_width, box_height = fit or (JPEG_MAX_SIDE, JPEG_MAX_SIDE)
    if box_width < 1 or box_height < 1:
        raise ImageError(
            f"An image cannot be resized to fit {box_width} x {box_height} pixels.",
            todo="Give a width and a height of at least 1.",
        )
    box_width, box_height = min(box_width, JPEG_MAX_SIDE), min(box_height, JPEG_MAX_SIDE)
    scale = min(1.0, box_width / width, box_height / height)
    return (
        min(box_width, max(1, round(width * scale))),
        min(box_height, max(1, round(height * scale))),
    )


def resize_labels(labels: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Return class ids at another size, (height, width) uint8, by nearest neighbor; ids are never mixed.

    Samples at pixel centers, in integer arithmetic: row i is row floor((2i + 1) * H / (2 * height)). Returns `labels`
    itself where the size is the same.
    """
    return resize_nearest(labels, height, width)


def resize_nearest(planes: NDArray[Number], height: int, width: int) -> NDArray[Number]:
    """Resize the last two axes, (..., H, W) -> (..., height, width), by nearest neighbor like `resize_labels`."""
    if planes.shape[-2:] == (height, width):
        return planes
    rows, columns = nearest(planes.shape[-2], height), nearest(planes.shape[-1], width)
    return planes.take(columns, axis=-1).take(rows, axis=-2)


def nearest(old: int, new: int) -> NDArray[np.intp]:
    """Return the source index, 0 to old - 1, of each of `new` pixels in a line, at its center; (new,) intp."""
    return (2 * np.arange(new, dtype=np.intp) + 1) * old // (2 * new)


def open_mask(data: bytes, name: str, *, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Return the class ids of a mask file, (H, W) uint8: its palette indices or gray values, unchanged.

    Raises ImageError like `open_image`, and for files that cannot hold class ids: color images, JPEG and WebP.
    """
    file = _open(data, name)
    _check_size(file, name, max_pixels)
    _check_single(file, name)
    image = file.image
    if image is None or image.mode not in ("1", "L", "P") or image.format in ("JPEG", "WEBP"):
        raise ImageError(
            f"{name} is not a mask: it is {file.format} with {file.mode} pixels.",
            why="A mask holds one class id per pixel, as a palette index or gray value, in a lossless format.",
            todo="Save it as an 8-bit indexed or grayscale PNG.",
        )
    depth = data[24] if image.format == "PNG" and image.mode == "L" else 8
    with PIXELS.share(3 * image.width * image.height, name):
        if file.tiff is not None and file.tiff.pillow_changes_gray:
            values = _stored_values(data, name, file.tiff)
        else:
            _load(image, name)
            values = np.array(image, np.uint8)
        # Pillow scales gray values of 2 and 4 bits to 0..255; the ids are the values before that.
        if depth < 8:
            values //= np.uint8(255 // ((1 << depth) - 1))
        values.flags.writeable = False
        return values


def _stored_values(data: bytes, name: str, tiff: TiffHeader) -> NDArray[np.uint8]:
    """Return the values of a TIFF mask of at most 8 bits as they are stored, upright."""
    try:
        values = read_values(data).astype(np.uint8, copy=False)
    except Exception as error:
        raise _damaged(name, error) from error
    return rotate_upright(values, tiff.orientation)


def has_stored_size(mask: tuple[int, int], image: tuple[int, int], orientation: int) -> bool:
    """Return whether a mask has the size of its image as stored, and not that of the upright image.

    Annotation programs that ignore the EXIF orientation produce such masks. mask, image: (width, height) in pixels;
    `image` is the upright size.
    """
    return orientation in SWAPS_SIDES and mask == image[::-1] != image


def rotate_upright(labels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Rotate a mask that was drawn on the image as stored, (H, W) uint8, by the image's EXIF orientation."""
    transpose = TRANSPOSES.get(orientation)
    return labels if transpose is None else np.asarray(Image.fromarray(labels).transpose(transpose))


def match_orientation(labels: NDArray[np.uint8], image: DecodedImage) -> NDArray[np.uint8]:
    """Return a mask of this image upright, rotating it if its size shows that it was drawn on the image as stored."""
    return mask_upright(labels, image.pixels.size, image.orientation)


def mask_upright(labels: NDArray[np.uint8], size: tuple[int, int], orientation: int) -> NDArray[np.uint8]:
    """Do the same for an image of this upright size, (width, height), and EXIF orientation."""
    as_stored = has_stored_size((labels.shape[1], labels.shape[0]), size, orientation)
    return rotate_upright(labels, orientation) if as_stored else labels


@dataclass(frozen=True, slots=True, eq=False)
class _File:
    """A file whose header has been read.

    image: opened by Pillow, not decoded; None for a TIFF that rasterio reads.
    tiff:  the header of a TIFF; None for other formats.
    """

    data: bytes
    name: str
    image: Image.Image | None
    tiff: TiffHeader | None = None

    @property
    def width(self) -> int:
        """Return the width as stored, in pixels."""
        return self._header.size[0]

    @property
    def height(self) -> int:
        """Return the height as stored, in pixels."""
        return self._header.size[1]

    @property
    def mode(self) -> str:
        """Return the pixel type as Pillow names it, or bands and number type, such as `4 x uint16`."""
        return self._header.mode

    @property
    def format(self) -> str:
        """Return the format as Pillow names it."""
        return "TIFF" if self.image is None else self.image.format or ""

    @property
    def gray(self) -> bool:
        """Return whether opaque pixels become gray."""
        if self.image is None:
            return self.tiff is not None and self.tiff.color_bands == 1
        return is_gray(self.image.mode)

    @property
    def transparent(self) -> bool:
        """Return whether the file may have transparent pixels; those of a TIFF by rasterio stay gray or RGB."""
        return self.image is not None and self.image.has_transparency_data

    @property
    def native_bytes(self) -> int:
        """Return the bytes of a pixel as the decoder returns it."""
        if self.image is None and self.tiff is not None:
            return self.tiff.bytes_per_pixel
        # libheif's own copy of the pixels is there at the same time as Pillow's.
        return bytes_per_pixel(self.mode) + (4 if self.format == "HEIF" else 0)

    @property
    def kept_bytes(self) -> int:
        """Return the bytes that a pixel takes in a DecodedImage."""
        return 1 if self.gray and not self.transparent else 4

    @property
    def decode_bytes(self) -> int:
        """Return the most memory that `open_image` takes.

        That is the file's pixels and the converted ones, or these and their upright copy.
        """
        kept = self.kept_bytes
        converted = 0 if self.mode in ("L", "RGB") and not self.transparent else kept
        return max(self.native_bytes + converted, 2 * kept) * self.width * self.height

    @property
    def _header(self) -> Image.Image | TiffHeader:
        header = self.image or self.tiff
        assert header is not None  # noqa: S101  # for the type checker: one of them is given
        return header


def _open(data: bytes, name: str) -> _File:
    """Read the header with the first format that accepts it.

    `Image.open` is not used: its pixel limit is global to the process, and warns before it refuses.
    """
    if not data:
        raise ImageError(f"{name} is empty.", why="The file has 0 bytes.", todo="Choose the file again.")
    if is_tiff(data):
        return _open_tiff(data, name)
    Image.preinit()  # the most common formats
    start = data[:16].ljust(16, b"\0")  # some signature checks do not check the length
    for form in FORMATS:
        if form not in Image.OPEN:
            Image.init()  # all formats, which takes a tenth of a second
        factory, accept = Image.OPEN[form]
        if accept is not None and accept(start) is not True:
            continue
        try:
            return _File(data, name, factory(io.BytesIO(data), name))
        except Image.DecompressionBombError as error:
            raise _too_large(name, str(error)) from error
        except Exception as error:
            if form == "AVIF" and is_heif(data):
                break  # Pillow accepts the brands that both formats share, before it knows which one it is
            raise _damaged(name, error) from error
    if is_heif(data):
        return _open_heif(data, name)
    raise _unknown(data, name)


def is_heif(data: bytes) -> bool:
    """Return whether the file starts as an HEIC image does; AVIF has the same container, and Pillow reads it."""
    return data[4:8] == b"ftyp" and data[8:12] in HEIF_BRANDS


def _open_heif(data: bytes, name: str) -> _File:
    try:
        from pillow_heif import HeifImageFile  # noqa: PLC0415 - the decoder is large, and few images need it
    except ImportError as error:
        raise ImageError(
            f"{name} is an iPhone image (HEIC), which cannot be read here.",
            why=f"The package pillow-heif is missing: {error}.",
            todo="Install it with: pip install pillow-heif. Or save the image as JPEG.",
        ) from error
    try:
        image: Image.Image = HeifImageFile(io.BytesIO(data), name)  # type: ignore[no-untyped-call]
    except Exception as error:
        raise _damaged(name, ValueError(f"It is an iPhone image (HEIC). {error}")) from error
    return _File(data, name, image)


def _open_tiff(data: bytes, name: str) -> _File:
    """Read the header of a TIFF, with Pillow where it keeps all values."""
    try:
        header = read_header(data)
    except ValueError as error:
        raise _damaged(name, error) from error
    if header.pillow_is_exact:
        if "TIFF" not in Image.OPEN:
            Image.init()
        try:
            return _File(data, name, Image.OPEN["TIFF"][0](io.BytesIO(data), name), header)
        except Image.DecompressionBombError as error:
            raise _too_large(name, str(error)) from error
        except Exception:  # noqa: BLE001,S110  # Pillow raises any exception; rasterio reads more layouts
            pass
    check_readable(header, name)
    return _File(data, name, None, header)


def _decode(file: _File) -> tuple[Image.Image, int, tuple[str, ...]]:
    """Return the image in 8 bits as stored, its EXIF orientation, and notes. Raises ImageError."""
    image, tiff = file.image, file.tiff
    if image is not None:
        try:
            image.load()
        except Image.DecompressionBombError as error:
            raise _too_large(file.name, str(error)) from error
        except Exception as error:
            if tiff is None:
                raise _damaged(file.name, error) from error
            return _decode_tiff(file, tiff, error)
        orientation = _orientation(image)
        try:
            pixels, notes = to_8_bit(image, full_range=file.format == "PNG")
        except Exception as error:
            raise _damaged(file.name, error) from error
        return pixels, orientation, (*_page_notes(tiff), *notes)
    assert tiff is not None  # noqa: S101  # for the type checker
    return _decode_tiff(file, tiff, None)


def _decode_tiff(
    file: _File, tiff: TiffHeader, first: Exception | None
) -> tuple[Image.Image, int, tuple[str, ...]]:
    """Decode a TIFF with rasterio. first: why Pillow could not decode it, which is reported if neither can."""
    check_readable(tiff, file.name)
    # Pillow may still hold the memory of the pixels that it could not decode.
    held = 0 if first is None else file.native_bytes * file.width * file.height
    try:
        with PIXELS.share(file.decode_bytes + held, file.name):
            image, notes = read_image(file.data, tiff)
    except ImageError:
        raise
    except Exception as error:
        raise _damaged(file.name, first or error) from error
    return image, tiff.orientation, (*_mask_page_notes(tiff), *notes)


def _page_notes(tiff: TiffHeader | None) -> tuple[str, ...]:
    if tiff is None:
        return ()
    bands = tiff.band_note if tiff.photometric in READS_BANDS else ""
    notes = (f"TIFF of {tiff.mode}: {bands}.",) if bands else ()
    return (*notes, *_mask_page_notes(tiff))


def _mask_page_notes(tiff: TiffHeader) -> tuple[str, ...]:
    return ("The TIFF's internal mask was not applied.",) if tiff.has_mask_page else ()


def _unknown(data: bytes, name: str) -> ImageError:
    starts = data[:16], data[:64].lstrip()
    kind = next((text for magic, text in SIGNATURES.items() if any(s.startswith(magic) for s in starts)), "")
    if data[4:8] == b"ftyp":
        kind = "a video"
    return ImageError(
        f"{name} is not an image in a supported format.",
        why=f"It is {kind}." if kind else f"It starts with the bytes {data[:8].hex(' ')}.",
        todo="Save it as JPEG, PNG, WebP or TIFF.",
    )


def _damaged(name: str, error: Exception) -> ImageError:
    return ImageError(
        f"{name} is damaged or truncated.",
        why=f"{str(error).rstrip('. ') or type(error).__name__}.",
        todo="Copy the file again from its source, or save it again.",
    )


def _too_large(name: str, why: str) -> ImageError:
    return ImageError(
        f"{name} is too large.", why=why, todo="Reduce its size, or crop it to the part you need."
    )


def _check_size(file: _File, name: str, max_pixels: int) -> None:
    width, height = file.width, file.height
    if width < 1 or height < 1:
        raise ImageError(
            f"{name} is {width} x {height} pixels.", todo="Choose an image with at least one pixel."
        )
    if width * height > max_pixels:
        raise _too_large(name, f"It is {width:,} x {height:,} pixels; the limit is {max_pixels:,} in total.")


def _check_single(file: _File, name: str) -> None:
    try:
        several = _several(file)
    except Exception as error:
        raise _damaged(name, error) from error
    if several:
        kind = "has several pages" if file.format == "TIFF" else "is animated"
        raise ImageError(
            f"{name} {kind}.",
            why="A model segments one image at a time.",
            todo="Save the one you need as a file.",
        )


def _several(file: _File) -> bool:
    """Return whether the file holds more than one image.

    A phone's image with further views (`MPO`, HEIF) counts as one image, as do a TIFF's smaller copies of the
    same image, and the mask of its pixels without data.
    """
    if file.tiff is not None:
        return file.tiff.several_images
    return bool(getattr(file.image, "is_animated", False)) and file.format not in ("MPO", "HEIF")


def _load(image: Image.Image, name: str) -> None:
    try:
        image.load()
    except Image.DecompressionBombError as error:
        raise _too_large(name, str(error)) from error
    except Exception as error:
        raise _damaged(name, error) from error


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; upright where there is none, or where the EXIF data cannot be read."""
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, UPRIGHT)
    except (SyntaxError, ValueError, TypeError, KeyError, OSError, struct.error):
        return UPRIGHT  # the pixels are intact, so damaged metadata is not a reason to refuse the image
    return value if value in TRANSPOSES else UPRIGHT


def _resized(image: Image.Image, width: int, height: int) -> Image.Image:
    if image.size == (width, height):
        return image
    return image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=2.0)


def _rgb(image: Image.Image) -> Image.Image:
    return image if image.mode == "RGB" else image.convert("RGB")


def _jpeg(image: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _encoded(image: DecodedImage, body: bytes, width: int, height: int, quality: int | None) -> EncodedImage:
    return EncodedImage(body, "image/jpeg", height, width, image.height, image.width, quality)
