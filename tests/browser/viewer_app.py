"""A page with a viewer and nothing else, for the journeys in `test_viewer.py`.

40 x 30 labels over an image of 400 x 300: the left half is road, the right half grass, with a car of 4 x 4 in the
middle of the road and a row to ignore at the bottom.
"""

import io

import numpy as np
import streamlit as st
from PIL import Image

from core.imaging.classes import Classes
from core.imaging.segmentation import Segmentation
from pages.parts.viewer import frame
from pages.parts.viewer.viewer import planes, viewer

HEIGHT, WIDTH = 30, 40
CLASSES = Classes(
    ("road", "grass", "car", "<b>a very long class name that does not fit into the legend</b>"),
    ((128, 128, 128), (110, 190, 90), (230, 60, 60), (90, 90, 220)),
)


def image(width: int, height: int) -> bytes:
    """Return a gray gradient as JPEG."""
    row = np.linspace(60, 200, width).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(np.repeat(row[None], height, axis=0)).convert("RGB").save(file, "JPEG", quality=90)
    return file.getvalue()


def probabilities(shift: int) -> np.ndarray:
    """(4, 30, 40) float32: road 75 %, grass 70 %, car 90 % where they are; most of the rest for one other class."""
    answer = np.empty((4, HEIGHT, WIDTH), np.float32)
    answer[:, :, :20] = np.array([0.75, 0.20, 0.04, 0.01])[:, None, None]
    answer[:, :, 20:] = np.array([0.10, 0.70, 0.02, 0.18])[:, None, None]
    answer[:, 10:14, 8 + shift : 12 + shift] = np.array([0.06, 0.03, 0.90, 0.01])[:, None, None]
    return answer


def segmentation(shift: int, *, mask_only: bool) -> Segmentation:
    """Return the segmentation of the docstring above; `shift` moves the car to the right."""
    answer = probabilities(shift)
    labels = answer.argmax(0).astype(np.uint8)
    labels[-1] = 255
    if mask_only:
        return Segmentation(labels, None, None, CLASSES)
    return Segmentation(labels, answer.max(0), answer, CLASSES)


def start_over() -> None:
    """Change the keys: a new viewer, and toggles that are off."""
    st.session_state["round"] = st.session_state.get("round", 0) + 1
    st.session_state["runs"] = 0


st.set_page_config(layout="wide")
st.session_state["runs"] = st.session_state.get("runs", 0) + 1
turn = st.session_state.get("round", 0)
st.text(f"round {turn} run {st.session_state['runs']}")
st.button("Start over", on_click=start_over)
st.button("Run again")
car_moved = st.toggle("Move the car", key=f"moved {turn}")
mask_only = st.toggle("Mask only", key=f"mask {turn}")
broken = st.toggle("Broken frame", key=f"broken {turn}")
later = st.toggle("Planes later", key=f"later {turn}")
sent = st.toggle("Send planes", key=f"sent {turn}")

result = segmentation(4 if car_moved else 0, mask_only=mask_only)
body = frame.build(image(404 if car_moved else 400, 300), (800, 600), result)  # another image with it
first, rest = frame.split(body)
viewer(body[:-9] if broken else first if later else body, key=f"viewer {turn}")
if sent:
    planes(rest, key=f"planes {turn}")
