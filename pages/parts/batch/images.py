"""Read the images and masks that the gallery shows, and keep what was made of them, in bounded memory.

Nothing is read that is not shown. A thumbnail or a viewer frame is kept by its mask's content: its key, its size and
when it was written; a mask that is written again is read again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from threading import Lock
from typing import Generic, TypeVar

from core.aws.batch import checked_output
from core.aws.connection import Connection, clients
from core.aws.storage import get_bytes
from core.batch.job import TransformJob
from core.batch.objects import object_uri
from core.batch.results import Failure, ImageResult
from core.errors import CoreError
from core.imaging.classes import Classes
from core.imaging.image import image_share, open_image, preview, resize_labels, shrunk
from core.imaging.segmentation import Segmentation
from core.render.overlay import overlay_image
from core.render.palette import table
from pages.parts import cached
from pages.parts.cached import THUMBNAIL
from pages.parts.shared_cache import OptionalPart
from pages.parts.viewer.frame import build
from pages.parts.viewer.mask_frame import mask_frame

T = TypeVar("T")

THUMBNAIL_BYTES, FRAME_BYTES = 48_000_000, 96_000_000
"""Memory of all thumbnails of this process, some thousand; and of all viewer frames."""

IMAGE_BYTES = 100 << 20
"""The largest image that batch transform accepts."""

READERS = 4
PROBABILITY_READERS = 2
"""Outputs that are read at once: probabilities of one image can take hundreds of megabytes while they are decoded."""

RETRY_SECONDS = 20
"""Seconds until an image that could not be read is read again."""

OPACITY = 0.6
LARGEST_CLASSES = 2
"""Classes that the line below a thumbnail names."""


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A small JPEG of an image with its mask, and its largest classes in words."""

    jpeg: bytes
    note: str


@dataclass(frozen=True, slots=True)
class MaskVersion:
    """A mask as it was listed. key: of its image, below the prefix. size: bytes. written: when."""

    key: str
    size: int
    written: datetime


class ByteCache(Generic[T]):
    """Values by their keys, the longest unused dropped first. limit: bytes of all. size_of: bytes of one."""

    def __init__(self, limit: int, size_of: Callable[[T], int]) -> None:
        self._limit, self._size_of = limit, size_of
        self._kept: OrderedDict[Hashable, T] = OrderedDict()
        self._lock = Lock()
        self.size = 0

    def get(self, key: Hashable) -> T | None:
        """Return the value of a key; None without one."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def keep(self, key: Hashable, value: T) -> None:
        """Keep a value; at least the newest stays, whatever its size."""
        with self._lock:
            if (old := self._kept.pop(key, None)) is not None:
                self.size -= self._size_of(old)
            self._kept[key] = value
            self.size += self._size_of(value)
            while self.size > self._limit and len(self._kept) > 1:
                _, dropped = self._kept.popitem(last=False)
                self.size -= self._size_of(dropped)


def thumbnails() -> ByteCache[Thumbnail]:
    """Return the thumbnails of this process."""
    return cached.singleton(
        "batch thumbnails", lambda: ByteCache(THUMBNAIL_BYTES, lambda each: len(each.jpeg))
    )


def frames() -> ByteCache[bytes]:
    """Return the viewer frames of this process."""
    return cached.singleton("batch frames", lambda: ByteCache[bytes](FRAME_BYTES, len))


@dataclass(frozen=True, slots=True)
class ShownBatch:
    """What is needed to read an image of a job and its mask. prefix: of the images. outside: see `Inputs`."""

    connection: Connection
    job: TransformJob
    prefix: str
    classes: Classes | None
    outside: frozenset[str] = frozenset()

    def read_thumbnails(
        self, masks: Sequence[MaskVersion]
    ) -> tuple[dict[str, Thumbnail], OptionalPart[dict[str, str]]]:
        """Return the thumbnails that there are, by key, and why others cannot be shown. Missing ones are read."""
        kept = thumbnails()
        missing = tuple(mask for mask in masks if kept.get(self._identity(mask)) is None)
        empty: dict[str, str] = {}
        part = OptionalPart(empty, masks[0].written) if masks else OptionalPart(empty, self.job.created_at)
        if missing:
            part = cached.optional(
                ("batch thumbnails", self.connection, self.job.name, missing),
                lambda: self._load(missing),
                RETRY_SECONDS,
                empty,
                "the thumbnails",
            )
        shown = {mask.key: kept.get(self._identity(mask)) for mask in masks}
        return {key: each for key, each in shown.items() if each is not None}, part

    def read_frame(self, mask: MaskVersion) -> tuple[bytes | None, OptionalPart[None]]:
        """Return the viewer's frame of an image; None while it is read, or where it cannot be."""
        identity = self._identity(mask)
        frame = frames().get(identity)
        part: OptionalPart[None] = OptionalPart(None, mask.written)
        if frame is None:
            part = cached.optional(
                ("batch frame", self.connection, self.job.name, mask),
                lambda: frames().keep(identity, self._frame(mask)),
                RETRY_SECONDS,
                None,
                f"the mask of {mask.key}",
            )
            frame = frames().get(identity)
        return frame, part

    def _identity(self, mask: MaskVersion) -> Hashable:
        return self.connection, self.job.output_uri, self.prefix, self.classes, mask

    def _load(self, masks: Sequence[MaskVersion]) -> dict[str, str]:
        """Make thumbnails; return why others could not be made. Only faults of AWS itself are raised."""
        reasons = {}
        with ThreadPoolExecutor(readers(self.job, READERS)) as pool:
            for mask, reason in zip(masks, pool.map(self._draw, masks), strict=True):
                if reason:
                    reasons[mask.key] = reason
        return reasons

    def _draw(self, mask: MaskVersion) -> str:
        if thumbnails().get(self._identity(mask)) is not None:
            return ""  # a read for an earlier refresh was faster
        try:
            output = checked_output(clients(self.connection), self.job, mask.key, self.classes)
            if isinstance(output, Failure):
                return output.reason
            thumbnails().keep(self._identity(mask), self._thumbnail(mask, *output))
        except CoreError as error:
            return str(error)
        return ""

    def _thumbnail(self, mask: MaskVersion, result: ImageResult, segmentation: Segmentation) -> Thumbnail:
        body = self._image(mask)
        with image_share(body, mask.key, extra=0):
            small = shrunk(open_image(body, mask.key).pixels, THUMBNAIL)
        labels = resize_labels(segmentation.labels, small.height, small.width)
        overlay = overlay_image(small, labels, table("model", segmentation.classes), OPACITY)
        return Thumbnail(cached.thumbnail_of(overlay), largest_classes(result, segmentation.classes))

    def _frame(self, mask: MaskVersion) -> bytes:
        output = checked_output(clients(self.connection), self.job, mask.key, self.classes)
        if isinstance(output, Failure):
            raise output.error
        segmentation, body = output[1], self._image(mask)
        with image_share(body, mask.key, extra=0):
            photo = open_image(body, mask.key)
            if segmentation.probabilities is None:
                return mask_frame(photo, segmentation.labels, segmentation.classes, "prediction")
            return build(preview(photo).body, (photo.width, photo.height), segmentation, title="Prediction")

    def _image(self, mask: MaskVersion) -> bytes:
        uri = object_uri(self.prefix, mask.key, self.outside)
        return get_bytes(clients(self.connection), uri, max_bytes=IMAGE_BYTES)


def readers(job: TransformJob, most: int) -> int:
    """Return how many outputs of a job to read at once. most: of masks, which are small."""
    return most if job.kind == "mask" else PROBABILITY_READERS


def largest_classes(result: ImageResult, classes: Classes) -> str:
    """Return the largest classes of a mask in words, such as "sea 75% · land 25%"."""
    largest = sorted(result.pixels, key=lambda class_id: -result.pixels[class_id])[:LARGEST_CLASSES]
    return " · ".join(class_share(result, class_id, classes) for class_id in largest)


def class_share(result: ImageResult, class_id: int, classes: Classes | None) -> str:
    """Return a class with its share of the mask, such as "sea 75%"."""
    name = classes.name(class_id) if classes is not None else f"class {class_id}"
    return f"{name} {result.share(class_id):.0%}"
