"""The log of a job or an endpoint: its end, as it grows; what a search finds; the place of the first error."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import streamlit as st

from core.aws.logs import LogToken, TailPage
from core.escaping import file_name, log_line
from core.training.log_lines import LEVELS, STAMPED, Level, LogEvent, as_text, first_error, matching, plain
from pages.parts import elements, state
from pages.parts.state import Slot

LOG_TEXT, LOG_LEVELS = "find", "levels"
"""Keys of widgets that are bound to the URL under the same name."""

_AT: Slot[int | None] = Slot("log.line")
"""The line to show a log around; None: its end."""

LOG_LINES = 10_000
"""Kept of a log, the last ones."""

SHOWN = 400
"""Lines at once: more would be slow to draw, and nobody reads them."""

BEFORE = 12
"""Lines that are shown before an error."""

FEW, HEIGHT = 12, 420
"""More lines than that scroll in a box of so many pixels."""


@dataclass(frozen=True, slots=True)
class JobLog:
    """The lines of a job's or an endpoint's log, oldest first.

    has_log: False where nothing was written.
    cut:     whether there are older lines.
    error:   the place of the first error; None where there is none.
    """

    events: tuple[LogEvent, ...] = ()
    has_log: bool = False
    cut: bool = False
    error: int | None = None


class LogReader:
    """Reads a log once, and from then on what came after. tail: gives its last lines, or those after a token."""

    def __init__(self, tail: Callable[[LogToken | None], TailPage]) -> None:
        self._tail = tail
        self._token: LogToken | None = None
        self._log = JobLog()

    def read(self) -> JobLog:
        """All that is kept of it. Raises AwsError."""
        page = self._tail(self._token)
        self._token = page.next_token or self._token
        events = (*self._log.events, *page.events)
        if page.events or page.has_log != self._log.has_log:
            kept = events[-LOG_LINES:]
            cut = self._log.cut or len(events) >= LOG_LINES
            self._log = JobLog(kept, page.has_log, cut, first_error(kept))
        return self._log


def show(name: str, log: JobLog, none: str) -> None:
    """Search, level, jump and download above; the lines below.

    name: whose log it is. none: what is said where there is no line.
    """
    if not log.has_log:
        st.caption(none)
        return
    text, levels = _controls(name, log)
    found = matching(log.events, text or "", levels or LEVELS)
    at = _AT.get() if not text and not levels else None
    lines = _window(found, at)
    with st.container(height=HEIGHT if len(lines) > FEW else "content", autoscroll=at is None, border=False):
        elements.code_block(
            "\n".join(_line(event) for event in lines) or "No line fits.", language="log", wrap_lines=True
        )
    st.caption(_said(log, found, lines, at))


def _controls(name: str, log: JobLog) -> tuple[str | None, list[Level]]:
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
                "Jump to the error", icon=":material/error:", key="log-error",
                on_click=_jump, args=(max(0, log.error - BEFORE),),
            )  # fmt: skip
        if _AT.get() is not None:
            st.button("To the end", icon=":material/vertical_align_bottom:", on_click=_jump, args=(None,))
        st.download_button(
            "Download", lambda: as_text(log.events), f"{file_name(name)}.log", "text/plain",
            icon=":material/download:", key="log-download", on_click="ignore",
        )  # fmt: skip
    return text, list(levels)


def _jump(place: int | None) -> None:
    """Leave search and levels, which would hide what stands around that place."""
    _AT.set(place)
    state.choose(LOG_TEXT, "")
    state.choose(LOG_LEVELS, [])


def _window(events: Sequence[LogEvent], at: int | None) -> Sequence[LogEvent]:
    return events[-SHOWN:] if at is None else events[at : at + SHOWN]


def _line(event: LogEvent) -> str:
    """With its time, unless the container wrote one itself."""
    text = log_line(plain(event.message))
    return text if STAMPED.match(text) else f"{event.at:%H:%M:%S} {text}"


def _said(log: JobLog, found: Sequence[LogEvent], lines: Sequence[LogEvent], at: int | None) -> str:
    """How much of the log this is."""
    if at is not None:
        return f"Lines {at + 1} to {at + len(lines)} of {len(log.events):,}. Times are UTC."
    part = "" if len(lines) == len(found) else f"The last {len(lines):,} of "
    older = " Older lines are in CloudWatch." if log.cut else ""
    return f"{part}{len(found):,} lines. Times are UTC.{older}"
