"""What stands around every page: name, where AWS answers, which account."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from core.aws.connection import Connection
from core.errors import CoreError
from pages.parts import backend, cached, messages, refresh, shared_cache
from pages.parts.shared_cache import PendingError

STATIC = Path(__file__).with_name("static")


def draw() -> None:
    """The logo and the sidebar. Settings that cannot be used are the page's to report, which needs them."""
    st.logo(str(STATIC / "logo.svg"), icon_image=str(STATIC / "mark.svg"), size="large")
    try:
        connection = backend.connection()
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
    with shared_cache.watching() as watch:
        cached.caller(connection)
    ticking = refresh.PENDING_TICK if watch.pending else None
    st.fragment(_identity, run_every=ticking)(connection, ticking=ticking is not None)


def _identity(connection: Connection, *, ticking: bool) -> None:
    """Draw region and account. ticking: the account was pending when the page was drawn; it ends with that."""
    with (
        shared_cache.watching()
    ):  # the account decorates: what becomes of it is no reason to run a page again
        who = cached.caller(connection)
    if isinstance(who, PendingError):
        account = "account pending"
    else:
        account = "account unknown" if isinstance(who, CoreError) else f"account {who.account}"
    st.caption(f"{messages.plain(connection.region)}  \n{account}")
    if ticking and not isinstance(who, PendingError):
        st.rerun()
