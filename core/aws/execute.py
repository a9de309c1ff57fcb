"""Carries out plans: the one place in Segdeck that changes anything on AWS.

A call whose reply is lost may have been done. So botocore never repeats these calls; instead we look at what is
there now, by the name that the plan gives, and repeat the call only where it was not done. That way a lost reply
never starts a second job, and "the name is taken" after a lost reply is success.

With a journal, a plan is on the disk before its first step, and each step before its call. After a kill the same plan
is carried out again: each step looks first, and what is done is not done again.

A plan was made from what was there then. So each step that could hit something else by now looks right before its
call: whether the thing is still the one that was meant (`ApiCall.only_if`), and whether something uses what is to be
deleted (`core.aws.in_use`). Finishing an interrupted change and cleaning up after it hold the lock of its file, and
decide what to do once they have it.
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
from core.aws.errors import required
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
    TakenError,
    ThrottledError,
    TimedOutError,
    UnexpectedAnswerError,
    UnreachableError,
)
from core.local_files import open_regular, reason
from core.plans.delete import clean_up, undone_step
from core.plans.journal import Entry, Journal, JournalRecord
from core.plans.plan import ApiCall, Plan, StepState

TRIES = 3
PAUSE = 0.5
WAIT_SECONDS = 1800.0
"""How long to wait for an endpoint: AWS takes minutes."""

WAIT_PAUSE, SANDBOX_PAUSE = 5.0, 0.2
"""Seconds between two looks at it."""

MAX_UNREADABLE = 10
"""Failed looks in a row after which waiting ends."""

AMBIGUOUS = (CutOffError, TimedOutError, UnexpectedAnswerError, UnreachableError)
"""After these it is unknown whether the call was carried out."""

REQUEST_TIMEOUT = 408
"""So it is after this status, which a proxy may give, and after all from 500 on."""

UNCLEAR = (
    "It may have been done all the same. Look at the list first; the same name never starts a second one."
)

LISTED = (
    "Free some space there. Then finish this change, or clean up: it is listed as unfinished on the endpoints page "
    "and by `segdeck endpoints unfinished`."
)

log = logging.getLogger("segdeck")

UPLOAD = ("s3", "PutObjects")
"""The one step of many calls. Each can be made again without harm, so it needs no look of ours."""

ThingState = Literal["done", "other", "absent"]
"""Of what a step changes: as the step makes it; otherwise, such as somebody else's of the same name; not there."""

State = StepState
OnStep = Callable[[int, ApiCall, State], None]
"""Called with the number of a step, from 0, before and after it, and when it begins to wait."""


@dataclass(frozen=True, slots=True)
class Done:
    """A step that was carried out.

    answer:    AWS's; empty where its reply was lost, or there was no call.
    recovered: whether the reply was lost, and a second look found the step done.
    already:   whether it was done before the plan came to it.
    kept:      why the thing was not deleted, such as "It is used by ..."; empty for any other step.
    """

    step: ApiCall
    answer: Mapping[str, Any] = field(default_factory=dict)
    recovered: bool = False
    already: bool = False
    kept: str = ""

    @property
    def state(self) -> State:
        if self.kept:
            return "kept"
        return "already" if self.already else "recovered" if self.recovered else "done"


@dataclass(frozen=True, slots=True)
class PlanOutcome:
    """A plan that was carried out to its end."""

    plan: Plan
    done: tuple[Done, ...]

    @property
    def recovered(self) -> bool:
        """Whether the reply to any step was lost on its way."""
        return any(done.recovered for done in self.done)

    @property
    def kept(self) -> tuple[str, ...]:
        """Sentences on each deletion that was left out."""
        return tuple(f"Skipped: {done.step.what} {done.kept}" for done in self.done if done.kept)


@dataclass(frozen=True, slots=True)
class CleaningRecord:
    """Keeps the clean-up of an interrupted change in the file of that change, under the lock of that file.

    A step whose work is removed counts as not begun again, so that a clean-up that is interrupted itself can be
    repeated, or the change be finished instead.
    """

    record: JournalRecord
    change: Plan
    cleaning: Plan

    def step(self, number: int, state: StepState | None, note: str = "") -> None:
        """Write what became of a step of the clean-up, and with it of the step that it undoes."""
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
    """Reports each step to whoever watches, and writes it into the journal."""

    on_step: OnStep | None
    record: JournalRecord | CleaningRecord | None
    on_progress: OnProgress | None = None

    def show(self, number: int, step: ApiCall, state: State) -> None:
        if self.on_step is not None:
            self.on_step(number, step, state)

    def write(self, number: int, state: State | None, note: str = "") -> None:
        """Raises JournalError."""
        if self.record is not None:
            self.record.step(number, state, note)

    def end(self, error: CoreError | None = None) -> None:
        """Raises JournalError."""
        if self.record is not None:
            self.record.end("failed" if error else "done", str(error or ""))

    def refused(self, number: int, error: CoreError) -> None:
        """Write that a step was begun and not carried out; where that cannot be written, the error says so."""
        with _noted(error):
            self.write(number, None)

    def failed(self, error: CoreError) -> None:
        """Write why a plan ended; where that cannot be written, the error says so."""
        with _noted(error):
            self.end(error)


@contextmanager
def _noted(error: CoreError) -> Iterator[None]:
    """Add to an error that the journal could not be written either: the error itself matters more."""
    try:
        yield
    except JournalError as unwritten:
        note = f"{unwritten.what} {unwritten.why}"
        if note not in error.why:
            error.why = f"{error.why} {note}".strip()


def journal_in(folder: Path, who: str = "") -> Journal:
    """The journal in a folder (`Settings.state_dir`), by this machine's clock."""
    return Journal(folder, lambda: datetime.now(UTC), who)


def execute(
    clients: Clients,
    plan: Plan,
    *,
    on_step: OnStep | None = None,
    on_progress: OnProgress | None = None,
    journal: Journal | None = None,
) -> PlanOutcome:
    """Carry out a plan, step by step. Raises InputError for a step unknown here, AwsError where one failed.

    on_progress: told how far an upload is; what it raises ends it.

    Steps before the failed one stay done; `on_step` has told of them, and the journal keeps them.
    """
    _known(plan)
    with ExitStack() as stack:
        record = None
        if journal is not None:
            identity, place = _here(clients)
            record = stack.enter_context(journal.begin(plan, identity=identity, place=place))
        return _run(clients, plan, ProgressReporter(on_step, record, on_progress), again=False)


def resume(clients: Clients, journal: Journal, entry: Entry, *, on_step: OnStep | None = None) -> PlanOutcome:
    """Carry out what is left of a cut plan: each step found done is "already", and is not done again.

    Raises InputError where another process is at it, or it was begun in another account; else as `execute`.
    """
    _known(entry.plan)
    check_account(clients, entry)
    with journal.again(entry) as record:
        return _run(clients, entry.plan, ProgressReporter(on_step, record), again=True)


def clean_up_interrupted(
    clients: Clients, journal: Journal, entry: Entry, shown: Plan, *, on_step: OnStep | None = None
) -> PlanOutcome:
    """Remove what an interrupted change has created, under the lock of its file.

    shown: the plan of `clean_up` that was agreed to. What to remove is decided once the lock is held: where that is
           something else by now, nothing is removed.

    Raises InputError where another process is at it or was, the change has gone on since, or it was begun in another
    account; else as `execute`.
    """
    check_account(clients, entry)
    with journal.again(entry) as record:
        now = record.entry or entry
        try:
            cleaning = _still_agreed(now, shown)
        except InputError:
            record.end(now.outcome, now.error)  # as it was: nobody did anything
            raise
        return _run(
            clients,
            cleaning,
            ProgressReporter(on_step, CleaningRecord(record, now.plan, cleaning)),
            again=False,
        )


def _still_agreed(now: Entry, shown: Plan) -> Plan:
    """Return the plan that cleans up. Raises InputError where it is not the one that was agreed to."""
    cleaning = clean_up(now.plan, now.states)
    if cleaning != shown:
        raise InputError(
            f"The change {now.plan.verb} {now.plan.target} has gone on since this plan was shown.",
            why="What it has created by now is not what the plan would remove.",
            todo="Nothing was removed. Look at the change again.",
        )
    return cleaning


def _here(clients: Clients) -> tuple[str, str]:
    """As whom we change things, and where: a name means nothing in another account or region."""
    caller, connection = whoami(clients), clients.connection
    sandbox = " of the sandbox" if connection.is_sandbox else ""
    return caller.arn, f"account {caller.account} in {connection.region}{sandbox}"


def check_account(clients: Clients, entry: Entry) -> None:
    """Raises InputError where a change was begun in another account: to be asked before its `clean_up` too."""
    _, place = _here(clients)
    if entry.place != place:
        raise InputError(
            f"The change {entry.plan.verb} {entry.plan.target} was begun in {entry.place}, and this is {place}.",
            todo="Go on there, or leave it.",
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
        raise InputError(f"The plan has a step that cannot be carried out: {unknown[0].operation}.")


def _run(clients: Clients, plan: Plan, reporter: ProgressReporter, *, again: bool) -> PlanOutcome:
    """An interrupt leaves the journal without an end, as a kill does."""
    done: list[Done] = []
    use = UseCheck(clients)
    for number, step in enumerate(plan.steps):
        reporter.show(number, step, "start")
        try:
            done.append(
                _wait(clients, number, step, reporter)
                if step.then
                else _do_step(use, number, step, reporter, again)
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


def _stopped(error: JournalError, plan: Plan, done: Sequence[Done]) -> JournalError:
    """Say of a plan that stopped because its journal cannot be written what is in place, and what is not begun."""
    in_place = " ".join(step.what for step in plan.steps[: len(done)]) or "nothing."
    left = " ".join(step.what for step in plan.steps[len(done) :]) or "nothing."
    changed = any(step.state in ("done", "recovered") for step in done)
    return JournalError(
        error.what,
        why=f"{error.why} Carried out before that: {in_place} Not begun: {left}",
        todo=LISTED if changed else error.todo,
    )


def _do_step(use: UseCheck, number: int, step: ApiCall, reporter: ProgressReporter, again: bool) -> Done:
    """Look where that is asked for, and before what would hit something else by now; then call."""
    clients = use.clients
    if (step.service, step.operation) == UPLOAD:
        reporter.write(number, "start")
        try:
            return Done(step, _upload(clients, step, reporter.on_progress))
        except CoreError as error:
            if not _unclear(error):
                reporter.refused(number, error)
            raise
    operation = OPERATIONS[step.service, step.operation]
    if (again or operation.first) and _state_of(clients, step) == "done":
        return Done(step, already=True)
    try:
        _check_same(clients, step, operation)
    except NotFoundError:
        if not operation.deletes:
            raise
        return Done(step, already=True)
    if kept := use.reason_to_keep(step):
        return Done(step, kept=kept)
    reporter.write(number, "start")
    try:
        return _tried(clients, step, operation)
    except CoreError as error:
        if not error.unclear:
            reporter.refused(number, error)
        raise


def _check_same(clients: Clients, step: ApiCall, operation: Operation) -> None:
    """Raises InputError where the thing is not the one that the plan was made for, NotFoundError where it is gone."""
    if not step.only_if or operation.read is None:
        return
    present = operation.read(clients, step.params)
    for key, wanted in step.only_if.items():
        value = present.get(key)
        value = value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value
        if not holds(value, wanted):
            raise InputError(
                f"This step was not carried out, since things have changed since it was planned: {step.what}",
                why=f"{key} is {value}; when it was planned, it was {wanted}.",
                todo="Look at it as it is now, and plan the change again; leave an interrupted one as it is.",
            )


def _upload(clients: Clients, step: ApiCall, on_progress: OnProgress | None) -> dict[str, Any]:
    order = UploadOrder.from_params(step.params)
    return upload(clients, order, clients.client_for_uploads.put_object, on_progress=on_progress)


def _tried(clients: Clients, step: ApiCall, operation: Operation) -> Done:
    """Try, and after a lost reply look before trying again.

    Once a reply was lost, whatever comes later leaves it unclear whether the call was carried out, for it may still
    be under way: until a look shows the thing made, or the name taken by something else.
    """
    lost = False
    state: ThingState = "absent"
    for number in range(1, TRIES + 1):
        try:
            return Done(step, _call(clients, step, operation))
        except CoreError as error:
            unclear = _unclear(error)
            lost = lost or unclear
            if operation.deletes and isinstance(error, NotFoundError):
                return Done(step, recovered=lost, already=not lost)
            taken = isinstance(error, TakenError)
            if lost or (taken and operation.first):
                state = _state_after(clients, step, error)
            if state == "done":
                return Done(step, recovered=True)
            if number == TRIES or not (unclear or isinstance(error, ThrottledError)):
                if lost and not (taken and state == "other"):
                    raise _as_unclear(error) from error
                raise
        time.sleep(PAUSE * number)
    raise AssertionError("the last try returns or raises")


def _unclear(error: CoreError) -> bool:
    """Whether the call may have been carried out, although it failed."""
    if isinstance(error, AMBIGUOUS):
        return True
    if not isinstance(error, AwsError) or isinstance(error, ThrottledError):
        return False
    unknown = type(error) is AwsError and not error.code  # an error of botocore's own, of whatever kind
    return unknown or error.http_status >= 500 or error.http_status == REQUEST_TIMEOUT


def _as_unclear(error: CoreError) -> CoreError:
    """Return the same error, which says that what was asked for may have been done."""
    unclear = copy.copy(error)
    unclear.todo, unclear.unclear = UNCLEAR, True
    return unclear


def _call(clients: Clients, step: ApiCall, operation: Operation) -> dict[str, Any]:
    doing = step.what[:1].lower() + step.what[1:].rstrip(".")
    with ExitStack() as files, clients.calling(doing):
        params = _with_body(step.params, files)
        answer: dict[str, Any] = getattr(
            clients.client_for_changes(step.service), xform_name(step.operation)
        )(**params)
    for key in operation.answers:
        required(answer, key, doing)
    return {key: value for key, value in answer.items() if key != "ResponseMetadata"}


def _with_body(params: Mapping[str, Any], files: ExitStack) -> dict[str, Any]:
    """The parameters with the file that they name as the body. Raises InputError where it is another one now."""
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
        raise InputError(
            f"The file {path} has changed since the plan was made.", todo="Make the plan once more."
        )
    return {**{key: value for key, value in params.items() if key != "Filename"}, "Body": file}


def _state_of(clients: Clients, step: ApiCall) -> ThingState:
    operation = OPERATIONS[step.service, step.operation]
    try:
        return "done" if operation.look(clients, step.params) else "other"
    except NotFoundError:
        return "done" if operation.deletes else "absent"
    except DeniedError:
        if not operation.denied_is_absent:
            raise
        return "absent"


def _state_after(clients: Clients, step: ApiCall, error: CoreError) -> ThingState:
    """Raises an error like the one that led here, where nothing can be seen."""
    try:
        return _state_of(clients, step)
    except AwsError as blind:
        raise _as_unclear(error) from blind


def _wait(clients: Clients, number: int, step: ApiCall, reporter: ProgressReporter) -> Done:
    """Until the endpoint is as the step says. Raises TimedOutError, AwsError where it went another way."""
    reporter.write(number, "waiting")
    reporter.show(number, step, "waiting")
    pause = SANDBOX_PAUSE if clients.connection.is_sandbox else WAIT_PAUSE
    until = time.monotonic() + WAIT_SECONDS
    blind = 0
    while True:
        try:
            if _arrived(clients, step):
                return Done(step)
            blind = 0
        except (*AMBIGUOUS, ThrottledError) as error:
            blind += 1
            if blind == MAX_UNREADABLE:
                raise
            log.warning("look %d of at most %d failed: %s", blind, MAX_UNREADABLE, error)
        if time.monotonic() > until:
            raise TimedOutError(
                f"The endpoint {step.params['EndpointName']} is still not there yet: {step.what}",
                why=f"It has taken {WAIT_SECONDS / 60:.0f} minutes.",
                todo="Look at it later, and finish then.",
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
            todo="Delete it once more.",
        )
    return step.then == "endpoint_settled" and status not in CHANGING
