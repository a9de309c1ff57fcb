"""The page of one training job, and the dialog that executes its plans."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from core.aws.training import describe_job
from core.cost.training import shipped_prices
from core.plans.plan import Plan, plan_launch, plan_stop
from core.training.security import SecuritySettings
from pages.parts import cached
from pages.parts.cached import JOB_SECONDS
from pages.parts.jobs.data import ENDED_SECONDS
from sandbox.server import Sandbox
from tests.support.apps import app_from_file, app_from_function
from tests.support.dashboard import (
    ONE_ATTEMPT,
    SHELL,
    SPEC,
    button,
    connection_of,
    ended,
    fresh_caches,
    open_page,
    plain_texts,
    start_job,
    texts,
    wait_for,
)

NUMBERS = itertools.count(1)


@pytest.fixture
def open_job(
    sandbox_server: Sandbox, aws_environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., AppTest]:
    """open_job(name, **query) -> the job's page after its first run, in AWS mode."""
    for name, value in {"SEGDECK_MODE": "aws", **aws_environ, **ONE_ATTEMPT}.items():
        monkeypatch.setenv(name, value)
    return lambda name="", **query: open_page("training_job", sandbox_server, **{"job": name, **query})


def finished(sagemaker: Any, **values: str) -> str:
    """Return the name of a job that has ended."""
    name = start_job(sagemaker, f"page-{next(NUMBERS)}", values)
    wait_for(sagemaker, name, ended)
    return name


def running(sagemaker: Any) -> str:
    """Return the name of a job that is training and will not end during the test."""
    name = start_job(sagemaker, f"page-{next(NUMBERS)}", {"seconds": "60"})
    wait_for(sagemaker, name, lambda description: description["SecondaryStatus"] == "Training")
    return name


def test_completed_job(open_job, sagemaker):
    """A completed job shows its epochs, its best mean IoU with the epoch, the source of its curves, and its steps."""
    shown = plain_texts(open_job(finished(sagemaker)))
    assert "Epochs: 3 of 3" in shown
    assert "Best mean IoU, epoch 2: 0.300" in shown
    assert "Source: SageMaker metrics." in shown
    assert [
        word in shown for word in ("Starting ·", "Downloading the data ·", "Training ·", "Completed")
    ] == [True] * 4


def test_log(open_job, sagemaker):
    """The log shows the container's lines, and a search or a level in the URL narrows it."""
    name = finished(sagemaker)
    assert "completed 100 % of epochs" in texts(open_job(name))
    app = open_job(name, find="mIOU <score>")
    lines = [block.value for block in app.code if "mIOU" in block.value]
    assert len(lines[0].splitlines()) == 3
    assert "3 lines." in plain_texts(app)
    assert "No lines match." in texts(open_job(name, levels="error"))


def test_failed_job(open_job, sagemaker):
    """A failed job shows why it failed, what to do, and AWS's own message."""
    name = finished(
        sagemaker,
        mini_batch_siz="4",
        fail="Additional properties are not allowed (u'mini_batch_siz' was unexpected)",
    )
    app = open_job(name)
    shown = plain_texts(app)
    assert "Unknown hyperparameter" in app.error[0].value
    assert "Did you mean mini_batch_size?" in shown
    assert "was unexpected" in shown
    assert "No metrics for this job." in shown
    assert not [widget for widget in app.button if widget.label == "Stop"]


def test_jump_to_the_error(open_job, sagemaker):
    """With an error in the log, one click shows the lines around it, and another the end again."""
    name = finished(sagemaker, echo="ERROR: something broke", epochs="40", seconds="0.001")
    app = open_job(name, find="progress")
    button(app, "Jump to first error").click().run()
    assert not app.exception
    assert "Lines 1 to" in plain_texts(app)
    assert "something broke" in texts(app)
    button(app, "Jump to end").click().run()
    assert "Lines 1 to" not in plain_texts(app)


def test_hyperparameters_table(open_job, sagemaker):
    """The table marks values that differ from the default, are unused, or that the algorithm does not have."""
    table = open_job(finished(sagemaker, odd_one="7"), tab="Hyperparameters").dataframe[0].value
    status = dict(zip(table["name"], table["status"], strict=True))
    assert (status["epochs"], status["backbone"], status["gamma1"]) == ("changed", "default", "unused")
    assert status["odd_one"] == "unknown"


def test_data_and_model_uris(open_job, sagemaker):
    """The URI of each channel and of the model can be copied, with a link to the AWS console."""
    app = open_job(finished(sagemaker), tab="Data and model")
    uris = [block.value for block in app.code]
    assert "s3://dashboard/data/train/" in uris
    assert any(uri.endswith("/output/model.tar.gz") for uri in uris)
    assert "https://us-east-1.console.aws.amazon.com/s3/buckets/dashboard" in texts(app)


def test_network_and_encryption(open_job, sagemaker):
    """A job's network isolation, encryption and KMS keys are shown; what is off is not."""
    security = SecuritySettings(output_kms_key="alias/models", network_isolation=True)
    name = start_job(sagemaker, f"secured-{next(NUMBERS)}", security=security)
    wait_for(sagemaker, name, ended)
    shown = texts(open_job(name, tab="Data and model"))
    assert "Output KMS key" in shown
    assert "alias/models" in shown
    assert "Network isolation" in shown
    assert "VPC" not in shown


def test_instance_metrics(open_job, sagemaker):
    """Instance metrics are drawn over time, with a title for each line of the tooltip; a job may have none."""

    def page():
        import numpy as np  # AppTest runs only the text of this function

        from core.training.curves import MetricSeries
        from pages.parts.jobs import charts

        times = np.array(["2026-11-22T12:00", "2026-11-22T12:01"], "datetime64[ms]")
        series = MetricSeries("CPUUtilization", "%", "CloudWatch", times, None, np.array([80.0, 95.0]))
        charts.instance_metrics([series], running=True)

    chart = app_from_function(page).run().get("vega_lite_chart")[0].proto
    assert chart.alt == "Utilization (%) over time"
    tooltip = json.loads(chart.spec)["layer"][0]["encoding"]["tooltip"]
    assert [line["title"] for line in tooltip] == ["Metric", "Value", "Time"]
    app = open_job(finished(sagemaker), tab="Instance")
    assert "CloudWatch has no instance metrics for this job." in texts(app)


def test_deploy_leads_to_the_form(open_job, sagemaker):
    """A job with a model has a button that opens the deploy form; a job without a model has none."""
    app = button(open_job(finished(sagemaker)), "Deploy").click().run()
    assert app.title[0].value == "Deploy a model"
    name = running(sagemaker)
    assert not [widget for widget in open_job(name).button if widget.label == "Deploy"]
    sagemaker.stop_training_job(TrainingJobName=name)


def test_stop_is_confirmed_first(open_job, sagemaker):
    """The Stop button shows the plan and stops nothing."""
    name = running(sagemaker)
    app = open_job(name)
    assert "Refreshes every 5 s · Updated " in texts(app)
    button(app, "Stop").click().run()
    assert f"Stop the training job {name}." in plain_texts(app)
    assert "two minutes to save" in plain_texts(app)
    assert sagemaker.describe_training_job(TrainingJobName=name)["TrainingJobStatus"] == "InProgress"
    sagemaker.stop_training_job(TrainingJobName=name)


def test_last_good_data(open_job, sagemaker, faults):
    """When AWS fails later, the page keeps the last data, with its time and why it is not newer."""
    app = open_job(finished(sagemaker))
    faults.add("error", operation="DescribeTrainingJob", code="ThrottlingException", message="Rate exceeded")
    cached.shelf().expire()
    app.run()
    shown = plain_texts(app)
    assert "Last updated " in shown
    assert "too many calls" in shown
    assert "Best mean IoU, epoch 2: 0.300" in shown


def test_no_such_job(open_job):
    """A job that does not exist is reported by name, with a link back to the list."""
    app = open_job("no-such-job")
    assert "training job no-such-job" in plain_texts(app)
    assert "it does not exist" in app.error[0].value
    assert "Training jobs" in [link.proto.label for link in app.get("page_link")]


def test_no_name(open_job):
    """Without a job in the URL, the page says how to select one."""
    assert "No training job selected." in open_job().info[0].value


def test_users_share_cached_reads(open_job, sagemaker, faults):
    """Ten users who open one job make no more AWS calls than one user, except to refresh what has expired."""
    name = finished(sagemaker)
    faults.add("delay", seconds=0, operation="DescribeTrainingJob|GetLogEvents|BatchGetMetrics")
    open_job(name)
    once = len(faults.hits)
    began = time.monotonic()
    for _ in range(10):
        app = app_from_file(SHELL, default_timeout=60)
        app.query_params["job"] = name
        assert not app.switch_page("../training_job.py").run().error
    elapsed = time.monotonic() - began
    assert once >= 3
    # The job itself is cached for a few seconds, its log and curves for a minute.
    expired = 1 + elapsed // JOB_SECONDS + once * (elapsed // ENDED_SECONDS)
    assert len(faults.hits) <= once + expired


def dialog(plan: Plan, sandbox: Sandbox) -> AppTest:
    """Return the dialog's body on its own page: AppTest cannot click inside a dialog."""

    def page(plan, connection):
        import streamlit  # AppTest runs only the text of this function

        from pages.parts.plan_dialog import PendingPlan, body

        pending = streamlit.session_state.setdefault(
            "pending", PendingPlan(plan, connection, lambda: streamlit.success("after"))
        )
        body(pending)

    fresh_caches()
    return app_from_function(page, args=(plan, connection_of(sandbox)), default_timeout=60).run()


def launch_plan(*warnings: str) -> Plan:
    spec = replace(SPEC, name=f"dialog-{next(NUMBERS)}")
    return plan_launch(spec, shipped_prices("us-east-1"), warnings=warnings)


def test_dialog_shows_the_plan(sandbox_server, sagemaker):
    """The dialog shows the steps, the request, the price, the warnings and how to undo them, and executes nothing."""
    plan = launch_plan("Mind the gap.")
    app = dialog(plan, sandbox_server)
    shown = plain_texts(app)
    assert f"Start the training job {plan.target} on ml.g4dn.xlarge." in shown
    assert '"TrainingJobName"' in shown
    assert "AWS price per hour: $0.74" in shown
    assert "Mind the gap." in shown
    assert "To undo: stop the job" in shown
    with pytest.raises(sagemaker.exceptions.ClientError):
        sagemaker.describe_training_job(TrainingJobName=plan.target)


def test_dialog_executes_the_plan(sandbox_server, sagemaker):
    """Confirming executes the plan and continues; the job that runs is the one that was shown."""
    plan = launch_plan()
    app = button(dialog(plan, sandbox_server), "Launch job").click().run()
    assert app.success[0].value == "after"
    job = wait_for(sagemaker, plan.target, ended)
    assert job["TrainingJobStatus"] == "Completed"
    assert job["HyperParameters"] == plan.steps[0].params["HyperParameters"]


def test_dialog_stops_a_job(sandbox_server, sagemaker):
    """Confirming a stop stops the job, which keeps its model."""
    name = running(sagemaker)
    plan = plan_stop(describe_job(cached.clients(connection_of(sandbox_server)), name))
    button(dialog(plan, sandbox_server), "Stop job").click().run()
    job = wait_for(sagemaker, name, ended)
    assert job["TrainingJobStatus"] == "Stopped"
    assert job["ModelArtifacts"]["S3ModelArtifacts"].endswith("model.tar.gz")


def test_lost_reply(sandbox_server, sagemaker, faults):
    """When AWS's reply is lost, Segdeck checks that the job has started, and starts it only once."""
    faults.add("lost_reply", operation="CreateTrainingJob", times=1)
    plan = launch_plan()
    app = button(dialog(plan, sandbox_server), "Launch job").click().run()
    assert "Nothing was done twice" in texts(app)
    assert app.success[0].value == "after"
    assert wait_for(sagemaker, plan.target, ended)["TrainingJobStatus"] == "Completed"


def test_second_click(sandbox_server, sagemaker, faults):
    """A second click on the same button continues and sends no second request."""
    faults.add("delay", seconds=0, operation="CreateTrainingJob")
    app = button(dialog(launch_plan(), sandbox_server), "Launch job").click().run()
    button(app, "Launch job").click().run()
    assert app.success[0].value == "after"
    assert not app.error
    assert len(faults.hits) == 1


def test_refusal(sandbox_server, sagemaker, faults):
    """When AWS rejects the request, the dialog shows why and what to do, and does not continue."""
    faults.add(
        "error", operation="CreateTrainingJob", code="ResourceLimitExceeded", status=400,
        message="The account-level service limit 'ml.g4dn.xlarge for training job usage' is 0 Instances",
    )  # fmt: skip
    app = button(dialog(launch_plan(), sandbox_server), "Launch job").click().run()
    assert "a quota of the account is reached" in app.error[0].value
    assert "Service Quotas" in app.error[0].value
    assert not app.success


def test_a_part_that_fails_hides_no_other(open_job, sagemaker, faults):
    """Without permission to read logs, the page says so in place of the log and shows everything else."""
    name = finished(sagemaker)
    faults.add("error", service="logs", code="AccessDeniedException", message="not authorized", status=400)
    app = open_job(name)
    shown = plain_texts(app)
    assert "not allowed to" in app.warning[0].value
    assert "Best mean IoU, epoch 2: 0.300" in shown
    assert "container never ran" not in shown
    assert not app.error


def test_unreadable_metrics_are_not_missing(open_job, sagemaker, faults):
    """Where no source of metrics may be read, the page says why; it shows neither "no metrics" nor 0 epochs."""
    name = finished(sagemaker)
    for operation in ("BatchGetMetrics", "GetMetricData", "DescribeLogStreams"):
        faults.add("error", operation=operation, code="AccessDeniedException", status=403, message="No.")
    app = open_job(name)
    shown = {metric.label: metric.value for metric in app.metric}
    assert (shown["Epochs"], shown["Best mean IoU"]) == ("unknown", "unknown")
    assert "No metrics" not in texts(app)
    assert "not allowed to BatchGetMetrics" in plain_texts(app)


def test_minutes_are_not_epochs(open_job, sagemaker, faults):
    """CloudWatch has a value per minute: its number of values is not shown as the number of epochs."""
    name = finished(sagemaker)
    faults.add("error", operation="BatchGetMetrics", code="AccessDeniedException", status=403, message="No.")
    app = open_job(name)
    shown = {metric.label: metric.value for metric in app.metric}
    assert shown["Epochs"].startswith("unknown of")
    assert "Best mean IoU" in shown
