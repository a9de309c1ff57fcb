"""What every command of the terminal needs: where its calls go, and how it says what became of them.

Results go to standard output, everything else to standard error. Exit codes: 0 done, 1 something failed, 2 wrong
usage, 130 stopped with Ctrl-C.
"""

# ruff: noqa: PLC0415 - each function imports what it needs, so that --help comes at once

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from subprocess import Popen, TimeoutExpired
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.errors import (
    CoreError,
    CutOffError,
    ThrottledError,
    TimedOutError,
    UnexpectedAnswerError,
    UnreachableError,
)
from core.escaping import json_text, log_line, terminal, terminal_block
from core.settings import Settings

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, ProgressColumn
    from rich.status import Status
    from rich.text import Text

    from core.aws.connection import Clients
    from sandbox.launcher import Address

FAILED, STOPPED = 1, 130
PIPE_WIDTH = 240

Debug = Annotated[bool, typer.Option("--debug", help="Show where in the code an error came up.")]
AsJson = Annotated[
    bool, typer.Option("--json", help="One JSON document on standard output, and nothing else.")
]


TRANSIENT_ERRORS = (CutOffError, ThrottledError, TimedOutError, UnexpectedAnswerError, UnreachableError)
"""What may be gone at the next call: a command that waits for something tries again."""

MAX_FAILURES = 10
"""Failed calls in a row after which waiting is given up."""


@dataclass(frozen=True, slots=True)
class Backend:
    """Where the calls of a command go. ends_with_us: it is a sandbox that was started for this command alone."""

    clients: Clients
    ends_with_us: bool


@contextmanager
def open_backend() -> Iterator[Backend]:
    """AWS or the sandbox, as the settings have it."""
    from core.aws.connection import clients, connect

    settings = Settings.from_environ(os.environ)
    if settings.mode == "aws":
        yield Backend(clients(connect(settings)), ends_with_us=False)
        return
    with open_sandbox() as backend:
        yield backend


@contextmanager
def open_sandbox() -> Iterator[Backend]:
    """The sandbox, whatever the mode is."""
    from core.aws.connection import Connection, clients

    folder = Settings.from_environ(os.environ).sandbox_dir
    with _sandbox(folder) as (address, ours):
        connection = Connection(address.region, address.url, None, address.access_key, address.secret_key)
        yield Backend(clients(connection), ours)


@contextmanager
def connected() -> Iterator[Clients]:
    """Clients for AWS or for the sandbox."""
    with open_backend() as backend:
        yield backend.clients


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

    text = Text(f"{terminal(where)}: " if where else "", style="bold")
    text.append(terminal(what), style="bold red")
    text.append("".join(f"\n  {terminal(part)}" for part in parts if part), style="not bold")
    console().print(text, soft_wrap=True)


def print_table(title: str, rows: list[dict[str, str]]) -> None:
    """Rows with the same columns; no cell is cut short where a file or another program reads along."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not rows:
        write("There are none.")
        return
    table = Table(title=Text(terminal(title)))  # a bare string would be read as markup
    for name in rows[0]:
        table.add_column(Text(terminal(name if ":" in name else name.replace("_", " "))), overflow="fold")
    for row in rows:
        table.add_row(*(Text(terminal(cell)) for cell in row.values()))
    Console(soft_wrap=True, width=None if sys.stdout.isatty() else PIPE_WIDTH).print(table, markup=False)


def write(text: object = "") -> None:
    """Print one line on standard output. What others wrote in it is shown, and never acts: see `core.escaping`."""
    print(terminal(text))


def write_block(text: object) -> None:
    """Print a text of several lines, whose line breaks are our own, on standard output."""
    print(terminal_block(str(text)))


def write_log(lines: str) -> None:
    """Print lines of a log, each ended by a line break, on standard output."""
    print("".join(f"{log_line(line)}\n" for line in lines.removesuffix("\n").split("\n")), end="", flush=True)


def say(text: object) -> None:
    """Print one line on standard error."""
    _print(terminal(text))


def say_block(text: object) -> None:
    """Print a text of several lines, whose line breaks are our own, on standard error."""
    _print(terminal_block(str(text)))


def _print(text: str) -> None:
    """A bare string would be read for markup and the names of emoji."""
    from rich.text import Text

    console().print(Text(text), soft_wrap=True)


def status(text: str = "") -> Status:
    """Show a line with a spinner while something takes long; `status_text` makes the next one."""
    return console().status(status_text(text))


def status_text(text: str) -> Text:
    """Return what a `status` shows: not a string, which would be read as markup."""
    from rich.text import Text

    return Text(terminal(text))


def progress(*more: ProgressColumn) -> Progress:
    """Return a bar on standard error whose label is never read as markup, with more columns at its end."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, Task, TextColumn, TimeElapsedColumn
    from rich.text import Text

    class Label(TextColumn):
        def render(self, task: Task) -> Text:
            return Text(terminal(task.description))

    columns = Label(""), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    return Progress(*columns, *more, console=console(), redirect_stdout=False)


def console() -> Console:
    from rich.console import Console

    return Console(stderr=True)


def iso(at: datetime | None) -> str | None:
    """A time for JSON: ISO 8601, in UTC."""
    return None if at is None else at.astimezone(UTC).isoformat()


def print_json(**document: Any) -> None:
    """Print the one document of --json; numbers that are none become null."""
    print_document(document)


def print_document(document: Any, *, indent: int | None = 1) -> None:
    """Print a JSON document on standard output, exact and in ASCII."""
    print(json_text(document, indent=indent))
