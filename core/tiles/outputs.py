"""The files of a segmented scene.

STEM_mask.tif        class ids, 255 = no data: a Cloud Optimized GeoTIFF in the scene's grid, with palette, overviews,
                     and class names and model as tags
STEM_mask.qml        colors and class names for QGIS, unless QGIS saved one there
STEM_confidence.tif  percent, 255 = no data: the same grid
STEM_areas.csv       one row per class: pixels, share, mean confidence, m2 and hectares on the ellipsoid
STEM.json            the plan, the request, the areas, the failed tiles; written last

A scene that is not georeferenced gets PNG files instead of GeoTIFF.

Strips are appended to files without compression, which GDAL then copies: a Cloud Optimized GeoTIFF cannot be written
in parts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from core.errors import ImageError, InputError
from core.escaping import csv_bytes, json_bytes, json_text
from core.imaging.classes import MAX_CLASSES, Classes
from core.inference.export import move_new, write_new
from core.local_files import reason
from core.render.palette import Table
from core.tiles.areas import COLUMNS, AreaCounter
from core.tiles.blend import NO_DATA, Strip
from core.tiles.scene import Scene, gdal
from core.tiles.style import is_generated, qgis_style

if TYPE_CHECKING:
    from rasterio.io import DatasetWriter

Kind = Literal["mask", "confidence"]

COG = {
    "driver": "COG",
    "compress": "DEFLATE",
    "predictor": "NO",
    "blocksize": "512",
    "overviews": "IGNORE_EXISTING",
    "bigtiff": "IF_SAFER",
    "num_threads": "2",
}
RESAMPLING: dict[Kind, str] = {"mask": "MODE", "confidence": "AVERAGE"}
"""How overviews are made: labels are never mixed."""


@dataclass(frozen=True, slots=True)
class MapFiles:
    """The paths of the results. mask, confidence: GeoTIFF, or PNG for a scene that is not georeferenced."""

    mask: Path
    confidence: Path | None
    areas: Path
    summary: Path

    @classmethod
    def of(cls, folder: Path, stem: str, scene: Scene, *, confidence: bool) -> MapFiles:
        """Return the paths for a scene. confidence: whether the responses have it."""
        suffix = ".png" if scene.transform is None else ".tif"
        return cls(
            folder / f"{stem}_mask{suffix}",
            folder / f"{stem}_confidence{suffix}" if confidence else None,
            folder / f"{stem}_areas.csv",
            folder / f"{stem}.json",
        )

    @property
    def style(self) -> Path | None:
        """Return the path of the style for QGIS; None for a PNG."""
        return self.mask.with_suffix(".qml") if self.mask.suffix == ".tif" else None

    def all(self) -> tuple[Path, ...]:
        """Return those that are written, the summary last: it marks the result as complete."""
        return tuple(
            path for path in (self.mask, self.confidence, self.areas, self.summary) if path is not None
        )


@dataclass(eq=False)
class MapWriter:
    """Writes the strips of a scene, and at the end its files. Close it, or use it as a context manager.

    notes:  sentences on what `finish` left as it was.
    folder: for the strips: existing, on the same file system as the files.
    table:  colors of the ids, (256, 3) uint8.
    """

    scene: Scene
    files: MapFiles
    folder: Path
    table: Table
    areas: AreaCounter = field(init=False)
    notes: list[str] = field(default_factory=list, init=False)
    _open: dict[Kind, DatasetWriter] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.areas = AreaCounter(self.scene)

    def __enter__(self) -> MapWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close and remove the files of the strips."""
        with ExitStack() as stack:
            for kind in RESAMPLING:
                for path in (self._part(kind), self._made(kind)):
                    stack.callback(path.unlink, missing_ok=True)
            for kind, each in self._open.items():
                stack.enter_context(writing(self._part(kind)))
                stack.callback(each.close)
            self._open.clear()

    def write(self, strip: Strip) -> None:
        """Append a strip. Raises ImageError, such as for a full disk."""
        planes: dict[Kind, NDArray[np.uint8] | None] = {"mask": strip.labels, "confidence": strip.confidence}
        for kind, values in planes.items():
            if values is not None and (kind == "mask" or self.files.confidence is not None):
                rows = (strip.top, strip.top + len(values))
                with writing(self._part(kind)):
                    self._writer(kind).write(values, 1, window=(rows, (0, self.scene.width)))
        self.areas.add(strip)

    def finish(self, classes: Classes, tags: Mapping[str, str], *, overwrite: bool) -> list[dict[str, Any]]:
        """Write the maps and the areas; return the rows of the areas. Raises InputError, ImageError.

        tags: stored in the mask and the confidence, with the class names.
        """
        rows = self.areas.rows(classes, self.table)
        paths: dict[Kind, Path | None] = {"mask": self.files.mask, "confidence": self.files.confidence}
        for kind, path in paths.items():
            if path is not None:
                self._finish(kind, path, classes, tags, overwrite=overwrite)
        write_new(self.files.areas, csv_bytes(rows, COLUMNS), overwrite=overwrite)
        self._write_style(classes)
        return rows

    def _write_style(self, classes: Classes) -> None:
        """Write the style, unless there is one that the user saved in QGIS, or something that cannot be read."""
        style = self.files.style
        if style is None:
            return
        try:
            ours = not style.exists() or is_generated(style.read_bytes())
        except OSError as error:
            self.notes.append(f"{style.name} was kept: {reason(error)}")
            return
        if ours:
            write_new(style, qgis_style(classes, self.table), overwrite=True)
        else:
            self.notes.append(
                f"{style.name} was kept, because it was saved in QGIS: its colors and class names may be others."
            )

    def write_summary(self, row: Mapping[str, Any], *, overwrite: bool) -> None:
        """Write STEM.json. Raises InputError."""
        write_new(self.files.summary, json_bytes(row), overwrite=overwrite)

    def _finish(
        self, kind: Kind, path: Path, classes: Classes, tags: Mapping[str, str], *, overwrite: bool
    ) -> None:
        import rasterio  # noqa: PLC0415 - GDAL takes a third of a second to import
        from rasterio.session import DummySession  # noqa: PLC0415
        from rasterio.shutil import copy  # noqa: PLC0415

        part, made = self._part(kind), self._made(kind)
        with writing(path):
            writer = self._open.pop(kind)
            writer.update_tags(**tags)
            if kind == "mask":
                writer.update_tags(CLASSES=json_text(class_rows(classes, self.table), indent=None))
                writer.update_tags(
                    1, **{f"CLASS_{number}": name for number, name in enumerate(classes.names)}
                )
                writer.set_band_description(1, "class")
            else:
                writer.set_band_description(1, "confidence in percent")
            writer.close()
            options = (
                COG | {"overview_resampling": RESAMPLING[kind]}
                if path.suffix == ".tif"
                else {"driver": "PNG"}
            )
            # Otherwise the tags of a PNG become a second file.
            with rasterio.Env(session=DummySession(), GDAL_PAM_ENABLED="NO"):
                copy(part, made, **options)
        move_new(made, path, overwrite=overwrite)
        part.unlink(missing_ok=True)

    def _writer(self, kind: Kind) -> DatasetWriter:
        import rasterio  # noqa: PLC0415 - GDAL takes a third of a second to import
        from rasterio import Affine  # noqa: PLC0415
        from rasterio.crs import CRS  # noqa: PLC0415

        writer = self._open.get(kind)
        if writer is None:
            scene = self.scene
            place: dict[str, Any] = {}
            if scene.transform is not None:
                place = {"transform": Affine(*scene.transform)}
                place |= {"crs": CRS.from_wkt(scene.crs)} if scene.crs else {}
            writer = self._open[kind] = rasterio.open(
                self._part(kind), "w", driver="GTiff", width=scene.width, height=scene.height, count=1,
                dtype="uint8", nodata=NO_DATA, BIGTIFF="IF_SAFER", **place,
            )  # fmt: skip
            if kind == "mask":
                colors = {number: (*color, 255) for number, color in enumerate(self.table.tolist())}
                writer.write_colormap(1, colors | {NO_DATA: (0, 0, 0, 0)})
        return writer

    def _part(self, kind: Kind) -> Path:
        return self.folder / f"{kind}.strips.tif"

    def _made(self, kind: Kind) -> Path:
        return self.folder / f"{kind}.made{self.files.mask.suffix}"


def all_classes(names: Classes | None, count: int, labels: Iterable[int]) -> Classes:
    """Return the class names, with numbered ones for the classes of the responses that have no name.

    count: classes of the responses; 0: unknown. labels: the ids that occur.
    """
    needed = min(MAX_CLASSES, max([count, *(label + 1 for label in labels), 1]))
    numbered = Classes.numbered(max(needed, len(names) if names else 0))
    if names is None:
        return numbered
    return Classes(names.names + numbered.names[len(names) :], names.colors + numbered.colors[len(names) :])


def class_rows(classes: Classes, table: Table) -> list[dict[str, Any]]:
    """Return a row for each class, as in the tag CLASSES of a mask."""
    return [
        {"id": number, "name": name, "color": "#{:02x}{:02x}{:02x}".format(*table[number].tolist())}
        for number, name in enumerate(classes.names)
    ]


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn GDAL's errors while a file is written into an InputError."""
    try:
        with gdal(path.name):
            yield
    except ImageError as error:
        raise InputError(
            f"{path} cannot be written.",
            why=error.why,
            todo="Choose a folder with write permission and enough space.",
        ) from error
