"""The translation of botocore's errors."""

from __future__ import annotations

import re
from typing import Any

import botocore.exceptions as botocore
import pytest
from botocore.parsers import ResponseParserError

from core import errors
from core.aws.errors import BY_CODE, BY_EXCEPTION, AwsLocation, required, translate, translated

AWS = AwsLocation("AWS in eu-west-1")
SANDBOX = AwsLocation("the sandbox (http://127.0.0.1:4566)", sandbox=True)
URL = {"endpoint_url": "https://example.com"}


def client_error(code: str, message: str = "", status: int = 400, **more: Any) -> botocore.ClientError:
    answer = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status, "RequestId": "req-7"},
    }
    return botocore.ClientError(answer | more, "InvokeEndpoint")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (botocore.EndpointConnectionError(**URL), errors.UnreachableError),
        (botocore.ConnectTimeoutError(**URL), errors.UnreachableError),
        (botocore.ConnectionClosedError(**URL), errors.NoReplyError),
        (botocore.SSLError(**URL, error="certificate verify failed"), errors.UnreachableError),
        (botocore.ProxyConnectionError(proxy_url="http://proxy"), errors.UnreachableError),
        (botocore.HTTPClientError(error="odd"), errors.NoReplyError),
        (botocore.ReadTimeoutError(**URL), errors.TimedOutError),
        (botocore.ResponseStreamingError(error="cut"), errors.CutOffError),
        (botocore.IncompleteReadError(actual_bytes=1, expected_bytes=2), errors.CutOffError),
        (botocore.NoCredentialsError(), errors.CredentialsError),
        (botocore.PartialCredentialsError(provider="env", cred_var="x"), errors.CredentialsError),
        (botocore.ProfileNotFound(profile="nope"), errors.CredentialsError),
        (botocore.UnauthorizedSSOTokenError(), errors.CredentialsError),
        (botocore.SSOTokenLoadError(error_msg="none"), errors.CredentialsError),
        (botocore.TokenRetrievalError(provider="sso", error_msg="old"), errors.CredentialsError),
        (botocore.NoRegionError(), errors.SettingsError),
        (botocore.InvalidRegionError(region_name="?"), errors.SettingsError),
        (botocore.EndpointResolutionError(msg="no rule"), errors.SettingsError),
        (botocore.ConfigParseError(path="~/.aws/config"), errors.SettingsError),
        (botocore.ParamValidationError(report="too short"), errors.InputError),
        (ResponseParserError("not XML"), errors.UnexpectedAnswerError),
        (botocore.InvalidDNSNameError(bucket_name="?"), errors.AwsError),
        (client_error("ThrottlingException", "Rate exceeded"), errors.ThrottledError),
        (client_error("TooManyRequestsException"), errors.ThrottledError),
        (client_error("whatever", status=429), errors.ThrottledError),
        (client_error("ExpiredTokenException"), errors.CredentialsError),
        (client_error("ExpiredToken"), errors.CredentialsError),
        (client_error("InvalidClientTokenId"), errors.CredentialsError),
        (client_error("UnrecognizedClientException"), errors.CredentialsError),
        (client_error("InvalidSignatureException"), errors.CredentialsError),
        (client_error("SignatureDoesNotMatch"), errors.CredentialsError),
        (client_error("AccessDeniedException"), errors.DeniedError),
        (client_error("403", "Forbidden", 403), errors.DeniedError),
        (client_error("NoSuchBucket", status=404), errors.NotFoundError),
        (client_error("404", "Not Found", 404), errors.NotFoundError),
        (client_error("ValidationError", "Endpoint x of account 1 not found."), errors.NotFoundError),
        (client_error("ValidationException", 'Could not find endpoint "arn".'), errors.NotFoundError),
        (client_error("ValidationException", "1 validation error detected"), errors.RejectedError),
        (client_error("ModelNotReadyException", status=429), errors.NotReadyError),
        (client_error("413", "Request Entity Too Large", 413), errors.TooLargeError),
        (client_error("ModelError", OriginalStatusCode=413, status=424), errors.TooLargeError),
        (client_error("ModelError", OriginalStatusCode=500, status=424), errors.ModelError),
        (client_error("ServiceUnavailable", status=503), errors.AwsError),
        (client_error("500", status=500), errors.AwsError),
        (client_error("SomethingNewException", "New."), errors.AwsError),
        (client_error("EntityAlreadyExists", status=409), errors.TakenError),
        (client_error("LimitExceeded", status=409), errors.AwsError),
        (client_error("MalformedPolicyDocument"), errors.RejectedError),
        (client_error("NotFoundException"), errors.NotFoundError),
        (client_error("NoSuchResourceException"), errors.NotFoundError),
        (client_error("NotImplemented", status=501), errors.RejectedError),
        (client_error("UnknownOperationException"), errors.RejectedError),
        (client_error("501", status=501), errors.RejectedError),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_each_error_of_botocore_becomes_exactly_one_of_ours(
    error: Exception, expected: type[errors.CoreError]
) -> None:
    """Each botocore error becomes one CoreError class, with what was attempted and what to do."""
    found = translate(error, "invoke the endpoint x", AWS)
    assert type(found) is expected
    assert found.what.startswith("Could not invoke the endpoint x: ")
    assert found.what.endswith(".")
    assert found.todo


def test_no_class_of_botocore_is_left_without_a_rule() -> None:
    """Every botocore exception has a rule."""
    everything = [kind for kind in vars(botocore).values() if isinstance(kind, type)]
    ours = [kind for kind in everything if issubclass(kind, botocore.BotoCoreError)]
    assert len(ours) > 80
    assert all(any(parent in BY_EXCEPTION for parent in kind.__mro__) for kind in ours)


def test_every_line_of_the_table_fills_in() -> None:
    """No rule has a placeholder that is not filled in."""
    for rule in [*BY_EXCEPTION.values(), *BY_CODE.values()]:
        assert set(re.findall(r"{(\w+)}", rule.problem)) <= {"place", "profile", "action", "code"}
        assert set(re.findall(r"{(\w+)}", rule.todo + rule.sandbox)) <= {"option", "profile"}


@pytest.mark.parametrize("code", ["NotImplemented", "UnknownOperationException"])
def test_an_operation_that_is_not_offered_is_named_as_such(code: str) -> None:
    """An operation that another implementation of the API lacks is not reported as trouble that passes."""
    error = translate(client_error(code, status=501), "read the quotas", AWS)
    assert error.what.endswith("does not offer this operation.")
    assert "Try again" not in error.todo


def test_an_unknown_code_is_told_as_it_came() -> None:
    """An unknown code is reported with the service's own message and the request ID."""
    found = translate(client_error("SomethingNewException", "The moon is full"), "list the endpoints", AWS)
    assert isinstance(found, errors.AwsError)
    assert (found.code, found.why, found.request_id) == (
        "SomethingNewException",
        "The moon is full.",
        "req-7",
    )
    assert "SomethingNewException" in found.what


def test_a_denied_call_names_the_action() -> None:
    """A denied call names the action to allow, from AWS's message, otherwise the operation."""
    text = (
        "User: arn:aws:iam::1:user/x is not authorized to perform: sagemaker:InvokeEndpoint on resource: arn"
    )
    assert (
        "sagemaker:InvokeEndpoint" in translate(client_error("AccessDeniedException", text), "ask", AWS).what
    )
    assert "InvokeEndpoint" in translate(client_error("AccessDenied", "Access Denied"), "ask", AWS).what


def test_a_model_error_carries_the_containers_words_and_its_log() -> None:
    """A container's error has its status, its own message and the link to its log."""
    link = "https://us-east-1.console.aws.amazon.com/cloudwatch/home?region=us-east-1#logEventViewer:group=/aws/x"
    message = (
        f'Received server error (500) from primary with message "boom". See {link} in account 1 for more.'
    )
    error = client_error("ModelError", message, 424, OriginalStatusCode=500, OriginalMessage="boom")
    found = translate(error, "invoke the endpoint x", AWS)
    assert isinstance(found, errors.ModelError)
    assert (found.status, found.why, found.log_url) == (500, "boom.", link)
    bare = translate(client_error("ModelError", "It broke", 424), "invoke the endpoint x", AWS)
    assert isinstance(bare, errors.ModelError)
    assert (bare.status, bare.why, bare.log_url) == (0, "It broke.", "")


def test_the_sandbox_is_helped_in_another_way() -> None:
    """For the sandbox, the advice is about the sandbox."""
    error = botocore.EndpointConnectionError(**URL)
    assert "make sandbox" in translate(error, "list", SANDBOX).todo
    assert "make sandbox" not in translate(error, "list", AWS).todo
    assert "http://127.0.0.1:4566" in translate(error, "list", SANDBOX).what
    assert "eu-west-1" in translate(error, "list", AWS).what


def test_translated_lets_through_what_is_not_botocores() -> None:
    """Other errors pass unchanged; a translated error keeps its cause."""
    with pytest.raises(ZeroDivisionError), translated("count", AWS):
        _ = 1 / 0
    with pytest.raises(errors.CredentialsError) as caught, translated("count", AWS):
        raise botocore.NoCredentialsError
    assert isinstance(caught.value.__cause__, botocore.NoCredentialsError)


def test_a_call_can_bring_its_own_advice() -> None:
    """A call's own advice takes precedence over the table's."""
    advice = {errors.TimedOutError: "Send less."}
    with pytest.raises(errors.TimedOutError) as caught, translated("ask", AWS, todos=advice):
        raise botocore.ReadTimeoutError(**URL)
    assert caught.value.todo == "Send less."


def test_what_a_success_must_hold_is_required() -> None:
    """A success without a required field is an error, not an empty list."""
    assert required({"Endpoints": []}, "Endpoints", "list the endpoints") == []
    with pytest.raises(errors.UnexpectedAnswerError, match="no Endpoints"):
        required({"ResponseMetadata": {"RequestId": "r"}}, "Endpoints", "list the endpoints")
