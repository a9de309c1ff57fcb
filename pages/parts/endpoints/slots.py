"""Session state of the endpoint pages: widget keys, selected endpoints, filters, and test calls."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pages.parts.buttons import KeptClick
from pages.parts.state import Slot

WINDOW, TAB = "window", "part"
"""Keys of widgets on an endpoint's page that are bound to the URL under the same name."""

_TICKED: Slot[tuple[str, ...]] = Slot("endpoints.ticked")
_TICK_CHANGES: Slot[int] = Slot("endpoints.tick_changes")
_VIEW: Slot[dict[str, str]] = Slot("endpoints.view")
CLICKED: KeptClick[str] = KeptClick("endpoints.clicked")
"""The endpoint whose name was clicked in the list, until its page is opened, and only for a while."""
TEST_IMAGES: Slot[dict[str, str]] = Slot("endpoints.test_images")
"""Endpoint -> the image that it was last called with."""


def keep_view(view: Mapping[str, str]) -> None:
    """Keep the filters of the list of endpoints, so that opening an endpoint does not lose them."""
    _VIEW.set(dict(view))


def view() -> dict[str, str]:
    """Return the filters that the list of endpoints was last seen with."""
    return _VIEW.get() or {}


def ticked() -> tuple[str, ...]:
    """Return the endpoints that are selected in the list."""
    return _TICKED.get() or ()


def keep_ticks(names: Iterable[str]) -> None:
    """Keep what the user has selected."""
    _TICKED.set(tuple(names))


def tick(names: Iterable[str]) -> None:
    """Select exactly these endpoints: the table then gets a new key, see `tick_changes`."""
    keep_ticks(names)
    _TICK_CHANGES.set(tick_changes() + 1)


def tick_changes() -> int:
    """Return how often the selection was set by anything but a click in the table."""
    return _TICK_CHANGES.get() or 0


def test_image(endpoint: str) -> str:
    """Return the image that this endpoint was last called with; empty if it was not called."""
    return (TEST_IMAGES.get() or {}).get(endpoint, "")


def choose_test_image(endpoint: str, image: str) -> None:
    """Call the endpoint with this image."""
    TEST_IMAGES.set({endpoint: image})
