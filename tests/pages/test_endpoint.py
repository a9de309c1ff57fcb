"""The page of one endpoint."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from pages.parts import cached
from sandbox.server import Sandbox
from tests.support.dashboard import ONE_ATTEMPT, button, open_page, plain_texts, texts
from tests.support.fleet import put_endpoint

OpenEndpoint = Callable[..., AppTest]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, stub_programs: dict[str, list[str]]) -> Iterator[Sandbox]:
    """A sandbox with endpoints that have a history, and no process."""
    with Sandbox(tmp_path_factory.mktemp("fleet"), programs=stub_programs) as sandbox:
        put_endpoint(
            sandbox, "roads", daily=[40] * 30, count=2, tags={"team": "maps", "segdeck:job": "roads-7"}
        )
        put_endpoint(sandbox, "forgotten", daily=[9] * 5 + [0] * 20, instance="ml.p3.2xlarge")
        put_endpoint(sandbox, "shared-out", daily=[10] * 30, weights={"blue": 3.0, "green": 1.0})
        put_endpoint(sandbox, "three-ways", weights={"a": 2.0, "b": 1.0, "c": 1.0})
        put_endpoint(sandbox, "on-its-way", status="Creating", days=0.01)
        put_endpoint(sandbox, "changed", status="Updating")
        put_endpoint(sandbox, "dead", status="Failed")
        yield sandbox


@pytest.fixture
def faults(fleet: Sandbox) -> Iterator[Any]:
    """The faults of the fleet's sandbox: none before a test, and none after it."""
    fleet.faults.clear()
    yield fleet.faults
    fleet.faults.clear()


@pytest.fixture
def open_endpoint(fleet: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path) -> OpenEndpoint:
    """open_endpoint(name, part="Log", ...) -> the endpoint's page after its first run, in mode aws."""
    return opener(fleet, monkeypatch, str(tmp_path))


def opener(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, state_dir: str) -> OpenEndpoint:
    environ = {
        "SEGDECK_MODE": "aws",
        "SEGDECK_STATE_DIR": state_dir,
        **sandbox.address.environ(),
        **ONE_ATTEMPT,
    }
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    return lambda name="", **query: open_page("endpoint", sandbox, **{"endpoint": name, **query})


@pytest.fixture
def open_stub(sandbox_server: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path) -> OpenEndpoint:
    """The same for endpoints that respond: those of `stub_endpoint` and `coast`."""
    return opener(sandbox_server, monkeypatch, str(tmp_path))


def figures(app: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in app.metric}


def test_a_healthy_endpoint(open_endpoint):
    """The page shows instances, health with the reason, calls, latency and price."""
    app = open_endpoint("roads")
    told, known = plain_texts(app), figures(app)
    assert "2 × ml.g4dn.xlarge" in told
    assert "calls in 7 days" in told
    assert known["Last call"] == "today"
    assert known["Errors in 24 h"] == "0.0%"
    assert known["Cost per hour"] == "$1.47"
    assert not app.error


def test_an_idle_endpoint_tells_what_it_will_cost(open_endpoint):
    """An idle endpoint shows since when it is idle, and its cost per month and year."""
    warned = open_endpoint("forgotten").warning[0].value.replace("\\", "")
    assert "Idle." in warned
    assert "20 days ago" in warned or "19 days ago" in warned
    assert "**$2,792.25** per month and **$33,507.00** per year" in warned


def test_traffic_over_a_window(open_endpoint):
    """Calls, latency and failed calls are drawn over the time window in the URL."""
    app = open_endpoint("roads", window="7 d")
    assert [chart.proto.alt for chart in app.get("vega_lite_chart")][:2] == [
        "Calls per 1 h",
        "Latency (s)",
    ]
    assert "No failed calls." in texts(app)


def test_the_time_axis_of_a_chart_is_written_in_one_notation(open_endpoint):
    """The axis spans the time window by its ends: Vega-Lite converts a `domain` for x, but not for x2, and warns."""
    for chart in open_endpoint("roads", window="7 d").get("vega_lite_chart"):
        scale = json.loads(chart.proto.spec)["encoding"]["x"]["scale"]
        assert "domain" not in scale
        assert scale["domainMax"] - scale["domainMin"] == 7 * 86_400_000


def test_no_figures(open_endpoint):
    """Without metrics in the time window, the page says so, and draws no empty chart."""
    app = open_endpoint("three-ways")
    assert "No CloudWatch metrics for the last 24 h." in texts(app)
    assert not app.get("vega_lite_chart")


@pytest.mark.parametrize(
    ("name", "step"),
    [("on-its-way", "Instances start and load the model"), ("changed", "New instances start")],
)
def test_a_change_under_way(open_endpoint, name, step):
    """While AWS changes the endpoint, the page shows the completed, current and next step, and offers no change."""
    app = open_endpoint(name, part="Scale")
    assert [status.label.split(" · ")[0].startswith(step) for status in app.status] == [False, True]
    assert "Next:" in texts(app)
    assert "AWS is changing this endpoint" in texts(app)
    assert [button(app, label).disabled for label in ("Update", "Delete", "Review change")] == [True] * 3


def test_a_look_at_a_change_is_one_call(open_endpoint, faults):
    """While AWS changes an endpoint, each refresh reads its status only."""
    app = open_endpoint("changed")
    faults.add("delay", seconds=0, operation=".*", service="sagemaker|s3|application-autoscaling")
    cached.shelf().expire("endpoint")
    app.run()
    assert [operation for _, operation in faults.hits] == ["DescribeEndpoint"]
    assert "1 × ml" not in texts(app)
    assert "ml\\.g4dn\\.xlarge" in texts(app)


def test_one_slider_shares_calls_between_two_variants(open_endpoint, fleet):
    """One slider shifts traffic between two variants; the plan shows it, and nothing is changed yet."""
    app = open_endpoint("shared-out", part="Scale")
    assert [slider.value for slider in app.slider] == [75]
    assert button(app, "Review change").disabled
    app.slider[0].set_value(90).run()
    assert "blue **90%** · green **10%**" in texts(app)
    button(app, "Review change").click().run()
    told = plain_texts(app)
    assert "Scale the endpoint shared-out" in told
    assert '"DesiredWeight": 0.9' in told
    found = fleet.loopback.client("sagemaker").describe_endpoint(EndpointName="shared-out")
    assert [variant["CurrentWeight"] for variant in found["ProductionVariants"]] == [3.0, 1.0]


def test_more_variants_have_a_slider_each(open_endpoint):
    """Each of three variants has its own weight, and the resulting shares are shown."""
    app = open_endpoint("three-ways", part="Scale")
    assert [slider.value for slider in app.slider] == [50, 25, 25]
    app.slider[0].set_value(0).run()
    assert "a **0%** · b **50%** · c **50%**" in texts(app)


def test_another_number_of_instances_is_priced(open_endpoint):
    """The plan that changes the number of instances shows the new price."""
    app = open_endpoint("roads", part="Scale")
    app.number_input(key="count-roads-AllTraffic-2").set_value(4).run()
    button(app, "Review change").click().run()
    assert "Price per hour: $2.95" in texts(app)


def test_autoscaling_is_a_plan(open_endpoint):
    """The autoscaling form leads to a plan with its bounds, its target, and the price at the maximum."""
    app = open_endpoint("roads", part="Scale")
    app.number_input(key="high-roads-AllTraffic").set_value(5).run()
    button(app, "Review autoscaling").click().run()
    told = plain_texts(app)
    assert "Allow the variant AllTraffic 1 to 5 instances." in told
    assert "Price per hour: $3.68" in told


def test_update_leads_to_the_deploy_page(open_endpoint):
    """Update opens the deploy page with this endpoint in the URL."""
    app = open_endpoint("roads")
    button(app, "Update").click().run()
    assert "Update roads" in [title.value for title in app.title]


def test_scale_leads_to_its_tab(open_endpoint):
    """Scale opens the tab with the variants, and writes it into the URL."""
    app = open_endpoint("roads")
    button(app, "Scale").click().run()
    assert "**Autoscaling**" in texts(app)
    assert app.query_params["part"] == "Scale"


def test_lineage(open_endpoint):
    """The lineage leads from the training job, with a link, via artifact, model and configuration to the endpoint."""
    app = open_endpoint("roads", part="Lineage")
    link = next(link for link in app.get("page_link") if link.proto.label == "roads\\-7")
    assert (link.proto.page, link.proto.query_string) == ("training_job", "job=roads-7")
    assert "s3://models/roads/output/model.tar.gz" in [block.value for block in app.code]
    assert "Configuration **roads**" in texts(app)
    assert "https://us-east-1.console.aws.amazon.com/s3/object/models" in texts(app)


def test_configuration(open_endpoint):
    """ARN, configuration, model and tags are shown as they were requested."""
    shown = "\n".join(block.value for block in open_endpoint("roads", part="Configuration").code)
    assert "arn:aws:sagemaker:" in shown
    assert '"InitialInstanceCount": 2' in shown
    assert '"team": "maps"' in shown


def test_delete_asks_for_the_name(open_endpoint, fleet):
    """Delete shows what is deleted and what stays, and asks for the name; nothing is deleted yet."""
    app = open_endpoint("roads")
    button(app, "Delete").click().run()
    told = plain_texts(app)
    assert "Delete the endpoint roads." in told
    assert "Delete the model roads" in told
    assert "stays in S3" in told
    assert "Type **roads** to confirm" in app.text_input(key="plan-typed").label
    assert fleet.loopback.client("sagemaker").describe_endpoint(EndpointName="roads")


def test_last_good_data(open_endpoint, faults):
    """If AWS fails later, the page shows the last data, with its time and why it is not newer."""
    app = open_endpoint("roads")
    faults.add(
        "error", operation="DescribeEndpoint", code="ThrottlingException", message="Rate exceeded", status=400
    )
    cached.shelf().expire()
    app.run()
    told = plain_texts(app)
    assert "**Last updated" in told
    assert "2 × ml.g4dn.xlarge" in told


def test_a_part_that_fails_hides_no_other(open_endpoint, faults):
    """Without permission to read metrics, the page says so, shows the health as unknown, and shows all the rest."""
    faults.add("error", operation="GetMetricData", code="AccessDenied", message="not authorized", status=403)
    app = open_endpoint("roads")
    assert "not allowed to" in plain_texts(app)
    assert figures(app)["Last call"] == "unknown"
    assert figures(app)["Cost per hour"] == "$1.47"
    assert not app.error


def test_no_such_endpoint(open_endpoint):
    """An endpoint that does not exist is reported by name, with a link back to the list."""
    app = open_endpoint("no-such-endpoint")
    assert "no-such-endpoint" in plain_texts(app)
    assert "Endpoints" in [link.proto.label for link in app.get("page_link")]
    assert app.error


def test_an_endpoint_that_goes_while_it_is_looked_at(open_endpoint, fleet):
    """Once the endpoint is deleted elsewhere, the page says so, and shows nothing about it."""
    put_endpoint(fleet, "leaving")
    app = open_endpoint("leaving")
    sagemaker = fleet.loopback.client("sagemaker")
    sagemaker.delete_endpoint(EndpointName="leaving")
    sagemaker.get_waiter("endpoint_deleted").wait(EndpointName="leaving", WaiterConfig={"Delay": 0.1})
    cached.shelf().expire()
    app.run()
    assert "it does not exist" in app.error[0].value
    assert not app.metric


def test_the_way_back_keeps_the_filters(fleet, open_endpoint):
    """The back link of an endpoint opens the list with the filters it was left with."""
    app = open_page("endpoints", fleet, health="idle")
    app.query_params["endpoint"] = "forgotten"
    app = app.switch_page("../endpoint.py").run()
    back = next(link for link in app.get("page_link") if link.proto.label == "Endpoints")
    assert back.proto.query_string == "health=idle"


def test_no_name(open_endpoint):
    """Without an endpoint in the URL, the page says how to choose one."""
    assert "does not name an endpoint" in open_endpoint().info[0].value


def test_a_failed_endpoint(sandbox_server, stub_endpoint, open_stub):
    """A failed endpoint shows why, what to do, and AWS's own text; it accepts no test call."""
    name = stub_endpoint(behavior={"exit": "RuntimeError: model_best.params is not there"}, wait=False)
    assert sandbox_server.wait_settled(120)
    app = open_stub(name, part="Test call")
    assert "What to do:" in app.error[0].value
    assert "in a failed state" in app.info[0].value
    assert button(app, "Try in Segment").disabled


def test_its_log(stub_endpoint, open_stub, run_until):
    """The log shows the container's lines, and a search in the URL narrows it."""
    name = stub_endpoint()
    app = open_stub(name, part="Log")

    def holds(app: AppTest) -> bool:
        cached.shelf().expire()
        return any("stub serving" in block.value for block in app.code)

    run_until(app, holds)


@pytest.fixture
def shore(sandbox_server: Sandbox, coast: str, jpeg: Callable[..., bytes]) -> Iterator[str]:
    """The URI of an image that `coast` has as its example, during the test."""
    s3, sagemaker = (sandbox_server.loopback.client(name) for name in ("s3", "sagemaker"))
    listed = json.dumps([{"file": "shore.jpg", "title": "A shore"}]).encode()
    for name, body in (("shore.jpg", jpeg()), ("examples.json", listed)):
        s3.put_object(Bucket="stub-models", Key=f"{coast}/examples/{name}", Body=body)
    folder = f"s3://stub-models/{coast}/examples"
    arn = sagemaker.describe_endpoint(EndpointName=coast)["EndpointArn"]
    sagemaker.add_tags(
        ResourceArn=arn, Tags=[{"Key": "segdeck:examples", "Value": f"{folder}/examples.json"}]
    )
    yield f"{folder}/shore.jpg"
    sagemaker.delete_tags(ResourceArn=arn, TagKeys=["segdeck:examples"])


def test_a_test_call_shows_the_mask(open_stub, coast, shore, run_until):
    """One click on an image sends it, and the page shows its mask with the endpoint's class names."""
    app = open_stub(coast, part="Test call")
    app.session_state["endpoints.test_images"] = {coast: shore}
    run_until(app.run(), lambda app: len(app.get("bidi_component")) == 2)
    assert b'"name": "sea"' in app.get("bidi_component")[1].proto.bytes
    assert "endpoint **" in texts(app)


def test_a_test_call_without_examples(open_stub, coast, run_until):
    """An endpoint without examples is tried with the image that comes with Segdeck."""
    app = open_stub(coast, part="Test call")
    assert "This sample image checks whether the endpoint responds" in texts(app)
    app.session_state["endpoints.test_images"] = {coast: "segdeck:sample-image"}
    run_until(app.run(), lambda app: len(app.get("bidi_component")) == 2)
    assert not app.error


def test_a_failed_endpoint_takes_no_update(open_endpoint):
    """AWS accepts no update of a failed endpoint, so only deletion is offered."""
    app = open_endpoint("dead")
    assert [button(app, label).disabled for label in ("Update", "Delete")] == [True, False]


def test_a_log_that_may_not_be_read_is_told_once(open_endpoint, faults):
    """If log streams cannot be listed, one sentence says so, and the page does not claim that the log is empty."""
    faults.add("error", operation="DescribeLogStreams", code="AccessDeniedException", status=400)
    app = open_endpoint("roads", part="Log")
    assert len(app.warning) == 1
    assert "No log lines yet" not in texts(app)


def test_autoscaling_that_may_not_be_read(open_endpoint, faults):
    """If autoscaling cannot be read, the page does not claim that there is none, and a deletion warns about it."""
    faults.add("error", operation="DescribeScalableTargets", code="AccessDeniedException", status=400)
    app = open_endpoint("roads", part="Scale")
    assert "Autoscaling status is unknown" in texts(app)
    button(app, "Delete").click().run()
    assert "The autoscaling of roads cannot be read" in plain_texts(app)


def test_numbers_that_others_have_set(open_endpoint, fleet):
    """Zero instances, and a minimum of zero, are shown as they are, and do not count as a change."""
    put_endpoint(fleet, "asleep")
    resource = "endpoint/asleep/variant/AllTraffic"
    scaling = fleet.loopback.client("application-autoscaling")
    scaling.register_scalable_target(
        ServiceNamespace="sagemaker",
        ResourceId=resource,
        ScalableDimension="sagemaker:variant:DesiredInstanceCount",
        MinCapacity=0,
        MaxCapacity=200,
    )
    none = {"CurrentInstanceCount": 0, "DesiredInstanceCount": 0}
    fleet.endpoint_importer.resources.store.update(
        "endpoint", "asleep", lambda found: found["ProductionVariants"][0].update(none)
    )
    app = open_endpoint("asleep", part="Scale")
    assert not app.error
    assert "0 × ml.g4dn.xlarge" in plain_texts(app)
    shown = {widget.label: widget.value for widget in app.number_input}
    assert (shown["Instances of AllTraffic"], shown["Min instances"], shown["Max instances"]) == (0, 0, 200)
    assert button(app, "Review change").disabled


def test_another_algorithm(open_endpoint, fleet):
    """Before an image is sent to an endpoint of another algorithm, the page warns that it may not understand it."""
    put_endpoint(fleet, "boosted")
    image = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1"
    fleet.endpoint_importer.resources.store.update(
        "model", "boosted", lambda found: found["PrimaryContainer"].update(Image=image)
    )
    assert "does not run AWS's semantic segmentation" in texts(open_endpoint("boosted", part="Test call"))
    assert "does not run" not in texts(open_endpoint("roads", part="Test call"))
