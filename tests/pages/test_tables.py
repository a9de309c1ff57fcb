"""The tables, the metrics row and the chart points of training jobs, as values."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from bench.support.jobs_server import many, record
from core.aws.training import JobList
from core.cost.training import shipped_prices
from core.training.curves import LOSS, MIOU, MetricSeries
from core.training.filters import JobFilter
from core.training.job import TrainingJob, from_description
from pages.parts import cached, charts
from pages.parts.deploy import source
from pages.parts.jobs import table

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
PRICES = shipped_prices("us-east-1")


def job(name: str = "a", status: str = "Completed", **more: Any) -> TrainingJob:
    return from_description(record(name, status, **{"created": NOW - timedelta(hours=2), **more}))


def series(*values: float, name: str = MIOU, epochs: bool = True) -> MetricSeries:
    times = np.full(len(values), "NaT", "datetime64[ms]")
    counted = np.arange(len(values)) if epochs else None
    return MetricSeries(name, "", "BatchGetMetrics", times, counted, np.array(values, np.float64))


def frame(*jobs: TrainingJob, **lines: MetricSeries) -> Any:
    return table.jobs_frame(jobs, lines, PRICES, NOW)


def test_progress_by_epoch():
    """A running job's progress is the number of epochs in its curve out of those requested."""
    table = frame(job("a", "InProgress"), job("b"), a=series(0.1, 0.2, 0.3), b=series(*[0.5] * 30))
    assert table["epoch"].tolist() == ["3 of 30", "30 of 30"]
    assert table["progress"].tolist() == [0.1, 1.0]


def test_time_left():
    """A running job shows the time left by its epochs, "unknown" before the first; an ended job shows none."""
    rows = frame(job("a", "InProgress"), job("b", "InProgress"), job("c"), a=series(*[0.1] * 15))
    assert rows["left"].fillna("").tolist() == ["1 h 58 min", "unknown", ""]


def test_a_model_that_is_not_finished_is_marked():
    """In the list of models to deploy, a job that was stopped or failed says so; a completed one needs no mark."""
    titles = source._titles([job("a"), job("b", "Stopped"), job("c", "Failed")])
    assert [" · stopped · " in title for title in titles.values()] == [False, True, False]
    assert " · failed · " in titles["c"]


def test_unknown_progress():
    """An ended job without a curve and a job that has not started show no progress, rather than zero."""
    waiting = job("b", "InProgress", TrainingStartTime=None)
    table = frame(job("a"), waiting)
    assert table["epoch"].tolist() == [None, None]
    assert table["progress"].isna().all()


def test_the_best_is_not_the_last():
    """The best mean IoU is the highest of the curve; without a curve, the final value that AWS reports."""
    final = job("b", FinalMetricDataList=[{"MetricName": MIOU, "Value": 0.25, "Timestamp": NOW}])
    table = frame(job("a"), final, job("c"), a=series(0.1, 0.7, float("nan"), 0.6))
    assert table["best"].tolist()[:2] == [0.7, 0.25]
    assert np.isnan(table["best"][2])


def test_cost_and_duration():
    """An ended job costs what AWS bills; an instance with an unknown price has no cost."""
    table = frame(
        job("a", minutes=60),
        job("b", ResourceConfig={"InstanceType": "ml.new.huge", "InstanceCount": 2, "VolumeSizeInGB": 1}),
    )
    hourly = PRICES.per_hour("ml.p3.2xlarge")
    assert hourly is not None
    assert table["cost"][0] == pytest.approx(float(hourly.usd))
    assert np.isnan(table["cost"][1])
    assert table["duration"][0] == "1 h 00 min"
    assert table["instance"][1] == "2 × ml.new.huge"


def test_rows_of_the_same_snapshot_are_equal():
    """The same snapshot always gives equal tables, so that nothing is sent to the browser twice."""
    jobs = [from_description(row) for row in many(50, now=NOW)]
    assert table.jobs_frame(jobs, {}, PRICES, NOW).equals(table.jobs_frame(jobs, {}, PRICES, NOW))


@pytest.mark.parametrize(
    ("secondary", "label"),
    [
        ("Downloading", "downloading the data"),
        ("Interrupted", "interrupted"),
        ("MaxRuntimeExceeded", "stopped at max. run time"),
        ("SomethingNew", "running"),
    ],
)
def test_every_status_label_has_a_color(secondary, label):
    """A status label says in a few words what the job is doing, and every known label has a color."""
    labels, colors = table.status_labels()
    assert table.status_label(job("a", "InProgress", secondary=secondary)) == label
    assert dict(zip(labels, colors, strict=True))[label] in ("blue", "orange")


def test_a_long_curve_is_thinned():
    """A sparkline has at most sixty points, all of them finite."""
    points = table.sparkline(series(*np.linspace(0, 1, 1000), float("inf")))
    assert points is not None
    assert len(points) <= table.MAX_POINTS
    assert points[0] == 0
    assert max(points) <= 1


def test_settings_that_differ():
    """The table has only the settings that differ, with defaults filled in, or all of them."""
    jobs = [job("a", hyperparameters={"mini_batch_size": "8"}), job("b", EnableManagedSpotTraining=True)]
    differing = table.settings_frame(jobs, show_all=False)
    assert list(differing.index) == ["mini_batch_size", "instance"]
    assert differing.loc["mini_batch_size"].tolist() == ["8", "16"]
    assert differing.loc["instance"].tolist() == ["ml.p3.2xlarge", "ml.p3.2xlarge spot"]
    assert {"algorithm", "epochs"} < set(table.settings_frame(jobs, show_all=True).index)


def test_equal_settings():
    """Equal settings give an empty table."""
    assert table.settings_frame([job("a"), job("b")], show_all=False).empty


def test_best_values():
    """A row has a job's best mean IoU with its epoch, the lowest loss, and the duration."""
    curves = {"a": (series(0.2, 0.6, 0.5), series(1.0, 0.4, 0.5, name=LOSS))}
    row = table.best_frame([job("a", minutes=30)], curves, PRICES, NOW).iloc[0]
    assert (row["Best mean IoU"], row["Best epoch"], row["Lowest loss"]) == (0.6, 1, 0.4)
    assert row["Duration"] == "30 min 00 s"


def test_points_of_a_chart():
    """A chart has every finite point, with the best one of each job marked."""
    points = charts.points({"a": series(0.1, float("nan"), 0.3), "b": series(0.9, 0.8, epochs=False)})
    assert points["epoch"].tolist() == [0, 2, 0, 1]
    assert points["best"].tolist() == [False, True, True, False]


def test_points_of_no_curves():
    """Without curves the points are an empty table with the same columns."""
    assert charts.points({}).columns.tolist() == ["job", "epoch", "value", "best"]


def test_a_job_keeps_its_color():
    """A job has the same color in every chart, even where another job has no curve."""
    whole = charts.overlay({"a": series(1), "b": series(2)}, "x", ["a", "b"]).to_dict()
    part = charts.overlay({"b": series(2)}, "x", ["a", "b"]).to_dict()
    scales = [chart["layer"][0]["encoding"]["color"]["scale"] for chart in (whole, part)]
    assert scales[0] == scales[1]
    assert len(set(scales[0]["range"])) == 2


def test_metrics_row():
    """The metrics count running jobs, failures since midnight and this month's cost, in the user's time zone."""
    jobs = [
        job("a", "InProgress", created=NOW - timedelta(hours=1)),
        job("b", "Failed", created=NOW - timedelta(hours=3)),
        job("c", "Failed", created=NOW - timedelta(days=1)),
        job("d", created=NOW - timedelta(days=22)),  # 31 October
        job("e", ResourceConfig={"InstanceType": "ml.new.huge"}),
    ]
    counts = table.count_jobs(jobs, PRICES, NOW)
    assert (counts.running, counts.failed_today, counts.completed_today, counts.unpriced) == (1, 1, 1, 1)
    hourly = PRICES.per_hour("ml.p3.2xlarge")
    assert hourly is not None
    seconds = 3600 - 90 + 2 * 42 * 60  # the running job until now; b and c
    assert counts.spent == hourly.for_seconds(3600 - 90) + hourly.for_seconds(42 * 60) + hourly.for_seconds(
        42 * 60
    )
    assert float(counts.spent.usd) == pytest.approx(float(hourly.usd) * seconds / 3600)


def test_pages_that_were_read_at_different_times():
    """Older jobs follow the newest page, each once, without those that have left the newest page since."""
    jobs = [from_description(row) for row in many(6, now=NOW, running=0)]
    newest = JobList(tuple(jobs[0:1] + jobs[2:3]), 5, complete=False)  # jobs[1] no longer matches the filter
    older = JobList(tuple(jobs[1:6]), 5, complete=True)
    joined = cached.joined(newest, older, JobFilter())
    assert [row.name for row in joined.jobs] == [jobs[n].name for n in (0, 2, 3, 4, 5)]
    assert joined.complete
