"""Reading folders in every layout: pairs of image and mask, their split, and the class names."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path

import pytest

from core.datasets.check import check, processes
from core.datasets.names import read_names
from core.datasets.problems import count_by_code
from core.datasets.readers import read_dataset
from core.datasets.report import LayoutReport
from core.datasets.source import Splitting
from core.errors import InputError
from tests.support.dataset import (
    CAMVID,
    COLORS,
    NAMES,
    digests,
    ids,
    indexed,
    painted,
    photo,
    write,
)

Checked = Callable[[Path], LayoutReport]
LABELMAP = (
    "# label:color_rgb:parts:actions\nground:10,20,30::\nroof:200,0,0::\nvoid:1,2,3::\ntree:0,200,0::\n"
)


def names_of(root: Path, split: str, **options: Splitting) -> list[str]:
    return [sample.name for sample in read_dataset(root, **options).samples if sample.split == split]


def test_a_pascal_voc_folder_is_read_by_its_lists(voc: Path, checked: Checked) -> None:
    """The lists define the splits; names come from classes.txt, colors from the palette of the masks."""
    report = checked(voc)
    assert report.kind == "pascal voc"
    assert dict(report.counts) == dict.fromkeys(("train", "train_annotation"), 6) | dict.fromkeys(
        ("validation", "validation_annotation"), 2
    )
    assert report.classes is not None
    assert (report.classes.names, report.classes.colors) == (NAMES, COLORS)
    assert report.sizes == (((12, 8), 8),)
    assert report.num_training_samples == 6


def test_the_histogram_counts_images_and_pixels(voc: Path, checked: Checked) -> None:
    """Each class is counted by images and by pixels in each split; 255 has its own row."""
    write(voc / "SegmentationClass/tile_0.png", indexed(ids(1)))
    rows = {row.name: row for row in checked(voc).histogram}
    assert list(rows) == [*NAMES, "ignore"]
    assert (rows["roof"].images, rows["roof"].pixels) == (
        {"train": 6, "validation": 2},
        {"train": 5 * 24 + 96, "validation": 48},
    )
    assert (rows["tree"].images["train"], rows["ignore"].pixels["train"]) == (5, 120)


def test_pairs_are_filtered_by_class_and_by_problem(voc: Path, checked: Checked) -> None:
    """The pairs that show a class, and those that have a problem, can be selected."""
    write(voc / "SegmentationClass/tile_0.png", indexed(ids(0, 1)))
    write(voc / "JPEGImages/tile_1.jpg", photo(70, "PNG"))
    report = checked(voc)
    assert len(list(report.select(class_id=2))) == 7
    assert [one.sample.name for one in report.select(code="photo_not_jpeg")] == ["tile_1"]


def test_a_dataset_may_be_nested(voc: Path, tmp_path: Path) -> None:
    """VOCdevkit/VOC2012 is found from the outer folder."""
    target = tmp_path / "devkit/VOCdevkit/VOC2012"
    target.parent.mkdir(parents=True)
    voc.rename(target)
    assert read_dataset(tmp_path / "devkit").root == target


def test_a_mask_export_in_colors_is_read(voc: Path, checked: Checked) -> None:
    """labelmap.txt defines the colors, its void is ignored; a single list named default is split by the seed."""
    (voc / "classes.txt").unlink()
    write(voc / "labelmap.txt", LABELMAP)
    for number in range(8):
        write(voc / f"SegmentationClass/tile_{number}.png", painted(ids(0, 1, 2, 255)))
    (voc / "ImageSets/Segmentation/val.txt").unlink()
    (voc / "ImageSets/Segmentation/train.txt").rename(voc / "ImageSets/Segmentation/default.txt")
    report = checked(voc)
    assert report.classes is not None
    assert report.classes.names == NAMES
    assert report.class_ids == (0, 1, 2)
    assert count_by_code(report.problems) == {"mask_rgb": 6, "list_missing": 1, "not_listed": 1}
    assert report.problems[-2].severity == "note"
    assert (report.counts["train"], report.counts["validation"]) == (5, 1)


def test_colors_of_one_mask_are_those_of_the_palette(voc: Path, checked: Checked) -> None:
    """Without colors in a file, the palette of the indexed masks defines them: the counts are the same."""
    before = checked(voc).histogram
    write(voc / "SegmentationClass/tile_0.png", painted(ids(0, 1, 2, 0)))
    mixed = checked(voc).histogram
    write(voc / "SegmentationClass/tile_0.png", indexed(ids(0, 1, 2, 0)))
    assert checked(voc).histogram == mixed != before


def test_two_folders_are_split_by_ratio_and_seed(tmp_path: Path) -> None:
    """The same seed gives the same split, another seed another one; name endings of masks do not matter."""
    for number in range(20):
        write(tmp_path / f"images/{number:02}.jpg", photo(number))
        write(tmp_path / f"masks/{number:02}_mask.png", indexed(ids(0, 1)))
    first = names_of(tmp_path, "validation", splitting=Splitting(0.25, 1))
    assert len(first) == 5
    assert first == names_of(tmp_path, "validation", splitting=Splitting(0.25, 1))
    assert first != names_of(tmp_path, "validation", splitting=Splitting(0.25, 2))
    assert all(sample.mask for sample in read_dataset(tmp_path).samples)
    with pytest.raises(InputError, match="validation split is 1"):
        Splitting(1.0)


def test_train_and_val_within_two_folders_count(tmp_path: Path) -> None:
    """The folders images/train and masks/train define the split."""
    for split, count in (("train", 3), ("val", 2)):
        for number in range(count):
            write(tmp_path / f"images/{split}/{number}.jpg", photo(number))
            write(tmp_path / f"masks/{split}/{number}.png", indexed(ids(0, 1)))
    assert names_of(tmp_path, "train") == ["train/0", "train/1", "train/2"]
    assert names_of(tmp_path, "validation") == ["val/0", "val/1"]


def test_masks_without_names_are_numbered_in_their_own_colors(voc: Path, checked: Checked) -> None:
    """Without class names there are as many classes as the highest id requires, 21 too."""
    (voc / "classes.txt").unlink()
    report = checked(voc)
    assert report.classes is not None
    assert (report.named, report.classes.names[2], report.classes.colors) == (False, "class 2", COLORS)
    for number in range(8):
        write(voc / f"SegmentationClass/tile_{number}.png", indexed(ids(0, 20)))
    found = checked(voc).classes
    assert found is not None
    assert found.names[15] == "class 15"


def test_a_class_names_file_can_be_given(voc: Path, tmp_path: Path) -> None:
    """A given class names file is used instead of the dataset's own."""
    write(tmp_path / "mine.txt", "a\nb\n")
    names = read_dataset(voc, classes=tmp_path / "mine.txt").names
    assert names.classes is not None
    assert names.classes.names == ("a", "b")


def test_labelmes_first_line_is_not_a_class(tmp_path: Path) -> None:
    """labelme's labels.txt begins with __ignore__, whose id is -1: the next line is class 0, and a note says so."""
    write(tmp_path / "labels.txt", "__ignore__\n_background_\napple\npea\n")
    names = read_names(tmp_path / "labels.txt", "labels.txt")
    assert names.classes is not None
    assert names.classes.names == ("_background_", "apple", "pea")
    assert names.notes == (
        "labels.txt begins with __ignore__ (labelme's id -1), which is 255 in masks; class 0 is _background_.",
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("apple\n__ignore__\npea", "has __ignore__ in line 2"),
        ("__ignore__", "0 class names"),
        ("", "has no class names"),
        ("a:1,2,3\nb:1,2,3", "'b:1,2,3'"),
        ("a:1,2,300", "'a:1,2,300'"),
        ("\n" * 2_000_000, "2,000,000 bytes; at most"),
        ("a\n" * 255, r"labelmap\.txt is invalid\. There are 255 class names"),
        ("{", r"labelmap\.txt is invalid\."),
    ],
)
def test_an_invalid_class_names_file_is_refused(tmp_path: Path, text: str, said: str) -> None:
    """An empty file, a color twice, a color value above 255 and a file that is not text are each refused."""
    write(tmp_path / "labelmap.txt", text)
    with pytest.raises(InputError, match=said):
        read_names(tmp_path / "labelmap.txt")


def test_lists_may_hold_paths(voc: Path) -> None:
    """Lists may have CRLF, spaces, suffixes, a byte order mark, and both paths of a pair in a line."""
    lines = ["\ufefftile_0  ", "tile_1.jpg", "tile_2.JPG\t", "JPEGImages/tile_3.jpg", "", "tile_4 -1"]
    lines += ["/voc/JPEGImages/tile_5.jpg /voc/SegmentationClass/tile_5.png"]
    write(voc / "ImageSets/Segmentation/train.txt", "\r\n".join(lines))
    assert names_of(voc, "train") == [f"tile_{number}" for number in range(6)]


def test_accents_pair_up_however_they_are_written(voc: Path) -> None:
    """macOS decomposes accented characters in file names, other systems do not: it is the same name."""
    (voc / "JPEGImages/tile_0.jpg").rename(voc / "JPEGImages/cafe\u0301.jpg")
    (voc / "SegmentationClass/tile_0.png").rename(voc / "SegmentationClass/caf\u00e9.png")
    write(voc / "ImageSets/Segmentation/train.txt", "cafe\u0301\ntile_1\n")
    (found, _) = (one for one in read_dataset(voc).samples if one.split == "train")
    assert (found.image, found.mask) == ("JPEGImages/cafe\u0301.jpg", "SegmentationClass/caf\u00e9.png")


def test_a_dataset_without_its_images_is_reported(voc: Path) -> None:
    """A folder that the layout requires and that does not exist is reported, and that it must be added."""
    (voc / "JPEGImages").rename(voc / "elsewhere")
    with pytest.raises(InputError, match=r"JPEGImages cannot be read\. No such file or directory\. Add it"):
        read_dataset(voc)


def test_other_folders_are_reported_with_their_content(tmp_path: Path) -> None:
    """The error has the content of the folder and the supported layouts."""
    write(tmp_path / "notes.txt", "x")
    with pytest.raises(InputError, match=r"contains notes\.txt.*Pascal VOC"):
        read_dataset(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        read_dataset(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"notes\.txt is neither a folder nor a ZIP file"):
        read_dataset(tmp_path / "notes.txt")


def test_worker_processes_give_the_same_report(voc: Path, checked: Checked) -> None:
    """Validation in worker processes gives the same report as in one process, and reports its progress."""
    (voc / "JPEGImages/tile_0.jpg").write_bytes(b"x")
    told: list[tuple[int, int]] = []
    with processes() as executor:
        report = check(read_dataset(voc), executor, on_progress=lambda *so_far: told.append(so_far))
    assert report == checked(voc)
    assert told[-1] == (8, 8)


def test_a_validation_can_be_canceled(voc: Path, threads: Executor) -> None:
    """An exception from the progress callback ends the validation."""

    def stop(*_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check(read_dataset(voc), threads, on_progress=stop)


@pytest.mark.skipif(not CAMVID.is_dir(), reason="the sample of CamVid is not on this machine")
def test_a_real_dataset_is_valid(checked: Checked) -> None:
    """CamVid's sample has 100 and 30 pairs and eleven classes in its own colors, all of them in both splits."""
    before = digests(CAMVID)
    report = checked(CAMVID)
    assert report.problems == ()
    assert (report.counts["train"], report.counts["validation"]) == (100, 30)
    assert report.class_ids == tuple(range(11))
    assert report.classes is not None
    assert (report.classes.names[0], report.classes.colors[0]) == ("sky", (128, 128, 128))
    assert digests(CAMVID) == before


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("classes.txt", "It is a named pipe"),
        ("ImageSets/Segmentation/train.txt", "It is a named pipe"),
        ("output.manifest", "It is a named pipe"),
    ],
)
def test_a_pipe_in_place_of_a_list_is_refused(voc: Path, path: str, why: str) -> None:
    """A named pipe instead of a text file is one error with its name, and does not block."""
    (voc / path).unlink(missing_ok=True)
    os.mkfifo(voc / path)
    with pytest.raises(InputError, match=why) as caught:
        read_dataset(voc)
    assert Path(path).name in caught.value.what


def test_special_files_in_a_dataset_are_problems(voc: Path, checked: Callable[[Path], LayoutReport]) -> None:
    """Pipes, devices and sockets among images and masks are each a problem of that file; the rest is validated."""
    for name in ("JPEGImages/tile_0.jpg", "SegmentationClass/tile_0.png", "SegmentationClass/tile_1.png"):
        (voc / name).unlink()
    os.mkfifo(voc / "JPEGImages/tile_0.jpg")
    os.mkfifo(voc / "SegmentationClass/tile_0.png")
    (voc / "SegmentationClass/tile_1.png").symlink_to("/dev/zero")
    report = checked(voc)
    told = {problem.path: problem.message for problem in report.problems}
    assert told["JPEGImages/tile_0.jpg"].endswith("It is a named pipe, not a regular file.")
    assert told["SegmentationClass/tile_0.png"].endswith("It is a named pipe, not a regular file.")
    assert told["SegmentationClass/tile_1.png"].endswith("It is a device, not a regular file.")
