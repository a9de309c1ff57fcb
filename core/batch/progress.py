"""How far a transform job is: counted from its outputs in S3, because AWS reports no progress."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from core.text import duration

HANGS_AFTER = timedelta(minutes=10)
"""No new output for this long while instances bill counts as hanging. Starting instances takes some minutes."""


@dataclass(frozen=True, slots=True)
class Speed:
    """How long one image takes on one instance. source: where that is from, in words."""

    seconds_per_image: float
    source: str


@dataclass(frozen=True, slots=True)
class Progress:
    """The state of a job's outputs at a time.

    done:       outputs written since the job was created.
    total:      inputs; None if unknown.
    size:       bytes of the outputs.
    first_at, newest_at: when the first and the newest output were written; None without any.
    at:         when they were counted.
    """

    done: int
    total: int | None
    size: int
    first_at: datetime | None
    newest_at: datetime | None
    at: datetime

    @property
    def share(self) -> float | None:
        """Return the share that is done, 0 to 1; None if the total is unknown."""
        return min(1.0, self.done / self.total) if self.total else None

    @property
    def per_second(self) -> float | None:
        """Return outputs per second between the first and the newest one; None with fewer than two."""
        if self.done < 2 or self.first_at is None or self.newest_at is None:
            return None
        seconds = (self.newest_at - self.first_at).total_seconds()
        return (self.done - 1) / seconds if seconds > 0 else None

    @property
    def seconds_left(self) -> float | None:
        """Return about how many seconds remain; None if that is unknown."""
        if self.total is None or self.per_second is None:
            return None
        return max(0, self.total - self.done) / self.per_second

    def hangs(self, started_at: datetime | None, limit: timedelta = HANGS_AFTER) -> str:
        """Return a sentence if a running job has written nothing for too long; else nothing.

        started_at: when its instances were requested; None before that.
        """
        if started_at is None or (self.total is not None and self.done >= self.total):
            return ""
        since = max(filter(None, (started_at, self.newest_at)))
        if self.at - since < limit:
            return ""
        quiet = duration((self.at - since).total_seconds())
        return (
            f"No output has been written for {quiet}, while the instances run. The container may hang: "
            "stop the job, then resume it with the images that have no output."
        )
