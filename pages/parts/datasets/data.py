"""The cached images of a dataset's pairs, shared by all users. A changed file is read again."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from core.datasets.preview import opened_pair, stamp
from core.datasets.source import Dataset, Sample
from core.imaging.classes import Classes
from core.imaging.image import preview
from pages.parts import cached
from pages.parts.viewer.frame import build


def thumbnail(source: Dataset, sample: Sample, classes: Classes | None) -> bytes:
    """Return a pair as a small JPEG, with the mask as an overlay. Raises ImageError."""
    return cached.pair_thumbnail(_key(source), sample, classes, stamp(source, sample))


def viewer_frame(source: Dataset, sample: Sample, classes: Classes | None) -> bytes:
    """Return a pair's image and mask, encoded for the viewer. Raises ImageError."""
    build_frame = partial(_build_frame, source, sample, classes)
    return cached.pair_frame(_key(source), sample, classes, stamp(source, sample), build_frame)


def _key(source: Dataset) -> Dataset:
    """Return the dataset without its samples and problems, which would make a long cache key."""
    return replace(source, samples=(), problems=())


def _build_frame(source: Dataset, sample: Sample, classes: Classes | None) -> bytes:
    with opened_pair(source, sample, classes) as (photo, labels):
        return build(preview(photo).body, (photo.width, photo.height), labels, title="Mask")
