"""The backend of this dashboard: AWS, or a sandbox on this machine.

The pages must not import the sandbox. So `app.py` registers here how to start it; the pages get the settings and the
connection from here, and can restart the sandbox when it does not respond.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from core.accounts import AccountChoice
from core.aws.accounts import ChosenAccount
from core.aws.connection import Connection
from core.aws.execute import journal_in
from core.errors import UnreachableError
from core.imaging.pixel_budget import PIXELS
from core.plans.journal import Journal
from core.settings import Settings
from pages.parts import account, cached


@dataclass
class Backend:
    """The state of the backend. One per process, see `_backend`.

    start:      starts the sandbox if it is not running, and returns its connection; None with AWS.
    connection: what `start` last returned; None if it never succeeded.
    """

    start: Callable[[], Connection] | None = None
    connection: Connection | None = None
    lock: Lock = field(default_factory=Lock)


def _backend() -> Backend:
    """Return the backend of this process."""
    return cached.singleton("backend", Backend)


def register(start: Callable[[], Connection]) -> None:
    """Register the function that starts the sandbox. It may raise CoreError."""
    _backend().start = start


def restart_sandbox() -> None:
    """Start the sandbox again if it is down; do nothing with AWS. Raises what `start` raises."""
    backend = _backend()
    if backend.start is not None:
        with backend.lock:
            backend.connection = backend.start()


def settings() -> Settings:
    """Return the current settings, and apply their image memory limit. Raises SettingsError."""
    current = Settings.from_environ(os.environ)
    if PIXELS.limit != current.image_memory_bytes:
        PIXELS.limit = current.image_memory_bytes
    return current


def journal() -> Journal:
    """Return the journal of this session's account, which records changes before they start. Raises CoreError."""
    return journal_in(settings().journal_dir_of(_choice()), "the dashboard")


def datasets_dir() -> Path:
    """Return the folder of the list of datasets of this session's account. Raises CoreError."""
    return settings().datasets_dir_of(_choice())


def journal_dir() -> Path:
    """Return the folder of the change journal of this session's account. Raises CoreError."""
    return settings().journal_dir_of(_choice())


def runs_dir() -> Path:
    """Return the folder of the stored runs of this session's account. Raises CoreError."""
    return settings().runs_dir_of(_choice())


def _choice() -> AccountChoice:
    """Return the account and region of this session. Raises CoreError."""
    choice = account.choice()
    return choice if choice == AccountChoice() else chosen().choice  # the default one needs no connection


def connection() -> Connection:
    """Return the connection to AWS or the sandbox, in the account and region of this session. Raises CoreError."""
    return chosen().connection


def chosen(choice: AccountChoice | None = None) -> ChosenAccount:
    """Return the account and region of a choice, with its connection. Raises CoreError.

    choice: None: that of this session.
    """
    current = settings()
    sandbox = None if current.mode == "aws" else _sandbox(current)
    return cached.account(current, account.choice() if choice is None else choice, sandbox)


def _sandbox(current: Settings) -> Connection:
    """Return the connection to the sandbox. Raises UnreachableError."""
    if (sandbox := _backend().connection) is None:
        raise UnreachableError(
            "The sandbox on this machine is not running.",
            why=f"If a log was written, it is at {current.sandbox_dir / 'sandbox.log'}.",
            todo="Try again, or start the dashboard with SEGDECK_MODE=aws to use your AWS account.",
        )
    return sandbox
