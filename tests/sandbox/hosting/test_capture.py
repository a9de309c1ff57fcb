"""Data capture: an endpoint's requests and responses in S3."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

from tests.support.patience import WAITER

Client = Callable[..., Any]


def _records(client: Client, eventually: Callable[..., Any], prefix: str) -> list[dict[str, Any]]:
    """Return the captured records below a prefix, once there is one."""
    s3 = client("s3")

    def keys() -> list[str]:
        return [
            item["Key"]
            for item in s3.list_objects_v2(Bucket="stub-models", Prefix=prefix).get("Contents", [])
        ]

    bodies = [s3.get_object(Bucket="stub-models", Key=key)["Body"].read() for key in eventually(keys)]
    return [json.loads(line) for body in bodies for line in body.splitlines()]


def test_requests_and_responses_are_captured(
    client: Client, stub_endpoint: Callable[..., str], eventually: Callable[..., Any]
) -> None:
    """After an update to a configuration with data capture, each invocation is a record; DescribeEndpoint says so."""
    name, sagemaker = stub_endpoint(files={"answer.png": b"mask"}), client("sagemaker")
    capture = {
        "EnableCapture": True,
        "InitialSamplingPercentage": 100,
        "DestinationS3Uri": "s3://stub-models/captured",
        "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
        "CaptureContentTypeHeader": {"JsonContentTypes": ["application/json"]},
    }
    variant = sagemaker.describe_endpoint_config(EndpointConfigName=name)["ProductionVariants"]
    config = f"{name}-captured"
    sagemaker.create_endpoint_config(
        EndpointConfigName=config, ProductionVariants=variant, DataCaptureConfig=capture
    )
    sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=config)
    wait = {"EndpointName": name, "WaiterConfig": WAITER}
    sagemaker.get_waiter("endpoint_in_service").wait(**wait)
    described = sagemaker.describe_endpoint(EndpointName=name)["DataCaptureConfig"]
    assert (described["CaptureStatus"], described["CurrentSamplingPercentage"]) == ("Started", 100)
    runtime = client("sagemaker-runtime")
    sent = {"EndpointName": name, "Body": b'{"a": 1}', "ContentType": "application/json"}
    assert runtime.invoke_endpoint(**sent, Accept="image/png", InferenceId="id-7")["Body"].read() == b"mask"
    (record,) = _records(client, eventually, f"captured/{name}/AllTraffic/")
    mask = base64.b64encode(b"mask").decode()
    assert record["captureData"] == {
        "endpointInput": {
            "observedContentType": "application/json",
            "mode": "INPUT",
            "data": '{"a": 1}',
            "encoding": "JSON",
        },
        "endpointOutput": {
            "observedContentType": "image/png",
            "mode": "OUTPUT",
            "data": mask,
            "encoding": "BASE64",
        },
    }
    assert record["eventMetadata"]["inferenceId"] == "id-7"


def test_capture_that_is_off(client: Client, stub_endpoint: Callable[..., str]) -> None:
    """Without a capture configuration DescribeEndpoint reports none."""
    assert "DataCaptureConfig" not in client("sagemaker").describe_endpoint(EndpointName=stub_endpoint())
