"""The script that Streamlit runs for every visit: the frame, and the page in it.

It is the entry, and not `app.py`, because no `pages/` lies beside it: with one, Streamlit would run a page that is
opened by its address without this file.
"""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from pages.parts import backend, cached, frame, links, messages, refresh, state

STATIC = Path(__file__).with_name("static")

SECTIONS = {
    "": [
        st.Page(
            links.OVERVIEW,
            title="Overview",
            icon=":material/space_dashboard:",
            url_path="start",  # not an address: a default page answers at / alone, but takes up a name
            default=True,
            help="What runs now, what it costs an hour, what failed, and what sits idle.",
        ),
        # The same under its own name, for whoever writes that into the address.
        st.Page(links.OVERVIEW, title="Overview", url_path="overview", visibility="hidden"),
    ],
    "Use a model": [
        st.Page(
            links.SEGMENT,
            title="Segment",
            icon=":material/imagesmode:",
            url_path="segment",
            help="Photographs in, masks beside them: look at them closely, and take them with you.",
        ),
        st.Page(
            links.EVALUATE,
            title="Evaluate",
            icon=":material/grading:",
            url_path="evaluate",
            help="How good the masks are: endpoints judged by photos whose masks are known.",
        ),
    ],
    "Train": [
        st.Page(
            links.DATASETS,
            title="Data sets",
            icon=":material/folder_open:",
            url_path="datasets",
            help="Photographs and masks: checked before they cost anything, mended, and brought into S3.",
        ),
        st.Page(
            links.TRAINING_JOBS,
            title="Training jobs",
            icon=":material/model_training:",
            url_path="training_jobs",
            help="Which jobs run, how far they are, what they cost; several of them side by side.",
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
            help="What is in service and what it costs, above all what stands idle.",
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
            help="Whether everything is in place: where AWS answers, as whom, and what is in service.",
        ),
    ],
}


def main() -> None:
    """Draw the frame, then run the page. Nothing that goes wrong in either shows a traceback."""
    # The sidebar takes its width when it is first drawn, and the navigation draws it.
    st.set_page_config(
        page_icon=str(STATIC / "favicon.png"),
        layout="wide",
        initial_sidebar_state=240,
    )
    page = st.navigation(SECTIONS)
    st.set_page_config(page_title=f"{page.title} · Segdeck")
    with messages.error_boundary():
        if state.take_retry():
            with st.spinner("Looking again ..."):
                cached.forget_aws()
                backend.restart_sandbox()
    with messages.error_boundary():
        frame.draw()
    refresh.page(page.run, page.url_path)


main()
