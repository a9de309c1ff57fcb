"""Streamlit helpers, none of which is a page: what pages share, and a folder for what one page alone has."""
