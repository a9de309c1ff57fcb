"""Injected faults: what a client sees of each."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError, ResponseStreamingError

from sandbox.http.faults import WORKERS, Faults
from sandbox.server import Sandbox

Client = Callable[..., Any]
Endpoint = Callable[..., str]


def test_an_error_comes_as_often_as_asked(sandbox: Sandbox, client: Client) -> None:
    """Two throttled calls, then the real response; other operations are not affected."""
    sandbox.faults.add("error", operation="ListEndpoints", code="ThrottlingException", times=2)
    sagemaker = client("sagemaker")
    for _ in range(2):
        with pytest.raises(ClientError) as caught:
            sagemaker.list_endpoints()
        assert caught.value.response["Error"] == {"Code": "ThrottlingException", "Message": "Rate exceeded"}
    assert "Models" in sagemaker.list_models()
    assert "Endpoints" in sagemaker.list_endpoints()
    assert sandbox.faults.hits == [("error", "ListEndpoints")] * 2


@pytest.mark.parametrize(
    ("service", "call", "operation"),
    [
        ("s3", "list_buckets", "GET /"),
        ("logs", "describe_log_groups", "DescribeLogGroups"),
        ("sts", "get_caller_identity", "GetCallerIdentity"),
        ("cloudwatch", "list_metrics", "ListMetrics"),
    ],
)
def test_an_error_speaks_the_services_protocol(
    sandbox: Sandbox, client: Client, service: str, call: str, operation: str
) -> None:
    """Code, message and status arrive through XML, JSON and CBOR."""
    options = {"code": "AccessDenied", "message": "No <entry>.", "status": 403}
    sandbox.faults.add("error", operation=operation, service="s3|logs|sts|monitoring", **options)
    with pytest.raises(ClientError) as caught:
        getattr(client(service), call)()
    error = caught.value.response["Error"]
    assert (error["Code"], error["Message"]) == ("AccessDenied", "No <entry>.")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


@pytest.mark.parametrize("kind", ["reset", "drop"])
def test_a_connection_ends_before_the_answer(sandbox: Sandbox, client: Client, kind: str) -> None:
    """RST and FIN instead of a response are a closed connection."""
    sandbox.faults.add(kind, operation="ListModels", times=1)
    sagemaker = client("sagemaker")
    with pytest.raises(ConnectionClosedError):
        sagemaker.list_models()
    assert "Models" in sagemaker.list_models()


def test_a_delay_outlasts_the_clients_patience(sandbox: Sandbox, client: Client) -> None:
    """The response is late, and a client with a shorter timeout sees a timeout."""
    sandbox.faults.add("delay", operation="ListModels", seconds=600, times=1)
    with pytest.raises(ReadTimeoutError):
        client("sagemaker", read_timeout=0.3).list_models()


def test_faults_of_workers_are_rules_of_their_own() -> None:
    """A worker's fault applies to no request, and a request's to no worker; a delay applies to both."""
    faults = Faults()
    for kind in ("hang", "reset"):
        faults.add(kind, times=1)
    assert faults.match("sagemaker", "ListModels") is not None
    assert faults.match(WORKERS, "job/1 bucket/a.jpg") is not None
    assert faults.hits == [("reset", "ListModels"), ("hang", "job/1 bucket/a.jpg")]
    faults.add("delay", operation="job/2 .*")
    assert faults.match(WORKERS, "job/1 bucket/a.jpg") is None
    assert faults.match(WORKERS, "job/2 bucket/a.jpg") is not None


def test_clearing_ends_a_delay(sandbox: Sandbox, client: Client, eventually: Callable[..., Any]) -> None:
    """A delayed response is sent as soon as the faults are cleared."""
    sandbox.faults.add("delay", operation="ListModels", seconds=600)
    with ThreadPoolExecutor() as pool:
        held = pool.submit(client("sagemaker", read_timeout=120).list_models)
        eventually(lambda: sandbox.faults.hits)
        sandbox.faults.clear()
        assert "Models" in held.result()


def test_a_lost_reply_leaves_the_work_done(sandbox: Sandbox, client: Client) -> None:
    """The model exists although the client's connection broke."""
    sandbox.faults.add("lost_reply", operation="CreateModel", times=1)
    sagemaker = client("sagemaker")
    with pytest.raises(ConnectionClosedError):
        sagemaker.create_model(ModelName="lost-reply", PrimaryContainer={"Image": "x"})
    assert sagemaker.describe_model(ModelName="lost-reply")["ModelName"] == "lost-reply"


@pytest.mark.parametrize("kind", ["truncate", "reset_body"])
def test_an_answer_is_cut(sandbox: Sandbox, client: Client, stub_endpoint: Endpoint, kind: str) -> None:
    """The headers are real, the body ends early."""
    name = stub_endpoint(behavior={"bytes": 1_000_000})
    sandbox.faults.add(kind, operation="InvokeEndpoint", at=1000, times=1)
    runtime = client("sagemaker-runtime")
    answer = runtime.invoke_endpoint(EndpointName=name, Body=b"x")
    with pytest.raises(ResponseStreamingError):
        answer["Body"].read()
    assert len(runtime.invoke_endpoint(EndpointName=name, Body=b"x")["Body"].read()) == 1_000_000


def test_a_slow_answer_is_whole(sandbox: Sandbox, client: Client, stub_endpoint: Endpoint) -> None:
    """The body comes in pieces with pauses."""
    name = stub_endpoint()
    sandbox.faults.add("slow", operation="InvokeEndpoint", chunk=16, pause=0.01, times=1)
    answer = client("sagemaker-runtime").invoke_endpoint(EndpointName=name, Body=b"x")
    assert json.loads(answer["Body"].read())["length"] == 1


def test_an_unknown_kind_is_refused(sandbox: Sandbox) -> None:
    """A misspelled fault raises an error."""
    with pytest.raises(ValueError, match="unknown fault 'eror'"):
        sandbox.faults.add("eror")
