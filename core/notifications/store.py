"""The file that keeps what a webhook has reported, so that a restart repeats nothing and forgets nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from core.errors import JournalError
from core.escaping import json_bytes
from core.local_files import private_folder, private_opener, read_text, reason
from core.locks import locked
from core.notifications.events import Delivery, Event, Watch
from core.strict_json import parse_json

FILE, LOCK = "webhook.json", "webhook.lock"


class WatchStore:
    """The file in a folder. One process owns it at a time, by a lock that ends with the process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock: int | None = None

    def own(self) -> bool:
        """Return whether this process owns the file; another dashboard may. Raises JournalError."""
        if self._lock is not None:  # held until `close`
            return True
        try:
            private_folder(self._folder)
            self._lock = os.open(self._folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise self._unusable(error) from error
        if not locked(self._lock):
            self.close()
            return False
        return True

    def close(self) -> None:
        """Give the file up."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def read(self) -> Watch:
        """Return what is known; nothing where there is no file. Raises JournalError for an unreadable one."""
        try:
            return _watch(parse_json(read_text(self._folder / FILE)))
        except FileNotFoundError:
            return Watch()
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._unusable(error) from error

    def write(self, watch: Watch) -> None:
        """Replace the file in one step. Raises JournalError."""
        path = self._folder / f"{FILE}.new"
        try:
            with open(path, "wb", opener=private_opener) as file:
                file.write(json_bytes(_document(watch)))
                file.flush()
                os.fsync(file.fileno())
            path.replace(self._folder / FILE)
        except OSError as error:
            with suppress(OSError):
                path.unlink()
            raise self._unusable(error) from error

    def _unusable(self, error: Exception) -> JournalError:
        why = reason(error) if isinstance(error, (OSError, ValueError)) else f"{type(error).__name__}."
        return JournalError(
            f"The file {self._folder / FILE} of reported events cannot be used.",
            why=why,
            todo="Fix the cause, or delete the file: jobs that ended before the next start are then not reported.",
        )


def _document(watch: Watch) -> dict[str, Any]:
    return {
        "version": 1,
        "since": watch.since.isoformat() if watch.since else None,
        "seen": {event: at.isoformat() for event, at in watch.seen.items()},
        "idle": sorted(watch.idle),
        "waiting": [
            {
                "id": delivery.event.id,
                "kind": delivery.event.kind,
                "name": delivery.event.name,
                "at": delivery.event.at.isoformat(),
                "text": delivery.event.text,
                "details": dict(delivery.event.details),
                "tries": delivery.tries,
                "due": delivery.due.isoformat(),
            }
            for delivery in watch.waiting
        ],
    }


def _watch(document: Mapping[str, Any]) -> Watch:
    return Watch(
        datetime.fromisoformat(document["since"]) if document["since"] else None,
        {str(event): datetime.fromisoformat(at) for event, at in document["seen"].items()},
        frozenset(map(str, document["idle"])),
        tuple(_delivery(row) for row in document["waiting"]),
    )


def _delivery(row: Mapping[str, Any]) -> Delivery:
    event = Event(
        str(row["id"]),
        str(row["kind"]),
        str(row["name"]),
        datetime.fromisoformat(row["at"]),
        str(row["text"]),
        dict(row["details"]),
    )
    return Delivery(event, int(row["tries"]), datetime.fromisoformat(row["due"]))
