"""The plan dialog for endpoints, and interrupted changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from core.aws.connection import Connection, clients, connect
from core.aws.endpoint_detail import endpoint_detail, users
from core.aws.execute import execute, resume
from core.cost.training import shipped_prices
from core.endpoints.spec import EndpointSpec
from core.errors import AwsError
from core.plans.delete import plan_delete
from core.plans.deploy import plan_deploy
from core.plans.plan import Plan
from pages.parts import backend
from sandbox.server import Sandbox
from tests.support.apps import app_from_function
from tests.support.dashboard import (
    IMAGE,
    ONE_ATTEMPT,
    button,
    connection_of,
    fresh_caches,
    open_page,
    plain_texts,
    texts,
)

ROLE = "arn:aws:iam::123456789012:role/Server"


@pytest.fixture(autouse=True)
def _journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test starts with an empty journal."""
    monkeypatch.setenv("SEGDECK_STATE_DIR", str(tmp_path / "state"))


def dialog(plan: Plan, sandbox: Sandbox) -> AppTest:
    """The dialog's body on a page of its own: AppTest cannot click inside a dialog."""

    def page(plan, connection):
        import streamlit  # AppTest runs this function's text alone

        from pages.parts.plan_dialog import PendingPlan, body

        errand = streamlit.session_state.setdefault(
            "pending", PendingPlan(plan, connection, lambda: streamlit.success("after"))
        )
        body(errand)

    fresh_caches()
    return app_from_function(page, args=(plan, connection_of(sandbox)), default_timeout=60).run()


def deletion(sandbox: Sandbox, *names: str) -> Plan:
    aws = clients(connection_of(sandbox))
    details = [endpoint_detail(aws, name) for name in names]
    return plan_delete(details, users(aws, details))


def is_there(sagemaker: Any, name: str) -> bool:
    return name in [row["EndpointName"] for row in sagemaker.list_endpoints(MaxResults=100)["Endpoints"]]


@pytest.fixture
def sagemaker(sandbox_server: Sandbox, make_client: Callable[..., Any]) -> Any:
    return make_client(sandbox_server, "sagemaker")


def test_a_deletion_waits_for_the_name(sandbox_server, stub_endpoint, sagemaker):
    """The delete button is disabled until the name is typed; then the endpoint and all that is its own is deleted."""
    name = stub_endpoint()
    app = dialog(deletion(sandbox_server, name), sandbox_server)
    assert button(app, "Delete permanently").disabled
    app.text_input(key="plan-typed").set_value("another").run()
    assert button(app, "Delete permanently").disabled
    app.text_input(key="plan-typed").set_value(name).run()
    button(app, "Delete permanently").click().run()
    assert app.success[0].value == "after"
    assert not is_there(sagemaker, name)
    with pytest.raises(sagemaker.exceptions.ClientError):
        sagemaker.describe_endpoint_config(EndpointConfigName=name)
    with pytest.raises(sagemaker.exceptions.ClientError):
        sagemaker.describe_model(ModelName=name)


def test_several_are_deleted_after_their_number(sandbox_server, stub_endpoint, sagemaker):
    """For several endpoints, their number is typed; one plan deletes them all, and says what stays."""
    names = [stub_endpoint(), stub_endpoint()]
    app = dialog(deletion(sandbox_server, *names), sandbox_server)
    told = plain_texts(app)
    assert all(f"{name}/model.tar.gz stays in S3" in told for name in names)
    app.text_input(key="plan-typed").set_value("2 endpoints").run()
    button(app, "Delete permanently").click().run()
    assert app.success
    assert not any(is_there(sagemaker, name) for name in names)


def test_each_step_is_told(sandbox_server, stub_endpoint, sagemaker):
    """A plan of several steps shows them in order, the API requests, the price, and each one as it is done."""
    source = sagemaker.describe_model(ModelName=stub_endpoint())["PrimaryContainer"]["ModelDataUrl"]
    plan = plan_deploy(
        EndpointSpec("told-1", ROLE, "ml.c5.xlarge", IMAGE, source), shipped_prices("us-east-1")
    )
    app = dialog(plan, sandbox_server)
    told = plain_texts(app)
    assert f"API requests: {len(plan.steps)}" in [one.label for one in app.expander]
    assert "AWS price per year: $1,787.04" in told
    button(app, "Deploy endpoint").click().run()
    assert app.success
    for step in plan.steps:
        assert plain_texts(app).count(step.what.rstrip(".")) >= 2
    assert sandbox_server.wait_settled(120)
    button_ = dialog(deletion(sandbox_server, "told-1"), sandbox_server)
    button_.text_input(key="plan-typed").set_value("told-1").run()
    button(button_, "Delete permanently").click().run()


def here() -> Connection:
    """Set the environment of the page's own changes."""
    return connect(backend.settings())


@pytest.fixture
def cut(sandbox_server: Sandbox, stub_endpoint, sagemaker, monkeypatch) -> Iterator[Plan]:
    """A deploy that AWS rejected after its model was created, and the environment of a page that shows it."""
    for name, value in {"SEGDECK_MODE": "aws", **sandbox_server.address.environ(), **ONE_ATTEMPT}.items():
        monkeypatch.setenv(name, value)
    source = sagemaker.describe_model(ModelName=stub_endpoint())["PrimaryContainer"]["ModelDataUrl"]
    spec = EndpointSpec("cut-1", ROLE, "ml.c5.xlarge", IMAGE, source)
    plan = plan_deploy(spec, shipped_prices("us-east-1"))
    sandbox_server.faults.clear()
    sandbox_server.faults.add(
        "error", operation="CreateEndpointConfig", code="ValidationException", message="not now", status=400
    )
    with pytest.raises(AwsError):
        execute(clients(here()), plan, journal=backend.journal())
    sandbox_server.faults.clear()
    yield plan
    assert sandbox_server.wait_settled(120)
    if is_there(sagemaker, "cut-1"):
        execute(clients(here()), deletion(sandbox_server, "cut-1"))


def test_a_cut_change_is_shown_with_what_stands(sandbox_server, cut):
    """An interrupted change is shown above the list, with the state of each step, and why."""
    app = open_page("endpoints", sandbox_server)
    told = plain_texts(app)
    assert "deploying endpoint cut-1" in app.warning[0].value.replace("\\", "")
    assert "not now" in told
    assert "not started" in told


def test_cleaning_up_removes_what_was_made(sandbox_server, cut, sagemaker):
    """Clean up shows the plan that removes what the interrupted change has created, and nothing else."""
    app = open_page("endpoints", sandbox_server)
    button(app, "Clean up").click().run()
    assert "Delete the model" in plain_texts(app)
    assert "Delete the endpoint cut-1" not in plain_texts(app)


def test_finishing_does_the_rest(sandbox_server, cut, sagemaker):
    """Finish executes the remaining steps, creates nothing twice, and leaves no interrupted change."""

    def page(connection):
        import streamlit

        from pages.parts import backend
        from pages.parts.plan_dialog import PendingPlan, body

        if "pending" not in streamlit.session_state:
            entry = backend.journal().unfinished()[0]
            streamlit.session_state["pending"] = PendingPlan(
                entry.plan, connection, lambda: streamlit.success("after"), entry
            )
        body(streamlit.session_state["pending"])

    app = app_from_function(page, args=(here(),), default_timeout=60).run()
    assert texts(app).count("already done") == 1
    button(app, "Finish").click().run()
    assert app.success
    assert "Already existed" in texts(app)
    assert sandbox_server.wait_settled(120)
    assert is_there(sagemaker, "cut-1")
    assert not backend.journal().unfinished()


def test_a_clean_up_confirmed_after_somebody_finished_is_refused(sandbox_server, cut, sagemaker):
    """A dialog that was opened before the change was finished elsewhere removes nothing, and says why."""

    def page(connection):
        import streamlit

        from core.plans.delete import clean_up
        from pages.parts import backend
        from pages.parts.plan_dialog import PendingPlan, body

        if "pending" not in streamlit.session_state:
            entry = backend.journal().unfinished()[0]
            plan = clean_up(entry.plan, entry.states)
            streamlit.session_state["pending"] = PendingPlan(
                plan, connection, lambda: streamlit.success("after"), cleans=entry
            )
        body(streamlit.session_state["pending"])

    first = app_from_function(page, args=(here(),), default_timeout=60).run()
    (entry,) = backend.journal().unfinished()
    resume(clients(here()), backend.journal(), entry)
    assert sandbox_server.wait_settled(120)
    button(first, "Clean up").click().run()
    assert "Another process is executing this change, or has finished it" in texts(first)
    assert not first.success
    config = sagemaker.describe_endpoint(EndpointName="cut-1")["EndpointConfigName"]
    (variant,) = sagemaker.describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"]
    assert sagemaker.describe_model(ModelName=variant["ModelName"])


def test_a_cut_change_may_be_left(sandbox_server, cut):
    """Leave as is removes the change from the page, and changes nothing else."""
    app = open_page("endpoints", sandbox_server)
    button(app, "Leave as is").click().run()
    assert "Interrupted change" not in texts(app)
