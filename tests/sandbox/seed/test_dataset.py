"""The demo dataset, created in the background of a running sandbox."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sandbox.seed.dataset import DatasetSeed, default_cache, drawing_version
from sandbox.seed.seed import BUCKET
from sandbox.server import Sandbox
from tests.support.patience import SECONDS

PROJECT = Path(__file__).parents[3]
QUICK = "import sys, pathlib; folder = pathlib.Path(sys.argv[1]) / 'train'; folder.mkdir(); "
WRITE = QUICK + "(folder / '0000.jpg').write_bytes(b'jpeg')"
BREAK = "import sys; sys.exit('the pencil broke')"
Eventually = Callable[..., Any]


def _marked(folder: Path) -> dict[str, str]:
    marker: dict[str, str] = json.loads((folder / "seeded.json").read_text())
    return marker


def _keys(sandbox: Sandbox) -> dict[str, str]:
    s3 = sandbox.loopback.client("s3")
    if BUCKET not in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]:
        s3.create_bucket(Bucket=BUCKET)
    objects = s3.list_objects_v2(Bucket=BUCKET, Prefix="datasets/").get("Contents", [])
    return {item["Key"]: s3.head_object(Bucket=BUCKET, Key=item["Key"])["ContentType"] for item in objects}


def _seed(
    sandbox: Sandbox, folder: Path, code: str, cache: Path | None = None, say: Callable[[str], None] = print
) -> DatasetSeed:
    """Start seeding a data folder with this code as its drawing program."""
    _keys(sandbox)
    folder.mkdir(exist_ok=True)
    if not (folder / "seeded.json").exists():
        (folder / "seeded.json").write_text('{"account": "role", "aerial": "aerial-land-cover"}')
    command = [sys.executable, "-c", code]
    return DatasetSeed(sandbox.loopback, folder, say, command, cache or folder / "cache").start()


def _end(seed: DatasetSeed) -> None:
    assert seed.wait(SECONDS)
    seed.close()


@pytest.fixture(autouse=True)
def without_a_dataset(sandbox: Sandbox) -> None:
    """Start without the objects that tests of other files left in the shared sandbox."""
    s3 = sandbox.loopback.client("s3")
    if BUCKET in {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}:
        for item in s3.list_objects_v2(Bucket=BUCKET, Prefix="datasets/aerial/").get("Contents", []):
            s3.delete_object(Bucket=BUCKET, Key=item["Key"])


def test_the_dataset_is_uploaded_once(tmp_path: Path) -> None:
    """The drawn files are in the bucket, and the next start uploads nothing."""
    with Sandbox(tmp_path / "own") as sandbox:
        _end(_seed(sandbox, tmp_path, WRITE))
        assert _keys(sandbox) == {"datasets/aerial/train/0000.jpg": "image/jpeg"}
        assert _marked(tmp_path)["dataset"] == "s3://segdeck-sandbox/datasets/aerial"
        sandbox.loopback.client("s3").delete_object(Bucket=BUCKET, Key="datasets/aerial/train/0000.jpg")
        _end(_seed(sandbox, tmp_path, WRITE))
        assert _keys(sandbox) == {}


def test_it_is_drawn_once_per_machine(sandbox: Sandbox, tmp_path: Path) -> None:
    """A second sandbox with the same cache folder uploads the drawn files without drawing them again."""
    count = f"open({str(tmp_path / 'drawings')!r}, 'a').write('x'); "
    for name in ("first", "second"):
        _end(_seed(sandbox, tmp_path / name, count + WRITE, tmp_path / "cache"))
        assert _keys(sandbox) == {"datasets/aerial/train/0000.jpg": "image/jpeg"}
        sandbox.loopback.client("s3").delete_object(Bucket=BUCKET, Key="datasets/aerial/train/0000.jpg")
    assert (tmp_path / "drawings").read_text() == "x"


def test_two_new_sandboxes_draw_once(sandbox: Sandbox, tmp_path: Path, eventually: Eventually) -> None:
    """While one sandbox draws, another one waits for its files."""
    gate, drawings = tmp_path / "gate", tmp_path / "drawings"
    code = f"""
import os, pathlib, sys, time
open({str(drawings)!r}, "a").write("x")
while not os.path.exists({str(gate)!r}):
    time.sleep(0.01)
{WRITE}
"""
    seeds = [_seed(sandbox, tmp_path / name, code, tmp_path / "cache") for name in ("first", "second")]
    eventually(drawings.exists)
    gate.touch()
    for seed, name in zip(seeds, ("first", "second"), strict=True):
        _end(seed)
        assert "dataset" in _marked(tmp_path / name)
    assert drawings.read_text() == "x"


def test_without_a_cache_folder_it_is_drawn_in_the_data_folder(sandbox: Sandbox, tmp_path: Path) -> None:
    """Without a cache folder, one line reports it, and the sandbox draws for itself and cleans up."""
    lines: list[str] = []
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    _end(_seed(sandbox, tmp_path, WRITE, blocked, lines.append))
    assert lines == [f"The demo dataset cannot be cached in {blocked}: File exists."]
    assert "dataset" in _marked(tmp_path)
    assert not (tmp_path / "drawing").exists()


def test_old_versions_leave_the_cache(sandbox: Sandbox, tmp_path: Path) -> None:
    """The cache folder keeps the three newest versions of the drawn dataset."""
    for age, name in enumerate(("demo-dataset-new", "demo-dataset-old", "demo-dataset-oldest")):
        (tmp_path / "cache" / name).mkdir(parents=True)
        os.utime(tmp_path / "cache" / name, (10_000 - age, 10_000 - age))
    _end(_seed(sandbox, tmp_path, WRITE))
    kept = {path.name for path in (tmp_path / "cache").iterdir() if path.is_dir()}
    assert kept == {drawing_version(), "demo-dataset-new", "demo-dataset-old"}


@pytest.mark.parametrize(
    ("environ", "folder"),
    [({"XDG_CACHE_HOME": "/caches"}, "/caches/segdeck"), ({"HOME": "/home/ada"}, "/home/ada/.cache/segdeck")],
)
def test_the_cache_folder_is_the_users(
    environ: dict[str, str], folder: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Drawn datasets are kept in the user's cache folder."""
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert default_cache(tmp_path) == Path(folder)


def test_it_is_left_out_without_the_aerial_demo(sandbox: Sandbox, tmp_path: Path) -> None:
    """Without the aerial demo nothing is drawn."""
    (tmp_path / "seeded.json").write_text('{"account": "role"}')
    _end(_seed(sandbox, tmp_path, WRITE))
    assert _marked(tmp_path) == {"account": "role"}


def test_a_failed_drawing_is_reported_and_retried(sandbox: Sandbox, tmp_path: Path) -> None:
    """One line gives the reason, and the next start tries again."""
    lines: list[str] = []
    _end(_seed(sandbox, tmp_path, BREAK, say=lines.append))
    assert lines == ["The demo dataset could not be drawn: the pencil broke"]
    assert "dataset" not in _marked(tmp_path)


def test_no_process_outlives_the_sandbox(sandbox: Sandbox, tmp_path: Path, eventually: Eventually) -> None:
    """`close` ends the drawing immediately."""
    pid = tmp_path / "pid"
    code = f"import os, time; open({str(pid)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    seed = _seed(sandbox, tmp_path, code)
    number = eventually(lambda: pid.exists() and pid.read_text())
    seed.close()
    assert seed.wait(5)
    assert not Path(f"/proc/{number}").exists()


def test_the_dataset_is_valid_training_data(tmp_path: Path) -> None:
    """It has JPEG and palette PNG pairs of 256 x 256 with the demo's six classes; each split has its own seeds."""
    command = [
        sys.executable,
        "-m",
        "sandbox.demo.dataset",
        str(tmp_path),
        "--training",
        "2",
        "--validation",
        "1",
    ]
    subprocess.run(command, cwd=PROJECT, check=True)
    files = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*"))
    assert files == [
        "classes.json",
        "train/0000.jpg",
        "train/0001.jpg",
        "train_annotation/0000.png",
        "train_annotation/0001.png",
        "validation/0000.jpg",
        "validation_annotation/0000.png",
    ]
    with (
        Image.open(tmp_path / "train_annotation/0000.png") as mask,
        Image.open(tmp_path / "train/0000.jpg") as photo,
    ):
        assert (mask.mode, mask.size, photo.size) == ("P", (256, 256), (256, 256))
        assert set(np.unique(np.asarray(mask)).tolist()) <= set(range(6))
    assert (tmp_path / "train/0000.jpg").read_bytes() != (tmp_path / "validation/0000.jpg").read_bytes()
