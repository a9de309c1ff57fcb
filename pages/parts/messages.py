"""How errors are told: what happened, why, and what to do. The one error door of all pages is here."""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

import streamlit as st

from core.errors import AwsError, CoreError, ModelError
from pages.parts import state

log = logging.getLogger("segdeck")

_noted: WeakKeyDictionary[BaseException, str] = WeakKeyDictionary()
"""Ids of errors that stay on a page from run to run."""

MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|~$:<>&])")
LITERAL = re.compile(r"`([^`]+)`|(https?://[^\s`\"'<>]*[^\s`\"'<>.,;:!?)])")
"""What is shown as code: what is quoted so already, and addresses, which would else become links."""


@contextmanager
def error_door(place: str = "") -> Iterator[None]:
    """Whatever goes wrong inside is shown as a card and goes no further. place: tells the doors of one page apart."""
    try:
        yield
    except CoreError as error:
        show(error, place)
    except Exception as error:  # noqa: BLE001  # logged with its traceback, and shown with the log's id
        show_unforeseen(error, place)


def on_script_error(error: Exception) -> bool:
    """The same door for what Streamlit runs outside the shell: callbacks. True: it is shown."""
    if isinstance(error, CoreError):
        show(error)
    else:
        show_unforeseen(error)
    return True


def show(error: CoreError, place: str = "") -> None:
    """An error that we can explain, with a button that tries again."""
    st.error(card(error), icon=":material/error:")
    _retry_button(place)


def show_unforeseen(error: BaseException, place: str = "") -> None:
    """An error that nobody foresaw: the log gets the traceback, the page the id to look for."""
    number = note(error)
    st.error(
        f"**Something went wrong that Segdeck did not foresee.**\n\n"
        f"The log of the dashboard has the details under `{number}`. Your files are untouched.",
        icon=":material/error:",
    )
    _retry_button(place)


def note(error: BaseException) -> str:
    """Write an unforeseen error to the log; gives its id."""
    number = secrets.token_hex(4)
    log.error("unforeseen error %s", number, exc_info=error)
    return number


def card(error: CoreError) -> str:
    """An error as Markdown: what in bold with why; what to do; where the container's log is."""
    parts = [f"**{plain(error.what)}** {plain(error.why)}", plain(error.todo)]
    if isinstance(error, ModelError) and error.log_url.startswith("https://"):
        parts.append(f"[The container's log]({error.log_url.replace(')', '%29')})")
    if isinstance(error, AwsError) and error.request_id:
        bare = error.request_id.replace("`", "")  # within backticks nothing else is Markdown
        parts.append(f":small[Request `{bare}`]")
    return "\n\n".join(part for part in parts if part)


def any_card(error: BaseException) -> str:
    """Any error as Markdown; one that nobody foresaw goes to the log, once."""
    if isinstance(error, CoreError):
        return card(error)
    number = _noted.setdefault(error, "") or note(error)
    _noted[error] = number
    return f"Something went wrong that Segdeck did not foresee. The log has the details under `{number}`."


def line(error: BaseException) -> str:
    """An error as one line of Markdown."""
    if isinstance(error, CoreError):
        return " ".join(plain(part) for part in (error.what, error.why, error.todo) if part)
    return f"Something unforeseen: `{plain(str(error) or type(error).__name__)}`"


def plain(text: str) -> str:
    """Text that Markdown shows as it stands: file names and other people's messages hold any sign."""
    shown, at = [], 0
    for found in LITERAL.finditer(text := text.replace("\n", " ")):
        shown += [_escaped(text[at : found.start()]), f"`{found[1] or found[2]}`"]
        at = found.end()
    return "".join([*shown, _escaped(text[at:])])


def _escaped(text: str) -> str:
    return MARKDOWN.sub(r"\\\1", text)


def _retry_button(place: str) -> None:
    st.button(
        "Try again",
        key=f"retry-{place}" if place else "retry",
        icon=":material/refresh:",
        on_click=state.ask_retry,
    )
