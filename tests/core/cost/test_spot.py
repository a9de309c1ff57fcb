"""The forecast of what spot capacity saves and how much it delays."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from core.cost.spot import SpotHistory, forecast_spot, spot_history
from core.cost.training import Money, PriceTable, estimate
from core.plans.plan import Plan, plan_launch
from core.training.job import TrainingJob, TrainingSpec, from_description

T0 = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
TABLE = PriceTable("us-east-1", date(2026, 1, 1), "A test", {"ml.g5.xlarge": Money(Decimal("4"))}, {})
VALUES = {"algorithm": "deeplab", "num_classes": "3", "num_training_samples": "64", "epochs": "10"}
SPEC = TrainingSpec(
    name="roads",
    role_arn="arn:aws:iam::123456789012:role/R",
    image="x.amazonaws.com/semantic-segmentation:1",
    instance_type="ml.g5.xlarge",
    hyperparameters=VALUES,
    channels=(),
    output_uri="s3://bucket/models",
    max_runtime_seconds=3600,
    spot=True,
    max_wait_seconds=7200,
    checkpoint_uri="s3://bucket/saved/",
)
STEPS = ("Starting", "Training", "Interrupted", "Starting", "Training", "Completed")


def job(instance_type: str = "ml.g5.xlarge", *, billable: int = 300, **changes: Any) -> TrainingJob:
    """Return a spot job of ten epochs and 1,000 s that was interrupted once, for 120 s."""
    return from_description(
        {
            "TrainingJobName": "before",
            "CreationTime": T0,
            "TrainingJobStatus": "Completed",
            "TrainingStartTime": T0,
            "TrainingEndTime": T0 + timedelta(hours=1),
            "EnableManagedSpotTraining": True,
            "TrainingTimeInSeconds": 1000,
            "BillableTimeInSeconds": billable,
            "HyperParameters": VALUES,
            "ResourceConfig": {"InstanceType": instance_type, "InstanceCount": 1},
            "SecondaryStatusTransitions": [
                {"Status": status, "StartTime": T0 + timedelta(seconds=60 * number)}
                for number, status in enumerate(STEPS)
            ],
        }
        | changes
    )


def lines(spec: TrainingSpec, *jobs: TrainingJob, table: PriceTable = TABLE) -> dict[str, tuple[str, str]]:
    """Return the value and the source of each line, by label."""
    price = estimate(spec.instance_type, spec.max_runtime_seconds, table)
    return {
        line.label: (line.value, line.source) for line in forecast_spot(spec, price, spot_history(jobs, spec))
    }


def test_without_history_only_awss_bound_is_known() -> None:
    """The saving is AWS's "up to 90%", the rate of interruptions is unknown, and each line names its source."""
    forecast = lines(SPEC)
    assert forecast["Saving"] == (
        "up to 90%: $3.60 of $4.00 at the maximum run time",
        "AWS's developer guide; the actual saving follows the spot market",
    )
    assert forecast["Interruptions"][0] == "unknown"
    assert "plus at most one epoch" in forecast["Delay per interruption"][0]
    assert forecast["Delay at most"] == ("1 h 00 min", "this job's maximum wait, after which AWS stops it")


def test_the_accounts_own_jobs_are_the_source() -> None:
    """Savings, interruptions, restarts and epochs come from jobs of the same instance type and network."""
    other = job("ml.p3.2xlarge", billable=900)
    forecast = lines(SPEC, job(), job(billable=400), other)
    assert forecast["Saving"] == (
        "about 65%, 60% to 70%: $2.60 of $4.00 at the maximum run time",
        "2 spot jobs of this account on ml.g5.xlarge",
    )
    assert forecast["Interruptions"][0] == "2 interruptions in 2 jobs"
    assert forecast["Delay per interruption"] == (
        "about 2 min 00 s to restart, plus at most one epoch, about 1 min 40 s",
        "2 restarts of your spot jobs; 2 jobs with this network, crop size and number of images on ml.g5.xlarge",
    )


def test_jobs_of_other_instance_types_are_named_as_such() -> None:
    """Where no spot job of the instance type has ended, those of other types are used, and the source says so."""
    forecast = lines(SPEC, job("ml.p3.2xlarge"))
    assert forecast["Saving"][1] == "1 spot job of this account of other instance types"
    assert forecast["Saving"][0].startswith("about 70%: ")
    assert forecast["Delay per interruption"][0].endswith("at most one epoch")


@pytest.mark.parametrize(
    "unknown",
    [
        job(EnableManagedSpotTraining=False),
        job(TrainingJobStatus="InProgress", TrainingEndTime=None),
        replace(job(), summary=True),
    ],
    ids=["on demand", "running", "summary"],
)
def test_only_spot_jobs_that_ended_are_history(unknown: TrainingJob) -> None:
    """Other jobs show no saving."""
    assert spot_history([unknown], SPEC).savings == ()


def test_without_checkpoints_everything_is_repeated() -> None:
    """The delay of an interruption is then all training up to it."""
    delay, _ = lines(replace(SPEC, checkpoint_uri=""), job())["Delay per interruption"]
    assert delay.endswith("plus all training up to then, as there are no checkpoints")


def test_a_wait_that_equals_the_run_time_leaves_no_room() -> None:
    """A job that waits for capacity may then be stopped unfinished."""
    value, _ = lines(replace(SPEC, max_wait_seconds=3600))["Delay at most"]
    assert value.startswith("none: a job that waits")


def test_the_plan_has_the_forecast() -> None:
    """A spot plan prints and stores it as estimates; without a price the share remains; on demand there is none."""
    plan = plan_launch(SPEC, TABLE, history=SpotHistory(savings=(0.7,), of="ml.g5.xlarge"))
    assert (
        "Forecast: Saving: about 70%: $2.80 of $4.00 at the maximum run time (estimate; source: 1 spot job"
        in (str(plan))
    )
    assert Plan.from_dict(plan.to_dict()) == plan
    assert lines(SPEC, table=replace(TABLE, training={}))["Saving"][0] == "up to 90%"
    assert plan_launch(replace(SPEC, spot=False), TABLE).forecast == ()
    assert "forecast" not in plan_launch(replace(SPEC, spot=False), TABLE).to_dict()
