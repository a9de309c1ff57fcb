"""What the pages of transform jobs keep: how many pages of the list, its filters, and what the gallery shows."""

from __future__ import annotations

from collections.abc import Iterable

from pages.parts import state
from pages.parts.state import Form, Slot, UrlParam

BATCH = Form("batch")
"""The form that starts a transform job."""

TAB = "tab"
"""The key of the tabs on a job's page, which are bound to the URL under the same name."""

IMAGE = UrlParam("image")
"""The image that the viewer shows."""

_PAGES: Slot[int] = Slot("batch.pages")
_VIEW: Slot[dict[str, str]] = Slot("batch.view")
_GALLERY_PAGE: Slot[tuple[str, int]] = Slot("batch.gallery_page")


def pages() -> int:
    """Return how many pages of transform jobs to show."""
    return _PAGES.get() or 1


def show_pages(pages: int) -> None:
    """Set how many pages of transform jobs to show."""
    _PAGES.set(pages)


def keep_view(names: Iterable[str]) -> None:
    """Keep these URL parameters for the back link on a job's page."""
    _VIEW.set(state.query(names))


def view() -> dict[str, str]:
    """Return the URL parameters that the list last had."""
    return _VIEW.get() or {}


def gallery_page(job: str) -> int:
    """Return the page of a job's gallery to show, from 1."""
    shown = _GALLERY_PAGE.get()
    return shown[1] if shown is not None and shown[0] == job else 1


def show_gallery_page(job: str, number: int) -> None:
    """Set the page of a job's gallery to show."""
    _GALLERY_PAGE.set((job, number))
