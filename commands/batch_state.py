"""The state of a transform job for `batch ...`: its images and outputs, what failed, and the masks themselves."""

# ruff: noqa: PLC0415 - each function imports what it needs, so that --help is fast

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commands.common import iso, progress, say
from commands.inference_options import make_folder
from core.errors import AwsError

if TYPE_CHECKING:
    from core.aws.batch import Outputs
    from core.aws.connection import Clients
    from core.batch.job import TransformJob
    from core.batch.objects import Inputs
    from core.batch.results import ImageResult
    from core.cost.training import PriceTable
    from core.imaging.classes import Classes
    from core.imaging.segmentation import Segmentation

READERS, PROBABILITY_READERS = 16, 2
"""Outputs that are read at once; probabilities take hundreds of megabytes each."""

SHOWN_FAILURES = 20
TOO_MANY = "There are too many objects to list them all: the counts are lower bounds."


@dataclass(slots=True)
class BatchState:
    """A job, and what is in S3. prefix: of the images; notes: sentences on what could not be read."""

    job: TransformJob
    prefix: str
    inputs: Inputs
    outputs: Outputs
    notes: list[str] = field(default_factory=list)

    @property
    def written(self) -> list[str]:
        """Return the keys of the images that have an output, in order."""
        from core.batch.objects import input_key

        return [key for name in sorted(self.outputs.objects) if (key := input_key(name)) is not None]


def read_state(clients: Clients, name: str) -> BatchState:
    """Read a job, list its images and its outputs. Raises AwsError."""
    from core.aws.batch import describe_transform_job, job_inputs, list_outputs
    from core.batch.objects import shared_outputs

    job = describe_transform_job(clients, name)
    prefix, inputs, complete = job_inputs(clients, job)
    outputs = list_outputs(clients, job)
    if complete and inputs.images:  # otherwise masks whose images were deleted would be hidden
        outputs = outputs.of(inputs)
    notes = [] if complete and outputs.complete else [TOO_MANY]
    if shared := shared_outputs(inputs, prefix):
        notes.append(shared)
    return BatchState(job, prefix, inputs, outputs, notes)


def rejected(clients: Clients, state: BatchState) -> dict[str, str]:
    """Return the images that the log names as failed, with the reason; a log that cannot be read is a note."""
    from core.aws.batch import rejected_images

    try:
        return rejected_images(clients, state.job, state.prefix, state.inputs.outside)
    except AwsError as error:
        state.notes.append(f"The reasons of failed images are unknown. {error}")
        return {}


def state_document(clients: Clients, state: BatchState, table: PriceTable) -> dict[str, Any]:
    """Return the JSON document of a job."""
    from core.cost.batch import cost_so_far

    now, job = datetime.now(UTC), state.job
    at = state.outputs.progress(len(state.inputs.images), now)
    cost = cost_so_far(job, table, now)
    written = set(state.written)
    reasons = rejected(clients, state) if len(written) < len(state.inputs.images) else {}
    return {
        **summary(job),
        "arn": job.arn,
        "failure_reason": job.failure_reason or None,
        "model": job.model,
        "instance_type": job.instance_type,
        "instance_count": job.instance_count,
        "input_uri": job.input_uri,
        "output_uri": job.output_uri,
        "output": job.kind,
        "images": len(state.inputs.images),
        "done": at.done,
        "per_second": None if at.per_second is None else round(at.per_second, 3),
        "seconds_left": round(at.seconds_left) if job.running and at.seconds_left is not None else None,
        "seconds": round(job.seconds(now)),
        "cost_usd": None if cost is None else str(cost.usd),
        "skipped": len(state.inputs.skipped),
        "hangs": at.hangs(job.started_at) if job.running else "",
        "failed": [{"image": key, "reason": why} for key, why in reasons.items() if key not in written],
        "notes": state.notes,
        "prices": table.attribution,
    }


def summary(job: TransformJob) -> dict[str, Any]:
    """Return one row of the JSON list."""
    return {
        "name": job.name,
        "status": job.status,
        "created_at": iso(job.created_at),
        "ended_at": iso(job.ended_at),
    }


def say_failures(failed: Sequence[dict[str, str]]) -> None:
    """Print the first images that failed, each with its reason."""
    for row in failed[:SHOWN_FAILURES]:
        say(f"Failed: {row['image']}: {row['reason']}")
    if len(failed) > SHOWN_FAILURES:
        say(f"{len(failed) - SHOWN_FAILURES} more failed. To list them all, add --json.")


@dataclass(frozen=True, slots=True)
class MaskReader:
    """Reads the outputs of a job and checks them. out: a folder to save the masks in; None for none."""

    clients: Clients
    job: TransformJob
    classes: Classes | None
    out: Path | None = None
    overwrite: bool = False

    def read(self, keys: Sequence[str]) -> tuple[list[ImageResult], list[dict[str, str]]]:
        """Read outputs in parallel; return what was read, and the invalid ones. Raises InputError, AwsError."""
        from core.batch.objects import mask_names

        read: list[ImageResult] = []
        invalid: list[dict[str, str]] = []
        readers = READERS if self.job.kind == "mask" else PROBABILITY_READERS
        with ThreadPoolExecutor(readers) as pool, progress() as bar:
            task = bar.add_task("Reading masks", total=len(keys))
            for answer in pool.map(self._one, keys, mask_names(keys)):
                bar.advance(task)
                if isinstance(answer, dict):
                    invalid.append(answer)
                else:
                    read.append(answer)
        return read, invalid

    def _one(self, key: str, name: str) -> ImageResult | dict[str, str]:
        from core.aws.batch import checked_output
        from core.batch.results import Failure

        output = checked_output(self.clients, self.job, key, self.classes)
        if isinstance(output, Failure):
            return {
                "image": key,
                "reason": output.reason,
                **({"too_large": "yes"} if output.too_large else {}),
            }
        result, segmentation = output
        if self.out is not None:
            self._save(self.out / name, segmentation)
        return result

    def _save(self, path: Path, segmentation: Segmentation) -> None:
        """Write a mask. Raises InputError."""
        from core.inference.export import write_new
        from core.render.masks import mask_png

        make_folder(path.parent)
        body = mask_png(segmentation.labels, segmentation.classes.table())
        write_new(path, body, overwrite=self.overwrite)
