"""The switcher of account and region: what can be chosen, and a link that opens it."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from core.accounts import AccountChoice
from core.aws.accounts import region_choices
from core.aws.connection import Connection
from core.errors import SettingsError
from core.escaping import html
from pages.parts import account, backend, cached, messages, refresh

_ACCOUNT, _REGION = "switcher.account", "switcher.region"


def draw(connection: Connection) -> None:
    """Draw the switcher, labeled with the current account. Raises SettingsError."""
    with st.popover(messages.plain(name_of(account.choice())), icon=":material/swap_horiz:", width="stretch"):
        refresh.timed(_body, None)(connection)


def link(to: AccountChoice, label: str) -> None:
    """Draw a link that opens the current page in another account or region.

    A plain link, not a widget: it opens another document, and so a session of its own (see `pages.parts.account`).
    """
    st.markdown(
        f'<a href="{html(account.switch_url(to))}" target="_self">{html(label)}</a>',
        unsafe_allow_html=True,
    )


def name_of(choice: AccountChoice) -> str:
    """Return what the account of a choice is called."""
    return str(replace(choice, region="")) if choice.account or choice.profile else "Default account"


def _body(connection: Connection) -> None:
    """Draw the fields and the link to what they choose."""
    settings = backend.settings()
    offered = cached.account_choices(settings, sandbox=connection.is_sandbox)
    current = replace(account.choice(), region="")
    chosen = st.selectbox(
        "Account",
        offered,
        index=offered.index(current) if current in offered else 0,
        format_func=name_of,
        key=_ACCOUNT,
        help="Profiles of ~/.aws, and the roles that SEGDECK_ACCOUNTS lists.",
    )
    usual = connection.region if chosen == current else _usual_region(chosen)
    names = region_choices(settings, chosen, usual)
    region = st.selectbox(
        "Region",
        names,
        index=names.index(usual) if usual else None,
        placeholder="Choose a region",
        key=f"{_REGION}.{chosen.token}",  # another account has a field of its own, with its own region in it
    )
    if region is None:
        return
    if (chosen, region) == (current, connection.region):
        st.caption("This is the current account and region.")
    else:
        link(replace(chosen, region=region), "Switch")


def _usual_region(choice: AccountChoice) -> str:
    """Return the region that an account has without a choice; empty where it has none."""
    try:
        return backend.chosen(choice).connection.region
    except SettingsError:
        return ""
