"""What every command of the terminal needs: where its calls go, and how it says what became of them.

Results go to standard output, everything else to standard error. Exit codes: 0 done, 1 something failed, 2 wrong
usage, 130 stopped with Ctrl-C.
"""

# ruff: noqa: PLC0415 - each function imports what it needs, so that --help comes at once

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from subprocess import Popen, TimeoutExpired
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.errors import CoreError, UnreachableError
from core.settings import Settings

if TYPE_CHECKING:
    from rich.console import Console

    from core.aws.connection import Clients
    from sandbox.launcher import Address

FAILED, STOPPED = 1, 130
PIPE_WIDTH = 240
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

Debug = Annotated[bool, typer.Option("--debug", help="Show where in the code an error came up.")]
AsJson = Annotated[
    bool, typer.Option("--json", help="One JSON document on standard output, and nothing else.")
]


@dataclass(frozen=True, slots=True)
class Reached:
    """Where the calls of a command go. ends_with_us: it is a sandbox that was started for this command alone."""

    clients: Clients
    ends_with_us: bool


@contextmanager
def reached() -> Iterator[Reached]:
    """AWS or the sandbox, as the settings have it."""
    from core.aws.connection import clients, connect

    settings = Settings.from_environ(os.environ)
    if settings.mode == "aws":
        yield Reached(clients(connect(settings)), ends_with_us=False)
        return
    with reached_sandbox() as place:
        yield place


@contextmanager
def reached_sandbox() -> Iterator[Reached]:
    """The sandbox, whatever the mode is."""
    from core.aws.connection import Connection, clients

    folder = Settings.from_environ(os.environ).sandbox_dir
    with _sandbox(folder) as (address, ours):
        found = Connection(address.region, address.url, None, address.access_key, address.secret_key)
        yield Reached(clients(found), ours)


@contextmanager
def connected() -> Iterator[Clients]:
    """Clients for AWS or for the sandbox."""
    with reached() as place:
        yield place.clients


@contextmanager
def _sandbox(folder: Path) -> Iterator[tuple[Address, bool]]:
    """The sandbox that runs on the folder, else one for the length of this call; and whether it is that."""
    from sandbox import launcher

    if launcher.running(folder) is None:
        say("Starting the sandbox … (`make sandbox` keeps one running)")
    try:
        address, process = launcher.ensure(folder)
    except (launcher.LaunchError, OSError) as error:
        raise UnreachableError(
            "The sandbox did not start.", why=f"{error}", todo=f"Its log is in {folder}."
        ) from error
    try:
        yield address, process is not None
    finally:
        if process is not None:
            _end(process)


def _end(process: Popen[bytes]) -> None:
    """Wait until it has gone: the next call would otherwise meet one that is going."""
    process.terminate()
    try:
        process.wait(30)
    except TimeoutExpired:
        process.kill()  # its models end with it
        process.wait()


@contextmanager
def reporting(debug: bool) -> Iterator[None]:
    """Errors of ours become text and an exit code, not a traceback."""
    try:
        yield
    except CoreError as error:
        if debug:
            raise
        print_error(error.what, error.why, error.todo)
        raise typer.Exit(FAILED) from error
    except KeyboardInterrupt:
        say("Stopped.")
        raise typer.Exit(STOPPED) from None


def print_error(what: str, *parts: str, where: str = "") -> None:
    """What in red, and a line for each part that says something."""
    from rich.text import Text

    text = Text(f"{visible(where)}: " if where else "", style="bold")
    text.append(visible(what), style="bold red")
    text.append("".join(f"\n  {visible(part)}" for part in parts if part), style="not bold")
    console().print(text, soft_wrap=True)


def print_table(title: str, rows: list[dict[str, str]]) -> None:
    """Rows with the same columns; no cell is cut short where a file or another program reads along."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not rows:
        print("There are none.")
        return
    table = Table(title=title)
    for name in rows[0]:
        table.add_column(name if ":" in name else name.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(Text(visible(cell)) for cell in row.values()))
    Console(soft_wrap=True, width=None if sys.stdout.isatty() else PIPE_WIDTH).print(table, markup=False)


def visible(text: str) -> str:
    """Control characters as their codes: names of files and messages of others hold any, and a terminal obeys."""
    return CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def say(text: str) -> None:
    """On standard error."""
    console().print(visible(text), markup=False, highlight=False, soft_wrap=True)


def console() -> Console:
    from rich.console import Console

    return Console(stderr=True)


def iso(at: datetime | None) -> str | None:
    """A time for JSON: ISO 8601, in UTC."""
    return None if at is None else at.astimezone(UTC).isoformat()


def print_json(**document: Any) -> None:
    """The one document of --json; numbers that are none become null."""
    print(json.dumps(document, indent=1, allow_nan=False))
