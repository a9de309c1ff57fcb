"""Where a data set comes from: a folder or zip on the dashboard's machine, a zip that is dropped, an S3 prefix."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from core.aws.connection import Connection
from core.datasets.source import Splitting
from core.errors import InputError
from pages.parts import messages
from pages.parts.datasets import session
from pages.parts.datasets.session import DATASET, DATASET_ZIP

MOST_ZIP_MB = 500
"""Kept in memory while it is dropped; a larger one is named by its path."""


def ask(connection: Connection) -> None:
    """The fields, and the button that starts the check."""
    with st.container(border=True):
        left, right = st.columns([5, 3], gap="medium")
        with left:
            place = st.text_input(
                "Folder, zip, or S3 prefix",
                key=DATASET,
                bind="query-params",
                placeholder="/data/my-set or s3://bucket/datasets/my-set/",
                help="On the machine that runs this dashboard; or an S3 prefix with the four channels.",
            )
        with right:
            dropped = st.file_uploader(
                "Or drop a zip",
                type="zip",
                max_upload_size=MOST_ZIP_MB,
                key=DATASET_ZIP,
            )
        splitting, classes = _options()
        if st.button(
            "Check it", type="primary", icon=":material/fact_check:", disabled=not (place or dropped)
        ):
            with messages.error_door():
                if dropped is not None:
                    session.current().check_zip(dropped.name, dropped.getvalue(), splitting, classes)
                elif (place or "").startswith("s3://"):
                    session.current().check_prefix(connection, str(place).strip())
                else:
                    session.current().check_folder(_folder(str(place)), splitting, classes)


def _options() -> tuple[Splitting, Path | None]:
    """For sets that do not say everything themselves."""
    with (
        st.expander("Division and class names, where the set tells none", icon=":material/tune:"),
        st.grid(3, min_column_width=160),
    ):
        share = st.number_input(
            "Share of validation", 0.05, 0.95, 0.2, 0.05, help="Where no list divides the set."
        )
        seed = st.number_input(
            "Seed of that division", 0, 1_000_000, 0, help="The same seed gives the same sides."
        )
        names = st.text_input(
            "File of class names", placeholder="/data/classes.txt", help="Instead of the set's own names."
        )
    return Splitting(float(share), int(seed)), Path(names).expanduser() if names else None


def _folder(text: str) -> Path:
    path = Path(text.strip()).expanduser()
    if not path.is_absolute():
        raise InputError(f"{text} is no whole path.", todo="Give it from the root, such as /data/my-set.")
    return path
