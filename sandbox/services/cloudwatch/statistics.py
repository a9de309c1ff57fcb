"""Compute CloudWatch's statistics and percentiles of the samples in one period.

A percentile is the smallest value that at least that share of the samples does not exceed; as in AWS it is undefined
for a period with a statistic set of differing values. Source: CloudWatch user guide, "CloudWatch statistics
definitions".
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

from sandbox.http.protocol import ApiError, Params

PLAIN = ("Average", "Sum", "Minimum", "Maximum", "SampleCount")
_PERCENTILE = re.compile(r"p(100|[0-9]{1,2}(?:\.[0-9]{1,10})?)")


@dataclass(slots=True)
class Bucket:
    """The samples of one period. values: (value, count) pairs, for percentiles; None when they are unknown."""

    count: float = 0.0
    sum: float = 0.0
    low: float = math.inf
    high: float = -math.inf
    values: list[tuple[float, float]] | None = field(default_factory=list)

    def add(self, count: float, total: float, low: float, high: float) -> None:
        """Add one stored point."""
        self.count += count
        self.sum += total
        self.low, self.high = min(self.low, low), max(self.high, high)
        if low != high:
            self.values = None
        elif self.values is not None:
            self.values.append((low, count))

    def statistic(self, name: str) -> float | None:
        """Return a statistic by CloudWatch's name; None when unknown. Raises ApiError for an unsupported one."""
        if name in PLAIN:
            average = self.sum / self.count
            return dict(zip(PLAIN, (average, self.sum, self.low, self.high, self.count), strict=True))[name]
        match = _PERCENTILE.fullmatch(name)
        if match is None:
            raise invalid(
                f"The sandbox supports the statistics {', '.join(PLAIN)} and p0 to p100, not {name!r}."
            )
        return None if self.values is None else _percentile(self.values, float(match[1]) / 100)


def points_of(datum: Params) -> list[tuple[float, float, float, float]]:
    """Return a datum's points as (count, sum, low, high). Raises ApiError."""
    if (whole := datum.get("StatisticValues")) is not None:
        points = [(whole["SampleCount"], whole["Sum"], whole["Minimum"], whole["Maximum"])]
    else:
        values = datum["Values"] if "Values" in datum else [datum["Value"]] if "Value" in datum else []
        counts = datum.get("Counts") or [1.0] * len(values)
        if not values or len(counts) != len(values):
            raise invalid(
                "A datum needs Value, StatisticValues, or Values with either no Counts or as many Counts."
            )
        points = [(count, value * count, value, value) for value, count in zip(values, counts, strict=True)]
    if not all(map(math.isfinite, (number for point in points for number in point))):
        raise invalid("A value must be a finite number.")
    if any(point[0] <= 0 for point in points):
        raise invalid("A count of samples must be above zero.")
    return points


def _percentile(values: list[tuple[float, float]], share: float) -> float:
    """Return the smallest value that at least `share` of the samples does not exceed. values: (value, count)."""
    ordered = sorted(values)
    wanted = share * sum(count for _, count in ordered)
    reached = 0.0
    for value, count in ordered:
        reached += count
        # A tolerance for rounding: 0.9 * 10 samples are 9 of them.
        if reached >= wanted - 1e-9:
            return value
    return ordered[-1][0]


def invalid(message: str) -> ApiError:
    """Return CloudWatch's error for an invalid parameter."""
    return ApiError("InvalidParameterValue", message)
