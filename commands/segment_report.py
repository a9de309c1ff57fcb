"""What `segment` prints for each image: its mask with the largest classes, notes, and failures."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from commands.common import print_error, say, write
from core.errors import CoreError, ModelError

SHOWN_CLASSES = 3


def failure_row(name: str, error: Exception) -> dict[str, Any]:
    """Return an image that failed, for the JSON document."""
    if not isinstance(error, CoreError):
        error = CoreError(
            f"Unexpected error: {error!r}.",
            todo="Run the command again with --debug, and report its output.",
        )
    row = {"path": name, "error": type(error).__name__, "what": error.what}
    row |= {"why": error.why, "todo": error.todo}
    return row | ({"log_url": error.log_url} if isinstance(error, ModelError) else {})


def write_rows(rows: Iterable[dict[str, Any]]) -> None:
    """Print a line per segmented image on standard output: its mask, its largest classes, the endpoint's time."""
    for row in rows:
        largest = row["classes"][:SHOWN_CLASSES]
        shares = ", ".join(f"{area['name']} {area['share']:.1%}" for area in largest)
        write(f"{row['files']['mask']}  {shares}  {row['seconds']['endpoint']:.2f} s")


def say_notes(rows: Iterable[dict[str, Any]]) -> None:
    """Print the notes and problems of segmented images on standard error."""
    for row in rows:
        for note in (*row["notes"], *row["problems"]):
            say(f"{row['path']}: {note}")


def print_failures(rows: Iterable[dict[str, Any]]) -> None:
    """Print each image that failed, with the reason, on standard error."""
    for row in rows:
        log = f"Container log: {row['log_url']}" if row.get("log_url") else ""
        print_error(row["what"], row["why"], row["todo"], log, where=row["path"])
