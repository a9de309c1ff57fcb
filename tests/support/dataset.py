"""A small dataset in Pascal VOC layout without issues: every class in both splits."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

CAMVID = Path(__file__).resolve().parents[3] / "shared" / "camvid"
"""A real set for research alone: looked at where it is there, never copied."""

COLORS = ((10, 20, 30), (200, 0, 0), (0, 200, 0))
NAMES = ("ground", "roof", "tree")
SIZE = (12, 8)
"""Width and height of every image, in pixels."""


def photo(seed: int, form: str = "JPEG", **options: Any) -> bytes:
    """Return an image that differs from every other one."""
    pixels = np.random.default_rng(seed).integers(0, 255, (SIZE[1], SIZE[0], 3), np.uint8)
    return encoded(Image.fromarray(pixels), form, **options)


def ids(*values: int) -> NDArray[np.uint8]:
    """Return (H, W) uint8 with a stripe for each of these values."""
    columns = np.resize(np.array(values, np.uint8), SIZE[0])
    return np.tile(columns, (SIZE[1], 1))


def indexed(labels: NDArray[np.uint8]) -> bytes:
    """Return an indexed PNG in the colors of the dataset."""
    image = Image.fromarray(labels)
    image.putpalette([part for color in COLORS for part in color] + [0] * 744)
    return encoded(image, "PNG", bits=8)


def painted(labels: NDArray[np.uint8]) -> bytes:
    """Return the same as an RGB PNG, as CVAT exports it."""
    table = np.zeros((256, 3), np.uint8)
    table[: len(COLORS)] = COLORS
    table[255] = (224, 224, 192)
    return encoded(Image.fromarray(table[labels]), "PNG")


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def write(path: Path, data: bytes | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)


def digests(root: Path) -> dict[str, str]:
    """Return every file in a folder with the hash of its bytes and its time."""
    return {
        path.relative_to(
            root
        ).as_posix(): f"{hashlib.sha256(path.read_bytes()).hexdigest()} {path.stat().st_mtime_ns}"
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def make_voc(root: Path, *, train: int = 6, validation: int = 2) -> Path:
    """Write pairs into the three folders, with lists and a classes.txt."""
    names = [f"tile_{number}" for number in range(train + validation)]
    for number, name in enumerate(names):
        write(root / "JPEGImages" / f"{name}.jpg", photo(number))
        write(root / "SegmentationClass" / f"{name}.png", indexed(ids(0, 1, 2, 255)))
    write(root / "ImageSets/Segmentation/train.txt", "\n".join(names[:train]) + "\n")
    write(root / "ImageSets/Segmentation/val.txt", "\n".join(names[train:]) + "\n")
    write(root / "classes.txt", "\n".join(NAMES) + "\n")
    return root


def make_brushed(root: Path) -> Path:
    """Write Label Studio's export of brush labels with the images, and the project as JSON."""
    for task in range(1, 5):
        for place, label in enumerate(NAMES[1:]):
            painted = np.zeros((SIZE[1], SIZE[0]), np.uint8)
            painted[:, 4 * place : 4 * place + 4] = 255
            name = f"task-{task}-annotation-{task}-by-1-tag-{label}-0.png"
            write(root / name, encoded(Image.fromarray(painted), "PNG"))
        write(root / f"{task}.jpg", photo(task))
    tasks = [{"id": task, "data": {"image": f"/data/upload/1/0a1b2c3d-{task}.jpg"}} for task in range(1, 5)]
    write(root / "project.json", json.dumps(tasks))
    return root
