"""Inference of images in the background.

Each image is a task with a thread of its own; a few of them run at once.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, MutableMapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from threading import Lock, Semaphore
from weakref import WeakSet, WeakValueDictionary

from PIL import Image

from core.aws.connection import Connection, clients
from core.aws.runtime import invoker
from core.imaging.classes import Classes
from core.imaging.geokeys import is_georeferenced
from core.imaging.image import EncodedImage, encode, preview, resize_labels, shrunk
from core.inference.invoke import Inference, Stage, Want, segment
from core.inference.pipeline import opened_photo, photo_labels
from core.render.legend import ClassArea, areas
from core.render.overlay import overlay_image
from core.render.palette import table
from core.runs.responses import ModelIdentity
from core.wire.decode import PNG
from pages.parts import cached
from pages.parts.segment.cache import ResponseSource, not_cached, segment_once, stop_waiting
from pages.parts.segment.images import InputImage
from pages.parts.state import Slot
from pages.parts.tasks import BackgroundTask
from pages.parts.viewer.frame import build

AT_ONCE = 2
"""Images sent at the same time. An endpoint handles one after the other; a second one fills the pauses."""

KEPT_BYTES = 256_000_000
"""Bytes of raw responses that a session keeps. Older images then lose their probabilities."""

PROCESS_BYTES = 512_000_000
"""Bytes of raw responses that all sessions keep together: thirty users may not take thirty times `KEPT_BYTES`."""

SPARE = 16
"""Finished and failed images kept that are not on the page: a user who switches back sees them at once."""

ELSEWHERE = "waiting for the same request elsewhere"
"""The stage of an image that another session or process has sent already."""

ORIGINAL_SIZE_BYTES, FITTED_BYTES = 5, 1
"""Bytes per pixel next to an image while it is encoded: at its original size, or in a box, where copies are small."""


@dataclass(frozen=True, slots=True)
class SegmentRequest:
    """What is requested for an image; the same request is never sent twice.

    fit:   the box that the image is fitted into, (width, height) in pixels; None: its original size.
    model: what the endpoint serves; None if unknown, or if responses are not stored.
    """

    image_id: str
    connection: Connection
    endpoint: str
    want: Want
    fit: tuple[int, int] | None
    model: ModelIdentity | None = None


@dataclass(frozen=True, slots=True, eq=False)
class SegmentResult:
    """A segmented image, ready to be shown.

    frame:          what the viewer shows.
    thumbnail:      JPEG, the mask laid over the image.
    areas:          of the classes, on the mask at the image's original size.
    render_seconds: how long it took to make the frame.
    notes:          on how the image was decoded, such as the bands of a TIFF.
    georeferenced:  whether the file of the image has coordinates.
    """

    inference: Inference
    frame: bytes
    thumbnail: bytes
    areas: tuple[ClassArea, ...]
    render_seconds: float
    notes: tuple[str, ...] = ()
    georeferenced: bool = False

    @property
    def response_bytes(self) -> int:
        """Return how many bytes `without_probabilities` would free."""
        return len(self.inference.answer.body)

    @property
    def labels_only(self) -> bool:
        """Return whether the endpoint sent probabilities of which only the class ids are left."""
        answer = self.inference.answer
        removed = self.inference.cached and answer.content_type == PNG and self.inference.accept != PNG
        return removed or not answer.body

    def without_probabilities(self) -> SegmentResult:
        """Return the same with labels and confidence alone; the viewer keeps what it shows."""
        inference = self.inference
        return replace(
            self,
            inference=replace(
                inference,
                segmentation=replace(inference.segmentation, probabilities=None),
                answer=replace(inference.answer, body=b""),
            ),
        )


@dataclass(eq=False)
class InferenceTask(BackgroundTask[SegmentResult]):
    """The inference of one image. Its stages, once its turn has come, are those of `core.inference.invoke`.

    source:       stored responses to look in before the endpoint is invoked; None: there are none.
    may_invoke:   whether the endpoint may be invoked, which is billed.
    complete:     whether a stored response without its probabilities is not enough.
    response_key: of the response in the store; empty before it is known.
    """

    image: InputImage
    request: SegmentRequest
    source: ResponseSource | None = None
    may_invoke: bool = True
    complete: bool = False
    response_key: str = ""
    thumbnail: bytes | None = None

    def set_stage(self, stage: Stage) -> None:
        """Note the step that has begun."""
        self.stage = stage

    def discard_probabilities(self) -> None:
        """Free the raw response of a finished task."""
        if (result := self.result) is not None:
            future: Future[SegmentResult] = Future()
            future.set_result(result.without_probabilities())
            self.future = future


class ResponseBudget:
    """A bound on the raw responses that all sessions keep together; above it the oldest lose their probabilities.

    The newest response is always kept. A session that ends leaves the budget with its `SegmentationQueue`.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._queues: WeakSet[SegmentationQueue] = WeakSet()
        self._lock = Lock()

    def add(self, queue: SegmentationQueue) -> None:
        """Count this session's responses as well."""
        with self._lock:
            self._queues.add(queue)

    def enforce(self) -> None:
        """Discard probabilities, oldest first, until the rest fits. Any thread may call this."""
        with self._lock:
            finished = [task for queue in self._queues for task in queue.finished()]
            _discard_oldest(sorted(finished, key=lambda task: task.started, reverse=True), self._most_bytes)


RESPONSES = ResponseBudget(PROCESS_BYTES)
"""The budget of this process."""


class SegmentationQueue:
    """The images of one session, waiting, running and done.

    kept_bytes: of raw responses that are kept at most, and the newest one.
    budget:     the bound that holds for all sessions together.
    """

    def __init__(self, kept_bytes: int = KEPT_BYTES, budget: ResponseBudget = RESPONSES) -> None:
        self._kept_bytes, self._budget = kept_bytes, budget
        self._tasks: dict[SegmentRequest, InferenceTask] = {}
        self._again: set[SegmentRequest] = set()
        self._turns = Semaphore(AT_ONCE)
        budget.add(self)

    def finished(self) -> list[InferenceTask]:
        """Return the tasks that have a result, the oldest request first."""
        return [task for task in list(self._tasks.values()) if task.result is not None]

    def submit(
        self,
        image: InputImage,
        request: SegmentRequest,
        classes: Classes | None,
        *,
        source: ResponseSource | None = None,
        may_invoke: bool = True,
        response_key: str = "",
    ) -> InferenceTask:
        """Return the task of this request; where there is none, start one.

        source, may_invoke, response_key: see `InferenceTask`. With a source, a task of another session is shared.
        """
        again = request in self._again
        if (task := self._tasks.get(request)) is not None and not task.future.cancelled():
            self._tasks[request] = self._tasks.pop(request)  # newest last
            return task
        shared = _shared_tasks() if source is not None else None
        with _SHARING:
            task = None if shared is None or again else shared.get(request)
            if task is not None and _can_share(task, image, may_invoke=may_invoke):
                self._tasks[request] = task
                return task
            task = self._tasks[request] = InferenceTask(
                image.name, image, request,
                source=source, may_invoke=may_invoke or again, complete=again, response_key=response_key,
            )  # fmt: skip
            if shared is not None:
                shared[request] = task
        self._again.discard(request)
        budget = self._budget  # the thread must not keep the queue of a session that has ended
        task.future.add_done_callback(lambda _: budget.enforce())
        task.begin(partial(_segment, task, classes, cached.accepts(request.connection)), self._turns)
        return task

    def keep_only(self, tasks: Sequence[InferenceTask]) -> None:
        """Drop all other tasks but the last few that are over, and discard responses beyond the bound.

        A failed task is kept too, so that submitting its request again sends nothing.
        """
        others = [task for task in self._tasks.values() if task not in tasks]
        over = [task for task in others if task.over and not task.future.cancelled()]
        for task in others:
            if task.stage == "waiting" or task.future.cancelled() or task in over[:-SPARE]:
                task.stop.set()
                del self._tasks[task.request]
        _discard_oldest(self.finished()[::-1], self._kept_bytes)

    def retry(self, tasks: Iterable[InferenceTask]) -> None:
        """Forget these, so that the next run of the page sends them, unless their complete response is stored."""
        for task in tasks:
            self._tasks.pop(task.request, None)
            self._again.add(task.request)


def _can_share(task: InferenceTask, image: InputImage, *, may_invoke: bool) -> bool:
    """Return whether a task of another session can be shown for this image. One that failed is tried again."""
    return (
        task.image == image
        and not task.future.cancelled()
        and (task.may_invoke or task.result is not None or not may_invoke)
        and (task.error is None or not may_invoke)
    )


_SHARING = Lock()
"""Held while a task is looked up among those of all sessions, or added to them."""


def _shared_tasks() -> WeakValueDictionary[SegmentRequest, InferenceTask]:
    """Return the tasks of all sessions of this process that look in the store, while anybody uses them.

    After a reload the page is a new session, and images of the old one may still be waiting or on their way.
    """
    return cached.singleton("inference tasks", WeakValueDictionary)


def _discard_oldest(tasks: Sequence[InferenceTask], most_bytes: int) -> None:
    """Discard the responses of these tasks beyond the bound, but not that of the first. tasks: newest first."""
    kept = 0
    for place, task in enumerate(tasks):
        size = 0 if task.result is None else task.result.response_bytes
        if place and size and kept + size > most_bytes:
            task.discard_probabilities()
        else:
            kept += size


QUEUE: Slot[SegmentationQueue] = Slot("segment.queue")


def queue() -> SegmentationQueue:
    """Return this session's queue."""
    return QUEUE.setdefault(SegmentationQueue)


def _segment(
    task: InferenceTask, classes: Classes | None, accepts: MutableMapping[str, str]
) -> SegmentResult:
    prepared = _prepare(task)
    inference = _inference(task, prepared.image, classes, accepts)
    task.set_stage("drawing")
    return _render(task, prepared, inference)


def _inference(
    task: InferenceTask, image: EncodedImage, classes: Classes | None, accepts: MutableMapping[str, str]
) -> Inference:
    """Return the inference from a stored response, else invoke the endpoint."""
    request, source = task.request, task.source

    def invoke() -> Inference:
        if not task.may_invoke:
            raise not_cached(request.endpoint, of_run=source is not None and source.connection is None)
        return segment(
            image,
            invoker(clients(request.connection), request.endpoint),
            endpoint=request.endpoint,
            accepts=accepts,
            want=request.want,
            classes=classes,
            on_stage=task.set_stage,
        )

    def on_wait() -> None:
        task.stage = ELSEWHERE
        stop_waiting(task.stop.is_set)

    if source is None:
        return invoke()
    inference, task.response_key = segment_once(
        source, image, invoke,
        key=task.response_key, want=request.want, classes=classes, complete=task.complete,
        on_stage=task.set_stage, on_wait=on_wait,
    )  # fmt: skip
    return inference


@dataclass(frozen=True, slots=True, eq=False)
class _Prepared:
    """What is kept of an image while the endpoint is at work: no memory is reserved for it then.

    image: to be sent; shown: for the viewer; thumbnail: RGB; notes: on how the image was decoded.
    georeferenced: whether the file has coordinates.
    """

    image: EncodedImage
    shown: EncodedImage
    thumbnail: Image.Image
    notes: tuple[str, ...]
    georeferenced: bool


def _prepare(task: InferenceTask) -> _Prepared:
    """Decode and encode the image."""
    data, name, fit = task.image.read(), task.image.name, task.request.fit
    extra = ORIGINAL_SIZE_BYTES if fit is None else FITTED_BYTES
    with opened_photo(data, name, extra=extra, on_stage=task.set_stage) as photo:
        thumbnail = shrunk(photo.pixels, cached.THUMBNAIL)
        task.thumbnail = cached.thumbnail_of(thumbnail)
        image = encode(photo, fit=fit)
        shown = preview(photo) if image.reduced else image
        prepared = _Prepared(image, shown, thumbnail, photo.notes, is_georeferenced(data))
        del photo  # before its memory is given back
        return prepared


def _render(task: InferenceTask, prepared: _Prepared, inference: Inference) -> SegmentResult:
    started = time.perf_counter()
    image = prepared.image
    frame = build(prepared.shown.body, (image.original_width, image.original_height), inference.segmentation)
    seconds = time.perf_counter() - started
    thumbnail = _masked(prepared.thumbnail, inference)
    with photo_labels(inference, task.image.name, bytes_per_pixel=2, on_stage=task.set_stage) as labels:
        rows = areas(inference.segmentation, labels=labels)
        del labels  # before its memory is given back
    return SegmentResult(inference, frame, thumbnail, rows, seconds, prepared.notes, prepared.georeferenced)


def _masked(thumbnail: Image.Image, inference: Inference) -> bytes:
    """Return the thumbnail with the mask laid over it, as JPEG."""
    segmentation = inference.segmentation
    labels = resize_labels(segmentation.labels, thumbnail.height, thumbnail.width)
    return cached.thumbnail_of(overlay_image(thumbnail, labels, table("model", segmentation.classes), 0.6))
