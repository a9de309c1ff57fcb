"""The viewer's frame: what goes in comes out again, decoded by Pillow and NumPy."""

from __future__ import annotations

import io
import json
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from PIL import Image

from core.imaging.classes import IGNORE, Classes
from core.imaging.segmentation import Segmentation
from core.render import palette
from pages.parts.viewer import frame

IMAGE = b"in place of a JPEG"
SIZE = (640, 480)


@dataclass(frozen=True)
class Parsed:
    """A frame, decoded by the description of the format alone."""

    header: dict[str, Any]
    parts: dict[str, bytes]

    def plane(self, name: str) -> np.ndarray:
        """Return a plane as Pillow decodes it, (H, W) uint8."""
        image = Image.open(io.BytesIO(self.parts[name]))
        assert (image.format, image.mode) == ("PNG", "L")
        return np.asarray(image)


def parse(body: bytes) -> Parsed:
    (length,) = struct.unpack_from("<I", body)
    header = json.loads(body[4 : 4 + length])
    parts, offset = {}, 4 + length
    for name, size in header["parts"]:
        parts[name] = body[offset : offset + size]
        offset += size
    assert offset == len(body)
    return Parsed(header, parts)


def softmax(count: int, height: int, width: int) -> np.ndarray:
    """Return (C, H, W) float32 probabilities that add up to 1."""
    logits = np.random.default_rng(7).normal(0, 3, (count, height, width))
    powers = np.exp(logits)
    return (powers / powers.sum(0)).astype(np.float32)


def answer(probabilities: np.ndarray, classes: Classes | None = None) -> Segmentation:
    labels = probabilities.argmax(0).astype(np.uint8)
    named = classes or Classes.numbered(len(probabilities))
    return Segmentation(labels, probabilities.max(0), probabilities, named)


def test_the_image_is_unchanged() -> None:
    """The image's bytes and its original size are in the frame as they were given."""
    parsed = parse(frame.build(IMAGE, SIZE, answer(softmax(3, 5, 4))))
    assert parsed.parts["image"] == IMAGE
    assert parsed.header["image_size"] == [640, 480]


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (10, 2000), (257, 3)])
def test_labels_are_exact(shape: tuple[int, int]) -> None:
    """Every class id comes back as it was, at any size, 255 too."""
    labels = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    parsed = parse(frame.build(IMAGE, SIZE, Segmentation(labels, None, None, Classes.numbered(254))))
    assert np.array_equal(parsed.plane("labels"), labels)


def test_probabilities_are_within_half_a_percent() -> None:
    """Confidence and each class's probability come back as whole percent, at most half a percent off."""
    probabilities = softmax(4, 30, 40)
    parsed = parse(frame.build(IMAGE, SIZE, answer(probabilities)))
    assert np.abs(parsed.plane("confidence") / 100 - probabilities.max(0)).max() <= 0.005 + 1e-6
    for class_id in range(4):
        plane = parsed.plane(f"probability/{class_id}")
        assert np.abs(plane / 100 - probabilities[class_id]).max() <= 0.005 + 1e-6


def test_mask_alone_has_no_planes() -> None:
    """The frame of a mask without probabilities has only the image and the labels."""
    labels = np.zeros((3, 4), np.uint8)
    parsed = parse(frame.build(IMAGE, SIZE, Segmentation(labels, None, None, Classes.numbered(2))))
    assert list(parsed.parts) == ["image", "labels"]
    assert parsed.header["probabilities"] is None


def test_classes_are_listed_largest_first() -> None:
    """The classes are those of the image, by their share, with names as they are, and 255 as `ignore`."""
    labels = np.array([[2, 2, 2, 0], [2, 0, IGNORE, 2]], np.uint8)
    classes = Classes(("<i>road</i>", "unused", "grass"), ((1, 2, 3), (4, 5, 6), (7, 8, 9)))
    parsed = parse(frame.build(IMAGE, SIZE, Segmentation(labels, None, None, classes)))
    assert [(row["id"], row["name"], row["pixels"]) for row in parsed.header["classes"]] == [
        (2, "grass", 5),
        (0, "<i>road</i>", 2),
        (255, "ignore", 1),
    ]


def test_every_palette_is_in_the_frame() -> None:
    """Each palette has the colors of the listed classes; the model's palette is the first."""
    classes = Classes(("road", "grass"), ((1, 2, 3), (255, 128, 0)))
    labels = np.array([[1, 1, 0]], np.uint8)
    palettes = parse(frame.build(IMAGE, SIZE, Segmentation(labels, None, None, classes))).header["palettes"]
    assert [row["name"] for row in palettes] == list(palette.PALETTES.values())
    assert palettes[0]["colors"] == ["#ff8000", "#010203"]


def test_improbable_classes_have_no_plane() -> None:
    """A class that is nowhere in the mask and nowhere 5% probable has no plane."""
    probabilities = np.array([0.90, 0.06, 0.04], np.float32)[:, None, None] * np.ones((3, 6, 8), np.float32)
    parsed = parse(frame.build(IMAGE, SIZE, answer(probabilities)))
    assert parsed.header["probabilities"]["ids"] == [0, 1]
    assert [row["id"] for row in parsed.header["classes"]] == [0, 1]


def test_invalid_probabilities_can_be_drawn() -> None:
    """NaN is drawn as 0%; infinities and values outside of [0, 1] are clipped."""
    values = np.array([[np.nan, -0.5, 2.0, np.inf, -np.inf, 0.5]], np.float32)
    probabilities = np.stack([values, np.full_like(values, 0.25)])
    labels = np.zeros((1, 6), np.uint8)
    segmentation = Segmentation(labels, values, probabilities, Classes.numbered(2))
    parsed = parse(frame.build(IMAGE, SIZE, segmentation))
    assert parsed.plane("confidence").tolist() == [[0, 0, 100, 100, 0, 50]]
    assert parsed.plane("probability/0").tolist() == [[0, 0, 100, 100, 0, 50]]


def test_many_classes_are_downsampled() -> None:
    """With 254 classes the planes have every second or third pixel, each of them exact, and stay below the bound."""
    probabilities = np.zeros((254, 300, 400), np.float32)
    probabilities[:, :150] = 1 / 254
    probabilities[np.arange(254), 200, np.arange(254)] = 1.0
    parsed = parse(frame.build(IMAGE, SIZE, answer(probabilities)))
    step = parsed.header["probabilities"]["step"]
    assert step == 2
    first = parsed.plane("probability/0")
    assert first.shape == (150, 200)
    assert first[100, 0] == 100
    assert 254 * first.size <= frame.PLANE_PIXELS


def test_another_image_has_another_id() -> None:
    """The same image has the same id each time; another pixel or class name gives another id."""
    probabilities = softmax(3, 8, 8)
    first = parse(frame.build(IMAGE, SIZE, answer(probabilities))).header["id"]
    again = parse(frame.build(IMAGE, SIZE, answer(probabilities))).header["id"]
    renamed = Classes(("a", "b", "c"), Classes.numbered(3).colors)
    names = parse(frame.build(IMAGE, SIZE, answer(probabilities, renamed))).header["id"]
    moved = parse(frame.build(IMAGE, SIZE, answer(np.roll(probabilities, 1, axis=2)))).header["id"]
    assert first == again
    assert len({first, names, moved}) == 3


def test_frames_of_one_image_are_one_scene():
    """Two masks of one image are of one scene and have their titles; another image is another scene."""
    first = parse(frame.build(IMAGE, SIZE, answer(softmax(3, 4, 5)), title="Ground truth"))
    other = parse(frame.build(IMAGE, SIZE, answer(softmax(4, 4, 5))))
    elsewhere = parse(frame.build(b"another JPEG", SIZE, answer(softmax(3, 4, 5)), title="Ground truth"))
    assert (first.header["title"], other.header["title"]) == ("Ground truth", "Segmentation")
    assert first.header["scene"] == other.header["scene"] != elsewhere.header["scene"]
    assert first.header["id"] != other.header["id"]


def test_colors_with_a_meaning_have_no_other_palette():
    """Where the colors themselves have a meaning, no other palette is offered."""
    palettes = parse(frame.build(IMAGE, SIZE, answer(softmax(3, 4, 5)), own_colors=True)).header["palettes"]
    assert [row["name"] for row in palettes] == [palette.PALETTES["model"]]


def test_a_frame_is_split_without_loss():
    """A frame and its probability planes, in two messages, have the same id and all parts of the frame."""
    whole = frame.build(IMAGE, SIZE, answer(softmax(3, 5, 4)))
    first, planes = (parse(part) for part in frame.split(whole))
    assert {**first.parts, **planes.parts} == parse(whole).parts
    assert list(first.parts) == ["image", "labels", "confidence"]
    assert planes.header["id"] == first.header["id"]
    assert {**first.header, "parts": None} == {**parse(whole).header, "parts": None}


def test_a_frame_without_planes_is_not_split():
    """A mask alone is one message."""
    whole = frame.build(
        IMAGE, SIZE, Segmentation(np.zeros((2, 3), np.uint8), None, None, Classes.numbered(2))
    )
    assert frame.split(whole) == (whole, b"")
