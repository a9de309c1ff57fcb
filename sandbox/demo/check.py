"""`python -m sandbox.demo.check [aerial] [coastlines]`: evaluate the shipped weights and compare with the card.

CPUs differ in the last bit of a sum, and versions of Pillow in how they enlarge noise, so single pixels may change
their class; up to a tenth of a percent may.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

from sandbox.algorithm.archive import unpack
from sandbox.algorithm.mxnet_import import load_mxnet
from sandbox.algorithm.predict import Predictor
from sandbox.algorithm.scores import mean_iou
from sandbox.demo.aerial import AERIAL
from sandbox.demo.coastlines import COASTLINES
from sandbox.demo.demo import Demo
from sandbox.demo.scores import Counts, DemoScores, measure_examples, measure_validation

DEMOS = {demo.name: demo for demo in (AERIAL, COASTLINES)}
TOLERANCE = 0.001
"""The largest share of pixels that may differ."""


def changed_share(measured: Counts, wanted: Counts) -> float:
    """Return the share of pixels that two confusion matrices count differently; 1 for different ground truths."""
    if not np.array_equal(measured.sum(axis=1), wanted.sum(axis=1)):
        return 1.0
    return float(abs(measured - wanted).sum() / 2 / max(1, wanted.sum()))


def check(demo: Demo, *, only_shown: bool) -> bool:
    """Evaluate, print both scores, and return whether they agree."""
    wanted = DemoScores.read(demo.folder)
    with tempfile.TemporaryDirectory() as name:
        unpack(demo.folder / "model.tar.gz", Path(name))
        predictor = Predictor.from_folder(Path(name))
    shown = measure_examples(predictor, demo, wanted.shown)
    rows = {name: (shown[name], counts) for name, counts in wanted.shown.items()}
    if not only_shown:
        rows["validation"] = measure_validation(predictor, demo, shown), wanted.validation
    for name, (now, card) in rows.items():
        share = changed_share(now, card)
        print(
            f"{demo.name} {name}: mean IoU {mean_iou(now):.4f}, card {mean_iou(card):.4f}, differs {share:.4%}"
        )
    return all(changed_share(now, card) <= TOLERANCE for now, card in rows.values())


def main(arguments: list[str] | None = None) -> int:
    """Check the given demos, or all of them; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.demo.check", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="|".join(DEMOS), help="which demos (default: all)")
    parser.add_argument("--shown", action="store_true", help="only the example images, which is fast")
    options = parser.parse_args(arguments)
    unknown = set(options.names) - set(DEMOS)
    if unknown:
        parser.error(f"unknown demo: {', '.join(sorted(unknown))}")
    load_mxnet()
    agreed = [check(DEMOS[name], only_shown=options.shown) for name in options.names or DEMOS]
    return 0 if all(agreed) else 1


if __name__ == "__main__":
    sys.exit(main())
