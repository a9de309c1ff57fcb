"""How fast a data set is checked, and in how much memory: `python -m bench.check`.

Pairs of 480 x 360 pixels, a photograph of 30 kB and a mask of eleven classes, are read in turn by

    core.datasets   this project: every file whole, all that the check list asks, on every processor
    plain loop      one process: Pillow opens both files, compares their sizes, np.unique lists the class ids

Rounds alternate, so that both meet the same machine; figures are medians, in seconds for 1,000 pairs. The processes'
start is counted. Memory is the peak of the largest process.
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

Way = Callable[[], set[int]]


def make_set(root: Path, pairs: int) -> None:
    """Smooth noise for photographs, patches for masks; so many of them are drawn, the others are links to those."""
    random = np.random.default_rng(0)
    for number in range(pairs):
        split = "validation" if number % 5 == 0 else "train"
        photo, mask = root / split / f"{number:06}.jpg", root / f"{split}_annotation" / f"{number:06}.png"
        photo.parent.mkdir(exist_ok=True)
        mask.parent.mkdir(exist_ok=True)
        if number < DIFFERENT:
            coarse = Image.fromarray(random.integers(0, 255, (90, 120, 3), np.uint8))
            coarse.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC).save(photo, quality=85)
            patches = Image.fromarray(random.integers(0, CLASSES, (12, 16), np.uint8))
            patches.resize((WIDTH, HEIGHT), Image.Resampling.NEAREST).save(mask)
        else:
            for path in (photo, mask):
                twin = f"{number % DIFFERENT:06}{path.suffix}"
                side = "validation" if number % DIFFERENT % 5 == 0 else "train"
                folder = side if path is photo else f"{side}_annotation"
                path.hardlink_to(root / folder / twin)


def ours(root: Path) -> set[int]:
    """The class ids that the check finds."""
    with processes() as executor:
        return set(check(read_dataset(root), executor).class_ids)


def plain(root: Path) -> set[int]:
    """The same by the loop that anybody would write."""
    ids: set[int] = set()
    for photo_path in sorted(root.glob("*/*.jpg")):
        folder = photo_path.parent
        mask_path = folder.with_name(f"{folder.name}_annotation") / f"{photo_path.stem}.png"
        with Image.open(photo_path) as photo, Image.open(mask_path) as mask:
            photo.load()
            if photo.size != mask.size:
                raise SystemExit(f"{photo_path} and its mask differ.")
            ids.update(np.unique(np.asarray(mask)).tolist())
    return ids


def timed(ways: dict[str, Way], rounds: int, pairs: int) -> dict[str, float]:
    """The median of each way, in seconds for 1,000 pairs. Both must find the same, or the figures mean nothing."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, run in ways.items():
            start = time.perf_counter()
            if run() != set(range(CLASSES)):
                raise SystemExit(f"{name} finds other classes.")
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) / pairs * 1000 for name, times in seconds.items()}


def peak() -> float:
    """MB that this process or the largest of its children held at most."""
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
        make_set(root, options.pairs)
        ways: dict[str, Way] = {OURS: lambda: ours(root), PLAIN: lambda: plain(root)}
        medians = timed(ways, options.rounds, options.pairs)
    print(f"{options.pairs:,} pairs of {WIDTH} x {HEIGHT}, {processors()} processors")
    for name, median in medians.items():
        print(f"{name:16}{median:8.2f} s for 1,000 pairs")
    print(f"{medians[PLAIN] / medians[OURS]:.1f} times as fast; {peak():.0f} MB at most in one process")


if __name__ == "__main__":
    main()
