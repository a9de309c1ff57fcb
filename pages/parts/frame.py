"""What stands around every page: name, where AWS answers, which account."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from core.aws.connection import Connection
from core.errors import CoreError
from pages.parts import cached, messages, upstream

STATIC = Path(__file__).with_name("static")


def draw() -> None:
    """The logo and the sidebar. Settings that cannot be used are the page's to report, which needs them."""
    st.logo(str(STATIC / "logo.svg"), icon_image=str(STATIC / "mark.svg"), size="large")
    try:
        connection = upstream.connection()
    except CoreError:
        st.sidebar.badge("Not connected", icon=":material/cloud_off:", color="red")
        return
    with st.sidebar:
        _where(connection)


def _where(connection: Connection) -> None:
    if connection.is_sandbox:
        st.badge(
            "Sandbox on this machine",
            icon=":material/computer:",
            color="green",
            help="A SageMaker that runs here. Nothing leaves this machine, and nothing costs.",
        )
    else:
        st.badge(
            "AWS",
            icon=":material/cloud:",
            color="orange",
            help="Your own account: endpoints cost by the hour.",
        )
    who = cached.caller(connection)
    account = "account not known" if isinstance(who, CoreError) else f"account {who.account}"
    st.caption(f"{messages.plain(connection.region)}  \n{account}")
