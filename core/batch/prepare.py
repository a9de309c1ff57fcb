"""Prepare a transform job: from what the user chose and what is in S3 to a spec, its manifest and its problems."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from core.batch.job import DEFAULT_PAYLOAD_MB, MAX_PAYLOAD_MB, BatchSpec, check_spec
from core.batch.objects import (
    Inputs,
    StoredObject,
    check_inputs,
    folder_uri,
    manifest,
    missing,
    parent_uri,
    shared_outputs,
)
from core.batch.progress import Speed
from core.endpoints.spec import EndpointSpec, endpoint_name
from core.text import plural
from core.training.hyperparameters import Problem

NO_ANSWER = "Unable to get response from algorithm"
"""What the log says of each image that a container was working on when it hung or ended."""

TIME_SUFFIX = re.compile(r"-\d{8}-\d{6}$")


@dataclass(frozen=True, slots=True)
class ListedInputs:
    """The objects below an input prefix, as a listing and a sample of them show them.

    uri:      the prefix, which ends in /.
    complete: whether all objects were listed.
    sizes:    (key, width, height) of the sample.
    unread:   sentences on images of the sample that are not readable.
    """

    uri: str
    inputs: Inputs
    complete: bool = True
    sizes: tuple[tuple[str, int, int], ...] = ()
    unread: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Batch:
    """A job to start.

    images:   what it reads.
    prefix:   of the images, if a manifest has to be written first; else empty.
    model:    one to create first.
    problems: with the spec and its images, errors first.
    speed:    what the estimate is made from; None if unknown.
    excluded: images that are not sent, because they failed before.
    """

    spec: BatchSpec
    images: tuple[StoredObject, ...]
    prefix: str = ""
    model: EndpointSpec | None = None
    problems: tuple[Problem, ...] = ()
    speed: Speed | None = None
    excluded: tuple[str, ...] = ()

    @property
    def manifest(self) -> str:
        """Return the manifest to write first; empty if none is needed."""
        return manifest(self.prefix, self.images) if self.prefix else ""

    @property
    def errors(self) -> tuple[str, ...]:
        """Return what prevents the start."""
        return tuple(problem.message for problem in self.problems if problem.is_error)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return what to read before the start."""
        return tuple(problem.message for problem in self.problems if not problem.is_error)


def job_name(base: str, now: datetime) -> str:
    """Return a name for a new job: that of its model or of the job before it, and the time."""
    return endpoint_name(TIME_SUFFIX.sub("", base), f"{now:%Y%m%d-%H%M%S}")


def prepare(spec: BatchSpec, listed: ListedInputs) -> Batch:
    """Check a spec against its images. Where not all objects are images, a manifest names those that are.

    A payload limit of 0 becomes what the largest image needs. Too many concurrent requests become what AWS allows.
    """
    problems = []
    if spec.input_uri != listed.uri:
        text = (
            f"Only objects below {listed.uri} are sent. SageMaker would send every key that begins with "
            f"{spec.input_uri}."
        )
        problems.append(Problem("input_uri", text, "note"))
    spec = replace(
        spec,
        input_uri=listed.uri,
        payload_mb=spec.payload_mb or min(MAX_PAYLOAD_MB, listed.inputs.payload_mb),
    )
    spec, notes = fit_concurrency(spec)
    problems += [
        *check_inputs(listed.inputs, spec, sizes=listed.sizes, complete=listed.complete),
        *notes,
        *(Problem("input_uri", text, "warning") for text in listed.unread),
    ]
    if listed.inputs.skipped and not listed.complete:
        text = (
            f"{listed.uri} has too many objects to list them all, and not all are images: a list of the images would "
            "leave some out. Use smaller prefixes, or move the other objects away."
        )
        problems.append(Problem("input_uri", text))
    problems = [*check_spec(spec), *problems]
    problems.sort(key=lambda problem: not problem.is_error)
    prefix = listed.uri if listed.inputs.skipped else ""
    return Batch(
        with_manifest(spec) if prefix else spec, listed.inputs.images, prefix, problems=tuple(problems)
    )


def prepare_resume(
    spec: BatchSpec,
    prefix: str,
    inputs: Inputs,
    valid: Collection[str],
    rejected: Mapping[str, str],
) -> Batch:
    """Return a job for exactly the images without a valid output; without images where none is missing.

    Outputs are named by the keys below the manifest's prefix, so one job cannot send images from inside and outside
    of the prefix: those outside are left to another resume, with a warning. Images that share an output are not sent:
    see `Inputs.shared`.

    spec:     of the new job. prefix: of the inputs. valid: keys of the valid outputs, below the output prefix.
    rejected: images that are not sent again, with the reason; those whose container gave no answer are sent, because
              that says nothing about the image.
    """
    rejected = {key: why for key, why in rejected.items() if not why.startswith(NO_ANSWER)}
    left, shared = missing(inputs.images, valid), frozenset(inputs.shared)
    sent = tuple(image for image in left if image.key not in rejected and image.key not in shared)
    problems: tuple[Problem, ...] = ()
    if any(image.key in shared for image in left):
        text = f"Not sent: {shared_outputs(inputs, prefix)}"
        problems = (Problem("input_uri", text, "warning"),)
    excluded = tuple(image.key for image in left if image.key in rejected)
    inside = tuple(image for image in sent if image.key not in inputs.outside)
    if not inside or len(inside) == len(sent):
        prefix = prefix if inside else parent_uri(prefix)
        return Batch(with_manifest(spec), sent, prefix, problems=problems, excluded=excluded)
    rest = plural(len(sent) - len(inside), "image")
    text = (
        f"{rest} outside of {prefix} will not be sent, because one job would name their masks otherwise. Resume the "
        "first job again when this one has ended."
    )
    problems = (*problems, Problem("input_uri", text, "warning"))
    return Batch(with_manifest(spec), inside, prefix, problems=problems, excluded=excluded)


def with_manifest(spec: BatchSpec) -> BatchSpec:
    """Return the spec with its own manifest as the input, next to its outputs."""
    uri = f"{folder_uri(spec.output_uri)}{spec.name}.manifest"
    return replace(spec, input_uri=uri, manifest=True)


def fit_concurrency(spec: BatchSpec) -> tuple[BatchSpec, tuple[Problem, ...]]:
    """Return the spec with fewer concurrent requests where AWS's limit of all payloads together needs that."""
    most = max(1, MAX_PAYLOAD_MB // max(1, spec.payload_mb or DEFAULT_PAYLOAD_MB))
    if spec.concurrency <= most:
        return spec, ()
    text = f"{plural(most, 'concurrent request')} instead of {spec.concurrency}: the images are large."
    return replace(spec, concurrency=most), (Problem("concurrency", text, "note"),)
