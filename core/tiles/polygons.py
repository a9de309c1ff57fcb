"""Turn a label map into polygons: GeoPackage, or GeoJSON.

A polygon is a set of pixels of one class that are connected by their sides. Small ones become part of their largest
neighbor first. Shared borders are simplified together, so that neighbors keep no gaps. Area and confidence are those
of the traced shape, pixel by pixel: simplifying changes areas.

What `rasterio.features.shapes` traces has no vertex where the borders of two neighbors meet on the straight side of a
third. Without these corners, shared borders cannot be recognized; so they are put back.
"""

from __future__ import annotations

import secrets
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from core.errors import InputError
from core.imaging.classes import IGNORE
from core.imaging.pixels import row_blocks
from core.inference.export import move_new
from core.tiles.areas import HECTARE, PixelSizes
from core.tiles.patches import find_patches
from core.tiles.scene import Scene, gdal, open_scene

PolygonFormat = Literal["gpkg", "geojson"]
DRIVERS: Mapping[PolygonFormat, str] = {"gpkg": "GPKG", "geojson": "GeoJSON"}

MAX_PIXELS = 40_000_000
MAX_CORNERS = 3_500_000
"""Limits of a map, so that memory stays below 1 GB: 40 million pixels with 2.9 million corners took 830 MB."""

TOLERANCE = 1.5
"""How many pixels a simplified border may be away from the traced one."""

Labels = NDArray[np.uint8] | NDArray[np.uint16]
LAYER = "polygons"
GEOPACKAGE_VERSION = "1.3"
"""Programs with GDAL 3.6 warn about newer ones."""


@dataclass(frozen=True, slots=True)
class PolygonResult:
    """What was written. sieved: pixels that took the class of a neighbor, because their patch was too small."""

    path: Path
    polygons: int
    vertices: int
    sieved: int


def polygons_of_map(
    mask: Path,
    confidence: Path | None,
    names: Mapping[int, str],
    path: Path,
    *,
    min_size: int,
    overwrite: bool,
) -> PolygonResult:
    """Write the polygons of a label map and its confidence, as files. Raises InputError, ImageError."""
    scene = open_scene(mask)
    check_polygons(scene)
    labels = _plane(mask)
    percents = None if confidence is None else _plane(confidence)
    return write_polygons(
        scene, labels, percents, names, path, nodata=IGNORE, min_size=min_size, overwrite=overwrite
    )


def _plane(path: Path) -> NDArray[np.uint8]:
    import rasterio  # noqa: PLC0415 - GDAL takes a third of a second to import

    with gdal(path.name), rasterio.open(path.resolve(), driver="GTiff") as dataset:
        values: NDArray[np.uint8] = dataset.read(1)
    return values


def check_polygons(scene: Scene) -> None:
    """Raise InputError for a scene whose map cannot become polygons."""
    if scene.transform is None:
        raise InputError(
            f"{scene.name} has no coordinates, so its map cannot become polygons.",
            todo="Leave out --polygons, or give a georeferenced image.",
        )
    if scene.width * scene.height > MAX_PIXELS:
        raise InputError(
            f"{scene.name} has {scene.width:,} x {scene.height:,} pixels, too many for polygons.",
            why=f"All borders are simplified together in memory; at most {MAX_PIXELS:,} pixels are supported.",
            todo="Leave out --polygons, or restrict the map with gdal_translate -projwin first.",
        )


def write_polygons(
    scene: Scene,
    labels: Labels,
    confidence: NDArray[np.uint8] | None,
    names: Mapping[int, str],
    path: Path,
    *,
    nodata: int,
    min_size: int,
    overwrite: bool,
    max_corners: int = MAX_CORNERS,
) -> PolygonResult:
    """Write the polygons of a label map in the grid of a scene. Raises InputError, ImageError.

    labels:     (H, W), not changed. nodata: the value of pixels without a class.
    confidence: (H, W) in percent; None if unknown.
    names:      of the values.
    min_size:   pixels of a patch: smaller ones become part of their largest neighbor.
    """
    check_polygons(scene)
    sieved = _sieved(labels, nodata, min_size)
    moved = int((sieved != labels).sum())
    inside = sieved != nodata
    patches = find_patches(sieved, inside)
    shapes, numbers = _traced(patches.labels, scene, max_corners)
    values = np.zeros(len(patches.sizes), sieved.dtype)
    for rows in row_blocks(*sieved.shape):
        values[patches.labels[rows][inside[rows]]] = sieved[rows][inside[rows]]
    columns = {
        "class_id": values[numbers].astype(np.int32),
        "class": np.array([names.get(int(value), f"class {value}") for value in values[numbers]], object),
        "pixels": patches.sizes[numbers],
        **_areas(scene, patches.labels, numbers),
        **_confidences(patches.labels, confidence, patches.sizes, numbers),
    }
    simplified = _simplified(shapes, scene)
    _write(path, simplified, columns, scene, overwrite=overwrite)
    import shapely  # noqa: PLC0415 - only polygons need it

    return PolygonResult(path, len(numbers), int(shapely.get_num_coordinates(simplified).sum()), moved)


def _sieved(labels: Labels, nodata: int, min_size: int) -> Labels:
    if min_size <= 1:
        return labels
    from rasterio.features import sieve  # noqa: PLC0415 - GDAL takes a third of a second to import

    with gdal("The label map"):
        result: Labels = sieve(labels, min_size, mask=labels != nodata, connectivity=4)
    result[labels == nodata] = nodata
    return result


def _nodes(patches: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Return the corners of pixels where three or more borders meet, (H + 1, W + 1); the frame is a border."""
    height, width = patches.shape
    across = np.zeros((height + 2, width + 1), np.bool_)  # between a pixel and the one to its right
    across[1:-1, 1:-1] = patches[:, 1:] != patches[:, :-1]
    across[1:-1, 0], across[1:-1, -1] = patches[:, 0] >= 0, patches[:, -1] >= 0
    down = np.zeros((height + 1, width + 2), np.bool_)
    down[1:-1, 1:-1] = patches[1:] != patches[:-1]
    down[0, 1:-1], down[-1, 1:-1] = patches[0] >= 0, patches[-1] >= 0
    count = across[:-1].astype(np.uint8)
    for part in (across[1:], down[:, :-1], down[:, 1:]):
        count += part
    nodes: NDArray[np.bool_] = count > 2
    return nodes


def _traced(
    patches: NDArray[np.int32], scene: Scene, max_corners: int
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return the outline of each patch in pixels, with all corners where borders meet, and its number."""
    import shapely  # noqa: PLC0415 - only polygons need it
    from rasterio.features import shapes  # noqa: PLC0415

    rings: list[NDArray[np.int32]] = []
    owners: list[int] = []
    numbers: list[int] = []
    corners = 0
    with gdal(scene.name):
        for geometry, number in shapes(patches, mask=patches >= 0, connectivity=4):
            for ring in geometry["coordinates"]:
                rings.append(np.asarray(ring, np.int32))
                owners.append(len(numbers))
                corners += len(ring)
            numbers.append(int(number))
            if corners > max_corners:
                raise InputError(
                    f"The map of {scene.name} has too many borders for polygons.",
                    why=f"They have more than {max_corners:,} corners, and are simplified together in memory.",
                    todo="Leave out --polygons, or use a larger --min-size.",
                )
    if not rings:
        return np.empty(0, object), np.empty(0, np.int64)
    xy, index = _with_nodes(rings, _nodes(patches))
    lines = shapely.linearrings(xy.astype(np.float64), indices=index)
    first = np.searchsorted(owners, np.arange(len(numbers) + 1))
    polygons = np.empty(len(numbers), object)
    plain = np.diff(first) == 1
    polygons[plain] = shapely.polygons(lines[first[:-1][plain]])
    for number in np.flatnonzero(~plain):
        start, end = first[number], first[number + 1]
        polygons[number] = shapely.Polygon(lines[start], lines[start + 1 : end])
    return polygons, np.array(numbers, np.int64)


def _with_nodes(
    rings: list[NDArray[np.int32]], nodes: NDArray[np.bool_]
) -> tuple[NDArray[np.int32], NDArray[np.intp]]:
    """Return the vertices of all rings, with the nodes on their straight sides, and the ring of each."""
    xy = np.concatenate(rings)
    sizes = np.array([len(ring) for ring in rings])
    ring = np.repeat(np.arange(len(rings)), sizes)
    step = np.diff(xy, axis=0, append=xy[-1:])
    step[np.cumsum(sizes) - 1] = 0  # from the end of a ring to the next
    lengths = np.maximum(np.abs(step).max(axis=1), 1)
    start = np.repeat(np.arange(len(xy)), lengths)
    along = (np.arange(len(start)) - np.repeat(np.cumsum(lengths) - lengths, lengths)).astype(np.int32)
    direction = (step > 0).astype(np.int32) - (step < 0)
    full = xy[start] + direction[start] * along[:, None]
    keep = (along == 0) | nodes[full[:, 1], full[:, 0]]
    return full[keep], ring[start[keep]]


def _simplified(shapes: NDArray[Any], scene: Scene) -> NDArray[Any]:
    """Return the polygons in the coordinates of the scene, their shared borders simplified together."""
    import shapely  # noqa: PLC0415 - only polygons need it

    if not len(shapes):
        return shapes
    a, b, c, d, e, f = scene.transform or (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    simple = shapely.coverage_simplify(shapes, TOLERANCE, simplify_boundary=False)
    placed = shapely.transform(
        simple, lambda xy: np.column_stack([a * xy[:, 0] + b * xy[:, 1] + c, d * xy[:, 0] + e * xy[:, 1] + f])
    )
    result: NDArray[Any] = shapely.orient_polygons(placed)
    return result


def _areas(scene: Scene, patches: NDArray[np.int32], numbers: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    """Return the area of each patch on the ground, pixel by pixel; NaN where it is unknown."""
    sizes = PixelSizes(scene)
    m2 = np.zeros(int(patches.max(initial=-1)) + 1)
    height, width = patches.shape
    for top in range(0, height if sizes.known else 0, sizes.height):
        for left in range(0, width, sizes.width):
            block = patches[top : top + sizes.height, left : left + sizes.width]
            used, counts = np.unique(block[block >= 0], return_counts=True)
            if len(used):
                m2[used] += counts * sizes.pixel(top, left, *block.shape)
    if not sizes.known:
        m2[:] = np.nan
    return {"area_m2": m2[numbers], "area_ha": m2[numbers] / HECTARE}


def _confidences(
    patches: NDArray[np.int32],
    confidence: NDArray[np.uint8] | None,
    pixels: NDArray[np.int64],
    numbers: NDArray[np.int64],
) -> dict[str, NDArray[Any]]:
    """Return the mean confidence of each patch, 0 to 1; nothing if it is unknown."""
    if confidence is None:
        return {}
    sums = np.zeros(len(pixels))
    for rows in row_blocks(*patches.shape):
        inside = patches[rows] >= 0
        used, place = np.unique(patches[rows][inside], return_inverse=True)
        sums[used] += np.bincount(place, confidence[rows][inside], len(used))
    return {"confidence": (sums / np.maximum(pixels, 1) / 100)[numbers]}


def _write(
    path: Path, shapes: NDArray[Any], columns: Mapping[str, NDArray[Any]], scene: Scene, *, overwrite: bool
) -> None:
    """Write the polygons next to their destination, and move them there. GeoJSON is in longitude and latitude."""
    import pyogrio.raw  # noqa: PLC0415 - only polygons need it
    import shapely  # noqa: PLC0415
    from pyogrio.errors import DataSourceError  # noqa: PLC0415

    kind: PolygonFormat = "gpkg" if path.suffix == ".gpkg" else "geojson"
    part = path.with_name(f".{secrets.token_hex(8)}{path.suffix}")
    options: dict[str, Any] = (
        {"dataset_options": {"VERSION": GEOPACKAGE_VERSION}}
        if kind == "gpkg"
        else {"layer_options": {"RFC7946": "YES"} if scene.crs else {}}
    )
    try:
        warnings.filterwarnings("ignore", message="'crs' was not provided")  # maps without one are supported
        pyogrio.raw.write(
            part, shapely.to_wkb(shapes), list(columns.values()), list(columns), layer=LAYER,
            driver=DRIVERS[kind], geometry_type="Polygon", crs=scene.crs or None, **options,
        )  # fmt: skip
        move_new(part, path, overwrite=overwrite)
    except (DataSourceError, OSError, RuntimeError) as error:
        raise InputError(
            f"{path} cannot be written.",
            why=f"{error}",
            todo="Choose a folder with write permission and enough space.",
        ) from error
    finally:
        part.unlink(missing_ok=True)
