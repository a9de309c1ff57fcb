"""The commands that start training jobs: `jobs launch` and `jobs clone`."""

# ruff: noqa: PLC0415 - each command imports what it needs, so that --help comes at once

from __future__ import annotations

import re
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands.common import AsJson, Backend, Debug, open_backend, reporting, say
from commands.follow import follow_to_end
from commands.plans import DryRun, Yes, confirm_and_execute
from core.errors import InputError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from core.aws.connection import Clients
    from core.training.hyperparameters import Problem
    from core.training.job import TrainingSpec

DAY = 86_400
UNITS = {"s": 1, "m": 60, "h": 3600, "d": DAY, "": 1}
DURATION = re.compile(r"([1-9]\d{0,7})([smhd]?)")

DATA_SECONDS = 600.0
"""How long to wait for the data that a new sandbox draws, on a busy machine."""

DEMO = "s3://segdeck-sandbox/models/aerial/"
"""Without this demonstration there will be no data of it."""

NewName = Annotated[str, typer.Option("--name", metavar="NAME", help="Default: made from the time.")]
Parameters = Annotated[
    list[str] | None,
    typer.Option("--parameter", "-p", metavar="NAME=VALUE", help="A hyperparameter; once for each."),
]
Instance = Annotated[str, typer.Option("--instance-type", metavar="TYPE", help="Such as ml.g4dn.xlarge.")]
Runtime = Annotated[str, typer.Option("--max-runtime", metavar="TIME", help="Such as 90m, 4h or 1d.")]
Spot = Annotated[bool | None, typer.Option("--spot/--no-spot", help="Use spare capacity, which is cheaper.")]
Wait = Annotated[str, typer.Option("--max-wait", metavar="TIME", help="Of a spot job, with its run time.")]
Checkpoints = Annotated[str, typer.Option(metavar="S3-PREFIX", help="Where a spot job keeps checkpoints.")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Then print its log until it ends.")]


def launch(
    *,
    data: Annotated[
        str, typer.Option(metavar="S3-PREFIX", help="Holds train, validation and their _annotation folders.")
    ] = "",
    output: Annotated[str, typer.Option(metavar="S3-PREFIX", help="Where the model goes.")] = "",
    role: Annotated[str, typer.Option(metavar="ARN", help="The role that SageMaker takes on.")] = "",
    name: NewName = "",
    parameter: Parameters = None,
    instance_type: Instance = "",
    max_runtime: Runtime = "",
    spot: Spot = None,
    max_wait: Wait = "",
    checkpoints: Checkpoints = "",
    dry_run: DryRun = False,
    yes: Yes = False,
    follow: Follow = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Start a training job, after a look at its data and a yes.

    Without --data, --output and --role the sandbox's own are taken; AWS needs all three.
    """
    given = _parameters(parameter)
    changes = _changes(instance_type, max_runtime, spot, max_wait, checkpoints)
    with reporting(debug), open_backend() as backend:
        spec = _new_spec(backend.clients, data, output, role, given)
        spec = replace(spec, **changes, name=name or _name("segdeck"))
        _start(backend, spec, {}, dry_run=dry_run, yes=yes, follow=follow, as_json=as_json)


def clone(
    job: Annotated[str, typer.Argument(metavar="JOB", help="The job to take everything from.")],
    *,
    name: NewName = "",
    parameter: Parameters = None,
    instance_type: Instance = "",
    max_runtime: Runtime = "",
    spot: Spot = None,
    max_wait: Wait = "",
    checkpoints: Checkpoints = "",
    go_on: Annotated[bool, typer.Option("--continue", help="Start from the model that it left.")] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    follow: Follow = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Start a job once more, changed where you say so."""
    given = _parameters(parameter)
    changes = _changes(instance_type, max_runtime, spot, max_wait, checkpoints)
    with reporting(debug), open_backend() as backend:
        from core.aws.training import describe_job, job_tags
        from core.training.job import clone_spec, continue_spec

        old = describe_job(backend.clients, job)
        old = replace(old, tags=job_tags(backend.clients, old))
        spec = (continue_spec if go_on else clone_spec)(old)
        values = {**spec.hyperparameters, **given}
        spec = replace(spec, **changes, hyperparameters=values, name=name or _name(old.name))
        previous = old.hyperparameters if go_on else {}
        _start(backend, spec, previous, dry_run=dry_run, yes=yes, follow=follow, as_json=as_json)


def _start(
    backend: Backend,
    spec: TrainingSpec,
    previous: Mapping[str, str],
    *,
    dry_run: bool,
    yes: bool,
    follow: bool,
    as_json: bool,
) -> None:
    """Look at the data, say what is wrong, and go on to the plan where nothing is."""
    from core.aws.prices import prices
    from core.plans.plan import plan_launch

    spec, problems, notes = _check_spec(backend.clients, spec, previous)
    for problem in problems:
        say(f"{problem.severity}: {problem.message}")
    for note in notes:
        say(f"note: {note}")
    if any(problem.is_error for problem in problems):
        raise InputError("The job would fail, so it was not started.", todo="Mend the errors above.")
    warnings = tuple(problem.message for problem in problems if problem.severity == "warning")
    reasons: list[str] = []
    plan = plan_launch(spec, prices(backend.clients, notes=reasons), warnings=warnings)
    for reason in reasons:
        say(reason)
    if not confirm_and_execute(backend.clients, plan, yes=yes, dry_run=dry_run, as_json=as_json):
        return
    say(f"The job {spec.name} has started.")
    if backend.ends_with_us and not follow:
        say(
            "The sandbox was started for this call alone, so it waits for the job's end. (`make sandbox` keeps one.)"
        )
    if follow or backend.ends_with_us:
        follow_to_end(backend, spec.name, lines=10_000, as_json=as_json)


def _check_spec(
    clients: Clients, spec: TrainingSpec, previous: Mapping[str, str]
) -> tuple[TrainingSpec, list[Problem], tuple[str, ...]]:
    """The spec with the number of training pictures filled in, what is wrong with it, and what was not looked at."""
    from core.aws.training import list_channels
    from core.training.preflight import preflight

    channels = list_channels(clients, spec.channels)
    images = sum(key.lower().endswith((".jpg", ".jpeg")) for key in channels.keys.get("train", ()))
    if images and "num_training_samples" not in spec.hyperparameters:
        values = {**spec.hyperparameters, "num_training_samples": str(images)}
        spec = replace(spec, hyperparameters=values)
    problems = preflight(
        spec, channels.keys, previous=previous or None, sandbox=clients.connection.is_sandbox
    )
    return spec, problems, channels.notes


def _new_spec(clients: Clients, data: str, output: str, role: str, given: dict[str, str]) -> TrainingSpec:
    """Raises SettingsError for what AWS needs and nobody gave."""
    from core.aws.images import image_uri
    from core.training.defaults import first_spec

    sandbox = clients.connection.is_sandbox
    missing = [flag for flag, text in (("--data", data), ("--output", output), ("--role", role)) if not text]
    if missing and not sandbox:
        raise SettingsError(
            f"{' and '.join(missing)} must be given.", todo="`jobs launch --help` tells of them."
        )
    spec = first_spec(
        image_uri(clients.connection.region),
        sandbox=sandbox,
        data=data,
        output=output,
        role=role,
        values=given,
    )
    if sandbox and not data:
        _await_data(clients, spec)
    return spec


def _await_data(clients: Clients, spec: TrainingSpec) -> None:
    """A new sandbox draws its data in the background; it is all there once every picture has its mask."""
    from core.aws.training import list_channel_keys, list_channels

    if not list_channel_keys(clients, DEMO, cap=1).keys:
        return
    reported = False
    until = time.monotonic() + DATA_SECONDS
    while time.monotonic() < until:
        keys = list_channels(clients, spec.channels).keys
        counts = {name: len(names) for name, names in keys.items()}
        whole = all(
            counts.get(name) and counts[name] == counts.get(f"{name}_annotation")
            for name in ("train", "validation")
        )
        if whole:
            return
        if not reported:
            say("The sandbox is new, and draws its pictures first. This takes a minute …")
            reported = True
        time.sleep(1)


def _changes(
    instance_type: str, max_runtime: str, spot: bool | None, max_wait: str, checkpoints: str
) -> dict[str, Any]:
    """The fields of a TrainingSpec that were given."""
    changes: dict[str, Any] = {}
    changes |= {"instance_type": instance_type} if instance_type else {}
    changes |= {"max_runtime_seconds": _seconds(max_runtime, "--max-runtime")} if max_runtime else {}
    changes |= {"max_wait_seconds": _seconds(max_wait, "--max-wait")} if max_wait else {}
    changes |= {"checkpoint_uri": checkpoints} if checkpoints else {}
    changes |= {"spot": spot} if spot is not None else {}
    changes |= {"max_wait_seconds": None} if spot is False else {}
    return changes


def _seconds(text: str, flag: str) -> int:
    match = DURATION.fullmatch(text)
    if match is None:
        raise typer.BadParameter(f"{text!r} is no time such as 90m, 4h or 1d.", param_hint=flag)
    return int(match[1]) * UNITS[match[2]]


def _parameters(texts: list[str] | None) -> dict[str, str]:
    parameters = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise typer.BadParameter(f"{text!r} is not of the form NAME=VALUE.", param_hint="--parameter")
        parameters[name.strip()] = value.strip()
    return parameters


def _name(before: str) -> str:
    from core.training.defaults import new_name

    return new_name(before, datetime.now(UTC))
