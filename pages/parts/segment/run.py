"""Pictures on their way through an endpoint, in the background.

A page must answer to its visitor while an endpoint thinks for a minute. So each picture has a thread of its own; the
page starts it, looks at it, and never waits. Nothing in these threads may touch Streamlit.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, MutableMapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, field, replace
from functools import partial
from threading import Lock, Semaphore, Thread
from typing import Literal
from weakref import WeakSet

from PIL import Image

from core.aws.connection import Connection, clients
from core.aws.runtime import invoker
from core.imaging.classes import Classes
from core.imaging.image import EncodedImage, encode, preview, resize_labels, shrunk
from core.inference.invoke import Inference, Want, segment
from core.inference.invoke import Stage as InferenceStage
from core.inference.pipeline import opened_photo, photo_labels
from core.render.legend import ClassArea, areas
from core.render.overlay import overlay_image
from core.render.palette import table
from pages.parts import cached
from pages.parts.state import Slot
from pages.parts.viewer.frame import build

AT_ONCE = 2
"""Pictures asked for at the same time. An endpoint answers one after the other; a second one fills the pauses."""

KEPT_BYTES = 256_000_000
"""Of raw answers in one session. Older ones then lose their probabilities, which can be asked for again."""

PROCESS_BYTES = 512_000_000
"""Of raw answers in all sessions together: thirty visitors may not take thirty times `KEPT_BYTES`."""

SPARE = 16
"""Answered pictures kept that are not on the page: whoever switches back to an endpoint finds them at once."""

Stage = Literal["waiting", InferenceStage, "done", "failed"]

OWN_SIZE_BYTES, FITTED_BYTES = 5, 1
"""Bytes a pixel next to a photo while it is encoded: at its own size, or within a box, where copies are small."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that came in.

    id:   the same for the same content.
    name: the file's, as its owner calls it.
    read: gives the file's bytes; called in another thread.
    """

    id: str
    name: str
    read: Callable[[], bytes] = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class SegmentRequest:
    """What is asked about a picture; the same question is never asked twice.

    fit: the box that the model sees the picture in, (width, height); None: its own size.
    """

    picture: str
    connection: Connection
    endpoint: str
    want: Want
    fit: tuple[int, int] | None


@dataclass(frozen=True, slots=True, eq=False)
class SegmentResult:
    """A picture, answered and ready to be looked at.

    frame:        what the viewer shows.
    thumbnail:    JPEG, the mask laid over the photo.
    areas:        of the classes, on the mask at the photo's own size.
    draw_seconds: what making these took.
    """

    inference: Inference
    frame: bytes
    thumbnail: bytes
    areas: tuple[ClassArea, ...]
    draw_seconds: float

    @property
    def raw_bytes(self) -> int:
        """What of it `without_probabilities` would free."""
        return len(self.inference.answer.body)

    def without_probabilities(self) -> SegmentResult:
        """The same with labels and confidence alone; the viewer keeps what it shows."""
        found = self.inference
        return replace(
            self,
            inference=replace(
                found,
                segmentation=replace(found.segmentation, probabilities=None),
                answer=replace(found.answer, body=b""),
            ),
        )


@dataclass(eq=False)
class InferenceTask:
    """One picture on its way. Written by its thread, read by the page.

    wanted: set to False, it is dropped if its turn has not come.
    """

    picture: Picture
    request: SegmentRequest
    stage: Stage = "waiting"
    started: float = field(default_factory=time.monotonic)
    seconds: float = 0.0
    thumbnail: bytes | None = None
    wanted: bool = True
    future: Future[SegmentResult] = field(default_factory=Future)

    @property
    def over(self) -> bool:
        """Whether it is done or failed."""
        return self.future.done()

    @property
    def error(self) -> BaseException | None:
        """Why it failed; None if it did not, or is not over."""
        return self.future.exception() if self.over and not self.future.cancelled() else None

    @property
    def result(self) -> SegmentResult | None:
        """What came of it; None if nothing did, or not yet."""
        return self.future.result() if self.over and self.error is None else None


class AnswerBudget:
    """A bound on the raw answers that all sessions keep together; above it the oldest lose their probabilities.

    The youngest answer is always kept. Sessions that end are forgotten with their `SegmentationQueue`.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._benches: WeakSet[SegmentationQueue] = WeakSet()
        self._lock = Lock()

    def add(self, bench: SegmentationQueue) -> None:
        """Count this session's answers as well."""
        with self._lock:
            self._benches.add(bench)

    def enforce(self) -> None:
        """Drop probabilities, oldest answers first, until the rest fits. Any thread may call this."""
        with self._lock:
            works = [work for bench in self._benches for work in bench.answered()]
            kept = 0
            for place, work in enumerate(sorted(works, key=lambda each: each.started, reverse=True)):
                result = work.result
                if result is None or not result.raw_bytes:
                    continue
                kept += result.raw_bytes
                if kept > self._most_bytes and place:
                    kept -= result.raw_bytes
                    work.future = _finished(result.without_probabilities())


ANSWERS = AnswerBudget(PROCESS_BYTES)
"""That of this process."""


class SegmentationQueue:
    """The pictures of one session, at work and done; `kept_bytes` of raw answers at most, and the youngest one.

    budget: the bound that holds for all sessions together.
    """

    def __init__(self, kept_bytes: int = KEPT_BYTES, budget: AnswerBudget = ANSWERS) -> None:
        self._kept_bytes, self._budget = kept_bytes, budget
        self._works: dict[SegmentRequest, InferenceTask] = {}
        self._turns = Semaphore(AT_ONCE)
        budget.add(self)

    def answered(self) -> list[InferenceTask]:
        """Return the works that have a result, oldest question first."""
        return [work for work in list(self._works.values()) if work.result is not None]

    def ask(self, picture: Picture, request: SegmentRequest, classes: Classes | None) -> InferenceTask:
        """The work on this question: the one that is there, else a new one."""
        if (work := self._works.get(request)) is None:
            work = self._works[request] = InferenceTask(picture, request)
            # A daemon: the dashboard can be stopped while an endpoint thinks.
            job = partial(_segment, work, classes, cached.accepts(request.connection))
            Thread(
                target=_run, args=(work, job, self._turns, self._budget), daemon=True, name=picture.name
            ).start()
        else:
            self._works[request] = self._works.pop(request)  # youngest last
        return work

    def keep_to(self, works: Sequence[InferenceTask]) -> None:
        """Drop what nobody asks for any more, but for the last few that are done, and hold the answers in bounds."""
        others = [work for work in self._works.values() if work not in works]
        done = [work for work in others if work.result is not None]
        for work in others:
            if work.stage == "waiting" or work.error is not None or work in done[:-SPARE]:
                work.wanted = False
                del self._works[work.request]
        self._shrink()

    def retry(self, works: Sequence[InferenceTask]) -> None:
        """Forget these, so that they are asked anew."""
        for work in works:
            self._works.pop(work.request, None)

    def _shrink(self) -> None:
        done = self.answered()
        kept = 0
        for work in reversed(done):
            if (result := work.result) is None:
                continue
            kept += result.raw_bytes
            if kept > self._kept_bytes and work is not done[-1] and result.raw_bytes:
                kept -= result.raw_bytes
                work.future = _finished(result.without_probabilities())


QUEUE: Slot[SegmentationQueue] = Slot("segment.queue")


def queue() -> SegmentationQueue:
    """Return this session's images, waiting, in work and done."""
    return QUEUE.setdefault(SegmentationQueue)


def wait_a_little(works: Sequence[InferenceTask], seconds: float) -> None:
    """Until one of these is over, or the time is."""
    wait([work.future for work in works if not work.over], timeout=seconds, return_when="FIRST_COMPLETED")


def digest(data: bytes | memoryview) -> str:
    """The id of a picture's content."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _run(
    work: InferenceTask, job: Callable[[], SegmentResult], turns: Semaphore, budget: AnswerBudget
) -> None:
    with turns:
        if not work.wanted:
            work.future.cancel()
            return
        work.stage, work.started = (
            "preparing",
            time.monotonic(),
        )  # its turn has come: `keep_to` drops it no more
        try:
            result = job()
        except BaseException as error:  # noqa: BLE001  # told by the page, which reads the future
            _close(work, "failed")
            work.future.set_exception(error)
        else:
            _close(work, "done")
            work.future.set_result(result)
            budget.enforce()


def _close(work: InferenceTask, stage: Stage) -> None:
    work.seconds = time.monotonic() - work.started
    work.stage = stage


def _segment(
    work: InferenceTask, classes: Classes | None, accepts: MutableMapping[str, str]
) -> SegmentResult:
    request = work.request
    prepared = _prepare(work)
    inference = segment(
        prepared.image,
        invoker(clients(request.connection), request.endpoint),
        endpoint=request.endpoint,
        accepts=accepts,
        want=request.want,
        classes=classes,
        on_stage=partial(_set_stage, work),
    )
    work.stage = "drawing"
    return _drawn(work, prepared, inference)


@dataclass(frozen=True, slots=True, eq=False)
class _Prepared:
    """What remains of a photo while the endpoint is at work: no memory is held for it then.

    image: to be sent; shown: for the viewer; small: the thumbnail, RGB.
    """

    image: EncodedImage
    shown: EncodedImage
    small: Image.Image


def _prepare(work: InferenceTask) -> _Prepared:
    """Decode and encode the photo, in its turn."""
    data, name, fit = work.picture.read(), work.picture.name, work.request.fit
    extra = OWN_SIZE_BYTES if fit is None else FITTED_BYTES
    with opened_photo(data, name, extra=extra, on_stage=partial(_set_stage, work)) as photo:
        small = shrunk(photo.pixels, cached.THUMBNAIL)
        work.thumbnail = cached.thumbnail_of(small)
        image = encode(photo, fit=fit)
        prepared = _Prepared(image, preview(photo) if image.reduced else image, small)
        del photo  # before the share is given back
        return prepared


def _set_stage(work: InferenceTask, stage: Stage) -> None:
    work.stage = stage


def _drawn(work: InferenceTask, prepared: _Prepared, inference: Inference) -> SegmentResult:
    started = time.perf_counter()
    found, image = inference.segmentation, prepared.image
    height, width = image.photo_height, image.photo_width
    frame = build(prepared.shown.body, (width, height), found)
    seconds = time.perf_counter() - started
    masked = _masked(prepared.small, inference)
    with photo_labels(
        inference, work.picture.name, bytes_per_pixel=2, on_stage=partial(_set_stage, work)
    ) as labels:
        rows = areas(found, labels=labels)
        del labels  # before the share is given back
    return SegmentResult(inference, frame, masked, rows, seconds)


def _masked(small: Image.Image, inference: Inference) -> bytes:
    """The thumbnail with the mask laid over."""
    found = inference.segmentation
    labels = resize_labels(found.labels, small.height, small.width)
    return cached.thumbnail_of(overlay_image(small, labels, table("model", found.classes), 0.6))


def _finished(result: SegmentResult) -> Future[SegmentResult]:
    future: Future[SegmentResult] = Future()
    future.set_result(result)
    return future
