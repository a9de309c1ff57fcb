"""A row of images to click on: examples to try, results to show. A Streamlit component in plain JavaScript."""
