"""What the training jobs pages keep: the jobs being compared, how many pages of the list to show, and its filters."""

from __future__ import annotations

from collections.abc import Iterable

from pages.parts import state
from pages.parts.buttons import KeptClick
from pages.parts.state import Slot, UrlParam

TAB = "tab"
"""The key of the tabs on a job's page, which are bound to the URL under the same name."""

COMPARE = UrlParam("compare")
_PAGES: Slot[int] = Slot("jobs.pages")
_VIEW: Slot[dict[str, str]] = Slot("jobs.view")
CLICKED: KeptClick[str] = KeptClick("jobs.clicked")
"""The job whose name was clicked in the list, until its page is opened, and only for a while."""


def compared() -> tuple[str, ...]:
    """Return the names of the training jobs to compare, from the URL."""
    return tuple(filter(None, COMPARE.get().split(",")))


def compare(names: Iterable[str]) -> None:
    """Set the training jobs to compare."""
    COMPARE.set(",".join(names))


def pages() -> int:
    """Return how many pages of training jobs to show."""
    return _PAGES.get() or 1


def show_pages(pages: int) -> None:
    """Set how many pages of training jobs to show."""
    _PAGES.set(pages)


def keep_view(names: Iterable[str]) -> None:
    """Keep these URL parameters, and the comparison, for the back link on a job's page."""
    _VIEW.set(state.query([*names, COMPARE.name]))


def view() -> dict[str, str]:
    """Return the URL parameters that the list of training jobs last had."""
    return _VIEW.get() or {}
