"""The steps around an invocation, for whoever segments photos: the dashboard, the command line, evaluations.

    opened_photo      decode the photo, in its turn for memory; the caller encodes it and keeps what it needs
    invoke.segment    invoke the endpoint, decode its response; no memory for the photo is needed then
    photo_labels      the labels at the photo's size, in their turn for memory; the caller draws or counts them

Each step reports its stage, so that a page can show it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
from numpy.typing import NDArray

from core.imaging.image import Photo, open_photo, photo_share, resize_labels
from core.imaging.pixel_budget import PIXELS
from core.inference.invoke import Inference, OnStage, unreported


@contextmanager
def opened_photo(data: bytes, name: str, *, extra: int, on_stage: OnStage = unreported) -> Iterator[Photo]:
    """Decode a photo and hold its memory, with `extra` bytes per pixel next to it, until the block ends.

    Keep no reference to the photo, or to arrays of its size, beyond the block. Raises ImageError.
    """
    with photo_share(data, name, extra=extra, on_wait=partial(on_stage, "waiting for memory")):
        on_stage("preparing")
        yield open_photo(data, name)


@contextmanager
def photo_labels(
    inference: Inference, name: str, *, bytes_per_pixel: int, on_stage: OnStage = unreported
) -> Iterator[NDArray[np.uint8]]:
    """Return the labels at the photo's own size, (H, W) uint8, and hold the memory for work on them.

    bytes_per_pixel: for the labels and all that is made of them within the block.

    Raises ImageError where that can never fit.
    """
    height, width = inference.image.photo_height, inference.image.photo_width
    wait = partial(on_stage, "waiting for memory")
    with PIXELS.share(bytes_per_pixel * height * width, name, on_wait=wait):
        on_stage("drawing")
        yield resize_labels(inference.segmentation.labels, height, width)
