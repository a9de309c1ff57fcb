"""Where AWS answers for this dashboard: the real one, or a sandbox on this machine.

The pages may not know the sandbox. So `app.py` registers here how to bring it up, and the pages ask for the settings
and the connection, and to try again when nothing answers.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock

from core.aws.connection import Connection
from core.aws.execute import journal_in
from core.errors import UnreachableError
from core.imaging.pixel_budget import PIXELS
from core.plans.journal import Journal
from core.settings import Settings
from pages.parts import cached


@dataclass
class Backend:
    """What stands between the dashboard and its AWS. One a process, see `_backend`.

    start:      brings the sandbox up where it is not, and says where it is; None with AWS.
    connection: what `start` said last; None while it never succeeded.
    """

    start: Callable[[], Connection] | None = None
    connection: Connection | None = None
    lock: Lock = field(default_factory=Lock)


def _backend() -> Backend:
    """Return the one of this process."""
    return cached.singleton("backend", Backend)


def register(start: Callable[[], Connection]) -> None:
    """Say how the sandbox is brought up. It may raise CoreError."""
    _backend().start = start


def restart_sandbox() -> None:
    """Bring the sandbox up again if it is gone; does nothing with AWS. Raises what `start` raises."""
    backend = _backend()
    if backend.start is not None:
        with backend.lock:
            backend.connection = backend.start()


def settings() -> Settings:
    """The settings as they hold now, their memory for images in force. Raises SettingsError."""
    read = Settings.from_environ(os.environ)
    if PIXELS.limit != read.image_memory_bytes:
        PIXELS.limit = read.image_memory_bytes
    return read


def journal() -> Journal:
    """Where changes are written down before they begin. Raises SettingsError."""
    return journal_in(settings().journal_dir, "the dashboard")


def connection() -> Connection:
    """Where to, and as whom. Raises CoreError."""
    here = settings()
    if here.mode == "aws":
        return cached.connection(here)
    if (found := _backend().connection) is None:
        raise UnreachableError(
            "The sandbox on this machine is not up.",
            why=f"Its log, if it came so far, is {here.sandbox_dir / 'sandbox.log'}.",
            todo="Try again, or start the dashboard with SEGDECK_MODE=aws to use your AWS account.",
        )
    return found
