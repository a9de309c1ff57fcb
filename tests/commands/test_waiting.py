"""Commands that wait for an endpoint or follow a job, against a server that fails now and then."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

import pytest

from commands.common import MAX_FAILURES, Backend
from commands.follow import follow_to_end
from commands.waiting import wait_until_settled
from core.aws.connection import Clients, Connection
from core.errors import UnexpectedAnswerError
from tests.support.broken_aws import BrokenAws, run_server, send

ENDPOINT = {
    "EndpointName": "roads",
    "EndpointArn": "arn:aws:sagemaker:us-east-1:123456789012:endpoint/roads",
    "EndpointConfigName": "roads-1",
    "EndpointStatus": "InService",
    "CreationTime": 1_790_000_000,
    "LastModifiedTime": 1_790_000_000,
}
JOB = {
    "TrainingJobName": "roads-7",
    "TrainingJobArn": "arn:aws:sagemaker:us-east-1:123456789012:training-job/roads-7",
    "TrainingJobStatus": "Completed",
    "SecondaryStatus": "Completed",
    "CreationTime": 1_790_000_000,
}
ANSWERS = {
    "SageMaker.DescribeEndpoint": ENDPOINT,
    "SageMaker.DescribeTrainingJob": JOB,
    "Logs_20140328.DescribeLogStreams": {"logStreams": []},
}
KINDS = ("garbled", "empty JSON", "truncated")


class FlakyAws(BrokenAws):
    """A server that responds correctly, except for the first `failures` calls."""

    failures = 0

    def reply(self, to: BaseHTTPRequestHandler) -> None:
        if len(self.requests) <= self.failures:
            super().reply(to)
        else:
            to.close_connection = True
            send(to, 200, json.dumps(ANSWERS[self.requests[-1]]).encode())


@pytest.fixture(scope="module")
def aws() -> Iterator[FlakyAws]:
    flaky = FlakyAws()
    with run_server(flaky):
        yield flaky


@pytest.fixture(scope="module")
def place(aws: FlakyAws) -> Backend:
    return Backend(Clients(Connection("us-east-1", aws.url, None, "AKIDEXAMPLE", "secret", 19)), False)


@pytest.mark.parametrize("kind", KINDS)
def test_waiting_survives_an_unreadable_reply(
    aws: FlakyAws, place: Backend, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One unreadable reply does not end the wait for an endpoint: it is reported, and the call repeated."""
    aws.break_with(kind)
    aws.failures = 1
    assert wait_until_settled(place, "roads", config="roads-1")["served"]
    assert "Trying again." in capsys.readouterr().err
    assert aws.requests == ["SageMaker.DescribeEndpoint"] * 2


def test_following_survives_an_unreadable_reply(
    aws: FlakyAws, place: Backend, capsys: pytest.CaptureFixture[str]
) -> None:
    """One unreadable reply does not end following a job's log."""
    aws.break_with("garbled")
    aws.failures = 1
    follow_to_end(place, "roads-7", lines=10)
    output = capsys.readouterr().err
    assert "Trying again." in output
    assert "roads-7 is" in output


def test_waiting_ends_if_no_reply_can_be_read(aws: FlakyAws, place: Backend) -> None:
    """If every reply is unreadable, the wait ends with that error after a fixed number of calls."""
    aws.break_with("garbled")
    aws.failures = 1_000
    with pytest.raises(UnexpectedAnswerError):
        wait_until_settled(place, "roads", config="roads-1")
    assert len(aws.requests) == MAX_FAILURES


def test_following_ends_soon_if_the_first_reply_cannot_be_read(aws: FlakyAws) -> None:
    """Before the first readable reply, following is tried no longer than a call may take."""
    aws.break_with("garbled")
    aws.failures = 1_000
    hurried = Backend(Clients(Connection("us-east-1", aws.url, None, "AKIDEXAMPLE", "secret", 1)), False)
    with pytest.raises(UnexpectedAnswerError):
        follow_to_end(hurried, "roads-7", lines=10)
    assert 1 <= len(aws.requests) <= 2
