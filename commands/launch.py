"""The commands that start training jobs: `jobs launch` and `jobs clone`."""

# ruff: noqa: PLC0415 - each command imports what it needs, so that --help is fast

from __future__ import annotations

import re
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands.common import FAILED, AsJson, Backend, Debug, open_backend, print_json, reporting, say
from commands.follow import follow_job
from commands.plans import DryRun, Yes, confirmed, execute_plan
from core.errors import DeniedError, InputError, RejectedError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from core.aws.connection import Clients
    from core.training.hyperparameters import Problem
    from core.training.job import TrainingJob, TrainingSpec

DAY = 86_400
UNITS = {"s": 1, "m": 60, "h": 3600, "d": DAY, "": 1}
DURATION = re.compile(r"([1-9]\d{0,7})([smhd]?)")

DATA_SECONDS = 600.0
"""How long to wait for the demo dataset that a new sandbox generates, on a busy machine."""

DEMO = "s3://segdeck-sandbox/models/aerial/"
"""Where the demo model is: a sandbox without it has no demo dataset either."""

NewName = Annotated[
    str, typer.Option("--name", metavar="NAME", help="Job name. Default: generated from the current time.")
]
Parameters = Annotated[
    list[str] | None,
    typer.Option("--parameter", "-p", metavar="NAME=VALUE", help="Hyperparameter; repeat for several."),
]
Instance = Annotated[
    str, typer.Option("--instance-type", metavar="TYPE", help="Instance type, for example ml.g4dn.xlarge.")
]
Runtime = Annotated[
    str, typer.Option("--max-runtime", metavar="TIME", help="Maximum run time, for example 90m, 4h or 1d.")
]
Spot = Annotated[
    bool | None,
    typer.Option(
        "--spot/--no-spot",
        help="Train on spot capacity, which is cheaper and can be interrupted.",
    ),
]
Wait = Annotated[
    str,
    typer.Option("--max-wait", metavar="TIME", help="Spot: maximum time for waiting and running together."),
]
Checkpoints = Annotated[str, typer.Option(metavar="S3-PREFIX", help="Spot: S3 prefix for the checkpoints.")]
Subnets = Annotated[
    list[str] | None,
    typer.Option("--subnet", metavar="ID", help="VPC subnet of the job; repeat for several."),
]
SecurityGroups = Annotated[
    list[str] | None,
    typer.Option("--security-group", metavar="ID", help="VPC security group of the job; repeat for several."),
]
NoVpc = Annotated[bool, typer.Option("--no-vpc", help="Run outside the VPC of the cloned job.")]
OutputKey = Annotated[
    str | None,
    typer.Option(
        "--output-kms-key", metavar="KEY", help="KMS key that encrypts the model in S3; '' for none."
    ),
]
VolumeKey = Annotated[
    str | None,
    typer.Option(
        "--volume-kms-key", metavar="KEY", help="KMS key that encrypts the instance's volume; '' for none."
    ),
]
Isolation = Annotated[
    bool | None,
    typer.Option("--network-isolation/--no-network-isolation", help="Give the container no network access."),
]
TrafficEncryption = Annotated[
    bool | None,
    typer.Option(
        "--encrypt-inter-container-traffic/--no-encrypt-inter-container-traffic",
        help="Encrypt the traffic between the containers of the job.",
    ),
]
Tags = Annotated[
    list[str] | None, typer.Option("--tag", metavar="KEY=VALUE", help="Tag of the job; repeat for several.")
]
Manifest = Annotated[
    str,
    typer.Option(
        "--manifest",
        metavar="S3-URI",
        help="Augmented manifest of the training images, such as the output of Ground Truth; replaces --data.",
    ),
]
ValidationManifest = Annotated[
    str,
    typer.Option(
        "--validation-manifest", metavar="S3-URI", help="Augmented manifest of the validation images."
    ),
]
LabelAttribute = Annotated[
    str,
    typer.Option(
        "--label-attribute",
        metavar="NAME",
        help="Manifest attribute with the masks, such as city-ref. Default: the only one besides source-ref.",
    ),
]
Shuffle = Annotated[
    bool | None,
    typer.Option(
        "--shuffle/--no-shuffle",
        help="Shuffle the lines of the training manifest before each epoch. Default: yes.",
    ),
]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Print the log until the job ends.")]


def launch(
    *,
    data: Annotated[
        str,
        typer.Option(
            metavar="S3-PREFIX",
            help="Prefix of the dataset, with the channels train, train_annotation, validation "
            "and validation_annotation.",
        ),
    ] = "",
    manifest: Manifest = "",
    validation_manifest: ValidationManifest = "",
    label_attribute: LabelAttribute = "",
    shuffle: Shuffle = None,
    output: Annotated[str, typer.Option(metavar="S3-PREFIX", help="Destination of the trained model.")] = "",
    role: Annotated[str, typer.Option(metavar="ARN", help="Execution role that SageMaker assumes.")] = "",
    name: NewName = "",
    parameter: Parameters = None,
    instance_type: Instance = "",
    max_runtime: Runtime = "",
    spot: Spot = None,
    max_wait: Wait = "",
    checkpoints: Checkpoints = "",
    subnet: Subnets = None,
    security_group: SecurityGroups = None,
    output_kms_key: OutputKey = None,
    volume_kms_key: VolumeKey = None,
    network_isolation: Isolation = None,
    encrypt_inter_container_traffic: TrafficEncryption = None,
    tag: Tags = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    follow: Follow = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Start a training job, after pre-flight checks and confirmation.

    On AWS, --data (or --manifest and --validation-manifest), --output and --role are required; in the sandbox they
    have defaults.
    """
    if data and (manifest or validation_manifest):
        raise typer.BadParameter("It cannot be combined with --manifest.", param_hint="--data")
    manifests = _ManifestOptions(manifest, validation_manifest, label_attribute, shuffle)
    given, tags = _pairs(parameter, "--parameter"), _pairs(tag, "--tag")
    changes = _changes(instance_type, max_runtime, spot, max_wait, checkpoints)
    secure = _security_changes(
        subnets=subnet,
        security_groups=security_group,
        output_kms_key=output_kms_key,
        volume_kms_key=volume_kms_key,
        network_isolation=network_isolation,
        traffic_encryption=encrypt_inter_container_traffic,
    )
    with reporting(debug), open_backend() as backend:
        spec = _new_spec(backend.clients, data, output, role, given, manifests=manifests)
        spec = replace(spec, **changes, name=name or _name("segdeck"), tags=tags)
        spec = replace(spec, security=replace(spec.security, **secure))
        _start(backend, spec, {}, dry_run=dry_run, yes=yes, follow=follow, as_json=as_json)


def clone(
    job: Annotated[str, typer.Argument(metavar="JOB", help="Training job to clone.")],
    *,
    name: NewName = "",
    manifest: Manifest = "",
    validation_manifest: ValidationManifest = "",
    label_attribute: LabelAttribute = "",
    shuffle: Shuffle = None,
    parameter: Parameters = None,
    instance_type: Instance = "",
    max_runtime: Runtime = "",
    spot: Spot = None,
    max_wait: Wait = "",
    checkpoints: Checkpoints = "",
    subnet: Subnets = None,
    security_group: SecurityGroups = None,
    no_vpc: NoVpc = False,
    output_kms_key: OutputKey = None,
    volume_kms_key: VolumeKey = None,
    network_isolation: Isolation = None,
    encrypt_inter_container_traffic: TrafficEncryption = None,
    tag: Tags = None,
    continue_training: Annotated[
        bool, typer.Option("--continue", help="Continue training from the model of the job.")
    ] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    follow: Follow = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Start a copy of a training job, with the changes given as options."""
    given, tags = _pairs(parameter, "--parameter"), _pairs(tag, "--tag")
    changes = _changes(instance_type, max_runtime, spot, max_wait, checkpoints)
    if no_vpc and (subnet or security_group):
        raise typer.BadParameter(
            "It cannot be combined with --subnet and --security-group.", param_hint="--no-vpc"
        )
    secure = _security_changes(
        subnets=subnet,
        security_groups=security_group,
        output_kms_key=output_kms_key,
        volume_kms_key=volume_kms_key,
        network_isolation=network_isolation,
        traffic_encryption=encrypt_inter_container_traffic,
    )
    secure |= {"subnets": (), "security_groups": ()} if no_vpc else {}
    manifests = _ManifestOptions(manifest, validation_manifest, label_attribute, shuffle)
    with reporting(debug), open_backend() as backend:
        from core.aws.training import describe_job, job_tags
        from core.training.job import clone_spec, continue_spec

        old = describe_job(backend.clients, job)
        for note in old.notes:
            say(note)
        try:
            old = replace(old, tags=job_tags(backend.clients, old))
        except (DeniedError, RejectedError) as error:
            say(f"The tags of {old.name} are not copied. {error}")
        spec = (continue_spec if continue_training else clone_spec)(old)
        spec = _with_manifests(backend.clients, spec, manifests)
        values = {**spec.hyperparameters, **given}
        spec = replace(spec, **changes, hyperparameters=values, name=name or _name(old.name))
        spec = replace(spec, security=replace(spec.security, **secure), tags={**spec.tags, **tags})
        previous = old.hyperparameters if continue_training else {}
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
    """Run the pre-flight checks, report the issues, and start the job if none is an error."""
    from core.aws.prices import prices
    from core.cost.spot import spot_history
    from core.plans.plan import plan_launch

    spec, problems, notes = _check_spec(backend.clients, spec, previous)
    for problem in problems:
        say(f"{problem.severity}: {problem.message}")
    for note in notes:
        say(f"note: {note}")
    if any(problem.is_error for problem in problems):
        raise InputError("The job would fail, so it was not started.", todo="Fix the errors above.")
    warnings = tuple(problem.message for problem in problems if problem.severity == "warning")
    reasons: list[str] = []
    table = prices(backend.clients, notes=reasons)
    history = spot_history(_past_jobs(backend.clients), spec) if spec.spot else None
    plan = plan_launch(spec, table, warnings=warnings, history=history)
    for reason in reasons:
        say(reason)
    if not confirmed(plan, yes=yes, dry_run=dry_run, as_json=as_json):
        return
    document = {**plan.to_dict(), "done": True, "recovered": execute_plan(backend.clients, plan).recovered}
    say(f"The job {spec.name} has started.")
    if backend.ends_with_us and not follow:
        say(
            "The sandbox was started for this command, which therefore waits until the job ends. "
            "(`segdeck sandbox` keeps it running between commands.)"
        )
    job: TrainingJob | None = None
    try:
        if follow or backend.ends_with_us:
            job = follow_job(backend, spec.name, lines=10_000, on_stderr=as_json)
    finally:
        if as_json:
            print_json(**document, job=_ended_job(job) if job else None)
    if job is not None and job.status == "Failed":
        raise typer.Exit(FAILED)


def _past_jobs(clients: Clients) -> tuple[TrainingJob, ...]:
    """Return the account's newest jobs, for the forecast of a spot job; none, with a message, if they are denied."""
    from core.aws.training import all_jobs
    from core.training.filters import JobFilter

    try:
        return all_jobs(clients, JobFilter(), pages=1).jobs
    except (DeniedError, RejectedError) as error:
        say(f"The forecast does not use the account's own jobs. {error}")
        return ()


def _ended_job(job: TrainingJob) -> dict[str, Any]:
    """Return what the JSON document has of a job that was followed to its end."""
    return {
        "name": job.name,
        "status": job.status,
        "secondary_status": job.secondary_status,
        "failure_reason": job.failure_reason,
        "model_uri": job.model_uri,
        "final_metrics": dict(job.final_metrics),
    }


def _check_spec(
    clients: Clients, spec: TrainingSpec, previous: Mapping[str, str]
) -> tuple[TrainingSpec, list[Problem], tuple[str, ...]]:
    """Return the spec with the numbers of images and classes filled in, its issues, and what was not checked."""
    from core.aws.job_data import read_job_data
    from core.aws.training import check_buckets, list_channels
    from core.training.preflight import IMAGES, preflight

    channels = list_channels(clients, spec.channels)
    data = read_job_data(clients, spec, channels.keys)
    listed = sum(key.lower().endswith(IMAGES) for key in channels.keys.get("train", ()))
    images = data.images(spec).get("train", listed)
    counted = {"num_training_samples": images, "num_classes": data.classes}
    known = {name: str(count) for name, count in counted.items() if count}
    spec = replace(spec, hyperparameters={**known, **spec.hyperparameters})
    problems = preflight(
        spec,
        channels.keys,
        previous=previous or None,
        sandbox=clients.connection.is_sandbox,
        classes=data.classes,
        sizes=data.sizes,
        manifests=data.manifests,
    )
    uris = {"output_uri": spec.output_uri, "checkpoint_uri": spec.checkpoint_uri}
    missing, notes = check_buckets(clients, uris)
    return spec, [*missing, *data.problems, *problems], (*channels.notes, *notes, *data.notes)


@dataclass(frozen=True, slots=True)
class _ManifestOptions:
    """The options on augmented manifests; empty or None where they are not given."""

    train: str
    validation: str
    label_attribute: str
    shuffle: bool | None

    @property
    def given(self) -> bool:
        return bool(self.train or self.validation or self.label_attribute or self.shuffle is not None)


def _with_manifests(clients: Clients, spec: TrainingSpec, options: _ManifestOptions) -> TrainingSpec:
    """Return the spec on the augmented manifests of the options; unchanged without any.

    What the options leave out is as in the spec. Raises InputError where there is no manifest, or no single attribute
    that can be the masks.
    """
    if not options.given:
        return spec
    from core.training.channels import DATA_CHANNELS, manifest_channel

    before = {channel.name: channel for channel in spec.channels if channel.is_manifest}
    train, validation = before.get("train"), before.get("validation")
    uris = (
        options.train or (train.uri if train else ""),
        options.validation or (validation.uri if validation else ""),
    )
    if not all(uris):
        flag = "--validation-manifest" if uris[0] else "--manifest"
        raise InputError(
            "The algorithm needs an augmented manifest for training and one for validation.",
            why=f"{flag} is not given.",
            todo="Divide the lines of the Ground Truth output between two files, and upload both.",
        )
    label = options.label_attribute or (train.label_attribute if train else "")
    label = label or _only_label_attribute(clients, uris[0])
    own_label = options.label_attribute or (validation.label_attribute if validation else "") or label
    shuffle = options.shuffle if options.shuffle is not None else (train.shuffled if train else True)
    own_shuffle = validation.shuffled if validation else False
    data = (
        manifest_channel("train", uris[0], label, shuffle=shuffle, copied=train),
        manifest_channel("validation", uris[1], own_label, shuffle=own_shuffle, copied=validation),
    )
    others = tuple(channel for channel in spec.channels if channel.name not in DATA_CHANNELS)
    return replace(spec, channels=(*data, *others), input_mode="Pipe")


def _only_label_attribute(clients: Clients, uri: str) -> str:
    """Return the attribute of a manifest that has the masks. Raises InputError unless there is exactly one."""
    from core.aws.manifests import fetch_manifest

    names = fetch_manifest(clients, uri).label_attributes
    if len(names) == 1:
        return names[0]
    if names:
        raise InputError(
            f"Several attributes of {uri} can be the masks: {', '.join(names)}.",
            todo="Choose one with --label-attribute.",
        )
    raise InputError(
        f"No attribute of {uri} can be the masks.",
        why="SageMaker reads masks only from an attribute whose name ends in -ref.",
        todo="Use the output manifest of a labeling job.",
    )


def _new_spec(
    clients: Clients,
    data: str,
    output: str,
    role: str,
    given: dict[str, str],
    *,
    manifests: _ManifestOptions,
) -> TrainingSpec:
    """Return the spec of a new job. Raises SettingsError if an option that AWS needs is missing."""
    from core.aws.images import image_uri
    from core.training.defaults import default_spec

    sandbox = clients.connection.is_sandbox
    sources = data or manifests.train
    missing = [
        flag for flag, text in (("--data", sources), ("--output", output), ("--role", role)) if not text
    ]
    if missing and not sandbox:
        raise SettingsError(
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} required.",
            todo="To see all options: segdeck jobs launch --help",
        )
    spec = default_spec(
        image_uri(clients.connection.region),
        sandbox=sandbox,
        data=sources,
        output=output,
        role=role,
        values=given,
    )
    if manifests.given:
        return _with_manifests(clients, spec, manifests)
    if sandbox and not data:
        _await_data(clients, spec)
    return spec


def _await_data(clients: Clients, spec: TrainingSpec) -> None:
    """Wait until every image of the demo dataset has its mask: a new sandbox generates them in the background."""
    from core.aws.training import list_channel_keys, list_channels

    if not list_channel_keys(clients, DEMO, cap=1).keys:
        return
    reported = False
    until = time.monotonic() + DATA_SECONDS
    while time.monotonic() < until:
        keys = list_channels(clients, spec.channels).keys
        counts = {name: len(names) for name, names in keys.items()}
        complete = all(
            counts.get(name) and counts[name] == counts.get(f"{name}_annotation")
            for name in ("train", "validation")
        )
        if complete:
            return
        if not reported:
            say("The sandbox is new and generates the demo dataset first. This takes about a minute …")
            reported = True
        time.sleep(1)


def _changes(
    instance_type: str, max_runtime: str, spot: bool | None, max_wait: str, checkpoints: str
) -> dict[str, Any]:
    """Return the fields of a TrainingSpec that were given as options."""
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
        raise typer.BadParameter(f"{text!r} is not a duration such as 90m, 4h or 1d.", param_hint=flag)
    return int(match[1]) * UNITS[match[2]]


def _security_changes(
    *,
    subnets: list[str] | None,
    security_groups: list[str] | None,
    output_kms_key: str | None,
    volume_kms_key: str | None,
    network_isolation: bool | None,
    traffic_encryption: bool | None,
) -> dict[str, Any]:
    """Return the fields of SecuritySettings that were given as options."""
    given = {
        "subnets": tuple(subnets) if subnets else None,
        "security_groups": tuple(security_groups) if security_groups else None,
        "output_kms_key": output_kms_key,
        "volume_kms_key": volume_kms_key,
        "network_isolation": network_isolation,
        "traffic_encryption": traffic_encryption,
    }
    return {name: value for name, value in given.items() if value is not None}


def _pairs(texts: list[str] | None, flag: str) -> dict[str, str]:
    """Return the names and values of a repeated option such as --parameter NAME=VALUE."""
    pairs = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise typer.BadParameter(f"{text!r} is not of the form NAME=VALUE.", param_hint=flag)
        pairs[name.strip()] = value.strip()
    return pairs


def _name(before: str) -> str:
    from core.training.defaults import new_name

    return new_name(before, datetime.now(UTC))
