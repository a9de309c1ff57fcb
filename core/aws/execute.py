"""Carries out plans: the one place in Segdeck that changes anything on AWS.

A call whose reply is lost may have been done. So botocore never repeats these calls; instead we look at what is
there now, by the name that the plan gives, and repeat the call only where it was not done. That way a lost reply
never starts a second job, and "the name is taken" after a lost reply is success.

With a journal, a plan is on the disk before its first step, and each step before its call. After a kill the same plan
is carried out again: each step looks first, and what is done is not done again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import file_digest
from pathlib import Path
from typing import Any

from botocore import xform_name

from core.aws.connection import Clients
from core.aws.errors import required
from core.aws.identity import whoami
from core.aws.operations import OPERATIONS, Operation, endpoint_now
from core.aws.upload import OnProgress, upload
from core.datasets.transfer import UploadOrder
from core.endpoints import CHANGING, FAILED, in_words
from core.errors import (
    AwsError,
    CoreError,
    CutOffError,
    InputError,
    NotFoundError,
    TakenError,
    ThrottledError,
    TimedOutError,
    UnexpectedAnswerError,
    UnreachableError,
)
from core.journal import Entry, Journal, Record
from core.plans import ApiCall, Plan, StepState

TRIES = 3
PAUSE = 0.5
WAIT_SECONDS = 1800.0
"""How long to wait for an endpoint: AWS takes minutes."""

WAIT_PAUSE, SANDBOX_PAUSE = 5.0, 0.2
"""Seconds between two looks at it."""

AMBIGUOUS = (CutOffError, TimedOutError, UnexpectedAnswerError, UnreachableError)
"""After these nobody knows whether the call was done; nor after an error of the service's own, of status 5xx."""

TROUBLE = ("InternalFailure", "InternalServerError", "ServiceUnavailable", "500", "502", "503", "504")

UNCLEAR = (
    "It may have been done all the same. Look at the list first; the same name never starts a second one."
)

UPLOAD = ("s3", "PutObjects")
"""The one step of many calls. Each can be made again without harm, so it needs no look of ours."""

State = StepState
OnStep = Callable[[int, ApiCall, State], None]
"""Called with the number of a step, from 0, before and after it, and when it begins to wait."""


@dataclass(frozen=True, slots=True)
class Done:
    """A step that was carried out.

    answer:    AWS's; empty where its reply was lost, or there was no call.
    recovered: whether the reply was lost, and a second look found the step done.
    already:   whether it was done before the plan came to it.
    """

    step: ApiCall
    answer: Mapping[str, Any] = field(default_factory=dict)
    recovered: bool = False
    already: bool = False

    @property
    def state(self) -> State:
        return "already" if self.already else "recovered" if self.recovered else "done"


@dataclass(frozen=True, slots=True)
class Outcome:
    """A plan that was carried out to its end."""

    plan: Plan
    done: tuple[Done, ...]

    @property
    def recovered(self) -> bool:
        """Whether the reply to any step was lost on its way."""
        return any(done.recovered for done in self.done)


@dataclass(frozen=True, slots=True)
class Teller:
    """Who is told of the steps: somebody who watches, and the journal."""

    on_step: OnStep | None
    record: Record | None
    on_progress: OnProgress | None = None

    def show(self, number: int, step: ApiCall, state: State) -> None:
        if self.on_step is not None:
            self.on_step(number, step, state)

    def write(self, number: int, state: State | None) -> None:
        if self.record is not None:
            self.record.step(number, state)

    def end(self, error: CoreError | None = None) -> None:
        if self.record is not None:
            self.record.end("failed" if error else "done", str(error or ""))


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
) -> Outcome:
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
        return _run(clients, plan, Teller(on_step, record, on_progress), again=False)


def resume(clients: Clients, journal: Journal, entry: Entry, *, on_step: OnStep | None = None) -> Outcome:
    """Carry out what is left of a cut plan: each step found done is "already", and is not done again.

    Raises InputError where another process is at it, or it was begun in another account; else as `execute`.
    """
    _known(entry.plan)
    _, place = _here(clients)
    if entry.place != place:
        raise InputError(
            f"The change {entry.plan.verb} {entry.plan.target} was begun in {entry.place}, and this is {place}.",
            todo="Go on there, or leave it.",
        )
    with journal.again(entry) as record:
        return _run(clients, entry.plan, Teller(on_step, record), again=True)


def _here(clients: Clients) -> tuple[str, str]:
    """As whom we change things, and where: a name means nothing in another account or region."""
    caller, connection = whoami(clients), clients.connection
    sandbox = " of the sandbox" if connection.is_sandbox else ""
    return caller.arn, f"account {caller.account} in {connection.region}{sandbox}"


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


def _run(clients: Clients, plan: Plan, teller: Teller, *, again: bool) -> Outcome:
    """An interrupt leaves the journal without an end, as a kill does."""
    done = []
    for number, step in enumerate(plan.steps):
        teller.show(number, step, "start")
        try:
            done.append(
                _wait(clients, number, step, teller)
                if step.then
                else _do(clients, number, step, teller, again)
            )
        except CoreError as error:
            if not step.then and not _unclear(error):
                teller.write(number, None)
            teller.end(error)
            raise
        teller.write(number, done[-1].state)
        teller.show(number, step, done[-1].state)
    teller.end()
    return Outcome(plan, tuple(done))


def _do(clients: Clients, number: int, step: ApiCall, teller: Teller, again: bool) -> Done:
    """Look where that is asked for, then call."""
    if (step.service, step.operation) == UPLOAD:
        teller.write(number, "start")
        return Done(step, _upload(clients, step, teller.on_progress))
    operation = OPERATIONS[step.service, step.operation]
    if (again or operation.first) and _looks_done(clients, step):
        return Done(step, already=True)
    teller.write(number, "start")
    return _tried(clients, step, operation)


def _upload(clients: Clients, step: ApiCall, on_progress: OnProgress | None) -> dict[str, Any]:
    order = UploadOrder.from_params(step.params)
    return upload(clients, order, clients.client_for_uploads.put_object, on_progress=on_progress)


def _tried(clients: Clients, step: ApiCall, operation: Operation) -> Done:
    """Try, and after a lost reply look before trying again."""
    lost = False
    for number in range(1, TRIES + 1):
        try:
            return Done(step, _call(clients, step, operation))
        except AwsError as error:
            unclear = _unclear(error)
            lost = lost or unclear
            if operation.deletes and isinstance(error, NotFoundError):
                return Done(step, recovered=lost, already=not lost)
            taken = isinstance(error, TakenError) and (lost or operation.first)
            if (taken or unclear) and _is_done(clients, step, error):
                return Done(step, recovered=True)
            if number == TRIES or not (unclear or isinstance(error, ThrottledError)):
                raise
        time.sleep(PAUSE * number)
    raise AssertionError("the last try returns or raises")


def _unclear(error: CoreError) -> bool:
    return isinstance(error, AMBIGUOUS) or (isinstance(error, AwsError) and error.code in TROUBLE)


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
        file = files.enter_context(path.open("rb"))
        found = file_digest(file, "sha256").hexdigest()
        file.seek(0)
    except OSError as error:
        raise InputError(f"The file {path} cannot be read.", why=f"{error.strerror}.") from error
    if found != params["Metadata"]["sha256"]:
        raise InputError(
            f"The file {path} has changed since the plan was made.", todo="Make the plan once more."
        )
    return {**{key: value for key, value in params.items() if key != "Filename"}, "Body": file}


def _looks_done(clients: Clients, step: ApiCall) -> bool:
    operation = OPERATIONS[step.service, step.operation]
    try:
        return operation.look(clients, step.params)
    except NotFoundError:
        return operation.deletes


def _is_done(clients: Clients, step: ApiCall, error: AwsError) -> bool:
    """Raises an error like the one that led here, where nothing can be seen."""
    try:
        return _looks_done(clients, step)
    except AwsError as blind:
        raise type(error)(
            error.what, why=error.why, todo=UNCLEAR, code=error.code, request_id=error.request_id
        ) from blind


def _wait(clients: Clients, number: int, step: ApiCall, teller: Teller) -> Done:
    """Until the endpoint is as the step says. Raises TimedOutError, AwsError where it went another way."""
    teller.write(number, "waiting")
    teller.show(number, step, "waiting")
    pause = SANDBOX_PAUSE if clients.connection.is_sandbox else WAIT_PAUSE
    until = time.monotonic() + WAIT_SECONDS
    while not _arrived(clients, step):
        if time.monotonic() > until:
            raise TimedOutError(
                f"The endpoint {step.params['EndpointName']} is still not there yet: {step.what}",
                why=f"It has taken {WAIT_SECONDS / 60:.0f} minutes.",
                todo="Look at it later, and finish then.",
            )
        time.sleep(pause)
    return Done(step)


def _arrived(clients: Clients, step: ApiCall) -> bool:
    try:
        found = endpoint_now(clients, step.params)
    except NotFoundError:
        return True
    status = found.get("EndpointStatus", "")
    if step.then == "endpoint_deleted" and status in FAILED:
        raise AwsError(
            f"The endpoint {step.params['EndpointName']} was not deleted: it is {in_words(status)}.",
            why=found.get("FailureReason", ""),
            todo="Delete it once more.",
        )
    return step.then == "endpoint_settled" and status not in CHANGING
