"""The script that Streamlit runs for every user: the frame, and the page in it.

It is the entry point instead of `app.py` because it has no `pages/` folder next to it: with one, Streamlit would run
a deep-linked page without this file.
"""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from pages.parts import account, backend, cached, frame, links, messages, refresh, state

STATIC = Path(__file__).with_name("static")

SECTIONS = {
    "": [
        st.Page(
            links.OVERVIEW,
            title="Overview",
            icon=":material/space_dashboard:",
            url_path="start",  # not a URL: a default page is at / only, but still needs a name
            default=True,
            help="Running jobs, cost per hour, recent failures and idle endpoints.",
        ),
        # The same page under its own name, for users who type that into the address bar.
        st.Page(links.OVERVIEW, title="Overview", url_path="overview", visibility="hidden"),
    ],
    "Use a model": [
        st.Page(
            links.SEGMENT,
            title="Segment",
            icon=":material/imagesmode:",
            url_path="segment",
            help="Segment images, inspect the masks, and download them.",
        ),
        st.Page(
            links.EVALUATE,
            title="Evaluate",
            icon=":material/grading:",
            url_path="evaluate",
            help="Evaluate endpoints on labeled images.",
        ),
        st.Page(
            links.BATCHES,
            title="Batch transform",
            icon=":material/burst_mode:",
            url_path="batches",
            help="Segment thousands of images in S3 with transform jobs.",
        ),
        st.Page(
            links.BATCH,
            title="Transform job",
            icon=":material/burst_mode:",
            url_path="batch",
            visibility="hidden",
        ),
        st.Page(
            links.LAUNCH_BATCH,
            title="Start a batch",
            icon=":material/rocket_launch:",
            url_path="launch_batch",
            visibility="hidden",
        ),
        st.Page(
            links.RUNS,
            title="Runs",
            icon=":material/history:",
            url_path="runs",
            help="Results of segmentations and evaluations, to open again, to share, or to run again.",
        ),
    ],
    "Train": [
        st.Page(
            links.DATASETS,
            title="Datasets",
            icon=":material/folder_open:",
            url_path="datasets",
            help="Validate and fix images and masks before training, and upload them to S3.",
        ),
        st.Page(
            links.TRAINING_JOBS,
            title="Training jobs",
            icon=":material/model_training:",
            url_path="training_jobs",
            help="Progress, metrics and cost of training jobs, and comparison of several.",
        ),
        st.Page(
            links.TRAINING_JOB,
            title="Training job",
            icon=":material/monitoring:",
            url_path="training_job",
            visibility="hidden",
        ),
        st.Page(
            links.LAUNCH_TRAINING,
            title="Launch training",
            icon=":material/rocket_launch:",
            url_path="launch_training",
            visibility="hidden",
        ),
    ],
    "Serve": [
        st.Page(
            links.ENDPOINTS,
            title="Endpoints",
            icon=":material/dns:",
            url_path="endpoints",
            help="Deploy, inspect, scale and delete endpoints.",
        ),
        st.Page(
            links.ENDPOINT,
            title="Endpoint",
            icon=":material/monitor_heart:",
            url_path="endpoint",
            visibility="hidden",
        ),
        st.Page(
            links.DEPLOY,
            title="Deploy",
            icon=":material/deployed_code:",
            url_path="deploy",
            visibility="hidden",
        ),
    ],
    "This dashboard": [
        st.Page(
            links.SETUP,
            title="Setup",
            icon=":material/checklist:",
            url_path="setup",
            help="Check credentials, permissions, execution role, bucket, quotas and limits.",
        ),
    ],
}


def main() -> None:
    """Draw the frame, then run the page. No error in either shows a traceback."""
    # The sidebar gets its width when it is first drawn, by the navigation.
    st.set_page_config(
        page_icon=str(STATIC / "favicon.png"),
        layout="wide",
        initial_sidebar_state=240,
    )
    page = st.navigation(SECTIONS)
    account.keep_in_url()
    st.set_page_config(page_title=f"{page.title} · Segdeck")
    with messages.error_boundary():
        if state.take_retry():
            with st.spinner("Refreshing ..."):
                cached.forget_aws()
                backend.restart_sandbox()
    with messages.error_boundary():
        frame.draw()
    state.enter_page(page.url_path)
    refresh.page(page.run, page.url_path)


main()
