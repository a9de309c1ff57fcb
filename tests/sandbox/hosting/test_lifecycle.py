"""Endpoints: created, in service, failed with a reason, deleted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sandbox.common.limits import SandboxLimits
from sandbox.server import Sandbox
from tests.support.patience import WAITER

Client = Callable[..., Any]
Endpoint = Callable[..., str]


def _failed(client: Client, eventually: Callable[..., Any], name: str) -> str:
    """Return the FailureReason of an endpoint that is expected to fail."""
    sagemaker = client("sagemaker")

    def settled() -> dict[str, Any] | None:
        endpoint: dict[str, Any] = sagemaker.describe_endpoint(EndpointName=name)
        return endpoint if endpoint["EndpointStatus"] != "Creating" else None

    endpoint = eventually(settled)
    assert endpoint["EndpointStatus"] == "Failed", endpoint
    return str(endpoint["FailureReason"])


def test_an_endpoint_is_creating_first_and_in_service_when_ping_answers(
    client: Client, stub_endpoint: Endpoint, tmp_path: Path
) -> None:
    """CreateEndpoint returns immediately; the endpoint is InService only after /ping returns 200."""
    gate = tmp_path / "gate"
    name = stub_endpoint(behavior={"gate": str(gate)}, wait=False)
    sagemaker = client("sagemaker")
    first = sagemaker.describe_endpoint(EndpointName=name)
    gate.touch()
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=name, WaiterConfig=WAITER)
    last = sagemaker.describe_endpoint(EndpointName=name)
    assert (first["EndpointStatus"], last["EndpointStatus"]) == ("Creating", "InService")
    assert "ProductionVariants" not in first
    variant = last["ProductionVariants"][0]
    assert variant["VariantName"] == "AllTraffic"
    assert variant["DeployedImages"][0]["SpecifiedImage"].endswith("/semantic-segmentation:1")
    assert (variant["CurrentWeight"], variant["CurrentInstanceCount"]) == (1.0, 1)
    assert last["EndpointConfigName"] == name
    assert last["LastModifiedTime"] > last["CreationTime"]


def test_a_deleted_endpoint_is_deleting_and_then_gone(
    tmp_path: Path, stub_programs: dict[str, list[str]], make_client: Client, make_endpoint: Endpoint
) -> None:
    """DeleteEndpoint returns immediately, the process ends, and the name is free again."""
    end = tmp_path / "end"
    limits = SandboxLimits(stop_seconds=600)
    with Sandbox(tmp_path / "data", programs=stub_programs, limits=limits) as sandbox:
        name = make_endpoint(sandbox, behavior={"lingers": str(end)})
        sagemaker = make_client(sandbox, "sagemaker")
        sagemaker.delete_endpoint(EndpointName=name)
        assert sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"] == "Deleting"
        with pytest.raises(ClientError, match="Cannot update in-progress endpoint"):
            sagemaker.delete_endpoint(EndpointName=name)
        end.touch()
        sagemaker.get_waiter("endpoint_deleted").wait(EndpointName=name, WaiterConfig=WAITER)
        with pytest.raises(ClientError, match="Could not find endpoint"):
            sagemaker.describe_endpoint(EndpointName=name)


def _serve(
    client: Client,
    eventually: Callable[..., Any],
    model: str,
    container: dict[str, str],
    before: Callable[[], object] = lambda: None,
) -> str:
    """Create an endpoint of a model that cannot be served, after `before`; return its FailureReason."""
    sagemaker = client("sagemaker")
    variant = {"VariantName": "AllTraffic", "ModelName": model, "InstanceType": "ml.m5.large"}
    sagemaker.create_model(ModelName=model, PrimaryContainer=container)
    before()
    sagemaker.create_endpoint_config(
        EndpointConfigName=model, ProductionVariants=[{**variant, "InitialInstanceCount": 1}]
    )
    sagemaker.create_endpoint(EndpointName=model, EndpointConfigName=model)
    return _failed(client, eventually, model)


def test_missing_model_data_is_the_failure_reason(client: Client, eventually: Callable[..., Any]) -> None:
    """An endpoint whose artifact was deleted from S3 fails and names the artifact."""
    s3, place = client("s3"), {"Bucket": "deleted-models", "Key": "none.tar.gz"}
    s3.create_bucket(Bucket=place["Bucket"])
    s3.put_object(**place, Body=b"")
    container = {"Image": "x/semantic-segmentation:1", "ModelDataUrl": "s3://deleted-models/none.tar.gz"}
    reason = _serve(client, eventually, "no-data", container, lambda: s3.delete_object(**place))
    assert reason == "Could not find model data at s3://deleted-models/none.tar.gz."


def test_a_broken_archive_is_the_failure_reason(client: Client, eventually: Callable[..., Any]) -> None:
    """An archive that cannot be unpacked is reported in AWS's words with the cause."""
    client("s3").create_bucket(Bucket="broken-archives")
    client("s3").put_object(Bucket="broken-archives", Key="model.tar.gz", Body=b"this is not an archive")
    url = "s3://broken-archives/model.tar.gz"
    reason = _serve(client, eventually, "broken", {"Image": "x/semantic-segmentation:1", "ModelDataUrl": url})
    assert reason.startswith(
        f'Failed to extract model data archive for container "container_1" from URL "{url}"'
    )
    assert "Not a gzipped file" in reason


def test_a_container_that_exits_gives_its_last_line_as_reason(
    client: Client, eventually: Callable[..., Any], stub_endpoint: Endpoint
) -> None:
    """The process's last line is in the FailureReason and in the endpoint's log."""
    name = stub_endpoint(behavior={"exit": "ModuleNotFoundError: No module named 'mxnet'"}, wait=False)
    reason = _failed(client, eventually, name)
    assert "did not pass the ping health check" in reason
    assert "exit code 1: ModuleNotFoundError: No module named 'mxnet'" in reason

    def lines() -> list[str]:
        page = client("logs").filter_log_events(logGroupName=f"/aws/sagemaker/Endpoints/{name}")
        return [event["message"] for event in page["events"]]

    group = f"/aws/sagemaker/Endpoints/{name}"
    eventually(lambda: client("logs").describe_log_groups(logGroupNamePrefix=group)["logGroups"])
    assert eventually(lines) == ["ModuleNotFoundError: No module named 'mxnet'"]


def test_an_image_without_a_program_is_the_failure_reason(
    client: Client, eventually: Callable[..., Any]
) -> None:
    """The reason lists the images that the sandbox has programs for."""
    container = {"Image": "683313688378.dkr.ecr.us-east-1.amazonaws.com/xgboost:1"}
    reason = _serve(client, eventually, "no-program", container)
    assert reason.endswith('xgboost:1" (available: semantic-segmentation).')


def test_an_endpoint_outlives_its_model_and_configuration(client: Client, stub_endpoint: Endpoint) -> None:
    """Deleting the model and the configuration of a live endpoint leaves it in service, as in AWS."""
    name = stub_endpoint(files={"answer.png": b"mask"})
    sagemaker = client("sagemaker")
    sagemaker.delete_model(ModelName=name)
    sagemaker.delete_endpoint_config(EndpointConfigName=name)
    answer = client("sagemaker-runtime").invoke_endpoint(EndpointName=name, Body=b"x", Accept="image/png")
    assert answer["Body"].read() == b"mask"


def test_a_process_that_dies_is_started_again(
    client: Client, stub_endpoint: Endpoint, eventually: Callable[..., Any], tmp_path: Path
) -> None:
    """The endpoint stays InService; calls get ModelErrors until a new process answers."""
    gate = tmp_path / "gate"
    gate.touch()
    name = stub_endpoint(behavior={"mortal": True, "gate": str(gate)})
    gate.unlink()  # the next process is not ready before the test says so
    runtime = client("sagemaker-runtime")
    first = runtime.invoke_endpoint(EndpointName=name, Body=b"x")["Body"].read()
    with pytest.raises(runtime.exceptions.ModelError):
        runtime.invoke_endpoint(EndpointName=name, Body=b"x", CustomAttributes="die")
    with pytest.raises(runtime.exceptions.ModelError) as caught:
        runtime.invoke_endpoint(EndpointName=name, Body=b"x")
    assert caught.value.response["OriginalStatusCode"] == 503
    assert client("sagemaker").describe_endpoint(EndpointName=name)["EndpointStatus"] == "InService"
    gate.touch()

    def answer() -> bytes | None:
        try:
            body: bytes = runtime.invoke_endpoint(EndpointName=name, Body=b"x")["Body"].read()
        except runtime.exceptions.ModelError:
            return None
        return body

    assert eventually(answer) != first
