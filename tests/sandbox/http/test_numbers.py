"""Numbers sent by clients: in headers, queries, tokens and bodies."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from sandbox.algorithm.service import InferenceService, http_server
from sandbox.http.protocol import whole_number
from sandbox.server import Sandbox
from sandbox.training.metrics import MetricFinder
from tests.support.patience import SECONDS

HUGE = "9" * 5000  # int() raises above 4,300 digits
NOT_LENGTHS = [HUGE, "-5", "+5", " ", "5_0", "0x5", "1.5", "1e3", "\xb2", "nan", str(2**63)]
JSON = "application/x-amz-json-1.1"
FORM = "application/x-www-form-urlencoded"


def _send(
    sandbox: Sandbox, method: str, path: str, headers: list[tuple[str, str]], body: bytes = b""
) -> tuple[int, str, bytes]:
    """Send a request as it is; return status, content type and body."""
    parts = urlsplit(sandbox.address.url)
    connection = HTTPConnection(parts.hostname or "", parts.port or 80, timeout=SECONDS)
    try:
        connection.putrequest(method, path)
        for name, value in headers:
            connection.putheader(name, value.encode("latin-1"))
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer.status, answer.headers["Content-Type"], answer.read()
    finally:
        connection.close()


def _signed(
    sandbox: Sandbox, service: str, line: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> tuple[int, str, bytes]:
    """Send a signed request. line: its method and path."""
    method, path = line.split(" ", 1)
    request = AWSRequest(method, sandbox.address.url + path, headers=headers or {}, data=body)
    auth = S3SigV4Auth if service == "s3" else SigV4Auth
    key = Credentials(sandbox.address.access_key, sandbox.address.secret_key)
    auth(key, service, "us-east-1").add_auth(request)
    named = [(name, value) for name, value in request.headers.items()]
    return _send(sandbox, method, path, [*named, ("Content-Length", str(len(body)))], body)


def _call(sandbox: Sandbox, operation: str, body: str, service: str = "sagemaker") -> tuple[int, Any]:
    target = {
        "sagemaker": "SageMaker",
        "logs": "Logs_20140328",
        "monitoring": "GraniteServiceVersion20100801",
    }
    headers = {"X-Amz-Target": f"{target[service]}.{operation}", "Content-Type": JSON}
    status, _, answer = _signed(sandbox, service, "POST /", body.encode(), headers)
    return status, json.loads(answer)


@pytest.mark.parametrize("value", NOT_LENGTHS)
def test_an_invalid_content_length_is_refused(sandbox: Sandbox, value: str) -> None:
    """Every service immediately answers 400 in its own protocol, with the invalid value."""
    s3 = ("Authorization", "AWS4-HMAC-SHA256 Credential=A/20260101/us-east-1/s3/aws4_request, X")
    length = ("Content-Length", value)
    status, kind, body = _send(sandbox, "PUT", "/bucket/key", [s3, length])
    assert (status, kind) == (400, "application/xml")
    assert b"<Code>InvalidRequest</Code><Message>Content-Length must be one whole number" in body
    assert len(body) < 500
    status, kind, body = _send(sandbox, "POST", "/", [("X-Amz-Target", "SageMaker.ListModels"), length])
    assert (status, kind, json.loads(body)["__type"]) == (400, JSON, "MalformedHttpRequestException")
    status, kind, body = _send(sandbox, "POST", "/", [("Content-Type", FORM), length])
    assert (status, kind, b"<Code>MalformedHttpRequestException" in body) == (400, "text/xml", True)


def test_two_lengths_are_refused(sandbox: Sandbox) -> None:
    """Two contradicting lengths are refused, as the end of the body is unknown."""
    headers = [("X-Amz-Target", "SageMaker.ListModels"), ("Content-Length", "2"), ("Content-Length", "3")]
    status, _, body = _send(sandbox, "POST", "/", headers, b"{}")
    assert (status, b"not '2, 3'" in body) == (400, True)


@pytest.mark.parametrize("size", [b"x", b"-5", b""])
def test_a_chunk_without_a_size_is_refused(sandbox: Sandbox, size: bytes) -> None:
    """A chunked body with invalid frames is answered in the service's protocol, too."""
    headers = {"X-Amz-Target": "SageMaker.ListModels", "Transfer-Encoding": "chunked"}
    request = AWSRequest("POST", sandbox.address.url, headers=headers, data=b"{}")
    key = Credentials(sandbox.address.access_key, sandbox.address.secret_key)
    SigV4Auth(key, "sagemaker", "us-east-1").add_auth(request)
    status, _, body = _send(
        sandbox, "POST", "/", list(request.headers.items()), size + b"\r\n{}\r\n0\r\n\r\n"
    )
    assert (status, json.loads(body)["__type"]) == (400, "MalformedHttpRequestException")


@pytest.mark.parametrize("value", ["0", "604801", "٦٠", *NOT_LENGTHS])
def test_an_invalid_expiry_is_refused(sandbox: Sandbox, value: str) -> None:
    """X-Amz-Expires is 1 to 604800 in plain digits; the error has S3's text and stays short."""
    scope = f"{sandbox.address.access_key}/20260101/us-east-1/s3/aws4_request"
    query = {
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": scope,
        "X-Amz-Date": "20260101T000000Z",
    }
    query |= {"X-Amz-SignedHeaders": "host", "X-Amz-Signature": "0", "X-Amz-Expires": value}
    status, kind, body = _send(sandbox, "GET", f"/bucket/key?{urlencode(query)}", [])
    assert (status, kind) == (400, "application/xml")
    assert b"<Code>AuthorizationQueryParametersError</Code>" in body
    assert b"X-Amz-Expires must be 1 to 604800 seconds, not " in body
    assert len(body) < 500


@pytest.mark.parametrize("value", ["٦٠", *NOT_LENGTHS])
def test_an_invalid_expiry_of_version_2_is_refused(sandbox: Sandbox, value: str) -> None:
    """Expires of a URL signed in version 2 is seconds since 1970 in plain digits."""
    query = {"AWSAccessKeyId": sandbox.address.access_key, "Signature": "x", "Expires": value}
    status, kind, body = _send(sandbox, "GET", f"/bucket/key?{urlencode(query)}", [])
    assert (status, kind, b"Expires must be seconds since 1970" in body) == (403, "application/xml", True)
    assert len(body) < 500


@pytest.mark.parametrize("date", ["99991231T235959Z", "00010101T000000Z", HUGE, "٢٠٢٦0101T000000Z"])
def test_a_date_at_the_end_of_time_is_refused(sandbox: Sandbox, date: str) -> None:
    """X-Amz-Date is compared without overflow."""
    credential = f"Credential={sandbox.address.access_key}/{date[:8]}/us-east-1/sagemaker/aws4_request"
    authorization = f"AWS4-HMAC-SHA256 {credential}, SignedHeaders=host, Signature=0"
    headers = [("Authorization", authorization), ("X-Amz-Date", date)]
    plain = [(name, value.encode().decode("latin-1")) for name, value in headers]
    status, _, body = _send(sandbox, "POST", "/", [*plain, ("Content-Length", "0")])
    assert (status, len(body) < 700) == (403, True)


@pytest.mark.parametrize(
    "query",
    [f"max-keys={HUGE}", "max-keys=-1", "max-keys=%D9%A6", "max-keys=", f"list-type=2&max-keys={2**40}"],
)
def test_a_listing_of_no_size_is_refused(sandbox: Sandbox, query: str) -> None:
    """max-keys is a whole number."""
    sandbox.loopback.client("s3").create_bucket(Bucket="numbers")
    status, _, body = _signed(sandbox, "s3", f"GET /numbers?{query}")
    assert (status, b"<Code>InvalidArgument</Code>" in body) == (400, True)


@pytest.mark.parametrize("number", [HUGE, "-1", "٣", "1.0", ""])
def test_an_invalid_part_number_is_refused(sandbox: Sandbox, number: str) -> None:
    """CompleteMultipartUpload answers MalformedXML."""
    s3 = sandbox.loopback.client("s3")
    s3.create_bucket(Bucket="numbers")
    upload = s3.create_multipart_upload(Bucket="numbers", Key="k")["UploadId"]
    part = f"<Part><PartNumber>{number}</PartNumber><ETag>x</ETag></Part>"
    xml = f"<CompleteMultipartUpload>{part}</CompleteMultipartUpload>".encode()
    status, _, body = _signed(sandbox, "s3", f"POST /numbers/k?uploadId={upload}", xml)
    assert (status, b"<Code>MalformedXML</Code>" in body) == (400, True)


@pytest.mark.parametrize(
    ("name", "value", "status"),
    [
        ("Range", f"bytes=0-{HUGE}", 200),
        ("Range", f"bytes={'9' * 30}-", 416),
        ("If-Modified-Since", "Thu, 01 Jan 1970 00:00:00 +9999999999999999999", 200),
        ("If-Modified-Since", f"Thu, 01 Jan {HUGE} 00:00:00 GMT", 200),
    ],
)
def test_a_range_or_date_beyond_reason_is_ignored(
    sandbox: Sandbox, name: str, value: str, status: int
) -> None:
    """Invalid ones are ignored, as in RFC 9110; a range outside of the object is not satisfiable."""
    s3 = sandbox.loopback.client("s3")
    s3.create_bucket(Bucket="numbers")
    s3.put_object(Bucket="numbers", Key="ranged", Body=b"content")
    assert _signed(sandbox, "s3", "GET /numbers/ranged", headers={name: value})[0] == status


def test_a_copied_range_beyond_reason_is_refused(sandbox: Sandbox) -> None:
    """x-amz-copy-source-range must be within the source."""
    s3 = sandbox.loopback.client("s3")
    s3.create_bucket(Bucket="numbers")
    s3.put_object(Bucket="numbers", Key="source", Body=b"content")
    upload = s3.create_multipart_upload(Bucket="numbers", Key="k")["UploadId"]
    headers = {"x-amz-copy-source": "numbers/source", "x-amz-copy-source-range": f"bytes=0-{HUGE}"}
    path = f"/numbers/k?partNumber=1&uploadId={upload}"
    status, _, body = _signed(sandbox, "s3", f"PUT {path}", headers=headers)
    assert (status, b"<Code>InvalidRange</Code>" in body, len(body) < 600) == (416, True, True)


@pytest.mark.parametrize(
    "value", [HUGE, "1e999", "NaN", "Infinity", "1.5", str(2**31), str(2**64), '"5"', "true", "[5]"]
)
def test_an_invalid_integer_is_refused(sandbox: Sandbox, value: str) -> None:
    """An integer in a JSON body must be whole and within its type's range."""
    status, answer = _call(sandbox, "ListModels", f'{{"MaxResults": {value}}}')
    assert (status, answer["__type"]) == (400, "SerializationException")


@pytest.mark.parametrize("value", [HUGE, "1e999", "NaN", "1e300", "-1e300", "9" * 400])
def test_an_invalid_time_is_refused(sandbox: Sandbox, value: str) -> None:
    """An invalid time in a JSON body is refused."""
    for service, operation, member in (
        ("sagemaker", "ListModels", "CreationTimeAfter"),
        ("monitoring", "GetMetricData", "StartTime"),
    ):
        queries = ', "EndTime": 1, "MetricDataQueries": []' if service == "monitoring" else ""
        status, answer = _call(sandbox, operation, f'{{"{member}": {value}{queries}}}', service)
        assert (status, answer["__type"]) == (400, "SerializationException")


@pytest.mark.parametrize("value", [HUGE, str(2**63), "-1.5"])
def test_an_invalid_log_time_is_refused(sandbox: Sandbox, value: str) -> None:
    """An invalid time of a log event is refused."""
    members = '"logGroupName": "g", "logStreamName": "s"'
    status, answer = _call(sandbox, "GetLogEvents", f'{{{members}, "startTime": {value}}}', "logs")
    assert (status, answer["__type"]) == (400, "SerializationException")


def test_a_token_beyond_reason_is_refused_or_empty(sandbox: Sandbox) -> None:
    """A token with forged numbers gives an error or an empty page."""
    logs = sandbox.loopback.client("logs")
    logs.create_log_group(logGroupName="numbers")
    logs.create_log_stream(logGroupName="numbers", logStreamName="s")
    members = '"logGroupName": "numbers", "logStreamName": "s"'
    token = f"f/{'9' * 20}{'9' * 36}/s"
    assert _call(sandbox, "GetLogEvents", f'{{{members}, "nextToken": "{token}"}}', "logs")[0] == 200


def test_a_body_nested_without_end_is_refused(sandbox: Sandbox) -> None:
    """JSON nested 100,000 levels deep is refused."""
    status, answer = _call(sandbox, "ListModels", "[" * 100_000)
    assert (status, answer["__type"]) == (400, "SerializationException")


@pytest.mark.parametrize("value", [HUGE, "-1", "x", "0", "1e3", ""])
def test_an_invalid_number_for_iam_is_refused(sandbox: Sandbox, value: str) -> None:
    """IAM answers ValidationError and keeps the connection."""
    form = urlencode({"Action": "ListRoles", "Version": "2010-05-08", "MaxItems": value}).encode()
    status, _, body = _signed(sandbox, "iam", "POST /", form, {"Content-Type": FORM})
    assert (status, b"<Code>ValidationError</Code>" in body, len(body) < 600) == (400, True, True)


@pytest.mark.parametrize("value", NOT_LENGTHS)
def test_the_algorithm_refuses_an_invalid_length(tmp_path: Path, value: str) -> None:
    """The algorithm's own server, which local processes can reach, answers 400 and closes the connection."""
    server = http_server(socket.create_server(("127.0.0.1", 0)), InferenceService(tmp_path))
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    connection = HTTPConnection("127.0.0.1", server.socket.getsockname()[1], timeout=SECONDS)
    connection.putrequest("POST", "/invocations")
    connection.putheader("Content-Length", value.encode("latin-1"))
    connection.endheaders()
    answer = connection.getresponse()
    assert (answer.status, b"Content-Length must be a number of bytes" in answer.read()) == (400, True)
    connection.close()
    server.shutdown()
    server.server_close()


def test_an_epoch_beyond_reason_is_counted() -> None:
    """A log line with a 5,000-digit epoch is not an error: the metric's own count is the iteration."""
    finder = MetricFinder([{"Name": "loss", "Regex": "loss=([0-9.]+)"}])
    points = [*finder.find(f"loss=1 epoch={HUGE}", 0), *finder.find("loss=2 epoch=7", 0)]
    assert [(point.iteration, point.value) for point in points] == [(0, 1.0), (7, 2.0)]


@pytest.mark.parametrize("text", ["", "-1", "+1", "1_0", "٣", "1.0", " 1", "1\n", HUGE, str(2**63)])
def test_a_whole_number_is_plain_digits(text: str) -> None:
    """Any other text gives None, and nothing raises."""
    assert whole_number(text) is None


def test_a_whole_number_has_bounds() -> None:
    """Zero and 2^63 - 1 are valid; the bounds are inclusive."""
    assert [whole_number("0"), whole_number(str(2**63 - 1)), whole_number("007")] == [0, 2**63 - 1, 7]
    assert [whole_number("5", low=5, high=5), whole_number("4", low=5), whole_number("6", high=5)] == [
        5,
        None,
        None,
    ]


def test_every_client_call_still_passes(client: Callable[..., Any]) -> None:
    """Numbers as boto3 sends them are accepted."""
    assert client("sagemaker").list_models(MaxResults=100)["Models"] is not None
    assert client("iam").list_roles(MaxItems=1000)["Roles"] is not None
