"""The stored runs of this dashboard, and the thread that writes them.

Pages and background tasks never wait for the disk: what is to be stored is handed to one thread, in order. If the
disk does not take it, the pages say so.
"""

from __future__ import annotations

import getpass
from collections.abc import Callable
from queue import SimpleQueue
from threading import Event, Thread

import streamlit as st

from core.aws.connection import Connection
from core.aws.identity import Caller
from core.errors import CoreError
from core.runs.store import RunStore
from core.settings import Settings
from pages.parts import backend, cached, formatting, messages
from pages.parts.state import UrlParam

RUN = UrlParam("run")
"""The URL parameter that names a run."""


class Recorder:
    """Writes to the store in a thread of its own, in order. It does not keep a process that ends from ending.

    problem: why the last write failed; None after one that succeeded.
    """

    def __init__(self) -> None:
        self.problem: CoreError | None = None
        self._jobs: SimpleQueue[Callable[[], object] | Event] = SimpleQueue()
        Thread(target=self._work, daemon=True, name="recorder").start()

    def submit(self, job: Callable[[], object]) -> None:
        """Run this after all that was submitted before. Any thread may call it."""
        self._jobs.put_nowait(job)

    def wait(self, seconds: float) -> bool:
        """Wait until all that was submitted so far is written, at most so many seconds; return whether it is."""
        written = Event()
        self._jobs.put_nowait(written)
        return written.wait(seconds)

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            if isinstance(job, Event):
                job.set()
            else:
                self._run(job)

    def report(self, error: CoreError) -> None:
        """Note why something was not stored: the pages show it, until a later write succeeds."""
        self.problem = error
        messages.log.warning("A run could not be stored: %s", error)

    def _run(self, job: Callable[[], object]) -> None:
        try:
            job()
        except CoreError as error:
            self.report(error)
        except Exception as error:  # noqa: BLE001  # logged with its traceback; the results themselves are complete
            number = messages.note(error)
            self.problem = CoreError(
                "A run could not be stored.", why=f"The dashboard's log has the details under {number}."
            )
        else:
            self.problem = None


def recorder() -> Recorder:
    """Return the recorder of this process."""
    return cached.singleton("recorder", Recorder)


def store() -> RunStore | None:
    """Return the store of this session's account; None if the settings store no runs. Raises CoreError."""
    limit = backend.settings().results_bytes
    if not limit:
        return None
    folder = backend.runs_dir()
    return cached.singleton(f"runs {folder} {limit}", lambda: RunStore(folder, limit, formatting.now))


def location_id(settings: Settings, connection: Connection) -> str:
    """Return the identity of this account or sandbox and its region, for keys of cached responses."""
    if connection.is_sandbox:
        return f"{settings.sandbox_dir} {connection.region}"
    return f"{connection.aws_url} {connection.profile} {connection.origin}"


def location_name(connection: Connection) -> str:
    """Return the account or sandbox and the region in words."""
    caller = cached.caller(connection)
    account = (
        f", account {caller.account}" if isinstance(caller, Caller) and not connection.is_sandbox else ""
    )
    name = "Sandbox" if connection.is_sandbox else "AWS"
    return f"{name} ({connection.region}{account})"


def user(connection: Connection) -> str:
    """Return who starts a run: in AWS the caller's ARN, in the sandbox the user of this machine; "" if unknown."""
    if not connection.is_sandbox:
        caller = cached.caller(connection)
        return caller.arn if isinstance(caller, Caller) else ""
    try:
        return getpass.getuser()
    except (ImportError, KeyError, OSError):  # a user without a name, as in some containers
        return ""


def show_problem() -> None:
    """Draw why runs are not stored at the moment, if so."""
    if (problem := recorder().problem) is not None:
        st.warning(f"**These results are not stored.** {messages.line(problem)}", icon=":material/cloud_off:")
