"""The one read of the setup page: all checks, for what the address names."""

from __future__ import annotations

from core.access.target import SetupTarget
from core.aws.connection import Connection, clients
from core.aws.doctor import SetupReport, check_setup
from core.aws.identity import Caller
from pages.parts import cached
from pages.parts.shared_cache import Snapshot

REPORT_SECONDS = 120
"""How old the checks may be; the button on the page makes them again at once."""


def read_report(connection: Connection, target: SetupTarget) -> Snapshot[SetupReport]:
    """Return the checks. Raises PendingError; what cannot be read is part of the report.

    Once the identity can be read, or no longer, they are made again: without it, most of them are skipped.
    """
    identified = isinstance(cached.caller(connection), Caller)
    return cached.shelf().read(
        ("setup", connection, target, identified),
        lambda: check_setup(clients(connection), target),
        REPORT_SECONDS,
        "the setup checks",
    )
