"""The steps around an invocation, for the dashboard, the command line and evaluations.

    opened_photo      decode the image once memory is available; the caller encodes it and keeps what it needs
    invoke.segment    invoke the endpoint, decode its response; this needs no memory for the image
    photo_labels      the labels at the image's size, once memory is available; the caller draws or counts them

Each step reports its stage, so that a page can show it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
from numpy.typing import NDArray

from core.imaging.image import DecodedImage, image_share, open_image, resize_labels
from core.imaging.pixel_budget import PIXELS
from core.inference.invoke import Inference, OnStage, unreported


@contextmanager
def opened_photo(
    data: bytes, name: str, *, extra: int, on_stage: OnStage = unreported
) -> Iterator[DecodedImage]:
    """Decode an image and reserve memory for it, with `extra` bytes per pixel, until the block ends.

    Keep no reference to the image, or to arrays of its size, beyond the block. Raises ImageError.
    """
    with image_share(data, name, extra=extra, on_wait=partial(on_stage, "waiting for memory")):
        on_stage("preparing")
        yield open_image(data, name)


@contextmanager
def photo_labels(
    inference: Inference, name: str, *, bytes_per_pixel: int, on_stage: OnStage = unreported
) -> Iterator[NDArray[np.uint8]]:
    """Return the labels at the image's original size, (H, W) uint8, and reserve memory for work on them.

    bytes_per_pixel: for the labels and all that is made from them within the block.

    Raises ImageError if that exceeds the memory limit.
    """
    height, width = inference.image.original_height, inference.image.original_width
    wait = partial(on_stage, "waiting for memory")
    with PIXELS.share(bytes_per_pixel * height * width, name, on_wait=wait):
        on_stage("drawing")
        yield resize_labels(inference.segmentation.labels, height, width)
