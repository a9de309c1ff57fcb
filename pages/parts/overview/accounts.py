"""Several accounts and regions side by side: what runs in each, and what it costs. Each fails on its own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from urllib.parse import quote, unquote

import streamlit as st

from core.accounts import AccountChoice, parse_token
from core.aws.accounts import region_choices
from core.aws.connection import Connection
from core.aws.identity import Caller
from core.cost.training import PriceTable
from core.errors import CoreError
from core.settings import Settings
from pages.parts import account, backend, cached, messages, state, switcher
from pages.parts.overview import data
from pages.parts.overview.data import Now
from pages.parts.state import UrlParam

ACCOUNTS = UrlParam("accounts")
MOST = 12
"""Accounts and regions that can be compared: each is read once per refresh."""

_PICKED = "overview.accounts"


@dataclass(frozen=True, slots=True)
class AccountCard:
    """What is known about one account and region. error: why its connection is unusable; None where it is not.

    The other fields are None with an error.
    """

    choice: AccountChoice
    error: CoreError | None
    connection: Connection | None = None
    now: Now | None = None
    prices: PriceTable | None = None


def picked() -> tuple[AccountChoice, ...]:
    """Return the accounts and regions that the URL compares; without any, those of SEGDECK_ACCOUNTS."""
    if text := ACCOUNTS.get():
        parsed = (parse_token(unquote(token)) for token in text.split(","))
        return tuple(dict.fromkeys(choice for choice in parsed if choice is not None))[:MOST]
    return configured(backend.settings())[:MOST]


def configured(settings: Settings) -> tuple[AccountChoice, ...]:
    """Return the default account and the entries of SEGDECK_ACCOUNTS in their regions; empty without entries."""
    entries = tuple(
        AccountChoice(account=entry.name, region=region)
        for entry in settings.accounts
        for region in entry.regions or ("",)
    )
    return (AccountChoice(), *entries) if entries else ()


def picker(connection: Connection) -> None:
    """Draw the field that chooses what to compare. Its value goes into the URL. Raises SettingsError."""
    now = picked()
    offered = dict.fromkeys((*now, *_offered(connection)))
    st.multiselect(
        "Accounts and regions to compare",
        list(offered),
        default=list(now),
        format_func=_name,
        max_selections=MOST,
        key=_PICKED,
        on_change=_pick,
        placeholder="Choose accounts and regions",
    )


def read(choices: tuple[AccountChoice, ...]) -> tuple[AccountCard, ...]:
    """Read all of them; what cannot be read in one does not hide the others."""
    return tuple(_read(choice) for choice in choices)


def cards(rows: tuple[AccountCard, ...], current: Connection) -> None:
    """Draw a card for each. current: the connection of this session."""
    if not rows:
        st.caption("Choose accounts and regions to see what runs in them, and what it costs.")
        return
    with st.grid(min(len(rows), 3), min_column_width=260, gap="small"):
        for row in rows:
            with st.container(border=True, gap="small", height="stretch"):
                _card(row, here=row.connection == current)


def _offered(connection: Connection) -> tuple[AccountChoice, ...]:
    """Return what can be compared: the session's account in all regions, and every other in its own."""
    settings, current = backend.settings(), account.choice()
    own = tuple(
        replace(current, region=region) for region in region_choices(settings, current, connection.region)
    )
    others = cached.account_choices(settings, sandbox=connection.is_sandbox)
    return (*own, *configured(settings), *(choice for choice in others if choice != AccountChoice()))


def _pick() -> None:
    choices: list[AccountChoice] = state.chosen(_PICKED) or []
    ACCOUNTS.set(",".join(quote(choice.token, safe=":@") for choice in choices))


def _name(choice: AccountChoice) -> str:
    return f"{switcher.name_of(choice)}, {choice.region}" if choice.region else switcher.name_of(choice)


def _read(choice: AccountChoice) -> AccountCard:
    try:
        connection = backend.chosen(choice).connection
    except CoreError as error:
        return AccountCard(choice, error)
    cached.caller(connection)
    return AccountCard(choice, None, connection, data.read(connection), cached.prices(connection))


def _card(row: AccountCard, *, here: bool) -> None:
    """Draw one account: its name, its numbers, what failed, and the link that opens it."""
    region = row.connection.region if row.connection is not None else row.choice.region
    st.markdown(f"**{messages.plain(switcher.name_of(row.choice))}**  \n{messages.plain(region)}")
    if row.error is not None:
        st.error(messages.card(row.error), icon=":material/error:")
        return
    if row.connection is not None and row.now is not None and row.prices is not None:
        _numbers(row.connection, row.now, row.prices)
    if here:
        st.caption(":material/check: Shown above")
    else:
        switcher.link(row.choice, "Open")


def _numbers(connection: Connection, now: Now, prices: PriceTable) -> None:
    caller = cached.caller(connection)
    if isinstance(caller, Caller):
        st.caption(messages.plain(f"{caller.account} · {caller.arn.rpartition(':')[2]}"))
    # One cause, such as a role that cannot be assumed, makes every read fail: it is shown once.
    causes = {(type(error), error.why, error.todo): error for error in reversed(now.failures)}
    for error in causes.values():
        st.error(messages.card(error), icon=":material/error:")
    for pending in now.waiting:
        messages.waiting_line(pending)
    lines = []
    if now.jobs is not None:
        least = "" if now.jobs.complete else "≥ "
        lines.append(f"Jobs running: **{least}{len(now.running)}**")
    if now.fleet is not None:
        lines.append(f"Endpoints in service: **{len(now.answering)}**")
    if now.jobs is not None or now.fleet is not None:
        hourly, unknown = data.cost_per_hour(now, prices)
        label = "AWS price per hour" if connection.is_sandbox else "Cost per hour"
        amount = f"{'≥ ' if unknown or not now.whole else ''}{hourly}"
        lines.append(f"{label}: **{messages.plain(amount)}**")
        failed = len(now.failed_jobs) + len(now.failing)
        lines.append(f"Failed in 24 h: **{'' if now.failures_known else '≥ '}{failed}**")
    if lines:
        st.markdown("  \n".join(lines))
