"""Metric cards on screens of several widths."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.support.browser import eventually

CUT = """cards => cards.flatMap((card) => [...card.querySelectorAll("*")])
    .filter((part) => part.scrollWidth > part.clientWidth + 1).length"""


@pytest.fixture(scope="module")
def address(streamlit_server: Callable[..., str]) -> Any:
    return streamlit_server(Path(__file__).parent / "cards_app.py")


@pytest.mark.parametrize(("width", "rows"), [(390, [2, 2]), (700, [2, 2]), (1440, [4])])
def test_four_cards_wrap_evenly(
    page: Page, address: str, ready: Callable[[Page], None], width: int, rows: list[int]
) -> None:
    """Four cards are in one row or in two rows of two, in reading order, and no text in them is truncated."""
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(address)
    cards = page.get_by_test_id("stMetric")
    expect(cards).to_have_count(4)
    expect(cards.nth(3)).to_be_visible()
    ready(page)

    def corners() -> list[tuple[int, int]]:
        boxes = cards.evaluate_all("cards => cards.map((card) => card.getBoundingClientRect().toJSON())")
        return [(round(box["y"]), round(box["x"])) for box in boxes]

    places = eventually(page, corners, lambda places: wrapped(places) == rows)
    assert [top for top, _ in places] == sorted(top for top, _ in places)
    if len(rows) == 2:
        assert places[0][1] == places[2][1]
    eventually(page, lambda: cards.evaluate_all(CUT), lambda cut: cut == 0)


def wrapped(places: list[tuple[int, int]]) -> list[int]:
    """Return how many cards each row has."""
    return list(Counter(top for top, _ in places).values())
