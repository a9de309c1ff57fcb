"""The progress of images, where one ends while the page is drawn."""

from __future__ import annotations

from tests.support.apps import app_from_function


def script() -> None:
    """Draw a page with one image, whose result arrives after the page has drawn its placeholder."""
    import streamlit as st

    from core.aws.connection import Connection
    from core.errors import CoreError
    from pages.parts.segment import progress
    from pages.parts.segment.images import InputImage
    from pages.parts.segment.run import InferenceTask, SegmentRequest

    state = st.session_state
    state["runs"] = state.get("runs", 0) + 1
    if "task" not in state:
        image = InputImage("1", "bay.jpg", bytes)
        request = SegmentRequest("1", Connection(region="us-east-1"), "coast", "mask", None)
        state["task"] = InferenceTask("bay.jpg", image, request)
    task = state["task"]
    drawn = progress.Drawn.now([task], task)
    st.write("the result" if task.over else "a placeholder")
    if not task.over:
        task.future.set_exception(CoreError("The endpoint is gone."))  # between this line and the next one
    progress.show([task], None, drawn=drawn)


def test_an_image_that_ends_while_the_page_is_drawn() -> None:
    """The page runs again for an image that ended after its placeholder was drawn, before its progress was."""
    app = app_from_function(script, default_timeout=60).run()
    assert app.session_state["runs"] == 2
    assert app.markdown[0].value == "the result"
    assert "The endpoint is gone" in app.error[0].value
