"""A small map: a scene with its mask and confidence, written with rasterio alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.imaging.classes import Classes
from tests.support.scenes import blobs, write_scene

CLASSES = Classes(
    ("grass", "cropland", "water", "<b>road</b>"),
    ((110, 190, 90), (220, 180, 80), (60, 110, 220), (128, 128, 128)),
)
UNNAMED = 9
"""A class id without a name."""


@dataclass(frozen=True)
class MapFolder:
    """The files of a map. labels, percent: (H, W) uint8, what they hold."""

    scene: Path
    mask: Path
    confidence: Path
    labels: np.ndarray
    percent: np.ndarray


def write_map(folder: Path, height: int = 700, width: int = 1000, **options: Any) -> MapFolder:
    """Write a map: grass at the upper left, cropland at the upper right, water at the lower left, then road.

    A corner has the id 9, which has no name, and the last 50 columns have no data. The confidence is that of the row
    in percent, 0 to 99.
    """
    labels = np.zeros((height, width), np.uint8)
    labels[:, width // 2 :] += 1
    labels[height // 2 :] += 2
    percent = (np.arange(height)[:, None] % 100 + np.zeros((1, width))).astype(np.uint8)
    labels[10:60, 10:60] = UNNAMED
    labels[:, -50:] = percent[:, -50:] = 255
    names = ("scene.tif", "scene_mask.tif", "scene_confidence.tif")
    scene, mask, confidence = (folder / name for name in names)
    write_scene(scene, blobs(height, width), **options)
    write_scene(mask, labels[None], nodata=255, **options)
    write_scene(confidence, percent[None], nodata=255, **options)
    return MapFolder(scene, mask, confidence, labels, percent)
