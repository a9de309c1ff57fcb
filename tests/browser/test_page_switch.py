"""A page that is opened by a button stays open, whatever the timers of the page before it do."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.support.browser import press, shown


def test_a_timer_of_the_old_page_does_not_bring_it_back(page: Page, parts: str) -> None:
    """The new page is drawn and stays, although the old page's timer fires during the change."""
    for _ in range(3):
        page.goto(f"{parts}/first")
        press(page.get_by_role("button", name="Open"))
        shown(page.get_by_text("ticks go on"))
        shown(page.get_by_text("drawn", exact=True))
        expect(page).to_have_url(f"{parts}/second?job=a")
