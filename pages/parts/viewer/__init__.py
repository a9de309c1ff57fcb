"""The mask viewer: a Streamlit component in plain JavaScript."""
