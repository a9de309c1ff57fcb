"""InvokeEndpoint: the container's request, the client's response, and every failure."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, ResponseStreamingError

from sandbox.common.limits import SandboxLimits
from sandbox.server import Sandbox
from tests.support.patience import SECONDS, WAITER

Client = Callable[..., Any]
Endpoint = Callable[..., str]
LIMIT = 6_291_456


def _refused(client: Client, **members: Any) -> dict[str, Any]:
    runtime = client("sagemaker-runtime")
    with pytest.raises(ClientError) as caught:
        runtime.invoke_endpoint(**{"Body": b"x", **members})
    response: dict[str, Any] = caught.value.response
    return response


def test_a_request_reaches_the_container_as_it_was_made(client: Client, stub_endpoint: Endpoint) -> None:
    """Body, Content-Type, Accept, custom attributes and inference id are passed on; the variant is returned."""
    name = stub_endpoint(files={"extra": b""})
    answer = client("sagemaker-runtime").invoke_endpoint(
        EndpointName=name,
        Body=bytes(100_000),
        ContentType="image/jpeg",
        Accept="application/x-other",
        CustomAttributes="trace=1",
        InferenceId="id-7",
        TargetVariant="AllTraffic",
    )
    seen = json.loads(answer["Body"].read())
    del seen["pid"]
    assert seen == {
        "length": 100_000,
        "model": ["behavior.json", "extra"],
        "Content-Type": "image/jpeg",
        "Accept": "application/x-other",
        "X-Amzn-SageMaker-Custom-Attributes": "trace=1",
        "X-Amzn-SageMaker-Inference-Id": "id-7",
    }
    assert answer["ContentType"] == "application/json"
    assert answer["InvokedProductionVariant"] == "AllTraffic"
    assert answer["CustomAttributes"] == "trace=1"
    assert answer["ResponseMetadata"]["RequestId"]


def test_the_stub_serves_a_canned_answer_by_accept(client: Client, stub_endpoint: Endpoint) -> None:
    """Other tests put bytes of their choice into the model archive."""
    name = stub_endpoint(files={"answer.recordio": b"record", "answer.png": b"png"})
    runtime = client("sagemaker-runtime")
    for accept, body in (("application/x-recordio-protobuf", b"record"), ("image/png", b"png")):
        answer = runtime.invoke_endpoint(
            EndpointName=name, Body=b"x", ContentType="image/jpeg", Accept=accept
        )
        assert (answer["Body"].read(), answer["ContentType"]) == (body, accept)


def test_forty_megabytes_come_through_whole(client: Client, stub_endpoint: Endpoint) -> None:
    """A response of 40 MB arrives complete, with its length."""
    name = stub_endpoint(behavior={"bytes": 40_000_000})
    answer = client("sagemaker-runtime").invoke_endpoint(EndpointName=name, Body=b"x")
    assert answer["ResponseMetadata"]["HTTPHeaders"]["content-length"] == "40000000"
    assert len(answer["Body"].read()) == 40_000_000


def test_a_missing_endpoint_is_not_found(client: Client, stub_endpoint: Endpoint) -> None:
    """ValidationError 400, also for a name that differs in case."""
    stub_endpoint(name="Case-Counts")
    for name in ("none", "case-counts"):
        error = _refused(client, EndpointName=name)
        assert error["Error"]["Code"] == "ValidationError"
        assert error["Error"]["Message"] == f"Endpoint {name} of account 123456789012 not found."
        assert error["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_a_missing_variant_is_not_found(client: Client, stub_endpoint: Endpoint) -> None:
    """TargetVariant must name a variant of the endpoint."""
    error = _refused(client, EndpointName=stub_endpoint(), TargetVariant="None")
    assert error["Error"]["Code"] == "ValidationError"
    assert error["Error"]["Message"].startswith("Variant None of endpoint")


@pytest.mark.parametrize(
    ("status", "side"), [(400, "client"), (415, "client"), (500, "server"), (503, "server")]
)
def test_a_containers_error_is_a_model_error(
    client: Client, stub_endpoint: Endpoint, status: int, side: str
) -> None:
    """424 with the container's status and text, AWS's sentence, and the link to the log."""
    name = stub_endpoint(behavior={"status": status, "text": 'Unsupported "content"'})
    error = _refused(client, EndpointName=name)
    group = f"/aws/sagemaker/Endpoints/{name}"
    assert error["Error"]["Code"] == "ModelError"
    assert error["Error"]["Message"] == (
        f'Received {side} error ({status}) from primary with message "Unsupported "content"". See '
        "https://us-east-1.console.aws.amazon.com/cloudwatch/home?region=us-east-1"
        f"#logEventViewer:group={group} in account 123456789012 for more information."
    )
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert (error["OriginalStatusCode"], error["OriginalMessage"]) == (status, 'Unsupported "content"')
    arn = f"arn:aws:logs:us-east-1:123456789012:log-group:{group}:log-stream:AllTraffic/i-"
    assert error["LogStreamArn"].startswith(arn)


@pytest.mark.parametrize(("size", "good"), [(LIMIT, True), (LIMIT + 1, False), (40_000_000, False)])
def test_a_body_above_six_mebibytes_is_refused(
    client: Client, stub_endpoint: Endpoint, size: int, good: bool
) -> None:
    """6,291,456 bytes are accepted; one more is a ModelError whose original status is 413."""
    name = stub_endpoint()
    if good:
        answer = client("sagemaker-runtime").invoke_endpoint(EndpointName=name, Body=bytes(size))
        assert json.loads(answer["Body"].read())["length"] == size
    else:
        error = _refused(client, EndpointName=name, Body=bytes(size))
        assert (error["Error"]["Code"], error["OriginalStatusCode"]) == ("ModelError", 413)
        assert "Received client error (413) from primary" in error["Error"]["Message"]


def test_an_aborted_response_is_an_error(client: Client, stub_endpoint: Endpoint) -> None:
    """A response shorter than its declared length raises an error in the client."""
    name = stub_endpoint(behavior={"bytes": 5_000_000, "cut": 3_000_000})
    answer = client("sagemaker-runtime").invoke_endpoint(EndpointName=name, Body=b"x")
    with pytest.raises(ResponseStreamingError):
        answer["Body"].read()


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory, stub_programs: dict[str, list[str]]) -> Iterator[Sandbox]:
    """A sandbox with an invocation timeout of moments instead of AWS's 60 seconds."""
    limits = SandboxLimits(invocation_seconds=0.3, stop_seconds=0.2)
    with Sandbox(tmp_path_factory.mktemp("hasty"), programs=stub_programs, limits=limits) as sandbox:
        yield sandbox


def test_a_container_that_takes_too_long_is_timed_out(
    hasty: Sandbox, make_client: Client, make_endpoint: Client
) -> None:
    """After the invocation timeout the client gets a ModelError in AWS's words."""
    name = make_endpoint(hasty, behavior={"seconds": 600})
    error = _refused(lambda service: make_client(hasty, service), EndpointName=name)
    assert (error["Error"]["Code"], error["OriginalStatusCode"]) == ("ModelError", 0)
    assert (
        "Your invocation timed out while waiting for a response from container primary."
        in error["Error"]["Message"]
    )


def test_a_container_that_never_gets_ready_fails(
    tmp_path: Path, stub_programs: dict[str, list[str]], make_client: Client, make_endpoint: Client
) -> None:
    """The endpoint fails when /ping does not return 200 in time, and cannot be invoked before or after."""
    limits = SandboxLimits(startup_seconds=0.6, stop_seconds=0.2)
    with Sandbox(tmp_path, programs=stub_programs, limits=limits) as hasty:
        name = make_endpoint(hasty, behavior={"ping_seconds": 600}, wait=False)
        creating = _refused(lambda service: make_client(hasty, service), EndpointName=name)
        assert hasty.wait_settled(SECONDS)
        failed = _refused(lambda service: make_client(hasty, service), EndpointName=name)
        assert creating["Error"] == failed["Error"]
        assert failed["Error"]["Message"] == f"Endpoint {name} of account 123456789012 not found."
        endpoint = make_client(hasty, "sagemaker").describe_endpoint(EndpointName=name)
    assert endpoint["EndpointStatus"] == "Failed"
    assert (
        "did not pass the ping health check: it did not answer /ping with 200 within 0.6 s"
        in endpoint["FailureReason"]
    )


def test_variants_share_the_traffic_by_weight(client: Client, stub_endpoint: Endpoint) -> None:
    """Each of two variants is its own process; a weight of 0 gets only requests with TargetVariant."""
    name, sagemaker = stub_endpoint(), client("sagemaker")
    variant = {"ModelName": name, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    weights = {"Heavy": 3.0, "Light": 1.0, "Shadow": 0.0}
    variants = [
        {**variant, "VariantName": key, "InitialVariantWeight": weight} for key, weight in weights.items()
    ]
    sagemaker.create_endpoint_config(EndpointConfigName="weighted", ProductionVariants=variants)
    sagemaker.create_endpoint(EndpointName="weighted", EndpointConfigName="weighted")
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName="weighted", WaiterConfig=WAITER)
    runtime = client("sagemaker-runtime")

    def variant_of(**members: str) -> str:
        answer = runtime.invoke_endpoint(EndpointName="weighted", Body=b"x", **members)
        answer["Body"].read()
        return str(answer["InvokedProductionVariant"])

    seen = Counter(variant_of() for _ in range(200))
    assert seen.keys() == {"Heavy", "Light"}
    assert 110 < seen["Heavy"] < 190
    assert variant_of(TargetVariant="Shadow") == "Shadow"
    shown = sagemaker.describe_endpoint(EndpointName="weighted")["ProductionVariants"]
    assert {
        shown_variant["VariantName"]: shown_variant["CurrentWeight"] for shown_variant in shown
    } == weights
    sagemaker.delete_endpoint(EndpointName="weighted")


def test_invocations_are_counted_in_cloudwatch(
    client: Client, stub_endpoint: Endpoint, eventually: Callable[..., Any]
) -> None:
    """Counts and latencies in microseconds, by endpoint and variant, in the namespace AWS/SageMaker."""
    name = stub_endpoint(behavior={"seconds": 0.05})
    bad = stub_endpoint(behavior={"status": 415})
    runtime, cloudwatch = client("sagemaker-runtime"), client("cloudwatch")
    began = time.monotonic()
    for _ in range(3):
        runtime.invoke_endpoint(EndpointName=name, Body=b"x")["Body"].read()
    took = 1_000_000 * (time.monotonic() - began)
    _refused(client, EndpointName=bad)

    def statistics(endpoint: str, metric: str) -> dict[str, Any] | None:
        now = datetime.now(UTC)
        points = cloudwatch.get_metric_statistics(
            Namespace="AWS/SageMaker",
            MetricName=metric,
            Dimensions=[
                {"Name": "EndpointName", "Value": endpoint},
                {"Name": "VariantName", "Value": "AllTraffic"},
            ],
            StartTime=now - timedelta(hours=1),
            EndTime=now + timedelta(hours=1),
            Period=7200,
            Statistics=["Sum", "SampleCount", "Minimum", "Maximum"],
        )["Datapoints"]
        return points[0] if points and points[0]["SampleCount"] >= (3 if endpoint == name else 1) else None

    assert eventually(lambda: statistics(name, "Invocations"))["Sum"] == 3
    assert eventually(lambda: statistics(name, "InvocationsPerInstance"))["Sum"] == 3
    latency = eventually(lambda: statistics(name, "ModelLatency"))
    assert 50_000 <= latency["Minimum"] <= latency["Maximum"] <= took
    assert eventually(lambda: statistics(name, "Invocation4XXErrors"))["Sum"] == 0
    assert eventually(lambda: statistics(bad, "Invocation4XXErrors"))["Sum"] == 1
    assert eventually(lambda: statistics(bad, "Invocation5XXErrors"))["Sum"] == 0


def test_a_refused_body_is_counted_without_a_latency(
    client: Client, stub_endpoint: Endpoint, eventually: Callable[..., Any]
) -> None:
    """A request that never reached the container is a client error without a model latency."""
    name, cloudwatch = stub_endpoint(), client("cloudwatch")
    _refused(client, EndpointName=name, Body=bytes(LIMIT + 1))
    dimensions = [{"Name": "EndpointName", "Value": name}]

    def metric_names() -> set[str]:
        page = cloudwatch.list_metrics(Namespace="AWS/SageMaker", Dimensions=dimensions)["Metrics"]
        return {metric["MetricName"] for metric in page}

    eventually(lambda: "Invocation4XXErrors" in metric_names())
    assert "ModelLatency" not in metric_names()


def test_what_the_container_prints_is_in_its_log_stream(
    client: Client, stub_endpoint: Endpoint, eventually: Callable[..., Any]
) -> None:
    """Its output is in one stream VARIANT/INSTANCE of the endpoint's log group."""
    group = f"/aws/sagemaker/Endpoints/{stub_endpoint()}"
    logs = client("logs")
    eventually(lambda: logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"])
    streams = eventually(lambda: logs.describe_log_streams(logGroupName=group)["logStreams"])
    assert [stream["logStreamName"].startswith("AllTraffic/i-") for stream in streams] == [True]

    def messages() -> list[str]:
        name = streams[0]["logStreamName"]
        page = logs.get_log_events(logGroupName=group, logStreamName=name, startFromHead=True)
        return [event["message"] for event in page["events"]]

    assert eventually(messages)[0] == "stub serving ['behavior.json']"


def test_what_a_models_processes_use_is_measured(
    tmp_path: Path,
    stub_programs: dict[str, list[str]],
    make_client: Client,
    make_endpoint: Client,
    eventually: Callable[..., Any],
) -> None:
    """Processor, memory and disk are sampled under /aws/sagemaker/Endpoints, by endpoint and variant."""
    if not Path("/proc").exists():
        pytest.skip("this system does not report what processes use")
    limits = SandboxLimits(endpoint_usage_seconds=0.2)
    with Sandbox(tmp_path, programs=stub_programs, limits=limits) as sandbox:
        name = make_endpoint(sandbox)
        cloudwatch = make_client(sandbox, "cloudwatch")
        dimensions = [
            {"Name": "EndpointName", "Value": name},
            {"Name": "VariantName", "Value": "AllTraffic"},
        ]

        def highest(metric: str) -> float | None:
            now = datetime.now(UTC)
            points = cloudwatch.get_metric_statistics(
                Namespace="/aws/sagemaker/Endpoints",
                MetricName=metric,
                Dimensions=dimensions,
                StartTime=now - timedelta(hours=1),
                EndTime=now + timedelta(hours=1),
                Period=7200,
                Statistics=["Maximum"],
            )["Datapoints"]
            return points[0]["Maximum"] + 1e-9 if points else None

        for metric in ("MemoryUtilization", "DiskUtilization"):
            assert 0 < eventually(lambda metric=metric: highest(metric)) <= 100 + 1e-6
        assert eventually(lambda: highest("CPUUtilization")) >= 0
