"""Inputs from public bug reports, with the right answer in the README of each. They are not part of the project."""

from __future__ import annotations

from pathlib import Path

import pytest

CASES = Path(__file__).resolve().parents[3] / "shared" / "cases"

needs_cases = pytest.mark.skipif(
    not CASES.is_dir(), reason="the inputs of bug reports are not on this machine"
)

DATASETS = {
    "labels-txt-ignore": (["_background_", "apple", "pea", "ignore"], "labels.txt begins with __ignore__"),
    "mask-float-nodata": (["bg", "a", "b", "ignore"], "It holds -9999 in 576 pixels"),
    "label-studio-hyphen": (
        ["background", "grass", "old-tree"],
        "The classes are background, grass, old-tree.",
    ),
}
"""Case -> its class names, and a part of what is reported."""

SEGMENTED = {
    "rgb16-tiff-12bit/values_to_3000.tif": "TIFF of 3 x uint16: stretched from 0..3000.",
    "geotiff-internal-mask/ortho_internal_mask.tif": "internal mask was not applied",
    "geotiff-unread/rgb_f32.tif": "TIFF of 3 x float32: scaled from 0..1.",
    "geotiff-unread/rgb_u16_minisblack.tif": "TIFF of 3 x uint16: stretched from 0..3000.",
    "geotiff-unread/rgbn_u16_minisblack.tif": "bands 1-3 of 4",
    "geotiff-unread/rgbn_u8_minisblack.tif": "bands 1-3 of 4",
    "folder-endings/a.jpg": "",
    "folder-endings/b.jfif": "",
    "folder-endings/c.jpe": "",
    "folder-endings/e.gif": "",
}
"""Image -> a part of the note on how it was read; empty where it needs none."""
