"""Decoding and encoding of images: an upright RGB image and a JPEG within the limits, or an ImageError."""

from __future__ import annotations

import hashlib
import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from core.errors import ImageError
from core.imaging.image import (
    JPEG_MAX_SIDE,
    MAX_BYTES,
    EncodedImage,
    encode,
    fitted_size,
    open_image,
    open_mask,
    preview,
    resize_labels,
    resize_nearest,
)
from tests.support.warnings_as_errors import fails_at_warnings

ROOT = Path(__file__).parents[3]
CAMVID = ROOT.parent / "shared" / "camvid"
needs_camvid = pytest.mark.skipif(not CAMVID.is_dir(), reason="the CamVid sample is not next to the project")


def saved(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def scene(width: int = 60, height: int = 40) -> Image.Image:
    """Return a smooth image whose corners are red, green, blue and white."""
    corners = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 255]]], np.uint8)
    return Image.fromarray(corners).resize((width, height), Image.Resampling.BILINEAR)


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


def pixels(image: EncodedImage) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(image.body)).convert("RGB"))


def png_header(width: int, height: int, kind: int = 2) -> bytes:
    """Return a PNG whose header claims a size, with almost no data."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


LOSSY = ("JPEG", "WEBP", "AVIF")
MODES = {
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    "TIFF": ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "I;16", "I;16B", "I", "F"),
    "JPEG": ("L", "RGB", "CMYK"),
    "WEBP": ("L", "RGB", "RGBA"),
    "BMP": ("1", "L", "P", "RGB", "RGBA"),
    "GIF": ("1", "L", "P", "RGB", "RGBA"),
    "AVIF": ("L", "RGB", "RGBA"),
    "JPEG2000": ("L", "LA", "RGB", "RGBA", "I;16"),
    "PPM": ("1", "L", "RGB", "I", "F"),
    "QOI": ("RGB", "RGBA"),
    "SGI": ("L", "RGB", "RGBA"),
    "PCX": ("1", "L", "P", "RGB"),
}


def in_mode(mode: str) -> Image.Image:
    """Return a ramp from black (left) to white (right) in a mode, over its full range."""
    ramp = np.tile(np.linspace(0, 1, 64), (16, 1))
    if mode == "F":
        return Image.fromarray(ramp.astype(np.float32))
    if mode == "I":
        return Image.fromarray((ramp * 65535).astype(np.int32))
    if mode.startswith("I;16"):
        kind = ">u2" if mode == "I;16B" else "<u2"
        return Image.frombytes(mode, (64, 16), (ramp * 65535).astype(kind).tobytes())
    gray = Image.fromarray((ramp * 255).astype(np.uint8))
    if mode == "LAB":
        flat = Image.new("L", gray.size, 128)
        return Image.merge("LAB", (gray, flat, flat))
    if mode == "PA":
        return gray.convert("LA").convert("PA")
    return gray.convert("RGB").convert(mode) if mode in ("YCbCr", "CMYK", "P") else gray.convert(mode)


@fails_at_warnings
@pytest.mark.parametrize(("form", "mode"), [(form, mode) for form, modes in MODES.items() for mode in modes])
def test_every_format_and_mode_becomes_rgb(form: str, mode: str) -> None:
    """Every pixel type in every format becomes an RGB image that is dark on the left and bright on the right."""
    options = {"lossless": True} if form == "WEBP" else {}
    photo = open_image(saved(in_mode(mode), form, **options), f"ramp.{form}")
    assert (photo.image.mode, photo.width, photo.height) == ("RGB", 64, 16)
    gray = np.asarray(photo.image.convert("L"), int).mean(axis=0)
    assert gray[:4].mean() < 45
    assert gray[-4:].mean() > 210
    assert photo.format == form


def test_16_bit_png_uses_its_full_range() -> None:
    """A 16-bit PNG is scaled by 65535, so that a dark one stays dark."""
    values = np.array([[0, 257, 514, 4095]], np.uint16)
    photo = open_image(saved(Image.fromarray(values)), "dark.png")
    assert photo.array()[0, :, 0].tolist() == [0, 1, 2, 16]


@pytest.mark.parametrize(("top", "bits"), [(200, 8), (1000, 10), (4095, 12), (9000, 14), (65535, 16)])
def test_16_bit_tiff_is_scaled_by_its_sensors_depth(top: int, bits: int) -> None:
    """A 16-bit TIFF is scaled by the smallest common depth that holds its largest value."""
    photo = open_image(saved(Image.fromarray(np.array([[0, top]], np.uint16)), "TIFF"), "sensor.tif")
    assert photo.array()[0, :, 0].tolist() == [0, round(top * 255 / (2**bits - 1))]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, 0.5, 1.0], [0, 128, 255]),
        ([-2.0, 0.0, 2.0], [0, 128, 255]),
        ([np.nan, 0.0, 1.0], [0, 0, 255]),
        ([np.inf, 10.0, 20.0], [0, 0, 255]),
        ([np.nan, np.nan, np.nan], [0, 0, 0]),
        ([7.0, 7.0, 7.0], [0, 0, 0]),
    ],
)
def test_floats_are_scaled(values: list[float], expected: list[int]) -> None:
    """Floats within 0 to 1 are scaled as such, others from the smallest to the largest finite value."""
    photo = open_image(saved(Image.fromarray(np.array([values], np.float32)), "TIFF"), "heat.tif")
    assert photo.array()[0, :, 0].tolist() == expected


def test_transparent_pixels_are_white() -> None:
    """Transparent pixels become white, and half transparent ones are blended with white."""
    image = Image.fromarray(np.array([[[255, 0, 0, 0], [255, 0, 0, 128], [255, 0, 0, 255]]], np.uint8))
    assert open_image(saved(image), "t.png").array()[0].tolist() == [[255] * 3, [255, 127, 127], [255, 0, 0]]


@fails_at_warnings
def test_palette_transparency_is_white() -> None:
    """The transparent color of a palette becomes white as well."""
    image = Image.fromarray(np.array([[0, 1]], np.uint8))
    image.putpalette([255, 0, 0, 0, 0, 255])
    assert open_image(saved(image, transparency=0), "p.png").array()[0].tolist() == [[255] * 3, [0, 0, 255]]


@fails_at_warnings
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(form: str, orientation: int) -> None:
    """Each of the eight EXIF orientations is decoded upright, in every format that has one."""
    upright = np.asarray(scene(48, 32))
    back = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1],
        5: upright.transpose(1, 0, 2), 6: np.rot90(upright, 1), 7: np.rot90(upright, 2).transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }  # fmt: skip
    exif = Image.Exif()
    exif[274] = orientation
    stored = Image.fromarray(np.ascontiguousarray(back[orientation]))
    photo = open_image(saved(stored, form, exif=exif.tobytes()), "turned")
    assert (photo.width, photo.height) == (48, 32)
    assert np.abs(photo.array().astype(int) - upright).max() < (40 if form in LOSSY else 1)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("exif", [b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0" + b"\x99" * 40])
def test_damaged_exif_is_ignored(exif: bytes) -> None:
    """A JPEG whose EXIF data is damaged is decoded as upright."""
    data = saved(scene(), "JPEG")
    block = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    assert open_image(data[:2] + block + data[2:], "odd.jpg").image.size == (60, 40)


def test_unknown_orientation_is_upright() -> None:
    """An orientation outside 1 to 8 is decoded as upright."""
    exif = Image.Exif()
    exif[274] = 9
    photo = open_image(saved(scene(), "JPEG", exif=exif.tobytes()), "nine.jpg")
    assert photo.image.size == (60, 40)


def test_metadata_is_removed() -> None:
    """Files made from an image have none of its metadata."""
    exif = Image.Exif()
    exif[271] = "Maker of cameras"
    photo = open_image(saved(scene(900, 700), "JPEG", exif=exif.tobytes(), comment=b"at home"), "a.jpg")
    body = encode(photo).body
    assert b"Maker" not in body
    assert b"at home" not in body


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b"hello, this is text, not a picture", "not an image"),
        (b"%PDF-1.7 ...............", "a PDF"),
        (b"PK\x03\x04..............", "a ZIP file"),
        (b"\n <svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG"),
        (b"\x0a\x23\xd7\xce\0\0\0\0.........", "RecordIO"),
        (b"\0\0\0\x18ftypheic............", "HEIC"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "not an image"),
        (b"\0" * 64, "not an image"),
    ],
)
def test_other_files_are_refused(data: bytes, words: str) -> None:
    """A file that is not an image is refused with its name, its type and what to do."""
    with pytest.raises(ImageError, match=words) as caught:
        open_image(data, "thing.bin")
    assert "thing.bin" in caught.value.what
    assert caught.value.todo


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG", "TIFF", "AVIF"])
def test_several_images_are_refused(form: str) -> None:
    """Animations and documents of several pages are refused as such."""
    first, *others = (noise(16, 16, seed) for seed in range(3))
    data = saved(first, form, save_all=True, append_images=others)
    with pytest.raises(ImageError, match="several pages" if form == "TIFF" else "animated"):
        open_image(data, "many")


def test_smaller_copies_in_a_tiff_do_not_count() -> None:
    """A TIFF whose further pages are smaller copies of the first (overviews) is one image."""
    from PIL.TiffImagePlugin import AppendingTiffWriter

    buffer = io.BytesIO()
    with AppendingTiffWriter(buffer, new=True) as writer:
        scene(64, 64).save(writer, "TIFF")
        writer.newFrame()
        scene(32, 32).save(writer, "TIFF", tiffinfo={254: 1})
        writer.newFrame()
    assert open_image(buffer.getvalue(), "cog.tif").image.size == (64, 64)


@pytest.mark.parametrize("suffix", ["heic", "several"])
def test_an_iphone_image_is_read(suffix: str) -> None:
    """An HEIC image is read upright at its own size; of several images in it, the primary one."""
    import pillow_heif

    file = pillow_heif.from_pillow(scene(64, 48))
    if suffix == "several":
        file.add_from_pillow(Image.new("RGB", (64, 48), "black"))
    buffer = io.BytesIO()
    file.save(buffer, quality=95)
    image = open_image(buffer.getvalue(), "IMG_0001.HEIC")
    assert (image.width, image.height, image.format) == (64, 48, "HEIF")
    assert np.abs(image.array().astype(int) - np.asarray(scene(64, 48))).mean() < 5


@pytest.mark.parametrize("brand", [b"mif1", b"msf1"])
def test_an_iphone_image_is_read_by_a_brand_shared_with_avif(brand: bytes) -> None:
    """An HEIC image is read where its major brand is one that AVIF files may have too; so is such an AVIF file."""
    import pillow_heif

    buffer = io.BytesIO()
    pillow_heif.from_pillow(scene(64, 48)).save(buffer, quality=95)
    for data, form in ((buffer.getvalue(), "HEIF"), (saved(scene(64, 48), "AVIF"), "AVIF")):
        image = open_image(data[:8] + brand + data[12:], "IMG_0001.HEIC")
        assert (image.width, image.height, image.format) == (64, 48, form)
        assert np.abs(image.array().astype(int) - np.asarray(scene(64, 48))).mean() < 5


def test_a_truncated_iphone_image_is_damaged() -> None:
    """An HEIC file with only its header is an ImageError that names it."""
    with pytest.raises(ImageError, match=r"IMG_0001\.HEIC is damaged or truncated"):
        open_image(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(28), "IMG_0001.HEIC")


def test_the_first_view_of_a_phones_jpeg_is_the_image() -> None:
    """A JPEG with a second view is not an animation: its first view is decoded, and encoded again."""
    data = saved(scene(64, 48), "MPO", save_all=True, append_images=[noise(64, 48)])
    photo = open_image(data, "phone.jpg")
    assert photo.image.size == (64, 48)
    assert photo.array()[0, 0].tolist()[0] > 200
    assert encode(photo).quality is not None


@fails_at_warnings
@pytest.mark.parametrize(
    ("width", "height"), [(50_000, 50_000), (10_001, 10_000), (2**31 - 1, 1), (100_000_001, 1)]
)
def test_a_bomb_is_refused_by_its_header(width: int, height: int) -> None:
    """A file that claims too many pixels is refused before any is decoded, with the size and the limit."""
    with pytest.raises(ImageError, match="100,000,000") as caught:
        open_image(png_header(width, height), "bomb.png")
    assert f"{width:,} x {height:,}" in caught.value.why


def test_the_pixel_limit_is_an_argument() -> None:
    """Exactly `max_pixels` are accepted, one more is refused."""
    assert open_image(saved(scene(10, 10)), "a.png", max_pixels=100).width == 10
    with pytest.raises(ImageError, match="limit is 99"):
        open_image(saved(scene(10, 10)), "a.png", max_pixels=99)


@fails_at_warnings
def test_pillows_own_limit_is_neither_used_nor_changed() -> None:
    """A limit above Pillow's own works without a warning, and Pillow's is unchanged."""
    before = Image.MAX_IMAGE_PIXELS
    with pytest.raises(ImageError, match="damaged or truncated"):
        open_image(png_header(20_000, 10_000, kind=0), "wide.png", max_pixels=300_000_000)
    assert before == Image.MAX_IMAGE_PIXELS


def test_a_side_of_zero_is_refused() -> None:
    """An image without pixels is refused."""
    with pytest.raises(ImageError):
        open_image(png_header(0, 10), "none.png")


@pytest.mark.parametrize(
    ("form", "options"),
    [
        ("JPEG", {}), ("JPEG", {"progressive": True}), ("PNG", {}), ("WEBP", {}), ("TIFF", {}), ("BMP", {}),
        ("TIFF", {"compression": "tiff_lzw"}), ("TIFF", {"compression": "jpeg"}), ("GIF", {}), ("AVIF", {}),
        ("JPEG2000", {}), ("PPM", {}), ("QOI", {}), ("SGI", {}), ("PCX", {}),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_truncated_file_is_an_image_or_an_image_error(form: str, options: dict[str, object]) -> None:
    """A file truncated at any byte gives an ImageError or an image of the right size."""
    data = saved(noise(20, 14), form, **options)
    refused = 0
    for cut in range(0, len(data), max(1, len(data) // 150)):
        try:
            assert open_image(data[:cut], "cut").image.size == (20, 14)
        except ImageError:
            refused += 1
    assert refused > 20


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(["JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP"]), st.data())
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_changed_file_is_an_image_or_an_image_error(form: str, data: st.DataObject) -> None:
    """A file with changed bytes gives an ImageError or an image."""
    body = bytearray(saved(scene(20, 14), form))
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        mode = open_image(bytes(body), "changed", max_pixels=1_000_000).image.mode
    except ImageError as error:
        mode = error.what.partition(" ")[0]
    assert mode in ("RGB", "changed")


def test_pillows_warnings_are_not_shown() -> None:
    """Pillow's warnings about unusual files are suppressed, even where warnings are errors."""
    program = (
        "import io; from PIL import Image; from core.errors import ImageError\n"
        "from core.imaging.image import open_image\n"
        "b = io.BytesIO(); Image.new('RGB', (20, 14)).save(b, 'TIFF'); d = b.getvalue()\n"
        "for cut in range(len(d)):\n"
        "    try: open_image(d[:cut], 'x')\n"
        "    except ImageError: pass\n"
    )
    run = subprocess.run(
        [sys.executable, "-W", "always", "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stderr) == (0, "")


@pytest.mark.parametrize(
    ("size", "fit", "expected"),
    [
        ((4000, 3000), (800, 600), (800, 600)),
        ((3000, 4000), (800, 600), (450, 600)),
        ((4000, 2000), (800, 600), (800, 400)),
        ((640, 480), (800, 600), (640, 480)),
        ((100_000, 1), (800, 600), (800, 1)),
        ((1, 100_000), (800, 600), (1, 600)),
        ((70_000, 70), None, (65_500, 66)),
        ((4000, 3000), None, (4000, 3000)),
        ((799, 601), (800, 600), (798, 600)),
    ],
)
def test_the_input_size(
    size: tuple[int, int], fit: tuple[int, int] | None, expected: tuple[int, int]
) -> None:
    """An image is resized to fit the box, with its aspect ratio, never enlarged, and with at least one pixel."""
    assert fitted_size(*size, fit) == expected


@given(*[st.integers(1, 10**6)] * 4)
def test_the_fitted_size_is_within_all_bounds(
    width: int, height: int, box_width: int, box_height: int
) -> None:
    """For any sizes, the result is within the box, the image and the JPEG limit."""
    fitted = fitted_size(width, height, (box_width, box_height))
    assert 1 <= fitted[0] <= min(width, box_width, JPEG_MAX_SIDE)
    assert 1 <= fitted[1] <= min(height, box_height, JPEG_MAX_SIDE)


def test_an_empty_box_is_refused() -> None:
    """A box of zero pixels is an error."""
    with pytest.raises(ImageError, match="0 x 600"):
        encode(open_image(saved(scene()), "a.png"), fit=(0, 600))


def test_encode_makes_a_jpeg_that_fits() -> None:
    """The encoded image is a JPEG within the box and the size limit, with the same content."""
    photo = open_image(saved(scene(1600, 1000)), "a.png")
    sent = encode(photo)
    assert sent.content_type == "image/jpeg"
    assert (sent.width, sent.height, sent.original_width, sent.original_height) == (800, 500, 1600, 1000)
    assert sent.reduced
    assert len(sent.body) <= MAX_BYTES
    small = np.asarray(photo.image.resize((800, 500), Image.Resampling.BOX), int)
    assert np.abs(pixels(sent).astype(int) - small).mean() < 2


def test_a_jpeg_that_fits_is_sent_unchanged() -> None:
    """An upright RGB JPEG within box and size limit is sent byte for byte."""
    data = saved(scene(800, 600), "JPEG", quality=40)
    sent = encode(open_image(data, "a.jpg"))
    assert sent.body is data
    assert sent.quality is None
    assert not sent.reduced


@pytest.mark.parametrize("case", ["turned", "gray", "cmyk", "png", "wide", "heavy"])
def test_other_images_are_encoded_again(case: str) -> None:
    """A rotated, gray, CMYK, too wide or too large JPEG is encoded again, as is any other format."""
    exif = Image.Exif()
    exif[274] = 6
    data = {
        "turned": saved(scene(80, 60), "JPEG", exif=exif.tobytes()),
        "gray": saved(scene(80, 60).convert("L"), "JPEG"),
        "cmyk": saved(scene(80, 60).convert("CMYK"), "JPEG"),
        "png": saved(scene(80, 60)),
        "wide": saved(scene(801, 60), "JPEG"),
        "heavy": saved(noise(80, 60), "JPEG", quality=95),
    }[case]
    sent = encode(open_image(data, case), max_bytes=len(data) - 1 if case == "heavy" else MAX_BYTES)
    assert sent.body != data
    assert sent.quality is not None
    again = Image.open(io.BytesIO(sent.body))
    assert (again.mode, again.size) == ("RGB", (sent.width, sent.height))


def test_quality_goes_down_before_size() -> None:
    """A JPEG above the limit is reduced in quality first, then in size, until it is below the limit."""
    photo = open_image(saved(noise(300, 200)), "noise.png")
    full = encode(photo)
    lower = encode(photo, max_bytes=len(full.body) - 1)
    least = encode(photo, max_bytes=10_000)
    assert full.quality == 92
    assert (lower.quality, lower.width) == (85, 300)
    assert least.width < 300
    assert len(least.body) <= 10_000
    assert abs(least.width / least.height - 1.5) < 0.05


def test_an_impossible_limit_is_an_error() -> None:
    """If even one pixel is too large, the result is an error and not an endless loop."""
    with pytest.raises(ImageError, match="limit is 100 bytes"):
        encode(open_image(saved(scene()), "a.png"), max_bytes=100)


@pytest.mark.parametrize("size", [(70_000, 3), (3, 70_000)])
def test_a_side_above_the_jpeg_limit_is_reduced(size: tuple[int, int]) -> None:
    """Even at its original size, an image is reduced to what a JPEG can hold."""
    sent = encode(open_image(saved(Image.new("RGB", size)), "long.png"), fit=None)
    assert max(sent.width, sent.height) == JPEG_MAX_SIDE
    assert Image.open(io.BytesIO(sent.body)).size == (sent.width, sent.height)


def test_the_preview_is_bounded_by_its_longest_side() -> None:
    """The preview is a JPEG with at most that many pixels on its longest side."""
    photo = open_image(saved(scene(300, 500)), "a.png")
    assert (preview(photo, longest=100).width, preview(photo, longest=100).height) == (60, 100)
    assert preview(photo).height == 500


def test_the_users_bytes_are_never_changed() -> None:
    """Reading and encoding do not change the content of the file."""
    data = saved(noise(900, 700), "JPEG")
    before = hashlib.sha256(data).hexdigest()
    photo = open_image(data, "a.jpg")
    encode(photo)
    preview(photo, 200)
    assert hashlib.sha256(data).hexdigest() == before


@given(*[st.integers(1, 40)] * 4, st.integers(0, 2**32))
def test_labels_are_resized_by_pixel_centers(h: int, w: int, height: int, width: int, seed: int) -> None:
    """Each pixel gets the id of the old pixel at its center, as in a plain loop."""
    labels = np.random.default_rng(seed).integers(0, 256, (h, w), np.uint8)
    expected = [
        [labels[int((i + 0.5) * h / height), int((j + 0.5) * w / width)] for j in range(width)]
        for i in range(height)
    ]
    found = resize_labels(labels, height, width)
    assert found.dtype == np.uint8
    assert found.tolist() == np.array(expected).tolist()


def test_labels_of_the_same_size_are_not_copied() -> None:
    """Labels that already have the size are returned uncopied."""
    labels = np.zeros((3, 4), np.uint8)
    assert resize_labels(labels, 3, 4) is labels


def test_planes_are_resized_like_labels() -> None:
    """A stack of planes is resized plane by plane."""
    stack = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    assert np.array_equal(resize_nearest(stack, 6, 8), stack.repeat(2, 1).repeat(2, 2))


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("mode", ["P", "L"])
def test_masks_give_their_ids(mode: str, bits: int) -> None:
    """A mask gives the ids in the file at any bit depth, indexed or grayscale."""
    ids = np.arange(1 << bits, dtype=np.uint8).reshape(2, -1)
    if mode == "L":
        rows = np.packbits(np.unpackbits(ids[..., None], axis=2)[..., -bits:].reshape(2, -1), axis=1)
        data = gray_png(ids.shape[1], 2, bits, rows)
    else:
        image = Image.fromarray(ids)
        image.putpalette(list(range(256)) * 3)
        data = saved(image, bits=bits)
    assert open_mask(data, "truth.png").tolist() == ids.tolist()


def gray_png(width: int, height: int, bits: int, rows: np.ndarray) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    data = b"".join(b"\0" + row.tobytes() for row in rows)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(data))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(("form", "mode"), [("PNG", "RGB"), ("PNG", "I;16"), ("JPEG", "L"), ("PNG", "LA")])
def test_what_cannot_hold_ids_is_not_a_mask(form: str, mode: str) -> None:
    """A color mask, one of 16 bits and a JPEG are refused with their type."""
    with pytest.raises(ImageError, match="is not a mask") as caught:
        open_mask(saved(in_mode(mode), form), "truth")
    assert form in caught.value.what


@needs_camvid
def test_camvid_images_pass() -> None:
    """Real images are decoded, sent unchanged and not modified."""
    paths = sorted((CAMVID / "JPEGImages").glob("*.jpg"))[:12]
    assert paths
    for path in paths:
        data = path.read_bytes()
        sent = encode(open_image(data, path.name))
        assert (sent.width, sent.height) == (480, 360)
        assert path.read_bytes() == data


@needs_camvid
def test_camvid_masks_hold_their_ids() -> None:
    """Real masks have ids 0 to 10, and 255."""
    path = min((CAMVID / "SegmentationClass").glob("*.png"))
    found = set(np.unique(open_mask(path.read_bytes(), path.name)).tolist())
    assert found <= {*range(11), 255}
    assert len(found) > 3
