"""One pair of a data set, read to be looked at."""

from __future__ import annotations

from core.classes import Classes
from core.datasets.masks import read_ids
from core.datasets.names import mask_colors
from core.datasets.source import Sample, Source
from core.errors import ImageError
from core.image import Photo, as_seen, open_photo
from core.segmentation import Segmentation


def read_pair(source: Source, sample: Sample, classes: Classes | None) -> tuple[Photo, Segmentation]:
    """The photograph, and its mask after a label map. Raises ImageError where one is missing or cannot be read.

    classes: None: they are numbered.
    """
    photo = open_photo(_read(source, sample.photo, sample.name), sample.photo)
    ids = read_ids(_read(source, sample.mask, sample.name), sample.mask, mask_colors(source.names))
    label_map = source.label_maps.get(sample.split)
    labels = ids if label_map is None else label_map.table()[ids]
    return photo, Segmentation(as_seen(labels, photo), None, None, classes or Classes.numbered(1))


def stamp(source: Source, sample: Sample) -> tuple[int, ...]:
    """What changes when one of the files does: their times in ns; empty where one is missing."""
    paths = [source.root / path for path in (sample.photo, sample.mask) if path]
    return tuple(path.stat().st_mtime_ns for path in paths if path.exists())


def _read(source: Source, path: str, name: str) -> bytes:
    if not path:
        raise ImageError(f"{name} lacks its photograph or its mask, so there is nothing to show.")
    try:
        return (source.root / path).read_bytes()
    except OSError as error:
        raise ImageError(f"{path} cannot be opened.", why=f"{error.strerror}.") from error
