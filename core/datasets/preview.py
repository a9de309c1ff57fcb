"""One pair of a data set, read to be looked at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from core.datasets.masks import read_ids
from core.datasets.names import mask_colors
from core.datasets.source import Dataset, Sample
from core.errors import ImageError
from core.imaging.classes import Classes
from core.imaging.counting import remap
from core.imaging.image import Photo, as_seen, mask_share, open_photo, photo_share
from core.imaging.segmentation import Segmentation
from core.local_files import read_regular, reason

MASK_BYTES = 4
"""Bytes a pixel next to the photo: the mask, renumbered, turned and drawn."""


@contextmanager
def opened_pair(
    source: Dataset, sample: Sample, classes: Classes | None
) -> Iterator[tuple[Photo, Segmentation]]:
    """Give the photo, and its mask after a label map; their memory is held until the block ends.

    classes: None: they are numbered.

    Raises ImageError where one is missing or cannot be read.
    """
    data, mask = (_read(source, path, sample.name) for path in (sample.photo, sample.mask))
    with photo_share(data, sample.photo, extra=MASK_BYTES):
        photo = open_photo(data, sample.photo)
        with mask_share(mask, sample.mask):
            ids = read_ids(mask, sample.mask, mask_colors(source.names))
            label_map = source.label_maps.get(sample.split)
            labels = ids if label_map is None else remap(ids, label_map.table())
            yield photo, Segmentation(as_seen(labels, photo), None, None, classes or Classes.numbered(1))


def stamp(source: Dataset, sample: Sample) -> tuple[int, ...]:
    """What changes when one of the files does: their times in ns; empty where one is missing."""
    paths = [source.root / path for path in (sample.photo, sample.mask) if path]
    return tuple(path.stat().st_mtime_ns for path in paths if path.exists())


def _read(source: Dataset, path: str, name: str) -> bytes:
    if not path:
        raise ImageError(f"{name} lacks its photograph or its mask, so there is nothing to show.")
    try:
        return read_regular(source.root / path)
    except OSError as error:
        raise ImageError(f"{path} cannot be opened.", why=reason(error)) from error
