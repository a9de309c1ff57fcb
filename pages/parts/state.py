"""Every key of the session and of the URL. `st.session_state` is used nowhere else.

In the URL, because a link should carry them: `endpoint`, `answer`, `size`. In the session: what belongs to this
person in this tab and nobody needs tomorrow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

if TYPE_CHECKING:
    from pages.parts.work import Bench

ENDPOINT, ANSWER, SIZE = "endpoint", "answer", "size"
"""Keys of widgets that are bound to the URL under the same name."""

UPLOADS, CAMERA, CAMERA_ON = "uploads", "camera", "camera_on"
"""Keys of the widgets that pictures come in by."""

_RETRY, _BENCH, _EXAMPLES, _SHOWN, _DIGESTS, _SEEN = (
    "_retry",
    "_bench",
    "_examples",
    "_shown",
    "_digests",
    "_seen",
)


def ask_retry() -> None:
    """Note that the next run should first bring back what is gone, and read everything anew."""
    st.session_state[_RETRY] = True


def take_retry() -> bool:
    """Whether that was asked; once asked, the note is gone."""
    return bool(st.session_state.pop(_RETRY, False))


def endpoint_asked_for() -> str:
    """The endpoint that was chosen, or that the link names; empty where neither is so."""
    return str(st.session_state.get(ENDPOINT) or st.query_params.get(ENDPOINT, ""))


def remember_endpoint(name: str) -> None:
    """Keep the choice in the URL, so that a copied link shows the same."""
    if st.query_params.get(ENDPOINT) != name:
        st.query_params[ENDPOINT] = name


def choose(key: str, value: str) -> None:
    """Set a widget's value before it is drawn."""
    st.session_state[key] = value


def bench() -> Bench:
    """This session's pictures at work and done."""
    from pages.parts.work import Bench  # noqa: PLC0415  # streamlit starts faster without

    found: Bench = st.session_state.setdefault(_BENCH, Bench())
    return found


def examples() -> list[str]:
    """S3 addresses of the examples that were clicked, in that order."""
    found: list[str] = st.session_state.setdefault(_EXAMPLES, [])
    return found


def add_example(uri: str) -> None:
    """A click on an example: it joins the pictures, and is the one shown."""
    if uri not in examples():
        examples().append(uri)
    show(uri)


def clear_examples() -> None:
    """Take all examples away again."""
    examples().clear()


def has_pictures() -> bool:
    """Whether there is anything to look at, as of the last run and the click since."""
    return bool(st.session_state.get(UPLOADS) or st.session_state.get(CAMERA) or examples())


def show(picture: str) -> None:
    """Show this picture from now on."""
    st.session_state[_SHOWN] = picture


def shown() -> str:
    """The picture that was last asked for; empty where none was."""
    return str(st.session_state.get(_SHOWN, ""))


def show_newest(pictures: list[str]) -> None:
    """Show the first of those that were not there at the last run."""
    before: list[str] = st.session_state.get(_SEEN, [])
    new = [picture for picture in pictures if picture not in before]
    if new and shown() not in new:
        show(new[0])
    st.session_state[_SEEN] = pictures


def digests() -> dict[str, str]:
    """Upload id -> id of the content: a file is read once, not at every run."""
    found: dict[str, str] = st.session_state.setdefault(_DIGESTS, {})
    return found


def said(component: str, trigger: str) -> object:
    """What a component of ours has just told the page, by its key; None when it told nothing. Gone after this run."""
    return st.session_state[component].get(trigger)
