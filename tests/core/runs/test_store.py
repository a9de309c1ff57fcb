"""The store of runs: private, bounded, and whole after a crash."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from core.errors import InputError
from core.runs import store as store_module
from core.runs.run import Run, RunEndpoint, RunImage, new_id
from core.runs.store import UNUSED_SECONDS, RunStore
from tests.support.patience import SECONDS

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
Fill = Callable[..., RunStore]


@pytest.fixture
def open_store(tmp_path: Path) -> Fill:
    """open_store(limit, hours) -> a store in a new folder, whose clock is that many hours ahead."""

    def make(limit: int = 1_000_000, hours: float = 0) -> RunStore:
        return RunStore(tmp_path / "runs", limit, lambda: datetime.now(UTC) + timedelta(hours=hours))

    return make


def run_with(*images: RunImage, hour: int = 0) -> Run:
    return Run(
        new_id(),
        "segmentation",
        NOON + timedelta(hours=hour),
        "ann",
        "AWS",
        (RunEndpoint("roads"),),
        images=images,
    )


def image_of(store: RunStore, data: bytes, response: str = "") -> RunImage:
    name = store.add_content(data)
    return RunImage(name, "a.jpg", name, response, state="done")


def response(store: RunStore, key: str, size: int = 100) -> None:
    """Write a response as `ResponseCache` does."""
    folder = store.responses.folder
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{key}.png").write_bytes(b"p")
    (folder / f"{key}.body").write_bytes(b"b" * size)
    (folder / f"{key}.json").write_bytes(b"{}")


def files(store: RunStore) -> set[str]:
    return {path.name for path in store.folder.rglob("*") if path.is_file() and path.name != "lock"}


def test_a_run_comes_back(open_store):
    """A stored run is found by another process, with the content of its images."""
    store = open_store()
    run = run_with(image_of(store, b"image"))
    store.add(run)
    other = open_store()
    assert other.get(run.id) == run
    assert other.content(run.images[0].content) == b"image"
    assert other.all().runs == (run,)


def test_the_newest_run_is_first(open_store):
    """Runs are listed from the newest to the oldest, whatever their ids are."""
    store = open_store()
    runs = [run_with(hour=hour) for hour in range(3)]
    for run in (runs[1], runs[2], runs[0]):
        store.add(run)
    assert store.all().runs == tuple(reversed(runs))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows manages permissions elsewhere")
def test_nobody_else_can_read_it(open_store):
    """Each folder is private to this user, and so is each file."""
    store = open_store()
    store.add(run_with(image_of(store, b"image")))
    store.turn("a" * 32).release()
    for path in (store.folder, *store.folder.rglob("*")):
        assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path


@pytest.mark.parametrize("run_id", ["", "..", "../" + "a" * 32, "A" * 32, "a" * 31, "a" * 32 + "\n", "*"])
def test_an_id_is_never_a_path(open_store, run_id):
    """A run is looked up only under an id; anything else, from a URL, is not found."""
    store = open_store()
    assert store.find(run_id) is None
    assert not store.delete(run_id)
    with pytest.raises(InputError, match="There is no run"):
        store.get(run_id)
    with pytest.raises(InputError):
        store.content(run_id)


def test_a_damaged_run_is_reported_and_can_be_deleted(open_store):
    """A damaged file hides no other run; it is named, and can be deleted by its id."""
    store = open_store()
    run, damaged = run_with(), run_with()
    store.add(run)
    store.add(damaged)
    (store.folder / "runs" / f"{damaged.id}.json").write_bytes(b'{"segdeck": "run"')
    assert store.all().runs == (run,)
    assert store.all().unreadable == (f"{damaged.id}.json",)
    with pytest.raises(InputError, match="cannot be read"):
        store.get(damaged.id)
    assert store.delete(damaged.id)
    assert store.all().unreadable == ()


def test_a_deleted_run_stays_deleted(open_store):
    """A change that arrives after the deletion does not bring the run back."""
    store = open_store()
    run = run_with()
    store.add(run)
    assert store.delete(run.id)
    assert store.update(run.id, lambda run: replace(run, title="late")) is None
    assert not store.delete(run.id)
    assert store.all().runs == ()


def test_a_deleted_run_takes_its_files_along(open_store):
    """Deleting a run removes its images and responses from the disk, except those of another run."""
    store = open_store()
    keys = "1" * 32, "2" * 32
    for key in keys:
        response(store, key)
    shared, own = image_of(store, b"shared", keys[0]), image_of(store, b"own", keys[1])
    first, second = run_with(shared, own), run_with(shared)
    store.add(first)
    store.add(second)
    store.delete(first.id)
    suffixes = ("png", "body", "json")
    assert files(store) == {f"{second.id}.json", shared.content, *(f"{keys[0]}.{end}" for end in suffixes)}
    store.delete(second.id)
    assert files(store) == set()


def test_probabilities_are_removed_before_runs(open_store):
    """Above the limit, the probabilities used least recently go first; results and runs stay."""
    store = open_store(limit=6_000)
    keys = [str(number) * 32 for number in range(4)]
    for age, key in enumerate(keys):
        response(store, key, 2_000)
        os.utime(store.responses.folder / f"{key}.body", (1e9 - age, 1e9 - age))
    store.add(run_with(*(image_of(store, key.encode(), key) for key in keys)))
    store.prune()
    left = {path.stem for path in store.responses.folder.glob("*.body")}
    assert left == set(keys[:2])
    assert len(list(store.responses.folder.glob("*.png"))) == 4
    assert store.size() <= store.limit


def test_the_oldest_runs_are_removed(open_store):
    """Where results alone exceed the limit, the oldest runs go, with their files; the newest always stays."""
    store = open_store(limit=4_500)
    runs = [run_with(image_of(store, bytes([hour]) * 2_000), hour=hour) for hour in range(3)]
    for run in runs:
        store.add(run)
    store.prune()
    assert store.all().runs == (runs[2],)
    assert files(store) == {f"{runs[2].id}.json", runs[2].images[0].content}
    big = run_with(image_of(store, b"x" * 9_000), hour=9)
    store.add(big)
    store.prune()
    assert store.all().runs == (big,)


def test_the_number_of_runs_is_bounded(open_store, tmp_path):
    """More runs than `MOST_RUNS` are not kept, however small they are."""
    store = open_store()
    folder = store.folder / "runs"
    store.add(run_with(hour=-1))
    first = store.all().runs[0]
    text = (folder / f"{first.id}.json").read_text()
    for hour in range(store_module.MOST_RUNS + 2):
        run_id = f"{hour:032x}"
        at = (NOON + timedelta(hours=hour)).isoformat()
        changed = text.replace(first.id, run_id).replace(first.started_at.isoformat(), at)
        (folder / f"{run_id}.json").write_text(changed)
    RunStore(store.folder, 10**9, lambda: NOON).prune()
    left = store.all().runs
    assert len(left) == store_module.MOST_RUNS
    assert left[0].id == f"{store_module.MOST_RUNS + 1:032x}"
    assert first not in left


def test_leftovers_of_a_killed_process_are_removed(open_store):
    """A file that no run refers to is removed once it is old, as soon as space is needed; a new one stays."""
    store = open_store(limit=10)
    store.add(run_with())
    store.add_content(b"of a run that was never written")
    (store.folder / "contents" / ".0123456789abcdef.part").write_bytes(b"half")
    store.prune()
    assert len(list((store.folder / "contents").iterdir())) == 2
    open_store(limit=10, hours=1 + UNUSED_SECONDS / 3600).prune()
    assert list((store.folder / "contents").iterdir()) == []


def test_the_same_content_is_stored_once(open_store):
    """Two images with the same content are one file."""
    store = open_store()
    assert store.add_content(b"same") == store.add_content(b"same")
    assert len(list((store.folder / "contents").iterdir())) == 1


def test_a_full_or_forbidden_folder_is_reported(tmp_path: Path):
    """Where the store cannot be written, the error names the folder and what to do."""
    (tmp_path / "file").write_text("in the way")
    store = RunStore(tmp_path / "file" / "runs", 1000, lambda: NOON)
    with pytest.raises(InputError, match="SEGDECK_STATE_DIR"):
        store.add(run_with())
    with pytest.raises(InputError, match="SEGDECK_STATE_DIR"):
        store.add_content(b"image")


def test_two_threads_lose_no_change(open_store):
    """Changes of one run by several threads are all there in the end."""
    store = open_store()
    run = run_with()
    store.add(run)

    def add(number: int) -> None:
        for place in range(5):
            image = RunImage(f"{number}-{place}", "a.jpg")
            open_store().update(run.id, partial(Run.with_image, image=image))

    threads = [threading.Thread(target=add, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert len(store.get(run.id).images) == 20


def test_one_turn_at_a_time(open_store):
    """While one thread invokes an endpoint, another waits; then its turn comes, with a new file."""
    store = open_store()
    first = store.turn("a" * 32)
    waiting, entered = threading.Event(), threading.Event()

    def second() -> None:
        turn = store.turn("a" * 32, waiting.set)
        entered.set()
        turn.release()

    thread = threading.Thread(target=second)
    thread.start()
    assert waiting.wait(SECONDS)
    assert not entered.is_set()
    first.release()
    thread.join(SECONDS)
    assert entered.is_set()
    assert list(store.responses.folder.iterdir()) == []


def test_waiting_for_a_turn_can_be_stopped(open_store):
    """What the waiting function raises ends the waiting."""
    store = open_store()
    turn = store.turn("a" * 32)

    def stop() -> None:
        raise InterruptedError

    with pytest.raises(InputError):
        store.turn("a" * 32, stop)
    turn.release()


def test_a_killed_process_gives_up_its_turn(open_store):
    """A process that dies during an invocation does not keep others waiting."""
    store = open_store()
    script = (
        "import os, sys; from pathlib import Path; from core.locks import Turn;"
        "Turn(Path(sys.argv[1])); os._exit(9)"
    )
    store.turn("a" * 32).release()
    path = store.responses.folder / f"{'a' * 32}.lock"
    subprocess.run([sys.executable, "-c", script, str(path)], check=False, timeout=SECONDS)
    assert path.exists()
    store.turn("a" * 32).release()
    assert not path.exists()


def map_of(store: RunStore, hour: int, name: str = "scene.tif", size: int = 100) -> Run:
    """Store a map with one file of so many bytes; `name` may be in a folder."""
    run = replace(run_with(hour=hour), kind="map", title="scene.tif", form={"path": "/data/scene.tif"})
    path = store.make_map_folder(run.id) / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"m" * size)
    store.add(run)
    return run


def test_the_files_of_a_map_are_removed_with_it(open_store: Fill):
    """The files of a map count as stored, and are removed with their run."""
    store = open_store()
    run = map_of(store, 0, "input/scene.tif", 5000)
    assert store.size() > 5000
    assert store.delete(run.id)
    assert not store.map_folder(run.id).exists()
    assert store.size() == 0


def test_a_map_that_can_be_continued_is_kept(open_store: Fill):
    """Above the limit, old maps are removed, but not one with finished tiles: they were paid for."""
    store = open_store(limit=3000)
    old, interrupted = map_of(store, 0, size=2000), map_of(store, 1, ".scene.tiles/a.tile", 2000)
    newest = map_of(store, 2, size=2000)
    store.prune()
    kept = {run.id for run in store.all().runs}
    assert kept == {interrupted.id, newest.id}
    assert not store.map_folder(old.id).exists()


def test_the_folder_of_a_map_without_a_run_is_removed(open_store: Fill):
    """A folder whose run was never written is removed once it is old and space is needed."""
    folder = open_store().make_map_folder(new_id())
    (folder / "scene.tif").write_bytes(b"m" * 100)
    open_store(limit=1).prune()
    assert folder.exists()
    open_store(limit=1, hours=2).prune()
    assert not folder.exists()
