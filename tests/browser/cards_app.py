"""Four metric cards."""

from __future__ import annotations

import streamlit as st

from pages.parts import cards

st.set_page_config(layout="wide")
left, right = cards.four_cards()
for number, column in enumerate((left, left, right, right)):
    column.metric("Idle cost per month", f"{number}", "$12,901.73 per year", border=True)
