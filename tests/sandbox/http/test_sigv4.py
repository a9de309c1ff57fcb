"""Only clients with the secret key get a response."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection, HTTPResponse
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.auth import S3SigV4QueryAuth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from sandbox.http.sigv4 import canonical_request, parse, sign
from sandbox.server import Sandbox
from tests.support.patience import SECONDS

CALLS = [("sagemaker", "list_endpoints"), ("logs", "describe_log_groups"), ("cloudwatch", "list_metrics")]
CALLS += [("sts", "get_caller_identity"), ("s3", "list_buckets")]


def _client(sandbox: Sandbox, service: str, key: str, secret: str, token: str | None = None) -> Any:
    session = boto3.session.Session(key, secret, token, region_name="us-east-1")
    config = Config(retries={"total_max_attempts": 1})
    return session.client(service, endpoint_url=sandbox.address.url, config=config)


def _error(client: Any, call: str) -> tuple[str, int]:
    with pytest.raises(ClientError) as caught:
        getattr(client, call)()
    response = caught.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


@pytest.mark.parametrize(("service", "call"), CALLS)
def test_the_right_key_is_answered_by_every_service(sandbox: Sandbox, service: str, call: str) -> None:
    """One key is valid for SageMaker, Logs, CloudWatch, STS and S3; an additional session token changes nothing."""
    address = sandbox.address
    client = _client(
        sandbox, service, address.access_key, address.secret_key, "a-token-left-in-the-environment"
    )
    assert getattr(client, call)()["ResponseMetadata"]["HTTPStatusCode"] == 200


@pytest.mark.parametrize(("service", "call"), CALLS)
def test_a_wrong_secret_is_a_wrong_signature(sandbox: Sandbox, service: str, call: str) -> None:
    """403 with the code that AWS uses for the service."""
    code = "SignatureDoesNotMatch" if service in {"s3", "sts"} else "InvalidSignatureException"
    assert _error(_client(sandbox, service, sandbox.address.access_key, "wrong"), call) == (code, 403)


@pytest.mark.parametrize(("service", "call"), CALLS)
def test_an_unknown_key_is_said_to_be_unknown(sandbox: Sandbox, service: str, call: str) -> None:
    """403 with the code that AWS uses for the service."""
    codes = {"s3": "InvalidAccessKeyId", "sts": "InvalidClientTokenId"}
    error = _error(_client(sandbox, service, "AKIAUNKNOWN", sandbox.address.secret_key), call)
    assert error == (codes.get(service, "UnrecognizedClientException"), 403)


def _send(sandbox: Sandbox, request: AWSRequest) -> HTTPResponse:
    parts = urlsplit(request.url)
    connection = HTTPConnection(parts.hostname or "", parts.port or 80, timeout=SECONDS)
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    connection.request(request.method, path, request.data, dict(request.headers.items()))
    return connection.getresponse()


def _list_endpoints(sandbox: Sandbox) -> AWSRequest:
    headers = {"X-Amz-Target": "SageMaker.ListEndpoints", "Content-Type": "application/x-amz-json-1.1"}
    return AWSRequest("POST", f"{sandbox.address.url}/", headers=headers, data=b"{}")


def _credentials(sandbox: Sandbox) -> Credentials:
    return Credentials(sandbox.address.access_key, sandbox.address.secret_key)


def test_an_unsigned_request_is_refused(sandbox: Sandbox) -> None:
    """Requests without a signature are refused, and no header allows cross-origin requests."""
    answer = _send(sandbox, _list_endpoints(sandbox))
    assert answer.status == 403
    assert b"MissingAuthenticationTokenException" in answer.read()
    assert not [name for name, _ in answer.getheaders() if name.lower().startswith("access-control-")]


@pytest.mark.parametrize("path", ["/moto-api/reset", "/", "/bucket/key", "/endpoints/x/invocations"])
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_no_path_is_open(sandbox: Sandbox, method: str, path: str) -> None:
    """Every unsigned path is 403, preflight requests included."""
    answer = _send(sandbox, AWSRequest(method, sandbox.address.url + path))
    assert answer.status == 403
    assert not [name for name, _ in answer.getheaders() if name.lower().startswith("access-control-")]


def test_a_changed_body_breaks_the_signature(sandbox: Sandbox) -> None:
    """The signature covers the body."""
    request = _list_endpoints(sandbox)
    SigV4Auth(_credentials(sandbox), "sagemaker", "us-east-1").add_auth(request)
    request.data = b'{"MaxResults": 1}'
    answer = _send(sandbox, request)
    assert (answer.status, b"InvalidSignatureException" in answer.read()) == (403, True)


@pytest.mark.parametrize(("minutes", "status"), [(-16, 403), (-14, 200), (14, 200), (16, 403)])
def test_a_signature_is_good_for_fifteen_minutes(sandbox: Sandbox, minutes: int, status: int) -> None:
    """A signature older than 15 minutes, or from the future, is refused, so requests cannot be replayed later."""
    moment = datetime.now(UTC) + timedelta(minutes=minutes)
    request = _list_endpoints(sandbox)
    auth = SigV4Auth(_credentials(sandbox), "sagemaker", "us-east-1")
    request.context["timestamp"] = moment.strftime("%Y%m%dT%H%M%SZ")
    request.headers["X-Amz-Date"] = request.context["timestamp"]
    signature = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
    auth._inject_signature_to_request(request, signature)
    request.headers["Host"] = urlsplit(sandbox.address.url).netloc
    assert _send(sandbox, request).status == status


def test_another_host_name_is_refused(sandbox: Sandbox) -> None:
    """A web page whose name resolves to this machine gets no response."""
    request = _list_endpoints(sandbox)
    request.headers["Host"] = "evil.example:4566"
    SigV4Auth(_credentials(sandbox), "sagemaker", "us-east-1").add_auth(request)
    answer = _send(sandbox, request)
    assert (answer.status, b"evil.example" in answer.read()) == (403, True)


@pytest.fixture
def stored(client: Callable[..., Any]) -> tuple[str, str]:
    """A bucket and the key of an object in it, with characters that need encoding."""
    s3, bucket, key = client("s3"), "presigned", "a b/ü+%20=&.txt"
    if bucket not in [item["Name"] for item in s3.list_buckets()["Buckets"]]:
        s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key=key, Body=b"content")
    return bucket, key


@pytest.mark.parametrize(("version", "name"), [("s3v4", "X-Amz-Expires"), ("s3", "Expires")])
def test_a_presigned_url_opens_its_object(
    client: Callable[..., Any], stored: tuple[str, str], version: str, name: str
) -> None:
    """A URL signed in either version returns the object without any header; a changed one does not."""
    bucket, key = stored
    params = {"Bucket": bucket, "Key": key, "ResponseContentType": "text/x-other"}
    url = client("s3", signature_version=version).generate_presigned_url(
        "get_object", Params=params, ExpiresIn=60
    )
    with urllib.request.urlopen(url, timeout=SECONDS) as answer:
        assert (answer.read(), answer.headers["Content-Type"]) == (b"content", "text/x-other")
    for changed in (url.replace(f"{name}=", f"{name}=1"), url.replace("x-other", "html")):
        with pytest.raises(HTTPError) as caught:
            urllib.request.urlopen(changed, timeout=SECONDS)
        assert b"SignatureDoesNotMatch" in caught.value.read()


def test_a_presigned_url_of_the_old_kind_expires(client: Callable[..., Any], stored: tuple[str, str]) -> None:
    """After its time the URL is refused, and so is one with an unknown key."""
    params = {"Bucket": stored[0], "Key": stored[1]}
    s3 = client("s3", signature_version="s3")
    for expires, key, code in ((-5, "AWSAccessKeyId", b"AccessDenied"), (60, "AKIA", b"InvalidAccessKeyId")):
        url = s3.generate_presigned_url("get_object", Params=params, ExpiresIn=expires)
        url = url if key == "AWSAccessKeyId" else url.replace("AWSAccessKeyId=AKIA", "AWSAccessKeyId=AKIX")
        with pytest.raises(HTTPError) as caught:
            urllib.request.urlopen(url, timeout=SECONDS)
        assert (caught.value.code, code in caught.value.read()) == (403, True)


def test_a_presigned_url_expires(sandbox: Sandbox, stored: tuple[str, str]) -> None:
    """After its time the URL is refused with AWS's error."""
    request = AWSRequest("GET", f"{sandbox.address.url}/presigned/x")
    auth = S3SigV4QueryAuth(_credentials(sandbox), "s3", "us-east-1", expires=60)
    request.context["timestamp"] = (datetime.now(UTC) - timedelta(seconds=90)).strftime("%Y%m%dT%H%M%SZ")
    auth._modify_request_before_signing(request)
    signature = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
    auth._inject_signature_to_request(request, signature)
    with pytest.raises(HTTPError) as caught:
        urllib.request.urlopen(request.url, timeout=SECONDS)
    text = caught.value.read()
    assert caught.value.code == 403
    assert b"AccessDenied" in text
    assert b"Request has expired" in text


def test_a_header_with_underscores_is_part_of_the_signature(
    client: Callable[..., Any], stored: tuple[str, str]
) -> None:
    """Metadata keys with underscores, which WSGI hides, are verified, too."""
    bucket, _ = stored
    client("s3").put_object(Bucket=bucket, Key="meta", Body=b"", Metadata={"my_key": "two   words"})
    assert client("s3").head_object(Bucket=bucket, Key="meta")["Metadata"]["my_key"] == "two   words"


def test_the_signature_is_that_of_amazons_own_example() -> None:
    """The GET of the "ListUsers" example of AWS's documentation gives the documented signature."""
    secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
    environ = {
        "REQUEST_METHOD": "GET",
        "RAW_URI": "/?Action=ListUsers&Version=2010-05-08",
        "QUERY_STRING": "Action=ListUsers&Version=2010-05-08",
        "CONTENT_TYPE": "application/x-www-form-urlencoded; charset=utf-8",
        "HTTP_HOST": "iam.amazonaws.com",
        "HTTP_X_AMZ_DATE": "20150830T123600Z",
        "HTTP_AUTHORIZATION": "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, "
        "SignedHeaders=content-type;host;x-amz-date, Signature=abc",
    }
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    signature = parse(environ)
    wanted = "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
    assert sign(canonical_request(environ, signature, empty), signature, secret) == wanted
