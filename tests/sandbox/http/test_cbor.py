"""CBOR of the sandbox, against botocore's own writer and reader of the protocol."""

from __future__ import annotations

import math
from typing import Any

import pytest
from botocore.parsers import create_parser
from botocore.serialize import create_serializer

from sandbox.http import cbor
from sandbox.http.protocol import ApiError, service

AT = 1_800_000_000.5


def _sent(operation: str, params: dict[str, Any]) -> Any:
    """Return what the sandbox decodes from botocore's request."""
    serializer = create_serializer("smithy-rpc-v2-cbor", include_validation=False)
    request = serializer.serialize_to_request(params, service("cloudwatch").operation_model(operation))
    return cbor.decode(request["body"])


def _received(operation: str, result: dict[str, Any]) -> Any:
    """Return what botocore decodes from the sandbox's response."""
    shape = service("cloudwatch").operation_model(operation).output_shape
    headers = {"smithy-protocol": cbor.PROTOCOL}
    answer = {"status_code": 200, "headers": headers, "body": cbor.encode(shape, result)}
    parsed = create_parser("smithy-rpc-v2-cbor").parse(answer, shape)
    return {name: value for name, value in parsed.items() if name != "ResponseMetadata"}


def test_request() -> None:
    """Text, numbers, lists and times of a request are read; a time is seconds since 1970."""
    query = {
        "Id": "q",
        "ReturnData": True,
        "MetricStat": {"Metric": {"MetricName": "é"}, "Period": 300, "Stat": "p99"},
    }
    sent = {"MetricDataQueries": [query], "StartTime": int(AT), "MaxDatapoints": 100_000}
    assert _sent("GetMetricData", sent) == sent
    data = [{"MetricName": "m", "Value": -0.1, "Timestamp": int(AT), "StorageResolution": 1}]
    assert _sent("PutMetricData", {"Namespace": "n", "MetricData": data}) == {
        "Namespace": "n",
        "MetricData": data,
    }


def test_response() -> None:
    """Lists, times and numbers are read by botocore as they were; members outside of the shape are left out."""
    plain = {"Id": "q", "Label": "x" * 300, "Values": [0.25], "StatusCode": "Complete"}
    result = {**plain, "Timestamps": [AT], "_own": 1}
    (parsed,) = _received("GetMetricData", {"MetricDataResults": [result], "Messages": None})[
        "MetricDataResults"
    ]
    assert [moment.timestamp() for moment in parsed.pop("Timestamps")] == [AT]
    assert parsed == plain
    point = {"Label": "m", "Datapoints": [{"SampleCount": 1.0, "Maximum": math.inf}]}
    assert _received("GetMetricStatistics", point) == point


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"", {}),
        (bytes.fromhex("bf616101616220ff"), {"a": 1, "b": -1}),
        (bytes.fromhex("a161617f61786179ff"), {"a": "xy"}),
        (bytes.fromhex("a161619f01f6ff"), {"a": [1, None]}),
        (bytes.fromhex("a16161f93c00"), {"a": 1.0}),
        (bytes.fromhex("a161611b0000000100000000"), {"a": 2**32}),
        (bytes.fromhex("a161614101"), {"a": b"\x01"}),
    ],
)
def test_forms(body: bytes, value: Any) -> None:
    """Items with and without a length, and each size of number, are read."""
    assert cbor.decode(body) == value


@pytest.mark.parametrize(
    "body",
    [
        b"\xa1",
        b"\xa1\x61",
        b"\xff",
        b"\xa1\x01\x02",
        b"\x00\x00",
        b"\x9f" * 100_000,
        b"\xfc",
        b"\x5f\x01\xff",
        b"\xc1\x61x",
    ],
    ids=["no key", "cut text", "break", "number as key", "two items", "deep", "simple", "mixed", "time"],
)
def test_malformed(body: bytes) -> None:
    """A malformed body is a SerializationException."""
    with pytest.raises(ApiError, match="The body is not CBOR") as caught:
        cbor.decode(body)
    assert caught.value.code == "SerializationException"
