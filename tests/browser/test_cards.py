"""Metric cards on screens of several widths."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial

from playwright.sync_api import Page, expect

from tests.support.browser import eventually

CUT = """cards => cards.flatMap((card) => [...card.querySelectorAll("*")])
    .filter((part) => part.scrollWidth > part.clientWidth + 1).length"""


def test_four_cards_wrap_evenly(page: Page, parts: str, ready: Callable[[Page], None]) -> None:
    """Four cards are in one row or in two rows of two, in reading order, and no text in them is truncated."""
    page.goto(parts)
    cards = page.get_by_test_id("stMetric")
    expect(cards).to_have_count(4)
    expect(cards.nth(3)).to_be_visible()
    ready(page)

    def corners() -> list[tuple[int, int]]:
        boxes = cards.evaluate_all("cards => cards.map((card) => card.getBoundingClientRect().toJSON())")
        return [(round(box["y"]), round(box["x"])) for box in boxes]

    for width, rows in ((390, [2, 2]), (700, [2, 2]), (1440, [4])):
        page.set_viewport_size({"width": width, "height": 800})
        eventually(page, corners, partial(in_order, rows))
        eventually(page, lambda: cards.evaluate_all(CUT), lambda cut: cut == 0)


def in_order(rows: list[int], places: list[tuple[int, int]]) -> bool:
    """Return whether cards at these places, each y and x, are in rows of so many, in reading order."""
    tops = [top for top, _ in places]
    aligned = len(rows) < 2 or places[0][1] == places[2][1]
    return wrapped(places) == rows and tops == sorted(tops) and aligned


def wrapped(places: list[tuple[int, int]]) -> list[int]:
    """Return how many cards each row has."""
    return list(Counter(top for top, _ in places).values())
