"""One SQLite file shared by many threads of one process: opening, locking and transactions in one place.

The write-ahead log with normal syncing loses nothing when the process is killed; only a power failure may lose the
last calls.
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
    """A connection shared by threads. A statement outside of a transaction is committed immediately.

    lock: reentrant; hold it where several statements must see the same rows.
    """

    def __init__(self, path: Path, schema: str, disk: Disk | None = None) -> None:
        """Open the file. schema: statements that create missing tables; disk: its reserve is used by `freeing`."""
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
        """Run one statement for each row of values; call it inside `transaction`."""
        with self.lock:
            self._connection.executemany(sql, rows)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit all changes made inside, or none after an exception; nested transactions join the outer one."""
        with self.lock:
            if self._connection.in_transaction:
                yield
                return
            self._connection.execute("begin immediate")
            try:
                yield
                self._connection.execute("commit")
            except BaseException:
                if (
                    self._connection.in_transaction
                ):  # SQLite rolls some back automatically, e.g. on a full disk
                    self._connection.execute("rollback")
                raise

    def freeing(self, work: Callable[[], T]) -> T:
        """Run changes that must also succeed on a full disk, such as deletions: the disk's reserve is used then.

        `work` leaves nothing behind when it fails, and may run twice.
        """
        return self._disk.freeing(work, self._checkpoint)

    def _checkpoint(self) -> None:
        """Move the write-ahead log into the database, which makes room for the next writes."""
        with self.lock, contextlib.suppress(sqlite3.Error):  # the next write fails then, and reports why
            self._connection.execute("pragma wal_checkpoint(truncate)").fetchall()

    def close(self) -> None:
        """Close the file."""
        with self.lock:
            self._connection.close()
