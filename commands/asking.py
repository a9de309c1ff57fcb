"""Which endpoint a command asks, and what it shows it."""

# ruff: noqa: PLC0415 - each function imports what it needs, so that --help comes at once

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from commands.common import say
from core.errors import DeniedError, InputError, NotFoundError

if TYPE_CHECKING:
    from core.aws.connection import Clients
    from core.endpoints.endpoint import EndpointInfo


def serving_named(clients: Clients, name: str) -> EndpointInfo:
    """The endpoint to ask: the one that was named, else the only one in service."""
    from core.aws.endpoints import describe_serving, in_service
    from core.endpoints.endpoint import EndpointInfo, not_ready

    try:
        serving = describe_serving(clients, name or _only(in_service(clients)))
    except DeniedError as error:
        if not name:
            raise
        say(
            f"Its class names stay unknown. {error}"
        )  # to ask an endpoint one need not be allowed to describe it
        return EndpointInfo(name, status="")
    for note in serving.notes:
        say(note)
    refusal = not_ready(serving.name, serving.status, serving.failure_reason)
    if refusal is not None:
        raise refusal
    return serving


def _only(found: list[Any]) -> str:
    if not found:
        raise NotFoundError(
            "No endpoint is in service.",
            todo="`python cli.py endpoints list` shows the others and how they are.",
        )
    if len(found) > 1:
        names = ", ".join(sorted(row.name for row in found))
        raise InputError("Several endpoints are in service.", todo=f"Add --endpoint with one of: {names}.")
    name: str = found[0].name
    return name


def fit_of(size: str) -> tuple[int, int] | None:
    """The box of --size; None for own. Raises BadParameter."""
    if size == "own":
        return None
    found = re.fullmatch(r"([1-9]\d{0,4})[x×]([1-9]\d{0,4})", size)
    if found is None:
        raise typer.BadParameter(f"{size!r} is neither own nor a size such as 800x600.", param_hint="--size")
    return int(found[1]), int(found[2])


def make_folder(out: Path) -> None:
    """The folder of --out, where it is not there. Raises InputError."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"The folder {out} cannot be made.", why=f"{error.strerror}.", todo="Choose another --out."
        ) from error
