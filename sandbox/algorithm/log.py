"""Write log lines in the format of AWS's algorithm containers, so that the same readers work for both.

    [02/12/2020 16:32:02 INFO 140] Loading weights from /opt/ml/model/model_best.params
    #metrics {"StartTime": ..., "EndTime": ..., "Dimensions": {...}, "Metrics": {...}}

Source: public logs of the containers (sagemaker-python-sdk#1284, sagemaker-python-sdk#2084).
"""

from __future__ import annotations

import json
import os
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime


def info(text: str) -> None:
    """Log one line about progress."""
    _line("INFO", text)


def warning(text: str) -> None:
    """Log one line about a problem that does not end the process."""
    _line("WARNING", text)


def error(text: str) -> None:
    """Log one line about a problem that ends the process."""
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
    """Return the containers' entry for a counter with one event."""
    return {"count": 1, "max": 1, "sum": 1.0, "min": 1}


def _line(level: str, text: str) -> None:
    """Print one line with time, level and process id."""
    now = datetime.now(UTC).strftime("%m/%d/%Y %H:%M:%S")
    print(f"[{now} {level} {os.getpid()}] {text}", flush=True)
