"""Rows of cards that wrap evenly on narrow screens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator

PAIR_WIDTH, CARD_WIDTH = 400, 150
"""Pixels; the least width of two cards next to each other, where there are four in a row, and of one card."""


def four_cards() -> tuple[DeltaGenerator, DeltaGenerator]:
    """Return containers for two cards each: four in a row, or two rows of two, but never three and one."""
    with st.grid(2, min_column_width=PAIR_WIDTH, gap="small"):
        left, right = (st.grid(2, min_column_width=CARD_WIDTH, gap="small") for _ in range(2))
    return left, right
