"""TIFF files of any depth and band layout: read with a note on the conversion, or refused with the fix."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import rasterio
from PIL import Image, TiffImagePlugin

from core.datasets.masks import Colors, read_ids
from core.errors import ImageError
from core.imaging import pixel_budget
from core.imaging.image import image_share, open_image, open_mask

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")

HEIGHT, WIDTH = 20, 30


def values(top: float, bands: int, dtype: str) -> np.ndarray:
    """Return bands, (bands, H, W), whose values run from 0 to `top`; band 4 and up are constant."""
    ramp = np.linspace(0, top, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH)
    colors = [ramp, ramp[::-1], ramp[:, ::-1], *[np.full_like(ramp, top)] * bands]
    return np.stack(colors[:bands]).astype(dtype)


def tiff(bands: np.ndarray, **options: Any) -> bytes:
    """Return a GeoTIFF of bands, (bands, H, W)."""
    with rasterio.MemoryFile() as file:
        count, height, width = bands.shape
        profile = {"driver": "GTiff", "count": count, "height": height, "width": width, "dtype": bands.dtype}
        with file.open(**profile, **options) as dataset:
            dataset.write(bands)
        return bytes(file.read())


def expected(bands: np.ndarray, low: float, high: float) -> np.ndarray:
    colors = bands[:3].astype(np.float64)
    return ((colors - low) * 255 / (high - low)).clip(0, 255).round().transpose(1, 2, 0)


@pytest.mark.parametrize(
    ("source", "options", "limits", "note"),
    [
        (
            values(3000, 3, "uint16"),
            {"photometric": "RGB"},
            (0, 3000),
            "TIFF of 3 x uint16: stretched from 0..3000.",
        ),
        (
            values(3000, 3, "uint16"),
            {"photometric": "MINISBLACK"},
            (0, 3000),
            "3 x uint16: stretched from 0..3000.",
        ),
        (
            values(3000, 4, "uint16"),
            {"photometric": "MINISBLACK"},
            (0, 3000),
            "bands 1-3 of 4, stretched from 0..3000.",
        ),
        (values(65535, 13, "uint16"), {}, (0, 65535), "bands 1-3 of 13, stretched from 0..65535."),
        (
            values(4000, 3, "uint16"),
            {"photometric": "RGB", "nbits": 12},
            (0, 4095),
            "3 x uint12: scaled from 0..4095.",
        ),
        (
            values(255, 4, "uint8"),
            {"photometric": "MINISBLACK"},
            (0, 255),
            "TIFF of 4 x uint8: bands 1-3 of 4.",
        ),
        (
            values(255, 4, "uint8"),
            {"photometric": "RGB", "alpha": "NO"},
            (0, 255),
            "TIFF of 4 x uint8: bands 1-3 of 4.",
        ),
        (
            values(15, 3, "uint8"),
            {"photometric": "RGB", "nbits": 4},
            (0, 15),
            "3 x uint4: scaled from 0..15.",
        ),
        (values(1, 3, "float32"), {}, (0, 1), "3 x float32: scaled from 0..1."),
        (values(3000, 3, "uint16"), {"bigtiff": "YES"}, (0, 3000), "stretched from 0..3000."),
        (values(3000, 3, "uint16"), {"endianness": "BIG"}, (0, 3000), "stretched from 0..3000."),
        (values(255, 3, "uint8"), {"compress": "zstd", "photometric": "MINISBLACK"}, (0, 255), ""),
        (values(80, 3, "float64"), {"compress": "deflate", "tiled": True}, (0, 80), "stretched from 0..80."),
        (values(500, 3, "int16"), {"photometric": "RGB"}, (0, 500), "3 x int16: stretched from 0..500."),
        (values(90000, 3, "uint32"), {"interleave": "band"}, (0, 90000), "stretched from 0..90000."),
    ],
)
def test_bands_of_any_depth_become_rgb(
    source: np.ndarray, options: dict[str, Any], limits: tuple[float, float], note: str
) -> None:
    """Bands 1-3 are the colors, in 8 bits, and a note names the bands and the range."""
    image = open_image(tiff(source, **options), "ortho.tif")
    assert np.abs(image.array() - expected(source, *limits)).max() <= 1
    assert note in " ".join(image.notes)


@pytest.mark.parametrize("options", [{}, {"photometric": "MINISWHITE"}], ids=["black", "white"])
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_masks_give_their_stored_ids(bits: int, options: dict[str, Any]) -> None:
    """A gray TIFF mask gives the ids in the file at any bit depth, also where 0 is displayed white."""
    ids = np.arange(1 << bits, dtype=np.uint8).reshape(1, -1)
    data = tiff(ids[None], nbits=bits, **options)
    assert open_mask(data, "truth.tif").tolist() == ids.tolist()
    assert read_ids(data, "truth.tif", Colors()).tolist() == ids.tolist()


def test_a_truncated_mask_is_damaged() -> None:
    """A TIFF mask whose values are cut off is refused by name, as any other damaged file."""
    data = tiff(values(15, 1, "uint8"), nbits=4)
    with pytest.raises(ImageError, match=r"truth\.tif is damaged or truncated"):
        open_mask(data[:-40], "truth.tif")


def test_two_bands_are_gray() -> None:
    """Of two bands, the first is used, and the note says so."""
    image = open_image(tiff(values(200, 2, "uint8")), "radar.tif")
    assert image.pixels.mode == "L"
    assert image.notes == ("TIFF of 2 x uint8: band 1 of 2.",)


def test_values_without_data_are_black_and_do_not_change_the_range() -> None:
    """Pixels with the nodata value become black, and the note names the value."""
    source = values(100, 3, "float32") + 10
    source[:, 0, 0] = -9999
    image = open_image(tiff(source, nodata=-9999), "dem.tif")
    assert tuple(image.array()[0, 0]) == (0, 0, 0)
    assert "stretched from 10..110; pixels without data (-9999) became black." in image.notes[0]


def test_16_bit_alpha_is_composited_on_white() -> None:
    """Transparent pixels of a TIFF with more than 8 bits become white, and a note says so."""
    source = values(65535, 4, "uint16")
    source[3, 0, 0] = 0
    image = open_image(tiff(source, photometric="RGB", alpha="YES"), "cut.tif")
    assert tuple(image.array()[0, 0]) == (255, 255, 255)
    assert image.notes[1] == "Transparent pixels were composited on white."


def test_an_internal_mask_is_not_a_second_image() -> None:
    """GDAL's mask of pixels without data is a page of its own; the image is the first page, and a note says so."""
    first, mask = Image.new("RGB", (30, 20), "olive"), Image.new("1", (30, 20), 1)
    info = TiffImagePlugin.ImageFileDirectory_v2()
    info[254], info[262] = 4, 4
    mask.encoderinfo = {"tiffinfo": info}
    buffer = io.BytesIO()
    first.save(buffer, "TIFF", save_all=True, append_images=[mask])
    image = open_image(buffer.getvalue(), "ortho.tif")
    assert tuple(image.array()[0, 0]) == (128, 128, 0)
    assert image.notes == ("The TIFF's internal mask was not applied.",)


@pytest.mark.parametrize(("bands", "options"), [(4, {"photometric": "CMYK"}), (3, {"photometric": "CIELAB"})])
def test_a_layout_without_rgb_is_refused_with_the_fix(bands: int, options: dict[str, Any]) -> None:
    """A 16-bit TIFF in another color space is refused in words that name its layout and the command that fixes it."""
    with pytest.raises(ImageError) as caught:
        open_image(tiff(values(3000, bands, "uint16"), **options), "print.tif")
    assert f"print.tif has {bands} x uint16 values" in str(caught.value)
    assert "gdal_translate -ot Byte -scale -b 1 -b 2 -b 3" in str(caught.value)


def test_a_truncated_geotiff_is_damaged() -> None:
    """A GeoTIFF whose end is missing is an ImageError, never an image with black rows."""
    data = tiff(values(3000, 4, "uint16"))
    with pytest.raises(ImageError, match="damaged or truncated"):
        open_image(data[: len(data) // 2], "half.tif")


def test_all_bands_count_in_the_memory_budget() -> None:
    """A TIFF of 13 bands of 16 bits takes the memory of all its bands while it is decoded."""
    data = tiff(values(3000, 13, "uint16"))
    before = pixel_budget.PIXELS.used
    with image_share(data, "sentinel.tif", extra=0):
        assert pixel_budget.PIXELS.used - before == (13 * 2 + 4) * HEIGHT * WIDTH


def test_transparency_is_noted_only_where_a_pixel_is_transparent() -> None:
    """A PNG with transparent pixels is composited on white and noted; an opaque alpha channel changes nothing."""
    buffer = io.BytesIO()
    Image.new("RGBA", (4, 4), (10, 20, 30, 128)).save(buffer, "PNG")
    assert open_image(buffer.getvalue(), "logo.png").notes == (
        "Transparent pixels were composited on white.",
    )
    buffer = io.BytesIO()
    Image.new("RGBA", (4, 4), (10, 20, 30, 255)).save(buffer, "PNG")
    assert open_image(buffer.getvalue(), "opaque.png").notes == ()
