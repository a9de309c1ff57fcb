"""The files of the pages, how to open them, and URLs of the AWS console."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from core.partitions import CONSOLES, partition_of
from pages.parts import account, state

PAGES = Path(__file__).resolve().parents[1]
OVERVIEW = PAGES / "overview.py"
SETUP = PAGES / "setup.py"
TRAINING_JOBS = PAGES / "training_jobs.py"
TRAINING_JOB = PAGES / "training_job.py"
LAUNCH_TRAINING = PAGES / "launch_training.py"
EVALUATE = PAGES / "evaluate.py"
DATASETS = PAGES / "datasets.py"
ENDPOINTS = PAGES / "endpoints.py"
ENDPOINT = PAGES / "endpoint.py"
DEPLOY = PAGES / "deploy.py"
SEGMENT = PAGES / "segment.py"
RUNS = PAGES / "runs.py"
BATCHES = PAGES / "batches.py"
BATCH = PAGES / "batch.py"
LAUNCH_BATCH = PAGES / "launch_batch.py"


def open_page(page: Path, query_params: Mapping[str, str | list[str]]) -> NoReturn:
    """Open another page, with these query parameters, in place of the current one.

    The fragments of the current page are removed first. Otherwise a timer of one of them that fires before the
    browser knows about the new page makes Streamlit 1.67 run the old page again: the browser shows a blank page, or
    returns to the old one (tests/browser/test_page_switch.py).
    """
    query = {**account.choice().query, **query_params}
    state.note_leaving(query)
    context = get_script_run_ctx()
    if context is not None:
        context.fragment_storage.clear()
    st.switch_page(page, query_params=query)


def page_link(
    page: Path, *, query_params: Mapping[str, str | list[str]] | None = None, **options: Any
) -> None:
    """Draw a link to a page, in the account and region of this session, also where it opens in a new tab.

    options: those of `st.page_link`.
    """
    query = {**account.choice().query, **(query_params or {})}
    st.page_link(page, query_params=query or None, **options)


def s3_console(uri: str, region: str) -> str:
    """Return the URL of an S3 object or prefix in the AWS console; empty where the partition has no public one."""
    domain = CONSOLES.get(partition_of(region))
    if domain is None:
        return ""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    kind = "object" if key and not key.endswith("/") and key.endswith(".gz") else "buckets"
    return f"https://{region}.{domain}/s3/{kind}/{bucket}?region={region}&prefix={key}"
