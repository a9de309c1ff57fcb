"""Read an image of any size window by window, with rasterio (GDAL), as the 8-bit colors that an endpoint gets.

A scene is any raster that GDAL decodes in parts: GeoTIFF, Cloud Optimized GeoTIFF, BigTIFF, JPEG 2000, and plain
images. Values of more than 8 bits, and floats, are stretched between two percentiles of each band, which come from an
overview or a sample. Pixels without data are those that the file marks (nodata value, mask, alpha) and those that are
not finite.

Everything that can be wrong with a file is found before a tile is sent, as far as that is possible without decoding
all of it: each tile is billed.
"""

from __future__ import annotations

import hashlib
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.errors import ImageError, InputError
from core.imaging.tiff import GDAL_CACHE
from core.local_files import reason
from core.text import byte_size

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
SIGNATURES = (
    (0, TIFF, "GTiff"),
    (0, (b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51"), "JP2OpenJPEG"),
    (0, (b"\xff\xd8\xff",), "JPEG"),
    (0, (b"\x89PNG\r\n\x1a\n",), "PNG"),
    (8, (b"WEBP",), "WEBP"),
    (0, (b"BM",), "BMP"),
    (0, (b"GIF8",), "GIF"),
)
"""Offset, first bytes and GDAL's name of the formats that are read, in the order of the checks.

GDAL itself would also open formats that refer to other files and servers, such as VRT.
"""

SEQUENTIAL = ("JPEG", "PNG", "WEBP", "BMP", "GIF")
"""Formats that are decoded from the top: their last row shows whether they are complete."""

MAX_SIDE = 200_000
MAX_PIXELS = 4_000_000_000
"""Pixels of a scene: ten times 20,000 x 20,000."""

MAX_BLOCK_BYTES = 256_000_000
"""Bytes of a decoded block of a file: less cannot be decoded at once."""

MAX_CHECKED_BLOCKS = 200_000
"""Blocks of a TIFF whose place in the file is checked."""

PERCENTILES = (2.0, 98.0)
"""The default stretch."""

SAMPLE_SIDE = 1024
"""Pixels of the longer side of the overview that percentiles are taken from."""

SAMPLE_WINDOWS, SAMPLE_WINDOW = 8, 256
"""Without overviews: windows per side of the image, and pixels of a window's side."""

MAX_DECODED = 500_000_000
"""Pixels of a scene without overviews that is decoded as a whole, block by block, for its preview."""

FLAT = 1e-12

Transform = tuple[float, float, float, float, float, float]
"""x = a * column + b * row + c, y = d * column + e * row + f: (a, b, c, d, e, f)."""


def shifted(transform: Transform, top: int, left: int) -> Transform:
    """Return the transform of a part of a scene that begins at this row and column."""
    a, b, c, d, e, f = transform
    return a, b, c + a * left + b * top, d, e, f + d * left + e * top


class Pixels(NamedTuple):
    """A part of a scene.

    colors: (H, W, 3) uint8.
    valid:  (H, W) bool, false where the scene has no data.
    """

    colors: NDArray[np.uint8]
    valid: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Scene:
    """An image that is read in parts.

    path, name:    of the file.
    driver:        the format as GDAL names it, such as `GTiff`.
    width, height: in pixels.
    bands:         how many there are.
    dtype:         of the values, such as `uint16`.
    used:          the bands that are sent, from 1: three, or one for gray.
    ranges:        of each used band, the values that become 0 and 255; empty where 8-bit values are sent unchanged.
    palette:       whether the band holds indices of a color table.
    inverted:      whether 0 is white.
    masked:        whether pixels without data can occur.
    crs:           the coordinate reference system as WKT; empty where there is none.
    transform:     from pixels to its coordinates; None where the file is not georeferenced.
    file_size, modified_ns: of the file, to notice that it was replaced.
    fingerprint:   SHA-256 of the file, to distinguish images of the same size and name.
    notes:         sentences about what was chosen or left out.
    """

    path: Path
    name: str
    driver: str
    width: int
    height: int
    bands: int
    dtype: str
    used: tuple[int, ...]
    ranges: tuple[tuple[float, float], ...]
    palette: bool
    inverted: bool
    masked: bool
    crs: str
    transform: Transform | None
    file_size: int
    modified_ns: int
    fingerprint: str
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "name": self.name,
            "format": self.driver,
            "width": self.width,
            "height": self.height,
            "bands": self.bands,
            "dtype": self.dtype,
            "used_bands": list(self.used),
            "stretched_from": [list(limits) for limits in self.ranges],
            "crs": self.crs,
            "transform": None if self.transform is None else list(self.transform),
        }


@contextmanager
def gdal(name: str) -> Iterator[None]:
    """Set GDAL up for the current thread, and turn its errors into an ImageError about the file `name`."""
    import rasterio  # noqa: PLC0415 - GDAL takes a third of a second to import
    from rasterio._err import CPLE_BaseError  # noqa: PLC0415 - some functions raise GDAL's own errors
    from rasterio.errors import (  # noqa: PLC0415
        CRSError,
        NotGeoreferencedWarning,
        RasterioError,
        WindowError,
    )
    from rasterio.session import DummySession  # noqa: PLC0415

    warnings.filterwarnings("ignore", category=NotGeoreferencedWarning)
    try:
        # Without a session of its own, rasterio looks for AWS credentials in the environment.
        with rasterio.Env(
            session=DummySession(), GDAL_CACHEMAX=GDAL_CACHE, GDAL_ERROR_ON_LIBJPEG_WARNING=True
        ):
            yield
    except (RasterioError, CRSError, WindowError, CPLE_BaseError, OSError, MemoryError, ValueError) as error:
        raise ImageError(
            f"{name} cannot be read.",
            why=_cause(error),
            todo="Check that the file is complete, for example with: gdalinfo -checksum",
        ) from error


def _cause(error: BaseException) -> str:
    """Return GDAL's own message: rasterio's often refers to the exception before it."""
    while error.__cause__ is not None:
        error = error.__cause__
    text = str(error) or type(error).__name__
    return f"{text[0].upper()}{text[1:].rstrip('.')}."


def open_scene(path: Path, *, bands: Sequence[int] = (), stretch: tuple[float, float] | None = None) -> Scene:
    """Read a scene's header, and the range of its values.

    bands:   the bands to send, from 1: one or three. Empty: red, green and blue.
    stretch: percentiles that become 0 and 255. None: 8-bit values are kept, others are stretched from 2 % to 98 %.

    Raises InputError for bands and percentiles that cannot be used; ImageError for a file that cannot be read.
    """
    if stretch is not None and not 0 <= stretch[0] < stretch[1] <= 100:
        raise InputError(
            f"The percentiles {stretch[0]:g},{stretch[1]:g} cannot be used.",
            why="They must be two increasing numbers from 0 to 100.",
            todo="Use for example 2,98.",
        )
    try:
        status = path.stat()
        if not path.is_file():
            raise ImageError(f"{path} is not a file.", todo="Give the path of an image.")
        start = _start(path)
    except OSError as error:
        raise ImageError(f"{path} cannot be read.", why=reason(error), todo="Check the path.") from error
    driver = _driver(path.name, start)
    _check_sidecars(path)
    with gdal(path.name), opened(path, driver) as dataset:
        _check_references(dataset, path.name)
        _check_size(dataset, path.name)
        _check_upright(dataset, path.name)
        used, notes = _used_bands(dataset, path.name, bands)
        palette = _is_palette(dataset, used)
        _check_complete(dataset, path.name, status.st_size)
        transform, place_notes = _place(dataset, path.name)
        ranges, range_notes = _ranges(dataset, path.name, used, stretch, palette=palette)
        return Scene(
            path,
            path.name,
            driver,
            dataset.width,
            dataset.height,
            dataset.count,
            dataset.dtypes[used[0] - 1],
            used,
            ranges,
            palette,
            dataset.tags(ns="IMAGE_STRUCTURE").get("MINISWHITE") == "YES",
            _can_lack_data(dataset, used),
            dataset.crs.to_wkt() if dataset.crs else "",
            transform,
            status.st_size,
            status.st_mtime_ns,
            fingerprint(path),
            (*notes, *place_notes, *range_notes),
        )


def _driver(name: str, start: bytes) -> str:
    """Return GDAL's name of a format by the first bytes of a file. Raises ImageError."""
    for offset, signatures, driver in SIGNATURES:
        if start[offset:].startswith(signatures):
            return driver
    raise ImageError(
        f"{name} is not an image that can be read in parts: it starts with {start[:8]!r}.",
        todo="Supported are GeoTIFF, JPEG 2000, JPEG, PNG, WebP, BMP and GIF.",
    )


def fingerprint(path: Path) -> str:
    """Return the SHA-256 of a file, as hexadecimal digits. Raises OSError.

    Of the whole file: an image that was edited in one place may keep its size.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(16)


def _check_sidecars(path: Path) -> None:
    """Raise ImageError for a file next to the image that GDAL would follow to other files and servers.

    It opens overviews and masks in files of their own with any of its drivers.
    """
    names = {f"{path.name}{suffix}".casefold() for suffix in (".ovr", ".msk", ".msk.ovr", ".ovr.ovr")}
    for sidecar in path.parent.iterdir():  # GDAL finds them in any case
        if sidecar.name.casefold() in names and not _start(sidecar).startswith(TIFF):
            raise ImageError(
                f"{sidecar.name}, next to {path.name}, is not a TIFF.",
                todo="Remove it, or make it again with: gdaladdo -ro",
            )


def _check_references(dataset: DatasetReader, name: str) -> None:
    """Raise ImageError where the file, or its .aux.xml, says that its overviews are in another file."""
    places = [dataset.tags(ns="OVERVIEWS"), *(dataset.tags(band, ns="OVERVIEWS") for band in dataset.indexes)]
    files = [tags["OVERVIEW_FILE"] for tags in places if "OVERVIEW_FILE" in tags]
    if files:
        raise ImageError(
            f"{name} refers to the file {files[0]!r} for its overviews.",
            why="GDAL would open it, wherever it is.",
            todo="Remove the item OVERVIEW_FILE of its metadata, or of its .aux.xml.",
        )


def opened(path: Path, driver: str) -> DatasetReader:
    """Open a file with this driver alone. Call it within `gdal`; only one thread at a time may read."""
    import rasterio  # noqa: PLC0415 - see `gdal`

    dataset: DatasetReader = rasterio.open(path.resolve(), driver=driver, sharing=False)
    return dataset


def _check_size(dataset: DatasetReader, name: str) -> None:
    width, height = dataset.width, dataset.height
    if not dataset.count or width < 1 or height < 1:
        raise ImageError(
            f"{name} has {dataset.count} bands of {width} x {height} pixels.",
            todo="Export the image that it contains as a GeoTIFF."
            if dataset.subdatasets
            else "Export it again.",
        )
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        raise ImageError(
            f"{name} has {width:,} x {height:,} pixels by its header.",
            why=f"At most {MAX_PIXELS:,} are supported, and {MAX_SIDE:,} per side.",
            todo="Cut it into parts, for example with: gdal_translate -srcwin",
        )
    rows, columns = dataset.block_shapes[0]
    itemsize = max(np.dtype(dtype).itemsize for dtype in dataset.dtypes)
    together = (
        dataset.count if dataset.interleaving is not None and dataset.interleaving.name == "pixel" else 1
    )
    size = rows * columns * itemsize * together
    if size > MAX_BLOCK_BYTES:
        raise ImageError(
            f"{name} is stored in blocks of {columns:,} x {rows:,} pixels, {byte_size(size)} each.",
            why=f"A block is decoded at once, and may take at most {byte_size(MAX_BLOCK_BYTES)}.",
            todo="Convert it first: gdal_translate -of COG -co BIGTIFF=IF_SAFER IN OUT",
        )


def _check_upright(dataset: DatasetReader, name: str) -> None:
    """Raise ImageError where an EXIF orientation turns the image: a map would not fit it."""
    orientation = dataset.tags().get("EXIF_Orientation", "1")
    if orientation not in ("0", "1"):
        raise ImageError(
            f"{name} is stored turned: its EXIF orientation is {orientation}.",
            why="A large image is read as it is stored, and the endpoint would get it turned.",
            todo="Save it upright first.",
        )


def _used_bands(
    dataset: DatasetReader, name: str, bands: Sequence[int]
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Return the bands to send, and a note where others are left out."""
    from rasterio.enums import ColorInterp  # noqa: PLC0415 - see `gdal`

    kinds = dataset.colorinterp
    if bands:
        unknown = [band for band in bands if not 1 <= band <= dataset.count]
        if unknown or len(bands) not in (1, 3):
            raise InputError(
                f"The bands {','.join(map(str, bands))} of {name} cannot be used.",
                why=f"It has the bands 1 to {dataset.count}; an endpoint gets three of them, or one as gray.",
                todo="Use for example 3,2,1.",
            )
        used = tuple(bands)
    else:
        colors = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
        opaque = [band for band, kind in enumerate(kinds, 1) if kind != ColorInterp.alpha]
        if all(color in kinds for color in colors):
            used = tuple(kinds.index(color) + 1 for color in colors)
        else:
            used = tuple(opaque[:3] if len(opaque) >= 3 else opaque[:1])
        if not used:
            raise ImageError(f"{name} has no band of colors.", todo="Choose one with --bands.")
    types = {dataset.dtypes[band - 1] for band in used}
    if len(types) > 1 or any(np.dtype(dtype).kind not in "uif" for dtype in types):
        raise ImageError(
            f"The bands {','.join(map(str, used))} of {name} hold {', '.join(sorted(types))} values.",
            why="Supported are integers and floats, the same for all bands.",
            todo="Choose other bands, or convert the file with: gdal_translate -ot Float32",
        )
    inks = (ColorInterp.cyan, ColorInterp.magenta, ColorInterp.yellow, ColorInterp.black)
    if any(kinds[band - 1] in inks for band in used):
        raise ImageError(
            f"{name} has CMYK colors.", todo="Convert it to RGB, or choose one band with --bands."
        )
    left = [
        band for band in range(1, dataset.count + 1)
        if band not in used and kinds[band - 1] != ColorInterp.alpha
    ]  # fmt: skip
    note = f"Bands {','.join(map(str, used))} of {dataset.count} are sent." if left else ""
    return used, (note,) if note else ()


def _is_palette(dataset: DatasetReader, used: tuple[int, ...]) -> bool:
    from rasterio.enums import ColorInterp  # noqa: PLC0415 - see `gdal`

    return len(used) == 1 and dataset.colorinterp[used[0] - 1] == ColorInterp.palette


def _check_complete(dataset: DatasetReader, name: str, file_size: int) -> None:
    """Raise ImageError where the file ends before its last block."""
    if dataset.driver in SEQUENTIAL:
        dataset.read(1, window=((dataset.height - 1, dataset.height), (0, dataset.width)))
    if dataset.driver != "GTiff":
        return
    rows, columns = dataset.block_shapes[0]
    down, across = -(-dataset.height // rows), -(-dataset.width // columns)
    # The bands of a pixel are together in the blocks of band 1, or each band has blocks of its own.
    together = dataset.interleaving is not None and dataset.interleaving.name == "pixel"
    for band in range(1, 2 if together else dataset.count + 1):
        for number in range(min(down * across, MAX_CHECKED_BLOCKS)):
            row, column = divmod(number, across)
            place = [
                int(dataset.get_tag_item(f"{item}_{column}_{row}", "TIFF", bidx=band) or 0)
                for item in ("BLOCK_OFFSET", "BLOCK_SIZE")
            ]
            if sum(place) > file_size:
                raise ImageError(
                    f"{name} is truncated: it has {file_size:,} bytes.",
                    why=f"Its block in row {row}, column {column} ends at byte {sum(place):,}.",
                    todo="Copy or download it again.",
                )


def _place(dataset: DatasetReader, name: str) -> tuple[Transform | None, tuple[str, ...]]:
    """Return where the scene is, and notes on what is missing for that."""
    matrix = dataset.transform
    if matrix.is_identity:
        if not dataset.crs and not dataset.gcps[0]:
            return None, ()
        return None, (f"{name} has no transform from pixels to coordinates: the results have none either.",)
    flat = FLAT * max(abs(value) for value in (matrix.a, matrix.b, matrix.d, matrix.e)) ** 2
    if not np.isfinite(matrix[:6]).all() or abs(matrix.determinant) <= flat:
        raise ImageError(
            f"The transform of {name} is not invertible: {tuple(matrix[:6])}.",
            todo="Assign the right corners, for example with: gdal_translate -a_ullr",
        )
    a, b, c, d, e, f = (float(value) for value in matrix[:6])
    notes = () if dataset.crs else (f"{name} has no coordinate reference system: areas are in pixels.",)
    return (a, b, c, d, e, f), notes


def _can_lack_data(dataset: DatasetReader, used: tuple[int, ...]) -> bool:
    from rasterio.enums import MaskFlags  # noqa: PLC0415 - see `gdal`

    flags = [dataset.mask_flag_enums[band - 1] for band in used]
    floats = any(np.dtype(dataset.dtypes[band - 1]).kind == "f" for band in used)
    return floats or any(MaskFlags.all_valid not in each for each in flags)


# The range of the values.


def _ranges(
    dataset: DatasetReader,
    name: str,
    used: tuple[int, ...],
    stretch: tuple[float, float] | None,
    *,
    palette: bool,
) -> tuple[tuple[tuple[float, float], ...], tuple[str, ...]]:
    """Return the limits of each used band, and a note on them; nothing for 8-bit values that are kept."""
    if palette:
        if stretch is not None:
            raise InputError(
                f"{name} has a color table, which cannot be stretched.", todo="Leave out --stretch."
            )
        return (), ()
    if stretch is None and dataset.dtypes[used[0] - 1] == "uint8":
        bits = int(dataset.tags(used[0], ns="IMAGE_STRUCTURE").get("NBITS", 8))
        return (() if bits == 8 else ((0.0, float((1 << bits) - 1)),) * len(used)), ()
    low, high = stretch or PERCENTILES
    valid, origin = _sample(dataset, used)
    if any(not len(values) for values in valid):
        valid, origin = _decimated(dataset, used, -(-max(dataset.width, dataset.height) // SAMPLE_SIDE))
    if any(not len(values) for values in valid):
        raise ImageError(
            f"No pixel of {name} has data, as far as was read ({origin}).",
            todo="Check its nodata value and its bands with: gdalinfo -stats",
        )
    limits = tuple((float(a), float(b)) for a, b in (np.percentile(values, (low, high)) for values in valid))
    shown = ", ".join(f"{a:g}..{b:g}" for a, b in limits)
    note = f"Values were stretched from {low:g} % to {high:g} %: {shown} ({origin})."
    return limits, (note,)


def _sample(dataset: DatasetReader, used: tuple[int, ...]) -> tuple[list[NDArray[np.float64]], str]:
    """Return values of each band that have data, and where they are from."""
    longest = max(dataset.width, dataset.height)
    factors = [factor for factor in dataset.overviews(used[0]) if longest / factor >= SAMPLE_SIDE / 2]
    if factors:  # the coarsest one may still be large
        factor = max(factors[-1], -(-longest // SAMPLE_SIDE))
        return _decimated(dataset, used, factor)[0], f"from the overview 1:{factors[-1]}"
    if dataset.width * dataset.height <= 4 * SAMPLE_SIDE**2:
        return _decimated(dataset, used, 1)
    parts: list[list[NDArray[np.float64]]] = [[] for _ in used]
    size = min(SAMPLE_WINDOW, dataset.width, dataset.height)
    for top in np.linspace(0, dataset.height - size, SAMPLE_WINDOWS).astype(int):
        for left in np.linspace(0, dataset.width - size, SAMPLE_WINDOWS).astype(int):
            window = ((int(top), int(top) + size), (int(left), int(left) + size))
            values = _with_data(dataset.read(list(used), window=window, masked=True))
            for band, more in zip(parts, values, strict=True):
                band.append(more)
    return [np.concatenate(band) for band in parts], f"from {SAMPLE_WINDOWS**2} samples, without overviews"


def _decimated(
    dataset: DatasetReader, used: tuple[int, ...], factor: int
) -> tuple[list[NDArray[np.float64]], str]:
    """Return the same from one pixel of each `factor` x `factor`, all over the scene."""
    shape = len(used), -(-dataset.height // factor), -(-dataset.width // factor)
    values = _with_data(dataset.read(list(used), out_shape=shape, masked=True))
    return values, "from all pixels" if factor == 1 else f"from one pixel of {factor} x {factor}"


def _with_data(values: Any) -> list[NDArray[np.float64]]:
    """Return the values of each band of a masked array, (bands, H, W), that are not masked, and are finite."""
    bands = [band.compressed().astype(np.float64) for band in values]
    return [band[np.isfinite(band)] for band in bands]


# Reading.


@dataclass
class SceneReader:
    """Reads parts of a scene in any thread. Close it, or use it as a context manager.

    Each thread has a handle of its own, so that they decode at the same time. A file whose blocks are whole rows has
    one handle for all: its tiles share the decoded rows.
    """

    scene: Scene
    _local: threading.local = field(default_factory=threading.local, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _handles: list[DatasetReader] = field(default_factory=list, repr=False)
    _shared: DatasetReader | None = field(default=None, repr=False)

    def __enter__(self) -> SceneReader:
        with gdal(self.scene.name):
            dataset = self._open()
            if dataset.block_shapes[0][1] >= dataset.width:
                self._shared = dataset
            self._local.dataset = dataset
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all handles. No thread may read any more."""
        for handle in self._handles:
            handle.close()
        self._handles.clear()

    def check_unchanged(self) -> None:
        """Raise ImageError if the file was replaced since its header was read: tiles would be of two images."""
        scene = self.scene
        with gdal(scene.name):
            status = scene.path.stat()
            if (status.st_size, status.st_mtime_ns) == (scene.file_size, scene.modified_ns):
                return
            now = fingerprint(scene.path)
        if now != scene.fingerprint:  # else only its time is another
            raise ImageError(
                f"{scene.name} was replaced while it was segmented.",
                why="The results would be of two images, and were not written. The finished tiles are kept.",
                todo="Run the command again, with --overwrite for the new image.",
            )

    def read(self, top: int, left: int, height: int, width: int) -> Pixels:
        """Return a part of the scene. What lies beyond its lower or right edge is mirrored, and has no data.

        Raises ImageError.
        """
        inner_height = min(height, self.scene.height - top)
        inner_width = min(width, self.scene.width - left)
        window = ((top, top + inner_height), (left, left + inner_width))
        with gdal(self.scene.name):
            if self._shared is None:
                pixels = self._part(self._handle(), window)
            else:
                with self._lock:
                    pixels = self._part(self._shared, window)
        more = ((0, height - inner_height), (0, width - inner_width))
        if not any(after for _, after in more):
            return pixels
        return Pixels(np.pad(pixels.colors, (*more, (0, 0)), mode="symmetric"), np.pad(pixels.valid, more))

    def has_data(self, top: int, left: int, height: int, width: int) -> bool:
        """Return whether any pixel of a part of the scene has data. A spot in its middle is tried first."""
        if not self.scene.masked:
            return True
        spot = min(16, height, width)
        middle = top + (min(height, self.scene.height - top) - spot) // 2
        center = left + (min(width, self.scene.width - left) - spot) // 2
        if self.read(max(top, middle), max(left, center), spot, spot).valid.any():
            return True
        return bool(self.read(top, left, height, width).valid.any())

    def _handle(self) -> DatasetReader:
        dataset: DatasetReader | None = getattr(self._local, "dataset", None)
        if dataset is None:
            dataset = self._local.dataset = self._open()
        return dataset

    def _open(self) -> DatasetReader:
        dataset = opened(self.scene.path, self.scene.driver)
        with self._lock:
            self._handles.append(dataset)
        self.check_unchanged()
        if (dataset.width, dataset.height) != (self.scene.width, self.scene.height):
            raise ValueError("the file was replaced while it was read")
        return dataset

    def preview(self, most: int) -> Pixels | None:
        """Return the whole scene in at most so many pixels per side; None where all of a huge file had to be decoded.

        Raises ImageError.
        """
        scene = self.scene
        factor = max(1.0, max(scene.width, scene.height) / most)
        size = max(1, round(scene.height / factor)), max(1, round(scene.width / factor))
        with gdal(scene.name), opened(scene.path, scene.driver) as dataset:
            if scene.width * scene.height > MAX_DECODED and not dataset.overviews(scene.used[0]):
                return None
            return read_part(scene, dataset, None, size)

    def _part(self, dataset: DatasetReader, window: Any) -> Pixels:
        return read_part(self.scene, dataset, window)


def driver_of(path: Path) -> str:
    """Return GDAL's name of a file's format, and refuse what `open_scene` refuses next to it. Raises ImageError."""
    try:
        driver = _driver(path.name, _start(path))
        _check_sidecars(path)
    except OSError as error:
        raise ImageError(f"{path.name} cannot be read.", why=reason(error), todo="Check the file.") from error
    return driver


def read_part(
    scene: Scene, dataset: DatasetReader, window: Any, shape: tuple[int, int] | None = None
) -> Pixels:
    """Return a window of an open scene. shape: rows and columns of the result, if it is to be smaller.

    A smaller one is averaged, from the nearest overview that the file has. Call it within `gdal`.
    """
    from rasterio.enums import Resampling  # noqa: PLC0415 - see `gdal`

    bands = list(scene.used)
    out = None if shape is None else (len(bands), *shape)
    mix = Resampling.nearest if shape is None or scene.palette else Resampling.average
    values: NDArray[Any] = dataset.read(bands, window=window, out_shape=out, resampling=mix)
    valid = np.ones(values.shape[1:], np.bool_)
    if scene.masked:
        valid = dataset.read_masks(bands, window=window, out_shape=out).any(axis=0)
        if values.dtype.kind == "f":
            valid &= np.isfinite(values).all(axis=0)
    if scene.palette:
        return Pixels(_color_table(dataset, scene.used[0])[values[0]], valid)
    limits = scene.ranges or ((0.0, 255.0),) * len(bands)
    planes = [_to_8_bit(band, *each) for band, each in zip(values, limits, strict=True)]
    colors = np.stack(planes * (3 // len(planes)), axis=-1)
    return Pixels(np.uint8(255) - colors if scene.inverted else colors, valid)


def _to_8_bit(values: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    """Scale low..high to 0..255; what is not finite becomes 0."""
    if values.dtype == np.uint8 and (low, high) == (0.0, 255.0):
        return values
    with np.errstate(over="ignore", invalid="ignore"):
        # float32 is exact for 16 bits, and twice as fast.
        scaled: NDArray[Any] = values.astype(np.float32 if values.dtype.itemsize <= 2 else np.float64)
        scaled -= low
        scaled *= 255 / (high - low) if high > low else 0.0
        scaled += 0.5
        return np.nan_to_num(scaled, nan=0.0, posinf=255.0, neginf=0.0).clip(0, 255).astype(np.uint8)


def _color_table(dataset: DatasetReader, band: int) -> NDArray[np.uint8]:
    """Return the colors of all indices, (65536, 3) or (256, 3) uint8; black where the table has none."""
    count = 1 << (8 * np.dtype(dataset.dtypes[band - 1]).itemsize)
    table = np.zeros((min(count, 65_536), 3), np.uint8)
    for index, color in dataset.colormap(band).items():
        table[index] = color[:3]
    return table
