"""The journal of changes."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from core.errors import InputError, JournalError, SettingsError
from core.plans.journal import Journal, JournalRecord
from core.plans.plan import ApiCall, Plan
from tests.support.patience import SECONDS

ROOT = Path(__file__).resolve().parents[3]
STEPS = tuple(ApiCall("sagemaker", "CreateModel", {"ModelName": name}, f"Create {name}.") for name in "abc")
PLAN = Plan("deploy", "roads", STEPS, None, ("Look.",), "delete it.")
NOW = datetime(2026, 11, 25, 9, tzinfo=UTC)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """Return a journal whose clock advances by a second per call."""
    times = iter(NOW + timedelta(seconds=number) for number in range(1000))
    return Journal(tmp_path / "state", lambda: next(times), "ada")


def only(journal: Journal) -> Path:
    (path,) = journal.folder.iterdir()
    return path


def test_a_plan_that_ended_is_kept_with_who_and_when(journal: Journal) -> None:
    """An entry has the user, the plan, the times and the outcome; a completed one is not listed as unfinished."""
    assert journal.entries() == journal.unfinished() == ()
    with journal.begin(PLAN, identity="arn", location="home") as record:
        record.step(0, "start")
        record.step(0, "done")
        record.step(1, "already")
        record.step(2, "recovered")
        record.end("done")
    (entry,) = journal.entries()
    assert (entry.plan, entry.user, entry.started_at.date(), entry.outcome) == (
        PLAN,
        "ada",
        NOW.date(),
        "done",
    )
    assert entry.states == ("done", "already", "recovered")
    assert (entry.identity, entry.location) == ("arn", "home")
    assert entry.ended_at is not None
    assert entry.ended_at > entry.started_at
    assert journal.unfinished() == ()


def test_a_plan_without_an_end_was_cut(journal: Journal) -> None:
    """A plan whose process died is interrupted, and unfinished if any of it may be done."""
    with journal.begin(PLAN) as record:
        (entry,) = journal.entries()
        assert (entry.outcome, entry.unfinished) == ("running", False)
        record.step(0, "start")
    (entry,) = journal.unfinished()
    assert (entry.outcome, entry.states, entry.ended_at) == ("interrupted", ("start", None, None), None)
    with journal.begin(PLAN):
        pass
    assert [entry.unfinished for entry in journal.entries()] == [False, True]


def test_a_refused_step_is_not_begun(journal: Journal) -> None:
    """A plan whose first step was rejected has done nothing, and is not unfinished; its error is kept."""
    with journal.begin(PLAN) as record:
        record.step(0, "start")
        record.step(0, None)
        record.end("failed", "Could not: no.")
    (entry,) = journal.entries()
    assert (entry.outcome, entry.error, entry.unfinished) == ("failed", "Could not: no.", False)


def test_what_an_earlier_try_made_stays_ours(journal: Journal) -> None:
    """A resource that a second attempt finds was created by the first one, not before the plan."""
    with journal.begin(PLAN) as record:
        record.step(0, "start")
        record.step(1, "already")
        record.end("failed", "no")
    (entry,) = journal.unfinished()
    with journal.reopen(entry) as record:
        assert journal.entries()[0].outcome == "running"
        record.step(0, "already")
        record.step(1, "already")
        record.step(2, "start")
    (entry,) = journal.unfinished()
    assert (entry.outcome, entry.states) == ("interrupted", ("done", "already", "start"))


def test_two_do_not_take_up_the_same_plan(journal: Journal) -> None:
    """A plan that another process is executing, or has finished since, cannot be reopened."""
    with journal.begin(PLAN) as record:
        record.step(0, "done")
    (entry,) = journal.unfinished()
    with (
        journal.reopen(entry),
        pytest.raises(InputError, match="Another process is executing this change"),
        journal.reopen(entry),
    ):
        pass
    journal.dismiss(entry)
    with pytest.raises(InputError, match="or has finished it"), journal.reopen(entry):
        pass
    assert journal.entries()[0].outcome == "left"


def test_of_many_who_look_and_take_up_at_once_one_wins(journal: Journal) -> None:
    """Of many attempts to reopen an interrupted plan at the same time, one succeeds."""
    with journal.begin(PLAN) as record:
        record.step(0, "done")
    (entry,) = journal.unfinished()
    won: list[str] = []
    barrier = threading.Barrier(8)

    def take() -> None:
        barrier.wait()
        try:
            with journal.reopen(entry) as record:
                record.end("cleaned up")
        except InputError:
            return
        won.append("won")

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert won == ["won"]
    assert journal.entries()[0].outcome == "cleaned up"


def test_a_file_may_be_cut_at_every_byte(journal: Journal) -> None:
    """A process may die at any byte of its file: all complete lines are read, and the plan can be reopened."""
    with journal.begin(PLAN) as record:
        record.step(0, "start")
        record.step(0, "done")
        record.step(1, "start")
    path = only(journal)
    whole = path.read_bytes()
    plan = whole.index(b"\n")
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        entries = journal.entries()
        assert len(entries) == (end >= plan)
        if entries and entries[0].unfinished and end % 7 == 0:
            with journal.reopen(entries[0]) as record:
                record.step(2, "start")
            assert journal.entries()[0].states[2] == "start"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "x",
        "5",
        "[]",
        '{"event": "plan"}',
        '{"event": "plan", "at": "x", "who": "", "identity": "", "place": "", "plan": {}}',
    ],
)
def test_a_foreign_file_is_left_out(journal: Journal, text: str) -> None:
    """Another file in the folder is neither an entry nor an error."""
    journal.folder.mkdir(parents=True)
    (journal.folder / "other.jsonl").write_text(text)
    (journal.folder / "folder.jsonl").mkdir()
    assert journal.entries() == ()


def test_it_is_for_its_owner_alone(journal: Journal) -> None:
    """A plan may contain a container's environment, so only its owner can read it; it is plain JSON lines."""
    with journal.begin(PLAN) as record:
        record.end("done")
    path = only(journal)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(journal.folder.stat().st_mode) == 0o700
    assert [json.loads(line)["event"] for line in path.read_text().splitlines()] == ["plan", "end"]


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """If the journal cannot be written, the error names the setting, and nothing has been started."""
    (tmp_path / "file").write_text("in the way")
    journal = Journal(tmp_path / "file", lambda: NOW)
    assert journal.entries() == ()
    with pytest.raises(SettingsError, match="SEGDECK_STATE_DIR"), journal.begin(PLAN):
        pass


def test_a_folder_that_cannot_be_looked_at_is_told(tmp_path: Path) -> None:
    """If the journal cannot be read, the error names the setting: it is not treated as empty."""
    journal = Journal(tmp_path / ("x" * 300), lambda: NOW)
    with pytest.raises(SettingsError, match=r"cannot be read\. .*SEGDECK_STATE_DIR"):
        journal.unfinished()


FULL = """
import resource, sys
from datetime import UTC, datetime
from pathlib import Path
from core.errors import JournalError
from core.plans.journal import Journal
from core.plans.plan import ApiCall, Plan

steps = tuple(ApiCall("sagemaker", "CreateModel", {"ModelName": name}, f"Create {name}.") for name in "abc")
journal = Journal(Path(sys.argv[1]), lambda: datetime.now(UTC), "ada")
plan, room = Plan("deploy", "roads", steps, None, (), ""), int(sys.argv[2])
with journal.begin(plan) as record:
    if sys.argv[3] == "again":
        record.step(0, "done")
(path,) = journal.folder.iterdir()
room += path.stat().st_size
if sys.argv[3] == "begin":
    path.unlink()
resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
try:
    if sys.argv[3] == "again":
        journal.dismiss(journal.unfinished()[0])
    else:
        with journal.begin(plan) as record:
            for number in range(3):
                record.step(number, "start")
                print("begun", number)
                record.step(number, "done")
except JournalError as error:
    print(error.what, error.why, error.todo)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit of a file's size")
@pytest.mark.parametrize(
    ("room", "what", "begun", "states"),
    [
        (-500, "begin", 0, None),
        (-1, "begin", 0, None),
        (100, "begin", 1, ("start", None, None)),
        (200, "begin", 1, ("done", None, None)),
        (0, "again", 0, ("done", None, None)),
        (30, "again", 0, ("done", None, None)),
    ],
)
def test_a_full_disk_is_reported_and_what_was_written_stays(
    journal: Journal, room: int, what: str, begun: int, states: tuple[str | None, ...] | None
) -> None:
    """If a line does not fit, the error has the folder and the required and free space; complete lines are kept."""
    ended = subprocess.run(
        [sys.executable, "-c", FULL, str(journal.folder.parent), str(room), what],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert ended.stderr == ""
    assert ended.stdout.count("begun") == begun
    assert f"not enough space for the change journal in {journal.folder}" in ended.stdout
    assert re.search(r"about \d+ kB are needed, and [\d,]+ kB are free\. Free some space there", ended.stdout)
    if states is None:
        assert list(journal.folder.iterdir()) == []
        return
    (entry,) = journal.unfinished()
    assert (entry.states, entry.outcome) == (states, "interrupted")
    assert all(map(json.loads, filter(None, only(journal).read_text().splitlines())))
    with journal.reopen(entry) as record:
        record.end("done")
    assert journal.unfinished() == ()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has /dev/full")
def test_a_device_that_is_full_is_no_traceback(journal: Journal) -> None:
    """A file system without a free byte is an error with an explanation, also if nothing can be truncated."""
    file = os.open("/dev/full", os.O_WRONLY)
    try:
        record = JournalRecord(file, Path("/dev"), lambda: NOW, PLAN)
        with pytest.raises(JournalError, match="not enough space"):
            record.end("done")
    finally:
        os.close(file)
