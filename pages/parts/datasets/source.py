"""The form that selects a dataset: a path on the dashboard's machine, an uploaded ZIP file, or an S3 prefix."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from core.aws.connection import Connection
from core.datasets.prepare import ReadOptions
from core.datasets.source import Splitting
from core.errors import InputError
from pages.parts import messages
from pages.parts.datasets import session
from pages.parts.datasets.session import DATASET, DATASET_ZIP

MAX_ZIP_MB = 500
"""An uploaded ZIP file is held in memory; a larger one must be given by its path."""


def form(connection: Connection) -> None:
    """Draw the fields, and the button that starts the validation."""
    with st.container(border=True):
        left, right = st.columns([5, 3], gap="medium")
        with left:
            location = st.text_input(
                "Folder, ZIP file or S3 prefix",
                key=DATASET,
                bind="query-params",
                placeholder="/data/my-dataset or s3://bucket/datasets/my-dataset/",
                help="A path on the machine that runs this dashboard, or an S3 prefix with the four channels.",
            )
        with right:
            uploaded = st.file_uploader(
                "Or upload a ZIP file",
                type="zip",
                max_upload_size=MAX_ZIP_MB,
                key=DATASET_ZIP,
            )
        options = _options()
        if st.button(
            "Validate", type="primary", icon=":material/fact_check:", disabled=not (location or uploaded)
        ):
            with messages.error_boundary():
                if uploaded is not None:
                    session.current().check_zip(uploaded.name, uploaded.getvalue(), options)
                elif (location or "").startswith("s3://"):
                    session.current().check_prefix(connection, str(location).strip())
                else:
                    session.current().check_folder(_folder(str(location)), options)


def _options() -> ReadOptions:
    """Draw the options for datasets without a split or class names, or with shapes instead of masks."""
    with (
        st.expander("Split, class names and annotations (optional)", icon=":material/tune:"),
        st.grid(4, min_column_width=160),
    ):
        share = st.number_input(
            "Validation split", 0.05, 0.95, 0.2, 0.05, help="Used where the dataset does not define a split."
        )
        seed = st.number_input("Split seed", 0, 1_000_000, 0, help="The same seed gives the same split.")
        names = st.text_input(
            "Class names file",
            placeholder="/data/classes.txt",
            help="Overrides the dataset's own class names.",
        )
        ignored = st.selectbox(
            "Pixels without a shape",
            (False, True),
            format_func=lambda ignored: "Ignored (255)" if ignored else "Class background",
            help="For annotations such as polygons, which leave pixels without a class.",
        )
    return ReadOptions(
        Splitting(float(share), int(seed)),
        Path(names).expanduser() if names else None,
        unlabeled="ignore" if ignored else "background",
    )


def _folder(text: str) -> Path:
    path = Path(text.strip()).expanduser()
    if not path.is_absolute():
        raise InputError(f"{text} is not an absolute path.", todo="Enter one, such as /data/my-dataset.")
    return path
