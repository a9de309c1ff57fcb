"""Which masks of a transform job to show, and in which order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from core.batch.results import ImageResult

Order = Literal["name", "newest", "largest", "smallest", "uncertain"]
ORDERS: tuple[Order, ...] = get_args(Order)
BY_AREA: tuple[Order, ...] = ("largest", "smallest")
PAGE_SIZES = (24, 48, 100)


@dataclass(frozen=True, slots=True)
class GalleryFilter:
    """Which masks to show.

    text:     part of the image's name, in any case; empty for all.
    class_id: only images with this class; None for all. Also the class whose area is sorted by.
    least:    the smallest share of the pixels that the class has, 0 to 1.
    order:    largest and smallest need a class; uncertain needs probabilities.

    A class or an order that needs results leaves out the images that were not measured.
    """

    text: str = ""
    class_id: int | None = None
    least: float = 0.0
    order: Order = "name"

    @property
    def needs_results(self) -> bool:
        """Return whether only measured images can be shown."""
        return self.class_id is not None or self.order == "uncertain"


def select(
    written: Mapping[str, object],
    results: Mapping[str, ImageResult],
    wanted: GalleryFilter,
) -> list[str]:
    """Return the keys of the images to show, in order.

    written: image -> when its mask was written. results: image -> its measured mask.
    """
    text = wanted.text.casefold()
    keys = [key for key in written if text in key.casefold()]
    if wanted.needs_results:
        keys = [key for key in keys if key in results]
    class_id = wanted.class_id
    if class_id is not None:
        keys = [
            key
            for key in keys
            if results[key].pixels.get(class_id) and results[key].share(class_id) >= wanted.least
        ]
    keys.sort()
    if wanted.order == "newest":
        keys.sort(key=lambda key: str(written[key]), reverse=True)
    elif wanted.order in BY_AREA and class_id is not None:
        keys.sort(key=lambda key: results[key].share(class_id), reverse=wanted.order == "largest")
    elif wanted.order == "uncertain":
        keys.sort(key=lambda key: _confidence(results[key]))
    return keys


def page_of(keys: list[str], number: int, size: int) -> tuple[list[str], int, int]:
    """Return the keys of a page, its number within the range, from 1, and how many pages there are."""
    pages = max(1, -(-len(keys) // size))
    number = min(max(1, number), pages)
    return keys[(number - 1) * size : number * size], number, pages


def class_ids(results: Iterable[ImageResult]) -> list[int]:
    """Return the classes that occur in measured masks."""
    return sorted({class_id for result in results for class_id in result.pixels})


def _confidence(result: ImageResult) -> float:
    return 1.0 if result.mean_confidence is None else result.mean_confidence
