"""Show errors: what happened, why, and what to do. The error boundary of all pages is defined here."""

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
    """Show any error raised inside as a card, and stop it there. place: distinguishes the boundaries of one page."""
    try:
        yield
    except PendingError as pending:
        waiting(pending)
    except CoreError as error:
        show(error, place)
    except Exception as error:  # noqa: BLE001  # logged with its traceback, and shown with the log's id
        show_unexpected(error, place)


def on_script_error(error: Exception) -> bool:
    """Show an error raised outside the shell, in a callback. Return True: it has been handled."""
    if isinstance(error, CoreError):
        show(error)
    else:
        show_unexpected(error)
    return True


def show(error: CoreError, place: str = "") -> None:
    """Draw an error that Segdeck can explain, with a button that tries again."""
    st.error(card(error), icon=":material/error:")
    _retry_button(place)


def waiting(pending: PendingError) -> None:
    """Draw a waiting state: what is pending, and a placeholder for it."""
    with st.container(border=True, gap="small"):
        st.markdown(
            f":gray[:material/hourglass_top:] **Waiting for {plain(pending.what)}** :gray[{_so_far(pending.seconds)}]"
        )
        st.skeleton(height=PLACEHOLDER)


def waiting_line(pending: PendingError) -> None:
    """Draw a waiting state as one line, for a minor part of a page."""
    # No color of its own: gray text in a caption, which is dimmed, cannot be read (contrast 2.6 to 1).
    st.caption(f":material/hourglass_top: Waiting for {plain(pending.what)} {_so_far(pending.seconds)}")


def why_not(part: OptionalPart[Any], seen: Snapshot[Any]) -> None:
    """Draw why a part of the page is missing or stale, unless the page's header already says so."""
    if part.waiting is not None:
        waiting(part.waiting)
    elif part.failure is not None and seen.failure is None:
        st.warning(line(part.failure), icon=":material/history:")


def _so_far(seconds: float) -> str:
    return f"· {seconds:.0f} s · appears here automatically"


def show_unexpected(error: BaseException, place: str = "") -> None:
    """Draw an unexpected error: the traceback goes to the log, and the page shows the id to search for."""
    number = note_once(error)
    st.error(
        f"**Unexpected error.** This is a bug in Segdeck.\n\n"
        f"Find the details in the dashboard's log under `{number}`. Your files are unchanged.",
        icon=":material/error:",
    )
    _retry_button(place)


def diagnosis(result: Diagnosis, *, failed: bool) -> None:
    """Draw why a job or endpoint failed, and what to do."""
    box = st.error if failed else st.warning
    evidence = f"\n\n:small[{plain(result.evidence)}]" if result.evidence else ""
    box(
        f"**{plain(result.title)}.** {plain(result.cause)}\n\n**What to do:** {plain(result.todo)}{evidence}",
        icon=":material/stethoscope:",
    )


def note(error: BaseException) -> str:
    """Write an unexpected error to the log, and return its id."""
    number = secrets.token_hex(4)
    log.error("Unexpected error %s", number, exc_info=error)
    return number


def note_once(error: BaseException) -> str:
    """Return the id of an error that may be shown in several runs; log it the first time."""
    number: str = vars(error).get(NOTED) or note(error)
    vars(error)[NOTED] = number
    return number


def card(error: CoreError) -> str:
    """Return an error as Markdown: what, in bold, and why; what to do; a link to the container's log."""
    parts = [f"**{plain(error.what)}** {plain(error.why)}", plain(error.todo)]
    if isinstance(error, ModelError) and error.log_url.startswith("https://"):
        parts.append(markdown_link("Container log", error.log_url))
    if isinstance(error, AwsError) and error.request_id:
        parts.append(f":small[Request {as_code(error.request_id)}]")
    return "\n\n".join(part for part in parts if part)


def any_card(error: BaseException) -> str:
    """Return any error as Markdown; log an unexpected one, once."""
    if isinstance(error, CoreError):
        return card(error)
    number = note_once(error)
    return f"**Unexpected error.** Find the details in the dashboard's log under `{number}`."


def line(error: BaseException) -> str:
    """Return an error as one line of Markdown."""
    if isinstance(error, CoreError):
        return " ".join(plain(part) for part in (error.what, error.why, error.todo) if part)
    return f"Unexpected error: {as_code(str(error) or type(error).__name__)}"


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
        on_click=state.request_retry,
    )
