"""Measure all masks of a job in the background: the area of each class, for filters and the CSV file."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock

from core.aws.batch import checked_output
from core.aws.connection import Connection, clients
from core.batch.job import TransformJob
from core.batch.results import Failure, ImageResult, areas_csv
from core.imaging.classes import Classes
from pages.parts import cached, tasks
from pages.parts.batch.images import MaskVersion, readers
from pages.parts.tasks import BackgroundTask, OnCount

READERS = 8
CHUNK = 64
"""Masks between two looks at whether the user has stopped it."""

MOST_JOBS = 8
"""Jobs whose measurements this process keeps: some 10 MB each with 10,000 images."""


@dataclass(eq=False)
class Measurement:
    """The measured masks of a job. Written by the thread of its task, read by the pages.

    results: image -> its measured mask. invalid: image -> why its mask is not valid.
    versions: image -> the mask that was measured, so that only new ones are read again.
    """

    results: dict[str, ImageResult] = field(default_factory=dict)
    invalid: dict[str, Failure] = field(default_factory=dict)
    versions: dict[str, MaskVersion] = field(default_factory=dict)
    task: BackgroundTask[None] | None = None
    _areas: tuple[BackgroundTask[None] | None, Classes | None, bytes] | None = None

    @property
    def running(self) -> bool:
        """Return whether masks are being read."""
        return self.task is not None and not self.task.over

    def left(self, masks: Mapping[str, MaskVersion]) -> list[MaskVersion]:
        """Return the masks that were not measured, or were written again since."""
        return [mask for key, mask in masks.items() if self.versions.get(key) != mask]

    def sorted_results(self) -> list[ImageResult]:
        """Return what was measured so far, by the images' names."""
        return [result for _, result in sorted(dict(self.results).items())]

    def areas(self, classes: Classes | None) -> bytes:
        """Return what was measured as CSV: made once for each measurement that has ended, as pages run often."""
        task, made = self.task, self._areas
        if made is not None and made[0] is task and made[1] == classes:
            return made[2]
        csv = areas_csv(self.sorted_results(), classes)
        if task is None or task.over:  # another user may have started one meanwhile
            self._areas = task, classes, csv
        return csv

    def start(
        self,
        connection: Connection,
        job: TransformJob,
        classes: Classes | None,
        masks: Sequence[MaskVersion],
    ) -> None:
        """Measure these masks, unless some are being measured."""
        if self.running:
            return

        def measure(mask: MaskVersion) -> tuple[MaskVersion, ImageResult | Failure]:
            output = checked_output(clients(connection), job, mask.key, classes)
            return mask, output if isinstance(output, Failure) else output[0]

        def work(on_count: OnCount) -> None:
            on_count(0, len(masks))
            with ThreadPoolExecutor(readers(job, READERS)) as pool:
                for first in range(0, len(masks), CHUNK):
                    for mask, outcome in pool.map(measure, masks[first : first + CHUNK]):
                        self._note(mask, outcome)
                    on_count(min(first + CHUNK, len(masks)), len(masks))

        self.task = tasks.start("Measurement", work)

    def _note(self, mask: MaskVersion, outcome: ImageResult | Failure) -> None:
        if isinstance(outcome, Failure):
            self.results.pop(mask.key, None)
            self.invalid[mask.key] = outcome
        else:
            self.invalid.pop(mask.key, None)
            self.results[mask.key] = outcome
        self.versions[mask.key] = mask


class Measurements:
    """The measurements of the jobs that were looked at last."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[Connection, str], Measurement] = OrderedDict()
        self._lock = Lock()

    def of(self, connection: Connection, job: str) -> Measurement:
        """Return the measurement of a job, a new one if there is none."""
        key = connection, job
        with self._lock:
            measurement = self._kept.setdefault(key, Measurement())
            self._kept.move_to_end(key)
            while len(self._kept) > MOST_JOBS:
                _, dropped = self._kept.popitem(last=False)
                if dropped.task is not None:
                    dropped.task.stop.set()
            return measurement


def measurement(connection: Connection, job: str) -> Measurement:
    """Return what this process has measured of a job."""
    return cached.singleton("batch measurements", Measurements).of(connection, job)
