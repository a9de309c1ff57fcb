"""Invoking an endpoint over real sockets: whatever fails, the model runs once."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from core import errors
from core.aws.connection import Clients, Connection
from core.aws.runtime import MAX_REQUEST, invoker
from tests.support.patience import wait_until

PATH = "/endpoints/coastlines/invocations"
MISSING = ("ValidationError", "Endpoint coastlines of account 123456789012 not found.")


def ask(clients: Clients, body: bytes = b"jpeg") -> Any:
    return invoker(clients, "coastlines")(body, "image/jpeg", "image/png")


def test_an_answer_comes_whole_with_its_type_and_its_time(canned_server: Any) -> None:
    """A response has the endpoint's bytes, content type and duration."""
    body = bytes(range(256)) * 40_000
    canned_server.says(canned_server.mask(body))
    answer = ask(canned_server.clients())
    assert answer.body == body
    assert answer.content_type == "image/png"
    assert 0 < answer.seconds < 60
    assert canned_server.asked == [("POST", PATH)]


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ((429, "ThrottlingException", "Rate exceeded"), errors.ThrottledError),
        ((413, "", "Request Entity Too Large"), errors.TooLargeError),
        ((400, "ExpiredTokenException", "The security token is expired"), errors.CredentialsError),
        ((403, "UnrecognizedClientException", "The security token is invalid."), errors.CredentialsError),
        (
            (403, "AccessDeniedException", "not authorized to perform: sagemaker:InvokeEndpoint"),
            errors.DeniedError,
        ),
        ((400, "ValidationError", "Accept is too long"), errors.RejectedError),
        ((429, "ModelNotReadyException", "Loading"), errors.NotReadyError),
        ((503, "ServiceUnavailable", "Busy"), errors.AwsError),
        ((500, "InternalFailure", "Sorry"), errors.AwsError),
    ],
)
def test_a_refusal_is_told_after_one_request(
    canned_server: Any, reply: tuple[int, str, str], expected: type[errors.AwsError]
) -> None:
    """A rejected call is an AwsError, and is never repeated automatically."""
    canned_server.says(canned_server.error(*reply))
    with pytest.raises(expected) as caught:
        ask(canned_server.clients())
    assert type(caught.value) is expected
    assert caught.value.request_id == "req-1"
    assert canned_server.asked == [("POST", PATH)]


def test_a_model_error_comes_with_its_log(canned_server: Any) -> None:
    """A container's error has its status, its message and the link to its log."""
    link = "https://us-east-1.console.aws.amazon.com/cloudwatch/home?region=us-east-1#logEventViewer:group=/aws/x"
    text = f'Received server error (500) from primary with message "boom". See {link} in account 1.'
    canned_server.says(
        canned_server.error(424, "ModelError", text, OriginalStatusCode=500, OriginalMessage="boom")
    )
    with pytest.raises(errors.ModelError) as caught:
        ask(canned_server.clients())
    assert (caught.value.status, caught.value.why, caught.value.log_url) == (500, "boom.", link)
    assert len(canned_server.asked) == 1


@pytest.mark.parametrize("kind", ["reset", "close"])
def test_a_connection_that_ends_without_an_answer_is_not_tried_again(canned_server: Any, kind: str) -> None:
    """A connection closed before the response is an error after one request."""
    canned_server.says(canned_server.hangs_up(kind))
    with pytest.raises(errors.UnreachableError):
        ask(canned_server.clients())
    assert len(canned_server.asked) == 1


@pytest.mark.parametrize("reply", ["reset", "close", "cut", "silence", "empty", "500", "502 of a proxy"])
def test_a_lost_reply_says_that_the_model_may_have_billed(canned_server: Any, reply: str) -> None:
    """If the response is lost after the model was invoked, the error says that the call may be billed."""
    replies = {
        "reset": canned_server.hangs_up("reset"),
        "close": canned_server.hangs_up("close"),
        "cut": canned_server.mask(b"x" * 1000, length=2000),
        "silence": canned_server.silence(),
        "empty": canned_server.mask(b""),
        "500": canned_server.error(500, "InternalFailure", "Sorry"),
        "502 of a proxy": canned_server.raw(502, b"<html>Bad gateway</html>"),
    }
    canned_server.says(replies[reply])
    with pytest.raises(errors.AwsError) as caught:
        ask(canned_server.clients(**({"invoke_seconds": 0.3} if reply == "silence" else {})))
    assert "billed" in caught.value.todo
    assert caught.value.unclear
    wait_until(lambda: canned_server.asked)  # after the time limit, the request may still be on its way
    assert len(canned_server.asked) == 1


def test_a_refused_call_is_not_said_to_be_billed(canned_server: Any) -> None:
    """A call that was rejected, or never arrived, did not run the model, and no billing is mentioned."""
    canned_server.says(canned_server.error(403, "AccessDeniedException", "no"))
    with pytest.raises(errors.DeniedError) as caught:
        ask(canned_server.clients())
    assert "billed" not in str(caught.value)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(errors.UnreachableError) as unreached:
            ask(Clients(Connection("us-east-1", url, None, "AKIDEXAMPLE", "secret")))
    assert "billed" not in str(unreached.value)


def test_a_cut_answer_is_noticed(canned_server: Any) -> None:
    """A response shorter than its declared length is an error."""
    canned_server.says(canned_server.mask(b"x" * 1000, length=2000))
    with pytest.raises(errors.CutOffError) as caught:
        ask(canned_server.clients())
    assert "billed" in caught.value.todo
    assert len(canned_server.asked) == 1


def test_a_slow_model_runs_into_the_time_limit_once(canned_server: Any) -> None:
    """A response that does not arrive in time is an error with advice, after one request."""
    canned_server.says(canned_server.silence())
    with pytest.raises(errors.TimedOutError) as caught:
        ask(canned_server.clients(invoke_seconds=0.2))
    assert "60 seconds" in caught.value.todo
    wait_until(lambda: canned_server.asked)
    assert len(canned_server.asked) == 1


def test_an_empty_answer_is_no_answer(canned_server: Any) -> None:
    """A success with no bytes is an error."""
    canned_server.says(canned_server.mask(b""))
    with pytest.raises(errors.UnexpectedAnswerError):
        ask(canned_server.clients())


def test_nobody_at_the_address() -> None:
    """A refused connection names the URL."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: nobody else can listen here meanwhile
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(errors.UnreachableError, match=url):
            ask(Clients(Connection("us-east-1", url, None, "AKIDEXAMPLE", "secret")))


def test_too_large_a_picture_is_not_even_sent(canned_server: Any) -> None:
    """A body above the limit is rejected before sending; one at the limit is sent."""
    canned_server.says(canned_server.mask(b"png"))
    with pytest.raises(errors.TooLargeError, match="6,291,457"):
        ask(canned_server.clients(), b"x" * (MAX_REQUEST + 1))
    assert canned_server.asked == []
    assert ask(canned_server.clients(), b"x" * MAX_REQUEST).body == b"png"


@pytest.mark.parametrize(
    ("description", "expected", "said"),
    [
        ({"EndpointStatus": "Creating"}, errors.NotReadyError, "being created"),
        ({"EndpointStatus": "Failed", "FailureReason": "No capacity"}, errors.NotReadyError, "No capacity"),
        ({"EndpointStatus": "InService"}, errors.NotFoundError, "not found"),
        ({}, errors.NotFoundError, "not found"),
    ],
)
def test_not_found_may_mean_not_in_service_yet(
    canned_server: Any, description: dict[str, str], expected: type[errors.AwsError], said: str
) -> None:
    """After "not found", one read distinguishes an endpoint not in service from one that does not exist."""
    canned_server.says(canned_server.error(400, *MISSING), canned_server.json(description))
    with pytest.raises(expected) as caught:
        ask(canned_server.clients())
    assert said in str(caught.value)
    assert canned_server.asked == [("POST", PATH), ("DescribeEndpoint", "/")]


def test_not_found_stays_when_looking_is_refused(canned_server: Any) -> None:
    """If that read fails, the first error is reported."""
    denied = canned_server.error(400, "AccessDeniedException", "no")
    canned_server.says(canned_server.error(400, *MISSING), denied)
    with pytest.raises(errors.NotFoundError, match="coastlines of account"):
        ask(canned_server.clients())
