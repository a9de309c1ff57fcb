"""Two label maps become a map of changes, with the area of each transition."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio import Affine
from rasterio.enums import ColorInterp
from rasterio.warp import Resampling, reproject

from core.errors import CoreError, ImageError, InputError
from core.imaging.classes import Classes
from core.tiles.areas import AreaCounter
from core.tiles.blend import Strip
from core.tiles.change import Change, ChangeFiles, ChangeRequest, Codes, compare, open_confidence, open_labels
from core.tiles.scene import open_scene
from tests.support.scenes import PLACE, UTM, write_scene

NAMES = ("land", "sea", "road")
HEIGHT, WIDTH = 620, 300
"""More rows than a strip has."""

BEFORE = (np.arange(WIDTH) // 100 * np.ones((HEIGHT, 1))).astype(np.uint8)
AFTER = BEFORE.copy()
AFTER[200:420, 20:60] = 1  # across the first two borders of strips
AFTER[500:503, 150:152] = 2
BEFORE[:10], AFTER[:, 290:] = 255, 255
N = len(NAMES)
SEA, ROAD = 220 * 40, 6


def tags(*names: str) -> dict[str, str]:
    return {
        "CLASSES": json.dumps([{"id": i, "name": name, "color": "#102030"} for i, name in enumerate(names)])
    }


def write_map(path: Path, labels: np.ndarray, names: tuple[str, ...] = NAMES, **options: Any) -> Path:
    options = {"nodata": 255, "tags": tags(*names) if names else {}} | options
    return write_scene(path, labels[None], **options)


def run(before: Path, after: Path, out: Path, *, overwrite: bool = False, **options: Any) -> Change:
    request = ChangeRequest(open_labels(before), open_labels(after), **options)
    out.mkdir(exist_ok=True)
    rows: list[int] = []
    try:
        change = compare(request, ChangeFiles.of(out, "b"), overwrite=overwrite, advance=rows.append)
    finally:
        assert not list(out.glob(".*"))
    assert sum(rows) == 2 * request.before.scene.height
    return change


@pytest.fixture(scope="module")
def maps(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("maps")
    return write_map(folder / "a_mask.tif", BEFORE), write_map(folder / "b_mask.tif", AFTER)


def expected(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Return the transition matrix by counting pairs."""
    return np.array([[np.sum((before == a) & (after == b)) for b in range(N)] for a in range(N)])


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as file:
        values: np.ndarray = file.read(1)
    return values


def test_the_matrix_counts_every_pair_of_classes(maps: tuple[Path, Path], tmp_path: Path) -> None:
    """Pixels are those of each pair of classes; areas are those on the ellipsoid, not in the plane."""
    change = run(*maps, tmp_path)
    assert np.array_equal(change.pixels, expected(BEFORE, AFTER))
    assert (change.changed, change.none) == (SEA + ROAD, ((BEFORE == 255) | (AFTER == 255)).sum())
    counter = AreaCounter(open_scene(maps[0]))
    counter.add(Strip(0, np.where((BEFORE == AFTER) | (BEFORE == 255), 255, AFTER), None))
    assert change.m2[0, 1] == pytest.approx(counter.m2[1], rel=1e-5)
    assert change.changed_m2 == pytest.approx(counter.m2[:3].sum(), rel=1e-5)
    assert abs(change.m2[0, 1] / (4 * SEA) - 1) > 5e-4


def test_the_change_map_tells_from_what_to_what(maps: tuple[Path, Path], tmp_path: Path) -> None:
    """The map is a COG in the grid of the first, whose values and colors tell the classes before and after."""
    run(*maps, tmp_path)
    with rasterio.open(tmp_path / "b_change.tif") as file:
        codes = file.read(1)
        assert (file.crs, file.transform, file.nodata, file.dtypes) == (UTM, PLACE, 255, ("uint8",))
        assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert file.colorinterp == (ColorInterp.palette,)
        assert file.colormap(1)[1 + N * 0 + 1] == (0x10, 0x20, 0x30, 255)
        assert file.overviews(1)
        assert "1 + 3 * id before + id after" in file.tags()["VALUES"]
    wanted = np.where(BEFORE == AFTER, 0, 1 + N * BEFORE.astype(int) + AFTER)
    assert np.array_equal(codes, np.where((BEFORE == 255) | (AFTER == 255), 255, wanted))


def test_transitions_are_a_table(maps: tuple[Path, Path], tmp_path: Path) -> None:
    """The CSV has the changes first, the largest first, then what stayed; shares are of all compared pixels."""
    change = run(*maps, tmp_path)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "b_transitions.csv").read_text())))
    assert [(row["from"], row["to"], int(row["pixels"])) for row in rows[:2]] == [
        ("land", "sea", SEA),
        ("sea", "road", ROAD),
    ]
    assert [row["changed"] for row in rows] == ["True", "True", "False", "False", "False"]
    assert sum(float(row["share"]) for row in rows) == pytest.approx(1)
    assert float(rows[0]["hectares"]) == pytest.approx(change.m2[0, 1] / 10_000)
    document = change.to_dict()
    assert document["matrix_hectares"][0][1] == pytest.approx(change.m2[0, 1] / 10_000)
    assert document["changed_share"] == change.changed / change.compared


@pytest.mark.parametrize(
    ("min_size", "small"), [(ROAD, 0), (ROAD + 1, ROAD), (SEA, ROAD), (SEA + 1, ROAD + SEA)]
)
def test_small_patches_are_left_out(
    maps: tuple[Path, Path], tmp_path: Path, min_size: int, small: int
) -> None:
    """A changed patch counts from the minimum size on, also across strips; a smaller one has a value of its own."""
    change = run(*maps, tmp_path, min_size=min_size)
    assert (change.small, change.changed) == (small, SEA + ROAD - small)
    assert (read(tmp_path / "b_change.tif") == Codes(N).small).sum() == small


def test_pixels_without_confidence_are_left_out(maps: tuple[Path, Path], tmp_path: Path) -> None:
    """A pixel counts where both maps have the minimum; with less, or without any, it has a value of its own."""
    first, second = np.full((2, HEIGHT, WIDTH), 80, np.uint8)
    first[:, :50], second[:, 50:55], second[:, 200] = 59, 255, 60
    paths = [
        write_map(tmp_path / f"{name}_confidence.tif", values, ())
        for name, values in (("a", first), ("b", second))
    ]
    labels = [open_labels(path) for path in maps]
    confidences = tuple(open_confidence(*pair) for pair in zip(paths, labels, strict=True))
    change = run(*maps, tmp_path / "out", confidences=confidences, min_confidence=60)
    sure = np.ones((HEIGHT, WIDTH), bool)
    sure[:, :55] = False
    assert np.array_equal(change.pixels, expected(np.where(sure, BEFORE, 255), AFTER))
    assert change.uncertain == (HEIGHT - 10) * 55
    assert (read(tmp_path / "out" / "b_change.tif") == Codes(N).uncertain).sum() == change.uncertain


def test_the_second_map_is_put_on_the_grid_of_the_first(maps: tuple[Path, Path], tmp_path: Path) -> None:
    """A map in another reference system is compared by place; what it does not cover is not compared."""
    transform = Affine(3e-5, 0, 9.0, 0, -2e-5, 47.853)
    turned = np.full((600, 240), 255, np.uint8)
    reproject(
        AFTER, turned, src_transform=PLACE, src_crs=UTM, dst_transform=transform, dst_crs="EPSG:4326",
        src_nodata=255, dst_nodata=255, resampling=Resampling.nearest,
    )  # fmt: skip
    assert (turned != 255).mean() > 0.5
    other = write_map(tmp_path / "other.tif", turned, crs="EPSG:4326", transform=transform)
    assert not ChangeRequest(open_labels(maps[0]), open_labels(other)).same_grid
    change = run(maps[0], other, tmp_path / "out")
    same = np.trace(expected(BEFORE, AFTER))
    assert change.compared > 0.8 * same
    assert change.pixels[0, 1] == pytest.approx(SEA, rel=0.03)
    assert change.changed - change.pixels[0, 1] < 0.02 * change.compared


def test_a_shifted_part_is_compared_pixel_by_pixel(maps: tuple[Path, Path], tmp_path: Path) -> None:
    """A map of a part of the place, with the same pixels, changes nothing where both have classes."""
    part = write_map(tmp_path / "part.tif", AFTER[100:, 10:], transform=PLACE @ Affine.translation(10, 100))
    change = run(maps[0], part, tmp_path / "out")
    outside = AFTER.copy()
    outside[:100], outside[:, :10] = 255, 255
    assert np.array_equal(change.pixels, expected(BEFORE, outside))


@pytest.mark.parametrize(
    "names", [(), (NAMES[0],), (*NAMES, "class 3")], ids=["none", "one side", "numbered"]
)
def test_missing_names_are_filled_in(tmp_path: Path, names: tuple[str, ...]) -> None:
    """Maps without names get numbers; a list that ends early or goes on with numbers is the same list."""
    longer = ("land", "class 1", "class 2") if len(names) == 1 else NAMES
    first = write_map(tmp_path / "a.tif", BEFORE, () if not names else longer)
    second = write_map(tmp_path / "b.tif", AFTER, names)
    change = run(first, second, tmp_path / "out")
    assert np.array_equal(change.pixels[:N, :N], expected(BEFORE, AFTER))
    wanted = tuple(f"class {number}" for number in range(3)) if not names else max(names, longer, key=len)
    assert change.classes.names == wanted


def test_the_value_for_no_data_is_that_of_the_file(maps: tuple[Path, Path], tmp_path: Path) -> None:
    """In a map whose nodata value is a class id, these pixels have no class, with and without resampling."""
    change = run(write_map(tmp_path / "a.tif", BEFORE, nodata=0), maps[1], tmp_path / "same")
    assert np.array_equal(change.pixels, expected(np.where(BEFORE == 0, 255, BEFORE), AFTER))
    part = write_map(tmp_path / "b.tif", AFTER[1:], nodata=0, transform=PLACE @ Affine.translation(0, 1))
    change = run(maps[0], part, tmp_path / "part")
    assert np.array_equal(change.pixels, expected(BEFORE, np.where(AFTER == 0, 255, AFTER)))


def test_many_classes_have_two_bytes(tmp_path: Path) -> None:
    """With the most classes there can be, every transition has a value, and the file a palette."""
    names = tuple(f"n{number}" for number in range(254))
    before, after = np.full((2, 20, 30), 253, np.uint8)
    after[:, :10], before[:, 20:] = 252, 0
    paths = [
        write_map(tmp_path / f"{name}.tif", labels, names) for name, labels in (("a", before), ("b", after))
    ]
    change = run(paths[0], paths[1], tmp_path / "out", min_size=2)
    assert (change.pixels[253, 252], change.pixels[0, 253], change.pixels[253, 253]) == (200, 200, 200)
    codes = read(tmp_path / "out" / "b_change.tif")
    assert (codes.dtype, codes[0, 0]) == (np.uint16, 1 + 254 * 253 + 252)


def test_maps_without_coordinates_are_compared_in_pixels(tmp_path: Path) -> None:
    """Two maps of one size without a reference system are compared pixel by pixel, without hectares."""
    paths = [write_map(tmp_path / f"{i}.tif", labels, crs=None) for i, labels in enumerate((BEFORE, AFTER))]
    change = run(paths[0], paths[1], tmp_path / "out")
    assert np.array_equal(change.pixels, expected(BEFORE, AFTER))
    assert (change.changed_m2, change.to_dict()["matrix_hectares"]) == (None, None)


FAR = Affine(2.0, 0.0, 700_000.0, 0.0, -2.0, 5_300_000.0)


@pytest.mark.parametrize(
    ("labels", "options", "text"),
    [
        (AFTER, {"names": ("land", "lake", "road")}, r"different classes.*1: sea / lake\."),
        (
            AFTER,
            {"crs": None, "transform": FAR},
            r"other\.tif cannot be placed: no coordinate reference system",
        ),
        (AFTER[1:], {"crs": None}, r"other\.tif cannot be placed"),
        (AFTER, {"transform": FAR}, r"do not overlap.*\(700000, "),
        (np.full_like(AFTER, 255), {}, "no pixel with a class in both"),
        (AFTER.astype(np.uint16), {"nodata": 65535}, r"not a label map.*uint16 values.*at most 256 values"),
        (np.full_like(AFTER, 9), {}, r"class id 9.*name 3 classes"),
        (AFTER, {"tags": {"CLASSES": "[{"}}, r"class names in other\.tif cannot be read"),
        (AFTER, {"crs": 'LOCAL_CS["site",UNIT["metre",1]]'}, "cannot be put on the grid"),
    ],
    ids=["classes", "no CRS", "no CRS, size", "far", "empty", "uint16", "unknown id", "damaged tag", "site"],
)
def test_maps_that_do_not_fit_are_errors(
    maps: tuple[Path, Path], tmp_path: Path, labels: np.ndarray, options: dict[str, Any], text: str
) -> None:
    """Maps that cannot be compared are an error with the reason, and no file is left."""
    other = write_map(tmp_path / "other.tif", labels, **options)
    with pytest.raises(CoreError, match=f"(?s){text}"):
        run(maps[0], other, tmp_path / "out")
    assert not list((tmp_path / "out").glob("*")) if (tmp_path / "out").exists() else True


def test_other_images_are_not_maps(maps: tuple[Path, Path], tmp_path: Path) -> None:
    """An image with three bands, a value beyond class ids, and a confidence of another grid are errors."""
    photo = write_scene(tmp_path / "photo.tif", np.zeros((3, 40, 40), np.uint8))
    with pytest.raises(ImageError, match="3 bands"):
        open_labels(photo)
    bare = write_map(tmp_path / "bare.tif", np.full((40, 40), 254, np.uint8), ())
    with pytest.raises(InputError, match="has the value 254"):
        run(bare, bare, tmp_path / "out")
    with pytest.raises(InputError, match=r"not in the grid of a_mask\.tif.*40 x 40 pixels"):
        open_confidence(bare, open_labels(maps[0]))


def test_existing_files_are_kept(maps: tuple[Path, Path], tmp_path: Path) -> None:
    """A file of the same name is never replaced unless that is requested, which gives the same bytes."""
    run(*maps, tmp_path)
    first = (tmp_path / "b_change.tif").read_bytes()
    with pytest.raises(InputError, match="already exists"):
        compare(
            ChangeRequest(*map(open_labels, maps)), ChangeFiles.of(tmp_path, "b"), overwrite=False,
            advance=lambda _: None,
        )  # fmt: skip
    run(*maps, tmp_path, overwrite=True)
    assert (tmp_path / "b_change.tif").read_bytes() == first


def test_a_change_that_was_not_is_an_empty_list(maps: tuple[Path, Path], tmp_path: Path) -> None:
    """A map compared with itself has no change."""
    change = run(maps[0], maps[0], tmp_path, min_size=5)
    assert (change.changed, change.small, change.changed_m2) == (0, 0, pytest.approx(0))
    assert change.classes == Classes(NAMES, ((16, 32, 48),) * 3)


def test_the_same_map_twice_has_no_changed_area(tmp_path: Path) -> None:
    """With any number of classes, no change is no area: sums in different orders are not subtracted."""
    names = tuple("abcdefg")
    labels = np.random.default_rng(0).integers(0, 7, (300, 200)).astype(np.uint8)
    path = write_map(tmp_path / "a_mask.tif", labels, names)
    change = run(path, path, tmp_path / "out")
    assert (change.changed, change.changed_m2) == (0, 0.0)


def test_a_confidence_that_is_none_is_an_error(maps: tuple[Path, Path], tmp_path: Path) -> None:
    """Values above 100 % are an error with the value, and not little confidence."""
    wrong = write_map(tmp_path / "c.tif", np.full((HEIGHT, WIDTH), 101, np.uint8), ())
    labels = open_labels(maps[0])
    confidence = open_confidence(wrong, labels)
    with pytest.raises(InputError, match=r"c\.tif has the value 101"):
        run(*maps, tmp_path / "out", confidences=(confidence, confidence), min_confidence=50)
    assert not list((tmp_path / "out").iterdir())


def test_a_much_finer_second_map_is_an_error(maps: tuple[Path, Path], tmp_path: Path) -> None:
    """One pixel never stands for hundreds of another map: the error has the ratio, also between systems."""
    fine = {"transform": Affine(0.05, 0, 500_000, 0, -0.05, 5_300_000)}
    other = write_map(tmp_path / "b_mask.tif", np.zeros((64, 64), np.uint8), **fine)
    with pytest.raises(InputError, match=r"A pixel of a_mask\.tif is 40 pixels of b_mask\.tif wide"):
        run(maps[0], other, tmp_path / "out")
    degrees = {"crs": "EPSG:4326", "transform": Affine(1e-7, 0, 9.0, 0, -1e-7, 47.85)}
    other = write_map(tmp_path / "c_mask.tif", np.zeros((64, 64), np.uint8), **degrees)
    with pytest.raises(InputError, match=r"A pixel of a_mask\.tif is \d+ pixels of c_mask\.tif wide"):
        run(maps[0], other, tmp_path / "out")


def test_maps_on_both_sides_of_the_antimeridian_are_compared(tmp_path: Path) -> None:
    """A map in degrees and one in UTM that reaches over 180 degrees overlap where they do."""
    labels = np.zeros((100, 100), np.uint8)
    degrees = {"crs": "EPSG:4326", "transform": Affine(0.001, 0, 179.85, 0, -0.001, -16.95)}
    before = write_map(tmp_path / "a_mask.tif", labels, **degrees)
    # UTM zone 60 ends at 180 degrees; this map begins 5 km before it.
    utm = {"crs": "EPSG:32760", "transform": Affine(200, 0, 805_000, 0, -200, 8_125_000)}
    after = write_map(tmp_path / "b_mask.tif", labels, **utm)
    assert run(before, after, tmp_path / "out").compared > 0
