"""Metric cards on screens of several widths."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

CUT = (
    "cards => cards.flatMap(c => [...c.querySelectorAll('*')]).filter(e => e.scrollWidth > e.clientWidth + 1)"
)


@pytest.fixture(scope="module")
def address(streamlit_server: Callable[..., str]) -> Any:
    return streamlit_server(Path(__file__).parent / "cards_app.py")


@pytest.mark.parametrize(("width", "rows"), [(390, [2, 2]), (700, [2, 2]), (1440, [4])])
def test_four_cards_wrap_evenly(page: Page, address: str, width: int, rows: list[int]) -> None:
    """Four cards are in one row or in two rows of two, in reading order, and no text in them is truncated."""
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(address)
    cards = page.get_by_test_id("stMetric")
    expect(cards).to_have_count(4)
    expect(cards.nth(3)).to_be_visible()
    boxes = [cards.nth(number).bounding_box() for number in range(4)]
    tops = [round(box["y"]) for box in boxes if box]
    assert list(Counter(tops).values()) == rows
    assert tops == sorted(tops)
    if len(rows) == 2:
        assert boxes[0]["x"] == boxes[2]["x"]
    assert cards.evaluate_all(CUT) == []
