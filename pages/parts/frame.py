"""The frame around every page: logo, backend, the switcher of account and region."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from core.accounts import AccountChoice
from core.aws.connection import Connection
from core.errors import CoreError
from pages.parts import account, backend, cached, elements, messages, refresh, shared_cache, switcher
from pages.parts.shared_cache import PendingError

STATIC = Path(__file__).with_name("static")

STYLE = """
[data-testid^=stBaseButton-primary]:enabled { background-color: #4f46e5; border-color: #4f46e5; }
[data-testid^=stBaseButton-primary]:enabled:hover { background-color: #4338ca; border-color: #4338ca; }
[data-testid=stButtonGroup] button[data-selected=true] { color: inherit !important; }
[data-testid=stButtonGroup] > [data-orientation=horizontal] { flex-wrap: wrap; overflow: visible; }
"""
"""Text that is readable in both themes, and options that wrap on a narrow screen.

The primary color of the dark theme is readable as text on the page, or below white text, but not both. So buttons
have the darker one of the light theme, and chosen options the color of text.
"""


def draw() -> None:
    """Draw the logo and the sidebar. Invalid settings are reported by the page, which needs them."""
    elements.style(STYLE)
    st.logo(str(STATIC / "logo.svg"), icon_image=str(STATIC / "mark.svg"), size="large")
    try:
        connection = backend.connection()
    except CoreError:
        with st.sidebar:
            st.badge("Not connected", icon=":material/cloud_off:", color="red")
            if account.choice().query:
                switcher.link(AccountChoice(), "Open the default account")
        return
    with st.sidebar:
        _where(connection)
        with messages.error_boundary("switcher"):
            switcher.draw(connection)


def _where(connection: Connection) -> None:
    if connection.is_sandbox:
        st.badge(
            "Sandbox on this machine",
            icon=":material/computer:",
            color="green",
            help="A local SageMaker on this machine. No data leaves it, and nothing is billed.",
        )
    else:
        st.badge(
            "AWS",
            icon=":material/cloud:",
            color="orange",
            help="Your AWS account: endpoints are billed for as long as they are in service.",
        )
    with shared_cache.watching() as watch:
        cached.caller(connection)
    ticking = refresh.PENDING_TICK if watch.pending else None
    refresh.timed(_identity, ticking)(connection, ticking=ticking is not None)


def _identity(connection: Connection, *, ticking: bool) -> None:
    """Draw region and account. ticking: the account was pending when the page was drawn; stop once it arrives."""
    with shared_cache.watching():  # a change of the account alone must not rerun the page
        caller = cached.caller(connection)
    if isinstance(caller, PendingError):
        number = "account pending"
    else:
        number = "account unknown" if isinstance(caller, CoreError) else f"account {caller.account}"
    st.caption(f"{messages.plain(connection.region)}  \n{number}")
    if ticking and not isinstance(caller, PendingError):
        refresh.rerun_at_tick()
