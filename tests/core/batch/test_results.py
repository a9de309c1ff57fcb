"""Outputs of transform jobs: checked masks, areas, and the reasons of failures."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime

import numpy as np
import pytest

from core.batch.results import ImageResult, areas_csv, failures, read_output, total_rows
from core.errors import DecodeError
from core.imaging.classes import IGNORE, Classes
from core.render.masks import mask_png
from core.render.palette import table
from core.training.log_lines import LogEvent

CLASSES = Classes(("land", "water", "=road"), ((0, 0, 0), (0, 0, 255), (9, 9, 9)))


def mask(labels: np.ndarray) -> bytes:
    return mask_png(labels.astype(np.uint8), table("model", CLASSES))


def lines(*messages: str) -> list[LogEvent]:
    return [LogEvent(datetime(2026, 11, 30, tzinfo=UTC), message, "s") for message in messages]


def test_a_mask_is_measured() -> None:
    """Pixels are counted per class, ignored ones apart, and the share is of all pixels."""
    labels = np.zeros((4, 5))
    labels[0] = 1
    labels[1, 0] = IGNORE
    result, segmentation = read_output("a.jpg", mask(labels), "image/png", CLASSES)
    assert (result.width, result.height) == (5, 4)
    assert result.pixels == {0: 14, 1: 5}
    assert (result.ignored, result.mean_confidence) == (1, None)
    assert result.share(1) == pytest.approx(0.25)
    assert np.array_equal(segmentation.labels, labels)


@pytest.mark.parametrize("body", [b"", b"\x89PNG\r\n\x1a\n", mask(np.zeros((3, 3)))[:-20]])
def test_a_damaged_output_is_an_error(body: bytes) -> None:
    """An output that is empty or truncated raises DecodeError."""
    with pytest.raises(DecodeError):
        read_output("a.jpg", body, "image/png", CLASSES)


def test_a_class_that_the_model_does_not_have_is_an_error() -> None:
    """A mask with an id beyond the model's classes is refused with that id."""
    with pytest.raises(DecodeError, match="class 3"):
        read_output("a.jpg", mask(np.full((2, 2), 3)), "image/png", CLASSES)


def test_areas_are_a_table() -> None:
    """areas.csv has a row per image and class, and a class name is never a formula."""
    results = [ImageResult("a.jpg", 2, 2, {0: 1, 2: 3}, 0, None), ImageResult("b.jpg", 2, 2, {0: 4}, 0, 0.5)]
    rows = list(csv.DictReader(io.StringIO(areas_csv(results, CLASSES).decode())))
    assert [(row["image"], row["class"], row["share"]) for row in rows] == [
        ("a.jpg", "land", "0.25"),
        ("a.jpg", "'=road", "0.75"),
        ("b.jpg", "land", "1.0"),
    ]
    assert total_rows(results, CLASSES) == [
        {"class_id": 0, "class": "land", "images": 2, "pixels": 5, "share": 0.625},
        {"class_id": 2, "class": "=road", "images": 1, "pixels": 3, "share": 0.375},
    ]


def test_the_log_says_why_an_image_failed() -> None:
    """The lines of the data log about an object are its reason; lines about other prefixes and of the job are not."""
    log = lines(
        "2026-11-30T10:00:00.000:[sagemaker logs]: MaxConcurrentTransforms=2, MaxPayloadInMB=6",
        "2026-11-30T10:00:01.000:[sagemaker logs]: data/in/sub/a b.jpg: ClientError: 400",
        "2026-11-30T10:00:01.000:[sagemaker logs]: data/in/sub/a b.jpg: ",
        "2026-11-30T10:00:01.000:[sagemaker logs]: data/in/sub/a b.jpg: Message:",
        "2026-11-30T10:00:01.000:[sagemaker logs]: data/in/sub/a b.jpg: not a JPEG",
        "2026-11-30T10:00:01.000:[sagemaker logs]: data/other/x.jpg: ClientError: 400",
        "2026-11-30T10:00:01.000:[sagemaker logs]: elsewhere/in/x.jpg: ClientError: 400",
    )
    assert failures(log, "data", "in/") == {"sub/a b.jpg": "ClientError: 400: not a JPEG"}
    assert failures(log, "data", "in/sub2/", {"sub/a b.jpg"}).keys() == {"sub/a b.jpg"}
