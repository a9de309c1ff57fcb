"""Wait for what another thread or process does: briefly on a quiet machine, long enough on a busy one."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

SECONDS = 60.0
"""The bound of a wait, and the timeout of a connection or a process where a test is not about timeouts."""
WAITER = {"Delay": 0.1, "MaxAttempts": 600}
"""The WaiterConfig of boto3's waiters. They count attempts: with shorter pauses they give up earlier."""
FIRST_PAUSE, LONGEST_PAUSE = 0.01, 0.2


def wait_until(probe: Callable[[], Any], seconds: float = SECONDS) -> Any:
    """Return the first true value of `probe()`; fail the test after `seconds`.

    The pauses grow, so that a long wait costs few calls.
    """
    deadline, pause = time.monotonic() + seconds, FIRST_PAUSE
    while not (value := probe()):
        if time.monotonic() > deadline:
            pytest.fail(f"the condition did not become true within {seconds:g} seconds")
        time.sleep(pause)
        pause = min(1.5 * pause, LONGEST_PAUSE)
    return value
