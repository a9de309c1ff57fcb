"""What all commands share: the connection to AWS or the sandbox, errors, tables, progress bars and JSON.

Results go to standard output, everything else to standard error. Exit codes: 0 success, 1 failure, 2 wrong usage,
130 stopped with Ctrl-C.
"""

# ruff: noqa: PLC0415 - each function imports what it needs, so that --help is fast

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from subprocess import Popen, TimeoutExpired
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption
from typer.models import CommandFunctionType as CommandFunction

from commands.account import chosen_account, with_account
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
    from typer._click.core import Context, Parameter

    from core.aws.connection import Clients, Connection
    from sandbox.launcher import Address

FAILED, STOPPED = 1, 130
PIPE_WIDTH = 240

Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")]


TRANSIENT_ERRORS = (CutOffError, ThrottledError, TimedOutError, UnexpectedAnswerError, UnreachableError)
"""Errors that may not recur: a command that waits for something tries again after one of them."""

MAX_FAILURES = 10
"""How many calls in a row may fail before a command stops waiting."""


class Command(TyperCommand):
    """A command whose help shows a flag as `--json`: Typer shows `--json <bool>`, as if it took a value."""

    def get_params(self, ctx: Context) -> list[Parameter]:
        """Return the options and arguments, flags without the name of a type."""
        return _without_flag_types(super().get_params(ctx))


class _Group(TyperGroup):
    def get_params(self, ctx: Context) -> list[Parameter]:
        return _without_flag_types(super().get_params(ctx))


def _without_flag_types(params: list[Parameter]) -> list[Parameter]:
    for param in params:
        if isinstance(param, TyperOption) and param.is_flag and param.metavar is None:
            param.metavar = ""
    return params


class CommandGroup(typer.Typer):
    """A group of commands that shows their help when it is called without one."""

    def __init__(self, **options: Any) -> None:
        super().__init__(cls=_Group, no_args_is_help=True, **options)

    def command(
        self, name: str | None = None, *, account: bool = True, **options: Any
    ) -> Callable[[CommandFunction], CommandFunction]:
        """Return a decorator that adds a command.

        account: whether it uses an account, and has the options that choose one: see `commands.account`.
        """
        add = super().command(name, cls=Command, **options)

        def decorate(function: CommandFunction) -> CommandFunction:
            add(with_account(function) if account else function)
            return function

        return decorate


@dataclass(frozen=True, slots=True)
class Backend:
    """Clients for AWS or the sandbox.

    ends_with_us: whether it is a sandbox that was started for this command and stops with it.
    """

    clients: Clients
    ends_with_us: bool


@contextmanager
def open_backend() -> Iterator[Backend]:
    """Open AWS or the sandbox, depending on the mode in the settings, in the account that the options choose."""
    from core.aws.connection import clients

    settings = Settings.from_environ(os.environ)
    if settings.mode == "aws":
        yield Backend(clients(chosen_account().connection), ends_with_us=False)
        return
    chosen_account(sandbox_home())  # an invalid choice is reported before a sandbox is started
    with open_sandbox() as backend:
        connection = chosen_account(backend.clients.connection).connection
        yield Backend(clients(connection), backend.ends_with_us)


@contextmanager
def open_sandbox() -> Iterator[Backend]:
    """Open the sandbox in its home region, whatever the mode is."""
    from core.aws.connection import Connection, clients

    folder = Settings.from_environ(os.environ).sandbox_dir
    with _sandbox(folder) as (address, ours):
        connection = Connection(address.region, address.url, None, address.access_key, address.secret_key)
        yield Backend(clients(connection), ours)


def sandbox_home() -> Connection:
    """Return a connection to the sandbox's home region that can validate a choice, but not call anything."""
    from core.aws.connection import Connection
    from sandbox.common.limits import SandboxLocation

    return Connection(SandboxLocation().region, access_key="", secret_key="")


@contextmanager
def connected() -> Iterator[Clients]:
    """Yield clients for AWS or the sandbox, depending on the mode in the settings."""
    with open_backend() as backend:
        yield backend.clients


@contextmanager
def _sandbox(folder: Path) -> Iterator[tuple[Address, bool]]:
    """Yield the address of a sandbox and whether it was started for this call, which then also stops it."""
    from sandbox import launcher

    if launcher.running(folder) is None:
        say("Starting the sandbox … (`segdeck sandbox` keeps it running between commands.)")
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
    """Stop a sandbox and wait until it has exited: the next command could otherwise connect to it."""
    process.terminate()
    try:
        process.wait(30)
    except TimeoutExpired:
        process.kill()  # its model servers exit with it
        process.wait()


@contextmanager
def reporting(debug: bool) -> Iterator[None]:
    """Turn a CoreError and Ctrl-C into a message and an exit code instead of a traceback."""
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
    """Print an error: what happened in red, then one line for each part that is not empty."""
    from rich.text import Text

    text = Text(f"{terminal(where)}: " if where else "", style="bold")
    text.append(terminal(what), style="bold red")
    text.append("".join(f"\n  {terminal(part)}" for part in parts if part), style="not bold")
    console().print(text, soft_wrap=True)


def print_table(title: str, rows: list[dict[str, str]], *, empty: str = "") -> None:
    """Print rows with the same columns. A cell is never truncated: it wraps, and a pipe gets wide lines.

    empty: what to print without rows. Default: "No TITLE."
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not rows:
        write(empty or f"No {title[:1].lower()}{title[1:]}.")
        return
    table = Table(title=Text(terminal(title)))  # a plain string would be parsed as markup
    for name in rows[0]:
        table.add_column(Text(terminal(name if ":" in name else name.replace("_", " "))), overflow="fold")
    for row in rows:
        table.add_row(*(Text(terminal(cell)) for cell in row.values()))
    Console(soft_wrap=True, width=None if sys.stdout.isatty() else PIPE_WIDTH).print(table, markup=False)


def label(key: str, labels: Mapping[str, str]) -> str:
    """Return how people read a key of a JSON document: from `labels`, or with spaces for its underscores."""
    return labels.get(key, key.replace("_", " "))


def write(text: object = "") -> None:
    """Print one line on standard output, with control characters made visible: see `core.escaping`."""
    print(terminal(text))


def write_block(text: object) -> None:
    """Print a text on standard output, its own line breaks included."""
    print(terminal_block(str(text)))


def write_log(lines: str) -> None:
    """Print log lines, each ended by a line break, on standard output."""
    print("".join(f"{log_line(line)}\n" for line in lines.removesuffix("\n").split("\n")), end="", flush=True)


def say_log(lines: str) -> None:
    """Print log lines, each ended by a line break, on standard error."""
    print(
        "".join(f"{log_line(line)}\n" for line in lines.removesuffix("\n").split("\n")),
        end="",
        file=sys.stderr,
    )


def say(text: object) -> None:
    """Print one line on standard error."""
    _print(terminal(text))


def say_block(text: object) -> None:
    """Print a text on standard error, its own line breaks included."""
    _print(terminal_block(str(text)))


def _print(text: str) -> None:
    """Print on standard error. A plain string would be parsed for markup and the names of emoji."""
    from rich.text import Text

    console().print(Text(text), soft_wrap=True)


def status(text: str = "") -> Status:
    """Return a spinner with a line of text; update it with `status_text`."""
    return console().status(status_text(text))


def status_text(text: str) -> Text:
    """Return the text of a `status`: not a string, which would be parsed as markup."""
    from rich.text import Text

    return Text(terminal(text))


def progress(*more: ProgressColumn) -> Progress:
    """Return a progress bar on standard error whose label is not parsed as markup. more: columns to append."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, Task, TextColumn, TimeElapsedColumn
    from rich.text import Text

    class Label(TextColumn):
        def render(self, task: Task) -> Text:
            return Text(terminal(task.description))

    columns = Label(""), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    return Progress(*columns, *more, console=console(), redirect_stdout=False)


def console() -> Console:
    """Return a console on standard error."""
    from rich.console import Console

    return Console(stderr=True)


def iso(at: datetime | None) -> str | None:
    """Return a time for JSON: ISO 8601 in UTC, None unchanged."""
    return None if at is None else at.astimezone(UTC).isoformat()


def print_json(**document: Any) -> None:
    """Print the document of --json; NaN and infinity become null."""
    print_document(document)


def print_document(document: Any, *, indent: int | None = 1) -> None:
    """Print a JSON document on standard output, exact and in ASCII; NaN and infinity become null."""
    print(json_text(_without_nan(document), indent=indent))


def _without_nan(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _without_nan(part) for key, part in value.items()}
    return [_without_nan(part) for part in value] if isinstance(value, list | tuple) else value
