"""Execute plans: the only module in Segdeck that changes anything on AWS.

A call whose response is lost may have succeeded. So botocore never retries these calls; instead the resource is read
by the name in the plan, and the call is repeated only if it had not succeeded. So a lost response never starts a
second job, and "the name is taken" after a lost response is success.

With a journal, a plan is on disk before its first step, and each step before its call. If the process dies, the same
plan is executed again: each step checks first, and completed steps are not repeated.

A plan may be outdated. So each step that could affect another resource checks right before its call whether the
resource is still the same (`ApiCall.only_if`), and whether something uses what it deletes (`core.aws.in_use`).
Finishing an interrupted change and cleaning up after it lock its file, and decide what to do under the lock.
"""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import file_digest
from pathlib import Path
from typing import Any, Literal

from botocore import xform_name

from core.aws.connection import Clients
from core.aws.errors import Todos, required
from core.aws.identity import whoami
from core.aws.in_use import UseCheck
from core.aws.operations import OPERATIONS, Operation, endpoint_now, holds
from core.aws.upload import OnProgress, upload
from core.datasets.upload_plan import UploadOrder
from core.endpoints.endpoint import CHANGING, FAILED, in_words
from core.errors import (
    AwsError,
    CoreError,
    CutOffError,
    DeniedError,
    InputError,
    JournalError,
    NotFoundError,
    RejectedError,
    TakenError,
    ThrottledError,
    TimedOutError,
    UnexpectedAnswerError,
    UnreachableError,
)
from core.local_files import open_regular, reason
from core.plans.delete import clean_up, undone_step
from core.plans.journal import Journal, JournalEntry, JournalRecord
from core.plans.plan import ApiCall, Plan, StepState

TRIES = 3
PAUSE = 0.5
WAIT_SECONDS = 1800.0
"""How long to wait for an endpoint, which takes AWS minutes."""

WAIT_PAUSE, SANDBOX_PAUSE = 5.0, 0.2
"""Seconds between two reads of it."""

MAX_UNREADABLE = 10
"""Consecutive failed reads after which waiting ends."""

AMBIGUOUS = (CutOffError, TimedOutError, UnexpectedAnswerError, UnreachableError)
"""After these it is unknown whether the call was carried out."""

REQUEST_TIMEOUT = 408
"""The same holds after this status, which a proxy may return, and after all from 500 up."""

UNCLEAR = "It may have succeeded. Check the list first; using the same name again never starts a second one."

LISTED = (
    "Free some disk space there. Then finish this change, or clean up: it is listed as unfinished on the Endpoints "
    "page and by `segdeck endpoints unfinished`."
)

log = logging.getLogger("segdeck")

UPLOAD = ("s3", "PutObjects")
"""The only step with many calls. They are idempotent, so it needs no check."""

ThingState = Literal["done", "other", "absent"]
"""Of the resource that a step changes: as the step makes it; different, such as another one of that name; missing."""

State = StepState
OnStep = Callable[[int, ApiCall, State], None]
"""Called with the number of a step, from 0, before and after it, and when it starts waiting."""


@dataclass(frozen=True, slots=True)
class CompletedStep:
    """A completed step.

    answer:    AWS's response; empty if it was lost, or there was no call.
    recovered: whether the response was lost, and a check showed that the step had succeeded.
    already:   whether it was done before the plan reached it.
    kept:      why the resource was not deleted, such as "It is used by ..."; empty for any other step.
    """

    step: ApiCall
    answer: Mapping[str, Any] = field(default_factory=dict)
    recovered: bool = False
    already: bool = False
    kept: str = ""

    @property
    def state(self) -> State:
        """Return the state to record."""
        if self.kept:
            return "kept"
        return "already" if self.already else "recovered" if self.recovered else "done"


@dataclass(frozen=True, slots=True)
class PlanOutcome:
    """A completed plan."""

    plan: Plan
    done: tuple[CompletedStep, ...]

    @property
    def recovered(self) -> bool:
        """Return whether the response to any step was lost."""
        return any(done.recovered for done in self.done)

    @property
    def kept(self) -> tuple[str, ...]:
        """Return a sentence for each deletion that was skipped."""
        return tuple(f"Skipped: {done.step.what} {done.kept}" for done in self.done if done.kept)


@dataclass(frozen=True, slots=True)
class CleaningRecord:
    """Records the clean-up of an interrupted change in that change's file, under its lock.

    A step whose work is removed counts as not started, so that an interrupted clean-up can be repeated, or the change
    can be finished instead.
    """

    record: JournalRecord
    change: Plan
    cleaning: Plan

    def step(self, number: int, state: StepState | None, note: str = "") -> None:
        """Write the state of a clean-up step, and of the step that it undoes."""
        more = {"note": note} if note else {}
        self.record.add("clean-up step", what=self.cleaning.steps[number].what, state=state, **more)
        undone = undone_step(self.change, self.cleaning.steps[number])
        if undone is not None and state in ("done", "recovered", "already"):
            self.record.step(undone, None)

    def end(self, outcome: Literal["done", "failed"], error: str = "") -> None:
        """Write how the clean-up ended."""
        self.record.end("cleaned up" if outcome == "done" else outcome, error)


@dataclass(frozen=True, slots=True)
class ProgressReporter:
    """Reports each step to a callback, and writes it to the journal."""

    on_step: OnStep | None
    record: JournalRecord | CleaningRecord | None
    on_progress: OnProgress | None = None

    def show(self, number: int, step: ApiCall, state: State) -> None:
        """Report a step's state."""
        if self.on_step is not None:
            self.on_step(number, step, state)

    def write(self, number: int, state: State | None, note: str = "") -> None:
        """Write a step's state. Raises JournalError."""
        if self.record is not None:
            self.record.step(number, state, note)

    def end(self, error: CoreError | None = None) -> None:
        """Write the end of the plan. Raises JournalError."""
        if self.record is not None:
            self.record.end("failed" if error else "done", str(error or ""))

    def refused(self, number: int, error: CoreError) -> None:
        """Write that a step was started but not done; if that cannot be written, the error says so."""
        with _noted(error):
            self.write(number, None)

    def failed(self, error: CoreError) -> None:
        """Write why a plan failed; if that cannot be written, the error says so."""
        with _noted(error):
            self.end(error)


@contextmanager
def _noted(error: CoreError) -> Iterator[None]:
    """Add to an error that the journal could not be written either; the error itself matters more."""
    try:
        yield
    except JournalError as unwritten:
        note = f"{unwritten.what} {unwritten.why}"
        if note not in error.why:
            error.why = f"{error.why} {note}".strip()


def journal_in(folder: Path, user: str = "") -> Journal:
    """Return the journal in a folder (`Settings.state_dir`), with this machine's clock."""
    return Journal(folder, lambda: datetime.now(UTC), user)


def execute(
    clients: Clients,
    plan: Plan,
    *,
    on_step: OnStep | None = None,
    on_progress: OnProgress | None = None,
    journal: Journal | None = None,
) -> PlanOutcome:
    """Execute a plan, step by step. Raises InputError for an unknown step, AwsError if one failed.

    on_progress: called with the progress of an upload; an exception from it cancels the upload.

    Steps before the failed one stay done; `on_step` has reported them, and the journal records them.
    """
    _known(plan)
    with ExitStack() as stack:
        record = None
        if journal is not None:
            identity, location = _caller_location(clients)
            record = stack.enter_context(journal.begin(plan, identity=identity, location=location))
        return _run(clients, plan, ProgressReporter(on_step, record, on_progress), resumed=False)


def resume(
    clients: Clients, journal: Journal, entry: JournalEntry, *, on_step: OnStep | None = None
) -> PlanOutcome:
    """Execute the rest of an interrupted plan: a step that is done already is not repeated.

    Raises InputError if another process is executing it, or it was started in another account; else as `execute`.
    """
    _known(entry.plan)
    check_account(clients, entry)
    with journal.reopen(entry) as record:
        return _run(clients, entry.plan, ProgressReporter(on_step, record), resumed=True)


def clean_up_interrupted(
    clients: Clients, journal: Journal, entry: JournalEntry, shown: Plan, *, on_step: OnStep | None = None
) -> PlanOutcome:
    """Remove what an interrupted change created, under the lock of its file.

    shown: the plan of `clean_up` that was confirmed. The removals are computed again under the lock: if they differ,
           nothing is removed.

    Raises InputError if another process is executing or has finished it, the change has progressed since, or it was
    started in another account; else as `execute`.
    """
    check_account(clients, entry)
    with journal.reopen(entry) as record:
        current = record.entry or entry
        try:
            cleaning = _confirmed_plan(current, shown)
        except InputError:
            record.end(current.outcome, current.error)  # unchanged: nothing was done
            raise
        return _run(
            clients,
            cleaning,
            ProgressReporter(on_step, CleaningRecord(record, current.plan, cleaning)),
            resumed=False,
        )


def _confirmed_plan(current: JournalEntry, shown: Plan) -> Plan:
    """Return the clean-up plan. Raises InputError if it is not the one that was confirmed."""
    cleaning = clean_up(current.plan, current.states)
    if cleaning != shown:
        raise InputError(
            f"The change {current.plan.verb} {current.plan.target} has progressed since this plan was shown.",
            why="What it has created since then differs from what the plan would remove.",
            todo="Nothing was removed. Review the change again.",
        )
    return cleaning


def _caller_location(clients: Clients) -> tuple[str, str]:
    """Return the caller's ARN, and the account and region: names are only valid within these."""
    caller, connection = whoami(clients), clients.connection
    sandbox = " of the sandbox" if connection.is_sandbox else ""
    return caller.arn, f"account {caller.account} in {connection.region}{sandbox}"


def check_account(clients: Clients, entry: JournalEntry) -> None:
    """Raise InputError if a change was started in another account; call it before its `clean_up` too."""
    _, location = _caller_location(clients)
    if entry.location != location:
        raise InputError(
            f"The change {entry.plan.verb} {entry.plan.target} was started in {entry.location}; this is {location}.",
            todo="Continue there, or dismiss it.",
        )


def _known(plan: Plan) -> None:
    unknown = [
        step
        for step in plan.steps
        if (
            step.operation != "DescribeEndpoint"
            if step.then
            else (step.service, step.operation) not in (*OPERATIONS, UPLOAD)
        )
    ]
    if unknown:
        raise InputError(f"The plan has an unsupported step: {unknown[0].operation}.")


def _run(clients: Clients, plan: Plan, reporter: ProgressReporter, *, resumed: bool) -> PlanOutcome:
    """Execute the steps; an interrupt leaves the journal without an end, as a dead process does."""
    done: list[CompletedStep] = []
    use = UseCheck(clients)
    for number, step in enumerate(plan.steps):
        reporter.show(number, step, "start")
        try:
            done.append(
                _wait(clients, number, step, reporter)
                if step.then
                else _do_step(use, number, step, reporter, resumed)
            )
            reporter.write(number, done[-1].state, done[-1].kept)
        except JournalError as error:
            raise _stopped(error, plan, done) from error
        except CoreError as error:
            reporter.failed(error)
            raise
        reporter.show(number, step, done[-1].state)
    try:
        reporter.end()
    except JournalError as error:
        raise _stopped(error, plan, done) from error
    return PlanOutcome(plan, tuple(done))


def _stopped(error: JournalError, plan: Plan, done: Sequence[CompletedStep]) -> JournalError:
    """Return the error of a plan that stopped because of its journal, with the completed and remaining steps."""
    completed = " ".join(step.what for step in plan.steps[: len(done)]) or "nothing."
    remaining = " ".join(step.what for step in plan.steps[len(done) :]) or "nothing."
    changed = any(step.state in ("done", "recovered") for step in done)
    return JournalError(
        error.what,
        why=f"{error.why} Completed before that: {completed} Not started: {remaining}",
        todo=LISTED if changed else error.todo,
    )


def _do_step(
    use: UseCheck, number: int, step: ApiCall, reporter: ProgressReporter, resumed: bool
) -> CompletedStep:
    """Check whether the step is done, and still applies to the same resource; then make the call."""
    clients = use.clients
    if (step.service, step.operation) == UPLOAD:
        reporter.write(number, "start")
        try:
            return CompletedStep(step, _upload(clients, step, reporter.on_progress))
        except CoreError as error:
            if not _unclear(error):
                reporter.refused(number, error)
            raise
    operation = OPERATIONS[step.service, step.operation]
    if (resumed or operation.first) and _state_of(clients, step) == "done":
        return CompletedStep(step, already=True)
    try:
        _check_same(clients, step, operation)
    except NotFoundError:
        if not operation.deletes:
            raise
        return CompletedStep(step, already=True)
    if kept := use.reason_to_keep(step):
        return CompletedStep(step, kept=kept)
    reporter.write(number, "start")
    try:
        return _tried(clients, step, operation)
    except CoreError as error:
        if not error.unclear:
            reporter.refused(number, error)
        raise


def _check_same(clients: Clients, step: ApiCall, operation: Operation) -> None:
    """Raise InputError if the resource is not the one that the plan is for, NotFoundError if it is deleted."""
    if not step.only_if or operation.read is None:
        return
    present = operation.read(clients, step.params)
    for key, wanted in step.only_if.items():
        value = present.get(key)
        value = value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value
        if not holds(value, wanted):
            raise InputError(
                f"This step was not executed, because the resource has changed since the plan was made: {step.what}",
                why=f"{key} is {value}; when the plan was made, it was {wanted}.",
                todo="Check its current state and plan the change again; dismiss an interrupted change.",
            )


def _upload(clients: Clients, step: ApiCall, on_progress: OnProgress | None) -> dict[str, Any]:
    order = UploadOrder.from_params(step.params)
    return upload(clients, order, clients.client_for_uploads.put_object, on_progress=on_progress)


def _tried(clients: Clients, step: ApiCall, operation: Operation) -> CompletedStep:
    """Make the call, and after a lost response check before another attempt.

    Once a response was lost, it stays unclear whether the call succeeded, because it may still be in progress: until
    a check shows the result, or that another resource has the name.
    """
    lost = False
    state: ThingState = "absent"
    for number in range(1, TRIES + 1):
        try:
            return CompletedStep(step, _call(clients, step, operation))
        except CoreError as error:
            unclear = _unclear(error)
            lost = lost or unclear
            if operation.deletes and isinstance(error, NotFoundError):
                return CompletedStep(step, recovered=lost, already=not lost)
            taken = isinstance(error, TakenError)
            if lost or (taken and operation.first):
                state = _state_after(clients, step, error)
            if state == "done":
                return CompletedStep(step, recovered=True)
            if number == TRIES or not (unclear or isinstance(error, ThrottledError)):
                if lost and not (taken and state == "other"):
                    raise _as_unclear(error) from error
                raise
        time.sleep(PAUSE * number)
    raise AssertionError("the last try returns or raises")


def _unclear(error: CoreError) -> bool:
    """Return whether the call may have succeeded although it failed."""
    if isinstance(error, AMBIGUOUS):
        return True
    if not isinstance(error, AwsError) or isinstance(error, ThrottledError):
        return False
    unknown = type(error) is AwsError and not error.code  # one of botocore's own errors
    return unknown or error.http_status >= 500 or error.http_status == REQUEST_TIMEOUT


def _as_unclear(error: CoreError) -> CoreError:
    """Return the same error with a note that the call may have succeeded."""
    unclear = copy.copy(error)
    unclear.todo, unclear.unclear = UNCLEAR, True
    return unclear


def _call(clients: Clients, step: ApiCall, operation: Operation) -> dict[str, Any]:
    doing = step.what[:1].lower() + step.what[1:].rstrip(".")
    todos: Todos = {RejectedError: "Correct the problem above, then try again."}
    with ExitStack() as files, clients.calling(doing, todos=todos):
        params = _with_body(step.params, files)
        answer: dict[str, Any] = getattr(
            clients.client_for_changes(step.service), xform_name(step.operation)
        )(**params)
    for key in operation.answers:
        required(answer, key, doing)
    return {key: value for key, value in answer.items() if key != "ResponseMetadata"}


def _with_body(params: Mapping[str, Any], files: ExitStack) -> dict[str, Any]:
    """Return the parameters with the named file as the body. Raises InputError if the file has changed."""
    if "Filename" not in params:
        return dict(params)
    path = Path(params["Filename"])
    try:
        file = files.enter_context(open_regular(path))
        digest = file_digest(file, "sha256").hexdigest()
        file.seek(0)
    except OSError as error:
        raise InputError(f"The file {path} cannot be read.", why=reason(error)) from error
    if digest != params["Metadata"]["sha256"]:
        raise InputError(f"The file {path} has changed since the plan was made.", todo="Make the plan again.")
    return {**{key: value for key, value in params.items() if key != "Filename"}, "Body": file}


def _state_of(clients: Clients, step: ApiCall) -> ThingState:
    operation = OPERATIONS[step.service, step.operation]
    try:
        return "done" if operation.is_done(clients, step.params) else "other"
    except NotFoundError:
        return "done" if operation.deletes else "absent"
    except DeniedError:
        if not operation.denied_is_absent:
            raise
        return "absent"


def _state_after(clients: Clients, step: ApiCall, error: CoreError) -> ThingState:
    """Return the state after a failed call. Raises the call's error as unclear if the state cannot be read."""
    try:
        return _state_of(clients, step)
    except AwsError as unreadable:
        raise _as_unclear(error) from unreadable


def _wait(clients: Clients, number: int, step: ApiCall, reporter: ProgressReporter) -> CompletedStep:
    """Wait until the endpoint has the expected state. Raises TimedOutError; AwsError if it cannot get there."""
    reporter.write(number, "waiting")
    reporter.show(number, step, "waiting")
    pause = SANDBOX_PAUSE if clients.connection.is_sandbox else WAIT_PAUSE
    until = time.monotonic() + WAIT_SECONDS
    failures = 0
    while True:
        try:
            if _arrived(clients, step):
                return CompletedStep(step)
            failures = 0
        except (*AMBIGUOUS, ThrottledError) as error:
            failures += 1
            if failures == MAX_UNREADABLE:
                raise
            log.warning("read %d of at most %d failed: %s", failures, MAX_UNREADABLE, error)
        if time.monotonic() > until:
            raise TimedOutError(
                f"The endpoint {step.params['EndpointName']} did not finish in time: {step.what}",
                why=f"Segdeck waited {WAIT_SECONDS / 60:.0f} minutes.",
                todo="Check it later, and finish the change then.",
            )
        time.sleep(pause)


def _arrived(clients: Clients, step: ApiCall) -> bool:
    try:
        endpoint = endpoint_now(clients, step.params)
    except NotFoundError:
        return True
    status = endpoint["EndpointStatus"]
    if step.then == "endpoint_deleted" and status in FAILED:
        raise AwsError(
            f"The endpoint {step.params['EndpointName']} was not deleted: it is {in_words(status)}.",
            why=endpoint.get("FailureReason", ""),
            todo="Delete it again.",
        )
    return step.then == "endpoint_settled" and status not in CHANGING
