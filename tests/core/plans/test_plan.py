"""Changes as values."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import get_args

import pytest

from core.cost.training import shipped_prices
from core.errors import InputError
from core.plans.plan import PHRASES, Verb, plan_launch, plan_stop
from core.training.channels import data_channels
from core.training.job import TrainingJob, TrainingSpec, from_description, to_request

SPEC = TrainingSpec(
    name="roads-8",
    role_arn="arn:aws:iam::123456789012:role/Trainer",
    image="811284229777.dkr.ecr.us-east-1.amazonaws.com/semantic-segmentation:1",
    instance_type="ml.p3.2xlarge",
    hyperparameters={"num_classes": "6", "num_training_samples": "96"},
    channels=data_channels("s3://bucket/data"),
    output_uri="s3://bucket/out",
    max_runtime_seconds=7200,
)
PRICES = shipped_prices("us-east-1")


def job(status: str) -> TrainingJob:
    created = datetime(2026, 11, 22, tzinfo=UTC)
    return from_description(
        {"TrainingJobName": "roads", "CreationTime": created, "TrainingJobStatus": status}
    )


def test_a_launch_is_one_call_with_its_price() -> None:
    """A launch is one CreateTrainingJob with its exact request, and its price."""
    plan = plan_launch(SPEC, PRICES, warnings=("Look.",))
    (step,) = plan.steps
    assert (plan.verb, plan.target) == ("launch", "roads-8")
    assert (step.service, step.operation, step.params) == ("sagemaker", "CreateTrainingJob", to_request(SPEC))
    assert plan.price is not None
    assert (str(plan.price.per_hour), str(plan.price.at_max)) == ("$3.83", "$7.65")
    assert plan.warnings == ("Look.",)


def test_a_dry_run_prints_everything() -> None:
    """A printed plan shows its call, every parameter, the price, the warnings and how to undo it."""
    text = str(plan_launch(SPEC, PRICES, warnings=("Look.",)))
    for piece in (
        "Plan: launch roads-8",
        "sagemaker:CreateTrainingJob",
        '"num_classes": "6"',
        "s3://bucket/data/train_annotation/",
        "$3.83 per hour, $7.65 at the maximum run time",
        "Warning: Look.",
        "To undo: ",
    ):
        assert piece in text


def test_a_plan_is_json() -> None:
    """As JSON a plan has the same parts, amounts as exact text, and the same plan gives the same text."""
    data = json.loads(plan_launch(SPEC, PRICES).to_json())
    assert data["steps"][0]["params"] == to_request(SPEC)
    assert (data["price"]["usd_per_hour"], data["verb"]) == ("3.825", "launch")
    assert plan_launch(SPEC, PRICES).to_json() == plan_launch(SPEC, PRICES).to_json()
    assert json.loads(plan_stop(job("InProgress")).to_json())["price"] is None


def test_an_unknown_price_is_a_warning() -> None:
    """A launch on an instance type without a known price has a warning."""
    plan = plan_launch(replace(SPEC, instance_type="ml.moon.large"), PRICES)
    assert "No price is known for ml.moon.large" in plan.warnings[0]
    assert "Price: unknown" in str(plan)
    assert json.loads(plan.to_json())["price"]["usd_at_max"] is None


def test_a_spot_launch_says_what_spot_means() -> None:
    """A spot job's plan warns that it may wait and be interrupted."""
    plan = plan_launch(replace(SPEC, spot=True), PRICES)
    assert "interrupted" in plan.warnings[-1]


def test_a_stop_is_one_call() -> None:
    """A stop is one StopTrainingJob, has no price, and says that it cannot be undone."""
    plan = plan_stop(job("InProgress"))
    (step,) = plan.steps
    assert (step.operation, step.params) == ("StopTrainingJob", {"TrainingJobName": "roads"})
    assert plan.price is None
    assert "clone" in plan.undo
    assert "Price" not in str(plan)


def test_every_kind_of_change_has_its_words() -> None:
    """Each kind of change has a phrase for its execution and a sentence for its end, both with the target."""
    assert set(PHRASES) == set(get_args(Verb))
    assert [words for words in PHRASES.values() if any(text.count("{}") != 1 for text in words)] == []
    plan = plan_stop(job("InProgress"))
    assert (plan.in_words, plan.done_in_words) == (
        f"stopping training job {plan.target}",
        f"Stopped training job {plan.target}.",
    )


@pytest.mark.parametrize("status", ["Completed", "Failed", "Stopped", "Stopping"])
def test_only_a_running_job_is_stopped(status: str) -> None:
    """A job that has ended or is stopping has no plan to stop it."""
    with pytest.raises(InputError, match=status.lower()):
        plan_stop(job(status))
