"""The mask viewer: a Streamlit component in plain JavaScript.

`frame.build` makes the bytes of one image and its mask; `viewer.viewer` shows them.
"""
