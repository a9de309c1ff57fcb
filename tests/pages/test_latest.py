"""What many viewers share: one asks, the others take; what was good is kept when AWS fails."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from core.errors import ThrottledError, TimedOutError
from pages.parts.shared_cache import RETRY, CachedValue, PendingError, Snapshot, StaleCache, watching


class Source:
    """Counts how often it is asked; fails while told to; may be held until let go."""

    def __init__(self) -> None:
        self.asked = 0
        self.failing = False
        self.let_go = threading.Event()
        self.let_go.set()
        self.entered = threading.Event()

    def __call__(self) -> int:
        self.asked += 1
        self.entered.set()
        self.let_go.wait(20)
        if self.failing:
            raise ThrottledError("Too many calls.")
        return self.asked


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def make() -> tuple[Source, Clock, CachedValue[int]]:
    source, clock = Source(), Clock()
    return source, clock, CachedValue(source, 15, patience=20, clock=clock)


def test_fifty_viewers_make_one_call():
    """Fifty who ask at once, with nothing there, wait for one call and all get its answer."""
    source, _, latest = make()
    source.let_go.clear()
    with ThreadPoolExecutor(50) as pool:
        readings = [pool.submit(latest.read) for _ in range(50)]
        assert source.entered.wait(20)
        source.let_go.set()
        assert {reading.result().value for reading in readings} == {1}
    assert source.asked == 1


def test_an_answer_is_asked_for_again_when_it_is_old():
    """Within its time an answer is kept, after it there is one new call."""
    source, clock, latest = make()
    assert [latest.read().value, latest.read().value] == [1, 1]
    clock.now += 14.9
    assert latest.read().value == 1
    clock.now += 0.1
    assert [latest.read().value, latest.read().value] == [2, 2]
    assert source.asked == 2


def test_the_last_good_answer_stays_when_the_next_fails():
    """After a failure the last good answer comes with the reason, until a call succeeds again."""
    source, clock, latest = make()
    good = latest.read()
    assert good.failure is None
    source.failing = True
    clock.now += 15
    kept = latest.read()
    assert (kept.value, kept.at, str(kept.failure)) == (1, good.at, "Too many calls.")
    source.failing = False
    clock.now += 15
    assert (latest.read().value, latest.read().failure) == (3, None)


def test_a_failure_is_no_reason_to_call_more():
    """While AWS fails, many viewers make one call every few seconds; with nothing good, the error is raised."""
    source, clock, latest = make()
    source.failing = True
    for _ in range(10):
        with pytest.raises(ThrottledError, match="Too many calls"):
            latest.read()
    assert source.asked == 1
    clock.now += 15
    with pytest.raises(ThrottledError):
        latest.read()
    assert source.asked == 2


def test_nobody_waits_while_another_asks():
    """Who finds another one asking takes what there is at once, unless it is much too old."""
    source, clock, latest = make()
    latest.read()
    source.let_go.clear()
    source.entered.clear()
    clock.now += 20
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(latest.read)
        assert source.entered.wait(20)
        assert latest.read().value == 1
        source.let_go.set()
        assert asking.result().value == 2


def test_an_unexpected_error_goes_through():
    """What is no CoreError is raised as it is, by every read until the next try."""

    def broken() -> int:
        raise ZeroDivisionError

    latest = CachedValue(broken, 15)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            latest.read()


def test_a_shelf_keeps_answers_apart_and_forgets_the_longest_unused():
    """Each key has its answer; with too many, the longest unused is asked for again."""
    shelf, first, second = StaleCache(max_entries=2), Source(), Source()
    shelf.read("a", first, 15)
    shelf.read("b", second, 15)
    shelf.read("a", first, 15)
    shelf.read("c", Source(), 15)
    shelf.read("a", first, 15)
    shelf.read("b", second, 15)
    assert (first.asked, second.asked) == (1, 2)


def test_an_expired_shelf_asks_anew():
    """After `expire` every answer is asked for again, once; while that fails the old one stays."""
    shelf, source = StaleCache(), Source()
    shelf.read("a", source, 1000)
    shelf.expire()
    source.failing = True
    kept = shelf.read("a", source, 1000)
    assert (kept.value, source.asked) == (1, 2)
    assert isinstance(kept.failure, ThrottledError)


def test_a_value_that_has_not_arrived_is_pending():
    """A read that takes longer than the page's patience is pending, and its value is there at a later look."""
    source = Source()
    source.let_go.clear()
    latest = CachedValue(source, 15, "the jobs", patience=0.01)
    with pytest.raises(PendingError, match="Waiting for the jobs"):
        latest.read()
    source.let_go.set()
    assert eventually(latest).value == 1
    assert source.asked == 1


def test_a_new_value_that_is_late_leaves_the_last_one():
    """While a newer value is being read, the last one is shown, and is known to be pending."""
    source, clock = Source(), Clock()
    latest = CachedValue(source, 15, patience=0.01, clock=clock)
    eventually(latest)
    source.let_go.clear()
    clock.now += 15
    reading = latest.read()
    assert (reading.value, reading.pending, reading.failure) == (1, True, None)
    source.let_go.set()


def test_what_does_not_answer_is_reported_and_still_awaited():
    """After the limit a page reports that AWS does not answer, and still shows the value when it arrives."""
    source, clock = Source(), Clock()
    source.let_go.clear()
    latest = CachedValue(source, 15, "the jobs", patience=0, limit=25, clock=clock)
    with pytest.raises(PendingError):
        latest.read()
    clock.now += 25
    with pytest.raises(TimedOutError, match="not returned the jobs after 25 s"):
        latest.read()
    source.let_go.set()
    assert eventually(latest).value == 1


def test_a_failure_is_tried_again_soon():
    """However old a value may become, after a failure the next try is four seconds away."""
    source, clock = Source(), Clock()
    latest = CachedValue(source, 3600, clock=clock)
    source.failing = True
    with pytest.raises(ThrottledError):
        latest.read()
    source.failing = False
    clock.now += RETRY
    assert latest.read().value == 2


def test_what_was_read_before_a_change_does_not_count():
    """A read that was in progress when everything expired may have seen the state from before: it is read again."""
    source = Source()
    source.let_go.clear()
    latest = CachedValue(source, 1000, patience=0)
    with pytest.raises(PendingError):
        latest.read()
    latest.expire()
    with pytest.raises(PendingError):
        latest.read()
    source.let_go.set()
    assert eventually(latest).value == 2


def test_a_page_waits_once_for_all_its_values():
    """Ten slow values together take no more of a page's time than its patience."""
    source = Source()
    source.let_go.clear()
    shelf = StaleCache(patience=1)
    began = time.monotonic()
    with watching() as watch:
        for number in range(10):
            with pytest.raises(PendingError):
                shelf.read(number, source, 15)
    assert time.monotonic() - began < 5
    assert len(watch.unsettled) == 10
    source.let_go.set()


def test_a_watch_tells_when_another_look_pays():
    """What was pending has changed once it has arrived, and not before."""
    source = Source()
    source.let_go.clear()
    shelf = StaleCache(patience=0)
    with watching() as watch, pytest.raises(PendingError):
        shelf.read("a", source, 15)
    assert watch.pending
    assert not watch.changed()
    source.let_go.set()
    deadline = time.monotonic() + 120
    while not watch.changed():
        assert time.monotonic() < deadline
    with watching() as settled:
        assert shelf.read("a", source, 15).value == 1
    assert not settled.unsettled


def eventually(latest: CachedValue[int]) -> Snapshot[int]:
    """The value once it has arrived."""
    deadline = time.monotonic() + 120
    while True:
        try:
            return latest.read()
        except (PendingError, TimedOutError):
            assert time.monotonic() < deadline
