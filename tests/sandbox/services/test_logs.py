"""The sandbox's CloudWatch Logs, through boto3 on loopback."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from sandbox.http.protocol import ApiError, call_json, error_reply, target_operation
from sandbox.http.server import Listener, bind
from sandbox.services.logs.service import DAY, Logs

NOW = 1_800_000_000_000  # ms
GROUP = "/aws/sagemaker/TrainingJobs"


@dataclass(frozen=True)
class Served:
    """A running service with a fixed clock, and a client."""

    logs: Logs
    client: Any


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    logs = Logs(tmp_path / "logs.sqlite", "us-east-1", "123456789012", clock=lambda: NOW / 1000)

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        body, operation = environ["wsgi.input"].read(), target_operation(environ)
        try:
            reply = call_json("logs", operation, body, lambda params: logs.call(operation, params))
        except ApiError as error:
            reply = error_reply(error)
        start_response(reply.status_line(), reply.headers)
        return reply.body

    sock = bind("127.0.0.1", 0)
    listener = Listener(app, sock)
    threading.Thread(target=listener.serve_forever, args=[0.02], daemon=True).start()
    client = boto3.client(
        "logs",
        endpoint_url=f"http://127.0.0.1:{sock.getsockname()[1]}",
        region_name="us-east-1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
        config=Config(retries={"total_max_attempts": 1}, max_pool_connections=20),
    )
    client.create_log_group(logGroupName=GROUP)
    yield Served(logs, client)
    listener.stop()
    logs.close()


@pytest.fixture
def logs(served: Served) -> Any:
    return served.client


def _stream(logs: Any, name: str, *messages: str, at: int = NOW, step: int = 1000) -> None:
    """Create a stream with one event for every second."""
    logs.create_log_stream(logGroupName=GROUP, logStreamName=name)
    if messages:
        _put(logs, name, *messages, at=at, step=step)


def _put(logs: Any, name: str, *messages: str, at: int = NOW, step: int = 1000) -> Any:
    events = [{"timestamp": at + n * step, "message": text} for n, text in enumerate(messages)]
    return logs.put_log_events(logGroupName=GROUP, logStreamName=name, logEvents=events)


def _get(logs: Any, name: str, **more: Any) -> Any:
    return logs.get_log_events(logGroupName=GROUP, logStreamName=name, **more)


def _filter(logs: Any, **more: Any) -> list[str]:
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=GROUP, **more)
    return [event["message"] for page in pages for event in page["events"]]


def _messages(answer: Any) -> list[str]:
    return [event["message"] for event in answer["events"]]


def _refusal(call: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as raised:
        call()
    return raised.value.response["Error"]["Code"], raised.value.response["Error"]["Message"]


class TestGetLogEvents:
    def test_tail_first(self, logs: Any) -> None:
        """Without startFromHead the newest events are returned, in order."""
        _stream(logs, "s", *"abcde")
        assert _messages(_get(logs, "s", limit=2)) == ["d", "e"]
        assert _messages(_get(logs, "s", limit=2, startFromHead=True)) == ["a", "b"]

    def test_forward_to_the_end_and_on(self, logs: Any) -> None:
        """Forward tokens return each event once; at the end the token stays the same until a new event arrives."""
        _stream(logs, "s", *"abcde")
        messages: list[str] = []
        page = _get(logs, "s", limit=2, startFromHead=True)
        while page["events"]:
            messages += _messages(page)
            token = page["nextForwardToken"]
            page = _get(logs, "s", limit=2, startFromHead=True, nextToken=token)
        assert (messages, page["nextForwardToken"]) == (list("abcde"), token)
        _put(logs, "s", "f", at=NOW + 4000)
        later = _get(logs, "s", startFromHead=True, nextToken=token)
        assert _messages(later) == ["f"]

    def test_backward_to_the_start(self, logs: Any) -> None:
        """Backward tokens lead to the start of the stream, where the token stays the same."""
        _stream(logs, "s", *"abcde")
        page = _get(logs, "s", limit=2)
        batches = [_messages(page)]
        while page["events"]:
            token = page["nextBackwardToken"]
            page = _get(logs, "s", limit=2, nextToken=token)
            batches.append(_messages(page))
        assert (batches, page["nextBackwardToken"]) == ([["d", "e"], ["b", "c"], ["a"], []], token)

    def test_there_and_back(self, logs: Any) -> None:
        """An empty page's tokens still lead back to the events on its other side."""
        _stream(logs, "s", *"abc")
        end = _get(logs, "s", nextToken=_get(logs, "s")["nextForwardToken"])
        assert _messages(_get(logs, "s", nextToken=end["nextBackwardToken"])) == ["a", "b", "c"]
        start = _get(logs, "s", nextToken=_get(logs, "s")["nextBackwardToken"])
        assert _messages(_get(logs, "s", nextToken=start["nextForwardToken"])) == ["a", "b", "c"]

    def test_polling_an_empty_stream(self, logs: Any) -> None:
        """Polling from before the first event misses none, and events of one millisecond keep their order."""
        _stream(logs, "s")
        token = _get(logs, "s")["nextForwardToken"]
        _put(logs, "s", *map(str, range(30)), step=0)
        assert _messages(_get(logs, "s", nextToken=token)) == [str(n) for n in range(30)]

    def test_times(self, logs: Any) -> None:
        """startTime is included and endTime is not."""
        _stream(logs, "s", *"abcd")
        assert _messages(_get(logs, "s", startTime=NOW + 1000, endTime=NOW + 3000)) == ["b", "c"]

    def test_a_megabyte_an_answer(self, logs: Any) -> None:
        """A response has at most about 1 MiB, and its token leads to the rest."""
        _stream(logs, "s")
        for part in range(3):
            _put(logs, "s", *[f"{part}" * 100_000] * 9, at=NOW + part * 10_000)
        first = _get(logs, "s", startFromHead=True)
        rest = _get(logs, "s", nextToken=first["nextForwardToken"])
        assert 0 < len(first["events"]) < 27
        assert rest["events"][0]["timestamp"] > first["events"][-1]["timestamp"]


class TestFilterLogEvents:
    def test_interleaved(self, logs: Any) -> None:
        """Events of all streams are returned in order of time, however small the pages."""
        _stream(logs, "one", *"ace", step=2000)
        _stream(logs, "two", *"bdf", at=NOW + 1000, step=2000)
        assert _filter(logs) == list("abcdef")
        assert _filter(logs, PaginationConfig={"PageSize": 1}) == list("abcdef")

    def test_streams(self, logs: Any) -> None:
        """Names or a prefix select the streams; an unknown name is refused, and so are both together."""
        for name in ("job-a/algo-1", "job-a/algo-2", "job-ab/algo-1", "job_a/algo-1"):
            _stream(logs, name, name)
        assert _filter(logs, logStreamNamePrefix="job-a/") == ["job-a/algo-1", "job-a/algo-2"]
        assert _filter(logs, logStreamNames=["job-ab/algo-1"]) == ["job-ab/algo-1"]
        assert _refusal(lambda: _filter(logs, logStreamNames=["no"]))[0] == "ResourceNotFoundException"
        both = {"logStreamNames": ["job-ab/algo-1"], "logStreamNamePrefix": "job"}
        assert _refusal(lambda: _filter(logs, **both))[0] == "InvalidParameterException"

    def test_times(self, logs: Any) -> None:
        """startTime and endTime are both included."""
        _stream(logs, "s", *"abcd")
        assert _filter(logs, startTime=NOW + 1000, endTime=NOW + 2000) == ["b", "c"]

    @pytest.mark.parametrize(
        ("pattern", "wanted"),
        [
            ("", [0, 1, 2, 3]),
            ("ERROR", [0, 1]),
            ("error", [3]),
            ("ERROR disk", [1]),
            ('"disk full"', [1]),
            ('"mIOU=0.5 \\"val\\""', [2]),
            ("ERROR -disk", [0]),
            ("?mIOU ?full", [1, 2]),
            ("?mIOU ERROR", [0, 1]),
            ("-ERROR", [2, 3]),
        ],
    )
    def test_pattern(self, logs: Any, pattern: str, wanted: list[int]) -> None:
        """Terms, phrases, exclusions and alternatives match as CloudWatch documents them."""
        lines = ["ERROR one", "ERROR disk full", 'mIOU=0.5 "val"', "no error"]
        _stream(logs, "s", *lines)
        assert _filter(logs, filterPattern=pattern) == [lines[n] for n in wanted]

    @pytest.mark.parametrize("pattern", ["{ $.x = 1 }", "[a, b]", "%x%", "a:b", '"open', '"a"b', "-", "?"])
    def test_refused_pattern(self, logs: Any, pattern: str) -> None:
        """An unsupported or malformed pattern is refused with a message."""
        code, message = _refusal(lambda: _filter(logs, filterPattern=pattern))
        assert (code, bool(message)) == ("InvalidParameterException", True)


class TestPutLogEvents:
    def test_too_old_and_too_new(self, logs: Any) -> None:
        """Events outside of the accepted time span are dropped and reported by index."""
        _stream(logs, "s")
        old = _put(logs, "s", "old", "kept", at=NOW - 14 * DAY - 500)
        new = _put(logs, "s", "kept too", "new", at=NOW + 7_200_000 - 500)
        assert old["rejectedLogEventsInfo"] == {"tooOldLogEventEndIndex": 1}
        assert new["rejectedLogEventsInfo"] == {"tooNewLogEventStartIndex": 1}
        assert _messages(_get(logs, "s")) == ["kept", "kept too"]

    def test_refused_batches(self, logs: Any) -> None:
        """A batch out of order, over 24 hours, or over 1 MiB is refused, and so is a missing stream."""
        _stream(logs, "s")
        big = ["x" * 200_000] * 6
        for call in (
            lambda: _put(logs, "s", "b", "a", step=-1),
            lambda: _put(logs, "s", "a", "b", step=DAY + 1, at=NOW - 2 * DAY),
            lambda: _put(logs, "s", *big),
        ):
            assert _refusal(call)[0] == "InvalidParameterException"
        missing = ("ResourceNotFoundException", "The specified log stream does not exist.")
        assert _refusal(lambda: _put(logs, "no", "a")) == missing
        assert _messages(_get(logs, "s")) == []

    def test_many_threads(self, logs: Any) -> None:
        """Concurrent writers lose nothing and keep each writer's order."""
        _stream(logs, "s")

        def write(name: int) -> None:
            for part in range(5):
                _put(logs, "s", *[f"{name}:{part}:{n}" for n in range(100)], step=0)

        threads = [threading.Thread(target=write, args=[name]) for name in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        messages = _messages(_get(logs, "s"))
        assert len(set(messages)) == 4000
        assert [line for line in messages if line.startswith("3:")] == [
            f"3:{part}:{n}" for part in range(5) for n in range(100)
        ]


class TestGroupsAndStreams:
    def test_groups(self, logs: Any) -> None:
        """Groups are listed by prefix in pages, keep their retention, and are deleted with their streams."""
        for name in ("a-1", "a-2", "a-3", "b"):
            logs.create_log_group(logGroupName=name)
        logs.put_retention_policy(logGroupName="a-2", retentionInDays=7)
        pages = logs.get_paginator("describe_log_groups").paginate(
            logGroupNamePrefix="a-", PaginationConfig={"PageSize": 2}
        )
        groups = [group for page in pages for group in page["logGroups"]]
        assert [group["logGroupName"] for group in groups] == ["a-1", "a-2", "a-3"]
        assert groups[1]["retentionInDays"] == 7
        assert groups[1]["arn"] == "arn:aws:logs:us-east-1:123456789012:log-group:a-2:*"
        logs.delete_log_group(logGroupName="a-2")
        code, message = _refusal(lambda: logs.describe_log_streams(logGroupName="a-2"))
        assert (code, message) == ("ResourceNotFoundException", "The specified log group does not exist.")

    @pytest.mark.parametrize(
        ("order", "descending", "wanted"),
        [
            ("LogStreamName", False, ["a", "b", "c", "d"]),
            ("LogStreamName", True, ["d", "c", "b", "a"]),
            ("LastEventTime", False, ["d", "b", "c", "a"]),
            ("LastEventTime", True, ["a", "c", "b", "d"]),
        ],
    )
    def test_streams(self, logs: Any, order: str, descending: bool, wanted: list[str]) -> None:
        """Streams are listed by name or last event, in both orders, in pages; an empty one counts as oldest."""
        for name, at in (("a", 3000), ("b", 1000), ("c", 2000)):
            _stream(logs, name, "x", at=NOW + at)
        _stream(logs, "d")
        pages = logs.get_paginator("describe_log_streams").paginate(
            logGroupName=GROUP, orderBy=order, descending=descending, PaginationConfig={"PageSize": 1}
        )
        assert [item["logStreamName"] for page in pages for item in page["logStreams"]] == wanted

    def test_prefix_with_last_event_time(self, logs: Any) -> None:
        """A prefix cannot be combined with the order of the last event, as in AWS."""
        arguments = {"logGroupName": GROUP, "logStreamNamePrefix": "a", "orderBy": "LastEventTime"}
        assert _refusal(lambda: logs.describe_log_streams(**arguments)) == (
            "InvalidParameterException",
            "Cannot order by LastEventTime with a logStreamNamePrefix.",
        )

    def test_times_of_a_stream(self, logs: Any) -> None:
        """A stream reports its first and last event; deleting it deletes its events."""
        _stream(logs, "s", *"abc")
        stream = logs.describe_log_streams(logGroupName=GROUP, logStreamNamePrefix="s")["logStreams"][0]
        assert (stream["firstEventTimestamp"], stream["lastEventTimestamp"]) == (NOW, NOW + 2000)
        logs.delete_log_stream(logGroupName=GROUP, logStreamName="s")
        _stream(logs, "s")
        assert _messages(_get(logs, "s")) == []

    def test_duplicates(self, logs: Any) -> None:
        """A group or stream of the same name is refused."""
        _stream(logs, "s")
        for call in (lambda: logs.create_log_group(logGroupName=GROUP), lambda: _stream(logs, "s")):
            assert _refusal(call)[0] == "ResourceAlreadyExistsException"


def test_followed_as_the_aws_cli_does(logs: Any) -> None:
    """`aws logs tail --follow` repeats the last time; event ids tell new events of that time from old ones."""
    _stream(logs, "a", "1", "2")
    known: dict[str, str] = {}
    start = NOW
    for message in ("3", "4"):
        query = {"logGroupName": GROUP, "interleaved": True, "startTime": start, "logStreamNamePrefix": "a"}
        answer = logs.filter_log_events(**query)
        known |= {event["eventId"]: event["message"] for event in answer["events"]}
        start = max(event["timestamp"] for event in answer["events"])
        _put(logs, "a", message, at=start)
    answer = logs.filter_log_events(**{**query, "startTime": start})
    assert "nextToken" not in answer
    assert [event["message"] for event in answer["events"]] == ["2", "3", "4"]
    known |= {event["eventId"]: event["message"] for event in answer["events"]}
    assert list(known.values()) == ["1", "2", "3", "4"]


def test_not_offered(logs: Any) -> None:
    """An unsupported operation is reported as such."""
    assert _refusal(logs.describe_queries)[0] == "UnknownOperationException"


def test_reopened(tmp_path: Path) -> None:
    """Events written before the service was closed are there afterwards, and new ones follow them."""
    path, stream = tmp_path / "logs.sqlite", {"logGroupName": "g", "logStreamName": "s"}

    def put(logs: Logs, message: str) -> None:
        logs.call("PutLogEvents", stream | {"logEvents": [{"timestamp": NOW, "message": message}]})

    logs = Logs(path, "us-east-1", "123456789012", clock=lambda: NOW / 1000)
    logs.call("CreateLogGroup", {"logGroupName": "g"})
    logs.call("CreateLogStream", stream)
    put(logs, "one")
    logs.close()
    logs = Logs(path, "us-east-1", "123456789012", clock=lambda: NOW / 1000)
    put(logs, "two")
    assert _messages(logs.call("GetLogEvents", stream)) == ["one", "two"]
    logs.close()
