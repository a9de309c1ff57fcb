"""One SQLite file for many threads of one process: opening, locking and transactions in one place.

The write-ahead log with normal syncing loses nothing when the process is killed; only a power cut may take the last
calls.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sandbox.common.disk import Disk

T = TypeVar("T")
Row = tuple[Any, ...]


class Database:
    """A connection that threads share. A statement outside of a transaction is committed at once.

    lock: reentrant; hold it where several statements must see the same rows.
    """

    def __init__(self, path: Path, schema: str, disk: Disk | None = None) -> None:
        """schema: statements that create what does not exist yet; disk: the one whose reserve `freeing` uses."""
        self.lock = threading.RLock()
        self._disk = disk or Disk(path.parent)
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        try:
            self._connection.execute("pragma journal_mode=wal")
            self._connection.execute("pragma synchronous=normal")
            self._connection.executescript(schema)
        except BaseException:
            self._connection.close()
            raise

    def rows(self, sql: str, *values: object) -> list[Row]:
        """Return every row of a query."""
        with self.lock:
            return self._connection.execute(sql, values).fetchall()

    def change(self, sql: str, *values: object) -> int:
        """Run one insert, update or delete and return how many rows it changed."""
        with self.lock:
            return self._connection.execute(sql, values).rowcount

    def change_many(self, sql: str, rows: Iterable[Row]) -> None:
        """Run one statement for each row of values; call it within `transaction`."""
        with self.lock:
            self._connection.executemany(sql, rows)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Keep all changes made within, or none where an exception leaves it; a nested one is part of the outer."""
        with self.lock:
            if self._connection.in_transaction:
                yield
                return
            self._connection.execute("begin immediate")
            try:
                yield
                self._connection.execute("commit")
            except BaseException:
                if self._connection.in_transaction:  # SQLite ends some by itself, on a full disk for one
                    self._connection.execute("rollback")
                raise

    def freeing(self, work: Callable[[], T]) -> T:
        """Run changes that must succeed on a full disk too, such as deletions: there the disk's reserve is used.

        `work` leaves nothing behind when it fails, and may run twice.
        """
        return self._disk.freeing(work, self._checkpoint)

    def _checkpoint(self) -> None:
        """Empty the write-ahead log into the database: that makes room for what is written to it next."""
        with self.lock, contextlib.suppress(sqlite3.Error):  # what is written next fails then, and says why
            self._connection.execute("pragma wal_checkpoint(truncate)").fetchall()

    def close(self) -> None:
        """Close the file."""
        with self.lock:
            self._connection.close()
