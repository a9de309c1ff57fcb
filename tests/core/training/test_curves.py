"""Training curves."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import InputError
from core.training.curves import (
    LOSS,
    MIOU,
    THROUGHPUT,
    MetricSeries,
    best_epoch,
    early_stop,
    epochs_done,
    from_batch_get_metrics,
    from_cloudwatch,
    from_log,
    named,
    notes,
    plateau,
)
from core.training.job import MetricDefinition, TrainingJob, from_description
from core.training.log_lines import LogEvent
from core.training.metric_regex import compile_regex

T0 = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
STAMP = "[11/22/2026 12:00:00 INFO 139815590688576]"
DEFINITIONS = (MetricDefinition(MIOU, r"validation mIOU <score>=([-+.\d]+)"),)


def series(*values: float, epochs: bool = True, name: str = MIOU) -> MetricSeries:
    found = np.array(values, np.float64)
    numbers = np.arange(len(values)) if epochs else None
    return MetricSeries(name, "", "log", np.full(len(values), "NaT", "datetime64[ms]"), numbers, found)


def job(*, epochs: int = 10, early: str = "False", status: str = "Completed") -> TrainingJob:
    return from_description(
        {
            "TrainingJobName": "roads",
            "CreationTime": T0,
            "TrainingJobStatus": status,
            "HyperParameters": {"epochs": str(epochs), "early_stopping": early},
        }
    )


def quality(epoch: int, value: object) -> str:
    return f"{STAMP} #quality_metric: host=algo-1, epoch={epoch}, validation mIOU <score>={value}"


def test_the_lines_of_the_algorithm_are_read() -> None:
    """Loss, mIOU, pixel accuracy, throughput and progress are read without any metric definition."""
    found = from_log(
        [
            f"{STAMP} #quality_metric: host=algo-1, epoch=0, train cross_entropy <loss>=0.98",
            f"{STAMP} #quality_metric: host=algo-1, epoch=0, validation mIOU <score>=0.486",
            f"{STAMP} #quality_metric: host=algo-1, epoch=0, validation pixel_accuracy <score>=0.81",
            f"{STAMP} #throughput_metric: host=algo-1, train throughput=31.2 records/second",
            f"{STAMP} #progress_metric: host=algo-1, completed 14 % of epochs",
        ]
    )
    assert {one.name: one.values.tolist() for one in found.series} == {
        LOSS: [0.98], MIOU: [0.486], "validation:pixel_accuracy": [0.81], THROUGHPUT: [31.2],
    }  # fmt: skip
    assert found.progress == 14
    assert {one.name: one.unit for one in found.series}[THROUGHPUT] == "records/second"
    assert all(one.source == "log" for one in found.series)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.35", 0.35), ("(0.35)", 0.35), ("1e-3", 0.001), ("-2", -2.0), ("nan", math.nan), ("inf", math.inf),
        ("-inf", -math.inf), ("NaN", math.nan), ("0.5,", 0.5), (".5", 0.5),
    ],
)  # fmt: skip
def test_values_are_read_as_containers_print_them(text: str, value: float) -> None:
    """A value may be in parentheses, have an exponent, or be nan or inf."""
    (found,) = from_log([quality(3, text)]).series
    np.testing.assert_equal(found.values, [value])
    assert found.epochs is not None
    assert found.epochs.tolist() == [3]


@pytest.mark.parametrize("text", ["abc", "1.2.3", "", "0x10", "1_0", "e"])
def test_a_value_that_is_not_a_number_is_skipped(text: str) -> None:
    """A value that is not a number adds no point."""
    assert from_log([quality(0, text)]).series == ()


def test_terminal_colors_are_ignored() -> None:
    """A line with terminal colors is read like any other line."""
    (found,) = from_log([quality(0, "\x1b[32m0.5\x1b[0m")]).series
    assert found.values.tolist() == [0.5]


def test_a_line_of_a_batch_is_a_series_of_its_own() -> None:
    """A batch's loss, logged without a comma after `batch=`, is kept separate from the epoch's loss."""
    found = from_log(
        [
            f"{STAMP} #quality_metric: host=algo-1, epoch=0, batch=0 train rmse <loss>=72.2",
            f"{STAMP} #quality_metric: host=algo-1, epoch=0, batch=5 train rmse <loss>=60.0",
            f"{STAMP} #quality_metric: host=algo-1, epoch=0, train rmse <loss>=50.0",
        ]
    )
    assert {one.name: one.values.tolist() for one in found.series} == {
        "train:loss:batch": [72.2, 60.0],
        LOSS: [50.0],
    }


def test_a_line_without_an_epoch_has_none() -> None:
    """A metric whose lines have no epoch has no epochs."""
    (found,) = from_log([f"{STAMP} #quality_metric: host=algo-1, test macro_f_1.000 <score>=nan"]).series
    assert (found.name, found.epochs) == ("test:macro_f_1.000", None)


def test_the_jobs_own_definitions_come_first() -> None:
    """A metric that a job's definition matches takes precedence; all others are read from the standard log lines."""
    definitions = (MetricDefinition(MIOU, r"strict mIOU is (\S+)"),)
    lines = [
        "epoch 0: strict mIOU is 0.7",
        quality(0, 0.2),
        f"{STAMP} #quality_metric: host=algo-1, epoch=0, train x <loss>=1",
    ]
    found = from_log(lines, definitions)
    assert {one.name: one.values.tolist() for one in found.series} == {MIOU: [0.7], LOSS: [1.0]}
    assert found.problems == ()


def test_times_are_those_of_the_events() -> None:
    """A point has the UTC time of its log event; a bare line has none."""
    here = T0.astimezone(None)
    (found,) = from_log([LogEvent(here, quality(0, 0.5))], DEFINITIONS).series
    assert found.times.tolist() == [T0.replace(tzinfo=None)]
    (bare,) = from_log([quality(0, 0.5)]).series
    assert np.isnat(bare.times).all()


@pytest.mark.parametrize(
    ("regex", "words"),
    [
        ("mIOU=(", "not a valid regular expression"),
        ("mIOU=.*", "no group"),
        ("(a+)+$", "run practically forever"),
        ("((a|aa)+)b", "run practically forever"),
        ("(.*)*x", "run practically forever"),
        ("(x+x+)+y", "run practically forever"),
        (r"(\d+){1,50}z", "run practically forever"),
        ("(.*.*.*.*.*.*)x", "run practically forever"),
        (r"(\d*\d*\d*\d*x)", "run practically forever"),
        ("(" + "a" * 600 + ")", "run practically forever"),
    ],
)
def test_a_bad_definition_is_reported(regex: str, words: str) -> None:
    """A definition that is invalid, or could run practically forever, is reported by name; the rest is read."""
    found = from_log([quality(0, 0.5), "a" * 4000], (MetricDefinition("odd", regex),))
    assert [one.name for one in found.series] == [MIOU]
    assert len(found.problems) == 1
    assert "odd" in found.problems[0]
    assert words in found.problems[0]


@pytest.mark.parametrize(
    "regex",
    [
        r".*#quality_metric: host=\S+, epoch=[0-9]+, validation mIOU <score>=([-+]?[0-9]*\.?[0-9]+).*",
        r"#quality_metric: host=[\w-]+, (?:epoch=\d+, )?validation mIOU <score>=(\S+)",
        r".*validation mIOU <score>=([-+]?[0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?).*",
        r"(?P<x>validation)? ?mIOU <score>=\(?([^\s)]+)",
    ],
)
def test_usual_definitions_are_used(regex: str) -> None:
    """Expressions like those of AWS and of users are accepted, and return the first group's number."""
    definition = MetricDefinition("mine", regex)
    found = from_log([quality(4, 0.25)], (definition,))
    assert found.problems == ()
    mine = named(found.series, "mine")
    assert (mine is not None) is (not regex.startswith("(?P"))


@pytest.mark.parametrize(
    ("regex", "limit"),
    [
        (r"mIOU=(\d+).*", 4000),
        (r"host=\S+, epoch=\d+, mIOU <\w+>=([^\s()]+)", 600),
        (r".*x(\d)", 4000), (r".*a.*x(\d)", 600), (r"\S+\S+x(\d)", 600),
        (r".*a.*a[^b]*x(\d)", 200),
    ],
)  # fmt: skip
def test_a_slow_definition_sees_little_of_a_line(regex: str, limit: int) -> None:
    """The more wide repeats an expression has, the less of a line it searches, so that a long line cannot hang it."""
    assert compile_regex("slow", regex).limit == limit
    assert from_log(["a" * 100_000], (MetricDefinition("slow", regex),)).series == ()


def test_a_restart_replaces_the_epochs_it_repeats() -> None:
    """After an interruption, training restarts at an earlier epoch, and its values replace the earlier ones."""
    lines = [quality(epoch, value) for epoch, value in [(0, 0.1), (1, 0.2), (2, 0.3), (1, 0.4), (2, 0.5)]]
    for definitions in ((), DEFINITIONS):
        (found,) = from_log(lines, definitions).series
        assert found.epochs is not None
        assert (found.epochs.tolist(), found.values.tolist()) == ([0, 1, 2], [0.1, 0.4, 0.5])


@settings(deadline=None)
@given(st.lists(st.text(max_size=300), max_size=20))
def test_any_text_is_read(lines: list[str]) -> None:
    """Reading a log with any content returns series and never fails."""
    found = from_log([*lines, quality(0, 0.5)], DEFINITIONS)
    assert named(found.series, MIOU) is not None


def test_batch_get_metrics_gives_epochs_or_times() -> None:
    """By iteration, the x values are epochs; by time, they are seconds or milliseconds since 1970."""
    answer = {"Status": "Complete", "XAxisValues": [1, 0], "MetricValues": [0.6, 0.5]}
    found = from_batch_get_metrics(MIOU, answer, x_axis="IterationNumber")
    assert found.epochs is not None
    assert (found.epochs.tolist(), found.values.tolist(), found.source) == (
        [0, 1],
        [0.5, 0.6],
        "BatchGetMetrics",
    )
    seconds = int(T0.timestamp())
    for mark in (seconds, seconds * 1000):
        timed = from_batch_get_metrics(MIOU, {"XAxisValues": [mark], "MetricValues": [1]}, x_axis="Timestamp")
        assert timed.times.tolist() == [T0.replace(tzinfo=None)]
        assert timed.epochs is None
    assert len(from_batch_get_metrics(MIOU, {"Status": "InternalError"}, x_axis="Timestamp")) == 0


def test_cloudwatch_comes_newest_first() -> None:
    """CloudWatch's points are sorted by time."""
    answer = {"Timestamps": [T0 + timedelta(minutes=1), T0], "Values": [80.0, 20.0]}
    found = from_cloudwatch("GPUUtilization", answer)
    assert (found.values.tolist(), found.unit, found.source) == ([20.0, 80.0], "%", "CloudWatch")
    assert found.times[0] == np.datetime64("2026-11-22T12:00:00")
    assert len(from_cloudwatch("GPUUtilization", {})) == 0


def test_arrays_of_a_series_have_one_shape() -> None:
    """Times, epochs and values of different lengths are rejected."""
    with pytest.raises(InputError, match="different shapes"):
        MetricSeries(MIOU, "", "log", np.zeros(2, "datetime64[ms]"), None, np.zeros(3))


def test_the_best_epoch_is_the_first_highest() -> None:
    """The best point has the highest value, the first of equals; NaN and infinity are skipped."""
    best = best_epoch(series(math.nan, 0.3, 0.7, math.inf, 0.7))
    assert best is not None
    assert (best.place, best.epoch, best.value) == (2, 2, 0.7)
    low = best_epoch(series(3.0, 1.0, math.nan, 1.0, name=LOSS), lowest=True)
    assert low is not None
    assert low.epoch == 1
    assert best_epoch(series(math.nan)) is None
    assert best_epoch(series()) is None


def test_a_plateau_is_a_run_without_a_gain() -> None:
    """A plateau starts at the last improvement, once `patience` points brought none."""
    flat = plateau(series(0.1, 0.5, 0.5, 0.4, math.nan, 0.5), patience=4)
    assert flat is not None
    assert (flat.epoch, flat.value) == (1, 0.5)
    assert plateau(series(0.1, 0.5, 0.5, 0.4), patience=4) is None
    assert plateau(series(0.1, 0.2, 0.3, 0.4, 0.5, 0.6)) is None
    small = plateau(series(0.500, 0.501, 0.502, 0.503, 0.504), tolerance=0.05)
    assert small is not None
    assert small.epoch == 0
    assert plateau(series()) is None


def test_epochs_are_counted() -> None:
    """The number of completed epochs is the last epoch plus one, or the number of points."""
    assert (epochs_done(series(0.1, 0.2)), epochs_done(series(0.1, epochs=False)), epochs_done(series())) == (
        2,
        1,
        0,
    )


def test_an_early_stop_is_detected_by_the_log_or_the_epochs() -> None:
    """A completed job with fewer epochs than requested stopped early if early stopping was on or its log says so."""
    short = series(0.1, 0.2, 0.3)
    stopped = early_stop(job(early="True"), short)
    assert stopped is not None
    assert (stopped.done, stopped.requested, stopped.evidence) == (3, 10, "")
    line = f"{STAMP} Early stopping: no gain in 4 epochs"
    said = early_stop(job(), short, ["early_stopping='False'", line])
    assert said is not None
    assert said.evidence == line
    assert early_stop(job(), short, ['"early_stopping": "False"', "early_stopping_patience=4"]) is None
    assert early_stop(job(early="True", epochs=3), short) is None
    assert early_stop(job(early="True", status="Stopped"), short) is None
    assert early_stop(job(early="True"), None) is None


def test_nan_and_a_plateau_get_a_note() -> None:
    """NaN values and a plateau of the mIOU get a note."""
    odd, flat = notes(series(0.5, math.nan, 0.4, 0.4, 0.4))
    assert "1 of 5 values" in odd
    assert "first at epoch 1" in odd
    assert "since epoch 0 (0.500)" in flat
    assert notes(series(0.1, 0.2)) == ()
