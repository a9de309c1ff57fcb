"""The same random scenes in the formats and layouts of public tools, and their masks by a computation of their own.

Run it as a program to look at the files: python -m tests.support.tool_formats FOLDER [SEED].
"""

from __future__ import annotations

import base64
import io
import json
import sys
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.support.dataset import encoded, write

SIZE = (64, 48)
"""Width and height of every image, in pixels."""

BACKGROUND = "background"
LABELS = ("road", "vegetation", "car")
NAMES = (BACKGROUND, *LABELS)
COLORS = ((0, 0, 0), (200, 40, 40), (40, 200, 40), (40, 40, 200))
TRAIN = 4
SCENES = 6
CATEGORY_IDS = dict(zip(LABELS, (3, 7, 90), strict=True))
TRAIN_IDS = {"road": 0, "vegetation": 8, "car": 13}

Ring = list[tuple[float, float]]


@dataclass(frozen=True)
class Scene:
    """An image and its shapes, from the bottom to the top."""

    name: str
    split: str
    shapes: tuple[tuple[str, Ring], ...]

    def layers(self) -> list[tuple[str, NDArray[np.bool_]]]:
        """Return the pixels of each shape."""
        return [(label, inside(ring)) for label, ring in self.shapes]

    def ids(self) -> NDArray[np.uint8]:
        """Return the mask: the index of each pixel's name in `NAMES`."""
        mask = np.zeros(SIZE[::-1], np.uint8)
        for label, pixels in self.layers():
            mask[pixels] = NAMES.index(label)
        return mask

    def jpeg(self) -> bytes:
        """Return an image whose colors follow the mask, so that a model can learn it."""
        noise = np.random.default_rng(sum(map(ord, self.name))).integers(0, 40, (*SIZE[::-1], 3))
        pixels = np.clip(np.array(COLORS)[self.ids()] + noise, 0, 255).astype(np.uint8)
        return encoded(Image.fromarray(pixels), "JPEG", quality=95)


def inside(ring: Ring) -> NDArray[np.bool_]:
    """Return which pixels have their center in a polygon, (H, W) bool: an odd number of edges is to its right."""
    x, y = np.meshgrid(np.arange(SIZE[0]) + 0.5, np.arange(SIZE[1]) + 0.5)
    odd = np.zeros(SIZE[::-1], bool)
    for (x1, y1), (x2, y2) in zip(ring, ring[1:] + ring[:1], strict=True):
        if y1 != y2:
            odd ^= ((y1 > y) != (y2 > y)) & (x < (x2 - x1) * (y - y1) / (y2 - y1) + x1)
    return odd


def make_scenes(seed: int) -> list[Scene]:
    """Return scenes with each label, that overlap and extend beyond the image; no corner is on a pixel's center."""
    random = np.random.default_rng(seed)
    scenes = []
    for number in range(SCENES):
        shapes = []
        for label in (*LABELS, *random.permutation(LABELS)):
            center = random.uniform((6, 6), (SIZE[0] - 6, SIZE[1] - 6))
            angles = np.sort(random.uniform(0, 2 * np.pi, random.integers(3, 9)))
            radii = random.uniform(6, 18, angles.size)
            points = center + radii[:, None] * np.stack((np.cos(angles), np.sin(angles)), 1)
            shapes.append((str(label), [(round(x, 2) + 0.0037, round(y, 2) + 0.0037) for x, y in points]))
        split = "train" if number < TRAIN else "validation"
        scenes.append(Scene(f"scene_{number}", split, tuple(shapes)))
    return scenes


def palette_png(ids: NDArray[np.uint8]) -> bytes:
    """Return an indexed PNG."""
    image = Image.fromarray(ids)
    image.putpalette([part for color in COLORS for part in color] + [0] * 756)
    return encoded(image, "PNG", bits=8)


def gray_png(ids: NDArray[np.uint8]) -> bytes:
    """Return a grayscale PNG."""
    return encoded(Image.fromarray(ids), "PNG")


# Layouts with masks.


def split_first(root: Path, scenes: Sequence[Scene]) -> None:
    """train/images, train/masks, valid/images, valid/masks, with a classes.txt."""
    for scene in scenes:
        folder = root / {"train": "train", "validation": "valid"}[scene.split]
        write(folder / f"images/{scene.name}.jpg", scene.jpeg())
        write(folder / f"masks/{scene.name}.png", palette_png(scene.ids()))
    write(root / "classes.txt", "\n".join(NAMES))


def roboflow_masks(root: Path, scenes: Sequence[Scene]) -> None:
    """Roboflow, "Semantic Segmentation Masks": _mask.png next to each image, and _classes.csv."""
    for scene in scenes:
        folder = root / {"train": "train", "validation": "valid"}[scene.split]
        write(folder / f"{scene.name}_jpg.rf.0a1b2c.jpg", scene.jpeg())
        write(folder / f"{scene.name}_jpg.rf.0a1b2c_mask.png", gray_png(scene.ids()))
        rows = [f" {number}, {name}" for number, name in enumerate(NAMES)]
        write(folder / "_classes.csv", "\n".join(["Pixel Value, Class", *rows, ""]))


def mmsegmentation(root: Path, scenes: Sequence[Scene]) -> None:
    """img_dir/train, ann_dir/train, img_dir/val, ann_dir/val."""
    for scene in scenes:
        folder = {"train": "train", "validation": "val"}[scene.split]
        write(root / f"img_dir/{folder}/{scene.name}.jpg", scene.jpeg())
        write(root / f"ann_dir/{folder}/{scene.name}.png", palette_png(scene.ids()))
    write(root / "classes.txt", "\n".join(NAMES))


def labelme_voc(root: Path, scenes: Sequence[Scene]) -> None:
    """What labelme2voc writes: JPEGImages, SegmentationClass with arrays, SegmentationClassPNG, class_names.txt."""
    for scene in scenes:
        write(root / f"JPEGImages/{scene.name}.jpg", scene.jpeg())
        write(root / f"SegmentationClass/{scene.name}.npy", b"\x93NUMPY")
        write(root / f"SegmentationClassPNG/{scene.name}.png", palette_png(scene.ids()))
        write(root / f"SegmentationClassVisualization/{scene.name}.jpg", scene.jpeg())
    write(root / "class_names.txt", "\n".join(NAMES))


def one_folder(root: Path, scenes: Sequence[Scene]) -> None:
    """Image and mask with the same name in one folder."""
    for scene in scenes:
        write(root / f"{scene.name}.jpg", scene.jpeg())
        write(root / f"{scene.name}.png", palette_png(scene.ids()))
    write(root / "classes.txt", "\n".join(NAMES))


def cityscapes(root: Path, scenes: Sequence[Scene]) -> None:
    """leftImg8bit and gtFine, with trainIds; the background is 255."""
    table = np.array([255, *(TRAIN_IDS[label] for label in LABELS)], np.uint8)
    for scene in scenes:
        folder = {"train": "train", "validation": "val"}[scene.split]
        name = f"bern_{scene.name[-1]:0>6}_000019"
        image = Image.open(io.BytesIO(scene.jpeg()))
        write(root / f"leftImg8bit/{folder}/bern/{name}_leftImg8bit.png", encoded(image, "PNG"))
        write(root / f"gtFine/{folder}/bern/{name}_gtFine_labelTrainIds.png", gray_png(table[scene.ids()]))
        write(root / f"gtFine/{folder}/bern/{name}_gtFine_polygons.json", "{}")


# Annotations.


def coco_polygons(root: Path, scenes: Sequence[Scene]) -> None:
    """COCO's own layout, with polygons and category ids with gaps."""
    _coco(root, scenes, lambda ring: [[value for point in ring for value in point]])


def coco_runs(root: Path, scenes: Sequence[Scene]) -> None:
    """COCO with run lengths, as numbers and compressed in turn."""
    toggle = [False]

    def segmentation(ring: Ring) -> dict[str, Any]:
        toggle[0] = not toggle[0]
        counts = run_lengths(inside(ring).T.ravel())
        return {"size": [SIZE[1], SIZE[0]], "counts": compressed(counts) if toggle[0] else counts}

    _coco(root, scenes, segmentation)


def _coco(root: Path, scenes: Sequence[Scene], segmentation: Callable[[Ring], Any]) -> None:
    for split, folder in (("train", "train2017"), ("validation", "val2017")):
        own = [scene for scene in scenes if scene.split == split]
        images = [
            {"id": 100 + number, "file_name": f"{scene.name}.jpg", "width": SIZE[0], "height": SIZE[1]}
            for number, scene in enumerate(own)
        ]
        annotations = [
            {
                "id": 1000 * number + place,
                "image_id": 100 + number,
                "category_id": CATEGORY_IDS[label],
                "iscrowd": 0,
                "segmentation": segmentation(ring),
            }
            for number, scene in enumerate(own)
            for place, (label, ring) in enumerate(scene.shapes)
        ]
        categories = [{"id": number, "name": label} for label, number in CATEGORY_IDS.items()]
        document = {"images": images, "annotations": annotations, "categories": categories}
        write(root / f"annotations/instances_{folder}.json", json.dumps(document))
        for scene in own:
            write(root / folder / f"{scene.name}.jpg", scene.jpeg())


def run_lengths(values: NDArray[np.bool_]) -> list[int]:
    """Return the lengths of the runs of 0 and 1, starting with 0."""
    counts, value, length = [], False, 0
    for current in values.tolist():
        if current == value:
            length += 1
        else:
            counts.append(length)
            value, length = current, 1
    return [*counts, length]


def compressed(counts: Sequence[int]) -> str:
    """Return run lengths in COCO's text form."""
    text = ""
    for place, count in enumerate(counts):
        value = count - counts[place - 2] if place > 2 else count
        more = True
        while more:
            bits = value & 0x1F
            value >>= 5
            more = value != (-1 if bits & 0x10 else 0)
            text += chr((bits | (0x20 if more else 0)) + 48)
    return text


def labelme(root: Path, scenes: Sequence[Scene]) -> None:
    """labelme's JSON files; the first one contains its image."""
    for number, scene in enumerate(scenes):
        document = {
            "version": "5.4.1",
            "flags": {},
            "shapes": [
                {"label": label, "points": [list(point) for point in ring], "shape_type": "polygon"}
                for label, ring in scene.shapes
            ],
            "imagePath": f"..\\pictures\\{scene.name}.jpg",
            "imageData": None if number else base64.b64encode(scene.jpeg()).decode(),
            "imageHeight": SIZE[1],
            "imageWidth": SIZE[0],
        }
        write(root / f"json/{scene.name}.json", json.dumps(document))
        if number:
            write(root / f"pictures/{scene.name}.jpg", scene.jpeg())


def cvat(root: Path, scenes: Sequence[Scene]) -> None:
    """CVAT for images 1.1, with subsets; the shapes are in any order and z_order has the right one."""
    labels = "".join(
        f"<label><name>{label}</name><color>#{bytes(color).hex()}</color></label>"
        for label, color in zip(LABELS, COLORS[1:], strict=True)
    )
    images = ""
    for number, scene in enumerate(scenes):
        images += (
            f'<image id="{number}" name="{scene.name}.jpg" width="{SIZE[0]}" height="{SIZE[1]}" '
            f'subset="{scene.split.title()}">'
        )
        for place, (label, ring) in reversed(list(enumerate(scene.shapes))):
            points = ";".join(f"{x:.4f},{y:.4f}" for x, y in ring)
            images += f'<polygon label="{label}" occluded="0" points="{points}" z_order="{place}"/>'
        images += "</image>"
        write(root / f"images/{scene.name}.jpg", scene.jpeg())
    head = f"<version>1.1</version><meta><task><labels>{labels}</labels></task></meta>"
    write(
        root / "annotations.xml",
        f'<?xml version="1.0" encoding="utf-8"?><annotations>{head}{images}</annotations>',
    )


def yolo(root: Path, scenes: Sequence[Scene]) -> None:
    """YOLO segmentation: fractions in text files, and data.yaml."""
    for scene in scenes:
        folder = {"train": "train", "validation": "valid"}[scene.split]
        lines = []
        for label, ring in scene.shapes:
            values = " ".join(f"{x / SIZE[0]:.8f} {y / SIZE[1]:.8f}" for x, y in ring)
            lines.append(f"{LABELS.index(label)} {values}")
        write(root / f"{folder}/labels/{scene.name}.txt", "\n".join(lines))
        write(root / f"{folder}/images/{scene.name}.jpg", scene.jpeg())
    names = ", ".join(f"'{label}'" for label in LABELS)
    write(root / "data.yaml", f"train: ../train/images\nval: ../valid/images\nnc: 3\nnames: [{names}]\n")


def supervisely(root: Path, scenes: Sequence[Scene]) -> None:
    """A Supervisely project with bitmaps, in a folder for each split."""
    classes = [
        {"title": label, "shape": "bitmap", "color": f"#{bytes(color).hex()}"}
        for label, color in zip(LABELS, COLORS[1:], strict=True)
    ]
    write(root / "meta.json", json.dumps({"classes": classes, "tags": []}))
    for scene in scenes:
        folder = root / {"train": "train", "validation": "val"}[scene.split]
        objects = []
        for label, pixels in scene.layers():
            rows, columns = np.flatnonzero(pixels.any(1)), np.flatnonzero(pixels.any(0))
            part = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            alpha = np.zeros((*part.shape, 4), np.uint8)
            alpha[part] = 255
            data = base64.b64encode(zlib.compress(encoded(Image.fromarray(alpha), "PNG"))).decode()
            bitmap = {"data": data, "origin": [int(columns[0]), int(rows[0])]}
            objects.append({"classTitle": label, "geometryType": "bitmap", "bitmap": bitmap, "tags": []})
        document = {"size": {"height": SIZE[1], "width": SIZE[0]}, "objects": objects, "tags": []}
        write(folder / f"ann/{scene.name}.jpg.json", json.dumps(document))
        write(folder / f"img/{scene.name}.jpg", scene.jpeg())


FORMATS: Mapping[str, Callable[[Path, Sequence[Scene]], None]] = {
    function.__name__: function
    for function in (
        split_first,
        roboflow_masks,
        mmsegmentation,
        labelme_voc,
        one_folder,
        cityscapes,
        coco_polygons,
        coco_runs,
        labelme,
        cvat,
        yolo,
        supervisely,
    )
}
"""Name -> a function that writes scenes into a folder."""


if __name__ == "__main__":
    for name, make in FORMATS.items():
        make(Path(sys.argv[1]) / name, make_scenes(int(sys.argv[2]) if len(sys.argv) > 2 else 0))
