"""What `segment` prints for each image: its mask with the largest classes, notes, and failures."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from commands.common import print_error, say, write

SHOWN_CLASSES = 3


def write_rows(rows: Iterable[dict[str, Any]]) -> None:
    """Print a line per segmented image on standard output: its mask, its largest classes, the endpoint's time."""
    for row in rows:
        largest = row["classes"][:SHOWN_CLASSES]
        shares = ", ".join(f"{area['name']} {area['share']:.1%}" for area in largest)
        if (unsure := row.get("unsure")) is not None:
            shares += f"  unsure (below {unsure['threshold']:g}) {unsure['share']:.1%}"
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
