"""Peak memory, relative to the size of the mask or image itself."""

from __future__ import annotations

import gc
import io
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.datasets.masks import Colors, read_mask
from core.imaging.classes import Classes
from core.imaging.counting import pair_counts, remap
from core.imaging.image import EncodedImage, open_image
from core.imaging.scores import confusion_matrix, trimap_ground_truth
from core.imaging.segmentation import Segmentation
from core.inference.invoke import EndpointResponse, segment
from core.render.legend import areas
from core.wire.decode import decode

ROOT = Path(__file__).resolve().parents[3]
SIDE = 3_000
TABLE = np.arange(256, dtype=np.uint8)[::-1].copy()
COLORS = Colors(tuple(((i, 2 * i, 3 * i), i) for i in range(21)), from_file=True)


class Masks:
    """Two masks of `SIDE` pixels a side, and files of that size."""

    def __init__(self) -> None:
        self.labels = np.random.default_rng(0).integers(0, 21, (SIDE, SIDE), np.uint8)
        self.other = np.random.default_rng(1).integers(0, 21, (SIDE, SIDE), np.uint8)
        confidence = np.full(self.labels.shape, 0.5, np.float32)
        self.segmentation = Segmentation(self.labels, confidence, None, Classes.numbered(21))
        colors = np.repeat(self.labels[..., None], 3, axis=2) * np.array([1, 2, 3], np.uint8)
        self.blank, self.colored = png(Image.new("L", (SIDE, SIDE))), png(Image.fromarray(colors))


@pytest.fixture(scope="module")
def masks() -> Masks:
    """Return the masks, drawn here: at import, every worker would draw them."""
    return Masks()


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def peak(work: Callable[[], object]) -> int:
    """Return the most bytes that numpy and Python allocate during the work."""
    gc.collect()
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("work", "ratio"),
    [
        (lambda masks: masks.segmentation.counts(), 0.1),
        (lambda masks: decode(masks.blank, "image/png"), 2.3),
        (lambda masks: areas(masks.segmentation), 1.0),
        (lambda masks: pair_counts(masks.labels, masks.other), 1.0),
        (lambda masks: confusion_matrix(masks.labels, masks.other, 21), 1.0),
        (lambda masks: trimap_ground_truth(masks.labels), 3.2),
        (lambda masks: remap(masks.labels, TABLE), 1.3),
        (lambda masks: read_mask(masks.colored, "mask.png", COLORS), 8.5),
    ],
    ids=["counts", "decode", "areas", "pairs", "confusion", "band", "remap", "colors"],
)
def test_a_mask_is_never_widened(masks: Masks, work: Callable[[Masks], object], ratio: float) -> None:
    """The peak is a small multiple of the mask's own bytes; int64 alone would be eight times as much."""
    work(masks)  # create the tables that stay cached
    assert peak(lambda: work(masks)) <= ratio * masks.labels.nbytes


def test_counts_are_those_of_numpy_across_blocks(masks: Masks) -> None:
    """Counting, pairing and remapping in blocks give the results of numpy on the whole."""
    labels, other = masks.labels, masks.other
    assert np.array_equal(masks.segmentation.counts(), np.bincount(labels.ravel(), minlength=256))
    pairs = np.bincount(labels.ravel() * np.int64(256) + other.ravel(), minlength=1 << 16)
    assert np.array_equal(pair_counts(labels, other).ravel(), pairs)
    assert np.array_equal(remap(labels, TABLE), TABLE[labels])
    assert all(row.mean_confidence == pytest.approx(0.5) for row in areas(masks.segmentation))


@pytest.mark.parametrize(
    ("mode", "kept"), [("1", "L"), ("L", "L"), ("I;16", "L"), ("P", "RGB"), ("CMYK", "RGB")]
)
def test_a_gray_image_takes_one_byte_per_pixel(mode: str, kept: str) -> None:
    """Gray images of any bit depth are kept as gray and returned as RGB."""
    buffer = io.BytesIO()
    Image.new(mode, (40, 30)).save(buffer, "TIFF")
    photo = open_image(buffer.getvalue(), "a.tif")
    assert (photo.pixels.mode, photo.image.mode, photo.array().shape) == (kept, "RGB", (30, 40, 3))


def test_probabilities_are_not_resized_without_limit() -> None:
    """A small response to a large image keeps mask and confidence, and reports that probabilities were discarded."""
    values = np.full((1, 21, 4, 4), 1 / 21, "<f4")
    image = EncodedImage(b"", "image/jpeg", 2_000, 2_000, 2_000, 2_000, 92)
    from bench.decode import RECORDIO, response

    found = segment(
        image, lambda *_: EndpointResponse(response(values), RECORDIO, 0.0), endpoint="e", accepts={}
    ).segmentation
    assert (found.labels.shape, found.probabilities) == ((2_000, 2_000), None)
    assert found.confidence is not None
    assert "discarded" in found.problems[-1]


def test_a_1_bit_tiff_takes_two_bytes_per_pixel() -> None:
    """Opening, encoding and shrinking take only Pillow's decoded pixels and their gray copy, in RSS."""
    code = (
        "import io, resource\n"
        "from PIL import Image\n"
        "from core.imaging.image import encode, open_image, preview, shrunk\n"
        "def made(width, height):\n"
        "    buffer = io.BytesIO()\n"
        "    Image.new('1', (width, height)).save(buffer, 'TIFF', compression='group4')\n"
        "    return buffer.getvalue()\n"
        "def prepare(data):\n"
        "    image = open_image(data, 'a.tif')\n"
        "    return encode(image), preview(image), shrunk(image.pixels, (240, 160))\n"
        "prepare(made(200, 100))\n"
        "data = made(20_000, 2_400)\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "prepare(data)\n"
        "print(1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 2.5 * 20_000 * 2_400
