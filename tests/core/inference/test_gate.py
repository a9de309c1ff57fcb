"""The gate that limits the calls in flight, with calls that the test holds."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from core.errors import AwsError, ModelError, NotFoundError, NotReadyError, ThrottledError
from core.inference.gate import CallGate, StoppedError, is_throttled
from tests.support.patience import SECONDS

THROTTLED = ThrottledError("Too many calls.")
AT_ONCE = (0.0,) * 10


def failing(*errors: AwsError) -> Callable[[], str]:
    """Return a call that raises these errors, one per attempt, and then succeeds."""
    left = iter(errors)

    def call() -> str:
        for error in left:
            raise error
        return "ok"

    return call


def test_no_more_calls_are_in_flight_than_allowed() -> None:
    """With a limit of 3, of 12 calls in 12 threads exactly 3 run at once."""
    gate, lock, running, peak = CallGate(3), threading.Lock(), [0], [0]
    meeting = threading.Barrier(3)

    def call() -> None:
        with lock:
            running[0] += 1
            peak[0] = max(peak[0], running[0])
        meeting.wait(SECONDS)  # passes only if 3 are in flight
        with lock:
            running[0] -= 1

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(lambda _: gate.call(call), range(12)))
    assert peak == [3]


def test_the_limit_is_halved_when_throttled_and_grows_again() -> None:
    """A throttled call halves the limit; after as many successes as it allows, it grows by one, up to the maximum."""
    gate = CallGate(8, AT_ONCE)
    limits = []
    assert gate.call(failing(THROTTLED, THROTTLED)) == "ok"
    assert (gate.throttled, gate.lowest, gate.limit) == (2, 2, 2)
    for _ in range(40):
        gate.call(failing())
        limits.append(gate.limit)
    assert limits[:4] == [3, 3, 3, 4]
    assert limits[-1] == 8


def test_one_burst_reduces_the_limit_once() -> None:
    """Calls that were already in flight when another one was throttled do not reduce the limit again."""
    gate, meeting = CallGate(8, ()), threading.Barrier(8)

    def call() -> None:
        meeting.wait(SECONDS)
        raise THROTTLED

    def attempt(_: int) -> bool:
        try:
            gate.call(call)
        except ThrottledError:
            return True
        return False

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(attempt, range(8)))
    assert (gate.throttled, gate.limit) == (8, 4)


def test_a_call_is_given_up_after_its_last_attempt() -> None:
    """A call that is throttled in every attempt raises the error; the number of attempts is bounded."""
    gate = CallGate(1, (0.0, 0.0))
    with pytest.raises(ThrottledError):
        gate.call(failing(*[THROTTLED] * 9))
    assert gate.throttled == 3


def test_other_errors_are_not_repeated() -> None:
    """A call that failed for another reason is not repeated: it may have run the model, which is billed."""
    gate = CallGate(2, AT_ONCE)
    call = failing(ModelError("It failed.", status=500))
    with pytest.raises(ModelError):
        gate.call(call)
    assert (gate.call(call), gate.throttled) == ("ok", 0)


def test_a_stopped_gate_lets_no_call_through() -> None:
    """After `stop`, waiting and new calls raise StoppedError, and the call in flight ends as it does."""
    gate, started, ended = CallGate(1), threading.Event(), threading.Event()

    def call() -> str:
        started.set()
        assert ended.wait(SECONDS)
        return "ok"

    with ThreadPoolExecutor(2) as pool:
        flying = pool.submit(gate.call, call)
        assert started.wait(SECONDS)
        waiting = pool.submit(gate.call, call)
        gate.stop()
        with pytest.raises(StoppedError):
            waiting.result(30)
        ended.set()
        assert flying.result(30) == "ok"
    with pytest.raises(StoppedError):
        gate.call(call)


@pytest.mark.parametrize(
    ("error", "throttled"),
    [
        (THROTTLED, True),
        (NotReadyError("Loading.", code="ModelNotReadyException"), True),
        (NotReadyError("Creating."), False),
        (ModelError("Busy.", status=429), True),
        (ModelError("Broken.", status=503), False),
        (NotFoundError("Missing."), False),
    ],
)
def test_which_errors_are_throttling(error: AwsError, throttled: bool) -> None:
    """Only rejections that did not run the model count as throttling."""
    assert is_throttled(error) is throttled
