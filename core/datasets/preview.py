"""Read one pair of a dataset for display."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from core.datasets.masks import read_ids
from core.datasets.names import mask_colors
from core.datasets.source import Dataset, Sample
from core.errors import ImageError
from core.imaging.classes import Classes
from core.imaging.counting import remap
from core.imaging.image import DecodedImage, image_share, mask_share, match_orientation, open_image
from core.imaging.segmentation import Segmentation
from core.local_files import read_regular, reason

MASK_BYTES = 4
"""Bytes per pixel in addition to the image: the mask, remapped, rotated and drawn."""


@contextmanager
def opened_pair(
    source: Dataset, sample: Sample, classes: Classes | None
) -> Iterator[tuple[DecodedImage, Segmentation]]:
    """Return the image, and its mask with the label map applied; their memory is held until the block ends.

    classes: None: classes are numbered.

    Raises ImageError where one file is missing or cannot be read.
    """
    data, mask = (_read(source, path, sample.name) for path in (sample.image, sample.mask))
    with image_share(data, sample.image, extra=MASK_BYTES):
        image = open_image(data, sample.image)
        with mask_share(mask, sample.mask):
            ids = read_ids(mask, sample.mask, mask_colors(source.names), nodata_as_ignore=True)
            label_map = source.label_maps.get(sample.split)
            labels = ids if label_map is None else remap(ids, label_map.table())
            yield (
                image,
                Segmentation(match_orientation(labels, image), None, None, classes or Classes.numbered(1)),
            )


def stamp(source: Dataset, sample: Sample) -> tuple[int, ...]:
    """Return the modification times of the pair's files in ns, as a cache key; missing files are left out."""
    paths = [source.root / path for path in (sample.image, sample.mask) if path]
    return tuple(path.stat().st_mtime_ns for path in paths if path.exists())


def _read(source: Dataset, path: str, name: str) -> bytes:
    if not path:
        raise ImageError(f"{name} cannot be shown: its image or its mask is missing.")
    try:
        return read_regular(source.root / path)
    except OSError as error:
        raise ImageError(f"{path} cannot be opened.", why=reason(error)) from error
