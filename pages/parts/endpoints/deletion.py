"""Changes of endpoints that more than one page offers: each becomes a plan in the dialog."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import streamlit as st

from core.aws.connection import Connection, clients
from core.aws.endpoint_detail import endpoint_resources, users
from core.plans.delete import plan_delete
from pages.parts import endpoint_configs, fleet, plan_dialog
from pages.parts.shared_cache import PendingError

AT_ONCE = 8
"""Endpoints that are looked at at the same time; each takes some four calls."""

MOST = 50
"""Endpoints in one plan: of more nobody could read what goes and what stays."""


def delete(connection: Connection, names: Sequence[str], after: Callable[[], None]) -> None:
    """Ask whether these should go, with all that only they use. Raises AwsError, InputError."""
    with st.spinner("Looking at what belongs to it ..."), ThreadPoolExecutor(AT_ONCE) as pool:
        aws = clients(connection)
        details = list(pool.map(lambda name: endpoint_resources(aws, name), names))
        try:
            listed = fleet.everything(connection).endpoints
        except PendingError:
            listed = ()  # then no configuration counts as known, and `users` reads them all
        known = endpoint_configs.of(connection).known(one.config for one in listed if one.config)
        found = users(aws, details, {name: config for name, config in known.items() if config is not None})
    plan_dialog.ask(plan_delete(details, found), connection, after)
