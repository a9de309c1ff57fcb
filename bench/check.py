"""Measure the time and memory of validating a dataset: `python -m bench.check`.

Pairs of 480 x 360 pixels, an image of 30 kB and a mask of eleven classes, are read in turn by

    core.datasets   this project: reads every file completely and makes all checks, on all processors
    plain loop      one process: Pillow opens both files, compares their sizes, np.unique lists the class ids

Rounds alternate, so that both run under the same conditions. Results are medians, in seconds per 1,000 pairs, and
include the start of the worker processes. Memory is the peak of the largest process.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from core.datasets.check import check, processes, processors
from core.datasets.readers import read_dataset

PAIRS, DIFFERENT = 2_000, 100
WIDTH, HEIGHT, CLASSES = 480, 360, 11
OURS, PLAIN = "core.datasets", "plain loop"

Method = Callable[[], set[int]]


def make_dataset(root: Path, pairs: int) -> None:
    """Write a dataset: smooth noise as images, patches as masks; DIFFERENT pairs are drawn, the others are links."""
    random = np.random.default_rng(0)
    for number in range(pairs):
        split = "validation" if number % 5 == 0 else "train"
        image, mask = root / split / f"{number:06}.jpg", root / f"{split}_annotation" / f"{number:06}.png"
        image.parent.mkdir(exist_ok=True)
        mask.parent.mkdir(exist_ok=True)
        if number < DIFFERENT:
            coarse = Image.fromarray(random.integers(0, 255, (90, 120, 3), np.uint8))
            coarse.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC).save(image, quality=85)
            patches = Image.fromarray(random.integers(0, CLASSES, (12, 16), np.uint8))
            patches.resize((WIDTH, HEIGHT), Image.Resampling.NEAREST).save(mask)
        else:
            for path in (image, mask):
                twin = f"{number % DIFFERENT:06}{path.suffix}"
                split = "validation" if number % DIFFERENT % 5 == 0 else "train"
                folder = split if path is image else f"{split}_annotation"
                path.hardlink_to(root / folder / twin)


def ours(root: Path) -> set[int]:
    """Return the class ids that the validation reports."""
    with processes() as executor:
        return set(check(read_dataset(root), executor).class_ids)


def plain(root: Path) -> set[int]:
    """Return the class ids, read by a simple loop."""
    ids: set[int] = set()
    for image_path in sorted(root.glob("*/*.jpg")):
        folder = image_path.parent
        mask_path = folder.with_name(f"{folder.name}_annotation") / f"{image_path.stem}.png"
        with Image.open(image_path) as image, Image.open(mask_path) as mask:
            image.load()
            if image.size != mask.size:
                raise SystemExit(f"{image_path} and its mask differ in size.")
            ids.update(np.unique(np.asarray(mask)).tolist())
    return ids


def timed(methods: dict[str, Method], rounds: int, pairs: int) -> dict[str, float]:
    """Return the median of each method, in seconds per 1,000 pairs. Raises SystemExit where their results differ."""
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    for _ in range(rounds):
        for name, run in methods.items():
            start = time.perf_counter()
            if run() != set(range(CLASSES)):
                raise SystemExit(f"{name} returned other classes.")
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) / pairs * 1000 for name, times in seconds.items()}


def peak() -> float:
    """Return the peak memory of this process or the largest of its children, in MB."""
    unit = 1 if sys.platform == "darwin" else 1024
    largest = max(
        resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return largest * unit / 1e6


def main() -> None:
    """Measure, and print one table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make_dataset(root, options.pairs)
        methods: dict[str, Method] = {OURS: lambda: ours(root), PLAIN: lambda: plain(root)}
        medians = timed(methods, options.rounds, options.pairs)
    print(f"{options.pairs:,} pairs of {WIDTH} x {HEIGHT}, {processors()} processors")
    for name, median in medians.items():
        print(f"{name:16}{median:8.2f} s per 1,000 pairs")
    print(f"{medians[PLAIN] / medians[OURS]:.1f} times as fast; peak memory of one process {peak():.0f} MB")


if __name__ == "__main__":
    main()
