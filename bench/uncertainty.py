"""Compare the time of the uncertainty maps with that of decoding: `python -m bench.uncertainty`.

One response with (1, 21, 600, 800) probabilities, 40 MB, is decoded; entropy and margin, the three most likely
classes and the threshold are then computed from it. Times are medians over rounds in which each runs once.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.decode import SHAPE, probabilities, response
from core.imaging.uncertainty import margin, thresholded, top_classes, uncertainty
from core.wire.decode import RECORDIO, decode

TIMES_DECODE = 2
"""Goal: each takes at most this many times as long as the decoding."""


def main() -> None:
    """Measure, and print one table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15, help="runs of each")
    rounds = parser.parse_args().rounds
    body = response(probabilities())
    decoded = decode(body, RECORDIO)
    maps = decoded.probabilities
    assert maps is not None
    methods: dict[str, Callable[[], object]] = {
        "decode": lambda: decode(body, RECORDIO),
        "entropy and margin": lambda: uncertainty(maps),
        "margin": lambda: margin(maps),
        "top 3": lambda: top_classes(maps),
        "threshold": lambda: thresholded(decoded, 0.6),
    }
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    for _ in range(rounds):
        for name, method in methods.items():
            start = time.perf_counter()
            method()
            seconds[name].append(time.perf_counter() - start)
    base = statistics.median(seconds["decode"])
    print(f"A response of {SHAPE}, {rounds} rounds, numpy {np.__version__}")
    for name, times in seconds.items():
        median = statistics.median(times)
        reached = (
            "" if name == "decode" else "  reached" if median <= TIMES_DECODE * base else "  NOT reached"
        )
        print(f"{name:20}{median * 1e3:8.1f} ms{median / base:8.2f}x{reached}")


if __name__ == "__main__":
    main()
