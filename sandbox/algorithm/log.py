"""Log lines as AWS's algorithm containers write them, so that what reads theirs reads ours.

    [02/12/2020 16:32:02 INFO 140] Loading weights from /opt/ml/model/model_best.params
    #metrics {"StartTime": ..., "EndTime": ..., "Dimensions": {...}, "Metrics": {...}}

Both forms stand in public logs of the containers (sagemaker-python-sdk#1284, sagemaker-python-sdk#2084).
"""

from __future__ import annotations

import json
import os
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime


def info(text: str) -> None:
    """Log one line about what goes on."""
    _line("INFO", text)


def warning(text: str) -> None:
    """Log one line about what went wrong but does not end the process."""
    _line("WARNING", text)


def error(text: str) -> None:
    """Log one line about what ends the process."""
    _line("ERROR", text)


def failure(text: str, problem: BaseException) -> None:
    """Log an unexpected error with its traceback."""
    _line("ERROR", f"{text}\n{''.join(traceback.format_exception(problem))}")


def metrics(
    start: float, end: float, dimensions: Mapping[str, str | int], sums: Mapping[str, Mapping[str, float]]
) -> None:
    """Log one `#metrics` line. Times are seconds since 1970."""
    entry = {"Metrics": sums, "EndTime": end, "Dimensions": dimensions, "StartTime": start}
    print(f"#metrics {json.dumps(entry)}", flush=True)


def count_of_one() -> dict[str, float]:
    """Return what the containers write for a counter that has counted one thing."""
    return {"count": 1, "max": 1, "sum": 1.0, "min": 1}


def _line(level: str, text: str) -> None:
    now = datetime.now(UTC).strftime("%m/%d/%Y %H:%M:%S")
    print(f"[{now} {level} {os.getpid()}] {text}", flush=True)
