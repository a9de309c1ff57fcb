"""Confirm one plan in the dialog of the pages, in its own process, and print what the dialog then shows.

The connection and the plan are JSON on stdin; the journal is where the environment says.
"""

from __future__ import annotations

import json
import sys

from streamlit.testing.v1 import AppTest

given = json.load(sys.stdin)


def page(given):  # type: ignore[no-untyped-def]
    """Show the dialog's body on a page of its own: AppTest cannot click inside a dialog."""
    import streamlit  # AppTest runs this function's text alone

    from core.aws.connection import Connection
    from core.plans.plan import Plan
    from pages.parts.plan_dialog import PendingPlan, body

    if "pending" not in streamlit.session_state:  # the same one in every run, as in the dialog
        streamlit.session_state["pending"] = PendingPlan(
            Plan.from_dict(given["plan"]),
            Connection(**given["connection"]),
            lambda: streamlit.success("after"),
        )
    body(streamlit.session_state["pending"])


app = AppTest.from_function(page, args=(given,), default_timeout=60).run()
next(button for button in app.button if button.key == "plan-sure").click().run()
for shown in (*app.error, *app.exception, *app.success):
    print(shown.value)
