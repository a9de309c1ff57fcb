"""The mask viewer: a Streamlit component in plain JavaScript.

`frame.build` makes the bytes of one picture; `viewer.viewer` shows them.
"""
