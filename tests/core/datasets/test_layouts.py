"""Layouts with masks that public tools write: pairs, splits, and what is a question or a note."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.datasets.choices import ChoiceNeededError
from core.datasets.cityscapes import LABEL_IDS, TRAIN_IDS, cityscapes_classes
from core.datasets.readers import read_dataset
from core.datasets.source import Dataset
from core.datasets.upload_plan import UploadOrder
from core.errors import InputError
from tests.support.dataset import ids, indexed, photo, write


def samples(source: Dataset) -> dict[str, tuple[str, str, str]]:
    return {each.name: (each.split, each.image, each.mask) for each in source.samples}


def codes(source: Dataset) -> dict[str, str]:
    return {problem.code: f"{problem.path}: {problem.message}" for problem in source.problems}


def pair(root: Path, image: str, mask: str) -> None:
    write(root / image, photo(sum(map(ord, image))))
    write(root / mask, indexed(ids(0, 1)))


def cityscapes(root: Path, *ends: str, masks: str = "gtFine") -> Path:
    for split in ("train", "val", "test"):
        write(root / f"leftImg8bit/{split}/bern/bern_0_1_leftImg8bit.png", photo(1, "PNG"))
        for end in ends:
            write(root / f"{masks}/{split}/bern/bern_0_1_{masks}_{end}.png", indexed(ids(0)))
        write(root / f"{masks}/{split}/bern/bern_0_1_{masks}_color.png", indexed(ids(0)))
    return root


def test_cityscapes_asks_for_the_kind_of_ids(tmp_path: Path) -> None:
    """With both kinds, the user chooses between labelIds and trainIds; each has its own classes."""
    root = cityscapes(tmp_path / "cs", "labelIds", "labelTrainIds")
    with pytest.raises(ChoiceNeededError, match=r"labelIds \(34 classes\) and with trainIds") as raised:
        read_dataset(root)
    assert raised.value.options == (LABEL_IDS, TRAIN_IDS)
    for kind, end, count in (("labelids", "labelIds", 34), (TRAIN_IDS, "labelTrainIds", 19)):
        source = read_dataset(root, choices=(kind,))
        assert samples(source) == {
            f"{folder}/bern/bern_0_1": (
                split,
                f"leftImg8bit/{folder}/bern/bern_0_1_leftImg8bit.png",
                f"gtFine/{folder}/bern/bern_0_1_gtFine_{end}.png",
            )
            for folder, split in (("train", "train"), ("val", "validation"))
        }
        assert source.names.classes is not None
        assert len(source.names.classes) == count
        assert "1 image for testing left out" in codes(source)["split_left_out"]


def test_cityscapes_says_which_ids_it_has(tmp_path: Path) -> None:
    """With one kind, it is used and reported; another choice is refused; coarse masks are masks too."""
    source = read_dataset(cityscapes(tmp_path / "cs", "labelIds", masks="gtCoarse"))
    assert "masks with labelIds in gtCoarse are used, with the 34 classes" in codes(source)["layout_note"]
    with pytest.raises(InputError, match=r"no annotations named trainIds\. There are labelIds"):
        read_dataset(tmp_path / "cs", choices=(TRAIN_IDS,))
    cityscapes(tmp_path / "cs", "labelIds")
    with pytest.raises(ChoiceNeededError, match=r"fine and coarse"):
        read_dataset(tmp_path / "cs")
    assert read_dataset(tmp_path / "cs", choices=("gtFine",)).samples[0].mask.startswith("gtFine/")
    with pytest.raises(InputError, match=r"no masks with class ids"):
        read_dataset(cityscapes(tmp_path / "colors"))


def test_cityscapes_classes_are_in_order() -> None:
    """Label id 7 is the road, train id 0; the 19 train ids are those of the paper."""
    assert cityscapes_classes(LABEL_IDS).names[7] == cityscapes_classes(TRAIN_IDS).names[0] == "road"
    assert cityscapes_classes(LABEL_IDS).names[33] == cityscapes_classes(TRAIN_IDS).names[18] == "bicycle"


@pytest.mark.parametrize(("images", "masks"), [("images", "masks"), ("img", "labels"), ("Image", "ann_dir")])
def test_split_first(tmp_path: Path, images: str, masks: str) -> None:
    """A folder for each split with images and masks in it; the one for testing is left out, which is reported."""
    for split in ("train", "valid", "test"):
        pair(tmp_path, f"{split}/{images}/{split}.jpg", f"{split}/{masks}/{split}_mask.png")
    source = read_dataset(tmp_path)
    assert source.kind == "split first"
    assert samples(source) == {
        "train/train": ("train", f"train/{images}/train.jpg", f"train/{masks}/train_mask.png"),
        "valid/valid": ("validation", f"valid/{images}/valid.jpg", f"valid/{masks}/valid_mask.png"),
    }
    assert codes(source) == {"split_left_out": "test: 2 files for testing left out."}


@pytest.mark.parametrize(
    "layout", ["images/{0}/{1}.jpg masks/{0}/{1}.png", "{0}/images/{1}.jpg {0}/masks/{1}.png"]
)
def test_a_single_split_is_divided_at_random(tmp_path: Path, layout: str) -> None:
    """A folder for training alone, with one for testing, is divided with the split seed, which is reported."""
    for split, count in (("train", 5), ("test", 2)):
        for number in range(count):
            pair(tmp_path, *layout.format(split, f"{split}{number}").split())
    source = read_dataset(tmp_path)
    assert [split for split, *_ in samples(source).values()].count("validation") == 1
    assert len(source.samples) == 5
    assert "so the split is random (validation split 0.2, split seed 0)" in codes(source)["layout_note"]
    assert "for testing left out" in codes(source)["split_left_out"]


def test_folders_for_training_validation_and_testing(tmp_path: Path) -> None:
    """A folder for testing next to those for training and validation no longer makes the split random."""
    for split in ("train", "val", "test"):
        for number in range(3):
            pair(tmp_path, f"img_dir/{split}/{number}.jpg", f"ann_dir/{split}/{number}.png")
    source = read_dataset(tmp_path)
    assert {name: split for name, (split, *_) in samples(source).items()} == {
        f"{folder}/{number}": split
        for folder, split in (("train", "train"), ("val", "validation"))
        for number in range(3)
    }


def test_roboflow(tmp_path: Path) -> None:
    """Masks are next to the images with _mask in their names; _classes.csv has the names by pixel value."""
    for split in ("train", "valid"):
        pair(tmp_path, f"{split}/a.rf.1.jpg", f"{split}/a.rf.1_mask.png")
        write(tmp_path / f"{split}/_classes.csv", "Pixel Value, Class\n 0, ground\n 2, roof\n")
    source = read_dataset(tmp_path)
    assert source.kind == "roboflow"
    assert source.names.classes is not None
    assert source.names.classes.names == ("ground", "class 1", "roof")
    assert samples(source)["valid/a.rf.1"] == ("validation", "valid/a.rf.1.jpg", "valid/a.rf.1_mask.png")
    write(tmp_path / "valid/_classes.csv", "Pixel Value, Class\n 0, sky\n")
    with pytest.raises(
        InputError, match=r"train/_classes\.csv and valid/_classes\.csv have different classes"
    ):
        read_dataset(tmp_path)
    write(tmp_path / "train/_classes.csv", "filename,sky\n")
    with pytest.raises(InputError, match=r"train/_classes\.csv has no class names"):
        read_dataset(tmp_path)


def test_one_folder(tmp_path: Path) -> None:
    """A mask has its image's name, as a PNG next to a JPEG or with an ending; what is used as a mask is reported."""
    pair(tmp_path, "a.jpg", "a.png")
    pair(tmp_path, "b.png", "b_mask.png")
    pair(tmp_path, "c.jpg", "c_gt.png")
    write(tmp_path / "d.jpg", photo(4))
    write(tmp_path / "a.webp", photo(5, "WEBP"))
    source = read_dataset(tmp_path)
    assert source.kind == "one folder"
    assert {name: row[1:] for name, row in samples(source).items()} == {
        "a": ("a.jpg", "a.png"),
        "b": ("b.png", "b_mask.png"),
        "c": ("c.jpg", "c_gt.png"),
        "d": ("d.jpg", ""),
    }
    assert codes(source)["layout_note"] == ".: 1 file with the name of a JPEG used as its mask: a.png."
    assert codes(source)["file_left_out"] == ".: 1 file skipped: a.webp."
    assert "mask_missing" in codes(source)


def test_images_alone_are_not_a_dataset(tmp_path: Path) -> None:
    """A folder of images without masks is refused with what it contains."""
    write(tmp_path / "a.jpg", photo(1))
    write(tmp_path / "b.png", photo(2, "PNG"))
    with pytest.raises(InputError, match=r"not a dataset in a supported layout\. It contains a\.jpg, b\.png"):
        read_dataset(tmp_path)


def test_labelme_exports_masks_next_to_arrays(tmp_path: Path) -> None:
    """The PNGs of labelme2voc are used; with PNGs in both folders, the user chooses."""
    for name in ("a", "b", "c"):
        pair(tmp_path, f"JPEGImages/{name}.jpg", f"SegmentationClassPNG/{name}.png")
        write(tmp_path / f"SegmentationClass/{name}.npy", b"x")
    assert read_dataset(tmp_path).samples[0].mask == "SegmentationClassPNG/a.png"
    write(tmp_path / "SegmentationClass/a.png", indexed(ids(1)))
    with pytest.raises(ChoiceNeededError, match=r"SegmentationClassPNG, SegmentationClass\."):
        read_dataset(tmp_path)
    source = read_dataset(tmp_path, choices=("SegmentationClass",))
    assert source.samples[0].mask == "SegmentationClass/a.png"
    assert source.choices == ("SegmentationClass",)


def test_a_choice_survives_in_a_plan() -> None:
    """The choice of masks is part of an upload's plan, and a plan from before there were choices is still read."""
    order = UploadOrder("/d", "b", "p/", 0.2, 0, "", 1, 1, overwrite=False, choices=("trainIds",))
    assert UploadOrder.from_params(order.to_params()) == order
    assert UploadOrder.from_params({**order.to_params(), "choices": ["trainIds"]}) == order
    old = {name: value for name, value in order.to_params().items() if name != "choices"}
    assert UploadOrder.from_params(old).choices == ()
