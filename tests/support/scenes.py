"""Small georeferenced images, written with rasterio alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio import Affine

UTM = "EPSG:32632"
PLACE = Affine(2.0, 0.0, 500_000.0, 0.0, -2.0, 5_300_000.0)


def write_scene(path: Path, values: np.ndarray, **options: Any) -> Path:
    """Write values, (bands, H, W), as a tiled GeoTIFF of 2 m pixels in UTM zone 32, unless options say otherwise."""
    count, height, width = values.shape
    profile: dict[str, Any] = {"driver": "GTiff", "crs": UTM, "transform": PLACE, "compress": "deflate"}
    profile |= {"tiled": True, "blockxsize": 128, "blockysize": 128}
    tags = options.pop("tags", {})
    profile |= options
    if profile["driver"] != "GTiff":
        profile = {"driver": profile["driver"]}
    with rasterio.open(
        path, "w", width=width, height=height, count=count, dtype=values.dtype, **profile
    ) as file:
        file.write(values)
        file.update_tags(**tags)
    return path


def blobs(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Return a gray image, (3, H, W) uint8, with dark and bright regions of some 60 pixels."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(20, 235, (height // 60 + 2, width // 60 + 2))
    rows, columns = np.arange(height) / 60, np.arange(width) / 60
    top, left = rows.astype(int), columns.astype(int)
    y, x = (rows - top)[:, None], (columns - left)[None, :]
    corners = [coarse[np.ix_(top + dy, left + dx)] for dy in (0, 1) for dx in (0, 1)]
    weights = [(1 - y) * (1 - x), (1 - y) * x, y * (1 - x), y * x]
    gray = sum(corner * weight for corner, weight in zip(corners, weights, strict=True))
    return np.stack([gray.astype(np.uint8)] * 3)
