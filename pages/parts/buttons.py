"""A button whose click is not lost, and acts only on what was shown when it was clicked.

Streamlit reports a click to the one run that it starts. That run may end before it draws the button: where a check
above it is pending, or where a refresh or another click runs the page again. So the click is kept until the button is
drawn, and only for a while: it must not act on a page that the user comes back to later. The page may also show
another selection by then. So the click is kept with what it acts on, and dropped where the button acts on anything
else.
"""

from __future__ import annotations

import time
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import streamlit as st

from pages.parts.state import Slot

KEPT_SECONDS = 30.0
"""Seconds for which a click is kept: longer than a page waits for AWS before it reports that."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Click(Generic[T]):
    """A click. at: by `time.monotonic`."""

    target: T
    at: float


class KeptClick(Generic[T]):
    """The last click of one kind, with what it acts on. name: its key, unique among slots and widgets."""

    def __init__(self, name: str) -> None:
        self._slot: Slot[_Click[T]] = Slot(name)

    def keep(self, target: T) -> None:
        """Keep a click on this target; it replaces an earlier one."""
        self._slot.set(_Click(target, time.monotonic()))

    def pop(self) -> T | None:
        """Remove the click and return its target; None if there is none, or one that is too old."""
        click = self._slot.pop()
        return None if click is None or time.monotonic() - click.at >= KEPT_SECONDS else click.target


def button(label: str, *, key: str, acts_on: Hashable, disabled: bool = False, **options: Any) -> bool:
    """Draw a button; return whether it was clicked since it was last drawn. A disabled one drops its click.

    key:     of this button. Another key makes it another button, which loses the focus.
    acts_on: what a click acts on, such as the name of a job: a click is dropped if the button that was clicked acted
             on something else. Not what a form's fields hold: typing must not drop the click that follows.
    options: those of `st.button`, without a callback.
    """
    clicked: KeptClick[tuple[Hashable]] = KeptClick(f"clicked.{key}")
    target = (acts_on,)
    st.button(label, key=key, disabled=disabled, on_click=clicked.keep, args=(target,), **options)
    return clicked.pop() == target and not disabled
