"""The interruptions of a spot job: when each was, how long the job waited, and where it resumed.

AWS reports when a job was interrupted, but not where it resumed: the first epoch in the log after the interruption
shows that, whatever the checkpoint files are called.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import zip_longest

from core.text import duration, plural
from core.training.curves import QUALITY
from core.training.job import TrainingJob
from core.training.log_lines import LogEvent, plain

RESUMED = re.compile(
    r"\b(?:resum|restor|load)\w{2,3}\b[^\n]{0,40}?\bcheckpoint\b:? (?P<file>[\w./-]{1,200})", re.IGNORECASE
)
"""A line that names the checkpoint that was loaded, such as "Resuming from the checkpoint checkpoint-0001.zip"."""


@dataclass(frozen=True, slots=True)
class Interruption:
    """One interruption.

    at:         when the instance was reclaimed; aware, UTC.
    resumed_at: when training continued; None if it has not.
    last_epoch: the last epoch completed before it, by the log; None if unknown or none.
    next_epoch: the first epoch completed after it; None if unknown.
    checkpoint: the file that the container resumed from, by the log; "" if unknown.
    """

    at: datetime
    resumed_at: datetime | None
    last_epoch: int | None
    next_epoch: int | None
    checkpoint: str

    @property
    def outcome(self) -> str:
        """Return where the job resumed, as a phrase such as "resumed from c.zip at epoch 4"."""
        if self.resumed_at is None:
            return "not resumed yet"
        source = f" from {self.checkpoint}" if self.checkpoint else ""
        if self.next_epoch is None:
            return f"resumed{source}"
        if self.next_epoch == 0 and not self.checkpoint:
            return "started over at epoch 0: no checkpoint was loaded"
        repeated = 0 if self.last_epoch is None else self.last_epoch + 1 - self.next_epoch
        again = f", repeating {plural(repeated, 'epoch')}" if repeated > 0 else ""
        return f"resumed{source} at epoch {self.next_epoch}{again}"

    def __str__(self) -> str:
        """Return a sentence such as "After 12 s without an instance, resumed at epoch 4."."""
        if self.resumed_at is None:
            return "Waiting for a new instance."
        wait = duration((self.resumed_at - self.at).total_seconds())
        return f"After {wait} without training, {self.outcome}."


def interruptions(job: TrainingJob, events: Sequence[LogEvent]) -> tuple[Interruption, ...]:
    """Return a job's interruptions in order. events: its log, oldest first; empty if it is unknown."""
    cuts = [
        (step.started_at, _training_after(job, step.started_at))
        for step in job.transitions
        if step.status == "Interrupted"
    ]
    ends = [at for at, _ in cuts[1:]]
    return tuple(
        _interruption(events, at, resumed_at, end) for (at, resumed_at), end in zip_longest(cuts, ends)
    )


def _training_after(job: TrainingJob, at: datetime) -> datetime | None:
    return next(
        (step.started_at for step in job.transitions if step.status == "Training" and step.started_at >= at),
        None,
    )


def _interruption(
    events: Sequence[LogEvent], at: datetime, resumed_at: datetime | None, end: datetime | None
) -> Interruption:
    before = [event for event in events if event.at < at]
    after = [
        event
        for event in events
        if resumed_at is not None and event.at >= resumed_at and (end is None or event.at < end)
    ]
    files = (RESUMED.search(plain(event.message)) for event in after)
    return Interruption(
        at,
        resumed_at,
        max(_epochs(before), default=None),
        next(iter(_epochs(after)), None),
        next((match["file"] for match in files if match), ""),
    )


def _epochs(events: Sequence[LogEvent]) -> list[int]:
    """Return the epochs of the quality metrics, in the order of the log."""
    matches = (QUALITY.search(plain(event.message)) for event in events)
    return [int(match["epoch"]) for match in matches if match and match["epoch"]]
