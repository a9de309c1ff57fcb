"""Tiles of a map: what the files hold, at every zoom, with bounded work for each."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio import Affine
from rasterio.warp import transform

from core.errors import ImageError, InputError
from core.tiles.pyramid import (
    SPARSE,
    Kind,
    Layer,
    OpenFiles,
    Places,
    Raster,
    Span,
    TileGrid,
    class_colors,
    copy_base,
    copy_path,
    make_copy,
    read_value,
    tile_png,
)
from core.tiles.scene import SceneReader, open_scene
from tests.support.maps import CLASSES, write_map
from tests.support.scenes import PLACE, UTM, blobs, write_scene

HEIGHT, WIDTH = 700, 1000
GRID = TileGrid(WIDTH, HEIGHT)


def decoded(png: bytes) -> np.ndarray:
    """Return the pixels of a PNG as Pillow reads them; indices of a palette stay indices."""
    return np.asarray(Image.open(io.BytesIO(png)))


def layer(kind: Kind, path: Path, **options: Any) -> Layer:
    return Layer(Raster.of(kind, path, open_scene(path, **options) if kind == "scene" else None))


def with_copy(shown: Layer, folder: Path) -> Layer:
    """Return a layer with the copy that its file needs."""
    with OpenFiles().dataset(shown.raster) as dataset:
        base = copy_base(dataset)
    path = copy_path(shown.raster, folder)
    make_copy(shown.raster, path, base, lambda _: None)
    return Layer(shown.raster, Raster.of(shown.raster.kind, path), base)


def spans(grid: TileGrid, zoom: int) -> list[Span]:
    """Return the places of all tiles of a zoom."""
    columns, rows = grid.count(zoom)
    found = [grid.span(zoom, x, y) for y in range(rows) for x in range(columns)]
    return [span for span in found if span is not None]


def test_the_tiles_of_a_zoom_cover_the_image_once() -> None:
    """Zoom 0 is one tile; at each zoom the tiles fit together, and nothing is beyond the edges."""
    assert GRID.last_zoom == 2
    assert len(spans(GRID, 0)) == 1
    for zoom in range(3):
        covered = np.zeros((HEIGHT, WIDTH), np.uint8)
        for top, left, height, width, _ in spans(GRID, zoom):
            covered[top : top + height, left : left + width] += 1
        assert (covered == 1).all()
        columns, rows = GRID.count(zoom)
        assert GRID.span(zoom, columns, 0) is None
        assert GRID.span(zoom, 0, rows) is None
    assert GRID.span(3, 0, 0) is GRID.span(-1, 0, 0) is GRID.span(0, -1, 0) is None
    assert TileGrid(1, 1).last_zoom == 0


@pytest.mark.parametrize(
    ("dtype", "bands", "options"),
    [
        ("uint8", 3, {}),
        ("uint8", 1, {}),
        ("uint16", 4, {}),
        ("float32", 1, {"nodata": -1}),
        ("uint8", 4, {"photometric": "rgb", "alpha": "yes"}),
        ("uint8", 3, {"transform": PLACE @ Affine.rotation(30)}),
        ("uint8", 3, {"crs": None, "transform": Affine.identity()}),
        ("uint8", 3, {"tiled": False, "blockxsize": None, "blockysize": None}),
    ],
)
def test_the_last_zoom_is_the_image_as_the_endpoint_gets_it(
    tmp_path: Path, dtype: str, bands: int, options: dict[str, Any]
) -> None:
    """At the last zoom, tiles have the colors that are sent to the endpoint, and no color without data."""
    values = np.repeat(blobs(HEIGHT, WIDTH)[:1], bands, axis=0).astype(dtype)
    values = values * np.arange(1, bands + 1).reshape(-1, 1, 1).astype(dtype)
    if "nodata" in options:
        values[:, :300, :300] = -1
    if "alpha" in options:
        values[3] = np.where(np.arange(WIDTH) < 500, 0, 255)
    chosen = {name: value for name, value in options.items() if value is not None or name == "crs"}
    if options.get("tiled") is False:
        chosen = {"tiled": False, "blockxsize": WIDTH, "blockysize": 8}
    path = write_scene(tmp_path / "scene.tif", values, **chosen)
    shown, files = layer("scene", path), OpenFiles()
    assert shown.raster.scene is not None
    with SceneReader(shown.raster.scene) as reader:
        for span in spans(GRID, GRID.last_zoom):
            pixels = reader.read(*span[:4])
            tile = Image.open(io.BytesIO(tile_png(shown, files, span)))
            assert tile.size == (span.width, span.height)
            rgba = np.asarray(tile.convert("RGBA"))
            assert np.array_equal(rgba[..., :3], pixels.colors)
            assert np.array_equal(rgba[..., 3] > 0, pixels.valid)
    files.close()


def test_a_mask_has_its_ids_and_a_palette_in_which_no_data_is_transparent(tmp_path: Path) -> None:
    """A tile of a mask holds the class ids, in the colors of the classes; 255 is transparent."""
    folder = write_map(tmp_path, HEIGHT, WIDTH)
    shown, files = layer("mask", folder.mask), OpenFiles()
    for span in spans(GRID, GRID.last_zoom):
        png = tile_png(shown, files, span, class_colors(CLASSES))
        labels = folder.labels[span.top : span.top + span.height, span.left : span.left + span.width]
        assert np.array_equal(decoded(png), labels)
        rgba = np.asarray(Image.open(io.BytesIO(png)).convert("RGBA"))
        assert np.array_equal(rgba[..., 3], np.where(labels == 255, 0, 255))
        known = labels != 255
        assert np.array_equal(rgba[known][:, :3], CLASSES.table()[labels[known]])
    percent = decoded(tile_png(layer("confidence", folder.confidence), files, spans(GRID, 2)[0]))
    assert np.array_equal(percent, folder.percent[:256, :256])
    files.close()


def test_coarse_tiles_of_a_mask_come_from_its_overviews_and_mix_no_ids(tmp_path: Path) -> None:
    """A coarse tile of a mask is its file's overview of that size, pixel by pixel."""
    rng = np.random.default_rng(3)
    labels = rng.choice(np.array([0, 3], np.uint8), (1, 1024, 1024))
    path = write_scene(tmp_path / "mask.tif", labels, nodata=255)
    with rasterio.open(path, "r+") as file:
        file.build_overviews([2, 4], rasterio.enums.Resampling.mode)
    files, grid = OpenFiles(), TileGrid(1024, 1024)
    for zoom, level in ((0, 1), (1, 0)):
        with rasterio.open(path, overview_level=level) as overview:
            expected = overview.read(1)
        for span in spans(grid, zoom):
            tile = decoded(tile_png(layer("mask", path), files, span))
            top, left = span.top // span.reduction, span.left // span.reduction
            assert np.array_equal(tile, expected[top : top + 256, left : left + 256])
    files.close()


def test_a_file_in_tiles_without_overviews_gets_a_sparse_copy(tmp_path: Path) -> None:
    """Coarse tiles of a large file without overviews come from a copy with 1/16 of the pixels, fine ones from it."""
    side = 4096
    labels = np.zeros((1, side, side), np.uint8)
    labels[:, side // 2 :] = 1
    path = write_scene(tmp_path / "mask.tif", labels, nodata=255)
    shown = with_copy(layer("mask", path), tmp_path)
    assert shown.base == SPARSE
    assert shown.copy is not None
    with rasterio.open(shown.copy.path) as copy:
        assert copy.shape == (side // SPARSE, side // SPARSE)
        assert copy.overviews(1) == [2, 4]
    files, grid = OpenFiles(), TileGrid(side, side)
    for zoom in range(grid.last_zoom + 1):
        for span in (spans(grid, zoom)[0], spans(grid, zoom)[-1]):
            expected = labels[0, span.top : span.top + span.height : span.reduction, :: span.reduction]
            tile = decoded(tile_png(shown, files, span))
            assert np.array_equal(tile, expected[:, : tile.shape[1]])
    assert read_value(shown, files, 5, side - 1) == 1
    files.close()
    assert [each.suffix for each in tmp_path.iterdir() if each.name.startswith(".")] == [".tif"]


def test_an_image_that_is_decoded_from_the_top_gets_a_full_copy(tmp_path: Path) -> None:
    """All tiles of a large PNG come from a copy: class ids exactly, colors as well as JPEG keeps them."""
    gray = blobs(2000, 2400)
    path, mask = tmp_path / "scene.png", tmp_path / "mask.png"
    labels = (gray[0] // 64).astype(np.uint8)
    Image.fromarray(np.moveaxis(gray, 0, -1)).save(path, compress_level=1)
    Image.fromarray(labels).save(mask, compress_level=1)
    scene, plane = with_copy(layer("scene", path), tmp_path), with_copy(layer("mask", mask), tmp_path)
    assert scene.base == plane.base == 1
    files, grid = OpenFiles(), TileGrid(2400, 2000)
    for span in (spans(grid, grid.last_zoom)[0], spans(grid, grid.last_zoom)[-1]):
        part = (slice(span.top, span.top + span.height), slice(span.left, span.left + span.width))
        assert np.array_equal(decoded(tile_png(plane, files, span)), labels[part])
        colors = np.asarray(Image.open(io.BytesIO(tile_png(scene, files, span))).convert("L")).astype(int)
        assert np.abs(colors - gray[0][part]).mean() < 2
    whole = decoded(tile_png(scene, files, spans(grid, 0)[0]))
    assert whole.shape[:2] == spans(grid, 0)[0].shape
    files.close()


def test_a_copy_is_made_once_by_whoever_comes_first(tmp_path: Path) -> None:
    """Of several threads that need the same copy, one makes it, and the others use it."""
    shown = layer("mask", write_scene(tmp_path / "mask.tif", np.zeros((1, 3000, 3000), np.uint8)))
    path, finished = copy_path(shown.raster, tmp_path), list[float]()

    def make(_: int) -> None:
        make_copy(shown.raster, path, SPARSE, lambda part: finished.append(part) if part == 1 else None)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(make, range(4)))
    assert finished == [1.0]
    assert sorted(tmp_path.iterdir()) == sorted([shown.raster.path, path])


def test_small_files_and_files_with_overviews_need_no_copy(tmp_path: Path) -> None:
    """No copy is made where no tile decodes many pixels."""
    folder = write_map(tmp_path)
    large = write_scene(tmp_path / "large.tif", np.zeros((1, 4096, 4096), np.uint8))
    with rasterio.open(large, "r+") as file:
        file.build_overviews([2, 4, 8, 16], rasterio.enums.Resampling.average)
    for path in (folder.scene, folder.mask, large):
        with rasterio.open(path) as dataset:
            assert copy_base(dataset) == 0


def test_a_copy_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """A copy that was not finished is removed, and the error says what to do."""
    shown = layer("mask", write_scene(tmp_path / "mask.tif", np.zeros((1, 3000, 3000), np.uint8)))
    path = copy_path(shown.raster, tmp_path)

    def stop(_: float) -> None:
        raise ImageError("stopped", why="The disk is full.")

    with pytest.raises(InputError, match="overview of mask") as error:
        make_copy(shown.raster, path, SPARSE, stop)
    assert "The disk is full." in str(error.value)
    assert list(tmp_path.iterdir()) == [shown.raster.path]


def test_a_file_that_was_replaced_or_is_damaged_is_an_error(tmp_path: Path) -> None:
    """A tile of another file than the one that was opened, or of a damaged one, is an error, not a wrong picture."""
    folder = write_map(tmp_path)
    shown, files, span = layer("mask", folder.mask), OpenFiles(), spans(GRID, 2)[-1]
    data = folder.mask.read_bytes()
    folder.mask.write_bytes(data[: len(data) // 3])
    with pytest.raises(ImageError, match="was replaced"):
        tile_png(shown, files, span)
    with pytest.raises(ImageError, match="scene_mask"):
        tile_png(layer("mask", folder.mask), files, span)
    folder.mask.unlink()
    with pytest.raises(ImageError, match="not there any more"):
        tile_png(shown, files, span)
    files.close()


def test_few_files_stay_open_whatever_threads_read(tmp_path: Path) -> None:
    """Threads that read many files get right tiles, and no more files stay open than allowed."""
    paths = [
        write_scene(tmp_path / f"{number}.tif", np.full((1, 300, 300), number, np.uint8))
        for number in range(8)
    ]
    shown, files, grid = [layer("mask", path) for path in paths], OpenFiles(4), TileGrid(300, 300)

    def value(number: int) -> int:
        tile = decoded(tile_png(shown[number % 8], files, spans(grid, 0)[0]))
        assert (tile == tile[0, 0]).all()
        return int(tile[0, 0])

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(value, range(64))) == [number % 8 for number in range(64)]
    assert 1 <= files.idle <= 2
    files.close()
    assert files.idle == 0
    value(0)
    assert files.idle == 0


def test_values_and_places_of_pixels(tmp_path: Path) -> None:
    """A pixel has its value, its coordinates, and its longitude and latitude as PROJ gives them."""
    folder = write_map(tmp_path)
    files, places = OpenFiles(), Places(open_scene(folder.scene))
    for x, y in ((0, 0), (699, 10), (3, 699), (999, 699)):
        assert read_value(layer("mask", folder.mask), files, x, y) == folder.labels[y, x]
        assert places.coordinates(x + 0.5, y + 0.5) == pytest.approx(PLACE @ (x + 0.5, y + 0.5))
        longitude, latitude = transform(UTM, "EPSG:4326", *[[each] for each in PLACE @ (x + 0.5, y + 0.5)])
        assert places.degrees(x + 0.5, y + 0.5) == pytest.approx((longitude[0], latitude[0]), abs=1e-9)
    assert places.name() == UTM
    assert places.meters_per_pixel() == pytest.approx(2 / 0.9996, rel=1e-5)
    files.close()


@pytest.mark.parametrize(
    ("crs", "matrix", "meters"),
    [
        ("EPSG:4326", Affine(1e-5, 0, 9.0, 0, -1e-5, 60.0), 0.558),
        ("EPSG:3857", Affine(1, 0, 0, 0, -1, 8_399_738), 0.5),  # 60 degrees north
        (None, Affine(2, 0, 0, 0, -2, 0), None),
        (UTM, PLACE @ Affine.rotation(45), 2 / 0.9996),
    ],
)
def test_the_scale_bar_is_in_meters_on_the_ground(
    tmp_path: Path, crs: str | None, matrix: Affine, meters: float | None
) -> None:
    """A pixel's width is measured on the ellipsoid, in any reference system; without one it is not known."""
    path = write_scene(tmp_path / "scene.tif", blobs(60, 60), crs=crs, transform=matrix)
    assert Places(open_scene(path)).meters_per_pixel() == (
        None if meters is None else pytest.approx(meters, rel=4e-3)
    )
