"""A fixed copy of a dataset in channels: planned, written completely or not at all, the original unchanged."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from core.datasets.check import check
from core.datasets.convert import Conversion, convert, plan_conversion
from core.datasets.readers import read_dataset
from core.datasets.report import LayoutReport
from core.errors import InputError
from core.imaging.classes import Classes
from tests.support.dataset import COLORS, NAMES, digests, encoded, ids, indexed, painted, photo, write

Checked = Callable[[Path], LayoutReport]


def planned(root: Path, out: Path, executor: Executor) -> Conversion:
    source = read_dataset(root)
    return plan_conversion(source, check(source, executor), out)


def mask(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        assert image.mode == "P"
        return np.asarray(image)


def test_a_valid_dataset_is_copied_byte_for_byte(
    voc: Path, tmp_path: Path, threads: Executor, checked: Checked
) -> None:
    """Valid images and masks are copied unchanged; names and colors are in classes.json."""
    before = digests(voc)
    plan = planned(voc, tmp_path / "out", threads)
    told: list[tuple[int, int]] = []
    convert(plan, threads, on_progress=lambda *so_far: told.append(so_far))
    assert told[-1] == (8, 8)
    out = tmp_path / "out"
    assert (out / "train/tile_0.jpg").read_bytes() == (voc / "JPEGImages/tile_0.jpg").read_bytes()
    assert (out / "train_annotation/tile_0.png").read_bytes() == (
        voc / "SegmentationClass/tile_0.png"
    ).read_bytes()
    assert Classes.from_json((out / "classes.json").read_text()) == Classes(NAMES, COLORS)
    report = checked(out)
    assert (report.kind, report.problems, report.counts["validation"]) == ("channels", (), 2)
    assert digests(voc) == before


def test_everything_fixable_is_fixed(voc: Path, tmp_path: Path, threads: Executor, checked: Checked) -> None:
    """Colors become ids, PNG images JPEG, 16 bits 8, unsafe names safe; the copy has no problems."""
    exif = Image.Exif()
    exif[0x0112] = 6
    upright = Image.open(io.BytesIO(photo(60))).convert("RGB")
    (voc / "classes.txt").unlink()
    rows = zip(NAMES, COLORS, strict=True)
    write(voc / "labelmap.txt", "".join(f"{name}:{','.join(map(str, color))}::\n" for name, color in rows))
    write(voc / "SegmentationClass/tile_0.png", painted(ids(2, 1, 0, 255)))
    write(
        voc / "SegmentationClass/tile_1.png",
        encoded(Image.fromarray(ids(2, 1, 255).astype(np.uint16)), "PNG"),
    )
    write(voc / "JPEGImages/tile_2.jpg", photo(61, "PNG"))
    write(
        voc / "JPEGImages/tile_3.jpg",
        encoded(upright.transpose(Image.Transpose.ROTATE_90), "JPEG", exif=exif),
    )
    (voc / "JPEGImages/tile_4.jpg").rename(voc / "JPEGImages/ünser Dach.jpg")
    (voc / "SegmentationClass/tile_4.png").rename(voc / "SegmentationClass/ünser Dach.png")
    lines = (voc / "ImageSets/Segmentation/train.txt").read_text().replace("tile_4", "ünser Dach")
    write(voc / "ImageSets/Segmentation/train.txt", lines)
    before = digests(voc)
    assert not checked(voc).usable
    plan = planned(voc, tmp_path / "out", threads)
    assert plan.to_dict() | {"from": "", "to": ""} == {
        "from": "",
        "to": "",
        "pairs": {"train": 6, "validation": 2},
        "photographs_written_anew": 2,
        "masks_written_anew": 2,
        "masks_turned": 0,
        "renamed": {"ünser Dach": "_nser_Dach"},
        "left_out": [],
        "num_classes": 3,
        "notes": [],
    }
    assert "Files renamed: 1: ünser Dach -> _nser_Dach" in str(plan)
    convert(plan, threads)
    out = tmp_path / "out"
    assert mask(out / "train_annotation/tile_0.png").tolist() == ids(2, 1, 0, 255).tolist()
    assert mask(out / "train_annotation/tile_1.png").tolist() == ids(2, 1, 255).tolist()
    with Image.open(out / "train/tile_3.jpg") as image:
        assert (image.format, image.size, image.getexif().get(0x0112)) == ("JPEG", (12, 8), None)
    assert checked(out).problems == ()
    assert digests(voc) == before


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_a_mask_of_the_stored_image_is_rotated_with_it(
    voc: Path, tmp_path: Path, threads: Executor, checked: Checked, orientation: int
) -> None:
    """A mask that was drawn on the image as stored is rotated, so that each pixel still matches the image."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    marked = np.zeros((12, 8), np.uint8)
    marked[:6, :4] = 1
    stored = Image.fromarray(np.repeat(marked[..., None] * np.uint8(200), 3, axis=2))
    write(voc / "JPEGImages/tile_0.jpg", encoded(stored, "JPEG", exif=exif, quality=95))
    write(voc / "SegmentationClass/tile_0.png", indexed(marked))
    plan = planned(voc, tmp_path / "out", threads)
    assert plan.to_dict()["masks_turned"] == 1
    assert "Masks rotated to match their images: 1" in str(plan)
    convert(plan, threads)
    found = mask(tmp_path / "out/train_annotation/tile_0.png")
    with Image.open(tmp_path / "out/train/tile_0.jpg") as image:
        assert image.getexif().get(0x0112) is None
        assert (np.asarray(image.convert("L")) > 100).tolist() == (found == 1).tolist()
    assert found.sum() == 24
    assert checked(tmp_path / "out").usable


def test_palette_colors_count_if_the_indices_are_arbitrary(
    voc: Path, tmp_path: Path, threads: Executor, checked: Checked
) -> None:
    """A mask whose palette orders the colors arbitrarily gets the ids of their classes."""
    rows = zip(NAMES, COLORS, strict=True)
    write(voc / "labelmap.txt", "".join(f"{name}:{','.join(map(str, color))}::\n" for name, color in rows))
    image = Image.fromarray(np.array([2, 0, 1], np.uint8)[ids(0, 1, 2)])
    image.putpalette([part for place in (1, 2, 0) for part in COLORS[place]])
    write(voc / "SegmentationClass/tile_3.png", encoded(image, "PNG"))
    convert(planned(voc, tmp_path / "out", threads), threads)
    assert mask(tmp_path / "out/train_annotation/tile_3.png").tolist() == ids(0, 1, 2).tolist()
    assert checked(tmp_path / "out").usable


def test_gray_values_in_three_channels_become_ids(voc: Path, tmp_path: Path, threads: Executor) -> None:
    """A gray mask that was saved in color keeps its values as ids."""
    write(
        voc / "SegmentationClass/tile_0.png",
        encoded(Image.fromarray(ids(0, 1, 2, 255)).convert("RGBA"), "PNG"),
    )
    convert(planned(voc, tmp_path / "out", threads), threads)
    assert mask(tmp_path / "out/train_annotation/tile_0.png").tolist() == ids(0, 1, 2, 255).tolist()


def test_a_label_map_is_applied(tmp_path: Path, threads: Executor, checked: Checked) -> None:
    """The copy has the labels themselves and needs no label map; a scale does not change 255."""
    root = tmp_path / "set"
    for split in ("train", "validation"):
        write(root / split / "0.jpg", photo(split == "train"))
        write(root / f"{split}_annotation/0.png", indexed(ids(0, 3, 6, 255)))
        write(root / f"label_map/{split}_label_map.json", json.dumps({"scale": "3"}))
    write(root / "classes.txt", "\n".join(NAMES))
    convert(planned(root, tmp_path / "out", threads), threads)
    assert mask(tmp_path / "out/train_annotation/0.png").tolist() == ids(0, 1, 2, 255).tolist()
    assert checked(tmp_path / "out").problems == ()


def test_what_cannot_be_fixed_is_skipped_and_named(voc: Path, tmp_path: Path, threads: Executor) -> None:
    """A damaged image and a mask of another size are skipped, and the plan lists them."""
    (voc / "JPEGImages/tile_0.jpg").write_bytes(b"x")
    write(voc / "SegmentationClass/tile_1.png", indexed(ids(0)[:3]))
    plan = planned(voc, tmp_path / "out", threads)
    assert plan.left_out == ("JPEGImages/tile_0.jpg", "JPEGImages/tile_1.jpg")
    assert "Skipped, because they cannot be fixed: 2: JPEGImages/tile_0.jpg, JPEGImages/tile_1.jpg" in str(
        plan
    )
    convert(plan, threads)
    assert len(list((tmp_path / "out/train").iterdir())) == 4


def test_conflicting_names_become_unique(tmp_path: Path, threads: Executor) -> None:
    """Two images with the same name in two folders get two names; each keeps its own mask."""
    for folder, value in (("a", 0), ("b", 1), ("c", 2)):
        write(tmp_path / f"set/images/{folder}/x.jpg", photo(value))
        write(tmp_path / f"set/masks/{folder}/x.png", indexed(ids(value)))
    convert(planned(tmp_path / "set", tmp_path / "out", threads), threads)
    for path in (tmp_path / "out").glob("*/*.jpg"):
        found = path.parent.with_name(f"{path.parent.name}_annotation") / f"{path.stem}.png"
        value = mask(found)[0, 0]
        assert path.read_bytes() == photo(int(value))


def test_a_folder_that_is_not_empty_is_refused(voc: Path, tmp_path: Path, threads: Executor) -> None:
    """Existing files are not overwritten, nothing is written into the dataset itself, and the parent must exist."""
    write(tmp_path / "out/mine.txt", "mine")
    with pytest.raises(InputError, match="is not empty"):
        planned(voc, tmp_path / "out", threads)
    with pytest.raises(InputError, match="is inside the dataset"):
        planned(voc, voc / "out", threads)
    with pytest.raises(InputError, match="does not exist"):
        planned(voc, tmp_path / "a/b/c", threads)
    plan = planned(voc, tmp_path / "later", threads)
    write(tmp_path / "later/mine.txt", "mine")
    with pytest.raises(InputError, match="is not empty"):
        convert(plan, threads)
    assert [path.name for path in (tmp_path / "later").iterdir()] == ["mine.txt"]


def test_a_conversion_that_ends_early_leaves_nothing(voc: Path, tmp_path: Path, threads: Executor) -> None:
    """A canceled conversion, or one with a missing file, leaves neither the folder nor a part of it."""

    def stop(*_: int) -> None:
        raise KeyboardInterrupt

    plan = planned(voc, tmp_path / "out", threads)
    with pytest.raises(KeyboardInterrupt):
        convert(plan, threads, on_progress=stop)
    (voc / "JPEGImages/tile_0.jpg").unlink()
    with pytest.raises(InputError, match="No such file"):
        convert(plan, threads)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["voc"]


def test_two_conversions_do_not_collide(voc: Path, tmp_path: Path, threads: Executor) -> None:
    """A folder that another conversion is writing, or left when it was killed, is reported and not changed."""
    plan = planned(voc, tmp_path / "out", threads)
    write(tmp_path / ".out.part/train/theirs.jpg", "theirs")
    with pytest.raises(InputError, match=r"\.out\.part already exists.*delete that folder"):
        convert(plan, threads)
    assert (tmp_path / ".out.part/train/theirs.jpg").read_text() == "theirs"


def test_faults_of_the_whole_dataset_must_be_fixed_first(
    voc: Path, tmp_path: Path, threads: Executor
) -> None:
    """A dataset without validation, and one whose objects are 255, cannot be converted."""
    for number in range(8):
        write(voc / f"SegmentationClass/tile_{number}.png", indexed(ids(0, 255)))
    with pytest.raises(InputError, match="only 0 and 255"):
        planned(voc, tmp_path / "out", threads)
    (voc / "ImageSets/Segmentation/val.txt").write_text("")
    with pytest.raises(InputError, match="must be fixed first"):
        planned(voc, tmp_path / "out", threads)
