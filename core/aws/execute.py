"""Carries out plans: the one place in Segdeck that changes anything on AWS.

A call whose reply is lost may have been done. So botocore never repeats these calls; instead we look at what is
there now, by the name that the plan gives, and repeat the call only where it was not done. That way a lost reply
never starts a second job, and "the name is taken" after a lost reply is success.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from botocore import xform_name

from core.aws.connection import Clients
from core.aws.errors import required
from core.aws.upload import OnProgress, upload
from core.datasets.transfer import UploadOrder
from core.errors import (
    AwsError,
    CutOffError,
    InputError,
    NotFoundError,
    ThrottledError,
    TimedOutError,
    UnexpectedAnswerError,
    UnreachableError,
)
from core.plans import ApiCall, Plan

TRIES = 3
PAUSE = 0.5
IN_USE = ("ResourceInUse", "ResourceInUseException")

AMBIGUOUS = (CutOffError, TimedOutError, UnexpectedAnswerError, UnreachableError)
"""After these nobody knows whether the call was done; nor after an error of the service's own, of status 5xx."""

TROUBLE = ("InternalFailure", "InternalServerError", "ServiceUnavailable", "500", "502", "503", "504")

UNCLEAR = (
    "It may have been done all the same. Look at the list first; the same name never starts a second one."
)

State = Literal["start", "done", "recovered"]
OnStep = Callable[[int, ApiCall, State], None]
"""Called with the number of a step, from 0, before and after it."""


@dataclass(frozen=True, slots=True)
class Done:
    """A step that was carried out.

    answer:    AWS's; empty where its reply was lost.
    recovered: whether the reply was lost, and a second look found the step done.
    """

    step: ApiCall
    answer: Mapping[str, Any]
    recovered: bool


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
class Operation:
    """What is known of a call that changes something.

    look:    sees whether it was done, by its parameters. Raises NotFoundError where the thing is not there at all.
    answers: what its answer must hold; without that, the answer was cut.
    run:     does many calls in place of one, each of which can be made again without harm; there is no look then.
    """

    look: Callable[[Clients, Mapping[str, Any]], bool] | None
    answers: tuple[str, ...] = ()
    run: Callable[[Clients, Mapping[str, Any], OnProgress | None], dict[str, Any]] | None = None


def execute(
    clients: Clients, plan: Plan, *, on_step: OnStep | None = None, on_progress: OnProgress | None = None
) -> Outcome:
    """Carry out a plan, step by step. Raises InputError for a step unknown here, AwsError where one failed.

    on_progress: told how far an upload is.

    Steps before the failed one stay done; `on_step` has told of them.
    """
    unknown = [step for step in plan.steps if (step.service, step.operation) not in OPERATIONS]
    if unknown:
        raise InputError(f"The plan has a step that cannot be carried out: {unknown[0].operation}.")
    done = []
    for number, step in enumerate(plan.steps):
        _tell(on_step, number, step, "start")
        done.append(_step(clients, step, on_progress))
        _tell(on_step, number, step, "recovered" if done[-1].recovered else "done")
    return Outcome(plan, tuple(done))


def _tell(on_step: OnStep | None, number: int, step: ApiCall, state: State) -> None:
    if on_step is not None:
        on_step(number, step, state)


def _step(clients: Clients, step: ApiCall, on_progress: OnProgress | None) -> Done:
    """Try, and after a lost reply look before trying again."""
    run = OPERATIONS[step.service, step.operation].run
    if run is not None:
        return Done(step, run(clients, step.params, on_progress), recovered=False)
    lost = False
    for number in range(1, TRIES + 1):
        try:
            return Done(step, _call(clients, step), recovered=False)
        except AwsError as error:
            unclear = isinstance(error, AMBIGUOUS) or error.code in TROUBLE
            lost = lost or unclear
            if lost and (unclear or error.code in IN_USE) and _is_done(clients, step, error):
                return Done(step, {}, recovered=True)
            if number == TRIES or not (unclear or isinstance(error, ThrottledError)):
                raise
        time.sleep(PAUSE * number)
    raise AssertionError("the last try returns or raises")


def _call(clients: Clients, step: ApiCall) -> dict[str, Any]:
    doing = step.what[:1].lower() + step.what[1:].rstrip(".")
    with clients.calling(doing):
        answer: dict[str, Any] = getattr(clients.changes, xform_name(step.operation))(**step.params)
    for key in OPERATIONS[step.service, step.operation].answers:
        required(answer, key, doing)
    return {key: value for key, value in answer.items() if key != "ResponseMetadata"}


def _is_done(clients: Clients, step: ApiCall, error: AwsError) -> bool:
    """Raises an error like the one that led here, where nothing can be seen."""
    look = OPERATIONS[step.service, step.operation].look
    try:
        return look is not None and look(clients, step.params)
    except NotFoundError:
        return False
    except AwsError as blind:
        raise type(error)(
            error.what, why=error.why, todo=UNCLEAR, code=error.code, request_id=error.request_id
        ) from blind


def _started(clients: Clients, params: Mapping[str, Any]) -> bool:
    """Whether the job of that name is the one that was asked for, and not somebody else's."""
    found = _describe(clients, params)
    same = all(found.get(key) == params.get(key) for key in ("RoleArn", "HyperParameters"))
    output = found.get("OutputDataConfig", {}).get("S3OutputPath")
    return same and output == params["OutputDataConfig"]["S3OutputPath"]


def _stopping(clients: Clients, params: Mapping[str, Any]) -> bool:
    return _describe(clients, params).get("TrainingJobStatus") not in (None, "InProgress")


def _describe(clients: Clients, params: Mapping[str, Any]) -> dict[str, Any]:
    name = params["TrainingJobName"]
    with clients.calling(f"look at the training job {name}"):
        found: dict[str, Any] = clients.sagemaker.describe_training_job(TrainingJobName=name)
    return found


def _upload(clients: Clients, params: Mapping[str, Any], on_progress: OnProgress | None) -> dict[str, Any]:
    return upload(
        clients, UploadOrder.from_params(params), clients.uploads.put_object, on_progress=on_progress
    )


OPERATIONS: dict[tuple[str, str], Operation] = {
    ("sagemaker", "CreateTrainingJob"): Operation(_started, ("TrainingJobArn",)),
    ("sagemaker", "StopTrainingJob"): Operation(_stopping),
    ("s3", "PutObject"): Operation(None, run=_upload),
}
"""The calls that are carried out here; a plan with another one is refused before its first step."""
