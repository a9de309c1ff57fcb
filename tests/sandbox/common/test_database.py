"""The sandbox's use of SQLite: transactions, threads, a restart, a full disk."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from sandbox.common.database import Database
from sandbox.common.disk import Disk
from tests.support.patience import SECONDS

SANDBOX = Path(__file__).parents[3] / "sandbox"
SCHEMA = "create table if not exists item(name text primary key, body text);"


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(tmp_path / "x.sqlite", SCHEMA)


def names(database: Database) -> list[str]:
    return [name for (name,) in database.rows("select name from item order by name")]


def insert(database: Database, name: str) -> int:
    return database.change("insert or ignore into item values (?, '')", name)


def test_changes_survive_reopening_the_file(tmp_path: Path) -> None:
    """A change is committed without the caller doing so, and an existing schema is not an error."""
    for name in ("a", "b"):
        database = Database(tmp_path / "x.sqlite", SCHEMA)
        insert(database, name)
        database.close()
    assert names(Database(tmp_path / "x.sqlite", SCHEMA)) == ["a", "b"]


def test_a_change_returns_the_number_of_changed_rows(database: Database) -> None:
    """An ignored insert changed no row."""
    assert [insert(database, "a"), insert(database, "a")] == [1, 0]


def test_a_failed_transaction_leaves_nothing(database: Database) -> None:
    """An exception undoes every change of a transaction, nested ones included, and the next one works."""

    def fail() -> None:
        with database.transaction():
            insert(database, "a")
            with database.transaction():
                insert(database, "b")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert names(database) == []
    with database.transaction():
        database.change_many("insert into item values (?, ?)", [("c", ""), ("d", "")])
    assert names(database) == ["c", "d"]


def test_another_thread_does_not_see_half_a_transaction(database: Database) -> None:
    """A read during another thread's transaction waits for its end."""
    seen: list[list[str]] = []
    started = threading.Event()

    def read() -> None:
        started.set()
        seen.append(names(database))

    reader = threading.Thread(target=read)
    with database.transaction():
        insert(database, "a")
        reader.start()
        assert started.wait(10)
        insert(database, "b")
    reader.join(SECONDS)
    assert seen == [["a", "b"]]


def test_a_deletion_on_a_full_disk_gets_the_reserve(tmp_path: Path) -> None:
    """Work that fails on a full disk runs again with the reserve released."""
    disk = Disk(tmp_path, reserve_bytes=1 << 20)
    assert disk.reserve()
    database = Database(tmp_path / "x.sqlite", SCHEMA, disk)
    insert(database, "a")
    database.rows("pragma max_page_count = 1")  # SQLite takes the number of pages in use: none can be added
    reserves: list[bool] = []

    def work() -> None:
        reserves.append((tmp_path / "reserve").exists())
        if len(reserves) == 2:
            database.rows("pragma max_page_count = 1000000")
        with database.transaction():
            database.change("insert into item values ('b', ?)", "x" * 100_000)
            database.change("delete from item where name = 'a'")

    database.freeing(work)
    assert reserves == [True, False]
    assert names(database) == ["b"]


def test_a_schema_that_cannot_be_made_closes_the_file(tmp_path: Path) -> None:
    """A file that is not a database raises SQLite's own error."""
    (tmp_path / "x.sqlite").write_bytes(b"text" * 1000)
    with pytest.raises(sqlite3.DatabaseError):
        Database(tmp_path / "x.sqlite", SCHEMA)


def test_only_one_module_opens_sqlite() -> None:
    """`sqlite3.connect` is called in `sandbox/common/database.py` only."""
    modules = [path for path in SANDBOX.rglob("*.py") if "sqlite3.connect(" in path.read_text()]
    assert modules == [SANDBOX / "common" / "database.py"]
