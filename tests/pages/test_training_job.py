"""The page of one training job, and the dialog in which its plans are carried out."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from core.aws.training import describe_job
from core.cost.training import shipped_prices
from core.plans.plan import Plan, plan_launch, plan_stop
from pages.parts import cached
from sandbox.server import Sandbox
from tests.support.dashboard import (
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
    """open_job(name, **query) -> the job's page after its first run, in mode aws."""
    for name, value in {"SEGDECK_MODE": "aws", **aws_environ}.items():
        monkeypatch.setenv(name, value)
    return lambda name="", **query: open_page("training_job", sandbox_server, **{"job": name, **query})


def finished(sagemaker: Any, **values: str) -> str:
    """The name of a job that has ended."""
    name = start_job(sagemaker, f"page-{next(NUMBERS)}", values)
    wait_for(sagemaker, name, ended)
    return name


def running(sagemaker: Any) -> str:
    """The name of a job that trains and will not end by itself."""
    name = start_job(sagemaker, f"page-{next(NUMBERS)}", {"seconds": "60"})
    wait_for(sagemaker, name, lambda found: found["SecondaryStatus"] == "Training")
    return name


def test_completed_job(open_job, sagemaker):
    """A completed job shows its epochs, its best mIOU with the epoch, where the curves come from, and its steps."""
    told = plain_texts(open_job(finished(sagemaker)))
    assert "Epochs: 3 of 3" in told
    assert "Best mIOU, epoch 2: 0.300" in told
    assert "From SageMaker's metrics" in told
    assert [word in told for word in ("Starting ·", "Downloading the data ·", "Training ·", "Completed")] == [
        True
    ] * 4


def test_log(open_job, sagemaker):
    """The log shows the container's lines, and a search or a level in the address narrows it."""
    name = finished(sagemaker)
    assert "completed 100 % of epochs" in texts(open_job(name))
    found = open_job(name, find="mIOU <score>")
    lines = [block.value for block in found.code if "mIOU" in block.value]
    assert len(lines[0].splitlines()) == 3
    assert "3 lines." in plain_texts(found)
    assert "No line fits." in texts(open_job(name, levels="error"))


def test_failed_job(open_job, sagemaker):
    """A failed job says why in words, what to do, and shows AWS's own text."""
    name = finished(
        sagemaker,
        mini_batch_siz="4",
        fail="Additional properties are not allowed (u'mini_batch_siz' was unexpected)",
    )
    app = open_job(name)
    told = plain_texts(app)
    assert "Unknown hyperparameter" in app.error[0].value
    assert "Did you mean mini_batch_size?" in told
    assert "was unexpected" in told
    assert "It has no metrics." in told
    assert not [one for one in app.button if one.label == "Stop"]


def test_jump_to_the_error(open_job, sagemaker):
    """With an error in the log, one click shows the lines around it, and another one the end again."""
    name = finished(sagemaker, echo="ERROR: something broke", epochs="40", seconds="0.001")
    app = open_job(name, find="progress")
    button(app, "Jump to the error").click().run()
    assert not app.exception
    assert "Lines 1 to" in plain_texts(app)
    assert "something broke" in texts(app)
    button(app, "To the end").click().run()
    assert "Lines 1 to" not in plain_texts(app)


def test_hyperparameters_table(open_job, sagemaker):
    """The table marks what differs from its default, what has no effect, and what the algorithm does not know."""
    table = open_job(finished(sagemaker, odd_one="7"), tab="Hyperparameters").dataframe[0].value
    said = dict(zip(table["name"], table["said"], strict=True))
    assert (said["epochs"], said["backbone"], said["gamma1"]) == ("changed", "default", "has no effect")
    assert said["odd_one"] == "unknown"


def test_places(open_job, sagemaker):
    """Each channel and the model stand there as an address to copy, with a link to AWS's console."""
    app = open_job(finished(sagemaker), tab="Data and model")
    addresses = [block.value for block in app.code]
    assert "s3://dashboard/data/train/" in addresses
    assert any(address.endswith("/output/model.tar.gz") for address in addresses)
    assert "https://us-east-1.console.aws.amazon.com/s3/buckets/dashboard" in texts(app)


def test_deploy_leads_to_the_form(open_job, sagemaker):
    """A job with a model leads to the form that deploys it; one without offers no such way."""
    app = button(open_job(finished(sagemaker)), "Deploy").click().run()
    assert app.title[0].value == "Deploy a model"
    name = running(sagemaker)
    assert not [one for one in open_job(name).button if one.label == "Deploy"]
    sagemaker.stop_training_job(TrainingJobName=name)


def test_stop_asks_first(open_job, sagemaker):
    """A click on Stop shows the plan and stops nothing."""
    name = running(sagemaker)
    app = open_job(name)
    assert "data from" in texts(app)
    button(app, "Stop").click().run()
    assert f"Stop the training job {name}." in plain_texts(app)
    assert "two minutes to save" in plain_texts(app)
    assert sagemaker.describe_training_job(TrainingJobName=name)["TrainingJobStatus"] == "InProgress"
    sagemaker.stop_training_job(TrainingJobName=name)


def test_last_good_data(open_job, sagemaker, faults):
    """Where AWS fails later, the page shows what it said last, with when that was and why it is no newer."""
    app = open_job(finished(sagemaker))
    faults.add("error", operation="DescribeTrainingJob", code="ThrottlingException", message="Rate exceeded")
    cached.shelf().expire()
    app.run()
    told = plain_texts(app)
    assert "This is what AWS said at" in told
    assert "too many calls" in told
    assert "Best mIOU, epoch 2: 0.300" in told


def test_no_such_job(open_job):
    """A job that does not exist is told by its name, with the way back to the list."""
    app = open_job("no-such-job")
    assert "training job no-such-job" in plain_texts(app)
    assert "it does not exist" in app.error[0].value
    assert "Training jobs" in [link.proto.label for link in app.get("page_link")]


def test_no_name(open_job):
    """Without a job in the address, the page says how to come to one."""
    assert "No training job is named" in open_job().info[0].value


def test_visitors_share_what_was_read(open_job, sagemaker, faults):
    """Ten visitors of one job within a moment ask AWS no more than one does."""
    name = finished(sagemaker)
    faults.add("delay", seconds=0, operation="DescribeTrainingJob|GetLogEvents|BatchGetMetrics")
    open_job(name)
    once = len(faults.hits)
    for _ in range(10):
        visitor = AppTest.from_file(SHELL, default_timeout=60)
        visitor.query_params["job"] = name
        assert not visitor.switch_page("../training_job.py").run().error
    assert once >= 3
    assert len(faults.hits) <= 2 * once  # the facts may have grown old once in between


def dialog(plan: Plan, sandbox: Sandbox) -> AppTest:
    """The dialog's body on a page of its own: AppTest cannot click inside a dialog."""

    def page(plan, connection):
        import streamlit  # AppTest runs this function's text alone

        from pages.parts.plan_dialog import PendingPlan, body

        errand = streamlit.session_state.setdefault(
            "errand", PendingPlan(plan, connection, lambda: streamlit.success("after"))
        )
        body(errand)

    fresh_caches()
    return AppTest.from_function(page, args=(plan, connection_of(sandbox)), default_timeout=60).run()


def launch_plan(*warnings: str) -> Plan:
    spec = replace(SPEC, name=f"dialog-{next(NUMBERS)}")
    return plan_launch(spec, shipped_prices("us-east-1"), warnings=warnings)


def test_dialog_shows_the_plan(sandbox_server, sagemaker):
    """The dialog says what is done and sent, what it costs, what to mind, and how to undo it; nothing is done yet."""
    plan = launch_plan("Mind the gap.")
    app = dialog(plan, sandbox_server)
    told = plain_texts(app)
    assert f"Start the training job {plan.target} on ml.g4dn.xlarge." in told
    assert '"TrainingJobName"' in told
    assert "On AWS, an hour: $0.74" in told
    assert "Mind the gap." in told
    assert "To undo: stop the job" in told
    with pytest.raises(sagemaker.exceptions.ClientError):
        sagemaker.describe_training_job(TrainingJobName=plan.target)


def test_dialog_carries_it_out(sandbox_server, sagemaker):
    """A yes carries the plan out and goes on; the job that runs then is the one that was shown."""
    plan = launch_plan()
    app = button(dialog(plan, sandbox_server), "Start the job").click().run()
    assert app.success[0].value == "after"
    found = wait_for(sagemaker, plan.target, ended)
    assert found["TrainingJobStatus"] == "Completed"
    assert found["HyperParameters"] == plan.steps[0].params["HyperParameters"]


def test_dialog_stops_a_job(sandbox_server, sagemaker):
    """A yes to a stop stops the job, which keeps its model."""
    name = running(sagemaker)
    plan = plan_stop(describe_job(cached.clients(connection_of(sandbox_server)), name))
    button(dialog(plan, sandbox_server), "Stop the job").click().run()
    found = wait_for(sagemaker, name, ended)
    assert found["TrainingJobStatus"] == "Stopped"
    assert found["ModelArtifacts"]["S3ModelArtifacts"].endswith("model.tar.gz")


def test_lost_reply(sandbox_server, sagemaker, faults):
    """Where AWS's answer is lost on its way, the job is found to have started, and is started once."""
    faults.add("lost_reply", operation="CreateTrainingJob", times=1)
    plan = launch_plan()
    app = button(dialog(plan, sandbox_server), "Start the job").click().run()
    assert "Nothing was done twice" in texts(app)
    assert app.success[0].value == "after"
    assert wait_for(sagemaker, plan.target, ended)["TrainingJobStatus"] == "Completed"


def test_second_click(sandbox_server, sagemaker, faults):
    """A second click on the same button goes on, and asks for nothing again."""
    faults.add("delay", seconds=0, operation="CreateTrainingJob")
    app = button(dialog(launch_plan(), sandbox_server), "Start the job").click().run()
    button(app, "Start the job").click().run()
    assert app.success[0].value == "after"
    assert not app.error
    assert len(faults.hits) == 1


def test_refusal(sandbox_server, sagemaker, faults):
    """Where AWS refuses, the dialog says why and what to do, and nothing goes on."""
    faults.add(
        "error", operation="CreateTrainingJob", code="ResourceLimitExceeded", status=400,
        message="The account-level service limit 'ml.g4dn.xlarge for training job usage' is 0 Instances",
    )  # fmt: skip
    app = button(dialog(launch_plan(), sandbox_server), "Start the job").click().run()
    assert "a quota of the account is reached" in app.error[0].value
    assert "Service Quotas" in app.error[0].value
    assert not app.success


def test_a_part_that_fails_hides_no_other(open_job, sagemaker, faults):
    """Without the right to read logs the page says so in the log's place, and shows all the rest."""
    name = finished(sagemaker)
    faults.add("error", service="logs", code="AccessDeniedException", message="not authorized", status=400)
    app = open_job(name)
    told = plain_texts(app)
    assert "not allowed to" in app.warning[0].value
    assert "Best mIOU, epoch 2: 0.300" in told
    assert "container never ran" not in told
    assert not app.error
