"""The segmentation queue of a session, without a page around it."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable

import pytest

from core.aws.connection import Connection
from core.imaging.pixel_budget import PIXELS
from core.runs.responses import content_id
from pages.parts.segment.images import InputImage
from pages.parts.segment.run import (
    AT_ONCE,
    InferenceTask,
    ResponseBudget,
    SegmentationQueue,
    SegmentRequest,
)


@pytest.fixture
def submit(aws_environ: dict[str, str], coast: str):
    """submit(queue, data, name=...) -> its InferenceTask."""
    connection = Connection(
        "us-east-1",
        aws_environ["AWS_ENDPOINT_URL"],
        access_key=aws_environ["AWS_ACCESS_KEY_ID"],
        secret_key=aws_environ["AWS_SECRET_ACCESS_KEY"],
    )

    def start(queue: SegmentationQueue, data: bytes, name: str = "a.jpg") -> InferenceTask:
        image = InputImage(content_id(data), name, lambda: data)
        request = SegmentRequest(image.id, connection, coast, "probabilities", (800, 600))
        return queue.submit(image, request, None)

    return start


def wait_until(holds: Callable[[], bool], state: Callable[[], object] = str) -> None:
    """Wait until `holds` is true; fails with `state` after 40 seconds."""
    deadline = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline, state()
        time.sleep(0.01)


def finished(*tasks: InferenceTask) -> None:
    """Wait until all of them are over."""
    wait_until(lambda: all(task.over for task in tasks), lambda: [task.stage for task in tasks])


def test_old_responses_are_discarded(submit, jpeg):
    """Above the bound, older images lose their probabilities and keep labels, confidence and what is shown."""
    queue = SegmentationQueue(kept_bytes=15_000)  # a response has 9,600 bytes and a little more
    old, new = submit(queue, jpeg(shade=1)), submit(queue, jpeg(shade=2))
    finished(old, new)
    queue.keep_only([old, new])
    assert new.result.inference.segmentation.probabilities is not None
    assert old.result.inference.segmentation.probabilities is None
    assert old.result.response_bytes == 0
    assert old.result.inference.segmentation.confidence is not None
    assert old.result.frame


def test_sessions_share_one_bound_on_raw_responses(submit, jpeg):
    """The raw responses of all sessions together stay below one bound; the oldest are discarded."""
    budget = ResponseBudget(15_000)  # a response has 9,600 bytes and a little more
    mine, other = SegmentationQueue(budget=budget), SegmentationQueue(budget=budget)
    old = submit(mine, jpeg(shade=1))
    finished(old)
    assert old.result.response_bytes
    new = submit(other, jpeg(shade=2))
    finished(new)
    wait_until(lambda: old.result.response_bytes == 0)
    assert new.result.inference.segmentation.probabilities is not None
    assert old.result.frame


def test_a_closed_session_leaves_the_budget(submit, jpeg):
    """The responses of a session that has ended are freed and no longer count."""
    budget = ResponseBudget(15_000)
    closed = SegmentationQueue(budget=budget)
    finished(submit(closed, jpeg(shade=1)))
    ended = weakref.ref(closed)
    del closed
    wait_until(lambda: ended() is None)
    finished(task := submit(queue := SegmentationQueue(budget=budget), jpeg(shade=2)))
    budget.enforce()
    assert queue.finished() == [task]
    assert task.result.response_bytes


def test_a_retry_sends_the_image_again(submit, jpeg):
    """The same request has the same task; after `retry` it gets a new one."""
    queue = SegmentationQueue()
    task = submit(queue, jpeg())
    finished(task)
    assert submit(queue, jpeg()) is task
    queue.retry([task])
    again = submit(queue, jpeg())
    assert again is not task
    finished(again)


def test_a_failed_image_is_not_forgotten(submit):
    """An image that failed and left the page is not sent again when it comes back, until somebody tries again."""
    queue = SegmentationQueue()
    finished(task := submit(queue, b"not an image"))
    assert task.error is not None
    queue.keep_only([])
    assert submit(queue, b"not an image") is task
    queue.retry([task])
    again = submit(queue, b"not an image")
    assert again is not task
    finished(again)


def test_an_image_that_is_removed_while_it_waits_is_never_sent(submit, jpeg, faults):
    """An image that is removed before its turn never reaches the endpoint; those that have begun are finished."""
    faults.add("delay", seconds=60, operation="InvokeEndpoint")  # until `clear`
    queue = SegmentationQueue()
    tasks = [submit(queue, jpeg(shade=shade), f"{shade}.jpg") for shade in range(5)]
    wait_until(lambda: len(faults.hits) == AT_ONCE, lambda: faults.hits)
    kept = [task for task in tasks if task.stage != "waiting"]
    assert len(kept) == AT_ONCE
    queue.keep_only(kept)
    faults.clear()
    faults.add("delay", seconds=0, operation="InvokeEndpoint")  # counts further calls
    finished(*tasks)
    assert faults.hits == []
    assert all(task.result is not None for task in kept)
    assert all(task.future.cancelled() for task in tasks if task not in kept)


def test_an_image_that_waits_for_memory_shows_so(submit, jpeg):
    """While others hold the memory for images, the stage is "waiting for memory"; then the image is done."""
    with PIXELS.share(PIXELS.limit, "another user's"):
        task = submit(SegmentationQueue(), jpeg())
        wait_until(lambda: task.stage == "waiting for memory", lambda: task.stage)
        assert not task.over
    finished(task)
    assert task.result is not None
    assert (PIXELS.used, PIXELS.waiting) == (0, 0)


def test_no_memory_is_reserved_while_the_endpoint_is_at_work(submit, jpeg, faults):
    """A slow endpoint keeps no other user waiting for memory."""
    faults.add("delay", seconds=60, operation="InvokeEndpoint")  # until `clear`
    task = submit(SegmentationQueue(), jpeg())
    wait_until(lambda: bool(faults.hits), lambda: task.stage)
    assert (task.stage, PIXELS.used) == ("invoking the endpoint", 0)
    faults.clear()
    finished(task)
