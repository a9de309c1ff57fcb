"""The datasets page: validate a dataset before training, browse it, export a fixed copy, upload it to S3.

Without a dataset, it lists those that were validated and uploaded.
"""

from __future__ import annotations

import streamlit as st

from pages.parts import backend, messages, tasks
from pages.parts.datasets import actions, history, pairs, question, report, session, source


def main() -> None:
    """Draw the form that selects a dataset and the list of datasets; once one is validated, report and actions."""
    connection = backend.connection()
    st.container(horizontal=True).title("Datasets")
    source.form(connection)
    task = session.current().check
    if task is None:
        st.caption(
            "Supported: folders of images and masks, Pascal VOC, Cityscapes and Roboflow; annotations of COCO, "
            "labelme, CVAT, YOLO, Supervisely, Label Studio and Ground Truth; ZIP files of these, and S3 prefixes. "
            "Validation changes nothing."
        )
        history.show(connection)
        return
    if question.show(task):
        return
    checked = tasks.show(task, "check")
    if checked is None:
        return
    if checked.notes:
        st.warning("\n\n".join(map(messages.plain, checked.notes)), icon=":material/info:")
    report.show(checked.report)
    actions.show(connection, checked)
    if checked.source is not None:
        pairs.show(checked.source, checked.report)
    st.button("All datasets", icon=":material/list:", on_click=session.current().close)


main()
