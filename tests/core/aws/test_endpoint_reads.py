"""Five hundred endpoints and their traffic, and one with all details, read from the sandbox."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from core import errors
from core.aws.connection import Clients, Connection
from core.aws.endpoint_detail import endpoint_detail, endpoint_resources, users, with_description
from core.aws.endpoints import all_endpoints, configs
from core.aws.logs import endpoint_tail
from core.aws.traffic import WINDOWS, endpoint_series, service, traffic
from core.cost.hosting import endpoint_cost
from core.cost.training import shipped_prices
from core.endpoints.detail import Scaling
from core.endpoints.endpoint import Endpoint, with_config
from core.endpoints.health import health
from core.endpoints.traffic import ServiceQuality
from sandbox.server import Sandbox

IMAGE = "811284229777.dkr.ecr.us-east-1.amazonaws.com/semantic-segmentation:1"
MACHINES = "/aws/sagemaker/Endpoints"
FIRST_PAINT = 7
"""AWS calls of the list's first paint: five pages of Search, one of the month's traffic, one of the rows' answers."""

NOW = datetime.now(UTC)
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory, stub_programs: Any, make_client: Any) -> Iterator[Sandbox]:
    """Return a sandbox with eight endpoints, one with two variants; some were called."""
    with Sandbox(tmp_path_factory.mktemp("few"), programs=stub_programs) as sandbox:
        _configure(sandbox, make_client)
        for number in range(8):
            created = (NOW - timedelta(days=40, minutes=number)).timestamp()
            config, tags = ("two", {"segdeck:job": "roads-8"}) if number == 7 else ("one", {})
            sandbox.endpoint_importer.adopt(f"road-{number}", config, created=created, tags=tags)
        _measure(sandbox)
        yield sandbox


def _configure(sandbox: Sandbox, make_client: Any) -> None:
    """Create configurations with one and two variants of one model, and leftovers of an update of road-7."""
    sagemaker, s3 = make_client(sandbox, "sagemaker"), make_client(sandbox, "s3")
    s3.create_bucket(Bucket="many")
    names = {"classes": [{"name": "water"}, {"name": "land"}]}
    s3.put_object(Bucket="many", Key="classes.json", Body=json.dumps(names))
    s3.put_object(Bucket="many", Key="model.tar.gz", Body=b"")
    container = {"Image": IMAGE, "ModelDataUrl": "s3://many/model.tar.gz"}
    for model in ("shared", "road-7-0123abcd"):
        sagemaker.create_model(ModelName=model, PrimaryContainer=container)
    one = {"ModelName": "shared", "InstanceType": "ml.c5.xlarge", "InitialInstanceCount": 1}
    two = {**one, "InstanceType": "ml.g4dn.xlarge", "InitialVariantWeight": 3.0}
    rows = {
        "one": [{"VariantName": "AllTraffic", **one}],
        "two": [{"VariantName": "a", **one}, {"VariantName": "b", **two}],
        "road-7-0123abcd": [{"VariantName": "a", **one}],
    }
    for name, variants in rows.items():
        sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=variants)


def _measure(sandbox: Sandbox) -> None:
    """Record calls: road-1 every hour, road-2 ten days ago, road-7 for two variants."""
    put = sandbox.endpoint_importer.measure
    hours = [(NOW - number * HOUR).timestamp() for number in range(24)]
    put("road-1", "Invocations", [(at, 1.0) for at in hours])
    put("road-1", "ModelLatency", [(at, 200_000.0) for at in hours])
    put("road-1", "Invocation5XXErrors", [(hours[3], 1.0), (hours[5], 1.0)])
    put("road-2", "Invocations", [((NOW - timedelta(days=10)).timestamp(), 5.0)])
    for variant, calls, latency in (("a", 1.0, 100_000.0), ("b", 3.0, 500_000.0)):
        put("road-7", "Invocations", [(hours[1], calls)] * int(calls), variant=variant)
        put("road-7", "ModelLatency", [(hours[1], latency)], variant=variant)
        put("road-7", "CPUUtilization", [(hours[1], latency / 5e3)], variant=variant, namespace=MACHINES)


@pytest.fixture
def clients(few: Sandbox) -> Iterator[Clients]:
    with counted(few) as found:
        yield found


@contextmanager
def counted(sandbox: Sandbox) -> Iterator[Clients]:
    """Return clients whose calls the sandbox counts in `asked`."""
    address = sandbox.address
    sandbox.faults.clear()
    sandbox.faults.add("delay", seconds=0.0)
    yield Clients(Connection(address.region, address.url, None, address.access_key, address.secret_key))
    sandbox.faults.clear()


def asked(sandbox: Sandbox) -> Counter[str]:
    return Counter(operation for _, operation in sandbox.faults.hits)


def test_the_first_paint_of_500_endpoints_is_seven_calls(
    tmp_path: Path, stub_programs: Any, make_client: Any
) -> None:
    """500 endpoints with a month of traffic, and the service quality of 100 rows, take seven API calls."""
    with Sandbox(tmp_path, programs=stub_programs) as sandbox:
        _configure(sandbox, make_client)
        for number in range(500):
            created = (NOW - timedelta(minutes=number)).timestamp()
            sandbox.endpoint_importer.adopt(f"many-{number:03}", "one", created=created)
        with counted(sandbox) as clients:
            fleet = all_endpoints(clients)
            calls = traffic(clients, fleet.endpoints, NOW)
            answers = service(clients, fleet.endpoints[:100], NOW)
            assert asked(sandbox) == {"Search": 5, "GetMetricData": 2}
            assert asked(sandbox).total() == FIRST_PAINT
    assert (len(fleet.endpoints), fleet.complete, fleet.notes) == (500, True, ())
    assert [endpoint.name for endpoint in fleet.endpoints[:2]] == ["many-000", "many-001"]
    assert (len(calls), len(answers)) == (500, 100)


def test_idle_ones_are_found_and_priced(clients: Clients) -> None:
    """By its calls, one is healthy, one was last called ten days ago, one never; the idle one has its price."""
    fleet = all_endpoints(clients)
    calls = traffic(clients, fleet.endpoints, NOW)
    by_name = {endpoint.name: endpoint for endpoint in fleet.endpoints}

    def verdict(name: str) -> str:
        return health(by_name[name], calls[name], None, NOW).status

    assert [verdict(name) for name in ("road-1", "road-2", "road-3")] == ["healthy", "idle", "idle"]
    assert (calls["road-1"].month, calls["road-2"].week, calls["road-2"].month) == (24, 0, 5)
    last = calls["road-2"].last_call
    assert last is not None
    assert abs(last - (NOW - timedelta(days=10))) <= timedelta(hours=6)
    found = configs(clients, {endpoint.config for endpoint in fleet.endpoints})
    assert sorted(found) == ["one", "two"]
    idle = with_config(by_name["road-3"], found["one"])
    price = endpoint_cost(idle, shipped_prices("us-east-1"), NOW).price
    assert str(price.per_year) == "$1,787.04"


def test_how_an_endpoint_answers(clients: Clients) -> None:
    """The last day has calls, latency in milliseconds and errors; variants are combined, weighted by calls."""
    fleet = {endpoint.name: endpoint for endpoint in all_endpoints(clients).endpoints}
    found = service(clients, [fleet[name] for name in ("road-1", "road-3", "road-7")], NOW)
    assert found["road-1"] == ServiceQuality(24, 200.0, 200.0, 0, 2)
    assert found["road-3"] == ServiceQuality(0, None, None, 0, 0)
    both = found["road-7"]
    assert (both.calls, both.p50_ms) == (10, (1 * 100 + 9 * 500) / 10)


def test_metrics_from_before_the_creation_are_left_out(
    tmp_path: Path, stub_programs: Any, make_client: Any
) -> None:
    """Calls, latency and errors of a deleted endpoint are not those of a new one of the same name, to the minute; how
    many calls were left out is reported."""
    with Sandbox(tmp_path, programs=stub_programs) as sandbox:
        _configure(sandbox, make_client)
        ages = {"called": 20, "uncalled": 2, "older": 60 * 60}
        for name, minutes in ages.items():
            created = NOW - timedelta(minutes=minutes)
            sandbox.endpoint_importer.adopt(name, "one", created=created.timestamp())
            before = [(created - timedelta(minutes=age)).timestamp() for age in (5, 180, 60 * 48)]
            for metric, value in (("Invocations", 8.0), ("ModelLatency", 9e6), ("Invocation5XXErrors", 1.0)):
                sandbox.endpoint_importer.measure(name, metric, [(at, value) for at in before])
        recent = [(NOW - timedelta(minutes=9)).timestamp()]
        sandbox.endpoint_importer.measure("called", "Invocations", [(at, 3.0) for at in recent])
        sandbox.endpoint_importer.measure("called", "ModelLatency", [(at, 100_000.0) for at in recent])
        with counted(sandbox) as clients:
            endpoints = {endpoint.name: endpoint for endpoint in all_endpoints(clients).endpoints}
            calls = traffic(clients, list(endpoints.values()), NOW)
            qualities = service(clients, list(endpoints.values()), NOW)
            curves = {
                series.name: series.values.tolist()
                for series in endpoint_series(clients, endpoints["called"], "6 h", NOW)
            }
    assert [calls[name].month for name in ("called", "uncalled")] == [3, 0]
    assert [calls[name].earlier for name in ("called", "uncalled")] == [24, 24]
    assert calls["older"].month + calls["older"].earlier == 24
    assert calls["older"].earlier >= 8
    assert calls["uncalled"].last_call_after is None
    assert calls["called"].last_call_after is not None
    assert calls["called"].last_call_after >= endpoints["called"].created_at
    assert qualities["called"] == ServiceQuality(3, 100.0, 100.0, 0, 0)
    assert qualities["uncalled"] == ServiceQuality(0, None, None, 0, 0)
    assert curves == {"Invocations": [3.0], "p50": [100.0], "p90": [100.0]}
    verdict = health(endpoints["uncalled"], calls["uncalled"], qualities["uncalled"], NOW)
    assert (verdict.status, verdict.reason) == (
        "new",
        "No calls yet; created less than an hour ago. Not counted: 24 calls to an earlier endpoint of this name.",
    )


@pytest.mark.parametrize("window", list(WINDOWS))
def test_curves_are_one_call(few: Sandbox, clients: Clients, window: Any) -> None:
    """The metrics of any window take one call; variants are combined, or one is selected."""
    endpoint = next(one for one in all_endpoints(clients).endpoints if one.name == "road-7")
    few.faults.hits.clear()
    found = {series.name: series for series in endpoint_series(clients, endpoint, window, NOW)}
    assert asked(few) == {"GetMetricData": 1}
    span, _ = WINDOWS[window]
    if span > 2 * HOUR:
        assert {name: series.values.tolist() for name, series in found.items()} == {
            "Invocations": [10.0],
            "p50": [460.0],
            "p90": [460.0],
            "CPUUtilization": [100.0],
        }
        assert (found["p50"].unit, found["CPUUtilization"].unit) == ("ms", "%")
        alone = endpoint_series(clients, endpoint, window, NOW, variant="a")
        assert [series.values.tolist() for series in alone] == [[1.0], [100.0], [100.0], [20.0]]


def test_nothing_is_asked_of_nothing(few: Sandbox, clients: Clients) -> None:
    """No endpoints and no names take no call; an endpoint without known variants has no traffic."""
    blind = Endpoint("x", "arn", "InService", NOW, NOW)
    assert traffic(clients, [blind], NOW) == service(clients, [blind], NOW) == {}
    assert (traffic(clients, [], NOW), configs(clients, ["", ""])) == ({}, {})
    assert endpoint_series(clients, blind, "1 h", NOW) == ()
    assert asked(few).total() == 0


def test_one_endpoint_whole(few: Sandbox, clients: Clients) -> None:
    """An endpoint's configuration, model, their tags and class names next to the artifact take few calls."""
    found = endpoint_detail(clients, "road-7")
    assert asked(few).total() == 8
    assert asked(few)["ListTags"] == 3
    assert found.tags_known
    assert [(variant.name, variant.instance_type) for variant in found.endpoint.variants] == [
        ("a", "ml.c5.xlarge"),
        ("b", "ml.g4dn.xlarge"),
    ]
    assert (found.models[0].name, found.models[0].job, found.aws_algorithm) == ("shared", "roads-8", True)
    assert found.classes is not None
    assert (found.classes.names, found.classes_uri) == (("water", "land"), "s3://many/classes.json")
    assert (found.scaling, found.notes) == ((), ())
    with pytest.raises(errors.NotFoundError, match="road-9"):
        endpoint_detail(clients, "road-9")


def test_a_deleted_first_model_is_not_replaced_by_the_second(clients: Clients) -> None:
    """Algorithm and class names are those of the first variant's model, and unknown if that is deleted."""
    bare = endpoint_resources(clients, "road-7")
    assert bare.config is not None
    deleted, present = (
        replace(row, model=name) for row, name in zip(bare.config.variants, ("gone", "shared"), strict=True)
    )
    detail = with_description(
        clients, replace(bare, config=replace(bare.config, variants=(deleted, present)))
    )
    assert (detail.aws_algorithm, detail.classes, detail.classes_uri) == (None, None, "")
    assert [(model.name, model.job) for model in detail.models] == [("shared", "")]


def test_what_goes_with_an_endpoint_takes_four_calls(few: Sandbox, clients: Clients) -> None:
    """For a delete, no descriptive data is read: no tags, no job, no class names."""
    found = endpoint_resources(clients, "road-7")
    reads = ("DescribeEndpoint", "DescribeEndpointConfig", "DescribeModel", "DescribeScalableTargets")
    assert asked(few) == Counter(reads)
    assert (found.endpoint.variants[0].model, [model.name for model in found.models]) == (
        "shared",
        ["shared"],
    )
    assert (dict(found.endpoint.tags), found.classes, found.scaling_known) == ({}, None, True)


def test_what_may_not_be_read_is_a_note(few: Sandbox, clients: Clients) -> None:
    """Everything but the endpoint itself is left out with a note if it may not be read."""
    denied = {"code": "AccessDeniedException", "message": "no", "status": 400}
    few.faults.clear()
    for operation in ("DescribeModel", "ListTags", "DescribeScalableTargets"):
        few.faults.add("error", operation=operation, **denied)
    found = endpoint_detail(clients, "road-7")
    assert (found.models, dict(found.endpoint.tags), found.classes) == ((), {}, None)
    assert len(found.notes) == 4
    assert not found.tags_known
    assert not found.scaling_known
    few.faults.add("error", operation="DescribeEndpointConfig", **denied)
    found = endpoint_detail(clients, "road-7")
    assert found.config is None
    assert [variant.instance_type for variant in found.endpoint.variants] == ["", ""]


def test_scaling_without_its_policies(few: Sandbox, clients: Clients) -> None:
    """An autoscaled variant counts as autoscaled even if its policies may not be read."""
    few.loopback.client("application-autoscaling").register_scalable_target(
        ServiceNamespace="sagemaker",
        ResourceId="endpoint/road-6/variant/AllTraffic",
        ScalableDimension="sagemaker:variant:DesiredInstanceCount",
        MinCapacity=1,
        MaxCapacity=4,
    )
    few.faults.clear()
    few.faults.add("error", operation="DescribeScalingPolicies", code="AccessDeniedException", status=400)
    found = endpoint_detail(clients, "road-6")
    few.faults.clear()
    assert found.scaling == (Scaling("AllTraffic", 1, 4, None),)
    assert found.scaling_known
    assert any("scaling policies" in note for note in found.notes)


def test_without_search_the_list_tells_less(few: Sandbox, clients: Clients) -> None:
    """If Search is denied, ListEndpoints returns names and statuses, and a note says what is missing."""
    few.faults.clear()
    few.faults.add("error", operation="Search", code="AccessDeniedException", message="no", status=400)
    fleet = all_endpoints(clients)
    assert (len(fleet.endpoints), fleet.complete) == (8, True)
    assert fleet.endpoints[0].variants == ()
    assert "Variants, traffic and tags are unavailable." in fleet.notes[0]
    assert "not allowed" in users(clients, [endpoint_detail(clients, "road-7")]).unreadable


def test_who_else_uses_it(clients: Clients) -> None:
    """Other endpoints and configurations that use a configuration or model are named; so are leftovers of updates."""
    seven, one = endpoint_detail(clients, "road-7"), endpoint_detail(clients, "road-1")
    used = users(clients, [seven])
    assert used.configs.get("two") is None
    assert len(used.configs["one"]) == 7
    assert "the endpoint road-1" in used.models["shared"]
    assert used.old_configs["road-7"] == used.old_models["road-7"] == ("road-7-0123abcd",)
    alone = users(clients, [one], known=configs(clients, ["one", "two"]))
    assert "the configuration road-7-0123abcd" in alone.models["shared"]
    assert alone.old_configs["road-1"] == ()


def test_an_endpoints_log_is_read_from_its_end(sandbox_server: Sandbox, stub_endpoint: Any) -> None:
    """An endpoint's log is that of the latest instance; a stream can be selected; a missing log is empty."""
    name = stub_endpoint()
    address = sandbox_server.address
    clients = Clients(Connection(address.region, address.url, None, address.access_key, address.secret_key))
    logs = sandbox_server.loopback.client("logs")
    group = f"{MACHINES}/{name}"
    with suppress(logs.exceptions.ResourceAlreadyExistsException):  # the stub may have printed by now
        logs.create_log_group(logGroupName=group)
    logs.create_log_stream(logGroupName=group, logStreamName="AllTraffic/later")
    later = int(datetime.now(UTC).timestamp() * 1000) + 60_000
    event = {"timestamp": later, "message": "Loading weights"}
    logs.put_log_events(logGroupName=group, logStreamName="AllTraffic/later", logEvents=[event])
    page = endpoint_tail(clients, name)
    assert [(line.message, line.stream) for line in page.events] == [("Loading weights", "AllTraffic/later")]
    assert page.next_token is not None
    more = endpoint_tail(clients, name, token=page.next_token)
    assert (more.events, more.at_end) == ((), True)
    assert endpoint_tail(clients, name, stream="AllTraffic/later").events == page.events
    assert endpoint_tail(clients, f"{name}-missing") == replace(
        page, events=(), next_token=None, has_log=False
    )
