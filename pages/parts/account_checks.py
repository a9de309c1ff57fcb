"""The checks of the account (`core.aws.doctor`): one read for all pages, and what the forms show of it."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from core.access.check import Check
from core.access.quotas import InstanceNeed
from core.access.target import SetupTarget, parse_target
from core.aws.connection import Connection, clients
from core.aws.doctor import SetupReport, check_setup
from core.aws.identity import Caller
from core.errors import CoreError, InputError
from pages.parts import cached, links, messages
from pages.parts.shared_cache import PendingError, Snapshot

REPORT_SECONDS = 120
"""How old the checks may be; **Check again** makes them again at once."""

ROLE, BUCKET, INSTANCE_TYPES = "role", "bucket", "instance_types"
"""Names in the address of the Setup page."""

OF_A_FORM = ("permissions", "pass-role", "role", "bucket", "quota")
"""The checks that matter to a form: their ids, up to a hyphen. It has its own for the others."""


def read_report(connection: Connection, target: SetupTarget) -> Snapshot[SetupReport]:
    """Return the checks. Raises PendingError; what cannot be read is part of the report.

    Once the identity can be read, or no longer, they are made again: without it, most of them are skipped.
    """
    identified = isinstance(cached.caller(connection), Caller)
    return cached.shelf().read(
        ("account checks", connection, target, identified),
        lambda: check_setup(clients(connection), target),
        REPORT_SECONDS,
        "the account checks",
    )


def show_problems(connection: Connection, *, role: str, uri: str, need: InstanceNeed) -> None:
    """Draw the problems of the account that would make what a form describes fail.

    Nothing is drawn before role and data are given, nor in the sandbox, where no policy is in the way.
    role: its ARN. uri: an S3 URI of the data, or of the model.
    """
    bucket = uri.removeprefix("s3://").partition("/")[0]
    if connection.is_sandbox or not role or not bucket:
        return
    try:
        target = parse_target(role, bucket, [f"{need.use}={need.instance_type}"])
    except InputError:  # the form's own checks name the field
        return
    try:
        report = read_report(connection, target).value
    except PendingError as pending:
        messages.waiting_line(pending)
        return
    except CoreError as error:
        st.caption(messages.line(error))
        return
    problems = relevant_problems(report.checks)
    for check in problems:
        text = (
            f"**{messages.plain(check.title)}:** {messages.plain(check.found)} {messages.plain(check.todo)}"
        )
        st.markdown(f":orange[:material/warning:] {text}")
    if problems:
        links.page_link(
            links.SETUP,
            label="Fix it on the Setup page",
            icon=":material/checklist:",
            query_params={ROLE: role, BUCKET: bucket, INSTANCE_TYPES: f"{need.use}={need.instance_type}"},
        )


def relevant_problems(checks: Sequence[Check]) -> list[Check]:
    """Return the problems among the checks that matter to a form."""
    return [
        check
        for check in checks
        if check.status == "problem" and (check.id in OF_A_FORM or check.id.partition("-")[0] in OF_A_FORM)
    ]
