"""The Runs page: stored segmentations and evaluations. Opening one never invokes an endpoint."""

from __future__ import annotations

from functools import partial

import streamlit as st

from core.errors import InputError
from core.runs.run import Run
from core.runs.store import RunStore
from pages.parts import endpoint_picker, large_images, links, messages, run_store, state
from pages.parts.evaluate import stored as stored_evaluation
from pages.parts.run_store import RUN
from pages.parts.runs import header, listing
from pages.parts.segment import restore
from pages.parts.segment import stored as stored_segmentation


def main() -> None:
    """Draw the run that the URL names, else the list."""
    if message := state.take_notification():
        st.toast(message, icon=":material/check_circle:")
    store = run_store.store()
    run_id = RUN.get()
    if store is None or not run_id:
        st.title("Runs")
        if store is None:
            st.info(
                "**Runs are not stored.** `SEGDECK_RESULTS_MB` is 0; set it to the disk space that they may use.",
                icon=":material/cloud_off:",
            )
            return
        run_store.show_problem()
        listing.show(store)
        return
    try:
        run = store.get(run_id)
    except InputError as error:
        links.page_link(links.RUNS, label="Runs", icon=":material/arrow_back:")
        st.title("Run")
        st.warning(messages.card(error), icon=":material/link_off:")
        return
    header.show(store, run, partial(_run_again, store, run))
    if run.kind == "evaluation":
        stored_evaluation.show(store, run)
    elif run.kind == "map":
        large_images.show_stored(store, run)
    else:
        stored_segmentation.show(store, run)


def _run_again(store: RunStore, run: Run) -> None:
    """Open the page that starts such a run, filled in like this one."""
    names = [endpoint.name for endpoint in run.endpoints]
    query = {state.ENDPOINT: names[0], endpoint_picker.INPUT_SIZE: endpoint_picker.size_label(run.fit)}
    if run.kind == "evaluation":
        query |= dict(run.form or {}) | ({endpoint_picker.AGAINST: names[1]} if len(names) > 1 else {})
        links.open_page(links.EVALUATE, query)
    if run.kind == "map":
        links.open_page(links.SEGMENT, {state.ENDPOINT: names[0], endpoint_picker.INPUT_SIZE: "Tiles"})
    restore.open_run(store, run)
    links.open_page(links.SEGMENT, query | {endpoint_picker.OUTPUT: endpoint_picker.OUTPUTS[run.want]})


main()
