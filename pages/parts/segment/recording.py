"""The run of the images on the Segment page: written while they are segmented, and opened again by its address.

All images that are on the page with the same endpoint and the same options are one run. It follows the page: images
are added and removed. A run that was opened by a link belongs to somebody else, perhaps: adding to its images, or
removing some, starts another run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import partial

from core.evaluation.pairs import InputFile
from core.runs.run import MOST_LARGEST, Run, RunEndpoint, RunImage
from core.runs.store import RunStore
from pages.parts.run_store import Recorder
from pages.parts.segment import ground_truth
from pages.parts.segment.run import InferenceTask, SegmentRequest, SegmentResult
from pages.parts.state import Slot


@dataclass(eq=False)
class RunRecord:
    """One run of this session.

    run:       without images, which only the store has.
    opened:    the images of a run that was opened by its address; None for one that was started here.
    """

    store: RunStore
    recorder: Recorder
    run: Run
    opened: frozenset[str] | None = None
    _tasks: dict[str, InferenceTask] = field(default_factory=dict)
    _masks: dict[str, str] = field(default_factory=dict)
    _begun: bool = False
    _written: bool = False

    @property
    def deleted(self) -> bool:
        """Return whether the run was stored and has been deleted since."""
        return (self._written or self.opened is not None) and not self.store.has_run(self.run.id)

    def follow(
        self, tasks: Sequence[InferenceTask], masks: Mapping[str, InputFile], restart: Callable[[Run], Run]
    ) -> None:
        """Bring the run in line with the page. Call it at each run of the page; it writes changes alone.

        masks:   image id -> its ground truth.
        restart: returns the run under a new id, started now.
        """
        wanted = {task.image.id: task for task in tasks}
        if self.opened is not None:
            self._tasks = self._tasks or wanted
            if wanted.keys() == self.opened and self._tasks == wanted:
                return
            self._restart(restart)
        gone, new = self._changes(tasks, masks)
        if (gone or new) and self.deleted:  # what was deleted does not come back: this is another run
            self._restart(restart)
            gone, new = self._changes(tasks, masks)
        if not self._begun and new:
            self._begun = True
            self.recorder.submit(self._start)
        if gone:
            self._update(lambda run: run.without_images(gone))
        self._tasks = wanted
        self._masks = {image_id: mask.name for image_id, mask in masks.items()}
        for task in new:
            self._add(task, masks.get(task.image.id))

    def _changes(
        self, tasks: Sequence[InferenceTask], masks: Mapping[str, InputFile]
    ) -> tuple[list[str], list[InferenceTask]]:
        """Return the ids of images that left the page, and the tasks that are new."""
        there = {task.image.id for task in tasks}
        gone = [image_id for image_id in self._tasks if image_id not in there]
        new = [
            task
            for task in tasks
            if self._tasks.get(task.image.id) is not task
            or self._masks.get(task.image.id) != _name(task, masks)
        ]
        return gone, new

    def _restart(self, restart: Callable[[Run], Run]) -> None:
        self.run, self.opened, self._tasks = restart(self.run), None, {}
        self._begun = self._written = False

    def _start(self) -> None:
        self.store.add(self.run)
        self._written = True

    def _add(self, task: InferenceTask, mask: InputFile | None) -> None:
        """Store the image now, and its result once it is there."""

        def add(run: Run) -> Run:
            image = RunImage(task.image.id, task.image.name, self.store.add_content(task.image.read()))
            if mask is not None:
                image = replace(image, mask=self.store.add_content(mask.read()), mask_name=mask.name)
            return run.with_image(image)

        self._update(add)
        run_id = self.run.id
        task.future.add_done_callback(
            lambda future: self.recorder.submit(partial(self._store_result, run_id, task, mask, future))
        )

    def _store_result(
        self, run_id: str, task: InferenceTask, mask: InputFile | None, future: Future[SegmentResult]
    ) -> None:
        if future.cancelled():
            return
        error = future.exception()
        result = future.result() if error is None else None
        iou = None if mask is None or result is None else ground_truth.mean_iou(task, result, mask)

        def change(run: Run) -> Run:
            image = next((image for image in run.images if image.id == task.image.id), None)
            if image is None:
                return run  # removed meanwhile
            if result is None:
                return run.with_image(replace(image, state="failed", error=str(error)))
            done = replace(
                image,
                state="done",
                error="",
                response=task.response_key,
                seconds=result.inference.endpoint_seconds,
                largest=tuple((area.name, area.share) for area in result.areas[:MOST_LARGEST]),
                mean_iou=iou,
            )
            classes = run.classes or result.inference.segmentation.classes
            return replace(run.with_image(done), classes=classes)

        self.store.update(run_id, change)
        self.store.prune()

    def _update(self, change: Callable[[Run], Run]) -> None:
        self.recorder.submit(partial(self.store.update, self.run.id, change))


def _name(task: InferenceTask, masks: Mapping[str, InputFile]) -> str | None:
    mask = masks.get(task.image.id)
    return None if mask is None else mask.name


RECORDS: Slot[dict[tuple[object, ...], RunRecord]] = Slot("segment.records")
"""The runs of the images that are on the page: one for each endpoint and choice of options."""


def record_for(request: SegmentRequest, make: Callable[[], RunRecord]) -> RunRecord:
    """Return the run that a request belongs to; where there is none, make it."""
    key = (request.connection, request.endpoint, request.want, request.fit, request.model)
    records = RECORDS.setdefault(dict)
    if key not in records:
        records[key] = make()
    return records[key]


def is_open(run_id: str) -> bool:
    """Return whether the page has this run."""
    return any(record.run.id == run_id for record in RECORDS.setdefault(dict).values())


def endpoint_of(request: SegmentRequest, job: str) -> RunEndpoint:
    """Return the endpoint of a request as a run has it. job: the training job of its model; empty if unknown."""
    model = request.model
    if model is None:
        return RunEndpoint(request.endpoint, job=job)
    return RunEndpoint(request.endpoint, model.config, model.model_uri, job)
