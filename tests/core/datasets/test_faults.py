"""Each fault of a dataset, planted in a valid one: it is reported with its file, and counted."""

from __future__ import annotations

import io
import json
import shutil
import struct
import zlib
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image

from core.datasets.convert import convert, plan_conversion
from core.datasets.masks import read_ids
from core.datasets.names import mask_colors
from core.datasets.problems import RULES, count_by_code
from core.datasets.readers import read_dataset
from core.datasets.report import LayoutReport
from core.errors import ImageError
from tests.support.dataset import CAMVID, COLORS, NAMES, digests, encoded, ids, indexed, painted, photo, write

TIFF_MASK = "SegmentationClass/tile_0.tif"
PHOTO, MASK = "JPEGImages/tile_0.jpg", "SegmentationClass/tile_0.png"
pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
Checked = Callable[[Path], LayoutReport]


@dataclass(frozen=True)
class Plant:
    """A fault. found: code -> the paths it must be reported at; nothing else may be reported."""

    name: str
    sow: Callable[[Path], object]
    found: dict[str, list[str]] = field(default_factory=dict)


def replaced(path: str, data: bytes, new: str = "") -> Callable[[Path], object]:
    """Replace a file, optionally under another name."""

    def sow(root: Path) -> None:
        (root / path).unlink()
        write(root / (new or path), data)

    return sow


def cut(path: str) -> Callable[[Path], object]:
    def sow(root: Path) -> None:
        data = (root / path).read_bytes()
        (root / path).write_bytes(data[: len(data) * 2 // 3])

    return sow


def renamed(stem: str) -> Callable[[Path], object]:
    """Rename both files of the first pair, and its line in the list."""

    def sow(root: Path) -> None:
        (root / PHOTO).rename(root / f"JPEGImages/{stem}.jpg")
        (root / MASK).rename(root / f"SegmentationClass/{stem}.png")
        path = root / "ImageSets/Segmentation/train.txt"
        path.write_text(path.read_text().replace("tile_0\n", f"{stem}\n"))

    return sow


def masks(train: tuple[int, ...], validation: tuple[int, ...]) -> Callable[[Path], object]:
    """Replace all masks of both splits."""

    def sow(root: Path) -> None:
        for number in range(8):
            labels = ids(*(train if number < 6 else validation))
            write(root / f"SegmentationClass/tile_{number}.png", indexed(labels))

    return sow


def tiff_mask(kind: type, value: float) -> Callable[[Path], object]:
    """Replace the first mask by a TIFF with one band of numbers, some of which have this value."""
    labels = ids(0, 1, 2).astype(kind)
    labels[0, :2] = value

    def sow(root: Path) -> None:
        (root / MASK).unlink()
        with rasterio.MemoryFile() as file:
            shape = {"count": 1, "height": labels.shape[0], "width": labels.shape[1]}
            with file.open(driver="GTiff", dtype=labels.dtype, **shape) as dataset:
                dataset.write(labels, 1)
            write(root / TIFF_MASK, bytes(file.read()))

    return sow


def without_names_and_with(value: int) -> Callable[[Path], object]:
    """Remove the class names, and plant a value in the first mask."""

    def sow(root: Path) -> None:
        (root / "classes.txt").unlink()
        labels = ids(0, 1, 2)
        labels[0, :2] = value
        write(root / MASK, indexed(labels))

    return sow


def sixteen(largest: int) -> bytes:
    return encoded(Image.fromarray(ids(0, 1, 2).astype(np.uint16) * (largest // 2)), "PNG")


def turned(orientation: int = 6) -> bytes:
    """Return an image that has the dataset's size when upright."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    back = Image.Transpose.ROTATE_90 if orientation == 6 else Image.Transpose.ROTATE_180
    image = Image.open(io.BytesIO(photo(70))).transpose(back)
    return encoded(image, "JPEG", exif=exif)


def turned_with_its_mask(root: Path) -> None:
    """Plant an image with its mask, both stored rotated."""
    write(root / PHOTO, turned())
    write(root / MASK, indexed(np.rot90(ids(0, 1, 2, 255))))


def labelmap(root: Path) -> None:
    """Replace the class names by names with colors."""
    (root / "classes.txt").unlink()
    rows = zip(NAMES, COLORS, strict=True)
    write(root / "labelmap.txt", "".join(f"{name}:{','.join(map(str, color))}::\n" for name, color in rows))


def gray_classes(root: Path) -> None:
    """Plant classes with gray colors, and a mask with a gray value that has no class."""
    (root / "classes.txt").unlink()
    write(root / "labelmap.txt", "ground:10,10,10::\nroof:60,60,60::\ntree:90,90,90::\n")
    write(root / MASK, encoded(Image.fromarray(ids(10, 60, 77)).convert("RGB"), "PNG"))


def renumbered(root: Path) -> None:
    """Plant a mask in the dataset's colors with the indices 2, 0 and 1, as some programs save palettes."""
    labelmap(root)
    image = Image.fromarray(np.array([2, 0, 1], np.uint8)[ids(0, 1, 2)])
    image.putpalette([part for place in (1, 2, 0) for part in COLORS[place]])
    write(root / MASK, encoded(image, "PNG"))


def four_bits() -> bytes:
    """Return a grayscale PNG of four bits per pixel, written byte by byte: Pillow cannot."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    row = b"\0" + bytes([0x01, 0x20, 0x12, 0x01, 0x20, 0x12])
    head = struct.pack(">IIBBBBB", 12, 8, 4, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(row * 8))
        + chunk(b"IEND", b"")
    )


LISTS = "ImageSets/Segmentation"
VAL_LIST = f"{LISTS}/val.txt"
PLANTS = [
    Plant("nothing", lambda _: None),
    Plant("no image", lambda root: (root / PHOTO).unlink(), {"photo_missing": [MASK]}),
    Plant("no mask", lambda root: (root / MASK).unlink(), {"mask_missing": [PHOTO]}),
    Plant("text instead of an image", replaced(PHOTO, b"hello"), {"photo_unreadable": [PHOTO]}),
    Plant("an empty image", replaced(PHOTO, b""), {"photo_unreadable": [PHOTO]}),
    Plant("a truncated image", cut(PHOTO), {"photo_truncated": [PHOTO]}),
    Plant("text instead of a mask", replaced(MASK, b"hello"), {"mask_unreadable": [MASK]}),
    Plant("a truncated mask", cut(MASK), {"mask_truncated": [MASK]}),
    Plant(
        "a PNG image",
        replaced(PHOTO, photo(70, "PNG"), "JPEGImages/tile_0.png"),
        {"photo_not_jpeg": ["JPEGImages/tile_0.png"]},
    ),
    Plant("a PNG named .jpg", replaced(PHOTO, photo(70, "PNG")), {"photo_not_jpeg": [PHOTO]}),
    Plant(
        "a CMYK image",
        replaced(PHOTO, encoded(Image.open(io.BytesIO(photo(70))).convert("CMYK"), "JPEG")),
        {"photo_not_rgb": [PHOTO]},
    ),
    Plant("a rotated image", replaced(PHOTO, turned()), {"photo_turned": [PHOTO]}),
    Plant(
        "a mask of the image as stored",
        turned_with_its_mask,
        {"photo_turned": [PHOTO], "mask_lying": [MASK]},
    ),
    Plant("another size", replaced(MASK, indexed(ids(0, 1, 2, 255)[:4])), {"sizes_differ": [MASK]}),
    Plant(
        "a BMP mask",
        replaced(MASK, encoded(Image.fromarray(ids(0, 1, 2)), "BMP"), "SegmentationClass/tile_0.bmp"),
        {"mask_not_png": ["SegmentationClass/tile_0.bmp"]},
    ),
    Plant("a JPEG mask", replaced(MASK, encoded(Image.fromarray(ids(0, 1)), "JPEG")), {"mask_lossy": [MASK]}),
    Plant("4 bits per pixel", replaced(MASK, four_bits()), {"mask_low_depth": [MASK]}),
    Plant(
        "1 bit per pixel",
        replaced(MASK, encoded(Image.fromarray(ids(0, 1) > 0), "PNG")),
        {"mask_low_depth": [MASK]},
    ),
    Plant("an empty mask", replaced(MASK, b""), {"mask_unreadable": [MASK]}),
    Plant(
        "three gray channels",
        replaced(MASK, encoded(Image.fromarray(ids(0, 1, 2, 255)).convert("RGB"), "PNG")),
        {"mask_rgb": [MASK]},
    ),
    Plant(
        "gray and alpha",
        replaced(MASK, encoded(Image.fromarray(ids(0, 1, 2)).convert("LA"), "PNG")),
        {"mask_rgb": [MASK]},
    ),
    Plant(
        "an unknown gray among known ones",
        gray_classes,
        {"color_unknown": [MASK]},
    ),
    Plant("a color mask", replaced(MASK, painted(ids(0, 1, 2))), {"mask_rgb": [MASK]}),
    Plant("a palette in another order", renumbered, {"mask_index": [MASK]}),
    Plant("unknown colors", replaced(MASK, photo(71, "PNG")), {"color_unknown": [MASK]}),
    Plant("16 bits", replaced(MASK, sixteen(2)), {"mask_16bit": [MASK]}),
    Plant("16 bits with large values", replaced(MASK, sixteen(2000)), {"mask_16bit": [MASK]}),
    Plant("no data in floats", tiff_mask(np.float32, -9999), {"mask_nodata": [TIFF_MASK]}),
    Plant("no data in signed integers", tiff_mask(np.int16, -1), {"mask_nodata": [TIFF_MASK]}),
    Plant("no data in unsigned integers", tiff_mask(np.uint16, 65535), {"mask_nodata": [TIFF_MASK]}),
    Plant("a value that is not an id", tiff_mask(np.uint16, 300), {"mask_16bit": [TIFF_MASK]}),
    Plant("a fraction", tiff_mask(np.float32, 0.5), {"mask_16bit": [TIFF_MASK]}),
    Plant(
        "a stray value",
        without_names_and_with(77),
        {
            "class_stray": [MASK],
            "class_not_in_validation": ["voc"],
            "classes_unnamed": ["voc"],
            "class_empty": ["voc"],
        },
    ),
    Plant(
        "labelme's names",
        lambda root: write(root / "classes.txt", "\n".join(["__ignore__", *NAMES])),
        {"names_note": ["classes.txt"]},
    ),
    Plant("a class too many", replaced(MASK, indexed(ids(0, 1, 2, 3, 9))), {"class_out_of_range": [MASK]}),
    Plant(
        "a space in a name",
        renamed("tile 0"),
        {"name_odd": [PHOTO.replace("_", " "), MASK.replace("_", " ")]},
    ),
    Plant(
        "a letter that is not ASCII",
        renamed("tülle"),
        {"name_odd": ["JPEGImages/tülle.jpg", "SegmentationClass/tülle.png"]},
    ),
    Plant(
        "two files of one name",
        lambda root: write(root / "JPEGImages/tile_0.png", photo(70, "PNG")),
        {"name_twice": ["JPEGImages/tile_0.png"]},
    ),
    Plant("a name that differs in case", renamed("TILE_1"), {"name_twice": ["JPEGImages/tile_1.jpg"]}),
    Plant(
        "a duplicate line",
        lambda root: (root / VAL_LIST).write_text("tile_6\ntile_6\ntile_7\n"),
        {"name_twice": [VAL_LIST]},
    ),
    Plant("an image twice", replaced(PHOTO, photo(1)), {"photo_twice": ["JPEGImages/tile_1.jpg"]}),
    Plant("an image in both splits", replaced(PHOTO, photo(7)), {"photo_in_both": ["JPEGImages/tile_7.jpg"]}),
    Plant(
        "a name in both splits",
        lambda root: (root / VAL_LIST).write_text("tile_0\ntile_6\ntile_7\n"),
        {"photo_in_both": [VAL_LIST]},
    ),
    Plant("an empty class", masks((0, 1), (0, 1)), {"class_empty": ["classes.txt"]}),
    Plant(
        "a class without training masks", masks((0, 1), (0, 1, 2)), {"class_not_in_train": ["classes.txt"]}
    ),
    Plant(
        "a class without validation masks",
        masks((0, 1, 2), (0, 1)),
        {"class_not_in_validation": ["classes.txt"]},
    ),
    Plant(
        "objects with value 255",
        masks((0, 255), (0, 255)),
        {"only_zero_and_255": ["voc", "voc"], "class_empty": ["classes.txt", "classes.txt"]},
    ),
    Plant(
        "only ignored pixels",
        masks((255,), (255,)),
        {"only_zero_and_255": ["voc", "voc"], "class_empty": ["classes.txt"] * 3},
    ),
    Plant(
        "link-in-a-circle",
        lambda root: (root / "JPEGImages/again").symlink_to(root),
        {"link_left_out": ["JPEGImages/again"]},
    ),
    Plant(
        "a single list",
        lambda root: (root / VAL_LIST).unlink(),
        {"list_missing": [LISTS], "not_listed": [LISTS]},
    ),
    Plant(
        "not in any list",
        lambda root: write(root / "SegmentationClass/extra.png", indexed(ids(0))),
        {"not_listed": [LISTS]},
    ),
    Plant(
        "other suffixes",
        lambda root: write(root / "JPEGImages/notes.md", b"x"),
        {"file_left_out": ["JPEGImages"]},
    ),
    Plant("no names", lambda root: (root / "classes.txt").unlink(), {"classes_unnamed": ["voc"]}),
]


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.name)
def test_each_fault_is_reported_and_counted(voc: Path, checked: Checked, plant: Plant) -> None:
    """A planted fault is reported with its code, file and what to do; nothing else is, and no file changes."""
    plant.sow(voc)
    before = digests(voc)
    report = checked(voc)
    assert count_by_code(report.problems) == {code: len(paths) for code, paths in plant.found.items()}
    for one in report.problems:
        assert one.path in plant.found[one.code]
        assert one.message.endswith(".")
        assert " object at 0x" not in one.message
        assert one.todo.endswith(".")
    assert digests(voc) == before


@pytest.mark.parametrize(
    ("sow", "severity", "said"),
    [
        (
            replaced(PHOTO, turned()),
            "error",
            "EXIF orientation 6. It is stored as 8 x 12",
        ),
        (turned_with_its_mask, "warning", "It is stored rotated, with EXIF orientation 6."),
        (
            replaced(PHOTO, turned(3)),
            "warning",
            "EXIF orientation 3. Its mask has the size",
        ),
    ],
)
def test_a_rotated_image_is_rated_by_its_mask(
    voc: Path, checked: Checked, sow: Callable[[Path], object], severity: str, said: str
) -> None:
    """A rotated image is an error where the mask matches it only upright, else a warning."""
    sow(voc)
    (found,) = (one for one in checked(voc).problems if one.code == "photo_turned")
    assert (found.severity, found.fixable) == (severity, True)
    assert said in found.message
    assert ("exiftool" in found.todo) == ("size of both" in found.message)


@pytest.mark.parametrize(("kind", "value"), [(np.float32, -9999), (np.int16, -1), (np.uint16, 65535)])
def test_values_without_data_become_255_in_a_fixed_copy(
    voc: Path, tmp_path: Path, threads: Executor, checked: Checked, *, kind: type, value: float
) -> None:
    """A value that marks no data is named with its file, never read as a class, and is 255 in a fixed copy."""
    tiff_mask(kind, value)(voc)
    (nodata,) = checked(voc).problems
    assert nodata.message == f"It holds {value} in 2 pixels, which are not class ids."
    assert "255" in nodata.todo
    source = read_dataset(voc)
    with pytest.raises(ImageError, match=f"tile_0.tif holds {value} in 2 pixels.*change them to 255"):
        read_ids((voc / TIFF_MASK).read_bytes(), TIFF_MASK, mask_colors(source.names))
    convert(plan_conversion(source, checked(voc), tmp_path / "out"), threads)
    with Image.open(tmp_path / "out/train_annotation/tile_0.png") as fixed:
        labels = np.asarray(fixed)
    assert labels[0].tolist()[:2] == [255, 255]
    assert set(np.unique(labels)) == {0, 1, 2, 255}


def test_a_stray_value_is_named_instead_of_the_classes_below_it(voc: Path, checked: Checked) -> None:
    """One stray value is reported with its file, its pixels and 255; the ids that no mask has are not listed."""
    without_names_and_with(77)(voc)
    report = checked(voc)
    stray = next(each for each in report.problems if each.code == "class_stray")
    assert (stray.path, stray.message) == (
        MASK, "It has the value 77 (2 pixels), and no mask has 3 to 76: that makes 78 classes."
    )  # fmt: skip
    assert "change it to 255" in stray.todo
    empty = [each.message for each in report.problems if each.code == "class_empty"]
    assert empty == ["74 classes are not in any mask: 3-76."]
    assert [row.class_id for row in report.histogram] == [0, 1, 2, 77, 255]


def test_an_ambiguous_palette_is_not_used(voc: Path, checked: Checked) -> None:
    """Indices are ids where a color is in the palette twice, or has no class, whatever the other colors are."""
    labelmap(voc)
    for number, palette in enumerate(([*COLORS, COLORS[0]], [*COLORS, (1, 1, 1)])):
        image = Image.fromarray(ids(0, 2, 3))
        image.putpalette([part for color in palette for part in color])
        write(voc / f"SegmentationClass/tile_{number}.png", encoded(image, "PNG"))
    assert count_by_code(checked(voc).problems) == {"class_out_of_range": 2}


def test_a_mask_of_the_stored_image_is_reported_with_the_cause(voc: Path, checked: Checked) -> None:
    """The problem has the sizes, the reason, and that a fixed copy corrects it."""
    turned_with_its_mask(voc)
    (found,) = (one for one in checked(voc).problems if one.code == "mask_lying")
    assert found.message == (
        "The mask is 8 x 12 pixels, its image is 12 x 8 upright: it was drawn on the image as stored "
        "(EXIF orientation 6)."
    )
    assert "fixed copy" in found.todo


def channels(root: Path, label_map: object, *values: int) -> Path:
    """Write a dataset in channels, whose masks have these pixel values, with a label map for training."""
    for split, count in (("train", 3), ("validation", 1)):
        for number in range(count):
            write(root / split / f"{number}.jpg", photo(number + 10 * (split == "train")))
            labels = ids(*values) if split == "train" else ids(0, 1, 2)
            write(root / f"{split}_annotation" / f"{number}.png", indexed(labels))
    write(root / "classes.txt", "ground\nroof\ntree\n")
    write(
        root / "label_map/train_label_map.json",
        label_map if isinstance(label_map, str) else json.dumps(label_map),
    )
    return root


def test_a_label_map_is_shown_as_a_table(tmp_path: Path, checked: Checked) -> None:
    """The map in the AWS documentation maps pixel values 5, 0 and 2 to 0, 1 and 2."""
    report = checked(channels(tmp_path / "set", {"map": {"0": 5, "1": 0, "2": 2}}, 5, 0, 2, 255))
    assert report.label_tables == {"train": {0: 1, 2: 2, 5: 0, 255: 255}}
    assert report.class_ids == (0, 1, 2)
    assert report.problems == ()


@pytest.mark.parametrize(
    ("label_map", "values", "fault"),
    [
        (
            {"map": {"50": 0, "0": 1, "20": 2}},
            (0, 20, 50),
            ("label_map_backwards", "pixel values 0 -> 50, 1 -> 0, 2 -> 20"),
        ),
        ({"map": {"0": 50}}, (50, 20), ("label_map_incomplete", "pixel value 20")),
        ({"scale": "3"}, (0, 3, 6, 255), ("scale_with_255", "The scale is 3")),
        ({"scale": 0}, (0, 1, 2), ("label_map_unreadable", "The scale is 0")),
        ({"maps": {}}, (0, 1, 2), ("label_map_unreadable", "It has maps")),
        ({"map": {"0": 5, "1": 5}}, (0, 1, 2), ("label_map_unreadable", "Pixel value 5 has two labels")),
        ("no json", (0, 1, 2), ("label_map_unreadable", "Expecting value")),
    ],
)
def test_an_invalid_label_map_is_reported(
    tmp_path: Path, checked: Checked, label_map: object, values: tuple[int, ...], fault: tuple[str, str]
) -> None:
    """A reversed map, one with missing values, a scale with 255, and an invalid file each have their code."""
    report = checked(channels(tmp_path / "set", label_map, *values))
    found = [one for one in report.problems if one.code == fault[0]]
    assert [one.path for one in found] == ["label_map/train_label_map.json"]
    assert fault[1] in found[0].message
    assert not report.usable


def test_a_scale_divides_and_rounds_down(tmp_path: Path, checked: Checked) -> None:
    """Scale 3 maps 0, 3 and 6 to 0, 1 and 2, as documented by AWS."""
    report = checked(channels(tmp_path / "set", {"scale": 3}, 0, 3, 6))
    assert report.label_tables == {"train": {0: 0, 3: 1, 6: 2}}
    assert report.usable


def test_an_empty_split_is_reported(voc: Path, checked: Checked) -> None:
    """A dataset without validation cannot be trained on."""
    (voc / VAL_LIST).write_text("")
    assert count_by_code(checked(voc).problems)["split_empty"] == 1


def test_a_single_list_is_split_and_reported(voc: Path, checked: Checked) -> None:
    """If only one of two lists exists, the names drawn for validation are reported with split and seed."""
    (voc / VAL_LIST).unlink()
    report = checked(voc)
    assert (report.counts["train"], report.counts["validation"]) == (5, 1)
    (found,) = (one for one in report.problems if one.code == "list_missing")
    assert found.message == (
        "There is a list train.txt, but none for validation, which training needs: 1 of the 6 names were "
        "randomly assigned to validation (validation split 0.2, split seed 0)."
    )
    assert report.usable
    (voc / LISTS / "train.txt").rename(voc / LISTS / "trainval.txt")
    (found,) = (one for one in checked(voc).problems if one.code == "list_missing")
    assert found.message.startswith("There is a list trainval.txt, but none for train and validation,")


def test_every_rule_has_a_planted_fault() -> None:
    """Every code in the table is planted here or in a test of its own, except those about objects in S3."""
    planted = {code for plant in PLANTS for code in plant.found}
    planted |= {"label_map_backwards", "label_map_incomplete", "scale_with_255", "label_map_unreadable"}
    planted |= {code for code in RULES if code.startswith(("annotation", "shape_"))}  # tests/.../annotations
    planted |= {"layout_note", "split_left_out"}  # test_layouts.py
    assert RULES.keys() - planted == {"channel", "channel_unknown", "split_empty"}


@pytest.mark.skipif(not CAMVID.is_dir(), reason="the sample of CamVid is not on this machine")
def test_faults_in_a_copy_of_a_real_dataset_are_reported(tmp_path: Path, checked: Checked) -> None:
    """One fault of each kind among 130 real pairs is reported at its file, nothing else is, and no file changes."""
    root = tmp_path / "camvid"
    shutil.copytree(CAMVID, root)
    names = (root / "ImageSets/Segmentation/train.txt").read_text().split()
    photos = [f"JPEGImages/{name}.jpg" for name in names]
    labels = [f"SegmentationClass/{name}.png" for name in names]
    with Image.open(root / labels[8]) as image:
        ids_of_one = np.asarray(image)
    (root / photos[0]).unlink()
    (root / labels[1]).unlink()
    cut(photos[2])(root)
    cut(labels[3])(root)
    write(root / photos[4], b"no picture")
    write(root / labels[5], b"no picture")
    with Image.open(root / photos[6]) as image:
        write(root / photos[6], encoded(image.convert("RGB"), "PNG"))
    with Image.open(root / labels[7]) as image:
        write(root / labels[7], encoded(image.convert("RGB"), "PNG"))
    write(root / labels[8], encoded(Image.fromarray(ids_of_one.astype(np.uint16)), "PNG"))
    write(root / labels[9], encoded(Image.fromarray(np.where(ids_of_one == 3, 11, ids_of_one)), "PNG"))
    write(root / labels[10], encoded(Image.fromarray(ids_of_one[:-1]), "PNG"))
    shutil.copy(root / photos[12], root / photos[11])
    before = digests(root)
    found = {one.code: one.path for one in checked(root).problems}
    assert found == {
        "photo_missing": labels[0],
        "mask_missing": photos[1],
        "photo_truncated": photos[2],
        "mask_truncated": labels[3],
        "photo_unreadable": photos[4],
        "mask_unreadable": labels[5],
        "photo_not_jpeg": photos[6],
        "mask_rgb": labels[7],
        "mask_16bit": labels[8],
        "class_out_of_range": labels[9],
        "sizes_differ": labels[10],
        "photo_twice": photos[12],
    }
    assert len(checked(root).problems) == len(found)
    assert digests(root) == before
