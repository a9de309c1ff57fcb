"""The readers of annotation formats: what each tool's files mean, and that nothing is left out silently."""

from __future__ import annotations

import base64
import json
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from core.datasets.choices import ChoiceNeededError
from core.datasets.prepare import ReadOptions, prepared_dataset
from core.datasets.readers import AnnotationsError, read_dataset
from core.errors import InputError
from tests.core.datasets.annotations.conftest import Draw
from tests.support.dataset import SIZE, encoded, ids, indexed, photo, write

WIDTH, HEIGHT = SIZE
LEFT, MIDDLE = [0, 0, 6, 0, 6, 8, 0, 8], [3, 0, 9, 0, 9, 8, 3, 8]


def stripes(*values: int) -> list[list[int]]:
    """Return a mask with these values in columns of equal width."""
    return np.tile(np.repeat(values, WIDTH // len(values)), (HEIGHT, 1)).tolist()


def coco(root: Path, annotations: list[dict[str, Any]], **changes: Any) -> Path:
    """Write COCO JSON for one image with the categories 4 (roof) and 9 (tree)."""
    rows = [{"image_id": 5, "category_id": 4, "iscrowd": 0, **row} for row in annotations]
    document = {
        "images": [{"id": 5, "file_name": "a.jpg", "width": WIDTH, "height": HEIGHT}],
        "annotations": rows,
        "categories": [{"id": 9, "name": "tree"}, {"id": 4, "name": "roof"}],
    }
    write(root / "a.jpg", photo(1))
    write(root / changes.pop("file", "annotations.json"), json.dumps(document | changes))
    return root


def test_coco_draws_in_the_order_of_the_file(tmp_path: Path, draw: Draw) -> None:
    """The later annotation is above, a crowd below all others; class ids follow the order of the category ids."""
    crowd = {"size": [HEIGHT, WIDTH], "counts": [0, WIDTH * HEIGHT]}
    rows = [
        {"segmentation": [LEFT]},
        {"segmentation": [MIDDLE], "category_id": 9},
        {"segmentation": crowd, "iscrowd": 1},
    ]
    drawn = draw(coco(tmp_path / "coco", rows))
    assert drawn.names == ("background", "roof", "tree")
    assert drawn.mask().tolist() == stripes(1, 2, 2, 1)
    assert drawn.source.kind == "coco"
    assert "48 pixels in shapes of different classes" in drawn.codes["shape_overlap"]
    assert "1 crowd drawn below the other shapes" in drawn.codes["annotation_note"]
    assert (
        "Drew 3 shapes of COCO JSON on 1 image; where shapes overlap, the upper one is used." in drawn.notes
    )
    assert "The category ids 4 to 9 became class ids without gaps, in the same order." in drawn.notes
    assert "Pixels without a shape became background, class 0." in drawn.notes


def test_coco_names_what_it_leaves_out(tmp_path: Path, draw: Draw) -> None:
    """Boxes alone, unknown categories, broken outlines and parts outside of the image are named."""
    rows = [
        {"segmentation": [], "bbox": [0, 0, 3, 3]},
        {"segmentation": [LEFT], "category_id": 77},
        {"segmentation": [[1, 1, 2, 2]]},
        {"segmentation": [[0, 0, 1, 1, 2]]},
        {"segmentation": {"size": [HEIGHT, WIDTH], "counts": "X"}},
        {"segmentation": [[-4, 0, 6, 0, 6, 8, -4, 8], [1, 1, 2, 2]]},
        {"segmentation": [[40, 40, 50, 40, 50, 50]]},
    ]
    drawn = draw(coco(tmp_path / "coco", rows))
    assert drawn.mask().tolist() == stripes(1, 0)
    left_out = drawn.codes["shape_left_out"]
    assert left_out.startswith("images/a.jpg: 6 annotations left out (annotations.json): ")
    for text in ("roof: an annotation without an outline, such as a box", "category 77", "odd number"):
        assert text in left_out
    assert "2 annotations cut off at the edge of the image" in drawn.codes["shape_outside"]
    assert "1 annotation without a pixel in the image" in drawn.codes["shape_empty"]


def test_sizes_are_checked_against_the_images(tmp_path: Path, draw: Draw) -> None:
    """An image that was resized after the annotation is left out with both sizes; a missing one is named."""
    images = [
        {"id": 5, "file_name": "a.jpg", "width": 24, "height": 16},
        {"id": 6, "file_name": "b.jpg", "width": WIDTH, "height": HEIGHT},
        {"id": 7, "file_name": "c.jpg", "width": WIDTH, "height": HEIGHT},
    ]
    root = coco(tmp_path / "coco", [], images=images)
    write(root / "b.jpg", photo(2))
    write(root / "d.jpg", photo(3))
    drawn = draw(root)
    assert [sample.name for sample in drawn.source.samples] == ["b"]
    assert "a.jpg: It is 12 x 8 pixels, but annotations.json says 24 x 16" in drawn.codes["annotation_size"]
    assert "It names c.jpg, which is not in" in drawn.codes["annotation_image"]
    assert drawn.codes["annotation_unused_image"].startswith("d.jpg: ")
    assert any(note.startswith("2 images without a shape have a mask of one value") for note in drawn.notes)


def test_a_rotated_image_is_compared_as_stored_and_upright(tmp_path: Path, draw: Draw) -> None:
    """Annotations on the image as stored give a mask of that size, which the checks report and fix."""
    exif = Image.Exif()
    exif[0x0112] = 6
    root = coco(tmp_path / "coco", [{"segmentation": [LEFT]}])
    write(root / "a.jpg", photo(1, exif=exif))
    assert draw(root).mask().tolist() == stripes(1, 0)


def test_several_coco_files_for_the_same_images_are_a_question(tmp_path: Path, draw: Draw) -> None:
    """Files of another kind for the same images are not mixed: the user chooses; splits are files of one kind."""
    root = coco(tmp_path / "coco", [{"segmentation": [LEFT]}], file="annotations/instances_train2017.json")
    coco(root, [{"segmentation": [MIDDLE]}], file="annotations/stuff_train2017.json")
    with pytest.raises(ChoiceNeededError, match=r"same images.*instances, stuff.*--annotations instances"):
        draw(root)
    assert draw(root, choices=("stuff",)).mask().tolist() == stripes(0, 1, 1, 0)
    with pytest.raises(InputError, match=r"no annotations named panoptic.*instances, stuff"):
        draw(root, choices=("instances", "panoptic"))


def test_broken_coco_files_are_refused(tmp_path: Path, draw: Draw) -> None:
    """A file that is cut off, and annotations of images that are not in it, give the file and the reason."""
    root = coco(tmp_path / "coco", [{"segmentation": [LEFT], "image_id": 8}])
    with pytest.raises(InputError, match=r"annotations\.json has 1 annotation of images that are not in it"):
        draw(root)
    text = (root / "annotations.json").read_text()
    write(root / "annotations.json", text[:-1])
    with pytest.raises(InputError, match=r"annotations\.json cannot be read\. It is not JSON"):
        draw(root)


def labelme(root: Path, shapes: list[dict[str, Any]], **changes: Any) -> Path:
    document = {"imagePath": "a.jpg", "imageData": None, "imageHeight": HEIGHT, "imageWidth": WIDTH}
    write(root / "a.json", json.dumps(document | {"shapes": shapes} | changes))
    write(root / "a.jpg", photo(1))
    return root


def test_labelme_shapes(tmp_path: Path, draw: Draw) -> None:
    """Polygon, rectangle, circle and mask are areas; lines and points are named; __ignore__ is 255."""
    mask = base64.b64encode(encoded(Image.fromarray(np.full((2, 2), 255, np.uint8)), "PNG")).decode()
    shapes = [
        {"label": "roof", "shape_type": "polygon", "points": [[0, 0], [4, 0], [4, 8], [0, 8]]},
        {"label": "tree", "shape_type": "rectangle", "points": [[8, 8], [4, 0]]},
        {"label": "pond", "shape_type": "circle", "points": [[2, 2], [2, 3]]},
        {"label": "pond", "shape_type": "mask", "points": [[10, 6], [11, 7]], "mask": mask},
        {"label": "__ignore__", "points": [[8, 0], [12, 0], [12, 2], [8, 2]]},
        {"label": "road", "shape_type": "linestrip", "points": [[0, 0], [9, 9]]},
        {"label": "road", "shape_type": "linestrip", "points": [[0, 0], [9, 9]]},
        {"label": "tip", "shape_type": "point", "points": [[0, 0]]},
        {"label": "odd", "shape_type": "spline", "points": []},
    ]
    drawn = draw(labelme(tmp_path / "labelme", shapes))
    assert drawn.names == ("background", "pond", "roof", "tree")
    wanted = np.array(stripes(2, 3, 0), np.uint8)
    wanted[:2, 8:] = 255
    wanted[1:3, 1:3] = 1
    wanted[6:8, 10:12] = 1
    assert drawn.mask().tolist() == wanted.tolist()
    assert drawn.codes["shape_left_out"] == (
        "images/a.jpg: 4 annotations left out (a.json): 2 x road: a line, tip: a point, "
        "odd: a shape of the unknown type spline."
    )


def test_labelme_files_may_contain_the_image(tmp_path: Path, draw: Draw) -> None:
    """imageData is used, with a note, only where the file at imagePath is missing; without both, it is named."""
    square = [{"label": "roof", "points": [[0, 0], [6, 0], [6, 8], [0, 8]]}]
    root = labelme(tmp_path / "labelme", square, imageData=base64.b64encode(photo(7)).decode())
    (root / "a.jpg").unlink()
    write(root / "b.json", (root / "a.json").read_text().replace('"a.jpg"', '"b.jpg"'))
    write(root / "c.json", json.dumps({"shapes": square, "imagePath": "C:\\x\\c.jpg", "imageData": None}))
    write(root / "d.json", '{"shapes": [], "imagePath": ')
    drawn = draw(root)
    assert [sample.name for sample in drawn.source.samples] == ["a", "b"]
    assert (drawn.source.root / "images/a.jpg").read_bytes() == photo(7)
    assert drawn.mask("a").tolist() == stripes(1, 0)
    assert "The image is the one in b.json, as b.jpg is not in the folder" in drawn.codes["annotation_note"]
    assert "c.json: Its image c.jpg is neither" in drawn.codes["annotation_image"]
    assert drawn.codes["annotation_unreadable"].startswith("d.json: ")


def test_a_class_names_file_defines_the_ids(tmp_path: Path, draw: Draw) -> None:
    """labels.txt has the ids, with the background where it says; each label must be in it; --classes comes first."""
    shapes = [{"label": "roof", "points": [[0, 0], [6, 0], [6, 8], [0, 8]]}]
    root = labelme(tmp_path / "labelme", shapes)
    write(root / "labels.txt", "__ignore__\n_background_\ntree\nroof\n")
    assert draw(root).mask().tolist() == stripes(2, 0)
    write(root / "labels.txt", "tree\nroof\n")
    drawn = draw(root)
    assert drawn.mask().tolist() == stripes(1, 255)
    assert (
        "Pixels without a shape are ignored (255), as labels.txt does not name a background." in drawn.notes
    )
    write(root / "labels.txt", "tree\n")
    with pytest.raises(InputError, match=r"labels\.txt does not have the labels roof"):
        draw(root)
    write(tmp_path / "own.txt", "background\nroof\n")
    assert draw(root, classes=tmp_path / "own.txt").mask().tolist() == stripes(1, 0)


def test_pixels_without_a_shape_may_be_ignored(tmp_path: Path, draw: Draw) -> None:
    """The user chooses between the class background and 255; a label named background is that class."""
    shapes = [{"label": "roof", "points": [[0, 0], [6, 0], [6, 8], [0, 8]]}]
    root = labelme(tmp_path / "labelme", shapes)
    ignored = draw(root, unlabeled="ignore")
    assert (ignored.names, ignored.mask().tolist()) == (("roof",), stripes(0, 255))
    more = [*shapes, {"label": "Background", "points": [[0, 0], [3, 0], [3, 8], [0, 8]]}]
    drawn = draw(labelme(tmp_path / "labelme", more))
    assert (drawn.names, drawn.mask().tolist()) == (("Background", "roof"), stripes(0, 1, 0, 0))


def cvat(root: Path, shapes: str, *, image: str = "") -> Path:
    image = image or f'name="a.jpg" width="{WIDTH}" height="{HEIGHT}"'
    labels = "<label><name>roof</name><color>#c80000</color></label><label><name>tree</name></label>"
    text = f"<annotations><version>1.1</version><meta><task><labels>{labels}</labels></task></meta>"
    write(root / "annotations.xml", f'{text}<image id="0" {image}>{shapes}</image></annotations>')
    write(root / "images/a.jpg", photo(1))
    return root


def test_cvat_shapes(tmp_path: Path, draw: Draw) -> None:
    """Polygon, box, ellipse and mask are areas, above each other by z_order; lines and the like are named."""
    shapes = (
        '<box label="tree" xtl="6" ytl="0" xbr="12" ybr="8" z_order="2"/>'
        '<polygon label="roof" points="0,0;8,0;8,8;0,8" z_order="1"/>'
        '<ellipse label="roof" cx="9.5" cy="3.5" rx="1.2" ry="1.2" z_order="3"/>'
        '<mask label="roof" rle="1, 2, 1" left="8" top="6" width="2" height="2" z_order="3"/>'
        '<box label="roof" xtl="2" ytl="2" xbr="6" ybr="4" rotation="90" z_order="0"/>'
        '<polyline label="roof" points="0,0;1,1"/><points label="tree" points="0,0"/>'
        '<tag label="tree"/><polygon label="roof" points="0,0;1,1"/><box label="roof" xtl="1"/>'
    )
    drawn = draw(cvat(tmp_path / "cvat", shapes))
    assert drawn.names == ("background", "roof", "tree")
    wanted = np.array(stripes(1, 2), np.uint8)
    wanted[[2, 3, 3, 3, 4], [9, 8, 9, 10, 9]] = 1
    wanted[[6, 7], [9, 8]] = 1
    assert drawn.mask().tolist() == wanted.tolist()
    assert drawn.source.names.classes is not None
    assert drawn.source.names.classes.colors[1] == (200, 0, 0)
    left_out = drawn.codes["shape_left_out"]
    assert "5 annotations left out (annotations.xml): roof: a line, tree: points, tree: a tag" in left_out
    assert "roof: a polygon that cannot be read, it has fewer than 3 points" in left_out
    assert "roof: a box that cannot be read, its 'ytl' is missing" in left_out


def test_cvat_boxes_are_rotated(tmp_path: Path, draw: Draw) -> None:
    """A rotated box is turned about its center."""
    root = cvat(tmp_path / "cvat", '<box label="roof" xtl="2" ytl="3" xbr="8" ybr="5" rotation="90"/>')
    wanted = np.zeros((HEIGHT, WIDTH), int)
    wanted[1:7, 4:6] = 1
    assert draw(root).mask().tolist() == wanted.tolist()


def test_cvat_for_video_and_entities_are_refused(tmp_path: Path, draw: Draw) -> None:
    """Tracks of a video are about frames, and an entity could be a bomb."""
    root = cvat(tmp_path / "cvat", "")
    text = (root / "annotations.xml").read_text()
    write(root / "annotations.xml", text.replace("</annotations>", '<track id="0"></track></annotations>'))
    with pytest.raises(InputError, match=r"CVAT for video.*CVAT for images"):
        draw(root)
    write(root / "annotations.xml", f'<!DOCTYPE a [<!ENTITY b "c">]>{text}')
    with pytest.raises(InputError, match=r"annotations\.xml cannot be read\. It declares entities"):
        draw(root)
    write(root / "annotations.xml", text[:-5])
    with pytest.raises(InputError, match=r"annotations\.xml cannot be read"):
        draw(root)


def yolo(root: Path, text: str) -> Path:
    write(root / "images/a.jpg", photo(1))
    write(root / "images/b.jpg", photo(2))
    write(root / "labels/a.txt", text)
    write(root / "data.yaml", "names: {0: roof, 1: tree}\n")
    return root


def test_yolo_lines(tmp_path: Path, draw: Draw) -> None:
    """Lines are polygons in fractions; boxes, bad lines, unknown classes and missing text files are named."""
    lines = ("1 0 0 0.5 0 0.5 1 0 1", "0 0.5 0.5 0.1 0.1", "7 0 0 1 0 1 1", "0 0 0 1 0 1", "0 12 9 1 0 1 1")
    drawn = draw(yolo(tmp_path / "yolo", "\n".join(lines)))
    assert drawn.names == ("background", "roof", "tree")
    assert drawn.mask("a").tolist() == stripes(2, 0)
    assert drawn.mask("b").tolist() == stripes(0)
    left_out = drawn.codes["shape_left_out"]
    for text in (
        "roof: a box",
        "class 7, which has no name",
        "a polygon of 5 numbers",
        "not fractions of width",
    ):
        assert text in left_out
    assert "It has no labels, so it shows no object" in drawn.codes["annotation_note"]
    assert "The names of the classes are those of data.yaml." in drawn.notes


def test_yolo_boxes_are_not_a_segmentation(tmp_path: Path, draw: Draw) -> None:
    """A dataset for detection is refused in words; a damaged data.yaml names the file."""
    root = yolo(tmp_path / "yolo", "0 0.5 0.5 0.1 0.1")
    with pytest.raises(InputError, match=r"labels are boxes, not polygons"):
        draw(root)
    for text in ("names: [a, a]", "nc: 2", "[", "names: {x: y}"):
        write(root / "data.yaml", text)
        with pytest.raises(InputError, match=r"data\.yaml"):
            draw(root)


def supervisely(root: Path, objects: list[dict[str, Any]]) -> Path:
    write(root / "meta.json", json.dumps({"classes": [{"title": "roof", "color": "#c80000"}]}))
    write(root / "ds0/img/a.jpg", photo(1))
    document = {"size": {"width": WIDTH, "height": HEIGHT}, "objects": objects}
    write(root / "ds0/ann/a.jpg.json", json.dumps(document))
    return root


def test_supervisely_objects(tmp_path: Path, draw: Draw) -> None:
    """Polygons with holes and rectangles have the pixels of their indices; lines and unknown classes are named."""
    outer, hole = [[0, 0], [5, 0], [5, 7], [0, 7]], [[1, 1], [2, 1], [2, 2], [1, 2]]
    objects = [
        {"classTitle": "roof", "geometryType": "polygon", "points": {"exterior": outer, "interior": [hole]}},
        {"classTitle": "roof", "geometryType": "rectangle", "points": {"exterior": [[8, 1], [9, 2]]}},
        {"classTitle": "roof", "geometryType": "line", "points": {"exterior": [[0, 0], [9, 0]]}},
        {"classTitle": "tree", "geometryType": "rectangle", "points": {"exterior": [[8, 1], [9, 2]]}},
        {"classTitle": "roof", "geometryType": "polygon", "points": None},
    ]
    drawn = draw(supervisely(tmp_path / "project", objects))
    wanted = np.array(stripes(1, 0), np.uint8)
    wanted[1:3, 1:3] = 0
    wanted[1:3, 8:10] = 1
    assert drawn.mask().tolist() == wanted.tolist()
    assert (
        "3 annotations left out (ds0/ann/a.jpg.json): roof: a line, tree: an object of a class that"
        in (drawn.codes["shape_left_out"])
    )


def test_masks_are_used_before_annotations(tmp_path: Path, draw: Draw) -> None:
    """With masks and annotations in one folder, the masks are used and the others reported, unless chosen."""
    root = coco(tmp_path / "both", [{"segmentation": [LEFT]}])
    write(root / "images/a.jpg", photo(1))
    write(root / "masks/a.png", indexed(ids(2)))
    (root / "a.jpg").unlink()
    drawn = draw(root)
    assert drawn.source.kind == "folders"
    assert "annotations as COCO JSON, which are not used" in drawn.codes["annotations_unused"]
    assert draw(root, choices=("coco",)).mask().tolist() == stripes(1, 0)
    assert draw(root, choices=("masks",)).source.kind == "folders"


def test_annotations_in_two_formats_are_a_question(tmp_path: Path, draw: Draw) -> None:
    """Nobody guesses which of two annotation formats is meant."""
    root = coco(tmp_path / "both", [{"segmentation": [LEFT]}])
    labelme(root, [])
    with pytest.raises(ChoiceNeededError, match=r"coco, labelme"):
        draw(root)
    assert draw(root, choices=("labelme",)).source.kind == "labelme"


def test_annotations_alone_are_not_a_dataset(tmp_path: Path) -> None:
    """`read_dataset` says that the masks must be drawn first, and where."""
    with pytest.raises(AnnotationsError, match=r"annotations as COCO JSON, and no masks.*dataset convert"):
        read_dataset(coco(tmp_path / "coco", []))


def test_ambiguous_images_are_left_out(tmp_path: Path, draw: Draw) -> None:
    """Two images that an annotation can mean are named, and neither is used; a path decides where it is longer."""
    root = coco(tmp_path / "coco", [{"segmentation": [LEFT]}], file="json/annotations.json")
    (root / "a.jpg").unlink()
    write(root / "one/a.jpg", photo(1))
    write(root / "two/a.jpg", photo(2))
    with pytest.raises(InputError, match=r"It names a\.jpg, which can be one/a\.jpg, two/a\.jpg"):
        draw(root)
    text = (root / "json/annotations.json").read_text()
    write(root / "json/annotations.json", text.replace('"a.jpg"', '"two\\\\a.jpg"'))
    (sample,) = draw(root).source.samples
    assert sample.name == "a"


def test_images_for_testing_are_left_out(tmp_path: Path, draw: Draw) -> None:
    """With files for training and validation, those for testing are left out, which is reported."""
    root = tmp_path / "coco"
    for number, split in enumerate(("train", "valid", "test")):
        image = {"id": 5, "file_name": f"{split}.jpg", "width": WIDTH, "height": HEIGHT}
        coco(root / split, [{"segmentation": [LEFT]}], images=[image], file="_annotations.coco.json")
        (root / split / "a.jpg").unlink()
        write(root / split / f"{split}.jpg", photo(number))
    drawn = draw(root)
    assert {sample.name: sample.split for sample in drawn.source.samples} == {
        "train/train": "train",
        "validation/valid": "validation",
    }
    assert "1 image for testing left out: test/_annotations.coco.json." in drawn.notes


def test_a_read_only_destination_is_reported(tmp_path: Path, threads: Executor) -> None:
    """If the masks cannot be written, the error names both folders."""
    write(tmp_path / "file", "x")
    root = coco(tmp_path / "coco", [{"segmentation": [LEFT]}])
    with pytest.raises(
        InputError, match=r"masks of .*coco cannot be written to .*file/coco\. Not a directory"
    ):
        prepared_dataset(root, ReadOptions(), lambda: tmp_path / "file", threads)
