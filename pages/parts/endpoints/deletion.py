"""Delete endpoints: a plan in the dialog, offered by the list and by the page of one endpoint."""

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
"""Endpoints that are read at the same time; each takes about four calls."""

MOST = 50
"""Maximum number of endpoints in one plan; a longer list of steps would be unreadable."""


def delete(connection: Connection, names: Sequence[str], after: Callable[[], None]) -> None:
    """Open the dialog that deletes these endpoints and everything only they use. Raises AwsError, InputError."""
    with st.spinner("Reading configurations and models ..."), ThreadPoolExecutor(AT_ONCE) as pool:
        aws = clients(connection)
        details = list(pool.map(lambda name: endpoint_resources(aws, name), names))
        try:
            listed = fleet.everything(connection).endpoints
        except PendingError:
            listed = ()  # then no configuration is known, and `users` reads them all
        known = endpoint_configs.of(connection).known(
            endpoint.config for endpoint in listed if endpoint.config
        )
        used_by = users(aws, details, {name: config for name, config in known.items() if config is not None})
    plan_dialog.open_plan(plan_delete(details, used_by), connection, after)
