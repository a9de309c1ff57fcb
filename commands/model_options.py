"""The model that `endpoints deploy` and `endpoints update` serve, inspected before anything is billed."""

# ruff: noqa: PLC0415 - each function imports what it needs, so that --help is fast

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands.common import say, status
from core.errors import DeniedError, NotFoundError, RejectedError, SettingsError

if TYPE_CHECKING:
    from core.artifacts.artifact import Artifact
    from core.aws.connection import Clients
    from core.imaging.classes import Classes
    from core.plans.deploy import ModelUpload
    from core.training.job import TrainingJob

FromJob = Annotated[
    str, typer.Option("--from-job", metavar="JOB", help="Deploy the model of this training job.")
]
FromS3 = Annotated[str, typer.Option("--artifact", metavar="S3-URI", help="Deploy this model.tar.gz in S3.")]
FromFile = Annotated[
    Path | None, typer.Option("--file", metavar="FILE", help="Upload and deploy this local model.tar.gz.")
]
FromModel = Annotated[str, typer.Option("--model", metavar="NAME", help="Deploy this SageMaker model.")]
ClassesFile = Annotated[
    Path | None,
    typer.Option(
        "--classes", metavar="FILE", help="Class names: a classes.json. Default: the one next to the model."
    ),
]
To = Annotated[str, typer.Option("--to", metavar="S3-PREFIX", help="Destination of --file.")]


NO_MODEL = dict.fromkeys(("model", "model_uri", "image", "classes_uri", "examples_uri", "job"), "")
"""The fields of a spec that depend on the model: a new model sets all of them."""


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """The model options of a command."""

    job: str = ""
    artifact: str = ""
    file: Path | None = None
    model: str = ""
    classes: Path | None = None
    to: str = ""

    @property
    def named(self) -> int:
        """Number of models that were named."""
        return sum(map(bool, (self.job, self.artifact, self.file, self.model)))

    def check(self, *, fewest: int) -> None:
        """Raise BadParameter for too many or too few models, and for options without effect."""
        if not fewest <= self.named <= 1:
            amount = "exactly" if fewest else "at most"
            raise typer.BadParameter(f"Specify {amount} one of --from-job, --artifact, --file and --model.")
        if self.to and not self.file:
            raise typer.BadParameter("It needs --file.", param_hint="--to")
        if self.classes and not (self.job or self.artifact or self.file):
            raise typer.BadParameter("It needs --from-job, --artifact or --file.", param_hint="--classes")


@dataclass(frozen=True, slots=True)
class ServableModel:
    """A model that can be served.

    name:     default name of its endpoint.
    fields:   of `core.endpoints.spec.EndpointSpec`.
    upload:   a local file to upload to S3 first.
    classes:  class names to upload with it.
    warnings: sentences to read before it is deployed.
    count:    number of classes of the network; None if unknown.
    """

    name: str
    fields: dict[str, Any]
    upload: ModelUpload | None = None
    classes: Classes | None = None
    warnings: tuple[str, ...] = ()
    count: int | None = None


def inspect_model(clients: Clients, options: ModelOptions) -> ServableModel:
    """Inspect the named model and report what it is. Raises InputError, ArtifactError, SettingsError, AwsError."""
    if options.job:
        return _model_of_job(clients, options)
    if options.artifact:
        return _model_of_artifact(clients, options)
    if options.file:
        return _model_in_file(clients, options, options.file)
    return ServableModel(options.model, {**NO_MODEL, "model": options.model})


def _model_of_job(clients: Clients, options: ModelOptions) -> ServableModel:
    from core.aws.training import describe_job
    from core.plans.model_source import class_name_uris, missing_model

    job = _with_tags(clients, describe_job(clients, options.job))
    for note in job.notes:
        say(note)
    if job.model_uri is None:
        raise missing_model(job)
    model = _model_at_uri(clients, job.model_uri, options.classes, class_name_uris(job))
    return ServableModel(
        job.name,
        {
            **model.fields,
            "image": job.image,
            "role_arn": job.role_arn,
            "job": job.name,
            "model_settings": job.security.model_settings,
        },
        classes=model.classes,
        warnings=model.warnings,
        count=model.count,
    )


def _with_tags(clients: Clients, job: TrainingJob) -> TrainingJob:
    from core.aws.training import job_tags

    try:
        return replace(job, tags=job_tags(clients, job))
    except (DeniedError, RejectedError) as error:
        say(str(error))
        return job


def _model_of_artifact(clients: Clients, options: ModelOptions) -> ServableModel:
    from core.endpoints.endpoint import classes_uri_for

    try:
        return _model_at_uri(
            clients, options.artifact, options.classes, (classes_uri_for(options.artifact) or "",)
        )
    except NotFoundError as error:
        if not clients.connection.is_sandbox:
            raise
        raise NotFoundError(
            error.what,
            why="Segdeck looked in the sandbox's S3, not in your AWS account's.",
            todo=f"To serve one from your AWS account: segdeck endpoints serve-here --artifact {options.artifact}",
        ) from error


def _model_at_uri(
    clients: Clients, uri: str, classes_file: Path | None, places: tuple[str, ...]
) -> ServableModel:
    """Return the model at an S3 URI, with class names from a file or from the first of `places` that has some."""
    from core.aws.artifacts import inspect_s3_artifact
    from core.aws.class_names import FoundClasses, find_classes
    from core.aws.images import image_uri
    from core.endpoints.endpoint import classes_uri_for
    from core.plans.model_source import base_name, read_classes

    with status(f"Inspecting {uri}"):
        artifact = inspect_s3_artifact(clients, uri)
    given = read_classes(classes_file) if classes_file else None
    names = FoundClasses(given, classes_uri_for(uri) or "") if given else find_classes(clients, places)
    warnings = _describe_artifact(clients, artifact, names.classes)
    for note in names.notes:
        say(note)
    image = image_uri(clients.connection.region)
    fields = {**NO_MODEL, "model_uri": uri, "image": image, "classes_uri": names.uri}
    return ServableModel(base_name(uri), fields, classes=given, warnings=warnings, count=artifact.num_classes)


def _model_in_file(clients: Clients, options: ModelOptions, path: Path) -> ServableModel:
    from core.aws.images import image_uri
    from core.plans.model_source import class_names_file, local_model, read_classes
    from core.training.defaults import SANDBOX_MODELS

    folder = options.to or (SANDBOX_MODELS if clients.connection.is_sandbox else "")
    if not folder.startswith("s3://"):
        raise SettingsError(
            "--to is required: the S3 prefix to upload to.", todo="For example: --to s3://my-bucket/models/"
        )
    names = options.classes or class_names_file(path)
    model = local_model(path, folder, read_classes(names) if names else None)
    if names and not options.classes:
        say(f"Class names from {names}.")
    warnings = _describe_artifact(clients, model.artifact, model.classes)
    image = image_uri(clients.connection.region)
    fields = {**NO_MODEL, "model_uri": model.upload.uri, "image": image, "classes_uri": model.classes_uri}
    stem = path.name.removesuffix(".tar.gz").removesuffix(".tgz")
    name = path.resolve().parent.name if stem == "model" else stem
    return ServableModel(
        name, fields, model.upload, model.classes, warnings, count=model.artifact.num_classes
    )


def _describe_artifact(clients: Clients, artifact: Artifact, classes: Classes | None) -> tuple[str, ...]:
    """Report what an artifact contains and return its warnings. Raises ArtifactError if it cannot be deployed."""
    from core.plans.model_source import class_count_mismatch

    refusal = artifact.refusal(sandbox=clients.connection.is_sandbox)
    if refusal is not None:
        raise refusal
    size = f"{artifact.size / 1e6:,.1f} MB"
    properties = {
        "algorithm": artifact.algorithm,
        "backbone": artifact.backbone,
        "classes": artifact.num_classes,
        "crop size": artifact.crop_size,
    }
    description = ", ".join(
        f"{name} {'unknown' if value is None else value}" for name, value in properties.items()
    )
    say(f"{artifact.where}: {description}, {size}.")
    problem = class_count_mismatch(artifact, classes)
    return (*artifact.warnings, problem) if problem else artifact.warnings
