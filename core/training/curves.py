"""Training curves from three sources; each series names its source.

In this order: SageMaker's BatchGetMetrics, CloudWatch, and the job's log. In the log, the job's own metric
definitions take precedence; metrics that they miss are read from the standard log lines of AWS's algorithms.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from core.errors import InputError
from core.training.job import MetricDefinition, TrainingJob
from core.training.log_lines import LogEvent, plain
from core.training.metric_regex import Matcher, compile_regex, number

Source = Literal["BatchGetMetrics", "CloudWatch", "log"]

MIOU = "validation:mIOU"
PIXEL_ACCURACY = "validation:pixel_accuracy"
LOSS = "train:loss"
THROUGHPUT = "train:throughput"

QUALITY = re.compile(
    r"#quality_metric: host=(?P<host>[^\s,]+),(?: epoch=(?P<epoch>\d{1,9}),?)?(?: batch=(?P<batch>\d{1,9}),?)?"
    r" (?P<split>train|validation|test) (?P<metric>\S{1,100}) <(?P<kind>loss|score)>=(?P<value>\S{1,60})"
)
SPEED = re.compile(
    r"#throughput_metric: host=[^\s,]+,(?: epoch=(?P<epoch>\d{1,9}),?)? train throughput=(?P<value>\S{1,60})"
    r"(?: (?P<unit>records/second))?"
)
PROGRESS = re.compile(
    r"#progress_metric: host=[^\s,]+, completed (?P<percent>\d{1,3}(?:\.\d{1,9})?) ?% of epochs"
)
EPOCH = re.compile(r"\bepoch[=: ]{1,2}(?P<epoch>\d{1,9})\b", re.IGNORECASE)
EARLY_STOP = re.compile(r"\bearly[ -]stop(?:ping|ped)?\b", re.IGNORECASE)
"""Matches prose such as "early stopping at epoch 9", not hyperparameters such as `early_stopping`."""

UNITS = {
    THROUGHPUT: "records/second",
    "CPUUtilization": "%",
    "MemoryUtilization": "%",
    "GPUUtilization": "%",
    "GPUMemoryUtilization": "%",
    "DiskUtilization": "%",
}
MILLISECONDS_FROM = 10**11
"""Timestamps from this value up are milliseconds: as seconds they would be after the year 5138."""


@dataclass(frozen=True, slots=True, eq=False)
class MetricSeries:
    """One metric over time.

    unit:   "records/second", "%", or "" for fractions and losses.
    times:  (n,) datetime64[ms], UTC; NaT where the source has no time.
    epochs: (n,) int64, ascending, from 0; None if the source has no epochs.
    values: (n,) float64; may contain NaN and infinity.
    """

    name: str
    unit: str
    source: Source
    times: NDArray[np.datetime64]
    epochs: NDArray[np.int64] | None
    values: NDArray[np.float64]

    def __post_init__(self) -> None:
        shapes = {self.times.shape, self.values.shape} | (
            {self.epochs.shape} if self.epochs is not None else set()
        )
        if shapes != {(self.values.size,)}:
            raise InputError(f"The curve {self.name} has arrays of different shapes: {sorted(shapes)}.")

    def __len__(self) -> int:
        return int(self.values.size)

    def epoch_at(self, place: int) -> int:
        """Return the epoch of a point; its index if the source has no epochs."""
        return place if self.epochs is None else int(self.epochs[place])


@dataclass(frozen=True, slots=True)
class LogCurves:
    """The metrics of a log.

    series:   in the order of their first point.
    progress: percent of the epochs completed, as last reported by the container; None if it reported none.
    problems: sentences about metric definitions that could not be used.
    """

    series: tuple[MetricSeries, ...]
    progress: float | None
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Best:
    """The best point of a series: its index, epoch and value."""

    place: int
    epoch: int
    value: float


@dataclass(frozen=True, slots=True)
class EarlyStop:
    """A job that ended before all its epochs.

    done, requested: epochs.
    evidence:        the log line; "" if only the number of epochs shows it.
    """

    done: int
    requested: int
    evidence: str


@dataclass(slots=True)
class _Points:
    """The points of one metric read so far."""

    unit: str
    rows: list[tuple[np.datetime64, int | None, float]]


def from_log(lines: Iterable[LogEvent | str], definitions: Sequence[MetricDefinition] = ()) -> LogCurves:
    """Return the curves in a job's log, oldest line first."""
    matchers, problems = _matchers(definitions)
    defined: dict[str, _Points] = {}
    standard: dict[str, _Points] = {}
    progress = None
    for line in lines:
        at, text = _read(line)
        for matcher in matchers:
            value = matcher.value(text)
            if value is not None:
                _add(defined, matcher.name, UNITS.get(matcher.name, ""), (at, _epoch(text), value))
        _read_standard(text, at, standard)
        percent = PROGRESS.search(text)
        progress = float(percent["percent"]) if percent else progress
    series = tuple(_series(name, points) for name, points in {**standard, **defined}.items())
    return LogCurves(series, progress, tuple(problems))


def from_batch_get_metrics(
    name: str, result: Mapping[str, Any], *, x_axis: Literal["IterationNumber", "Timestamp"]
) -> MetricSeries:
    """Read an entry of BatchGetMetrics' `MetricQueryResults`, requested with this x axis."""
    pairs = sorted(zip(result.get("XAxisValues") or [], result.get("MetricValues") or [], strict=False))
    marks = np.array([mark for mark, _ in pairs], np.int64)
    values = np.array([value for _, value in pairs], np.float64)
    if x_axis == "IterationNumber":
        times = np.full(len(marks), "NaT", "datetime64[ms]")
        return MetricSeries(name, UNITS.get(name, ""), "BatchGetMetrics", times, marks, values)
    in_ms = np.where(marks < MILLISECONDS_FROM, marks * 1000, marks)
    return MetricSeries(
        name, UNITS.get(name, ""), "BatchGetMetrics", in_ms.astype("datetime64[ms]"), None, values
    )


def from_cloudwatch(name: str, result: Mapping[str, Any]) -> MetricSeries:
    """Read an entry of GetMetricData's `MetricDataResults`, newest first; it has no epochs."""
    pairs = sorted(zip(result.get("Timestamps") or [], result.get("Values") or [], strict=False))
    times = np.array([_moment(at) for at, _ in pairs], "datetime64[ms]")
    values = np.array([value for _, value in pairs], np.float64)
    return MetricSeries(name, UNITS.get(name, ""), "CloudWatch", times, None, values)


def named(series: Iterable[MetricSeries], name: str) -> MetricSeries | None:
    """Return the series of a metric; None if there is none."""
    return next((each for each in series if each.name == name), None)


def best_epoch(series: MetricSeries, *, lowest: bool = False) -> Best | None:
    """Return the highest value, the first of equals; NaN is skipped. The container serves this epoch's model.

    lowest: return the lowest instead, as for a loss.
    """
    finite = np.isfinite(series.values)
    if not finite.any():
        return None
    worst = np.inf if lowest else -np.inf
    values = np.where(finite, series.values, worst)
    place = int(values.argmin() if lowest else values.argmax())
    return Best(place, series.epoch_at(place), float(series.values[place]))


def plateau(series: MetricSeries, *, patience: int = 4, tolerance: float = 0.0) -> Best | None:
    """Return the last improvement if at least `patience` points follow it; None while the series still improves.

    tolerance: the smallest relative gain that counts, as in the algorithm's `early_stopping_tolerance`.
    """
    last: Best | None = None
    for place, value in enumerate(series.values.tolist()):
        if np.isfinite(value) and (last is None or value > last.value + tolerance * abs(last.value)):
            last = Best(place, series.epoch_at(place), value)
    return last if last is not None and len(series) - 1 - last.place >= max(1, patience) else None


def epochs_done(series: MetricSeries) -> int:
    """Return how many epochs a series has completed."""
    if not len(series):
        return 0
    return len(series) if series.epochs is None else int(series.epochs.max()) + 1


def early_stop(
    job: TrainingJob, series: MetricSeries | None, lines: Iterable[LogEvent | str] = ()
) -> EarlyStop | None:
    """Return how a completed job stopped early, by its log or by its number of epochs; None if it did not."""
    if job.status != "Completed" or job.epochs is None or series is None or not len(series):
        return None
    done = epochs_done(series)
    counted = series.epochs is not None  # CloudWatch has minutes, not epochs
    reason = next((text for line in lines if EARLY_STOP.search(text := _read(line)[1])), "")
    if done >= job.epochs or not (
        reason or (counted and job.hyperparameters.get("early_stopping") == "True")
    ):
        return None
    return EarlyStop(done, job.epochs, reason)


def notes(series: MetricSeries) -> tuple[str, ...]:
    """Return the notes for a curve: non-finite values, and a plateau."""
    sentences = []
    odd = np.flatnonzero(~np.isfinite(series.values))
    if odd.size:
        sentences.append(
            f"{odd.size} of {len(series)} values of {series.name} are NaN or infinite, the first at epoch "
            f"{series.epoch_at(int(odd[0]))}. A lower learning_rate often helps."
        )
    flat = plateau(series) if series.name == MIOU else None
    if flat is not None:
        sentences.append(f"No improvement in {series.name} since epoch {flat.epoch} ({flat.value:.3f}).")
    return tuple(sentences)


def _matchers(definitions: Sequence[MetricDefinition]) -> tuple[list[Matcher], list[str]]:
    matchers, problems = [], []
    for definition in definitions:
        try:
            matchers.append(compile_regex(definition.name, definition.regex))
        except InputError as error:
            problems.append(str(error))
    return matchers, problems


def _read(line: LogEvent | str) -> tuple[np.datetime64, str]:
    if isinstance(line, str):
        return np.datetime64("NaT", "ms"), plain(line)
    return _moment(line.at), plain(line.message)


def _moment(at: datetime) -> np.datetime64:
    """Convert a time to numpy: UTC, without a time zone."""
    bare = at if at.tzinfo is None else at.astimezone(UTC).replace(tzinfo=None)
    return np.datetime64(bare, "ms")


def _epoch(text: str) -> int | None:
    match = EPOCH.search(text)
    return int(match["epoch"]) if match else None


def _read_standard(text: str, at: np.datetime64, into: dict[str, _Points]) -> None:
    """Read a line in the format of AWS's own algorithms."""
    quality = QUALITY.search(text)
    match = quality or SPEED.search(text)
    value = number(match["value"]) if match else None
    if match is None or value is None:
        return
    epoch = int(match["epoch"]) if match["epoch"] else None
    if quality is None:
        _add(into, THROUGHPUT, UNITS[THROUGHPUT], (at, epoch, value))
        return
    name = f"{quality['split']}:{'loss' if quality['kind'] == 'loss' else quality['metric']}"
    if quality["batch"]:
        _add(into, f"{name}:batch", "", (at, None, value))
    else:
        _add(into, name, "", (at, epoch, value))


def _add(
    into: dict[str, _Points], name: str, unit: str, row: tuple[np.datetime64, int | None, float]
) -> None:
    """Add a point. An interrupted machine restarts: the epochs that it repeats replace the earlier ones."""
    points = into.setdefault(name, _Points(unit, []))
    epoch = row[1]
    while epoch is not None and points.rows and (last := points.rows[-1][1]) is not None and last >= epoch:
        points.rows.pop()
    points.rows.append(row)


def _series(name: str, points: _Points) -> MetricSeries:
    epochs = [epoch for _, epoch, _ in points.rows if epoch is not None]
    return MetricSeries(
        name,
        points.unit,
        "log",
        np.array([at for at, _, _ in points.rows], "datetime64[ms]"),
        np.array(epochs, np.int64) if len(epochs) == len(points.rows) else None,
        np.array([value for _, _, value in points.rows], np.float64),
    )
