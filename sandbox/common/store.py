"""What the control plane knows, as JSON documents in one SQLite table: it survives a restart and a kill.

Documents are found by (kind, name); names are compared without case, as SageMaker does when it creates.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sandbox.common.disk import Disk, checkpoint

Document = dict[str, Any]


class RecordStore:
    """Safe to use from many threads. Every value given out is a copy of its own, but for those of `view`."""

    def __init__(self, path: Path, disk: Disk | None = None) -> None:
        """disk: its reserve is for updates and deletions when there is no room left."""
        self._disk = disk or Disk(path.parent)
        self._lock = threading.RLock()
        self._views: dict[str, dict[str, Document]] = {}  # kind -> lower-case name -> document, parsed once
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        # WAL with normal syncing loses nothing when the process is killed; only a power cut may take the last calls.
        self._database.execute("pragma journal_mode=wal")
        self._database.execute("pragma synchronous=normal")
        self._database.execute(
            "create table if not exists documents"
            " (kind text, name text collate nocase, body text, primary key (kind, name))"
        )

    def get(self, kind: str, name: str) -> Document | None:
        with self._lock:
            row = self._run("select body from documents where kind = ? and name = ?", kind, name).fetchone()
        return None if row is None else json.loads(row[0])

    def all(self, kind: str) -> list[Document]:
        """Every document of a kind, by name."""
        with self._lock:
            rows = self._run("select body from documents where kind = ? order by name", kind).fetchall()
        return [json.loads(row[0]) for row in rows]

    def view(self, kind: str) -> list[Document]:
        """Every document of a kind, in no order: not copies as elsewhere but shared by all readers, so only to read.

        A thousand documents cost nothing here, and 40 ms to parse.
        """
        with self._lock:
            if kind not in self._views:
                rows = self._run("select name, body from documents where kind = ?", kind).fetchall()
                self._views[kind] = {name.lower(): json.loads(body) for name, body in rows}
            return list(self._views[kind].values())

    def insert(self, kind: str, name: str, document: Document) -> bool:
        """False, and nothing changed, when the name is taken."""
        text = json.dumps(document)
        with self._lock:
            done = self._run("insert or ignore into documents values (?, ?, ?)", kind, name, text)
            if done.rowcount == 1:
                self._seen(kind, name, text)
        return done.rowcount == 1

    def update(self, kind: str, name: str, change: Callable[[Document], object]) -> Document | None:
        """Apply `change` to the document in place; the new document, or None when there is none."""
        with self._lock:
            document = self.get(kind, name)
            if document is not None:
                change(document)
                text = json.dumps(document)
                sql = "update documents set body = ? where kind = ? and name = ?"
                self._keep(sql, text, kind, name)
                self._seen(kind, name, text)
        return document

    def delete(self, kind: str, name: str) -> bool:
        with self._lock:
            done = self._keep("delete from documents where kind = ? and name = ?", kind, name)
            self._views.get(kind, {}).pop(name.lower(), None)
            return done.rowcount == 1

    def close(self) -> None:
        with self._lock:
            self._database.close()

    def _seen(self, kind: str, name: str, text: str) -> None:
        """A new document in place of the old one, which readers may still hold."""
        if kind in self._views:
            self._views[kind][name.lower()] = json.loads(text)

    def _keep(self, statement: str, *values: str) -> sqlite3.Cursor:
        """Run a statement that must succeed on a full disk too."""
        database = self._database
        return self._disk.freeing(lambda: self._run(statement, *values), lambda: checkpoint(database))

    def _run(self, statement: str, *values: str) -> sqlite3.Cursor:
        return self._database.execute(statement, values)
