"""The fault of a job's first worker, with several images in progress at once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from sandbox.transform.fault import JobFault

SECONDS = 60


@pytest.mark.parametrize("kind", ["hang", "kill"])
@pytest.mark.parametrize("images", [0, 1, 2, 5])
def test_a_fault_comes_after_the_images_before_it(kind: str, images: int) -> None:
    """With four images at once, exactly the images before the fault are answered, whichever is the slowest."""
    fault = JobFault.of({"Environment": {"SM_SANDBOX_FAULT": f"{kind}:{images}"}})
    assert fault is not None
    stop, broken, lock = threading.Event(), threading.Event(), threading.Lock()
    turns = threading.Barrier(4)
    answered = 0

    def send() -> None:
        nonlocal answered
        turns.wait(SECONDS)
        fault.before(stop, lambda *_: broken.set())
        with lock:
            answered += not broken.is_set()
        fault.after()

    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(send) for _ in range(8)]:
            future.result(SECONDS)
    assert (answered, broken.is_set()) == (images, True)


def test_a_stopped_job_ends_the_wait() -> None:
    """An image that waits for its turn is let go when its job is stopped."""
    fault = JobFault("hang", 1)
    stop = threading.Event()
    applied: list[str] = []
    fault.before(stop, lambda kind, _: applied.append(kind))  # never answered
    waiting = threading.Thread(target=fault.before, args=(stop, lambda kind, _: applied.append(kind)))
    waiting.start()
    stop.set()
    waiting.join(SECONDS)
    assert not waiting.is_alive()
