"""Real links to the rows of a table. A Streamlit component in plain JavaScript."""
