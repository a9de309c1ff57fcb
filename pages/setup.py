"""Whether everything is in place."""

import streamlit as st

st.title("Setup")
