"""The control plane's records: JSON documents in one SQLite table that survive a restart and a kill.

Documents are identified by (kind, name); names are compared case-insensitively, as SageMaker does on creation.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sandbox.common.database import Database
from sandbox.common.disk import Disk

Document = dict[str, Any]
_SCHEMA = """
create table if not exists documents (kind text, name text collate nocase, body text, primary key (kind, name));
"""


class RecordStore:
    """Stored documents, for many threads. Every returned document is a copy, except those of `view`."""

    def __init__(self, path: Path, disk: Disk | None = None) -> None:
        """Open the table. disk: its reserve is used by updates and deletions on a full disk."""
        self._views: dict[str, dict[str, Document]] = {}  # kind -> lower-case name -> document, parsed once
        self._db = Database(path, _SCHEMA, disk)

    def get(self, kind: str, name: str) -> Document | None:
        """Return a document, or None when there is none."""
        rows = self._db.rows("select body from documents where kind = ? and name = ?", kind, name)
        return json.loads(rows[0][0]) if rows else None

    def all(self, kind: str) -> list[Document]:
        """Return every document of a kind, sorted by name."""
        rows = self._db.rows("select body from documents where kind = ? order by name", kind)
        return [json.loads(row[0]) for row in rows]

    def view(self, kind: str) -> list[Document]:
        """Return every document of a kind, unsorted. They are shared by all readers, so read-only.

        Parsing a thousand documents takes 40 ms; here they are parsed once.
        """
        with self._db.lock:
            if kind not in self._views:
                rows = self._db.rows("select name, body from documents where kind = ?", kind)
                self._views[kind] = {name.lower(): json.loads(body) for name, body in rows}
            return list(self._views[kind].values())

    def insert(self, kind: str, name: str, document: Document) -> bool:
        """Store a new document; return False, and change nothing, when the name is taken."""
        text = json.dumps(document)
        with self._db.lock:
            count = self._db.change("insert or ignore into documents values (?, ?, ?)", kind, name, text)
            if count == 1:
                self._refresh_view(kind, name, text)
        return count == 1

    def update(self, kind: str, name: str, change: Callable[[Document], object]) -> Document | None:
        """Apply `change` to the document in place; return the new document, or None when there is none."""
        with self._db.lock:
            document = self.get(kind, name)
            if document is not None:
                change(document)
                text = json.dumps(document)
                sql = "update documents set body = ? where kind = ? and name = ?"
                self._keep(sql, text, kind, name)
                self._refresh_view(kind, name, text)
        return document

    def delete(self, kind: str, name: str) -> bool:
        """Delete a document; return whether there was one."""
        with self._db.lock:
            count = self._keep("delete from documents where kind = ? and name = ?", kind, name)
            self._views.get(kind, {}).pop(name.lower(), None)
            return count == 1

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def _refresh_view(self, kind: str, name: str, text: str) -> None:
        """Replace the parsed document with a new one; readers may still hold the old one."""
        if kind in self._views:
            self._views[kind][name.lower()] = json.loads(text)

    def _keep(self, statement: str, *values: str) -> int:
        """Run a statement that must also succeed on a full disk; return the number of changed rows."""
        return self._db.freeing(lambda: self._db.change(statement, *values))
