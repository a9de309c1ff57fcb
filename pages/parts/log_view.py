"""The log of a job or an endpoint: its last lines as it grows, a search, and a jump to the first error."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import streamlit as st

from core.aws.logs import LogToken, TailPage
from core.escaping import file_name, log_line
from core.text import plural
from core.training.log_lines import LEVELS, STAMPED, Level, LogEvent, as_text, first_error, matching, plain
from pages.parts import downloads, elements, state
from pages.parts.state import Slot

LOG_TEXT, LOG_LEVELS = "find", "levels"
"""Keys of widgets that are bound to the URL under the same name."""

_AT: Slot[tuple[str, int]] = Slot("log.line")
"""The log that was jumped in, and the index of its first line to show; unset: show the end of the log."""

LOG_LINES = 10_000
"""The last lines of a log that are kept."""

SHOWN = 400
"""Lines shown at once: more are slow to draw."""

BEFORE = 12
"""Lines shown above an error after a jump to it."""

FEW, HEIGHT = 12, 420
"""More lines than `FEW` scroll in a box that is `HEIGHT` pixels high."""


@dataclass(frozen=True, slots=True)
class JobLog:
    """The lines of a job's or an endpoint's log, oldest first.

    has_log: False where no log stream exists.
    cut:     whether there are older lines that are not kept.
    error:   the index of the first error in `events`; None where there is none.
    """

    events: tuple[LogEvent, ...] = ()
    has_log: bool = False
    cut: bool = False
    error: int | None = None


class LogReader:
    """Reads a log once, and from then on only new lines. tail: returns the last lines, or those after a token."""

    def __init__(self, tail: Callable[[LogToken | None], TailPage]) -> None:
        self._tail = tail
        self._token: LogToken | None = None
        self._log = JobLog()

    def read(self) -> JobLog:
        """Read the new lines and return all that are kept. Raises AwsError."""
        page = self._tail(self._token)
        self._token = page.next_token or self._token
        events = (*self._log.events, *page.events)
        if page.events or page.has_log != self._log.has_log:
            kept = events[-LOG_LINES:]
            cut = self._log.cut or page.cut or len(events) > LOG_LINES
            self._log = JobLog(kept, page.has_log, cut, first_error(kept))
        return self._log


def show(name: str, log: JobLog, empty_text: str, *, stream: str = "") -> None:
    """Draw the search, level, jump and download controls, and the lines below them.

    name:       of the job or endpoint, for the download's file name.
    empty_text: shown instead of the log where none exists.
    stream:     of the log, where it has several.
    """
    if not log.has_log:
        st.caption(empty_text)
        return
    identity = f"{name}/{stream}"
    text, levels = _controls(name, identity, log)
    matches = matching(log.events, text or "", levels or LEVELS)
    at = _line_of(identity) if not text and not levels else None
    lines = _window(matches, at)
    with st.container(height=HEIGHT if len(lines) > FEW else "content", autoscroll=at is None, border=False):
        elements.code_block(
            "\n".join(_line(event) for event in lines) or "No lines match.", language=None, wrap_lines=True
        )
    st.caption(_summary(log, matches, lines, at))


def _controls(name: str, identity: str, log: JobLog) -> tuple[str | None, list[Level]]:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        text = st.text_input(
            "Search",
            key=LOG_TEXT,
            type="search",
            placeholder="Search the log",
            label_visibility="collapsed",
            bind="query-params",
            width=240,
        )
        levels = st.pills(
            "Levels",
            LEVELS[:3],
            selection_mode="multi",
            key=LOG_LEVELS,
            label_visibility="collapsed",
            bind="query-params",
        )
        if log.error is not None:
            st.button(
                "Jump to first error", icon=":material/error:", key="log-error",
                on_click=_jump, args=(identity, max(0, log.error - BEFORE)),
            )  # fmt: skip
        if _line_of(identity) is not None:
            st.button(
                "Jump to end",
                icon=":material/vertical_align_bottom:",
                on_click=_jump,
                args=(identity, None),
            )
        downloads.button(
            "Download", lambda: as_text(log.events).encode(), f"{file_name(name)}.log", "text/plain",
            icon=":material/download:", key="log-download",
        )  # fmt: skip
    return text, list(levels)


def _line_of(identity: str) -> int | None:
    """Return the first line to show of this log; None for its end."""
    at = _AT.get()
    return at[1] if at is not None and at[0] == identity else None


def _jump(identity: str, line: int | None) -> None:
    """Show a log from this line on; None: its end. Clears search and levels, which would hide the lines around it."""
    if line is None:
        _AT.clear()
    else:
        _AT.set((identity, line))
    state.choose(LOG_TEXT, "")
    state.choose(LOG_LEVELS, [])


def _window(events: Sequence[LogEvent], at: int | None) -> Sequence[LogEvent]:
    return events[-SHOWN:] if at is None else events[at : at + SHOWN]


def _line(event: LogEvent) -> str:
    """Return a line with its time, unless the container wrote one itself."""
    text = log_line(plain(event.message))
    return text if STAMPED.match(text) else f"{event.at:%H:%M:%S} {text}"


def _summary(log: JobLog, matches: Sequence[LogEvent], lines: Sequence[LogEvent], at: int | None) -> str:
    """Return which part of the log is shown."""
    if at is not None:
        return f"Lines {at + 1} to {at + len(lines)} of {len(log.events):,}. Times are UTC."
    part = "" if len(lines) == len(matches) else f"Last {len(lines):,} of "
    older = " Older lines are in CloudWatch." if log.cut else ""
    return f"{part}{plural(len(matches), 'line')}. Times are UTC.{older}"
