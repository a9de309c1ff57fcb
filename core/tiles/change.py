"""What changed between two label maps of the same place: a map, and the area of each transition.

The second map is put on the grid of the first: each pixel takes the class that is nearest in the second. Both are
read in strips. Of the whole map only sums are kept, and which changed patches are small.

Errors of both maps look like change. So a pixel counts only where both maps are confident, if that is asked for, and
a changed patch only if it is large enough. Pixels that are left out are counted too, and have values of their own.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from core.errors import ImageError, InputError
from core.escaping import csv_bytes, json_text
from core.imaging.classes import IGNORE, MAX_CLASSES, Classes
from core.inference.export import move_new, write_new
from core.text import listing
from core.tiles.area import PIXELS
from core.tiles.areas import HECTARE, PixelSizes
from core.tiles.outputs import COG, class_rows, writing
from core.tiles.patches import SmallPatches, find_patches
from core.tiles.polygons import PolygonResult, write_polygons
from core.tiles.scene import Scene, gdal, open_scene, opened

if TYPE_CHECKING:
    from rasterio.io import DatasetWriter

COARSE, MAX_RATIO = 2, 20
"""Pixels of the second map side by side in one of the first: from here on it is said, and not supported.

GDAL reads all of them for each pixel: a block of 512 x 128 pixels takes 26 MB at 20.
"""

STRIP_PIXELS = 2_000_000
MAX_ROWS = 256
GRID_TOLERANCE = 1e-3
"""Pixels that the corners of two grids may differ by to be the same grid."""

ERRORS_LOOK_LIKE_CHANGE = (
    "Errors of both maps look like change: two maps that are each 95 % right may differ in up to 10 % of a place "
    "where nothing changed."
)
COLUMNS = ("from_id", "from", "to_id", "to", "changed", "pixels", "share", "m2", "hectares")
UNCHANGED = 0
Place = Literal["before", "after"]


@dataclass(frozen=True, slots=True)
class LabelMap:
    """A GeoTIFF with a class id per pixel.

    scene:   its header.
    nodata:  the value of pixels without a class, apart from 255.
    classes: the names in the file; None if it has none.
    """

    scene: Scene
    nodata: int
    classes: Classes | None


def open_labels(path: Path, *, percents: bool = False) -> LabelMap:
    """Read the header of a label map, or of a confidence map. Raises ImageError, InputError."""
    scene = open_scene(path)
    problem = ""
    if scene.bands != 1:
        problem = f"It has {scene.bands} bands."
    elif scene.dtype != "uint8":
        problem = f"It has {scene.dtype} values."
    if problem:
        raise ImageError(
            f"{path.name} is not a {'confidence' if percents else 'label'} map.",
            why=f"{problem} It must have one band of uint8, which has at most 256 values: "
            + ("percents" if percents else f"class ids up to {MAX_CLASSES - 1}")
            + ", and 255 for no data.",
            todo=f"Use the STEM_{'confidence' if percents else 'mask'}.tif that `segdeck segment --tiles` wrote.",
        )
    with gdal(path.name), opened(path, scene.driver) as dataset:
        from rasterio.enums import MaskFlags  # noqa: PLC0415 - GDAL takes a third of a second to import

        nodata = int(dataset.nodata) if dataset.nodata in range(IGNORE) else IGNORE
        own_mask = MaskFlags.per_dataset in dataset.mask_flag_enums[0]
        tag = dataset.tags().get("CLASSES", "")
    if own_mask:
        raise ImageError(
            f"{path.name} has a mask band.",
            why="Pixels without data must have a value of their own.",
            todo=f"Convert it: gdalwarp -dstnodata 255 {path.name} OUT.tif",
        )
    return LabelMap(scene, nodata, _classes(path.name, tag) if tag else None)


def open_confidence(path: Path, labels: LabelMap) -> LabelMap:
    """Read the header of the confidence, in the grid of its label map. Raises ImageError, InputError."""
    confidence = open_labels(path, percents=True)
    if not _same_grid(confidence.scene, labels.scene):
        raise InputError(
            f"{path.name} is not in the grid of {labels.scene.name}.",
            why=f"It has {_grid(confidence.scene)}; the label map has {_grid(labels.scene)}.",
            todo="Name the confidence of the same run.",
        )
    return confidence


def confidence_beside(labels: Path) -> Path:
    """Return where the confidence of a label map is: STEM_confidence.tif next to STEM_mask.tif."""
    return labels.with_name(f"{stem(labels)}_confidence{labels.suffix}")


def stem(labels: Path) -> str:
    """Return the STEM of STEM_mask.tif."""
    return labels.stem.removesuffix("_mask")


def _classes(name: str, tag: str) -> Classes:
    try:
        return Classes.from_json(f'{{"classes": {tag}}}')
    except InputError as error:
        raise ImageError(
            f"The class names in {name} cannot be read.",
            why=f"{error.what} {error.why}".strip(),
            todo="The tag CLASSES holds them as JSON; correct or remove it.",
        ) from error


def _grid(scene: Scene) -> str:
    corner = "" if scene.transform is None else f" from {scene.transform[2]:.10g}, {scene.transform[5]:.10g}"
    return f"{scene.width} x {scene.height} pixels{corner}"


def _same_grid(first: Scene, second: Scene) -> bool:
    """Return whether the pixels of two scenes are at the same places."""
    from rasterio.crs import CRS  # noqa: PLC0415 - GDAL takes a third of a second to import

    if (first.width, first.height) != (second.width, second.height):
        return False
    if first.transform is None or second.transform is None:
        return first.transform is second.transform
    if bool(first.crs) != bool(second.crs):
        return False
    if first.crs != second.crs and CRS.from_wkt(first.crs) != CRS.from_wkt(second.crs):
        return False
    a, b, c, d, e, f = first.transform
    pixel = min(np.hypot(a, d), np.hypot(b, e))
    return all(
        abs(np.array([a, b, c]) @ corner - np.array(second.transform[:3]) @ corner) < GRID_TOLERANCE * pixel
        and abs(np.array([d, e, f]) @ corner - np.array(second.transform[3:]) @ corner)
        < GRID_TOLERANCE * pixel
        for corner in ((0, 0, 1), (first.width, 0, 1), (0, first.height, 1), (first.width, first.height, 1))
    )


# The comparison.


@dataclass(frozen=True, slots=True)
class ChangeRequest:
    """Two label maps, and what counts as a change.

    confidences:    of both, where a minimum is set.
    min_confidence: percent that both maps must have.
    min_size:       pixels of a changed patch: of pixels with the same change, connected by their sides.
    """

    before: LabelMap
    after: LabelMap
    confidences: tuple[LabelMap, LabelMap] | None = None
    min_confidence: float = 0.0
    min_size: int = 1

    @property
    def same_grid(self) -> bool:
        """Return whether the second map needs no resampling."""
        return _same_grid(self.before.scene, self.after.scene)


@dataclass(frozen=True, slots=True)
class ChangeFiles:
    """The paths of the results, for the STEM of the second map."""

    map: Path
    transitions: Path
    summary: Path

    @classmethod
    def of(cls, folder: Path, name: str) -> ChangeFiles:
        """Return the paths in a folder."""
        return cls(
            folder / f"{name}_change.tif", folder / f"{name}_transitions.csv", folder / f"{name}_change.json"
        )

    def all(self) -> tuple[Path, ...]:
        """Return all of them, the summary last: it marks the result as complete."""
        return self.map, self.transitions, self.summary


@dataclass(frozen=True, slots=True)
class Codes:
    """The values of a change map of N classes.

    0 is unchanged, and 1 + N * before + after is a change. The highest three values of the type are: a patch that is
    too small, a pixel that is not confident enough, no class in one of the maps.
    """

    count: int

    @property
    def dtype(self) -> Literal["uint8", "uint16"]:
        """Return the type of the map: as few bytes as the values need."""
        return "uint8" if self.count**2 + 4 <= 256 else "uint16"

    @property
    def none(self) -> int:
        """Return the value of pixels without a class in one of the maps."""
        return int(np.iinfo(self.dtype).max)

    @property
    def uncertain(self) -> int:
        """Return the value of pixels that are not confident enough in one of the maps."""
        return self.none - 1

    @property
    def small(self) -> int:
        """Return the value of changed patches that are too small."""
        return self.none - 2

    def palette(self, classes: Classes) -> dict[int, tuple[int, int, int, int]]:
        """Return a color of each value: changes have that of the class after."""
        colors = {UNCHANGED: (225, 225, 225, 255), self.small: (190, 190, 190, 255)}
        colors |= {self.uncertain: (160, 160, 160, 255), self.none: (0, 0, 0, 0)}
        table = classes.table().tolist()
        for before in range(self.count):
            for after in range(self.count):
                if before != after:
                    red, green, blue = table[after]
                    colors[1 + before * self.count + after] = red, green, blue, 255
        return colors


@dataclass(eq=False)
class Change:
    """What changed.

    classes:   names of the N classes of both maps.
    pixels:    (N, N) int64, of each pair of classes, before in rows and after in columns.
    m2:        (N, N) float64, the same on the ground; NaN where unknown.
    uncertain, small, none: pixels that are left out, and why: see `Codes`.
    """

    classes: Classes
    pixels: NDArray[np.int64]
    m2: NDArray[np.float64]
    uncertain: int = 0
    small: int = 0
    none: int = 0

    @property
    def on_the_ground(self) -> bool:
        """Return whether areas are known in m2."""
        return bool(np.isfinite(self.m2).all())

    @property
    def compared(self) -> int:
        """Return the pixels that count."""
        return int(self.pixels.sum())

    @property
    def changed(self) -> int:
        """Return the pixels that changed."""
        return self.compared - int(np.trace(self.pixels))

    @property
    def changed_m2(self) -> float | None:
        """Return the area that changed."""
        return float(self.m2[~np.eye(len(self.m2), dtype=bool)].sum()) if self.on_the_ground else None

    def rows(self) -> list[dict[str, Any]]:
        """Return a row for each transition that occurs: changes first, the largest first."""
        pairs = [(int(a), int(b)) for a, b in np.argwhere(self.pixels)]
        pairs.sort(key=lambda pair: (pair[0] == pair[1], -self.pixels[pair], pair))
        return [
            {
                "from_id": before,
                "from": self.classes.name(before),
                "to_id": after,
                "to": self.classes.name(after),
                "changed": before != after,
                "pixels": int(self.pixels[before, after]),
                "share": int(self.pixels[before, after]) / self.compared,
                "m2": float(self.m2[before, after]) if self.on_the_ground else None,
                "hectares": float(self.m2[before, after]) / HECTARE if self.on_the_ground else None,
            }
            for before, after in pairs
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON, with the transition matrix: before in rows, after in columns."""
        changed = self.changed_m2
        return {
            "classes": list(self.classes.names),
            "compared_pixels": self.compared,
            "changed_pixels": self.changed,
            "changed_share": self.changed / self.compared if self.compared else None,
            "changed_hectares": None if changed is None else changed / HECTARE,
            "left_out_pixels": {"not_confident": self.uncertain, "small": self.small, "no_class": self.none},
            "matrix_pixels": self.pixels.tolist(),
            "matrix_hectares": (self.m2 / HECTARE).tolist() if self.on_the_ground else None,
            "transitions": self.rows(),
        }


def common_classes(before: LabelMap, after: LabelMap) -> Classes | None:
    """Return the classes of both maps; None if neither has names. Raises InputError where they differ.

    Names that one of them lacks are numbered.
    """
    if before.classes is None or after.classes is None:
        return before.classes or after.classes
    count = max(len(before.classes), len(after.classes))
    differing = [
        f"{number}: {before.classes.name(number)} / {after.classes.name(number)}"
        for number in range(count)
        if before.classes.name(number) != after.classes.name(number)
    ]
    if differing:
        raise InputError(
            f"{before.scene.name} and {after.scene.name} have different classes.",
            why=f"The ids before / after: {listing(differing, 10)}.",
            todo="Segment both images with models of the same classes.",
        )
    return max(before.classes, after.classes, key=len)


def check_place(before: Scene, after: Scene) -> None:
    """Raise InputError unless both maps can be put on one grid, and overlap."""
    if _same_grid(before, after):
        return
    lacking = [scene for scene in (before, after) if not scene.crs or scene.transform is None]
    if lacking:
        raise InputError(
            f"{' and '.join(scene.name for scene in lacking)} cannot be placed: no coordinate reference system.",
            why=f"The maps have {_grid(before)}, and {_grid(after)}; without coordinates, their grids must be equal.",
            todo="Assign the system, for example with: gdal_edit.py -a_srs EPSG:32632",
        )
    _check_resolution(before, after)
    first, second = _bounds(before, before), _bounds(after, before)
    if not np.isfinite((first, second)).all() or first[0] > first[2] or second[0] > second[2]:
        return  # a box across the antimeridian, or beyond its projection: the comparison itself shows it
    if first[2] <= second[0] or second[2] <= first[0] or first[3] <= second[1] or second[3] <= first[1]:
        raise _no_overlap(before, after, first, second)


def pixel_ratio(before: Scene, after: Scene) -> float:
    """Return how many pixels of the second map one pixel of the first is wide or high, in its middle. 0: unknown."""
    from rasterio import Affine  # noqa: PLC0415 - GDAL takes a third of a second to import
    from rasterio.crs import CRS  # noqa: PLC0415
    from rasterio.warp import transform  # noqa: PLC0415

    here, there = Affine(*(before.transform or PIXELS)), Affine(*(after.transform or PIXELS))
    middle = before.width / 2, before.height / 2
    points = [here @ (middle[0] + x, middle[1] + y) for x, y in ((0, 0), (1, 0), (0, 1))]
    x, y = zip(*points, strict=True)
    if before.crs != after.crs:
        with _onto(after, before):
            x, y = transform(CRS.from_wkt(before.crs), CRS.from_wkt(after.crs), x, y)
    first, right, below = (np.array(~there @ place) for place in zip(x, y, strict=True))
    ratio = max(np.hypot(*(right - first)), np.hypot(*(below - first)))
    return float(ratio) if np.isfinite(ratio) else 0.0


def _check_resolution(before: Scene, after: Scene) -> None:
    """Raise InputError where one pixel of the first map would stand for too many of the second."""
    ratio = pixel_ratio(before, after)
    if ratio > MAX_RATIO:
        raise InputError(
            f"A pixel of {before.name} is {ratio:,.0f} pixels of {after.name} wide.",
            why=f"The second map is put on the grid of the first by the nearest pixel; at most {MAX_RATIO} of its "
            "pixels may lie side by side in one.",
            todo="Resample the finer map first, for example with gdalwarp -r mode -tr, or name it first.",
        )


def _bounds(scene: Scene, target: Scene) -> tuple[float, ...]:
    """Return left, bottom, right, top in the coordinates of another scene. Raises InputError."""
    from rasterio.crs import CRS  # noqa: PLC0415 - GDAL takes a third of a second to import
    from rasterio.warp import transform_bounds  # noqa: PLC0415

    a, b, c, d, e, f = scene.transform or PIXELS
    x = [c + a * column + b * row for column in (0, scene.width) for row in (0, scene.height)]
    y = [f + d * column + e * row for column in (0, scene.width) for row in (0, scene.height)]
    box = min(x), min(y), max(x), max(y)
    if scene.crs == target.crs:
        return box
    with _onto(scene, target):
        return tuple(transform_bounds(CRS.from_wkt(scene.crs), CRS.from_wkt(target.crs), *box))


@contextmanager
def _onto(scene: Scene, target: Scene) -> Iterator[None]:
    """Turn errors of a change of coordinates into an InputError."""
    try:
        with gdal(scene.name):
            yield
    except ImageError as error:
        raise InputError(
            f"{scene.name} cannot be put on the grid of {target.name}.",
            why=error.why,
            todo="Check the coordinate reference systems of both with: gdalinfo",
        ) from error


def _no_overlap(before: Scene, after: Scene, first: Sequence[float], second: Sequence[float]) -> InputError:
    return InputError(
        f"{before.name} and {after.name} do not overlap.",
        why=f"In the coordinates of the first they cover {_box(first)} and {_box(second)}.",
        todo="Give two maps of the same place.",
    )


def _box(bounds: Sequence[float]) -> str:
    return "(" + ", ".join(f"{value:.10g}" for value in bounds) + ")"


def compare(
    request: ChangeRequest, files: ChangeFiles, *, overwrite: bool, advance: Callable[[int], None]
) -> Change:
    """Compare the maps, and write the change map and the transitions. Raises CoreError.

    advance: is called with the rows that are done, out of twice the height of the first map.
    """
    for path in files.all():
        if not overwrite and path.exists():
            raise InputError(
                f"{path} already exists.",
                why="Files are only overwritten if you ask for it.",
                todo="Choose another folder, or use --overwrite to replace.",
            )
    check_place(request.before.scene, request.after.scene)
    comparison = _Comparison.of(request, files)
    try:
        return comparison.run(overwrite=overwrite, advance=advance)
    finally:
        comparison.close()


def write_change_polygons(
    change: Change, files: ChangeFiles, path: Path, *, overwrite: bool
) -> PolygonResult:
    """Write what changed as polygons, each with the classes before and after. Raises InputError, ImageError."""
    scene = open_scene(files.map)
    codes = Codes(len(change.classes))
    with gdal(files.map.name), opened(files.map, scene.driver) as dataset:
        values: NDArray[np.uint16] = dataset.read(1)
    values[(values == UNCHANGED) | (values >= codes.small)] = codes.none
    names = {
        1
        + codes.count * int(before)
        + int(after): f"{change.classes.name(before)} to {change.classes.name(after)}"
        for before, after in np.argwhere(change.pixels)
        if before != after
    }
    return write_polygons(
        scene, values, None, names, path, nodata=codes.none, min_size=1, overwrite=overwrite
    )


@dataclass(eq=False)
class _Comparison:
    """A comparison in progress. codes: of the change map, which is first written without compression."""

    request: ChangeRequest
    files: ChangeFiles
    classes: Classes
    codes: Codes
    small: SmallPatches
    _folder: Path
    _stack: ExitStack = field(default_factory=ExitStack)

    @classmethod
    def of(cls, request: ChangeRequest, files: ChangeFiles) -> _Comparison:
        """Return a comparison with the classes of both maps. Raises InputError, ImageError."""
        classes = common_classes(request.before, request.after)
        if classes is None:
            classes = Classes.numbered(_highest(request) + 1)
        # Its own folder, on the file system of the results: another comparison may write there at the same time.
        with writing(files.map):
            folder = Path(tempfile.mkdtemp(prefix=".change-", dir=files.map.parent))
        return cls(request, files, classes, Codes(len(classes)), SmallPatches(request.min_size), folder)

    @property
    def scene(self) -> Scene:
        return self.request.before.scene

    @property
    def part(self) -> Path:
        return self._folder / "strips.tif"

    @property
    def made(self) -> Path:
        return self._folder / "made.tif"

    def close(self) -> None:
        """Close the maps, and remove unfinished files. Raises InputError, such as for a full disk."""
        try:
            with writing(self.files.map):
                self._stack.close()
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def run(self, *, overwrite: bool, advance: Callable[[int], None]) -> Change:
        """Compare all strips, then count them and write the files."""
        with writing(self.part):
            writer = self._stack.enter_context(_new_map(self.part, self.scene, self.codes, self.classes))
        for top, codes in self._strips():
            if self.request.min_size > 1:
                self.small.add(codes, find_patches(codes, self._changes(codes)))
            with writing(self.part):
                writer.write(codes.astype(self.codes.dtype), 1, window=_window(top, *codes.shape))
            advance(len(codes))
        change = self._count(writer, advance)
        if not change.compared + change.uncertain + change.small:
            raise InputError(
                f"{self.scene.name} and {self.request.after.scene.name} have no pixel with a class in both.",
                todo="Give two maps of the same place.",
            )
        self._finish(writer, overwrite=overwrite)
        write_new(self.files.transitions, csv_bytes(change.rows(), COLUMNS), overwrite=overwrite)
        return change

    def _changes(self, codes: NDArray[np.uint16]) -> NDArray[np.bool_]:
        """Return which pixels changed, and count."""
        changes: NDArray[np.bool_] = (codes != UNCHANGED) & (codes < self.codes.small)
        return changes

    def _strips(self) -> Iterator[tuple[int, NDArray[np.uint16]]]:
        """Yield the first row and the codes of each strip."""
        request = self.request
        with ExitStack() as stack:
            maps = [
                stack.enter_context(_on_grid(each, self.scene)) for each in (request.before, request.after)
            ]
            confidences = [
                stack.enter_context(_on_grid(each, self.scene)) for each in request.confidences or ()
            ]
            for top, height in _rows(self.scene):
                before, after = (_read(each, top, height) for each in maps)
                sure = np.ones(before.shape, np.bool_)
                for each in confidences:
                    percents = _read(each, top, height)
                    if (highest := int(percents[percents != IGNORE].max(initial=0))) > 100:
                        raise InputError(
                            f"{each.of.scene.name} has the value {highest}.",
                            why="A confidence is 0 to 100 percent, and 255 means no data.",
                            todo="Check that it is a confidence map, and not for example a mask.",
                        )
                    sure &= (percents >= request.min_confidence) & (percents != IGNORE)
                yield top, self._encode(before, after, sure)

    def _encode(
        self, before: NDArray[np.uint8], after: NDArray[np.uint8], sure: NDArray[np.bool_]
    ) -> NDArray[np.uint16]:
        count = self.codes.count
        for labels, of in ((before, self.request.before), (after, self.request.after)):
            unknown = np.unique(labels[(labels >= count) & (labels != IGNORE)])
            if len(unknown):
                raise InputError(
                    f"{of.scene.name} has the class id {unknown[0]}.",
                    why=f"The maps name {count} classes, 0 to {count - 1}.",
                    todo="Check that it is a mask, and that the tag CLASSES belongs to it.",
                )
        codes = before.astype(np.uint16) * np.uint16(count) + after + np.uint16(1)
        codes[before == after] = UNCHANGED
        codes[~sure] = self.codes.uncertain
        codes[(before == IGNORE) | (after == IGNORE)] = self.codes.none
        return codes

    def _count(self, writer: DatasetWriter, advance: Callable[[int], None]) -> Change:
        """Mark small patches in the map, and count every pair of classes."""
        count = self.codes.count
        sizes = PixelSizes(self.scene)
        totals, m2 = np.zeros(count * count, np.int64), np.zeros(count * count)
        left_out = {self.codes.uncertain: 0, self.codes.small: 0, self.codes.none: 0}
        patches_small = self.small.strips()
        with _on_grid(self.request.before, self.scene) as labels:
            for number, (top, height) in enumerate(_rows(self.scene)):
                with writing(self.part):
                    codes = writer.read(1, window=_window(top, height, self.scene.width)).astype(np.uint16)
                if patches_small:
                    patches = find_patches(codes, self._changes(codes))
                    small = np.append(patches_small[number], False)[patches.labels]
                    codes[small] = self.codes.small
                    with writing(self.part):
                        writer.write(codes.astype(self.codes.dtype), 1, window=_window(top, *codes.shape))
                before = _read(labels, top, height)
                for value in left_out:
                    left_out[value] += int((codes == value).sum())
                for first in range(0, height, sizes.height):
                    rows = slice(first, first + sizes.height)
                    used, counts = self._pairs(codes[rows], before[rows], sizes.width)
                    totals[used] += counts.sum(axis=0)
                    m2[used] += sizes.weigh(top + first, counts, len(codes[rows]), self.scene.width)
                advance(height)
        square = count, count
        if not sizes.known:
            m2[:] = np.nan
        uncertain, small_pixels, none = left_out.values()
        return Change(self.classes, totals.reshape(square), m2.reshape(square), uncertain, small_pixels, none)

    def _pairs(
        self, codes: NDArray[np.uint16], before: NDArray[np.uint8], width: int
    ) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
        """Return the pairs of classes in a row of blocks, and their pixels in each block, (blocks, pairs)."""
        count = self.codes.count
        # Unchanged pixels have no class in the map: it comes from the first label map.
        pairs = np.where(
            codes == UNCHANGED, before.astype(np.int32) * (count + 1), codes.astype(np.int32) - 1
        )
        counted = codes < self.codes.small
        used = np.flatnonzero(np.bincount(pairs[counted], minlength=count * count))
        number = np.full(1 << 16, len(used))
        number[used] = np.arange(len(used))
        numbers = np.where(counted, number[pairs], len(used))
        blocks = [
            np.bincount(numbers[:, left : left + width].ravel(), minlength=len(used) + 1)
            for left in range(0, codes.shape[1], width)
        ]
        return used, np.stack(blocks)[:, : len(used)]

    def _finish(self, writer: DatasetWriter, *, overwrite: bool) -> None:
        from rasterio.shutil import copy  # noqa: PLC0415 - GDAL takes a third of a second to import

        with writing(self.files.map):
            writer.close()
            copy(self.part, self.made, **COG | {"overview_resampling": "MODE"})
        if overwrite:
            self.files.summary.unlink(missing_ok=True)  # it marks the earlier results as complete
        move_new(self.made, self.files.map, overwrite=overwrite)


def _rows(scene: Scene) -> Iterator[tuple[int, int]]:
    """Yield the first row and the height of each strip."""
    height = max(1, min(MAX_ROWS, STRIP_PIXELS // scene.width))
    for top in range(0, scene.height, height):
        yield top, min(height, scene.height - top)


def _window(top: int, height: int, width: int) -> tuple[tuple[int, int], tuple[int, int]]:
    return (top, top + height), (0, width)


@dataclass(frozen=True, slots=True)
class _OnGrid:
    """A map in the grid of the first one. resampled: whether pixels without data are 255 already."""

    of: LabelMap
    target: Scene
    dataset: Any
    resampled: bool


@contextmanager
def _on_grid(labels: LabelMap, target: Scene) -> Iterator[_OnGrid]:
    """Open a map in the grid of the first one."""
    from rasterio import Affine  # noqa: PLC0415 - GDAL takes a third of a second to import
    from rasterio.crs import CRS  # noqa: PLC0415
    from rasterio.enums import Resampling  # noqa: PLC0415
    from rasterio.vrt import WarpedVRT  # noqa: PLC0415

    with ExitStack() as stack:
        with gdal(labels.scene.name):
            dataset = stack.enter_context(opened(labels.scene.path, labels.scene.driver))
        if _same_grid(labels.scene, target):
            yield _OnGrid(labels, target, dataset, resampled=False)
            return
        with _onto(labels.scene, target):
            warped = stack.enter_context(
                WarpedVRT(
                    dataset, crs=CRS.from_wkt(target.crs), transform=Affine(*(target.transform or PIXELS)),
                    width=target.width, height=target.height, resampling=Resampling.nearest,
                    src_nodata=labels.nodata, nodata=IGNORE, tolerance=0.05,
                )
            )  # fmt: skip
        yield _OnGrid(labels, target, warped, resampled=True)


def _read(of: _OnGrid, top: int, height: int) -> NDArray[np.uint8]:
    """Return rows of a map, with 255 where it has no data."""
    with gdal(of.of.scene.name):
        values: NDArray[np.uint8] = of.dataset.read(1, window=_window(top, height, of.target.width))
    if not of.resampled and of.of.nodata != IGNORE:
        values[values == of.of.nodata] = IGNORE
    return values


def _highest(request: ChangeRequest) -> int:
    """Return the highest class id of two maps without names. Raises InputError for 254."""
    highest = 0
    for labels in (request.before, request.after):
        with _on_grid(labels, request.before.scene) as opened:
            for top, height in _rows(request.before.scene):
                values = _read(opened, top, height)
                highest = max(highest, int(values[values != IGNORE].max(initial=0)))
        if highest >= MAX_CLASSES:
            raise InputError(
                f"{labels.scene.name} has the value {highest}.",
                why=f"Class ids are 0 to {MAX_CLASSES - 1}, and 255 means no data.",
                todo="Check that it is a mask, and not for example a confidence map.",
            )
    return highest


def _new_map(path: Path, scene: Scene, codes: Codes, classes: Classes) -> DatasetWriter:
    import rasterio  # noqa: PLC0415 - GDAL takes a third of a second to import
    from rasterio import Affine  # noqa: PLC0415
    from rasterio.crs import CRS  # noqa: PLC0415

    place: dict[str, Any] = {} if scene.transform is None else {"transform": Affine(*scene.transform)}
    place |= {"crs": CRS.from_wkt(scene.crs)} if scene.crs else {}
    writer: DatasetWriter = rasterio.open(
        path, "w+", driver="GTiff", width=scene.width, height=scene.height, count=1, dtype=codes.dtype,
        nodata=codes.none, BIGTIFF="IF_SAFER", **place,
    )  # fmt: skip
    writer.write_colormap(1, codes.palette(classes))
    writer.update_tags(
        CLASSES=json_text(class_rows(classes, classes.table()), indent=None),
        VALUES=f"0: unchanged; 1 + {codes.count} * id before + id after: changed; {codes.small}: changed, but the "
        f"patch is too small; {codes.uncertain}: not confident; {codes.none}: no class in one of the maps",
    )
    writer.set_band_description(1, "change")
    return writer
