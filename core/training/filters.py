"""The training job filter, converted from and to URL parameters, and to SageMaker's Search."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

STATUSES = ("InProgress", "Completed", "Failed", "Stopping", "Stopped")
SORTS = {
    "created": "CreationTime",
    "modified": "LastModifiedTime",
    "name": "TrainingJobName",
    "status": "TrainingJobStatus",
}
"""URL value -> the property that Search sorts by."""

LIST_SORTS = {"created": "CreationTime", "name": "Name", "status": "Status"}
"""The same for ListTrainingJobs."""

SECOND = timedelta(seconds=1)
IMAGE_PART = "semantic-segmentation"
PAGE = 100
"""The most results of one Search call (botocore 1.44)."""

TEXT = re.compile(r"[a-zA-Z0-9-]{1,63}")
"""Characters of a job name, at most 63."""

DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
YES, NO = ("1", "true", "yes"), ("0", "false", "no")


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs to list, in which order.

    statuses:                 TrainingJobStatus values; none means all.
    text:                     part of the name; "" means all.
    created_from, created_to: aware, UTC, inclusive.
    only_segmentation:        only jobs with this algorithm's image.
    sort:                     a key of `SORTS`.
    notes:                    sentences about invalid URL parameters; not compared.
    """

    statuses: tuple[str, ...] = ()
    text: str = ""
    created_from: datetime | None = None
    created_to: datetime | None = None
    only_segmentation: bool = True
    sort: str = "created"
    descending: bool = True
    notes: tuple[str, ...] = field(default=(), compare=False)

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> JobFilter:
        """Read URL parameters; unknown keys are ignored, invalid values are ignored with a note."""
        notes: list[str] = []
        return cls(
            statuses=_statuses(query.get("status", ""), notes),
            text=_text(query.get("text", ""), notes),
            created_from=_time("from", query.get("from", ""), notes, end=False),
            created_to=_time("to", query.get("to", ""), notes, end=True),
            only_segmentation=not _flag("all", query.get("all", ""), notes, default=False),
            sort=_sort(query.get("sort", ""), notes),
            descending=_flag("desc", query.get("desc", ""), notes, default=True),
            notes=tuple(notes),
        )

    def to_query(self) -> dict[str, str]:
        """Return the URL parameters; defaults are omitted."""
        query = {
            "status": ",".join(self.statuses),
            "text": self.text,
            "from": _stamp(self.created_from),
            "to": _stamp(self.created_to),
            "all": "" if self.only_segmentation else "1",
            "sort": "" if self.sort == "created" else self.sort,
            "desc": "" if self.descending else "0",
        }
        return {name: text for name, text in query.items() if text}

    def to_search(self, *, next_token: str | None = None, limit: int = PAGE) -> dict[str, Any]:
        """Return the Search parameters for one page; times are in UTC without a zone, as Search expects."""
        filters = self._filters()
        params: dict[str, Any] = {"Resource": "TrainingJob"}
        params |= {"SearchExpression": {"Filters": filters, "Operator": "And"}} if filters else {}
        params |= {"SortBy": SORTS[self.sort], "SortOrder": "Descending" if self.descending else "Ascending"}
        params["MaxResults"] = min(limit, PAGE)
        return params | ({"NextToken": next_token} if next_token else {})

    def to_list(self, *, next_token: str | None = None, limit: int = PAGE) -> dict[str, Any]:
        """Return the parameters of ListTrainingJobs for one page.

        It filters by less than Search (see `not_listed`) and excludes both ends of a time, so its rows still have
        to be filtered with `matches`.
        """
        params: dict[str, Any] = {"NameContains": self.text} if self.text else {}
        params |= {"StatusEquals": self.statuses[0]} if len(self.statuses) == 1 else {}
        params |= {"CreationTimeAfter": self.created_from - SECOND} if self.created_from else {}
        params |= {"CreationTimeBefore": self.created_to + SECOND} if self.created_to else {}
        params["SortBy"] = LIST_SORTS.get(self.sort, LIST_SORTS["created"])
        params["SortOrder"] = "Descending" if self.descending else "Ascending"
        params["MaxResults"] = min(limit, PAGE)
        return params | ({"NextToken": next_token} if next_token else {})

    def matches(self, status: str, created_at: datetime) -> bool:
        """Return whether a job of this status and time of creation is one of these."""
        return (
            (not self.statuses or status in self.statuses)
            and (self.created_from is None or created_at >= self.created_from)
            and (self.created_to is None or created_at < self.created_to + SECOND)
        )

    def not_listed(self) -> tuple[str, ...]:
        """Return sentences on what of this filter ListTrainingJobs cannot do."""
        notes = []
        if self.only_segmentation:
            notes.append("Jobs of other algorithms are included, because their container images are unknown.")
        if self.sort not in LIST_SORTS:
            notes.append(
                "The jobs are sorted by creation time, because this list cannot sort by last change."
            )
        return tuple(notes)

    def _filters(self) -> list[dict[str, str]]:
        wanted = [
            (
                "AlgorithmSpecification.TrainingImage",
                "Contains",
                IMAGE_PART if self.only_segmentation else "",
            ),
            ("TrainingJobName", "Contains", self.text),
            ("TrainingJobStatus", "In" if len(self.statuses) > 1 else "Equals", ",".join(self.statuses)),
            ("CreationTime", "GreaterThanOrEqualTo", _stamp(self.created_from).rstrip("Z")),
            ("CreationTime", "LessThanOrEqualTo", _stamp(self.created_to).rstrip("Z")),
        ]
        return [
            {"Name": name, "Operator": operator, "Value": value} for name, operator, value in wanted if value
        ]


def _statuses(text: str, notes: list[str]) -> tuple[str, ...]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    notes += [f"Unknown status {word[:40]!r}." for word in words if word not in STATUSES]
    return tuple(status for status in STATUSES if status in words)


def _text(text: str, notes: list[str]) -> str:
    text = text.strip()
    if text and not TEXT.fullmatch(text):
        notes.append(f"No job name can contain {text[:40]!r}: names have only letters, digits and hyphens.")
        return ""
    return text


def _time(name: str, text: str, notes: list[str], *, end: bool) -> datetime | None:
    """Parse a date or a time; an end date means its last second."""
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        notes.append(f"{name}={text[:40]!r} is not a date such as 2026-11-22.")
        return None
    at = at.replace(microsecond=0)
    return at + timedelta(hours=23, minutes=59, seconds=59) if end and DAY.fullmatch(text) else at


def _flag(name: str, text: str, notes: list[str], *, default: bool) -> bool:
    if text.lower() in YES:
        return True
    if text.lower() in NO:
        return False
    if text:
        notes.append(f"{name}={text[:40]!r} is neither 1 nor 0.")
    return default


def _sort(text: str, notes: list[str]) -> str:
    if text and text not in SORTS:
        notes.append(f"Jobs cannot be sorted by {text[:40]!r}.")
    return text if text in SORTS else "created"


def _stamp(at: datetime | None) -> str:
    if at is None:
        return ""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"
