"""Tasks in the background, and their progress on a page."""

from __future__ import annotations

from concurrent.futures import wait
from threading import Event, Semaphore, Timer
from typing import Any

import pytest

from pages.parts.tasks import BackgroundTask, OnCount, elapsed, start, wait_for_any
from tests.support.apps import app_from_function


def over(*tasks: BackgroundTask[Any]) -> None:
    """Wait until all of them are over."""
    _, pending = wait([task.future for task in tasks], timeout=120)
    assert not pending


def test_a_task_has_a_result():
    """A task that returns has a result, its last progress, and how long it took."""

    def work(report: OnCount) -> str:
        report(2, 8)
        return "done"

    task = start("Counting", work)
    over(task)
    assert (task.result, task.error, task.stage) == ("done", None, "done")
    assert (task.done, task.total) == (2, 8)
    assert task.seconds >= 0


def test_a_task_that_fails_keeps_its_error():
    """A task that raises has no result but the error, which is not raised anywhere else."""

    def work(_: OnCount) -> None:
        raise ValueError("no")

    task = start("Counting", work)
    over(task)
    assert (task.result, task.stage, task.stopped) == (None, "failed", False)
    assert str(task.error) == "no"


def test_a_stopped_task_ends_at_its_next_report():
    """A task that is stopped ends when it next reports its progress, which stays as it was."""
    stopped = Event()

    def work(report: OnCount) -> None:
        report(3, 8)
        assert stopped.wait(20)
        report(4, 8)

    task = start("Counting", work)
    task.stop.set()
    stopped.set()
    over(task)
    assert task.stopped
    assert task.result is None


def test_a_task_that_is_stopped_before_its_turn_never_runs():
    """A waiting task that is stopped is canceled: it neither runs, nor has a result or an error."""
    ran: list[str] = []
    turns = Semaphore(0)
    first, second = (BackgroundTask[None](name) for name in ("first", "second"))
    for task in (first, second):
        task.begin(lambda name=task.title: ran.append(name), turns)
    second.stop.set()
    turns.release(2)
    over(first, second)
    assert ran == ["first"]
    assert second.future.cancelled()
    assert (second.result, second.error, second.stopped) == (None, None, False)


def test_waiting_ends_with_the_first_task_that_ends():
    """A wait for running tasks ends with the first that ends; tasks that are over already do not end it."""
    hold, go = Event(), Event()
    tasks = [start(name, lambda _, event=event: event.wait(20)) for name, event in (("a", hold), ("b", go))]
    ended = start("c", lambda _: True)
    over(ended)
    Timer(0.05, go.set).start()
    wait_for_any([*tasks, ended], 20)
    assert [task.over for task in tasks] == [False, True]
    hold.set()
    over(*tasks)


@pytest.mark.parametrize(("total", "text"), [(0, "Counting ..."), (1200, "Counting: 3 of 1,200")])
def test_progress_and_stop_button(total: int, text: str):
    """A running task is shown with its progress and a button that stops it; then the page says how far it came."""

    hold = Event()

    def script() -> None:
        import streamlit

        from pages.parts import tasks

        tasks.show(streamlit.session_state["task"], "count")

    def work(report: OnCount) -> None:
        report(3, total)
        assert hold.wait(20)
        report(4, total)

    app = app_from_function(script)
    task = app.session_state["task"] = start("Counting", work)
    app.run()
    assert [bar.proto.text for bar in app.get("progress")] == [text]
    (button,) = app.button
    assert button.label == "Stop"
    button.click().run()
    (button,) = app.button
    assert (button.label, button.disabled) == ("Stopping …", True)
    hold.set()
    over(task)
    app.run()
    assert app.info[0].value == f"**Counting stopped** after 3 of {total:,}."
    assert not app.button


def test_time_in_which_tasks_overlap_counts_once():
    """Tasks that ran at the same time took the time on the clock; a pause between two is not counted."""

    def ran(started: float, seconds: float) -> BackgroundTask[Any]:
        return BackgroundTask("", started=started, seconds=seconds)

    assert elapsed([]) == 0
    assert elapsed([ran(10, 4), ran(12, 4), ran(13, 1)]) == 6
    assert elapsed([ran(100, 1), ran(10, 2)]) == 3


def test_the_time_of_many_images_is_that_on_the_clock():
    """The heading of finished images has the time from the first to the last, not the sum over images."""

    def page() -> None:
        from core.aws.connection import Connection
        from pages.parts.segment import progress
        from pages.parts.segment.run import InferenceTask, InputImage, SegmentationQueue, SegmentRequest

        inferences = []
        for number in range(3):
            image = InputImage(str(number), f"{number}.jpg", bytes)
            request = SegmentRequest(image.id, Connection("us-east-1"), "roads", "mask", None)
            task = InferenceTask(image.name, image, request)
            task.stage, task.started, task.seconds = "done", 10.0 + number, 3.0
            task.future.set_result(None)
            inferences.append(task)
        progress.show(inferences, SegmentationQueue())

    app = app_from_function(page).run()
    assert not app.exception
    assert app.status[0].label == "3 images done in 5.0 s"


def test_a_click_ends_the_wait_of_a_run():
    """While a run of the page waits for a task, a click runs the page again at once; the stage is shown meanwhile."""

    def page() -> None:
        from threading import Timer

        import streamlit as st
        from streamlit.runtime.scriptrunner import RerunData, get_script_run_ctx

        from pages.parts import tasks
        from pages.parts.tasks import BackgroundTask

        st.session_state.runs = st.session_state.get("runs", 0) + 1
        if st.session_state.runs == 1:
            requests = get_script_run_ctx().script_requests
            task = BackgroundTask("Endless", stage="invoking")

            def stage() -> None:
                st.session_state.stages = [*st.session_state.get("stages", []), task.stage]
                Timer(0, requests.request_rerun, [RerunData()]).start()  # as a click does

            tasks.wait_in_run(task, 60, stage)
            st.session_state.waited = True

    app = app_from_function(page).run(timeout=30)
    assert not app.exception
    assert app.session_state.runs == 2
    assert app.session_state.stages == ["invoking"]
    assert "waited" not in app.session_state


@pytest.mark.parametrize(
    ("ending", "error", "runs"), [("0", "", 2), ("1", "", 1), ("1", "The endpoint is gone.", 1)]
)
def test_only_the_image_that_is_shown_runs_the_page(ending: str, error: str, runs: int):
    """Of many images, the page runs again when the one it shows is done; another one is marked as done in the row.

    For one that fails, the page's own run does not begin anew: with many failures, it would never reach its end.
    """

    def page() -> None:
        import streamlit as st

        from core.aws.connection import Connection
        from core.errors import CoreError
        from pages.parts.segment import progress
        from pages.parts.segment.run import InferenceTask, InputImage, SegmentationQueue, SegmentRequest

        state = st.session_state
        state.runs = state.get("runs", 0) + 1
        if "tasks" not in state:
            images = [InputImage(str(number), f"{number}.jpg", bytes) for number in range(3)]
            state.tasks = [
                InferenceTask(
                    image.name,
                    image,
                    SegmentRequest(image.id, Connection("us-east-1"), "roads", "mask", None),
                )
                for image in images
            ]
            state.queue = SegmentationQueue()
        tasks, calls = state.tasks, []

        def selected() -> InferenceTask:
            calls.append(None)
            ending = tasks[int(state.ending)]
            if len(calls) == 2 and not ending.over:  # the page has been drawn, and its part begins to look
                if state.error:
                    ending.future.set_exception(CoreError(state.error))
                else:
                    ending.future.set_result(None)
            return tasks[0]

        def strip(shown: InferenceTask) -> None:
            st.text(f"{shown.image.id} of {[task.over for task in tasks]}")

        progress.show(tasks, state.queue, selected=selected, strip=strip)

    app = app_from_function(page)
    app.session_state["ending"], app.session_state["error"] = ending, error
    app.run()
    assert not app.exception
    assert app.session_state.runs == runs
    assert app.text[0].value == f"0 of {[number == int(ending) for number in range(3)]}"
    assert app.status[0].label == "1 of 3 images done"
