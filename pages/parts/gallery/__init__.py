"""A row of pictures to click on: examples to try, results to look at. A Streamlit component in plain JavaScript."""
