"""The filter of the list of transform jobs, converted from and to URL parameters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

STATUSES = ("InProgress", "Completed", "Failed", "Stopping", "Stopped")
TEXT = re.compile(r"[a-zA-Z0-9-]{1,63}", re.ASCII)
"""What ListTransformJobs accepts as NameContains."""


@dataclass(frozen=True, slots=True)
class BatchFilter:
    """Which transform jobs to list, newest first.

    status: one of `STATUSES`; empty for all. text: part of the name; empty for all.
    notes:  sentences about invalid URL parameters; not compared.
    """

    status: str = ""
    text: str = ""
    notes: tuple[str, ...] = field(default=(), compare=False)

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> BatchFilter:
        """Read URL parameters; unknown keys are ignored, invalid values are ignored with a note."""
        notes = []
        status, text = query.get("status", ""), query.get("text", "").strip()
        if status and status not in STATUSES:
            notes.append(f"Ignored the status {status!r}; it can be {', '.join(STATUSES)}.")
            status = ""
        if text and not TEXT.fullmatch(text):
            notes.append(
                f"Ignored the text {text!r}; job names have letters, digits and hyphens, at most 63 of them."
            )
            text = ""
        return cls(status, text, tuple(notes))

    def to_query(self) -> dict[str, str]:
        """Return the URL parameters; defaults are omitted."""
        return {name: text for name, text in (("status", self.status), ("text", self.text)) if text}
