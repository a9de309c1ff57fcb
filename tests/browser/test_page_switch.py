"""A page that is opened by a button stays open, whatever the timers of the page before it do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser, expect

from tests.support.browser import open_context, shown

APP = Path(__file__).with_name("switch_app.py")


def test_a_timer_of_the_old_page_does_not_bring_it_back(
    browser: Browser, streamlit_server: Callable[..., str]
) -> None:
    """The new page is drawn and stays, although the old page's timer fires during the change."""
    address = streamlit_server(APP)
    for _ in range(3):
        with open_context(browser) as context:
            page = context.new_page()
            page.goto(address)
            page.get_by_role("button", name="Open").first.click()
            shown(page.get_by_text("ticks go on"))
            shown(page.get_by_text("drawn", exact=True))
            expect(page).to_have_url(f"{address}/second?job=a")
