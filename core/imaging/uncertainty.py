"""How unsure a model is of each pixel, from the probabilities of its classes.

Entropy     C. E. Shannon, "A Mathematical Theory of Communication", 1948; divided by that of equal probabilities, so
            that it is from 0 (one class has all) to 1 (all classes are equal) for any number of classes.
Margin      The probability of the most likely class minus that of the second (Scheffer, Decomain, Wrobel, "Active
            Hidden Markov Models for Information Extraction", IDA 2001). Small where two classes compete.
Threshold   Pixels whose confidence is below it become 255, "unsure": selective classification (El-Yaniv, Wiener, "On
            the Foundations of Noise-free Selective Classification", JMLR 11, 2010).

All are computed in blocks of pixels that stay in the processor's cache, in float32.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from core.errors import InputError
from core.imaging.classes import IGNORE
from core.imaging.segmentation import Segmentation

TOP = 3
"""Classes that `top_classes` returns for each pixel."""

_BLOCK_VALUES = 1 << 18
_TINY = np.float32(1e-30)
"""Stands for 0, whose logarithm is infinite; its product with the logarithm rounds to 0."""

_ID_MASK = np.uint32(0xFF)
_BITS_OF_ONE = np.float32(1).view(np.uint32)


@dataclass(frozen=True, slots=True, eq=False)
class Uncertainty:
    """How unsure the model is of each pixel.

    entropy: (H, W) float32, normalized, 0 (sure) to 1; NaN where a probability is NaN.
    margin:  (H, W) float32, 1 (sure) to 0; NaN where a probability is NaN.
    """

    entropy: NDArray[np.float32]
    margin: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class TopClasses:
    """The most likely classes of each pixel, the most likely first.

    ids:           (T, H, W) uint8, T = 3, or the number of classes if that is smaller.
    probabilities: (T, H, W) float32, those of the response, rounded down to 17 binary digits.
    """

    ids: NDArray[np.uint8]
    probabilities: NDArray[np.float32]


def uncertainty(probabilities: NDArray[np.float32]) -> Uncertainty:
    """Return entropy and margin. probabilities: (C, H, W) float32, C >= 2."""
    count, height, width = probabilities.shape
    planes = probabilities.reshape(count, -1)
    entropy, best_margin = (np.empty(height * width, np.float32) for _ in range(2))
    scale = np.float32(-1 / np.log(count))
    for part, values in _blocks(planes):
        best_margin[part] = _margin(values)
        np.add(values, _TINY, out=values)
        np.einsum("ij,ij->j", values, np.log(values), out=entropy[part])
        entropy[part] *= scale
    np.clip(entropy, 0, 1, out=entropy)
    return Uncertainty(entropy.reshape(height, width), best_margin.reshape(height, width))


def margin(probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the margin alone, (H, W) float32, in a third of the time: it needs no logarithms."""
    count, height, width = probabilities.shape
    best_margin = np.empty(height * width, np.float32)
    for part, values in _blocks(probabilities.reshape(count, -1)):
        best_margin[part] = _margin(values)
    return best_margin.reshape(height, width)


def _margin(values: NDArray[np.float32]) -> NDArray[np.float32]:
    first, second = values[0].copy(), np.full(values.shape[1], -np.inf, np.float32)
    lower = np.empty_like(first)
    for plane in values[1:]:
        np.minimum(first, plane, out=lower)
        np.maximum(second, lower, out=second)
        np.maximum(first, plane, out=first)
    difference: NDArray[np.float32] = first - second
    return difference


def top_classes(probabilities: NDArray[np.float32]) -> TopClasses:
    """Return the most likely classes. probabilities: (C, H, W) float32, C >= 2, from 0 to 1; others count as 1.

    Probabilities are rounded down to 17 binary digits, so that a rank is one number with its class; classes whose
    probabilities are then equal are in the order of their ids.
    """
    count, height, width = probabilities.shape
    planes, ranks = probabilities.reshape(count, -1), min(TOP, count)
    packed = np.zeros((ranks, height * width), np.uint32)
    for part, values in _blocks(planes):
        # Bits of floats from 0 to 1 sort like the floats. The two highest are 0; the class takes the 8 lowest.
        bits = values.view(np.uint32)
        np.minimum(bits, _BITS_OF_ONE, out=bits)
        bits <<= 2
        bits &= ~_ID_MASK
        bits |= np.arange(count - 1, -1, -1, dtype=np.uint32)[:, np.newaxis]
        best = packed[:, part]
        carried, lower = np.empty_like(bits[0]), np.empty_like(bits[0])
        for plane in bits:
            carried[...] = plane
            for rank in best:
                np.minimum(rank, carried, out=lower)
                np.maximum(rank, carried, out=rank)
                carried, lower = lower, carried
    ids = np.subtract(count - 1, packed & _ID_MASK).astype(np.uint8)
    packed &= ~_ID_MASK
    packed >>= 2
    shape = (ranks, height, width)
    return TopClasses(ids.reshape(shape), packed.view(np.float32).reshape(shape))


def thresholded(segmentation: Segmentation, threshold: float) -> Segmentation:
    """Return the segmentation with 255 where the confidence is below the threshold, or is NaN.

    Raises InputError for a response without probabilities.
    """
    if segmentation.confidence is None:
        raise InputError(
            "The threshold cannot be applied: the response has labels only, without a confidence.",
            why="Confidence comes with probabilities, which the endpoint did not return.",
            todo="Request probabilities as output, or leave out the threshold.",
        )
    sure = segmentation.confidence >= np.float32(threshold)
    return replace(segmentation, labels=np.where(sure, segmentation.labels, np.uint8(IGNORE)))


def unsure_share(labels: NDArray[np.uint8]) -> float:
    """Return the share of pixels that are 255."""
    return float(np.count_nonzero(labels == IGNORE) / max(1, labels.size))


def _blocks(planes: NDArray[np.float32]) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Yield ranges of pixels with a writable copy of their probabilities, (C, n) float32, valid until the next."""
    count, pixels = planes.shape
    width = min(max(_BLOCK_VALUES // count, 1024), max(pixels, 1))
    block = np.empty((count, width), np.float32)
    for first in range(0, pixels, width):
        part = slice(first, min(first + width, pixels))
        values = block[:, : part.stop - first]
        values[...] = planes[:, part]
        yield part, values
