"""Pictures at work, without a page around them."""

from __future__ import annotations

import time
import weakref

import pytest

from core.aws.connection import Connection
from core.imaging.pixel_budget import PIXELS
from pages.parts.segment.run import (
    AnswerBudget,
    InferenceTask,
    Picture,
    SegmentationQueue,
    SegmentRequest,
    digest,
)


@pytest.fixture
def ask(aws_environ: dict[str, str], coast: str):
    """ask(bench, data, name=...) -> its Work."""
    connection = Connection(
        "us-east-1",
        aws_environ["AWS_ENDPOINT_URL"],
        access_key=aws_environ["AWS_ACCESS_KEY_ID"],
        secret_key=aws_environ["AWS_SECRET_ACCESS_KEY"],
    )

    def start(bench: SegmentationQueue, data: bytes, name: str = "a.jpg") -> InferenceTask:
        picture = Picture(digest(data), name, lambda: data)
        request = SegmentRequest(picture.id, connection, coast, "probabilities", (800, 600))
        return bench.ask(picture, request, None)

    return start


def finished(*works: InferenceTask) -> None:
    deadline = time.monotonic() + 40
    while not all(work.over for work in works):
        assert time.monotonic() < deadline, [work.stage for work in works]
        time.sleep(0.01)


def test_old_answers_make_room(ask, jpeg):
    """Above the bound, older pictures lose their probabilities and keep labels, confidence and what is shown."""
    bench = SegmentationQueue(kept_bytes=15_000)  # an answer has 9,600 bytes and a little more
    old, young = ask(bench, jpeg(shade=1)), ask(bench, jpeg(shade=2))
    finished(old, young)
    bench.keep_to([old, young])
    assert young.result.inference.segmentation.probabilities is not None
    assert old.result.inference.segmentation.probabilities is None
    assert old.result.raw_bytes == 0
    assert old.result.inference.segmentation.confidence is not None
    assert old.result.frame


def test_sessions_share_one_bound_on_raw_answers(ask, jpeg):
    """However many sessions there are, their raw answers together stay below one bound; the oldest make room."""
    budget = AnswerBudget(15_000)  # an answer has 9,600 bytes and a little more
    mine, other = SegmentationQueue(budget=budget), SegmentationQueue(budget=budget)
    old = ask(mine, jpeg(shade=1))
    finished(old)
    assert old.result.raw_bytes
    young = ask(other, jpeg(shade=2))
    finished(young)
    wait_until(lambda: old.result.raw_bytes == 0)
    assert young.result.inference.segmentation.probabilities is not None
    assert old.result.frame


def test_a_closed_session_leaves_the_bound(ask, jpeg):
    """The answers of a session that has ended are freed and no longer count."""
    budget = AnswerBudget(15_000)
    gone = SegmentationQueue(budget=budget)
    finished(ask(gone, jpeg(shade=1)))
    ended = weakref.ref(gone)
    del gone
    wait_until(lambda: ended() is None)
    finished(work := ask(bench := SegmentationQueue(budget=budget), jpeg(shade=2)))
    budget.enforce()
    assert bench.answered() == [work]
    assert work.result.raw_bytes


def wait_until(holds) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_forgotten_pictures_are_asked_anew(ask, jpeg):
    """After `retry`, the same question starts a new work."""
    bench = SegmentationQueue()
    work = ask(bench, jpeg())
    finished(work)
    assert ask(bench, jpeg()) is work
    bench.retry([work])
    assert ask(bench, jpeg()) is not work


def test_what_nobody_wants_is_not_asked(ask, jpeg, faults):
    """A picture that is taken away before its turn never reaches the endpoint."""
    faults.add("delay", seconds=3, operation="InvokeEndpoint")
    bench = SegmentationQueue()
    works = [ask(bench, jpeg(shade=shade), f"{shade}.jpg") for shade in range(5)]
    deadline = time.monotonic() + 20
    while sum(work.stage != "waiting" for work in works) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    kept = [work for work in works if work.stage != "waiting"]
    bench.keep_to(kept)
    finished(*works)
    assert len(faults.hits) == len(kept)
    assert all(work.result is not None for work in kept)


def test_a_picture_that_waits_for_memory_says_so(ask, jpeg):
    """While others hold the memory for images, the stage is "waiting for memory"; then the picture is done."""
    with PIXELS.share(PIXELS.limit, "another visitor's"):
        work = ask(SegmentationQueue(), jpeg())
        deadline = time.monotonic() + 20
        while work.stage != "waiting for memory":
            assert time.monotonic() < deadline, work.stage
            time.sleep(0.01)
        assert not work.over
    finished(work)
    assert work.result is not None
    assert (PIXELS.used, PIXELS.waiting) == (0, 0)


def test_no_memory_is_held_while_the_endpoint_is_at_work(ask, jpeg, faults):
    """A slow endpoint keeps no other visitor waiting for memory."""
    faults.add("delay", operation="InvokeEndpoint")
    work = ask(SegmentationQueue(), jpeg())
    deadline = time.monotonic() + 20
    while not faults.hits:
        assert time.monotonic() < deadline, work.stage
        time.sleep(0.01)
    assert (work.stage, PIXELS.used) == ("asking the endpoint", 0)
    faults.clear()
    finished(work)
