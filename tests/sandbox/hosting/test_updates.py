"""UpdateEndpoint and UpdateEndpointWeightsAndCapacities: what answers before, during and after."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sandbox.common.limits import SandboxLimits
from sandbox.server import Sandbox
from tests.support.patience import SECONDS, wait_until

Client = Callable[..., Any]
Endpoint = Callable[..., str]
Config = Callable[..., str]
LIMIT = 3


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, stub_programs: dict[str, list[str]]) -> Iterator[Sandbox]:
    """A sandbox that allows a variant few instances."""
    limits = SandboxLimits(variant_instances=LIMIT, stop_seconds=30)
    with Sandbox(tmp_path_factory.mktemp("updates"), programs=stub_programs, limits=limits) as sandbox:
        yield sandbox


@pytest.fixture
def sagemaker(small: Sandbox, make_client: Client) -> Any:
    return make_client(small, "sagemaker")


@pytest.fixture
def runtime(small: Sandbox, make_client: Client) -> Any:
    return make_client(small, "sagemaker-runtime", max_pool_connections=20)


@pytest.fixture
def endpoint(small: Sandbox, make_endpoint: Endpoint) -> Endpoint:
    """endpoint(files=..., behavior=...) -> the name of one in service."""
    return lambda **options: make_endpoint(small, **options)


@pytest.fixture
def config(sagemaker: Any) -> Config:
    """config("name", model, A=(weight, count), ...) -> a configuration of these variants."""

    def make(name: str, model: str, **variants: tuple[float, int]) -> str:
        shown = [
            {
                "VariantName": variant,
                "ModelName": model,
                "InstanceType": "ml.m5.large",
                "InitialInstanceCount": count,
                "InitialVariantWeight": weight,
            }
            for variant, (weight, count) in (variants or {"AllTraffic": (1.0, 1)}).items()
        ]
        sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=shown)
        return name

    return make


@pytest.fixture
def settled(small: Sandbox, sagemaker: Any) -> Callable[[str], dict[str, Any]]:
    """settled(endpoint) -> its description, once no change is in progress."""

    def wait(name: str) -> dict[str, Any]:
        assert small.wait_settled(SECONDS)
        document: dict[str, Any] = sagemaker.describe_endpoint(EndpointName=name)
        return document

    return wait


def _ask(runtime: Any, name: str, **members: str) -> dict[str, Any]:
    """Invoke the stub; return the request that it got and the variant that answered."""
    answer = runtime.invoke_endpoint(EndpointName=name, Body=b"x", **members)
    return {**json.loads(answer["Body"].read()), "variant": answer["InvokedProductionVariant"]}


def _answer(runtime: Any, name: str) -> dict[str, Any] | None:
    """Invoke the stub; None while nothing answers."""
    try:
        return _ask(runtime, name)
    except ClientError:
        return None


def _refused(call: Callable[..., Any], **members: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**members)
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


def _gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_no_call_fails_while_an_endpoint_changes_its_model(
    sagemaker: Any, runtime: Any, endpoint: Endpoint, eventually: Client, settled: Client
) -> None:
    """Clients that keep invoking get the old model's responses, then the new one's, and no error."""
    old = endpoint(files={"old": b""}, behavior={"seconds": 0.05})
    new = endpoint(files={"new": b""}, behavior={"seconds": 0.05})
    before = _ask(runtime, old)["pid"]
    stop = threading.Event()
    seen: list[list[str]] = [[] for _ in range(4)]

    def keep_calling(models: list[str]) -> None:
        while not stop.is_set():
            models.append(_ask(runtime, old)["model"][1])

    with ThreadPoolExecutor(4) as pool:
        clients = [pool.submit(keep_calling, models) for models in seen]
        try:
            eventually(lambda: all(seen))
            sagemaker.update_endpoint(EndpointName=old, EndpointConfigName=new)
            eventually(lambda: all(models[-1] == "new" for models in seen) or any(x.done() for x in clients))
        finally:
            stop.set()
        for client in clients:
            client.result()
    for calls in seen:
        assert [name for name, _ in Counter(calls).items()] == ["old", "new"], calls
        assert calls == sorted(calls, reverse=True)
    assert settled(old)["EndpointConfigName"] == new
    eventually(lambda: _gone(before))


def test_the_old_one_answers_until_the_new_one_is_ready(
    sagemaker: Any, runtime: Any, endpoint: Endpoint, settled: Client, tmp_path: Path
) -> None:
    """While Updating, DescribeEndpoint reports the old configuration, and the new one as pending."""
    old, gate = endpoint(files={"old": b""}), tmp_path / "gate"
    gate.touch()
    new = endpoint(files={"new": b""}, behavior={"gate": str(gate)})
    gate.unlink()
    updated = sagemaker.update_endpoint(EndpointName=old, EndpointConfigName=new)
    during, answered = sagemaker.describe_endpoint(EndpointName=old), _ask(runtime, old)
    assert updated["EndpointArn"] == during["EndpointArn"]
    assert (during["EndpointStatus"], during["EndpointConfigName"]) == ("Updating", old)
    assert during["PendingDeploymentSummary"]["EndpointConfigName"] == new
    waiting = during["PendingDeploymentSummary"]["ProductionVariants"][0]
    assert (waiting["CurrentInstanceCount"], waiting["DesiredInstanceCount"]) == (0, 1)
    assert waiting["VariantStatus"][0]["Status"] == "Creating"
    assert "old" in answered["model"]
    for call in (sagemaker.update_endpoint, sagemaker.delete_endpoint):
        members = {"EndpointConfigName": new} if call == sagemaker.update_endpoint else {}
        code, text = _refused(call, EndpointName=old, **members)
        assert (code, text) == (
            "ValidationException",
            f'Cannot update in-progress endpoint "{updated["EndpointArn"]}".',
        )
    gate.touch()
    after = settled(old)
    assert (after["EndpointStatus"], "PendingDeploymentSummary" in after) == ("InService", False)
    assert after["LastModifiedTime"] > during["LastModifiedTime"]
    assert "new" in _ask(runtime, old)["model"]


def test_a_request_on_its_way_is_answered_by_the_old_model(
    sagemaker: Any,
    runtime: Any,
    endpoint: Endpoint,
    settled: Client,
    tmp_path: Path,
) -> None:
    """The old process ends after its last response."""
    held = tmp_path / "held"
    old, new = endpoint(behavior={"held": str(held)}, files={"old": b""}), endpoint(files={"new": b""})
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(_ask, runtime, old)
        try:
            (arrived,) = wait_until(lambda: list(tmp_path.glob("held-*")))
            sagemaker.update_endpoint(EndpointName=old, EndpointConfigName=new)
            assert settled(old)["EndpointConfigName"] == new
            assert "new" in _ask(runtime, old)["model"]
            assert not call.done()
            assert not _gone(int(arrived.name.removeprefix("held-")))
        finally:
            held.touch()
        assert "old" in call.result()["model"]
    wait_until(lambda: _gone(int(arrived.name.removeprefix("held-"))))


@pytest.fixture
def lost_model(small: Sandbox, sagemaker: Any) -> str:
    """Return the name of a model whose archive was deleted."""
    s3, place = small.loopback.client("s3"), {"Bucket": "lost-models", "Key": "model.tar.gz"}
    s3.create_bucket(Bucket=place["Bucket"])
    s3.put_object(**place, Body=b"")
    container = {"Image": "x/semantic-segmentation:1", "ModelDataUrl": "s3://lost-models/model.tar.gz"}
    sagemaker.create_model(ModelName="missing", PrimaryContainer=container)
    s3.delete_object(**place)
    return "missing"


def test_a_new_model_that_does_not_come_up_is_rolled_back(
    small: Sandbox, lost_model: str, endpoint: Endpoint, config: Config, settled: Client
) -> None:
    """It is InService on the old configuration, with a FailureReason until the next update."""
    sagemaker, runtime = small.loopback.client("sagemaker"), small.loopback.client("sagemaker-runtime")
    name = endpoint(files={"old": b""})
    config("missing", lost_model)
    before = _ask(runtime, name)["pid"]
    sagemaker.update_endpoint(EndpointName=name, EndpointConfigName="missing")
    document = settled(name)
    assert (document["EndpointStatus"], document["EndpointConfigName"]) == ("InService", name)
    assert document["FailureReason"] == "Could not find model data at s3://lost-models/model.tar.gz."
    assert "PendingDeploymentSummary" not in document
    assert _ask(runtime, name)["pid"] == before
    sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=name)
    again = settled(name)
    assert (again["EndpointStatus"], "FailureReason" in again) == ("InService", False)
    assert _ask(runtime, name)["pid"] != before


def test_rolling_back_is_a_status_of_its_own(
    sagemaker: Any, runtime: Any, endpoint: Endpoint, eventually: Client, tmp_path: Path
) -> None:
    """RollingBack lasts until the new processes have ended; the old processes keep answering."""
    gate, end = tmp_path / "gate", tmp_path / "end"
    gate.touch()
    name, stays = endpoint(), endpoint(behavior={"gate": str(gate), "lingers": str(end)})
    gate.unlink()
    sagemaker.create_model(ModelName="half", PrimaryContainer={"Image": "unknown"})
    variants = [
        {"VariantName": variant, "ModelName": model, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
        for variant, model in (("Stays", stays), ("Bad", "half"))
    ]
    sagemaker.create_endpoint_config(EndpointConfigName="half", ProductionVariants=variants)
    sagemaker.update_endpoint(EndpointName=name, EndpointConfigName="half")

    def status() -> str:
        status: str = sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"]
        _ask(runtime, name)
        return status

    assert status() == "Updating"
    gate.touch()
    eventually(lambda: status() == "RollingBack")
    assert status() == "RollingBack"
    end.touch()
    eventually(lambda: status() == "InService")


def test_requests_are_spread_over_the_instances(
    sagemaker: Any, runtime: Any, config: Config, settled: Client, eventually: Client
) -> None:
    """n instances are n processes that take turns; the remaining ones keep running when n changes."""
    name = "spread"
    sagemaker.create_model(ModelName=name, PrimaryContainer={"Image": "x/semantic-segmentation:1"})
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config("one", name))
    settled(name)
    sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=config("two", name, A=(1.0, 2)))
    shown = settled(name)["ProductionVariants"][0]
    assert (shown["CurrentInstanceCount"], shown["DesiredInstanceCount"]) == (2, 2)
    two = Counter(_ask(runtime, name)["pid"] for _ in range(6))
    assert sorted(two.values()) == [3, 3]

    def change(count: int) -> set[int]:
        wanted = [{"VariantName": "A", "DesiredInstanceCount": count}]
        sagemaker.update_endpoint_weights_and_capacities(
            EndpointName=name, DesiredWeightsAndCapacities=wanted
        )
        assert settled(name)["ProductionVariants"][0]["CurrentInstanceCount"] == count
        return {_ask(runtime, name)["pid"] for _ in range(2 * count)}

    three = change(3)
    assert len(three) == 3
    assert set(two) < three
    remaining = change(1)
    assert len(remaining) == 1
    assert remaining < three
    for pid in three - remaining:
        eventually(lambda pid=pid: _gone(pid))


def test_a_busy_instance_is_passed_over(
    sagemaker: Any, runtime: Any, endpoint: Endpoint, config: Config, settled: Client
) -> None:
    """Concurrent requests go to different processes."""
    name = endpoint(behavior={"seconds": 0.3})
    sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=config("busy", name, A=(1.0, 3)))
    settled(name)
    with ThreadPoolExecutor(3) as pool:
        pids = [answer["pid"] for answer in pool.map(lambda _: _ask(runtime, name), range(3))]
    assert len(set(pids)) == 3


def test_more_instances_than_the_machine_serves_are_refused(
    sagemaker: Any, endpoint: Endpoint, config: Config
) -> None:
    """Every request for too many is a ResourceLimitExceeded in AWS's words; zero is a ValidationException."""
    name = endpoint()
    config("many", name, AllTraffic=(1.0, LIMIT + 1))
    wanted = [{"VariantName": "AllTraffic", "DesiredInstanceCount": LIMIT + 1}]
    calls = (
        lambda: sagemaker.create_endpoint(EndpointName="many", EndpointConfigName="many"),
        lambda: sagemaker.update_endpoint(EndpointName=name, EndpointConfigName="many"),
        lambda: sagemaker.update_endpoint_weights_and_capacities(
            EndpointName=name, DesiredWeightsAndCapacities=wanted
        ),
    )
    for call in calls:
        code, text = _refused(call)
        assert code == "ResourceLimitExceeded"
        assert f"for endpoint usage' is {LIMIT} Instances, with current utilization of 0" in text
    wanted[0]["DesiredInstanceCount"] = 0
    assert _refused(calls[2])[0] == "ValidationException"


def test_weights_change_and_survive_a_restart(
    tmp_path: Path, stub_programs: dict[str, list[str]], make_endpoint: Endpoint, make_client: Client
) -> None:
    """UpdateEndpointWeightsAndCapacities shifts the traffic; a weight of 0 gets none; a restart keeps the weights."""
    with Sandbox(tmp_path, programs=stub_programs) as sandbox:
        model = make_endpoint(sandbox)
        sagemaker, runtime = make_client(sandbox, "sagemaker"), make_client(sandbox, "sagemaker-runtime")
        variants = [
            {
                "VariantName": name,
                "ModelName": model,
                "InstanceType": "ml.m5.large",
                "InitialInstanceCount": 1,
            }
            for name in ("A", "B")
        ]
        sagemaker.create_endpoint_config(EndpointConfigName="ab", ProductionVariants=variants)
        sagemaker.create_endpoint(EndpointName="ab", EndpointConfigName="ab")
        assert sandbox.wait_settled(SECONDS)
        assert {_ask(runtime, "ab")["variant"] for _ in range(40)} == {"A", "B"}
        wanted = [{"VariantName": "A", "DesiredWeight": 0.0}, {"VariantName": "B", "DesiredWeight": 9.0}]
        pids = {_ask(runtime, "ab", TargetVariant=name)["pid"] for name in "AB"}
        sagemaker.update_endpoint_weights_and_capacities(
            EndpointName="ab", DesiredWeightsAndCapacities=wanted
        )
        first = sagemaker.describe_endpoint(EndpointName="ab")
        assert [variant["DesiredWeight"] for variant in first["ProductionVariants"]] == [0.0, 9.0]
        assert sandbox.wait_settled(SECONDS)
        assert {_ask(runtime, "ab")["variant"] for _ in range(20)} == {"B"}
        assert {_ask(runtime, "ab", TargetVariant=name)["pid"] for name in "AB"} == pids
    with Sandbox(tmp_path, programs=stub_programs) as sandbox:
        assert sandbox.wait_settled(SECONDS)
        sagemaker, runtime = make_client(sandbox, "sagemaker"), make_client(sandbox, "sagemaker-runtime")
        endpoint = sagemaker.describe_endpoint(EndpointName="ab")
        assert [variant["CurrentWeight"] for variant in endpoint["ProductionVariants"]] == [0.0, 9.0]
        assert {_ask(runtime, "ab")["variant"] for _ in range(20)} == {"B"}


def test_an_update_continues_after_a_restart(
    tmp_path: Path,
    stub_programs: dict[str, list[str]],
    make_endpoint: Endpoint,
    make_client: Client,
    eventually: Client,
) -> None:
    """The old model is restored and answers; then the new one replaces it, with or without its configuration."""
    with Sandbox(tmp_path, programs=stub_programs) as sandbox:
        old = make_endpoint(sandbox, files={"old": b""})
        gate = tmp_path / "gate"
        gate.touch()
        new = make_endpoint(sandbox, files={"new": b""}, behavior={"gate": str(gate)})
        gate.unlink()
        sagemaker = make_client(sandbox, "sagemaker")
        sagemaker.update_endpoint(EndpointName=old, EndpointConfigName=new)
        sagemaker.delete_endpoint_config(EndpointConfigName=new)
        assert sagemaker.describe_endpoint(EndpointName=old)["EndpointStatus"] == "Updating"
    with Sandbox(tmp_path, programs=stub_programs) as sandbox:
        sagemaker, runtime = make_client(sandbox, "sagemaker"), make_client(sandbox, "sagemaker-runtime")
        assert sagemaker.describe_endpoint(EndpointName=old)["EndpointStatus"] == "Updating"
        assert "old" in eventually(lambda: _answer(runtime, old))["model"]
        gate.touch()
        assert sandbox.wait_settled(SECONDS)
        endpoint = sagemaker.describe_endpoint(EndpointName=old)
        assert (endpoint["EndpointStatus"], endpoint["EndpointConfigName"]) == ("InService", new)
        assert "new" in _ask(runtime, old)["model"]


@pytest.mark.parametrize(
    "case",
    [
        (None, (1.0, 1)),
        ([], (5.0, 2)),
        (["DesiredWeight"], (1.0, 2)),
        (["DesiredInstanceCount"], (5.0, 1)),
    ],
)
def test_variant_properties_are_retained_when_asked(
    sagemaker: Any,
    endpoint: Endpoint,
    config: Config,
    settled: Client,
    case: tuple[list[str] | None, tuple[float, int]],
) -> None:
    """RetainAllVariantProperties keeps weight and count of variants of the same name, with exclusions."""
    (excluded, shown), name = case, endpoint()
    wanted = [{"VariantName": "AllTraffic", "DesiredWeight": 5.0, "DesiredInstanceCount": 2}]
    sagemaker.update_endpoint_weights_and_capacities(EndpointName=name, DesiredWeightsAndCapacities=wanted)
    settled(name)
    members: dict[str, Any] = {}
    if excluded is not None:
        kinds = [{"VariantPropertyType": kind} for kind in excluded]
        members = {"RetainAllVariantProperties": True, "ExcludeRetainedVariantProperties": kinds}
    other = config(f"{name}-other", name)
    sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=other, **members)
    variant = settled(name)["ProductionVariants"][0]
    assert (variant["CurrentWeight"], variant["CurrentInstanceCount"]) == shown
    sagemaker.delete_endpoint(EndpointName=name)


def test_what_cannot_be_updated_is_refused(sagemaker: Any, endpoint: Endpoint, settled: Client) -> None:
    """Missing endpoints, configurations and variants, a failed endpoint, and gradual traffic shifts are refused."""
    name = endpoint()
    both = {"EndpointName": name, "EndpointConfigName": name}
    update = sagemaker.update_endpoint
    assert "Could not find endpoint " in _refused(update, **{**both, "EndpointName": "none"})[1]
    text = _refused(update, **{**both, "EndpointConfigName": "none"})[1]
    assert text.startswith("Could not find endpoint configuration")
    change = sagemaker.update_endpoint_weights_and_capacities
    wanted = [{"VariantName": "None", "DesiredWeight": 1.0}]
    assert (
        "Could not find endpoint "
        in _refused(change, EndpointName="none", DesiredWeightsAndCapacities=wanted)[1]
    )
    text = _refused(change, EndpointName=name, DesiredWeightsAndCapacities=wanted)[1]
    assert text.startswith('The variant name(s) "None" is/are not present within endpoint configuration')
    steps = {
        "Type": "CANARY",
        "WaitIntervalInSeconds": 60,
        "CanarySize": {"Type": "INSTANCE_COUNT", "Value": 1},
    }
    policy = {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": steps}}
    assert "all traffic at once" in _refused(update, **both, DeploymentConfig=policy)[1]
    sagemaker.create_model(ModelName="fails", PrimaryContainer={"Image": "unknown"})
    variant = {
        "VariantName": "A",
        "ModelName": "fails",
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
    }
    sagemaker.create_endpoint_config(EndpointConfigName="fails", ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName="fails", EndpointConfigName="fails")
    assert settled("fails")["EndpointStatus"] == "Failed"
    assert "it can only be deleted" in _refused(update, EndpointName="fails", EndpointConfigName=name)[1]


def test_an_endpoint_whose_configuration_is_gone_cannot_be_updated(
    sagemaker: Any, endpoint: Endpoint
) -> None:
    """As in AWS, an update needs the old configuration and the new one."""
    name, new = endpoint(), endpoint()
    sagemaker.delete_endpoint_config(EndpointConfigName=name)
    text = _refused(sagemaker.update_endpoint, EndpointName=name, EndpointConfigName=new)[1]
    assert text.startswith("Could not find endpoint configuration")
    assert text.endswith(f'endpoint-config/{name}".')
