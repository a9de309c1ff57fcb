"""The demonstration's data set, made behind a running sandbox."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sandbox.seed import BUCKET
from sandbox.seed_dataset import DatasetSeed
from sandbox.server import Sandbox

PROJECT = Path(__file__).parents[2]
QUICK = "import sys, pathlib; folder = pathlib.Path(sys.argv[1]) / 'train'; folder.mkdir(); "
WRITE = QUICK + "(folder / '0000.jpg').write_bytes(b'jpeg')"
BREAK = "import sys; sys.exit('the pencil broke')"
Eventually = Callable[..., Any]


def _marked(folder: Path) -> dict[str, str]:
    found: dict[str, str] = json.loads((folder / "seeded.json").read_text())
    return found


def _keys(sandbox: Sandbox) -> dict[str, str]:
    s3 = sandbox.loopback.client("s3")
    if BUCKET not in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]:
        s3.create_bucket(Bucket=BUCKET)
    found = s3.list_objects_v2(Bucket=BUCKET, Prefix="datasets/").get("Contents", [])
    return {item["Key"]: s3.head_object(Bucket=BUCKET, Key=item["Key"])["ContentType"] for item in found}


def test_the_data_set_is_uploaded_once(tmp_path: Path) -> None:
    """What was drawn lies in the bucket, the folder it was drawn in is gone, and the next start draws nothing."""
    with Sandbox(tmp_path / "own") as sandbox:
        _keys(sandbox)
        (tmp_path / "seeded.json").write_text('{"account": "role", "aerial": "aerial-land-cover"}')
        first = DatasetSeed(sandbox.loopback, tmp_path, print, [sys.executable, "-c", WRITE]).start()
        assert first.wait(30)
        first.close()
        assert _keys(sandbox) == {"datasets/aerial/train/0000.jpg": "image/jpeg"}
        assert _marked(tmp_path)["dataset"] == "s3://segdeck-sandbox/datasets/aerial"
        assert not (tmp_path / "drawing").exists()
        sandbox.loopback.client("s3").delete_object(Bucket=BUCKET, Key="datasets/aerial/train/0000.jpg")
        second = DatasetSeed(sandbox.loopback, tmp_path, print, [sys.executable, "-c", WRITE]).start()
        assert second.wait(30)
        second.close()
        assert _keys(sandbox) == {}


def test_it_is_left_out_with_its_demonstration(sandbox: Sandbox, tmp_path: Path) -> None:
    """Without the aerial demonstration nothing is drawn."""
    (tmp_path / "seeded.json").write_text('{"account": "role"}')
    seed = DatasetSeed(sandbox.loopback, tmp_path, print, [sys.executable, "-c", WRITE]).start()
    assert seed.wait(30)
    seed.close()
    assert _marked(tmp_path) == {"account": "role"}


def test_what_breaks_is_said_and_tried_again(sandbox: Sandbox, tmp_path: Path) -> None:
    """A line tells why, and the marker leaves it to the next start."""
    said: list[str] = []
    (tmp_path / "seeded.json").write_text('{"aerial": "aerial-land-cover"}')
    seed = DatasetSeed(sandbox.loopback, tmp_path, said.append, [sys.executable, "-c", BREAK]).start()
    assert seed.wait(30)
    seed.close()
    assert said == ["The demonstration's data set could not be drawn: the pencil broke"]
    assert "dataset" not in _marked(tmp_path)


def test_no_process_outlives_the_sandbox(sandbox: Sandbox, tmp_path: Path, eventually: Eventually) -> None:
    """`close` ends the drawing at once."""
    (tmp_path / "seeded.json").write_text('{"aerial": "aerial-land-cover"}')
    pid = tmp_path / "pid"
    code = f"import os, time; open({str(pid)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    seed = DatasetSeed(sandbox.loopback, tmp_path, print, [sys.executable, "-c", code]).start()
    number = eventually(lambda: pid.exists() and pid.read_text())
    seed.close()
    assert seed.wait(5)
    assert not Path(f"/proc/{number}").exists()


def test_the_data_set_is_what_the_algorithm_takes(tmp_path: Path) -> None:
    """Pairs of JPEG and palette PNG of 256 x 256 with the demo's six classes; the seeds of both sets differ."""
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
    found = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*"))
    assert found == [
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
