"""The steps around an invocation, with `invoke` as a function and without a network."""

from __future__ import annotations

import io
import threading

import numpy as np
import pytest
from PIL import Image

from core.errors import ImageError
from core.imaging.image import encode
from core.imaging.pixel_budget import PIXELS
from core.inference.invoke import EndpointResponse, Stage, segment
from core.inference.pipeline import opened_photo, photo_labels
from tests.support.patience import SECONDS


def image_bytes(kind: str, width: int, height: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("L" if kind == "PNG" else "RGB", (width, height), 1 if kind == "PNG" else "red").save(
        buffer, kind
    )
    return buffer.getvalue()


def test_a_photo_goes_through_its_stages_in_order() -> None:
    """Stages are reported as they begin; memory is reserved for the image and the labels, not for the invocation."""
    stages: list[Stage] = []
    held: list[int] = []

    def invoke(body: bytes, content_type: str, accept: str) -> EndpointResponse:
        held.append(PIXELS.used)
        return EndpointResponse(image_bytes("PNG", 4, 3), "image/png", 0.1)

    with opened_photo(image_bytes("JPEG", 8, 6), "a.jpg", extra=2, on_stage=stages.append) as photo:
        image = encode(photo, fit=(4, 4))
        held.append(PIXELS.used)
    inference = segment(image, invoke, endpoint="coast", accepts={}, want="mask", on_stage=stages.append)
    with photo_labels(inference, "a.jpg", bytes_per_pixel=2, on_stage=stages.append) as labels:
        held.append(PIXELS.used)
        assert np.array_equal(labels, np.ones((6, 8), np.uint8))
    assert stages == ["preparing", "invoking the endpoint", "decoding", "drawing"]
    assert held[0] >= 8 * 6 * 3
    assert held[1:] == [0, 2 * 8 * 6]
    assert PIXELS.used == 0


def test_a_photo_that_waits_for_memory_reports_it() -> None:
    """While others use the memory, the stage is "waiting for memory", and then the image is prepared."""
    stages: list[Stage] = []
    waits = threading.Event()

    def report(stage: Stage) -> None:
        stages.append(stage)
        waits.set()

    def work() -> None:
        with opened_photo(image_bytes("JPEG", 8, 6), "a.jpg", extra=0, on_stage=report):
            pass

    thread = threading.Thread(target=work, daemon=True)
    with PIXELS.share(PIXELS.limit, "another"):
        thread.start()
        assert waits.wait(SECONDS)
        assert stages == ["waiting for memory"]
    thread.join(SECONDS)
    assert stages == ["waiting for memory", "preparing"]


def test_memory_is_given_back_where_a_photo_cannot_be_decoded() -> None:
    """A damaged image is an ImageError, and its memory is released."""
    with (
        pytest.raises(ImageError, match=r"a\.jpg"),
        opened_photo(image_bytes("JPEG", 800, 600)[:2000], "a.jpg", extra=0),
    ):
        raise AssertionError("a damaged photo was opened")
    assert PIXELS.used == 0
