"""Photographs in: bytes of any common format -> an upright RGB picture -> the JPEG that an endpoint is sent.

The person's bytes are read and never written to. Everything that can be wrong with them ends in an ImageError.
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
from PIL.TiffImagePlugin import TiffImageFile

from core.errors import ImageError
from core.imaging.pixel_budget import PIXELS, OnWait
from core.imaging.pixels import bytes_per_pixel, is_gray, to_8_bit

# Pillow warns about odd metadata, to whom nobody listens here; what matters ends in an error. Set once at import,
# because `warnings.catch_warnings` is not safe with threads.
warnings.filterwarnings("ignore", module=r"PIL\.")

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "JPEG2000", "PPM", "QOI", "SGI", "PCX")
"""What is tried, in this order. Left out are formats that run other programs (EPS), that have no signature (TGA) or
that hold no photographs."""

MAX_PIXELS = 100_000_000
MAX_BYTES = 6_291_456
"""The limit of an InvokeEndpoint body: 6 MiB (the service model's `BodyBlob`)."""

FIT = (800, 600)
"""Width and height of the box that a photograph is fitted into: the size AWS's own notebook sends."""

JPEG_MAX_SIDE = 65_500
"""libjpeg's `JPEG_MAX_DIMENSION`."""

QUALITY = 92
LOWER_QUALITIES = (85, 75, 60)
NEW_SUBFILE_TYPE = 254
"""TIFF 6.0's tag whose bit 0 says: this page is a smaller copy of another."""

UPRIGHT = 1
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF's `Orientation` -> what makes the picture upright (Exif 2.3, tag 274)."""

LYING = (5, 6, 7, 8)
"""Those that swap width and height."""

SIGNATURES = {
    b"%PDF": "a PDF",
    b"PK\x03\x04": "a zip archive",
    b"<svg": "an SVG drawing",
    b"<?xml": "an XML text",
    b"<!DOC": "a web page",
    b"\x0a\x23\xd7\xce": "an endpoint's RecordIO answer",
}
"""What people drop by mistake, by its first bytes."""

Number = TypeVar("Number", bound=np.generic)


@dataclass(frozen=True, slots=True, eq=False)
class Photo:
    """A photograph, decoded.

    name:   what the person calls it.
    pixels: 8 bit, upright, without metadata: RGB, or L where the file is gray, which takes a quarter of the memory.
    format: the file's format in Pillow's words, such as `JPEG`.
    mode:   the file's kind of pixel in Pillow's words, such as `CMYK`.
    jpeg:   the file's own bytes where they are an upright RGB JPEG, which an endpoint takes as it is; else None.
    orientation: EXIF's, 1 to 8: how the file holds it; 1 is upright.
    """

    name: str
    pixels: Image.Image
    format: str
    mode: str
    jpeg: bytes | None
    orientation: int = UPRIGHT

    @property
    def turned(self) -> bool:
        """Whether the file holds it otherwise than upright."""
        return self.orientation != UPRIGHT

    @property
    def image(self) -> Image.Image:
        """The pixels as RGB: `pixels` itself, or of a gray photo a new image at each call."""
        return _rgb(self.pixels)

    @property
    def height(self) -> int:
        """Rows, in pixels, upright."""
        return self.pixels.height

    @property
    def width(self) -> int:
        """Columns, in pixels, upright."""
        return self.pixels.width

    def array(self) -> NDArray[np.uint8]:
        """The pixels, (H, W, 3) uint8; a new read-only array at each call."""
        return np.asarray(self.image)


@dataclass(frozen=True, slots=True, eq=False)
class EncodedImage:
    """A JPEG made of a photograph: what the model sees, or what a browser shows.

    body:          the JPEG.
    content_type:  `image/jpeg`.
    height, width: its size, in pixels.
    photo_height, photo_width: the photograph's own size, in pixels.
    quality:       JPEG quality, 1 to 95; None where the body is the person's own file.
    """

    body: bytes
    content_type: str
    height: int
    width: int
    photo_height: int
    photo_width: int
    quality: int | None

    @property
    def reduced(self) -> bool:
        """Whether this shows the photograph smaller than it is."""
        return (self.height, self.width) != (self.photo_height, self.photo_width)


def open_photo(data: bytes, name: str, *, max_pixels: int = MAX_PIXELS) -> Photo:
    """Decode a photograph.

    Takes every format of FORMATS and every kind of pixel (see `core.imaging.pixels`); turns it upright by its EXIF
    orientation. Size and frames are read from the header, before any pixel is decoded. Raises ImageError when the
    file is empty, no picture, cut off, animated or has several pages, or has more than `max_pixels`.
    """
    image = _open(data, name)
    _check_size(image, name, max_pixels)
    _check_single(image, name)
    form, mode = image.format or "", image.mode
    with PIXELS.share(_decode_bytes(image), name):
        _load(image, name)
        orientation = _orientation(image)
        turn = TURNS.get(orientation)
        own_bytes = data if (form, mode, turn) == ("JPEG", "RGB", None) else None
        try:
            pixels = to_8_bit(image, full_range=form == "PNG")
            del image  # its memory, before the upright copy takes more
            if turn is not None:
                pixels = pixels.transpose(turn)
        except Exception as error:
            raise _damaged(name, error) from error
        pixels.info = {}  # what is made of the photograph must not carry its place and time
        return Photo(name, pixels, form, mode, own_bytes, orientation)


@contextmanager
def photo_share(
    data: bytes, name: str, *, extra: int, on_wait: OnWait | None = None, max_pixels: int = MAX_PIXELS
) -> Iterator[None]:
    """Hold the memory for work on a photo: to decode it, then to have `extra` bytes a pixel next to it.

    Keep no reference to the photo, or to arrays of its size, behind this.

    on_wait: see `core.imaging.pixel_budget`; the header alone has been read then.

    Raises ImageError as `open_photo` does of the header, and where the budget is smaller than this photo needs.
    """
    image = _open(data, name)
    _check_size(image, name, max_pixels)
    size = max(_decode_bytes(image), (_kept_bytes(image) + extra) * image.width * image.height)
    del image
    with PIXELS.share(size, name, on_wait=on_wait):
        yield


@contextmanager
def mask_share(data: bytes, name: str, *, max_pixels: int = MAX_PIXELS) -> Iterator[None]:
    """Hold the memory for a mask alone: decoded, converted to class ids and counted. Raises ImageError likewise."""
    image = _open(data, name)
    _check_size(image, name, max_pixels)
    # Decoded, as an array, its ids, and those renumbered; a mask in color is converted to RGB in between.
    per_pixel = 2 * bytes_per_pixel(image.mode) + (2 if is_gray(image.mode) or image.mode == "P" else 6)
    size = per_pixel * image.width * image.height
    del image
    with PIXELS.share(size, name):
        yield


def encode(
    photo: Photo,
    *,
    fit: tuple[int, int] | None = FIT,
    max_bytes: int = MAX_BYTES,
    quality: int = QUALITY,
) -> EncodedImage:
    """The photograph as a JPEG of at most `max_bytes`, within `fit` (width, height); fit=None is its own size.

    The aspect is kept and nothing is enlarged; a portrait photograph is as high as the box. An upright RGB JPEG that
    fits already is passed on byte for byte. Where the JPEG is too large, quality goes down first, then the size.
    Raises ImageError where even a single pixel takes more than `max_bytes`.
    """
    width, height = fitted_size(photo.width, photo.height, fit)
    if photo.jpeg is not None and (width, height) == photo.pixels.size and len(photo.jpeg) <= max_bytes:
        return _encoded(photo, photo.jpeg, width, height, None)
    while True:
        image = _rgb(_resized(photo.pixels, width, height))
        for level in (quality, *(lower for lower in LOWER_QUALITIES if lower < quality)):
            body = _jpeg(image, level)
            if len(body) <= max_bytes:
                return _encoded(photo, body, width, height, level)
        if width == height == 1:
            raise ImageError(
                f"{photo.name} cannot be made smaller than {len(body):,} bytes.",
                why=f"The limit is {max_bytes:,} bytes.",
                todo="Raise the limit.",
            )
        shrink = min(0.9, 0.95 * (max_bytes / len(body)) ** 0.5)
        width, height = max(1, int(width * shrink)), max(1, int(height * shrink))


def preview(photo: Photo, longest: int = 1600) -> EncodedImage:
    """The photograph for the screen: a JPEG whose longest side is at most `longest` pixels."""
    return encode(photo, fit=(longest, longest))


def shrunk(image: Image.Image, box: tuple[int, int]) -> Image.Image:
    """Return a new RGB image within the box (width, height), aspect kept, never enlarged; no copy of all pixels."""
    size = fitted_size(image.width, image.height, box)
    return image.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0).convert("RGB")


def fitted_size(width: int, height: int, fit: tuple[int, int] | None) -> tuple[int, int]:
    """Width and height within the box (and within JPEG's own bound), aspect kept, at least 1, never enlarged."""
    box_width, box_height = fit or (JPEG_MAX_SIDE, JPEG_MAX_SIDE)
    if box_width < 1 or box_height < 1:
        raise ImageError(
            f"A picture cannot be fitted into {box_width} x {box_height} pixels.",
            todo="Give a width and a height of at least 1.",
        )
    box_width, box_height = min(box_width, JPEG_MAX_SIDE), min(box_height, JPEG_MAX_SIDE)
    scale = min(1.0, box_width / width, box_height / height)
    return (
        min(box_width, max(1, round(width * scale))),
        min(box_height, max(1, round(height * scale))),
    )


def resize_labels(labels: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Class ids at another size, (height, width) uint8, by nearest neighbour; ids are never mixed.

    The rule is that of pixel centres, in whole numbers: row i takes row floor((2i + 1) * H / (2 * height)).
    Gives `labels` itself where the size is the same.
    """
    return resize_nearest(labels, height, width)


def resize_nearest(planes: NDArray[Number], height: int, width: int) -> NDArray[Number]:
    """The last two axes, (..., H, W) -> (..., height, width), by nearest neighbour as `resize_labels` has it."""
    if planes.shape[-2:] == (height, width):
        return planes
    rows, columns = nearest(planes.shape[-2], height), nearest(planes.shape[-1], width)
    return planes.take(columns, axis=-1).take(rows, axis=-2)


def nearest(old: int, new: int) -> NDArray[np.intp]:
    """For each of `new` pixels in a line, the one of `old` whose extent holds its centre; (new,)."""
    return (2 * np.arange(new, dtype=np.intp) + 1) * old // (2 * new)


def open_mask(data: bytes, name: str, *, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Class ids of a mask file, (H, W) uint8, as they stand: palette indices, or greys.

    Raises ImageError as `open_photo` does, and for masks that cannot hold ids: in colour, or JPEG.
    """
    image = _open(data, name)
    _check_size(image, name, max_pixels)
    _check_single(image, name)
    if image.mode not in ("1", "L", "P") or image.format in ("JPEG", "WEBP"):
        raise ImageError(
            f"{name} is no mask: it is {image.format} with {image.mode} pixels.",
            why="A mask holds one class id a pixel, in a palette or as a grey, and without loss.",
            todo="Save it as an 8-bit indexed or grey PNG.",
        )
    depth = data[24] if image.format == "PNG" and image.mode == "L" else 8
    with PIXELS.share(3 * image.width * image.height, name):
        _load(image, name)
        values = np.array(image, np.uint8)
        # Pillow spreads greys of 2 and 4 bits over 0 to 255; the ids are the numbers before that.
        if depth < 8:
            values //= np.uint8(255 // ((1 << depth) - 1))
        values.flags.writeable = False
        return values


def drawn_lying(mask: tuple[int, int], photo: tuple[int, int], orientation: int) -> bool:
    """Whether a mask fits its photograph as that is stored, and not upright.

    mask, photo: (width, height), that of the photo upright. Programs that do not know EXIF's orientation draw so.
    """
    return orientation in LYING and mask == photo[::-1] != photo


def turned_upright(labels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """A mask that was drawn on a photograph as it is stored, (H, W) uint8, turned as the photograph is."""
    turn = TURNS.get(orientation)
    return labels if turn is None else np.asarray(Image.fromarray(labels).transpose(turn))


def as_seen(labels: NDArray[np.uint8], photo: Photo) -> NDArray[np.uint8]:
    """A mask of this photograph, upright, wherever its sides tell that it was drawn on the one that is stored."""
    return upright_mask(labels, photo.pixels.size, photo.orientation)


def upright_mask(labels: NDArray[np.uint8], size: tuple[int, int], orientation: int) -> NDArray[np.uint8]:
    """Do the same for a photo of this upright size, (width, height), and EXIF orientation."""
    lying = drawn_lying((labels.shape[1], labels.shape[0]), size, orientation)
    return turned_upright(labels, orientation) if lying else labels


def _open(data: bytes, name: str) -> Image.Image:
    """The header, read by the first format that knows it. `Image.open` is not used: it has a pixel limit of its own
    for the whole process, which warns before it refuses."""
    if not data:
        raise ImageError(f"{name} is empty.", why="The file has 0 bytes.", todo="Choose the file again.")
    Image.preinit()  # the commonest formats
    start = data[:16].ljust(16, b"\0")  # some signatures are compared without a look at the length
    for form in FORMATS:
        if form not in Image.OPEN:
            Image.init()  # all of them, which takes a tenth of a second
        factory, accept = Image.OPEN[form]
        if accept is not None and accept(start) is not True:
            continue
        try:
            return factory(io.BytesIO(data), name)
        except Image.DecompressionBombError as error:
            raise _too_large(name, str(error)) from error
        except Exception as error:
            raise _damaged(name, error) from error
    raise _unknown(data, name)


def _unknown(data: bytes, name: str) -> ImageError:
    starts = data[:16], data[:64].lstrip()
    kind = next((words for sign, words in SIGNATURES.items() if any(s.startswith(sign) for s in starts)), "")
    if data[4:8] == b"ftyp":
        kind = "an iPhone photograph (HEIC)" if data[8:12] in (b"heic", b"heix", b"mif1") else "a video"
    return ImageError(
        f"{name} is not a picture that can be read.",
        why=f"It is {kind}." if kind else f"It starts with the bytes {data[:8].hex(' ')}.",
        todo="Save it as JPEG, PNG, WebP or TIFF.",
    )


def _damaged(name: str, error: Exception) -> ImageError:
    return ImageError(
        f"{name} is damaged or cut off.",
        why=f"{str(error).rstrip('. ') or type(error).__name__}.",
        todo="Copy the file again from where it came, or save it anew.",
    )


def _too_large(name: str, why: str) -> ImageError:
    return ImageError(
        f"{name} is too large.", why=why, todo="Make it smaller, or cut out the part that matters."
    )


def _check_size(image: Image.Image, name: str, max_pixels: int) -> None:
    width, height = image.size
    if width < 1 or height < 1:
        raise ImageError(
            f"{name} is {width} x {height} pixels.", todo="Choose a picture with at least one pixel."
        )
    if width * height > max_pixels:
        raise _too_large(name, f"It is {width:,} x {height:,} pixels; the limit is {max_pixels:,} in all.")


def _check_single(image: Image.Image, name: str) -> None:
    try:
        several = _several(image)
    except Exception as error:
        raise _damaged(name, error) from error
    if several:
        kind = "has several pages" if image.format == "TIFF" else "is animated"
        raise ImageError(
            f"{name} {kind}.", why="A model is shown one picture at a time.", todo="Save the one you mean."
        )


def _several(image: Image.Image) -> bool:
    """Whether the file holds more than one picture. A phone's JPEG with a second view (`MPO`) counts as one; so do
    a TIFF's smaller copies of the same picture."""
    if not getattr(image, "is_animated", False) or image.format == "MPO":
        return False
    if not isinstance(image, TiffImageFile):
        return True
    several = any(not _is_smaller_copy(image, page) for page in range(1, image.n_frames))
    image.seek(0)
    return several


def _is_smaller_copy(image: TiffImageFile, page: int) -> bool:
    image.seek(page)
    return bool(image.tag_v2.get(NEW_SUBFILE_TYPE, 0) & 1)


def _load(image: Image.Image, name: str) -> None:
    try:
        image.load()
    except Image.DecompressionBombError as error:
        raise _too_large(name, str(error)) from error
    except Exception as error:
        raise _damaged(name, error) from error


def _orientation(image: Image.Image) -> int:
    """EXIF's orientation, 1 to 8; upright where there is none, or where the EXIF block cannot be read."""
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, UPRIGHT)
    except (SyntaxError, ValueError, TypeError, KeyError, OSError, struct.error):
        return UPRIGHT  # the pixels are whole: a broken note about them is no reason to refuse them
    return value if value in TURNS else UPRIGHT


def _resized(image: Image.Image, width: int, height: int) -> Image.Image:
    if image.size == (width, height):
        return image
    return image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=2.0)


def _rgb(image: Image.Image) -> Image.Image:
    return image if image.mode == "RGB" else image.convert("RGB")


def _decode_bytes(image: Image.Image) -> int:
    """Return the most bytes that `open_photo` takes, by the header: the file's pixels and the converted ones, or
    these and their upright copy."""
    native, kept = bytes_per_pixel(image.mode), _kept_bytes(image)
    converted = 0 if image.mode in ("L", "RGB") and not image.has_transparency_data else kept
    return max(native + converted, 2 * kept) * image.width * image.height


def _kept_bytes(image: Image.Image) -> int:
    """Return what a pixel takes in a Photo."""
    return 1 if is_gray(image.mode) and not image.has_transparency_data else 4


def _jpeg(image: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _encoded(photo: Photo, body: bytes, width: int, height: int, quality: int | None) -> EncodedImage:
    return EncodedImage(body, "image/jpeg", height, width, photo.height, photo.width, quality)
