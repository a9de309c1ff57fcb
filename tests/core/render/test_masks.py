"""Masks and overlays as images."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from core.imaging.classes import VOC
from core.imaging.image import open_mask
from core.render.masks import mask_png
from core.render.overlay import overlay
from core.wire.decode import decode

TABLE = VOC.table()
LABELS = arrays.arrays(np.uint8, arrays.array_shapes(min_dims=2, max_dims=2, max_side=12))


@given(LABELS)
def test_a_mask_reads_back_to_its_ids(labels: np.ndarray) -> None:
    """A saved mask decodes to the same ids, including 255, in Pillow, on the page and in the response decoder."""
    data = mask_png(labels, TABLE)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), labels)
    assert np.array_equal(open_mask(data, "mask.png"), labels)
    assert np.array_equal(decode(data, "image/png").labels, labels)


def test_a_mask_is_8_bit_indexed_with_its_palette() -> None:
    """A mask is an 8-bit indexed PNG with the colors of the table."""
    labels = np.array([[0, 1, 2], [3, 254, 255]], np.uint8)
    data = mask_png(labels, TABLE)
    image = Image.open(io.BytesIO(data))
    assert image.mode == "P"
    assert (data[24], data[25]) == (8, 3)  # bit depth 8, color type palette
    assert np.array_equal(np.asarray(image.convert("RGB")), TABLE[labels])


def test_making_a_mask_changes_no_argument() -> None:
    """Labels and table are not changed, and may be read-only."""
    labels, table = np.eye(5, dtype=np.uint8), TABLE.copy()
    labels.setflags(write=False)
    table.setflags(write=False)
    mask_png(labels, table)
    assert np.array_equal(labels, np.eye(5))
    assert np.array_equal(table, TABLE)


def test_labels_that_are_not_contiguous() -> None:
    """A view with strides is saved correctly."""
    labels = np.arange(64, dtype=np.uint8).reshape(8, 8)[::2, ::-3]
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(mask_png(labels, TABLE)))), labels)


@given(LABELS, st.floats(0, 1), st.integers(0, 2**32))
def test_an_overlay_is_blended(labels: np.ndarray, opacity: float, seed: int) -> None:
    """Each pixel is image + opacity x (color - image), rounded; pixels of 255 are those of the image."""
    photo = np.random.default_rng(seed).integers(0, 256, (*labels.shape, 3), np.uint8)
    strength = round(opacity * 255) / 255
    expected = photo + strength * (TABLE[labels].astype(float) - photo)
    expected[labels == 255] = photo[labels == 255]
    found = overlay(photo, labels, TABLE, opacity)
    assert found.dtype == np.uint8
    assert np.abs(found - expected).max() <= 1


@pytest.mark.parametrize("opacity", [0.0, 1.0])
def test_the_ends_of_opacity_are_exact(opacity: float) -> None:
    """Opacity 0 gives the image alone, 1 the mask alone."""
    labels = np.arange(48, dtype=np.uint8).reshape(6, 8)
    photo = np.random.default_rng(1).integers(0, 256, (6, 8, 3), np.uint8)
    assert np.array_equal(overlay(photo, labels, TABLE, opacity), TABLE[labels] if opacity else photo)


def test_bare_classes_show_the_image() -> None:
    """Excluded classes, such as the background, are not drawn over the image."""
    labels = np.array([[0, 1, 255]], np.uint8)
    photo = np.full((1, 3, 3), 50, np.uint8)
    assert overlay(photo, labels, TABLE, 1.0, bare=[0]).tolist() == [[[50] * 3, [128, 0, 0], [50] * 3]]


def test_an_overlay_is_a_new_array() -> None:
    """The image is not changed, and may be read-only."""
    photo = np.full((2, 2, 3), 9, np.uint8)
    photo.setflags(write=False)
    overlay(photo, np.ones((2, 2), np.uint8), TABLE)
    assert (photo == 9).all()


def test_an_overlay_needs_one_size() -> None:
    """Labels of another size than the image are a ValueError."""
    with pytest.raises(ValueError, match=r"\(2, 2, 3\).*\(2, 3\)"):
        overlay(np.zeros((2, 2, 3), np.uint8), np.zeros((2, 3), np.uint8), TABLE)
