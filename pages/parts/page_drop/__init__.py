"""Files dropped anywhere on a page. A Streamlit component in plain JavaScript."""
