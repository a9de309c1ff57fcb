"""The list of the datasets that were validated and uploaded, with the training jobs that used them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import streamlit as st

from core.aws.connection import Connection
from core.aws.training import MAX_PAGES
from core.datasets.history import DatasetRecord, forget, jobs_using, read_history
from core.datasets.prepare import ReadOptions
from core.errors import CoreError
from core.local_files import reason
from core.text import byte_size, listing, plural
from core.training.filters import JobFilter
from core.training.job import TrainingJob
from pages.parts import backend, cached, elements, formatting, links, messages, state
from pages.parts.datasets import session
from pages.parts.datasets.session import DATASET
from pages.parts.shared_cache import PendingError

TABLE = "datasets-history"
ROW, HEADER, ROWS = 37, 39, 10
"""Heights in pixels of a row and of the header, and how many rows are visible before the table scrolls."""

MAX_JOBS = 20
"""Jobs of a dataset that are linked."""


def show(connection: Connection) -> None:
    """Draw the table; below it, what can be done with the selected dataset."""
    folder = backend.datasets_dir()
    history = read_history(folder)
    for note in history.notes:
        st.warning(messages.plain(note), icon=":material/info:")
    if not history.records:
        return
    st.header("Your datasets")
    jobs = _jobs(connection) if any(record.uris for record in history.records) else ()
    key = f"{TABLE}-{hash(tuple(record.location for record in history.records))}"
    elements.dataframe(
        _frame(history.records, jobs),
        column_config=_columns(),
        hide_index=True,
        row_height=ROW,
        placeholder="–",
        height=HEADER + ROW * min(len(history.records), ROWS),
        key=key,
        selection_mode="single-row",
        on_select="rerun",
        alt="Datasets that were validated, the last used first",
    )
    rows = [row for row in state.ticked_rows(key) if row < len(history.records)]
    if rows:
        _selected(folder, history.records[rows[0]], jobs)
    else:
        st.caption("Select a dataset to open it, or to see the jobs that used it.")


def _jobs(connection: Connection) -> tuple[TrainingJob, ...]:
    """Return the newest training jobs; draw a note if they cannot be read, or not all were searched."""
    try:
        listed = cached.jobs(connection, JobFilter(only_segmentation=False), MAX_PAGES).value
    except PendingError as pending:
        messages.waiting_line(pending)
        return ()
    except CoreError as error:
        st.info(f"The jobs that used a dataset are unknown. {messages.line(error)}", icon=":material/info:")
        return ()
    if not listed.complete:
        st.caption(f"Only the newest {len(listed.jobs):,} training jobs are searched.")
    return listed.jobs


def _frame(records: Sequence[DatasetRecord], jobs: Sequence[TrainingJob]) -> pd.DataFrame:
    """Return one row per dataset."""
    rows = []
    for record in records:
        upload = record.uploads[0] if record.uploads else None
        rows.append(
            {
                "dataset": _name(record.location),
                "classes": f"{len(record.classes)}: {listing(record.classes)}" if record.classes else None,
                "train": record.train,
                "validation": record.validation,
                "size": record.size or None,
                "issues": _issues(record),
                "validated": record.validated_at,
                "uploaded": upload.at if upload else None,
                "jobs": list(jobs_using(record, jobs)),
                "uri": upload.uri if upload else None,
                "location": record.location,
                "kind": record.kind,
            }
        )
    frame = pd.DataFrame(rows)
    frame["uploaded"] = pd.to_datetime(frame["uploaded"], utc=True)
    frame["size"] = frame["size"].astype("Float64")
    return frame


def _name(location: str) -> str:
    """Return the last part of a path or S3 prefix."""
    return location.rstrip("/").replace("\\", "/").rpartition("/")[2] or location


def _issues(record: DatasetRecord) -> str:
    counts = [
        plural(count, noun)
        for count, noun in ((record.errors, "error"), (record.warnings, "warning"))
        if count
    ]
    return ", ".join(counts) or "none"


def _columns() -> dict[str, object]:
    column = st.column_config
    return {
        "dataset": column.TextColumn("Dataset", width=150),
        "classes": column.TextColumn("Classes", width=160),
        "train": column.NumberColumn("Training", format="localized", width=75),
        "validation": column.NumberColumn("Validation", format="localized", width=80),
        "size": column.NumberColumn("Size", format="bytes", width=80),
        "issues": column.TextColumn("Issues", width=100),
        "validated": column.DatetimeColumn("Validated", format="distance", width=125),
        "uploaded": column.DatetimeColumn("Uploaded", format="distance", width=125),
        "jobs": column.ListColumn("Training jobs", width=140),
        "uri": column.TextColumn("Uploaded to", width=240),
        "location": column.TextColumn("Location", width=300),
        "kind": column.TextColumn("Layout", width=110),
    }


def _selected(folder: Path, record: DatasetRecord, jobs: Sequence[TrainingJob]) -> None:
    """Draw the actions on a dataset, and links to the jobs that used it."""
    with st.container(border=True):
        st.markdown(f"**{messages.plain(record.location)}**")
        for upload in record.uploads[:1]:
            copied = (
                f"{plural(upload.files, 'file')}, {byte_size(upload.size)}, {formatting.moment(upload.at)}"
            )
            st.caption(f"Uploaded to {messages.plain(upload.uri)}: {copied}")
        with st.container(horizontal=True, vertical_alignment="center"):
            st.button(
                "Validate again",
                icon=":material/fact_check:",
                on_click=_open,
                args=(record.location,),
                disabled=not _can_open(record.location),
            )
            for uri in record.uris[:1] if not record.errors else ():
                query = {state.DATA: uri, state.DATA_SAMPLES: str(record.train)}
                query |= {state.DATA_CLASSES: str(len(record.classes))} if record.classes else {}
                links.page_link(
                    links.LAUNCH_TRAINING,
                    label="Train on this dataset",
                    icon=":material/rocket_launch:",
                    query_params=query,
                )
            st.button(
                "Remove from list",
                icon=":material/playlist_remove:",
                help="The dataset itself and its copies in S3 are not changed.",
                on_click=_forget,
                args=(folder, record.location),
            )
        names = jobs_using(record, jobs)
        if names:
            st.caption(f"Used by {plural(len(names), 'training job')}:")
            with st.container(horizontal=True):
                for name in names[:MAX_JOBS]:
                    links.page_link(
                        links.TRAINING_JOB, label=messages.plain(name), query_params={state.JOB: name}
                    )


def _forget(folder: Path, location: str) -> None:
    try:
        forget(folder, location)
    except OSError as error:
        st.toast(messages.plain(f"{location} cannot be removed: {reason(error)}"), icon=":material/error:")


def _can_open(location: str) -> bool:
    """Return whether a dataset is still there; one that was uploaded as a ZIP file has no path."""
    return location.startswith("s3://") or Path(location).exists()


def _open(location: str) -> None:
    state.choose(DATASET, location)
    if location.startswith("s3://"):
        session.current().check_prefix(backend.connection(), location)
    else:
        session.current().check_folder(Path(location), ReadOptions())
