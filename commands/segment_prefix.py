"""`segment` on an S3 prefix: the images are sent to an endpoint, several at once, and each gets a mask."""

# ruff: noqa: PLC0415 - each function imports what it needs, so that --help is fast

from __future__ import annotations

import tempfile
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from commands.common import FAILED, STOPPED, connected, print_json, progress, say, say_block
from commands.inference_options import clear_partial_files, endpoint_to_invoke, make_folder
from commands.memory import limit_memory, memory_column
from commands.segment_report import print_failures, say_notes, write_rows
from core.failures import failure_row
from core.text import listing, plural

if TYPE_CHECKING:
    from core.aws.connection import Clients
    from core.batch.client import BatchImage, BatchOutcome, ImageTask, MaskFolder

DEFAULT_CONCURRENCY, MAX_CONCURRENCY = 4, 32


@dataclass(frozen=True, slots=True)
class PrefixOptions:
    """The options of `segment` on an S3 prefix. images: the prefix; out: a folder or another S3 prefix."""

    images: str
    out: str
    endpoint: str
    want: Literal["probabilities", "mask"]
    palette: str
    fit: tuple[int, int] | None
    concurrency: int
    overwrite: bool
    resume: bool
    as_json: bool
    debug: bool


def segment_prefix(options: PrefixOptions) -> None:
    """Segment the images and report the result. Raises Exit (see `_report`), InputError, AwsError."""
    limit_memory()
    with connected() as clients:
        from core.aws.client_batch import find_images, image_reader
        from core.aws.runtime import invoker
        from core.batch.client import BatchOutcome, ClientBatch, ImageTask
        from core.inference.gate import CallGate

        info = endpoint_to_invoke(clients, options.endpoint)
        images, others = find_images(clients, options.images)
        masks = _masks(clients, options)
        if others:
            say(f"Skipped {plural(len(others), 'object')} that are results or not images: {listing(others)}.")
        say(f"{plural(len(images), 'image')} under {options.images}.")
        batch = ClientBatch(
            info.name, clients.connection.origin, info.classes, options.want, options.palette, options.fit,
            options.concurrency, options.overwrite, options.resume, info.config,
        )  # fmt: skip
        gate = CallGate(options.concurrency)
        task = ImageTask(
            batch, image_reader(clients, options.images), masks, invoker(clients, info.name), gate
        )
        outcome = BatchOutcome()
        started = time.monotonic()
        _run(images, task, outcome)
        _report(outcome, task, options, time.monotonic() - started)


def _masks(clients: Clients, options: PrefixOptions) -> MaskFolder:
    """Return where the masks are written. Raises InputError, AwsError."""
    if options.out.startswith("s3://"):
        from core.aws.client_batch import s3_masks

        return s3_masks(clients, options.out)
    from core.batch.client import LocalMasks

    folder = LocalMasks(Path(options.out))
    make_folder(folder.root)
    _check_writable(folder.root)
    if options.resume:
        parts = folder.root.rglob(".*.part")
        # The finished tiles of a map may be there as well: they belong to their own run.
        clear_partial_files(folder.root, [path for path in parts if path.parent.suffix != ".tiles"])
    return folder


def _check_writable(folder: Path) -> None:
    """Write an empty file: each image is billed. Raises InputError."""
    from core.errors import InputError
    from core.local_files import reason

    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(
            f"{folder} cannot be written.",
            why=reason(error),
            todo="Choose a folder with write permission and enough space.",
        ) from error


def _run(images: tuple[BatchImage, ...], task: ImageTask, outcome: BatchOutcome) -> None:
    from core.batch.client import segment_all

    with progress(memory_column()) as bar:
        line = bar.add_task(f"Invoking {task.batch.endpoint}", total=len(images))
        segment_all(images, task, outcome, lambda: bar.advance(line))


def _report(outcome: BatchOutcome, task: ImageTask, options: PrefixOptions, seconds: float) -> None:
    """Print results on standard output, failures on standard error. Raises Exit: 1 for failures, 130 for Ctrl-C."""
    failed = [failure_row(uri, error) for uri, error in outcome.failed]
    if options.as_json:
        print_json(
            endpoint=task.batch.endpoint,
            images=outcome.done,
            skipped=outcome.skipped,
            failed=failed,
            stopped=outcome.stopped,
            in_progress=outcome.in_progress,
            not_attempted=outcome.not_attempted,
            throttled=task.gate.throttled,
            seconds=round(seconds, 3),
        )
    else:
        write_rows(outcome.done)
    say_notes(outcome.done)
    if options.debug:
        for _, error in outcome.failed:
            say_block("".join(traceback.format_exception(error)))
    print_failures(failed)
    _say_summary(outcome, task, options, seconds)
    if outcome.stopped:
        raise typer.Exit(STOPPED)
    if outcome.failed:
        raise typer.Exit(FAILED)


def _say_summary(outcome: BatchOutcome, task: ImageTask, options: PrefixOptions, seconds: float) -> None:
    done, skipped, failed = len(outcome.done), len(outcome.skipped), len(outcome.failed)
    total = done + skipped + failed + outcome.in_progress + outcome.not_attempted
    if options.resume:
        say(
            f"Skipped {skipped:,} of {total:,} images that have a valid mask; the endpoint was not invoked for them."
        )
    if task.gate.throttled:
        say(
            f"The endpoint throttled {plural(task.gate.throttled, 'call')}, which were repeated; the images in "
            f"flight went down to {task.gate.lowest}."
        )
    speed = f" ({done / seconds:.1f} images per second)" if done and seconds else ""
    say(
        f"{done:,} of {total:,} images segmented in {seconds:.1f} s{speed}, {failed:,} failed. Masks: {options.out}"
    )
    if outcome.fault is not None:
        from core.batch.client import MAX_FAILURES

        say(f"Stopped after {MAX_FAILURES} consecutive failures. {outcome.fault}")
    if outcome.in_progress:
        say(
            f"{plural(outcome.in_progress, 'image')} in progress: their masks may still be written, and --resume "
            "finds them. Segdeck exits when their calls have ended."
        )
    if outcome.not_attempted:
        say(
            f"{'Stopped. ' if outcome.stopped else ''}{plural(outcome.not_attempted, 'image')} not attempted. "
            "To continue, run the same command with --resume."
        )
