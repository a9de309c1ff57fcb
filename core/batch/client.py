"""Segment many images with an endpoint, several at once, and write one mask for each.

A mask is an indexed PNG of the class ids at the image's size. It stores its own summary: the image, its hash in S3
(ETag), the settings and the class areas. So a mask is complete in itself, and `resume` skips exactly the images whose
mask is valid and would be the same.

Only as many images are in memory as are segmented at once. Reading, writing and invoking are arguments, so nothing
here uses the network.
"""

from __future__ import annotations

import threading
import traceback
from collections import deque
from collections.abc import Callable, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from core.batch.results import read_output
from core.errors import AwsError, CoreError, DecodeError, InputError, ModelError, NotFoundError, TooLargeError
from core.escaping import json_text
from core.imaging.classes import Classes
from core.imaging.image import encode
from core.imaging.pixel_budget import PIXELS
from core.inference.batch import printable
from core.inference.export import summary_row, write_new
from core.inference.gate import CallGate, StoppedError
from core.inference.invoke import EndpointResponse, Inference, Invoke, Want, segment
from core.inference.pipeline import opened_photo, photo_labels
from core.local_files import read_regular, reason
from core.render.legend import areas
from core.render.masks import mask_png, png_text
from core.render.palette import table
from core.strict_json import parse_json
from core.wire.decode import PNG, decoded_bytes

KEYWORD = "segdeck"
"""Of the summary that is stored in a mask."""

BYTES_PER_PIXEL = 4
"""Memory per pixel while a mask is made: the labels, the indexed image, and its PNG."""

AHEAD = 4
"""Images per thread that wait for their turn; only their names are in memory."""

MAX_FAILURES = 10
"""Consecutive failures of AWS or of the folder, not of single images, after which the batch stops."""

ARCHIVED, CHANGED = "InvalidObjectState", "PreconditionFailed"
"""The codes of S3 for an object in an archive class that was not restored, and for one with another content."""


class UnwritableError(InputError):
    """A mask cannot be written, for a reason that other masks of the folder may share."""


@dataclass(frozen=True, slots=True)
class BatchImage:
    """An image to segment.

    key:  its name, below the prefix.
    uri:  its S3 URI.
    etag: changes with its content.
    mask: the name of its mask: relative, with subfolders.
    """

    key: str
    uri: str
    etag: str
    mask: str


@dataclass(frozen=True, slots=True)
class ClientBatch:
    """The settings for all images.

    endpoint:    the endpoint's name.
    model:       of the endpoint, see `EndpointInfo.config`: masks of another are not kept. Empty: unknown.
    origin:      its account and region, see `Connection.origin`; empty: unknown.
    classes:     its names and colors; None: the decoder's defaults.
    want:        "probabilities" or "mask".
    palette:     a name of `core.render.palette.PALETTES`.
    fit:         the input size limit, (width, height) in pixels; None: the original size.
    concurrency: how many images are segmented at once.
    overwrite:   whether existing files may be replaced.
    resume:      whether images with a valid mask are skipped.
    """

    endpoint: str
    origin: str
    classes: Classes | None
    want: Want
    palette: str
    fit: tuple[int, int] | None
    concurrency: int
    overwrite: bool = False
    resume: bool = False
    model: str = ""

    def request(self) -> dict[str, Any]:
        """Return the settings that determine a mask."""
        return {
            "endpoint": self.endpoint,
            "model": self.model,
            "origin": self.origin,
            "output": self.want,
            "size": None if self.fit is None else list(self.fit),
            "palette": self.palette,
        }


class MaskFolder(Protocol):
    """Where masks are written: a folder, or an S3 prefix. Names are relative, with subfolders."""

    def place(self, name: str) -> str:
        """Return the path or URI of a mask."""

    def exists(self, name: str) -> bool:
        """Return whether there is a file of that name. Raises InputError if it cannot be."""

    def read(self, name: str) -> bytes:
        """Return the content of an existing file. Raises InputError, AwsError."""

    def write(self, name: str, body: bytes, *, replace: bool) -> None:
        """Write a mask in one step. Raises InputError if it exists and is not to be replaced, AwsError."""


@dataclass(frozen=True, slots=True)
class LocalMasks:
    """Masks in a folder."""

    root: Path

    def place(self, name: str) -> str:
        """Return the path of a mask."""
        return printable(str(self.root / name))

    def exists(self, name: str) -> bool:
        """Return whether there is anything of that name, also a broken link. Raises InputError."""
        path = self.root / name
        try:
            path.lstat()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise InputError(
                f"{printable(str(path))} cannot be written.", why=reason(error), todo="Choose another folder."
            ) from error
        return True

    def read(self, name: str) -> bytes:
        """Return the content of a file. Raises InputError."""
        path = self.root / name
        try:
            return read_regular(path)
        except OSError as error:
            raise InputError(
                f"{path} cannot be read.", why=reason(error), todo="Check its permissions."
            ) from error

    def write(self, name: str, body: bytes, *, replace: bool) -> None:
        """Write a mask, and create its folders. Raises InputError."""
        path = self.root / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UnwritableError(
                f"The folder {path.parent} cannot be created.",
                why=reason(error),
                todo="Choose another folder.",
            ) from error
        try:
            write_new(path, body, overwrite=replace)
        except InputError as error:
            cause = error.__cause__
            if isinstance(cause, FileExistsError) or not isinstance(cause, OSError):
                raise
            raise UnwritableError(error.what, why=error.why, todo=error.todo) from cause


@dataclass(slots=True)
class BatchOutcome:
    """What happened to the images. Threads append to the lists until `finish`, which sorts them.

    done, skipped: summaries of the images that were segmented, and of those whose mask was valid already.
    failed:        (URI, error) of the others.
    in_progress:   how many were not waited for, because the batch was interrupted twice. Their masks may be written.
    not_attempted: how many were left when the batch was stopped.
    stopped:       whether it was interrupted.
    fault:         the error after which the batch stopped, because it concerns all images; None if it did not.
    """

    done: list[dict[str, Any]] = field(default_factory=list)
    skipped: list[dict[str, Any]] = field(default_factory=list)
    failed: list[tuple[str, Exception]] = field(default_factory=list)
    in_progress: int = 0
    not_attempted: int = 0
    stopped: bool = False
    fault: CoreError | None = None
    _started: int = 0
    _finished: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def start(self) -> None:
        """Note that an image is in progress."""
        with self._lock:
            self._started += 1

    def end(self, note: Callable[[], object] = lambda: None) -> None:
        """Note that it no longer is, and with `note` its result; nothing is noted after `finish`."""
        with self._lock:
            if not self._finished:
                self._started -= 1
                note()

    def finish(self, total: int) -> None:
        """Sort the images by name, and count those that were not attempted, or are still in progress."""
        with self._lock:
            self._finished = True
            self.in_progress = self._started
        self.done.sort(key=lambda row: str(row["path"]))
        self.skipped.sort(key=lambda row: str(row["path"]))
        self.failed.sort(key=lambda row: row[0])
        ended = len(self.done) + len(self.skipped) + len(self.failed)
        self.not_attempted = total - ended - self.in_progress


@dataclass(frozen=True, slots=True)
class ImageTask:
    """Segments one image, in any thread. read: returns an image's bytes. accepts: see `segment`."""

    batch: ClientBatch
    read: Callable[[BatchImage], bytes]
    masks: MaskFolder
    invoke: Invoke
    gate: CallGate
    accepts: MutableMapping[str, str] = field(default_factory=dict)

    def run(self, image: BatchImage) -> tuple[dict[str, Any], bool]:
        """Return the image's summary, and whether its mask was valid already.

        Whether the mask may be written is checked before the invocation, which is billed.

        Raises InputError, AwsError, DecodeError, StoppedError.
        """
        if self.gate.stopped:
            raise StoppedError
        replace = self.batch.overwrite
        notes: list[str] = []
        if self.masks.exists(image.mask) and not self.batch.overwrite:
            body = self._existing(image)
            row = self._own_summary(image, body)
            damage = self._damage(image, body, row)
            if not damage:
                return row | self._places(image), True
            replace, notes = True, [f"The existing mask was not valid, and was made again. {damage}"]
        name = printable(image.key)
        inference, size, seen = self._inference(image, name)
        with photo_labels(inference, name, bytes_per_pixel=BYTES_PER_PIXEL) as labels:
            colors = table(self.batch.palette, inference.segmentation.classes)
            found = areas(inference.segmentation, colors, labels=labels)
            row = summary_row(name, size, (*seen, *notes), inference, found)
            row["seconds"]["endpoint"] = inference.answer.seconds  # without waiting for a place
            row |= {"request": self.batch.request(), "source": image.uri, "etag": image.etag}
            body = mask_png(labels, colors, text={KEYWORD: json_text(row, indent=None)})
        self.masks.write(image.mask, body, replace=replace)
        return row | self._places(image), False

    def _inference(self, image: BatchImage, name: str) -> tuple[Inference, tuple[int, int], tuple[str, ...]]:
        """Return the inference, the image's (width, height), and how it was read."""
        try:
            data = self.read(image)
        except NotFoundError as error:
            raise InputError(f"{image.uri} was deleted while the batch ran.") from error
        except AwsError as error:
            if error.code == CHANGED:
                raise InputError(
                    f"{image.uri} was changed while the batch ran.",
                    todo="Run the same command with --resume.",
                ) from error
            if error.code != ARCHIVED:
                raise
            raise InputError(
                f"{image.uri} is archived.", why="S3 Glacier holds it.", todo="Restore the object first."
            ) from error
        with opened_photo(data, name, extra=BYTES_PER_PIXEL) as photo:
            encoded = encode(photo, fit=self.batch.fit)
            size, notes = (photo.width, photo.height), tuple(photo.notes)
            del photo
        del data
        inference = segment(
            encoded,
            self._gated,
            endpoint=self.batch.endpoint,
            accepts=self.accepts,
            want=self.batch.want,
            classes=self.batch.classes,
        )
        return inference, size, notes

    def _gated(self, body: bytes, content_type: str, accept: str) -> EndpointResponse:
        return self.gate.call(lambda: self.invoke(body, content_type, accept))

    def _places(self, image: BatchImage) -> dict[str, Any]:
        return {"path": printable(image.uri), "files": {"mask": self.masks.place(image.mask)}}

    def _existing(self, image: BatchImage) -> bytes:
        """Return an existing mask. Raises InputError unless the batch resumes an earlier one; AwsError."""
        if self.batch.resume:
            return self.masks.read(image.mask)
        raise InputError(
            f"{self.masks.place(image.mask)} already exists.",
            why="Files are only overwritten if you ask for it. The endpoint was not invoked.",
            todo="Choose another place, use --resume to continue an interrupted run, or --overwrite to replace.",
        )

    def _own_summary(self, image: BatchImage, body: bytes) -> dict[str, Any]:
        """Return the summary in an existing mask. Raises InputError if it is not of this image and batch."""
        place = self.masks.place(image.mask)
        row = _stored_summary(body)
        if row is None:
            raise InputError(
                f"{place} already exists.",
                why="It is not from an interrupted run, so it is kept. The endpoint was not invoked.",
                todo="Choose another place, or use --overwrite to replace it.",
            )
        earlier, request = row["request"], self.batch.request()
        changed = [key for key, value in request.items() if earlier.get(key) != value]
        if changed:
            differences = ", ".join(f"{key} {earlier.get(key)!r} and now {request[key]!r}" for key in changed)
            raise InputError(
                f"{place} was written with different settings: {differences}.",
                why="Resuming would mix results of both. The endpoint was not invoked.",
                todo="Use the earlier settings, choose another place, or use --overwrite to recreate all results.",
            )
        if row["source"] != printable(image.uri) or row["etag"] != image.etag:
            raise InputError(
                f"{place} was written for another image than {printable(image.uri)}.",
                why="The image has changed since, or the list of images is different. The endpoint was not invoked.",
                todo="Choose another place, or use --overwrite to recreate all results.",
            )
        return row

    def _damage(self, image: BatchImage, body: bytes, row: dict[str, Any]) -> str:
        """Return why an existing mask is not valid, empty if it is: it is decoded, as `batch resume` does."""
        try:
            with PIXELS.share(decoded_bytes(body, PNG), printable(image.key)):
                measured, _ = read_output(printable(image.key), body, PNG, None)
        except DecodeError as error:
            return str(error)
        known = len(row["class_names"])
        if unknown := [class_id for class_id in measured.pixels if class_id >= known]:
            return f"It has the class {unknown[0]}; its classes are 0 to {known - 1}."
        wanted = row["photo"]
        if (measured.width, measured.height) != (wanted.get("width"), wanted.get("height")):
            return f"It is {measured.width} x {measured.height} pixels, unlike its image."
        return ""


def segment_all(
    images: Sequence[BatchImage], task: ImageTask, outcome: BatchOutcome, on_image: Callable[[], None]
) -> None:
    """Segment the images and record each in `outcome`. An image that fails does not stop the others.

    Ctrl-C, and `MAX_FAILURES` consecutive failures that concern all images, let the images in progress end and start
    no more. A second Ctrl-C does not wait for them either: see `BatchOutcome.in_progress`. Their threads continue.

    on_image: called after each image, in any thread.
    """

    def run(image: BatchImage) -> Exception | None:
        outcome.start()
        try:
            row, skipped = task.run(image)
        except StoppedError:
            outcome.end()
            return None
        except Exception as failure:  # noqa: BLE001 - one image never stops the rest; all failures are reported
            error = failure
            release(error)
            outcome.end(lambda: outcome.failed.append((printable(image.uri), error)))
            on_image()
            return error
        outcome.end(lambda: (outcome.skipped if skipped else outcome.done).append(row))
        on_image()
        return None

    workers = task.batch.concurrency
    pool = ThreadPoolExecutor(workers, thread_name_prefix="segment")
    try:
        try:
            _run_all(images, pool, run, AHEAD * workers, outcome)
        except KeyboardInterrupt:
            outcome.stopped = True
        task.gate.stop()
        pool.shutdown(cancel_futures=True)
    except KeyboardInterrupt:
        outcome.stopped = True
    finally:
        task.gate.stop()
        pool.shutdown(wait=False, cancel_futures=True)
    outcome.finish(len(images))


def _run_all(
    images: Sequence[BatchImage],
    pool: ThreadPoolExecutor,
    run: Callable[[BatchImage], Exception | None],
    ahead: int,
    outcome: BatchOutcome,
) -> None:
    """Run each image in the pool, until too many consecutive ones have failed. ahead: submitted at once."""
    left = iter(images)
    failures = 0
    waiting = deque(pool.submit(run, image) for image in islice(left, ahead))
    while waiting:
        error = waiting.popleft().result()
        waiting.extend(pool.submit(run, image) for image in islice(left, 1))
        failures = failures + 1 if concerns_all(error) else 0
        if failures >= MAX_FAILURES and isinstance(error, CoreError):
            outcome.fault = error
            return


def release(error: BaseException | None) -> None:
    """Drop the local variables that an error's traceback holds, such as the image: many errors may be kept."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def concerns_all(error: Exception | None) -> bool:
    """Return whether other images would fail too: the endpoint is missing, credentials expired, the disk is full."""
    if isinstance(error, AwsError):
        return not isinstance(error, ModelError | TooLargeError)
    return isinstance(error, UnwritableError)


def _stored_summary(body: bytes) -> dict[str, Any] | None:
    """Return the summary that `ImageTask` stored in a mask; None for any other file."""
    try:
        row = parse_json(png_text(body, KEYWORD))
    except ValueError:
        return None
    wanted = {"request": dict, "source": str, "etag": str, "photo": dict, "classes": list, "seconds": dict}
    wanted |= {"class_names": list}
    wanted |= {"notes": list, "problems": list}
    valid = isinstance(row, dict) and all(isinstance(row.get(name), kind) for name, kind in wanted.items())
    return row if valid else None
