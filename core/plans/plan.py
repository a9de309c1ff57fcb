"""Changes as values: the steps of a change, before it is executed.

A page or the command line makes a `Plan`, shows it, and after confirmation passes it to `core.aws.execute`. A printed
plan is the dry run: the same value, the same steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from core.cost.batch import BatchPrice
from core.cost.hosting import HostingPrice
from core.cost.spot import ForecastLine, SpotHistory, forecast_spot
from core.cost.training import SANDBOX_NOTE, Estimate, PriceTable, estimate
from core.datasets.upload_plan import UploadOrder
from core.errors import InputError
from core.escaping import json_text, terminal
from core.training.job import TrainingJob, TrainingSpec, check_copy, status_in_words, to_request

Verb = Literal[
    "launch",
    "stop",
    "upload",
    "deploy",
    "update",
    "scale",
    "autoscale",
    "stop autoscaling",
    "delete",
    "clean up",
    "create role",
    "start batch",
    "stop batch",
]

PHRASES: Mapping[Verb, tuple[str, str]] = {
    "launch": ("launching training job {}", "Launched training job {}."),
    "stop": ("stopping training job {}", "Stopped training job {}."),
    "upload": ("uploading to {}", "Uploaded to {}."),
    "deploy": ("deploying endpoint {}", "Deployed endpoint {}."),
    "update": ("updating endpoint {}", "Updated endpoint {}."),
    "scale": ("scaling {}", "Scaled {}."),
    "autoscale": ("setting up autoscaling for {}", "Set up autoscaling for {}."),
    "stop autoscaling": ("removing autoscaling from {}", "Removed autoscaling from {}."),
    "delete": ("deleting {}", "Deleted {}."),
    "clean up": ("cleaning up {}", "Cleaned up {}."),
    "create role": ("creating execution role {}", "Created execution role {}."),
    "start batch": ("starting transform job {}", "Started transform job {}."),
    "stop batch": ("stopping transform job {}", "Stopped transform job {}."),
}
"""Verb -> the change while it is executed, and once it is done; {} stands for the target."""

StepState = Literal["start", "waiting", "done", "recovered", "already", "kept"]
"""Of a step: started; requested, but not completed yet; done; done, though the response was lost; done before the
plan; a deletion skipped because something else uses the resource."""

Wait = Literal["", "endpoint_deleted", "endpoint_settled"]
"""What a step waits for before the next one: that an endpoint is deleted, or has finished changing."""

Price = Estimate | HostingPrice | BatchPrice
"""All have labeled `amounts`, a `source`, and `to_dict`."""


@dataclass(frozen=True, slots=True)
class ApiCall:
    """One call to AWS.

    service:   boto3's name, such as "sagemaker".
    operation: AWS's name, such as "CreateTrainingJob".
    params:    request parameters; only strings, numbers, booleans, lists and mappings.
    what:      what it does, in words.
    then:      what to wait for after it.
    only_if:   fields that DescribeX must return for the call to be made, so that an outdated plan does not change
               another resource that now has the name; times as ISO 8601 text in UTC. Empty: no condition.
    """

    service: str
    operation: str
    params: Mapping[str, Any]
    what: str
    then: Wait = ""
    only_if: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        params = json_text(self.params, indent=2, ascii_only=False)
        return f"{terminal(self.what)}\n{self.service}:{self.operation} {params}"


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps of one change.

    verb:     the kind of change.
    target:   the name of the changed resource.
    steps:    in order of execution.
    price:    None if it adds no cost.
    warnings: sentences to read before confirming.
    undo:     how to undo it, or that it cannot be undone.
    forecast: estimates of what it saves and how much it is delayed.
    """

    verb: Verb
    target: str
    steps: tuple[ApiCall, ...]
    price: Price | None
    warnings: tuple[str, ...]
    undo: str
    forecast: tuple[ForecastLine, ...] = ()

    @property
    def in_words(self) -> str:
        """Return the change with its target, such as `scaling fields`."""
        return PHRASES[self.verb][0].format(self.target)

    @property
    def done_in_words(self) -> str:
        """Return a sentence for the completed change, such as `Scaled fields.`"""
        return PHRASES[self.verb][1].format(self.target)

    def __str__(self) -> str:
        """Format the dry run."""
        lines = [f"Plan: {self.verb} {terminal(self.target)}"]
        lines += [f"\n{number}. {step}" for number, step in enumerate(self.steps, 1)]
        lines += ["", _price(self.price)] if self.price else []
        lines += [f"Forecast: {terminal(str(line))}" for line in self.forecast]
        lines += [f"Warning: {terminal(text)}" for text in self.warnings]
        return "\n".join([*lines, f"To undo: {terminal(self.undo)}"])

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON; amounts are text, so that nothing is rounded."""
        return {
            "verb": self.verb,
            "target": self.target,
            "steps": [
                {
                    "service": step.service,
                    "operation": step.operation,
                    "params": step.params,
                    "what": step.what,
                    "then": step.then,
                    **({"only_if": step.only_if} if step.only_if else {}),
                }
                for step in self.steps
            ],
            "price": self.price.to_dict() if self.price else None,
            "warnings": list(self.warnings),
            "undo": self.undo,
            **({"forecast": [line.to_dict() for line in self.forecast]} if self.forecast else {}),
        }

    def to_json(self) -> str:
        """Return it as JSON; the same plan always gives the same text."""
        return json_text(self.to_dict(), indent=2)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Plan:
        """Read what `to_dict` returned. Raises KeyError, TypeError or ValueError for anything else."""
        price = data["price"]
        return cls(
            verb=data["verb"],
            target=data["target"],
            steps=tuple(ApiCall(**step) for step in data["steps"]),
            price=price and _price_type(price).from_dict(price),
            warnings=tuple(data["warnings"]),
            undo=data["undo"],
            forecast=tuple(ForecastLine(**line) for line in data.get("forecast", ())),
        )


def plan_launch(
    spec: TrainingSpec,
    prices: PriceTable,
    *,
    warnings: tuple[str, ...] = (),
    history: SpotHistory | None = None,
) -> Plan:
    """Start a training job. Check it with `core.training.preflight` first, and pass its warnings.

    A copy that is weaker than the original has a warning in any case.
    history: of the account's jobs, for the forecast of a spot job.
    """
    weaker = tuple(problem.message for problem in check_copy(spec))
    price = estimate(spec.instance_type, spec.max_runtime_seconds, prices, instance_count=spec.instance_count)
    unknown = () if price.per_hour else (price.source,)
    spot = (
        ("It may wait for spot capacity and be interrupted; the price shown is on-demand.",)
        if spec.spot
        else ()
    )
    call = ApiCall(
        "sagemaker",
        "CreateTrainingJob",
        to_request(spec),
        f"Start the training job {spec.name} on {spec.instance_type}.",
    )
    return Plan(
        "launch",
        spec.name,
        (call,),
        price,
        tuple(dict.fromkeys((*warnings, *weaker, *unknown, *spot))),
        "stop the job. Its name cannot be reused."
        if prices.sandbox
        else "stop the job. Its run time until then is billed, and its name cannot be reused.",
        forecast_spot(spec, price, history or SpotHistory()),
    )


def plan_stop(job: TrainingJob) -> Plan:
    """Stop a training job. Raises InputError if it is no longer running."""
    if not job.running or job.status == "Stopping":
        raise InputError(
            f"The training job {job.name} cannot be stopped: it is {status_in_words(job)}.",
            todo="No action is needed.",
        )
    call = ApiCall(
        "sagemaker", "StopTrainingJob", {"TrainingJobName": job.name}, f"Stop the training job {job.name}."
    )
    warning = "AWS gives the container two minutes to save its model; the run time until then is billed."
    return Plan(
        "stop",
        job.name,
        (call,),
        None,
        (warning,),
        "a stopped job cannot be resumed; clone it to run it again.",
    )


def plan_upload(order: UploadOrder, *, warnings: tuple[str, ...] = ()) -> Plan:
    """Upload a dataset to S3. Check it first, and pass its warnings."""
    source = order.called or order.folder
    what = f"Upload {order.files:,} files, {order.size / 1e6:,.1f} MB, from {source} to {order.uri}."
    replaces = ("Objects with different content are overwritten.",) if order.overwrite else ()
    call = ApiCall("s3", "PutObjects", order.to_params(), what)
    undo = f"delete the objects under {order.uri}. The local files are not changed."
    return Plan("upload", order.uri, (call,), None, (*warnings, *replaces), undo)


def _price_type(data: Mapping[str, Any]) -> type[Estimate] | type[HostingPrice] | type[BatchPrice]:
    if "usd_expected" in data:
        return BatchPrice
    return Estimate if "usd_at_max" in data else HostingPrice


def _price(price: Price) -> str:
    label = "AWS price (estimate)" if SANDBOX_NOTE in price.source else "Price"
    if price.per_hour is None:
        return f"{label}: unknown"
    known = ", ".join(f"{amount} {name}" for name, amount in price.amounts if amount is not None)
    return f"{label}: {known} ({price.source})"
