"""A page with a map and nothing else: the script of `map_app.py`. The map is that of tests/support/maps.py."""

import os
from pathlib import Path

import streamlit as st

from core.imaging.classes import Classes
from pages.parts.map.map import map_view

CLASSES = Classes(
    ("grass", "cropland", "water", "<b>road</b>"),
    ((110, 190, 90), (220, 180, 80), (60, 110, 220), (128, 128, 128)),
)
FOLDER = Path(os.environ["MAP_FOLDER"])

st.set_page_config(layout="wide", page_title="Map")
st.title("Map")
map_view(FOLDER / "scene.tif", FOLDER / "scene_mask.tif", FOLDER / "scene_confidence.tif", CLASSES, "map")
