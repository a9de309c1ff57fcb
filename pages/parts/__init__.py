"""Streamlit helpers that the pages share; none of them is a page."""
