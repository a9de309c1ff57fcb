"""Read a map of any size in tiles of 256 x 256 pixels, at any zoom, for a viewer.

The tiles are those of the image's own grid: zoom 0 shows all of it in one tile, each further zoom doubles the
resolution, and at the last one a pixel of a tile is a pixel of the file. A tile comes from the overviews of its file.

Without overviews, a tile of zoom 0 would decode the whole file. So no tile may decode more than LIMIT pixels: for a
file where one would, `make_copy` writes a smaller copy with overviews, once, in strips of bounded memory. The tiles
that are cheap still come from the file itself, so for most files the copy has a sixteenth of the pixels.
"""

from __future__ import annotations

import hashlib
import io
import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.errors import ImageError, InputError
from core.imaging.classes import IGNORE, Classes
from core.local_files import reason
from core.locks import Turn
from core.render.plane_png import Rgba, plane_png
from core.tiles.scene import SEQUENTIAL, Pixels, Scene, driver_of, gdal, opened, read_part

if TYPE_CHECKING:
    from pyproj import Geod, Transformer
    from rasterio.io import DatasetReader, DatasetWriter

TILE = 256
"""Pixels of a tile's side."""

LIMIT = 4_500_000
"""Pixels that may be decoded for one tile: about 50 ms."""

SPARSE = 4
"""File pixels per pixel of a copy, in each direction, where the file itself can serve what is finer."""

PART = 2048
"""File pixels of the side of a part that is copied at once, where the file is stored in tiles."""

PART_BYTES = 64_000_000
"""Bytes of such a part where it is stored in rows."""

MAX_OPEN = 16
"""Files that are open at once."""

Kind = Literal["scene", "mask", "confidence"]


class Span(NamedTuple):
    """A tile's place in its image: its first pixel, its size in pixels of the image, and how many make one of its."""

    top: int
    left: int
    height: int
    width: int
    reduction: int

    @property
    def shape(self) -> tuple[int, int]:
        """Return the rows and columns of the tile; fewer than TILE at the lower and right edge."""
        return -(-self.height // self.reduction), -(-self.width // self.reduction)


@dataclass(frozen=True, slots=True)
class TileGrid:
    """The tiles of an image of this size, in pixels."""

    width: int
    height: int

    @property
    def last_zoom(self) -> int:
        """Return the zoom at which a pixel of a tile is one of the image."""
        return max(0, math.ceil(math.log2(max(self.width, self.height) / TILE)))

    def span(self, zoom: int, x: int, y: int) -> Span | None:
        """Return where a tile is; None where there is no such tile."""
        if not 0 <= zoom <= self.last_zoom or x < 0 or y < 0:
            return None
        reduction = 1 << (self.last_zoom - zoom)
        top, left = y * TILE * reduction, x * TILE * reduction
        if top >= self.height or left >= self.width:
            return None
        side = TILE * reduction
        return Span(top, left, min(side, self.height - top), min(side, self.width - left), reduction)

    def count(self, zoom: int) -> tuple[int, int]:
        """Return the columns and rows of tiles at a zoom."""
        side = TILE << (self.last_zoom - zoom)
        return -(-self.width // side), -(-self.height // side)


@dataclass(frozen=True, slots=True)
class Raster:
    """A file that is shown as a layer, or the copy of one.

    scene:       how values become colors, for the layer of the image; None for class ids and percent.
    size, modified_ns: of the file, to notice that it was replaced.
    """

    kind: Kind
    path: Path
    driver: str
    size: int
    modified_ns: int
    scene: Scene | None = None

    @classmethod
    def of(cls, kind: Kind, path: Path, scene: Scene | None = None) -> Raster:
        """Return a file as a layer. Raises ImageError."""
        try:
            status = path.stat()
        except OSError as error:
            raise ImageError(
                f"{path.name} cannot be read.", why=reason(error), todo="Check the file."
            ) from error
        return cls(kind, path, driver_of(path), status.st_size, status.st_mtime_ns, scene)

    def check_unchanged(self) -> None:
        """Raise ImageError if the file is gone, or is another one."""
        try:
            status = self.path.stat()
        except OSError as error:
            raise ImageError(
                f"{self.path.name} is not there any more.", why=reason(error), todo="Segment the image again."
            ) from error
        if (status.st_size, status.st_mtime_ns) != (self.size, self.modified_ns):
            raise ImageError(f"{self.path.name} was replaced.", todo="Reload the page to show the new file.")


@dataclass(frozen=True, slots=True)
class Layer:
    """A raster, with its copy where it needs one. base: pixels of the raster per pixel of the copy."""

    raster: Raster
    copy: Raster | None = None
    base: int = 1


@dataclass(eq=False)
class OpenFiles:
    """Datasets that stay open for the next tile: at most `most`, half of them in use.

    Each is used by one thread at a time: GDAL's datasets are not thread-safe. For a file whose datasets are all in
    use, another one is opened.
    """

    most: int = MAX_OPEN
    _idle: OrderedDict[int, tuple[Raster, DatasetReader]] = field(default_factory=OrderedDict, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)
    _slots: threading.BoundedSemaphore = field(init=False)
    _closed: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self._slots = threading.BoundedSemaphore(max(1, self.most // 2))

    @contextmanager
    def dataset(self, raster: Raster) -> Iterator[DatasetReader]:
        """Lend a dataset of a file. Raises ImageError, also if the file was replaced."""
        raster.check_unchanged()
        with self._slots, gdal(raster.path.name):
            dataset = self._take(raster) or opened(raster.path, raster.driver)
            try:
                yield dataset
            except BaseException:
                dataset.close()  # after an error, its state is unknown
                raise
            self._give_back(raster, dataset)

    def close(self) -> None:
        """Close all; those in use are closed when they are given back."""
        with self._lock:
            self._closed = True
            datasets = [dataset for _, dataset in self._idle.values()]
            self._idle.clear()
        for dataset in datasets:
            dataset.close()

    @property
    def idle(self) -> int:
        """Return how many are open and not in use."""
        with self._lock:
            return len(self._idle)

    def _take(self, raster: Raster) -> DatasetReader | None:
        """Return an idle dataset of this file; None if there is none."""
        with self._lock:
            for key, (owner, dataset) in reversed(self._idle.items()):
                if owner is raster or owner == raster:
                    del self._idle[key]
                    return dataset
            return None

    def _give_back(self, raster: Raster, dataset: DatasetReader) -> None:
        surplus: list[DatasetReader] = [dataset]
        with self._lock:
            if not self._closed:
                self._idle[id(dataset)] = raster, dataset
                surplus = []
                while len(self._idle) > max(1, self.most // 2):
                    surplus.append(self._idle.popitem(last=False)[1][1])
        for each in surplus:
            each.close()


# Tiles.


def tile_png(layer: Layer, files: OpenFiles, span: Span, colors: Mapping[int, Rgba] | None = None) -> bytes:
    """Return a tile as PNG. Raises ImageError.

    The image: RGB, or RGBA where pixels have no data. Class ids: with a palette, 255 is transparent. Confidence:
    percent as gray, 255 is without data. Class ids are never mixed.

    colors: the palette of the class ids.
    """
    if layer.raster.scene is not None:
        return _image_png(_read_image(layer, files, span))
    return plane_png(_read_plane(layer, files, span), colors)


def class_colors(classes: Classes) -> dict[int, Rgba]:
    """Return the palette of a mask: the class colors, and a transparent 255."""
    table = classes.table().tolist()
    return {number: (*color, 0 if number == IGNORE else 255) for number, color in enumerate(table)}


def _source(layer: Layer, span: Span) -> tuple[Raster, Any, Scene | None]:
    """Return the file for a tile, the window in it, and how its values become colors."""
    raster, base = layer.raster, 1
    if layer.copy is not None and span.reduction >= layer.base:
        raster, base = layer.copy, layer.base
    top, left = span.top // base, span.left // base
    bottom, right = -(-(span.top + span.height) // base), -(-(span.left + span.width) // base)
    return raster, ((top, bottom), (left, right)), raster.scene


def _shape(window: Any, span: Span) -> tuple[int, int] | None:
    """Return the size of the result where it is smaller than the window."""
    (top, bottom), (left, right) = window
    return None if (bottom - top, right - left) == span.shape else span.shape


def _read_image(layer: Layer, files: OpenFiles, span: Span) -> Pixels:
    raster, window, scene = _source(layer, span)
    with files.dataset(raster) as dataset:
        if scene is not None:
            return read_part(scene, dataset, window, _shape(window, span))
        shape = (dataset.count, *span.shape)
        from rasterio.enums import Resampling  # noqa: PLC0415 - GDAL takes a third of a second to import

        colors = dataset.read(window=window, out_shape=shape, resampling=Resampling.average)
        valid = dataset.dataset_mask(window=window, out_shape=span.shape) > 0
        return Pixels(np.moveaxis(colors, 0, -1), valid)


def _read_plane(layer: Layer, files: OpenFiles, span: Span) -> NDArray[np.uint8]:
    from rasterio.enums import Resampling  # noqa: PLC0415 - as above

    raster, window, _ = _source(layer, span)
    with files.dataset(raster) as dataset:
        plane: NDArray[np.uint8] = dataset.read(
            1, window=window, out_shape=span.shape, resampling=Resampling.nearest
        )
        return plane


def _image_png(pixels: Pixels) -> bytes:
    colors = pixels.colors
    if not pixels.valid.all():
        alpha = np.where(pixels.valid, np.uint8(255), np.uint8(0))
        colors = np.dstack([colors, alpha])
    elif (colors[..., 0] == colors[..., 1]).all() and (colors[..., 0] == colors[..., 2]).all():
        colors = colors[..., 0]
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(colors)).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


# What a file without overviews needs.


def copy_base(dataset: DatasetReader) -> int:
    """Return how many pixels of an open file become one of its copy, in each direction; 0 if it needs none.

    SPARSE where the finest tiles are cheap without a copy, 1 where they are not.
    """
    grid = TileGrid(dataset.width, dataset.height)
    if dataset.driver in SEQUENTIAL:  # decoded from the top: a tile at the bottom decodes all
        return 1 if dataset.width * dataset.height > LIMIT else 0
    costs = [_decoded(dataset, 1 << power) for power in range(grid.last_zoom + 1)]
    if max(costs) <= LIMIT:
        return 0
    return SPARSE if max(costs[: SPARSE.bit_length() - 1]) <= LIMIT else 1


def _decoded(dataset: DatasetReader, reduction: int) -> int:
    """Return the pixels that are decoded for a tile, at most."""
    factor = max([each for each in dataset.overviews(1) if each <= reduction], default=1)
    # The blocks of overviews are unknown until they are opened; GDAL and the COG driver write 128 to 512.
    rows, columns = dataset.block_shapes[0] if factor == 1 else (512, 512)
    side = TILE * reduction // factor
    height, width = -(-dataset.height // factor), -(-dataset.width // factor)

    def covered(length: int, block: int) -> int:
        return min(length, (-(-side // block) + (1 if side % block else 0)) * block)

    return covered(height, rows) * covered(width, columns)


def copy_path(raster: Raster, folder: Path) -> Path:
    """Return the path of a raster's copy, which belongs to this file and these colors alone."""
    scene = raster.scene
    look = (scene.used, scene.ranges) if scene else ()
    text = repr((raster.kind, raster.path.name, raster.size, raster.modified_ns, look))
    return folder / f".{hashlib.blake2b(text.encode(), digest_size=12).hexdigest()}.view.tif"


def make_copy(raster: Raster, path: Path, base: int, progress: Callable[[float], None]) -> None:
    """Write the copy of a raster with overviews, once and all or nothing. Raises InputError.

    base:     as `copy_base` returns it.
    progress: called with the part that is done, 0 to 1; what it raises ends the work.
    """
    part = path.with_suffix(".part")
    try:
        turn = Turn(path.with_suffix(".lock"), lambda: progress(0.0))
        try:
            if path.exists():  # another thread or process has made it meanwhile
                return
            with gdal(raster.path.name), opened(raster.path, raster.driver) as source:
                _copy_parts(raster, source, part, base, progress)
            raster.check_unchanged()
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
            turn.release()
    except (ImageError, OSError) as error:
        raise InputError(
            f"The overview of {raster.path.name} cannot be made.",
            why=reason(error) if isinstance(error, OSError) else error.why or str(error),
            todo="Free some space in the folder of the results, and check that the file is complete. Or add "
            "overviews to the file yourself: gdaladdo -r average",
        ) from error


def _copy_parts(
    raster: Raster, source: DatasetReader, part: Path, base: int, progress: Callable[[float], None]
) -> None:
    import rasterio  # noqa: PLC0415 - as above
    from rasterio.enums import Resampling  # noqa: PLC0415

    scene = raster.scene
    height, width = -(-source.height // base), -(-source.width // base)
    options: dict[str, Any] = {"tiled": True, "blockxsize": 256, "blockysize": 256, "BIGTIFF": "IF_SAFER"}
    if scene is None:
        options |= {"count": 1, "compress": "deflate", "zlevel": 1}
        options |= {"nodata": IGNORE if source.nodata is None else source.nodata}  # a PNG names none
        mixing = Resampling.mode if raster.kind == "mask" else Resampling.average
    else:
        options |= {"count": 3, "compress": "jpeg", "jpeg_quality": 92, "photometric": "ycbcr"}
        mixing = Resampling.average
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True, GDAL_NUM_THREADS=2):
        with rasterio.open(
            part, "w", driver="GTiff", width=width, height=height, dtype="uint8", **options
        ) as target:
            parts = list(_parts(source, base))
            for number, (rows, columns) in enumerate(parts):
                _copy_part(raster, source, target, (rows, columns), base)
                progress(0.8 * (number + 1) / len(parts))
        factors = [1 << power for power in range(1, TileGrid(width, height).last_zoom + 1)]
        if factors:
            with rasterio.open(part, "r+") as target:
                target.build_overviews(factors, mixing)
    progress(1.0)


def _parts(source: DatasetReader, base: int) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Yield the rows and columns of the parts, whose sizes are multiples of `base`."""
    rows, columns = PART, PART
    if source.driver in SEQUENTIAL or source.block_shapes[0][1] >= source.width:
        values = source.width * max(3, source.count) * np.dtype(source.dtypes[0]).itemsize
        rows, columns = max(1, min(PART, PART_BYTES // values) // 256) * 256, -(-source.width // base) * base
    for top in range(0, source.height, rows):
        for left in range(0, source.width, columns):
            yield (top, min(top + rows, source.height)), (left, min(left + columns, source.width))


def _copy_part(raster: Raster, source: DatasetReader, target: DatasetWriter, window: Any, base: int) -> None:
    from rasterio.enums import Resampling  # noqa: PLC0415 - as above

    (top, bottom), (left, right) = window
    shape = -(-(bottom - top) // base), -(-(right - left) // base)
    place = (top // base, top // base + shape[0]), (left // base, left // base + shape[1])
    if raster.scene is None:
        mixing = Resampling.mode if raster.kind == "mask" else Resampling.average
        values = source.read(1, window=window, out_shape=shape, resampling=mixing)
        target.write(values, 1, window=place)
        return
    pixels = read_part(raster.scene, source, window, None if base == 1 else shape)
    target.write(np.moveaxis(pixels.colors, -1, 0), window=place)
    if raster.scene.masked:
        target.write_mask(pixels.valid, window=place)


# Values and places.


class PixelValue(NamedTuple):
    """What a map says about a pixel. class_id: IGNORE without data. percent: None without confidence.

    place: in the coordinates of the map's reference system, of the pixel's middle; None without a transform.
    degrees: longitude and latitude (WGS 84); None where the reference system does not lead there.
    """

    class_id: int
    percent: int | None
    place: tuple[float, float] | None
    degrees: tuple[float, float] | None


def read_value(layer: Layer, files: OpenFiles, x: int, y: int) -> int:
    """Return the value of a mask or a confidence at a pixel of the image. Raises ImageError."""
    use_copy = layer.copy is not None and layer.base == 1
    raster = layer.copy if use_copy and layer.copy is not None else layer.raster
    with files.dataset(raster) as dataset:
        return int(dataset.read(1, window=((y, y + 1), (x, x + 1)))[0, 0])


@dataclass(eq=False)
class Places:
    """Where the pixels of a scene are on the ground. Threads may share it."""

    scene: Scene
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)
    _ready: tuple[Transformer, Geod] | None = field(default=None, init=False)
    note: str = field(default="", init=False)

    def __post_init__(self) -> None:
        if not self.scene.crs or self.scene.transform is None:
            return
        from pyproj import CRS, Geod, Transformer  # noqa: PLC0415 - only georeferenced scenes need it
        from pyproj.exceptions import ProjError  # noqa: PLC0415

        try:
            crs = CRS.from_wkt(self.scene.crs)
            self._ready = Transformer.from_crs(crs, "EPSG:4326", always_xy=True), Geod(ellps="WGS84")
        except ProjError as error:
            self.note = f"Longitude and latitude are not known: {error}"

    def coordinates(self, x: float, y: float) -> tuple[float, float] | None:
        """Return a point, given in pixels from the upper left corner, in the coordinates of the reference system."""
        if self.scene.transform is None:
            return None
        a, b, c, d, e, f = self.scene.transform
        return a * x + b * y + c, d * x + e * y + f

    def degrees(self, x: float, y: float) -> tuple[float, float] | None:
        """Return the longitude and latitude of such a point; None where there are none."""
        point = self.coordinates(x, y)
        if self._ready is None or point is None:
            return None
        with self._lock:
            longitude, latitude = self._ready[0].transform(*point)
        return (longitude, latitude) if math.isfinite(longitude) and math.isfinite(latitude) else None

    def meters_per_pixel(self) -> float | None:
        """Return how wide a pixel in the middle of the scene is on the ellipsoid; None where that is not known."""
        x, y = self.scene.width / 2, self.scene.height / 2
        ends = self.degrees(x - 0.5, y), self.degrees(x + 0.5, y)
        if self._ready is None or ends[0] is None or ends[1] is None:
            return None
        with self._lock:
            meters = self._ready[1].inv(*ends[0], *ends[1])[2]
        return float(meters) if math.isfinite(meters) and meters > 0 else None

    def name(self) -> str:
        """Return the name of the reference system, such as `EPSG:32632`; empty without one."""
        if not self.scene.crs:
            return ""
        from pyproj import CRS  # noqa: PLC0415 - as above
        from pyproj.exceptions import ProjError  # noqa: PLC0415

        try:
            crs = CRS.from_wkt(self.scene.crs)
        except ProjError:
            return "unknown"
        authority = crs.to_authority()
        return ":".join(authority) if authority else str(crs.name)
