"""Options that `segment` and `evaluate` share: the endpoint to invoke, the input size and the output folder."""

# ruff: noqa: PLC0415 - each function imports what it needs, so that --help is fast

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from commands.common import say
from core.errors import DeniedError, InputError, NotFoundError
from core.text import plural

if TYPE_CHECKING:
    from core.aws.connection import Clients
    from core.endpoints.endpoint import EndpointInfo


def endpoint_to_invoke(clients: Clients, name: str) -> EndpointInfo:
    """Return the named endpoint, or else the only one in service. Raises InputError, AwsError."""
    from core.aws.endpoints import endpoint_info, in_service
    from core.endpoints.endpoint import EndpointInfo, not_ready

    try:
        endpoint = endpoint_info(clients, name or _only_name(in_service(clients)))
    except DeniedError as error:
        if not name:
            raise
        say(f"The class names are unknown. {error}")  # sagemaker:InvokeEndpoint alone is enough to segment
        return EndpointInfo(name, status="")
    for note in endpoint.notes:
        say(note)
    refusal = not_ready(endpoint.name, endpoint.status, endpoint.failure_reason)
    if refusal is not None:
        raise refusal
    return endpoint


def _only_name(endpoints: list[Any]) -> str:
    if not endpoints:
        raise NotFoundError(
            "No endpoint is in service.",
            todo="To see all endpoints and their status: segdeck endpoints list",
        )
    if len(endpoints) > 1:
        names = ", ".join(sorted(row.name for row in endpoints))
        raise InputError("Several endpoints are in service.", todo=f"Add --endpoint with one of: {names}.")
    name: str = endpoints[0].name
    return name


def parse_fit(size: str) -> tuple[int, int] | None:
    """Return the input size of --size, (width, height); None for original. Raises BadParameter."""
    if size in ("original", "own"):  # own: the name up to version 0.1
        return None
    match = re.fullmatch(r"([1-9]\d{0,4})[x×]([1-9]\d{0,4})", size)
    if match is None:
        raise typer.BadParameter(
            f"{size!r} is neither a size such as 800x600 nor 'original'.", param_hint="--size"
        )
    return int(match[1]), int(match[2])


def make_folder(out: Path) -> None:
    """Create the folder of --out if it does not exist. Raises InputError."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"The folder {out} cannot be created.", why=f"{error.strerror}.", todo="Choose another --out."
        ) from error


def clear_partial_files(folder: Path, paths: Iterable[Path]) -> None:
    """Remove the partial files of interrupted runs among these paths of a folder, and report that."""
    from core.partial_files import remove_partial_files

    removed, kept = remove_partial_files(paths)
    if removed:
        say(f"Removed {plural(removed, 'unfinished file')} of an interrupted run from {folder}.")
    if kept:
        say(f"Kept {plural(kept, 'unfinished file')} in {folder}: another run may be writing there.")
