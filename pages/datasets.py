"""Data sets: checked before anything is paid for, looked at, mended in a copy, brought into S3."""

from __future__ import annotations

import streamlit as st

from pages.parts import backend, background, messages
from pages.parts.datasets import actions, pairs, report, session, source


def main() -> None:
    """Where it lies; then, once it is checked, what was found and what can be done."""
    connection = backend.connection()
    st.container(horizontal=True).title("Data sets")
    source.ask(connection)
    task = session.current().check
    if task is None:
        st.caption(
            "Pascal VOC folders, folders of images and masks, CVAT and Label Studio mask exports, Ground Truth "
            "output, zips of these, and prefixes in S3. Nothing is changed by a check."
        )
        return
    checked = background.show(task, "check")
    if checked is None:
        return
    for note in checked.notes:
        st.warning(messages.plain(note), icon=":material/info:")
    report.show(checked.report)
    actions.show(connection, checked)
    if checked.source is not None:
        pairs.show(checked.source, checked.report)


main()
