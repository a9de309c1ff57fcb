"""Changes of endpoints that more than one page offers: each becomes a plan in the dialog."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import streamlit as st

from core.aws.connection import Connection, clients
from core.aws.endpoint_detail import endpoint_detail, users
from core.endpoint_plans import plan_delete
from pages.parts import cached, fleet, plan_dialog


def delete(connection: Connection, names: Sequence[str], after: Callable[[], None]) -> None:
    """Ask whether these should go, with all that only they use. Raises AwsError, InputError."""
    with st.spinner("Looking at what belongs to it ..."):
        aws = clients(connection)
        details = [endpoint_detail(aws, name) for name in names]
        known = cached.configs(connection).known(
            one.config for one in fleet.everything(connection).endpoints if one.config
        )
        found = users(aws, details, {name: config for name, config in known.items() if config is not None})
    plan_dialog.ask(plan_delete(details, found), connection, after)
