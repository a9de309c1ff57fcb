"""Wait for elements in a real browser."""

from __future__ import annotations

from playwright.sync_api import Locator, expect


def shown(locator: Locator, timeout: float | None = None) -> None:
    """Wait until exactly one element matches and can be seen.

    While Streamlit swaps a part of a page, an element may be there twice for a moment. Playwright's own expectation
    on one element fails at that moment; a count waits until the old copy is gone.
    """
    expect(locator.filter(visible=True)).to_have_count(1, timeout=timeout)
