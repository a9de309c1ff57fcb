"""`python -m sandbox.demo.large_scene OUT.tif`: draw a large georeferenced aerial image, to be segmented in tiles.

The class of each pixel is written next to it, as OUT_labels.tif.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sandbox.demo.aerial import COLORS
from sandbox.demo.scenes import CLASSES, scene

SIDE, SEED = 6000, 70_001
MAX_SIDE = 100_000
DRAWN = 2000
"""Side in pixels of what is drawn: 11 s and 650 MB. With 3,000 it takes 42 s and 1.4 GB."""

CRS, EAST, NORTH, METERS = "EPSG:32632", 500_000.0, 5_300_000.0, 1.0
"""UTM zone 32 north; its coordinates at the upper left corner, and those of one pixel."""


def labels_path(path: Path) -> Path:
    """Return the path of the labels that belong to an image."""
    return path.with_name(f"{path.stem}_labels.tif")


def write_scene(path: Path, side: int = SIDE, seed: int = SEED, *, drawn: int = DRAWN) -> Path:
    """Write an image of side x side pixels, and its labels next to it; return the path of the labels.

    Larger images than `drawn` are continued by mirroring what was drawn, so that roads and rivers continue as well.
    Raises FileExistsError if there is a file of either name.
    """
    import rasterio  # noqa: PLC0415 - GDAL takes a third of a second to import

    labels = labels_path(path)
    for each in (path, labels):
        if each.exists():
            raise FileExistsError(f"{each} already exists.")
    block = min(side, drawn)
    image, ids = scene(seed, block, block, kind="village", water="river")
    profile: dict[str, Any] = {
        "driver": "GTiff", "dtype": "uint8", "width": side, "height": side, "crs": CRS,
        "transform": rasterio.Affine(METERS, 0, EAST, 0, -METERS, NORTH), "tiled": True,
        "blockxsize": 512, "blockysize": 512, "compress": "deflate", "BIGTIFF": "IF_SAFER",
    }  # fmt: skip
    for each in (path, labels):
        each.touch(exist_ok=False)  # GDAL would overwrite a file that appeared meanwhile
    try:
        with (
            rasterio.open(path, "w", count=3, photometric="RGB", predictor=2, **profile) as picture,
            rasterio.open(labels, "w", count=1, nodata=255, **profile) as classes,
        ):
            classes.write_colormap(1, {number: _rgba(color) for number, color in enumerate(COLORS)})
            classes.update_tags(1, **{f"CLASS_{number}": name for number, name in enumerate(CLASSES)})
            for window, flip in _blocks(side, block):
                (top, bottom), (left, right) = window
                part = (slice(0, bottom - top), slice(0, right - left))
                picture.write(np.moveaxis(_mirrored(image, flip)[part], 2, 0), window=window)
                classes.write(_mirrored(ids, flip)[part], 1, window=window)
    except BaseException:
        path.unlink(missing_ok=True)
        labels.unlink(missing_ok=True)
        raise
    return labels


def _blocks(
    side: int, block: int
) -> Iterator[tuple[tuple[tuple[int, int], tuple[int, int]], tuple[bool, bool]]]:
    """Yield the rows and columns of each block, and whether it is mirrored vertically and horizontally."""
    for row, top in enumerate(range(0, side, block)):
        for column, left in enumerate(range(0, side, block)):
            window = (top, min(side, top + block)), (left, min(side, left + block))
            yield window, (row % 2 == 1, column % 2 == 1)


def _mirrored(values: NDArray[np.uint8], flip: tuple[bool, bool]) -> NDArray[np.uint8]:
    return values[:: -1 if flip[0] else 1, :: -1 if flip[1] else 1]


def _rgba(color: str) -> tuple[int, int, int, int]:
    red, green, blue = bytes.fromhex(color.removeprefix("#"))
    return red, green, blue, 255


def _side(text: str) -> int:
    """Return a number of pixels. Raises argparse.ArgumentTypeError."""
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text) <= MAX_SIDE:
        raise argparse.ArgumentTypeError(f"{text[:20]} is not a number of pixels from 1 to {MAX_SIDE}")
    return int(text)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit code: 1 if a file exists or cannot be written."""
    from rasterio.errors import RasterioError  # noqa: PLC0415 - GDAL takes a third of a second to import

    parser = argparse.ArgumentParser(
        prog="python -m sandbox.demo.large_scene",
        description="Draw a large georeferenced aerial image: a GeoTIFF with 1 m per pixel.",
    )
    parser.add_argument("path", type=Path, metavar="OUT.tif")
    parser.add_argument("--side", type=_side, default=SIDE, help=f"pixels of a side; default: {SIDE}")
    parser.add_argument("--seed", type=int, default=SEED, help="another number draws another place")
    options = parser.parse_args(arguments)
    try:
        labels = write_scene(options.path, options.side, options.seed)
    except (OSError, RasterioError, ValueError) as problem:
        print(f"{options.path} was not written: {problem}", file=sys.stderr)
        return 1
    print(f"{options.path}: {options.side:,} x {options.side:,} pixels, {CRS}. Its labels: {labels}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
