"""What the pages about training jobs keep: the compared jobs, the pages of the list, and its filters."""

from __future__ import annotations

from collections.abc import Iterable

from pages.parts import state
from pages.parts.state import Slot, UrlParam

TAB = "tab"
"""The key of a widget of a job's page that is bound to the URL under the same name."""

COMPARE = UrlParam("compare")
_PAGES: Slot[int] = Slot("jobs.pages")
_VIEW: Slot[dict[str, str]] = Slot("jobs.view")


def compared() -> tuple[str, ...]:
    """Return the training jobs that are compared, as the address has them."""
    return tuple(filter(None, COMPARE.get().split(",")))


def compare(names: Iterable[str]) -> None:
    """Compare these from now on."""
    COMPARE.set(",".join(names))


def pages() -> int:
    """Return how many pages of training jobs to show."""
    return _PAGES.get() or 1


def show_pages(pages: int) -> None:
    """Show so many pages of training jobs from now on."""
    _PAGES.set(pages)


def keep_view(names: Iterable[str]) -> None:
    """Keep how the list of training jobs is looked at: leaving it for a job must not lose that."""
    _VIEW.set(state.query([*names, COMPARE.name]))


def view() -> dict[str, str]:
    """Return the names and values of the address that the list of training jobs was last seen under."""
    return _VIEW.get() or {}
