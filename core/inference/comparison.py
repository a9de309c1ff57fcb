"""Compare the masks of two endpoints on the same images, without ground truth: which images to look at, or to label.

STEM_diff.png          0 where both masks agree, 1 where they differ, 255 where one of them has no class
comparison.csv         one row per image, the largest disagreement first
comparison_pairs.csv   one row per image and pair of differing classes
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.imaging.classes import IGNORE, Classes
from core.imaging.counting import pair_counts
from core.render.difference import DIFFERENCE, difference
from core.render.masks import mask_png

DIFF_SUFFIX = "_diff.png"
AGREEMENT = Classes(("same class", "different class"), DIFFERENCE.colors)

MOST_PAIRS = 3
"""Class pairs in a row of comparison.csv; comparison_pairs.csv has all."""


@dataclass(frozen=True, slots=True)
class MaskComparison:
    """Two masks of an image.

    image:    its path.
    compared: pixels that have a class in both masks.
    left_out: the others: 255 in one of them.
    pairs:    class in the first mask, class in the second one, pixels: where they differ, most first.
    """

    image: str
    compared: int
    left_out: int
    pairs: tuple[tuple[int, int, int], ...]

    @property
    def differing(self) -> int:
        """Return the number of pixels whose classes differ."""
        return sum(pixels for _, _, pixels in self.pairs)

    @property
    def share(self) -> float:
        """Return the share of the compared pixels that differ; 0 where none is compared."""
        return self.differing / max(1, self.compared)


def compare_masks(image: str, first: NDArray[np.uint8], second: NDArray[np.uint8]) -> MaskComparison:
    """Return the comparison of two masks, (H, W) uint8 class ids of the same size."""
    if first.shape != second.shape:
        raise ValueError(f"the first mask is {first.shape}, the second one is {second.shape}")
    counts = pair_counts(first, second)[:IGNORE, :IGNORE]
    compared = int(counts.sum())
    rows, columns = np.nonzero(counts)
    pairs = [(int(a), int(b), int(counts[a, b])) for a, b in zip(rows, columns, strict=True) if a != b]
    pairs.sort(key=lambda pair: -pair[2])
    return MaskComparison(image, compared, first.size - compared, tuple(pairs))


def difference_png(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> bytes:
    """Return the content of STEM_diff.png."""
    differing = difference(first, second)
    differing[second == IGNORE] = IGNORE
    return mask_png(differing, AGREEMENT.table())


def ranked(comparisons: Iterable[MaskComparison]) -> list[MaskComparison]:
    """Return the comparisons, the largest disagreement first, equal ones by name."""
    return sorted(comparisons, key=lambda each: (-each.share, each.image))


def image_rows(comparisons: Sequence[MaskComparison], classes: Sequence[Classes]) -> list[dict[str, Any]]:
    """Return the rows of comparison.csv. classes: those of both endpoints."""
    return [
        {
            "image": each.image,
            "differing_share": each.share,
            "differing_pixels": each.differing,
            "compared_pixels": each.compared,
            "left_out_pixels": each.left_out,
            "largest_pairs": "; ".join(
                f"{classes[0].name(a)} / {classes[1].name(b)} {pixels / max(1, each.compared):.1%}"
                for a, b, pixels in each.pairs[:MOST_PAIRS]
            ),
        }
        for each in comparisons
    ]


def pair_rows(comparisons: Sequence[MaskComparison], classes: Sequence[Classes]) -> list[dict[str, Any]]:
    """Return the rows of comparison_pairs.csv. classes: those of both endpoints."""
    return [
        {
            "image": each.image,
            "first_class": classes[0].name(a),
            "second_class": classes[1].name(b),
            "pixels": pixels,
            "share": pixels / max(1, each.compared),
        }
        for each in comparisons
        for a, b, pixels in each.pairs
    ]
