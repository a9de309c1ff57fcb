"""A training job's log, read from a server that responds like CloudWatch Logs."""

from __future__ import annotations

from typing import Any

import pytest

from core import errors
from core.aws.logs import LogToken, all_events, endpoint_streams, log_streams, tail

STREAM = "a/algo-1-1790000000"


def streams(server: Any, *names: str) -> Any:
    return server.json({"logStreams": [{"logStreamName": name} for name in names]})


def events(server: Any, *messages: str, forward: str, backward: str = "b/0") -> Any:
    rows = [{"timestamp": 1_790_000_000_000 + n, "message": text} for n, text in enumerate(messages)]
    return server.json({"events": rows, "nextForwardToken": forward, "nextBackwardToken": backward})


def test_the_tail_is_two_calls_and_then_one(canned_server: Any) -> None:
    """The end of a log takes two calls, and each following page one; the same token means the end."""
    canned_server.says(
        streams(canned_server, STREAM),
        events(canned_server, "one", "two", forward="f/1"),
        events(canned_server, "three", forward="f/2"),
        events(canned_server, forward="f/2"),
    )
    clients = canned_server.clients()
    first = tail(clients, "a")
    assert [event.message for event in first.events] == ["one", "two"]
    assert (first.next_token, first.has_log) == (LogToken(STREAM, "f/1"), True)
    second = tail(clients, "a", token=first.next_token)
    assert ([event.message for event in second.events], second.at_end) == (["three"], False)
    third = tail(clients, "a", token=second.next_token)
    assert (third.events, third.at_end, third.next_token) == ((), True, second.next_token)
    calls = [name for name, _ in canned_server.asked]
    assert calls == ["DescribeLogStreams", "GetLogEvents", "GetLogEvents", "GetLogEvents"]


def test_an_empty_last_page_is_followed_back(canned_server: Any) -> None:
    """CloudWatch may return an empty page although there are lines before it; those are found."""
    canned_server.says(
        streams(canned_server, STREAM),
        events(canned_server, forward="f/9", backward="b/9"),
        events(canned_server, "last", forward="f/8", backward="b/8"),
    )
    page = tail(canned_server.clients(), "a")
    assert [event.message for event in page.events] == ["last"]
    assert page.next_token == LogToken(STREAM, "f/9")


def test_a_job_without_a_log(canned_server: Any) -> None:
    """A job without a log has an empty page that says so; so does one in an account without any job."""
    canned_server.says(
        streams(canned_server),
        canned_server.error(400, "ResourceNotFoundException", "The specified log group does not exist."),
    )
    for _ in range(2):
        page = tail(canned_server.clients(), "a")
        assert (page.events, page.next_token, page.has_log) == ((), None, False)


def test_the_newest_stream_is_read(canned_server: Any) -> None:
    """A job whose instance was interrupted has a new stream; streams are ordered by their start."""
    canned_server.says(streams(canned_server, "a/algo-1-1800000000", "a/algo-1-999999999"))
    assert log_streams(canned_server.clients(), "a")[-1] == "a/algo-1-1800000000"


def test_a_whole_log_is_read_over_all_streams(canned_server: Any) -> None:
    """All lines of all streams are returned in order, over empty pages, until each stream's end."""
    canned_server.says(
        streams(canned_server, "a/algo-1-1", "a/algo-1-2"),
        events(canned_server, "one", forward="f/1"),
        events(canned_server, forward="f/2"),
        events(canned_server, "two", forward="f/3"),
        events(canned_server, forward="f/3"),
        events(canned_server, "three", forward="g/1"),
        events(canned_server, forward="g/1"),
    )
    whole = all_events(canned_server.clients(), "a")
    assert [event.message for event in whole.events] == ["one", "two", "three"]
    assert whole.complete


@pytest.mark.parametrize("bounds", [{"max_events": 3}, {"seconds": -1.0}])
def test_a_log_without_an_end_is_bounded(canned_server: Any, bounds: dict[str, Any]) -> None:
    """A log is read up to a number of lines and seconds, and marked as incomplete."""
    canned_server.says(streams(canned_server, STREAM))
    canned_server.replies += [
        events(canned_server, "one", "two", forward=f"f/{number}") for number in range(9)
    ]
    whole = all_events(canned_server.clients(), "a", **bounds)
    assert not whole.complete
    assert len(whole.events) == bounds.get("max_events", 0)


def test_a_cut_answer_is_no_empty_log(canned_server: Any) -> None:
    """A truncated response is an error, not an empty log."""
    canned_server.says(canned_server.json({}))
    with pytest.raises(errors.UnexpectedAnswerError):
        tail(canned_server.clients(), "a")
    canned_server.says(streams(canned_server, STREAM), canned_server.json({}))
    with pytest.raises(errors.UnexpectedAnswerError):
        tail(canned_server.clients(), "a")


def test_a_stream_without_a_name_is_an_unexpected_answer(canned_server: Any) -> None:
    """A log stream without a name is an UnexpectedAnswerError, for a job and for an endpoint."""
    canned_server.says(canned_server.json({"logStreams": [{"arn": "a"}]}))
    with pytest.raises(errors.UnexpectedAnswerError, match="logStreamName"):
        log_streams(canned_server.clients(), "a")
    with pytest.raises(errors.UnexpectedAnswerError, match="logStreamName"):
        endpoint_streams(canned_server.clients(), "a")


def test_a_page_that_cloudwatch_cuts_is_continued(canned_server: Any) -> None:
    """CloudWatch ends a page at 1 MB: the lines before it are read too, up to the limit or the start of the log."""
    long = "x" * 250_000
    canned_server.says(
        streams(canned_server, STREAM),
        events(canned_server, *[long] * 4, "last", forward="f/9", backward="b/9"),
        events(canned_server, "first", "second", forward="f/1", backward="b/1"),
    )
    page = tail(canned_server.clients(), "a")
    assert [event.message[:6] for event in page.events] == ["first", "second", *["xxxxxx"] * 4, "last"]
    assert page.next_token == LogToken(STREAM, "f/9")
    assert not page.cut


def test_a_tail_says_whether_it_is_the_whole_log(canned_server: Any) -> None:
    """A page as long as its limit can have lines before it; a shorter one has none."""
    canned_server.says(streams(canned_server, STREAM), events(canned_server, "one", "two", forward="f/1"))
    clients = canned_server.clients()
    assert tail(clients, "a", limit=2).cut
    canned_server.says(streams(canned_server, STREAM), events(canned_server, "one", "two", forward="f/1"))
    assert not tail(clients, "a", limit=3).cut
