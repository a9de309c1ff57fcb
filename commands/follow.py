"""Follow a job's log until the job has ended, like `tail -f`."""

# ruff: noqa: PLC0415 - each function imports what it needs, so that --help is fast

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import typer

from commands.common import (
    FAILED,
    MAX_FAILURES,
    STOPPED,
    TRANSIENT_ERRORS,
    Backend,
    iso,
    print_document,
    say,
    say_log,
    write_log,
)
from core.errors import AwsError

if TYPE_CHECKING:
    from core.aws.connection import Clients
    from core.aws.logs import LogToken
    from core.training.job import TrainingJob
    from core.training.log_lines import LogEvent

POLL_SECONDS = 2.0
FIRST_SECONDS = 5.0
"""Before the first successful read, an error after this time ends the command: the user is waiting.

Or after the time limit of a call (SEGDECK_AWS_SECONDS), where that is shorter.
"""

LAST_READS = 2
"""How many reads after the job's end must find no new lines: CloudWatch shows the last ones with a delay."""


def follow_to_end(backend: Backend, name: str, *, lines: int, as_json: bool = False) -> None:
    """Print a job's log until the job has ended. Raises Exit: 1 where it failed, 130 for Ctrl-C."""
    if follow_job(backend, name, lines=lines, as_json=as_json).status == "Failed":
        raise typer.Exit(FAILED)


def follow_job(
    backend: Backend, name: str, *, lines: int, as_json: bool = False, on_stderr: bool = False
) -> TrainingJob:
    """Print a job's log until the job has ended, and return the job. Raises Exit: 130 for Ctrl-C.

    on_stderr: print the log on standard error, where standard output is for a document.
    """
    from core.training.job import status_in_words

    try:
        job = _Follower(backend.clients, name, lines, as_json, on_stderr).run()
    except KeyboardInterrupt:
        say(
            f"The sandbox was started for this command and stops now, and the job {name} with it."
            if backend.ends_with_us
            else f"The job {name} is still running. To stop it: segdeck jobs stop {name}"
        )
        raise typer.Exit(STOPPED) from None
    reason = f" {job.failure_reason}" if job.failure_reason else ""
    say(f"The job {name} is {status_in_words(job)}.{reason}")
    return job


def print_events(events: Iterable[LogEvent], as_json: bool, *, on_stderr: bool = False) -> None:
    """Print log events, one line or one JSON document each; on standard error always as lines."""
    from core.training.log_lines import as_text

    for event in events:
        if on_stderr:
            say_log(as_text([event]))
        elif as_json:
            row = {"at": iso(event.at), "message": event.message, "stream": event.stream}
            print_document(row, indent=None)
        else:
            write_log(as_text([event]))


@dataclass(slots=True)
class _Follower:
    """The position in a job's log."""

    clients: Clients
    name: str
    lines: int
    as_json: bool
    on_stderr: bool = False
    token: LogToken | None = None
    reported: str = ""
    failed: int = 0
    began: float = field(default_factory=time.monotonic)
    reached: bool = False

    def run(self) -> TrainingJob:
        """Return the job once it has ended and its log has no new lines. Raises AwsError."""
        quiet = 0
        job = None
        while True:
            try:
                job = job if job is not None and not job.running else self._job()
                new = self._lines(job)
            except TRANSIENT_ERRORS as error:
                self._count_failure(error)
            else:
                self.failed, self.reached = 0, True
                quiet = 0 if new or job.running else quiet + 1
                if quiet >= LAST_READS:
                    return job
            time.sleep(POLL_SECONDS)

    def _job(self) -> TrainingJob:
        from core.aws.training import describe_job
        from core.training.job import status_in_words

        job = describe_job(self.clients, self.name)
        if self.reported != job.secondary_status and job.running:
            self.reported = job.secondary_status
            say(f"The job {self.name} is {status_in_words(job)}.")
        return job

    def _lines(self, job: TrainingJob) -> int:
        """Print new lines and return their number."""
        from core.aws.logs import LogToken, log_streams, tail

        page = tail(
            self.clients, self.name, token=self.token, limit=self.lines if self.token is None else 10_000
        )
        print_events(page.events, self.as_json, on_stderr=self.on_stderr)
        self.token = page.next_token
        if not page.events and self.token is not None and job.spot:
            newest = log_streams(self.clients, self.name)[
                -1
            ]  # the instance that replaces an interrupted one has its own log
            if newest != self.token.stream:
                self.token = LogToken(newest, "")
                return 1
        return len(page.events)

    def _count_failure(self, error: AwsError) -> None:
        patience = min(FIRST_SECONDS, self.clients.connection.seconds)
        too_long = not self.reached and time.monotonic() - self.began > patience
        if too_long or self.failed + 1 >= MAX_FAILURES:
            raise error
        if self.failed == 0:
            say(f"{error} Trying again.")
        self.failed += 1
