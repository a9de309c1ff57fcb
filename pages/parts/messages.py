"""How errors are told: what happened, why, and what to do. The one error door of all pages is here."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import streamlit as st

from core.errors import AwsError, CoreError, ModelError
from core.escaping import LogFilter, markdown, markdown_link
from core.escaping import code as as_code
from core.training.diagnosis import Diagnosis
from pages.parts import state
from pages.parts.shared_cache import OptionalPart, PendingError, Snapshot

log = logging.getLogger("segdeck")
log.addFilter(LogFilter())

NOTED = "segdeck_id"
"""The attribute of an exception that holds its id in the log."""

PLACEHOLDER = 140
"""Height in pixels of the placeholder for what has not arrived."""


@contextmanager
def error_boundary(place: str = "") -> Iterator[None]:
    """Whatever goes wrong inside is shown as a card and goes no further. place: tells the doors of one page apart."""
    try:
        yield
    except PendingError as pending:
        waiting(pending)
    except CoreError as error:
        show(error, place)
    except Exception as error:  # noqa: BLE001  # logged with its traceback, and shown with the log's id
        show_unexpected(error, place)


def on_script_error(error: Exception) -> bool:
    """The same door for what Streamlit runs outside the shell: callbacks. True: it is shown."""
    if isinstance(error, CoreError):
        show(error)
    else:
        show_unexpected(error)
    return True


def show(error: CoreError, place: str = "") -> None:
    """An error that we can explain, with a button that tries again."""
    st.error(card(error), icon=":material/error:")
    _retry_button(place)


def waiting(pending: PendingError) -> None:
    """Draw a waiting state: what has not arrived yet, and a placeholder where it will be."""
    with st.container(border=True, gap="small"):
        st.markdown(
            f":gray[:material/hourglass_top:] **Waiting for {plain(pending.what)}** {_so_far(pending.seconds)}"
        )
        st.skeleton(height=PLACEHOLDER)


def waiting_line(pending: PendingError) -> None:
    """Draw the same as one line, for what only decorates a page."""
    st.caption(f":material/hourglass_top: Waiting for {plain(pending.what)} {_so_far(pending.seconds)}")


def why_not(part: OptionalPart[Any], seen: Snapshot[Any]) -> None:
    """Draw why a part of the page is not there or not new, unless the head says so of all."""
    if part.waiting is not None:
        waiting(part.waiting)
    elif part.failure is not None and seen.failure is None:
        st.warning(line(part.failure), icon=":material/history:")


def _so_far(seconds: float) -> str:
    return f":gray[· {seconds:.0f} s so far, shown here on arrival]"


def show_unexpected(error: BaseException, place: str = "") -> None:
    """An error that nobody foresaw: the log gets the traceback, the page the id to look for."""
    number = note_once(error)
    st.error(
        f"**Something went wrong that Segdeck did not foresee.**\n\n"
        f"The log of the dashboard has the details under `{number}`. Your files are untouched.",
        icon=":material/error:",
    )
    _retry_button(place)


def diagnosis(found: Diagnosis, *, failed: bool) -> None:
    """Why it ended as it did, and what to do."""
    box = st.error if failed else st.warning
    evidence = f"\n\n:small[{plain(found.evidence)}]" if found.evidence else ""
    box(
        f"**{plain(found.title)}.** {plain(found.cause)}\n\n**What to do:** {plain(found.todo)}{evidence}",
        icon=":material/stethoscope:",
    )


def note(error: BaseException) -> str:
    """Write an unforeseen error to the log; gives its id."""
    number = secrets.token_hex(4)
    log.error("unforeseen error %s", number, exc_info=error)
    return number


def note_once(error: BaseException) -> str:
    """Return the id of an error that stays on a page from run to run; it is logged the first time."""
    number: str = vars(error).get(NOTED) or note(error)
    vars(error)[NOTED] = number
    return number


def card(error: CoreError) -> str:
    """An error as Markdown: what in bold with why; what to do; where the container's log is."""
    parts = [f"**{plain(error.what)}** {plain(error.why)}", plain(error.todo)]
    if isinstance(error, ModelError) and error.log_url.startswith("https://"):
        parts.append(markdown_link("The container's log", error.log_url))
    if isinstance(error, AwsError) and error.request_id:
        parts.append(f":small[Request {as_code(error.request_id)}]")
    return "\n\n".join(part for part in parts if part)


def any_card(error: BaseException) -> str:
    """Any error as Markdown; one that nobody foresaw goes to the log, once."""
    if isinstance(error, CoreError):
        return card(error)
    number = note_once(error)
    return f"Something went wrong that Segdeck did not foresee. The log has the details under `{number}`."


def line(error: BaseException) -> str:
    """An error as one line of Markdown."""
    if isinstance(error, CoreError):
        return " ".join(plain(part) for part in (error.what, error.why, error.todo) if part)
    return f"Something unforeseen: {as_code(str(error) or type(error).__name__)}"


def code(text: str) -> str:
    """Return text as code in Markdown: see `core.escaping`."""
    return as_code(text)


def plain(text: str) -> str:
    """Return text that Markdown shows as it is: see `core.escaping`."""
    return markdown(text)


def _retry_button(place: str) -> None:
    st.button(
        "Try again",
        key=f"retry-{place}" if place else "retry",
        icon=":material/refresh:",
        on_click=state.ask_retry,
    )
