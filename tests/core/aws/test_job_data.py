"""The classes and image sizes of a job's data, read from a server that responds like S3."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image

from core.aws.job_data import read_job_data
from core.training.channels import data_channels
from core.training.job import TrainingSpec

SPEC = TrainingSpec(
    name="roads",
    role_arn="",
    image="",
    instance_type="ml.g4dn.xlarge",
    hyperparameters={"algorithm": "psp"},
    channels=data_channels("s3://bucket/d"),
    output_uri="s3://bucket/out",
)
FCN = replace(SPEC, hyperparameters={"algorithm": "fcn"})
KEYS = {"validation": ("d/validation/a.jpg", "d/validation/notes.txt", "d/validation/b.png")}
NAMES = json.dumps({"classes": [{"name": f"class {number}"} for number in range(11)]}).encode()
MISSING = b"<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>"
DENIED = b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>"


def image(kind: str, width: int, height: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height)).save(buffer, kind)
    return buffer.getvalue()


def test_classes_and_sizes_are_read(canned_server: Any) -> None:
    """The number of classes comes from classes.json next to the channels, the sizes from the images' headers."""
    canned_server.says(
        canned_server.raw(200, NAMES),
        canned_server.raw(206, image("JPEG", 64, 48)[:700]),
        canned_server.raw(206, image("PNG", 32, 16)),
    )
    data = read_job_data(canned_server.clients(), SPEC, KEYS)
    assert (data.classes, data.sizes, data.notes) == (11, ((64, 48), (32, 16)), ())
    paths = [path.partition("?")[0] for _, path in canned_server.asked]
    assert paths == ["/bucket/d/classes.json", "/bucket/d/validation/a.jpg", "/bucket/d/validation/b.png"]


def test_sizes_are_read_only_where_they_matter(canned_server: Any) -> None:
    """A decoder that takes any size costs no read of an image; a dataset without names has unknown classes."""
    canned_server.says(canned_server.raw(404, MISSING))
    data = read_job_data(canned_server.clients(), FCN, KEYS)
    assert (data.classes, data.sizes, data.notes) == (None, None, ())
    assert len(canned_server.asked) == 1


@pytest.mark.parametrize(
    ("replies", "words"),
    [
        (
            ((403, DENIED), (403, DENIED)),
            ("class names at s3://bucket/d/classes.json", "size of validation images"),
        ),
        (((200, NAMES), (206, b"no image")), ("a.jpg could not be read", "b.png could not be read")),
    ],
)
def test_what_cannot_be_read_is_a_note(
    canned_server: Any, replies: tuple[tuple[int, bytes], ...], words: tuple[str, str]
) -> None:
    """What may not be read, or is not an image, is unknown, with a note on each."""
    canned_server.says(*(canned_server.raw(status, body) for status, body in replies))
    data = read_job_data(canned_server.clients(), SPEC, KEYS)
    assert data.sizes is None
    assert len(data.notes) == 2
    assert all(part in note for part, note in zip(words, data.notes, strict=True))
