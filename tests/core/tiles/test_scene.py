"""Scenes are read in parts, as 8-bit colors and what has data; files that cannot be are errors at once."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio import Affine
from rasterio.enums import ColorInterp
from rasterio.shutil import copy

from core.errors import ImageError, InputError
from core.tiles.scene import SceneReader, open_scene
from tests.support.scenes import blobs, write_scene

RNG = np.random.default_rng(7)
NOISE = RNG.integers(0, 256, (3, 200, 300)).astype(np.uint8)


def colors(path: Path, **options: Any) -> np.ndarray:
    with SceneReader(open_scene(path, **options)) as reader:
        scene = reader.scene
        return reader.read(0, 0, scene.height, scene.width).colors


@pytest.mark.parametrize("tiled", [True, False])
def test_a_part_has_the_pixels_of_the_file(tmp_path: Path, tiled: bool) -> None:
    """Any window of an 8-bit scene is returned unchanged, whether it is stored in tiles or in rows."""
    layout = {"blockysize": 128} if tiled else {"tiled": False, "blockysize": 16}
    path = write_scene(tmp_path / "scene.tif", NOISE, **layout)
    with SceneReader(open_scene(path)) as reader:
        part = reader.read(37, 90, 64, 80)
    assert np.array_equal(part.colors, np.moveaxis(NOISE[:, 37:101, 90:170], 0, 2))
    assert part.valid.all()


def test_beyond_the_edge_pixels_are_mirrored(tmp_path: Path) -> None:
    """A tile that extends beyond the scene is filled with mirrored pixels, which have no data."""
    path = write_scene(tmp_path / "scene.tif", NOISE)
    with SceneReader(open_scene(path)) as reader:
        part = reader.read(136, 240, 74, 64)
    assert np.array_equal(part.colors[64:, 0], np.moveaxis(NOISE[:, 190:200, 240], 0, 1)[::-1])
    assert part.valid.sum() == 64 * 60


@pytest.mark.parametrize(("driver", "name"), [("PNG", "a.png"), ("JPEG", "a.jpg"), ("JP2OpenJPEG", "a.jp2")])
def test_plain_images_are_scenes(tmp_path: Path, driver: str, name: str) -> None:
    """A PNG, JPEG or JPEG 2000 is read in parts too, and is not georeferenced."""
    path = write_scene(tmp_path / name, blobs(150, 170), driver=driver)
    scene = open_scene(path)
    assert (scene.driver, scene.width, scene.height, scene.crs) == (driver, 170, 150, "")
    assert scene.transform is None
    assert np.abs(colors(path).astype(int) - np.moveaxis(blobs(150, 170), 0, 2)).mean() < 4


def test_bigtiff_and_cog_are_read(tmp_path: Path) -> None:
    """A BigTIFF and a Cloud Optimized GeoTIFF are read as any GeoTIFF."""
    big = write_scene(tmp_path / "big.tif", NOISE, BIGTIFF="YES")
    assert big.read_bytes()[:4] == b"II+\0"
    copy(big, tmp_path / "cog.tif", driver="COG")
    for path in (big, tmp_path / "cog.tif"):
        assert np.array_equal(colors(path), np.moveaxis(NOISE, 0, 2))


def test_more_than_8_bits_are_stretched_between_percentiles(tmp_path: Path) -> None:
    """12-bit values become 0 to 255 between 2 % and 98 % of each band, and a note shows the limits."""
    ramp = np.linspace(100, 4000, 40_000).reshape(1, 200, 200)
    path = write_scene(tmp_path / "a.tif", np.concatenate([ramp, ramp / 2, ramp / 4]).astype(np.uint16))
    scene = open_scene(path)
    assert np.allclose(scene.ranges, ((178, 3922), (89, 1961), (44, 980)), atol=1)
    assert scene.notes == (
        "Values were stretched from 2 % to 98 %: 177.98..3921.02, 88.98..1960.02, 44..980 (from all pixels).",
    )
    seen = colors(path)
    assert (seen[0, 0].tolist(), seen[-1, -1].tolist()) == ([0, 0, 0], [255, 255, 255])
    assert np.abs(np.diff(seen[100, 100].astype(int))).max() <= 1
    assert open_scene(path, stretch=(0, 100)).ranges[0] == (100, 4000)


def test_percentiles_come_from_an_overview(tmp_path: Path) -> None:
    """Where a scene has overviews, the percentiles are those of one of them, not of all pixels."""
    path = write_scene(tmp_path / "a.tif", RNG.integers(0, 1000, (1, 1100, 1100)).astype(np.uint16))
    with rasterio.open(path, "r+") as file:
        file.build_overviews([2, 4])
    assert "(from the overview 1:2)" in open_scene(path).notes[0]


def test_a_large_scene_without_overviews_is_sampled(tmp_path: Path) -> None:
    """Without overviews, the percentiles of a large scene come from samples all over it."""
    values = np.full((1, 2200, 2200), 7, np.uint16)
    values[:, 1100:] = 107
    scene = open_scene(write_scene(tmp_path / "a.tif", values))
    assert scene.ranges == ((7, 107),)
    assert "(from 64 samples, without overviews)" in scene.notes[0]


def test_data_that_no_sample_meets_is_found(tmp_path: Path) -> None:
    """Where samples meet no data, the percentiles come from pixels all over the scene."""
    values = np.zeros((1, 2200, 2200), np.uint16)
    values[:, :, 258:276] = 500
    scene = open_scene(write_scene(tmp_path / "a.tif", values, nodata=0))
    assert scene.ranges == ((500, 500),)
    assert "(from one pixel of 3 x 3)" in scene.notes[0]


def test_an_image_that_is_stored_turned_is_an_error(tmp_path: Path) -> None:
    """An EXIF orientation is an error: the endpoint would get the image turned."""
    exif = Image.Exif()
    exif[274] = 6
    Image.new("RGB", (80, 60)).save(tmp_path / "a.jpg", exif=exif)
    with pytest.raises(ImageError, match="its EXIF orientation is 6"):
        open_scene(tmp_path / "a.jpg")


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint32", "float32", "float64"])
def test_every_number_type_is_read(tmp_path: Path, dtype: str) -> None:
    """Integers and floats of any size become the same 8-bit values by the same stretch."""
    values = np.arange(200 * 200).reshape(1, 200, 200) % 101
    path = write_scene(tmp_path / "a.tif", values.astype(dtype))
    seen = colors(path, stretch=(0, 100))
    assert np.abs(seen[..., 0] - values[0] * 2.55).max() <= 0.51


def test_pixels_without_data_are_known(tmp_path: Path) -> None:
    """A nodata value in all bands, a transparent alpha and a NaN in any band mark pixels without data."""
    values = np.full((3, 100, 100), 9, np.uint8)
    values[:, :10] = 0
    values[0, 50] = 0
    paths = [write_scene(tmp_path / "nodata.tif", values, nodata=0)]
    with_alpha = np.concatenate([values, np.full((1, 100, 100), 255, np.uint8)])
    with_alpha[3, :10] = 0
    paths.append(write_scene(tmp_path / "alpha.tif", with_alpha, photometric="RGB", alpha="YES"))
    floats = values.astype(np.float32)
    floats[1, :10] = np.nan
    paths.append(write_scene(tmp_path / "nan.tif", floats))
    for path in paths:
        with SceneReader(open_scene(path)) as reader:
            assert reader.scene.used == (1, 2, 3)
            valid = reader.read(0, 0, 100, 100).valid
            assert not valid[:10].any(), path.name
            assert valid[10:].all(), path.name
            assert not reader.has_data(0, 0, 10, 100)
            assert reader.has_data(0, 0, 64, 64)


@pytest.mark.parametrize(
    ("count", "bands", "used", "note"),
    [
        (1, (), (1,), ""),
        (2, (), (1,), "Bands 1 of 2 are sent."),
        (13, (), (1, 2, 3), "Bands 1,2,3 of 13 are sent."),
        (13, (4, 3, 2), (4, 3, 2), "Bands 4,3,2 of 13 are sent."),
        (13, (8,), (8,), "Bands 8 of 13 are sent."),
    ],
)
def test_bands_are_chosen(
    tmp_path: Path, count: int, bands: tuple[int, ...], used: tuple[int, ...], note: str
) -> None:
    """One band is sent as gray, of several the first three, or the requested ones; a note names them."""
    values = np.arange(count, dtype=np.uint8)[:, None, None] * np.ones((1, 80, 80), np.uint8)
    path = write_scene(tmp_path / "a.tif", values, photometric="MINISBLACK")
    scene = open_scene(path, bands=bands)
    assert scene.used == used
    assert "".join(scene.notes) == note
    assert colors(path, bands=bands)[0, 0].tolist() == [band - 1 for band in (used * 3)[:3]]


def test_red_green_and_blue_are_found_by_their_names(tmp_path: Path) -> None:
    """A scene that names its colors is sent in the order red, green, blue."""
    path = write_scene(tmp_path / "a.tif", NOISE, photometric="MINISBLACK")
    with rasterio.open(path, "r+") as file:
        file.colorinterp = [ColorInterp.blue, ColorInterp.green, ColorInterp.red]
    assert open_scene(path).used == (3, 2, 1)


def test_color_tables_and_inverted_gray_become_colors(tmp_path: Path) -> None:
    """Indices of a color table become its colors, and a scene in which 0 is white is inverted."""
    path = write_scene(tmp_path / "a.tif", np.ones((1, 80, 80), np.uint8), photometric="PALETTE")
    with rasterio.open(path, "r+") as file:
        file.write_colormap(1, {0: (0, 0, 0, 255), 1: (10, 200, 30, 255)})
    assert colors(path)[5, 5].tolist() == [10, 200, 30]
    Image.fromarray(np.full((80, 80), 250, np.uint8)).save(tmp_path / "b.tif", tiffinfo={262: 0})
    shown = colors(tmp_path / "b.tif")[5, 5].tolist()
    with Image.open(tmp_path / "b.tif") as image:
        assert shown == [image.convert("L").getpixel((5, 5))] * 3


def test_the_place_is_kept(tmp_path: Path) -> None:
    """CRS and transform are those of the file, also a rotated one; a CRS without a transform is noted."""
    rotated = Affine(1.7, 1.0, 500_000.0, 1.0, -1.7, 5_300_000.0)
    scene = open_scene(write_scene(tmp_path / "a.tif", NOISE, transform=rotated))
    assert scene.transform == pytest.approx(tuple(rotated[:6]))
    assert rasterio.crs.CRS.from_wkt(scene.crs).to_epsg() == 32632
    missing = open_scene(write_scene(tmp_path / "b.tif", NOISE, crs=None))
    assert missing.notes == ("b.tif has no coordinate reference system: areas are in pixels.",)
    nowhere = open_scene(write_scene(tmp_path / "c.tif", NOISE, transform=Affine.identity()))
    assert nowhere.transform is None
    assert "no transform" in nowhere.notes[0]


# Files that cannot be read.


def huge_tiff(side: int) -> bytes:
    """Return a TIFF of a few bytes that claims so many pixels per side, in one strip per row."""
    tags = [(256, 4, 1, side), (257, 4, 1, side), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)]
    tags += [(273, 4, 1, 8), (277, 3, 1, 1), (278, 4, 1, 1), (279, 4, 1, 8)]
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not an image that can be read in parts: it starts with b''"),
        (b"<VRTDataset/>" * 9, "is not an image that can be read in parts"),
        (huge_tiff(0), "cannot be read"),
        (huge_tiff(1_000_000), "has 1,000,000 x 1,000,000 pixels by its header"),
        (b"II*\0\x08\0\0\0\x01\0junk", "cannot be read"),
    ],
)
def test_files_that_are_no_scenes_are_errors(tmp_path: Path, content: bytes, message: str) -> None:
    """An empty file, another format, 0 x 0 pixels, a terabyte by the header and a damaged header are errors."""
    path = tmp_path / "a.tif"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=message):
        open_scene(path)


@pytest.mark.parametrize("driver", ["GTiff", "JPEG", "PNG"])
def test_a_truncated_file_is_an_error_before_anything_is_sent(tmp_path: Path, driver: str) -> None:
    """A file that ends early is noticed when it is opened, although its header is whole."""
    path = write_scene(tmp_path / "a.tif", NOISE, driver=driver)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ImageError, match=r"is truncated|cannot be read"):
        open_scene(path)


def test_a_sparse_file_is_read(tmp_path: Path) -> None:
    """Blocks that a sparse GeoTIFF leaves out have no data where it has a nodata value."""
    profile = {"driver": "GTiff", "width": 512, "height": 512, "count": 1, "dtype": "uint8", "nodata": 0}
    with rasterio.open(tmp_path / "a.tif", "w", sparse_ok=True, tiled=True, **profile) as file:
        file.write(np.full((1, 256, 256), 9, np.uint8), window=((0, 256), (0, 256)))
    with SceneReader(open_scene(tmp_path / "a.tif")) as reader:
        assert reader.has_data(0, 0, 300, 300)
        assert not reader.has_data(256, 256, 256, 256)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"bands": (4,)}, InputError, "The bands 4 of a.tif cannot be used. It has the bands 1 to 3"),
        ({"bands": (1, 2)}, InputError, "three of them, or one as gray"),
        ({"stretch": (98, 2)}, InputError, "The percentiles 98,2 cannot be used"),
    ],
)
def test_choices_that_cannot_be_used_are_errors(
    tmp_path: Path, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    """A band that does not exist, two bands, and percentiles in the wrong order are errors with what is possible."""
    path = write_scene(tmp_path / "a.tif", NOISE)
    with pytest.raises(error, match="cannot be used") as caught:
        open_scene(path, **options)
    assert message in str(caught.value)


def test_complex_values_and_a_flat_transform_are_errors(tmp_path: Path) -> None:
    """Complex values have no colors, and a transform that maps all pixels to a line has no areas."""
    radar = write_scene(tmp_path / "a.tif", np.ones((1, 80, 80), np.complex64))
    with pytest.raises(ImageError, match="hold complex64 values"):
        open_scene(radar)
    flat = write_scene(tmp_path / "b.tif", NOISE, transform=Affine(1, 2, 0, 2, 4, 0))
    with pytest.raises(ImageError, match="is not invertible"):
        open_scene(flat)


def test_a_scene_without_any_data_is_an_error(tmp_path: Path) -> None:
    """Floats that are all NaN are an error that tells where it was read."""
    path = write_scene(tmp_path / "a.tif", np.full((1, 80, 80), np.nan, np.float32))
    with pytest.raises(ImageError, match=r"No pixel of a\.tif has data"):
        open_scene(path)


def test_files_next_to_an_image_lead_nowhere_else(tmp_path: Path) -> None:
    """Overviews and masks in files of their own must be TIFFs, and no sidecar may refer to another file."""
    path = write_scene(tmp_path / "scene.tif", blobs(64, 64))
    beside = tmp_path / "scene.tif.ovr"
    beside.write_text("<VRTDataset rasterXSize='32' rasterYSize='32'/>")
    with pytest.raises(ImageError, match=r"scene.tif.ovr, next to scene.tif, is not a TIFF"):
        open_scene(path)
    beside.unlink()
    beside = tmp_path / "scene.tif.aux.xml"
    item = "<Metadata domain='OVERVIEWS'><MDI key='OVERVIEW&#95;FILE'>x.vrt</MDI></Metadata>"
    beside.write_text(f"<PAMDataset>{item}</PAMDataset>")
    with pytest.raises(ImageError, match=r"refers to the file 'x.vrt' for its overviews"):
        open_scene(path)
    beside.unlink()
    with rasterio.open(path, "r+") as file:
        file.update_tags(ns="OVERVIEWS", OVERVIEW_FILE="/vsicurl/http://127.0.0.1:1/x.vrt")
    with pytest.raises(ImageError, match="refers to the file '/vsicurl/"):
        open_scene(path)
    path = write_scene(tmp_path / "other.tif", blobs(64, 64))
    with rasterio.Env(TIFF_USE_OVR=True), rasterio.open(path, "r+") as file:
        file.build_overviews([2])
    assert (tmp_path / "other.tif.ovr").is_file()
    assert open_scene(path).width == 64


def test_an_image_that_is_replaced_meanwhile_is_an_error(tmp_path: Path) -> None:
    """Tiles of two images never become one map, although both have the same size."""
    path = write_scene(tmp_path / "scene.tif", blobs(64, 64))
    scene = open_scene(path)
    os.utime(path, ns=(0, scene.modified_ns + 1))
    with SceneReader(scene):  # only its time is another
        pass
    write_scene(path, blobs(64, 64, seed=1))
    with pytest.raises(ImageError, match="was replaced while it was segmented"), SceneReader(scene):
        pass


def test_an_image_that_was_edited_in_one_place_is_another_one(tmp_path: Path) -> None:
    """One changed pixel in the middle of a file of the same size gives it another fingerprint."""
    values = np.zeros((3, 1500, 1500), np.uint8)
    path = write_scene(tmp_path / "scene.tif", values, compress=None)
    before = open_scene(path)
    values[1, 700, 701] = 1
    write_scene(path, values, compress=None)
    after = open_scene(path)
    assert after.file_size == before.file_size
    assert after.fingerprint != before.fingerprint


def test_a_large_overview_is_read_in_part(tmp_path: Path) -> None:
    """The range of the values needs no more pixels where the only overview is a large one."""
    values = np.arange(2600 * 2600, dtype=np.uint32).reshape(1, 2600, 2600) % 4000
    path = write_scene(tmp_path / "scene.tif", values.astype(np.uint16))
    with rasterio.open(path, "r+") as file:
        file.build_overviews([2], rasterio.enums.Resampling.nearest)
    before = open_scene(path)
    assert "from the overview 1:2" in before.notes[-1]
    assert before.ranges[0] == pytest.approx((80, 3920), abs=40)
