"""`segment` and `evaluate`, killed by SIGKILL and run again against a server that counts invocations."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from PIL import Image

import cli
from core.evaluation.store import IN_FLIGHT, LINES
from sandbox.server import Sandbox
from tests.support.command_line import CliRunner
from tests.support.patience import SECONDS

ROOT = Path(__file__).resolve().parents[2]
COUNT = 4
Run = Callable[..., Result]


def png(ids: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(ids.astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def endpoint(sandbox_server: Sandbox, make_endpoint: Any) -> Iterator[str]:
    """Return the name of an endpoint that always responds with the same mask."""
    name: str = make_endpoint(sandbox_server, files={"answer.png": png(np.eye(6, 8, dtype=np.uint8))})
    yield name
    sandbox_server.loopback.client("sagemaker").delete_endpoint(EndpointName=name)
    sandbox_server.wait_settled(SECONDS)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Return images 0 to 3, whose overlays take a moment to write."""
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(COUNT):
        Image.effect_noise((1_000, 800), 10 + number).convert("RGB").save(folder / f"{number}.jpg")
    return folder


@pytest.fixture
def environ(aws_environ: dict[str, str]) -> dict[str, str]:
    return {"SEGDECK_MODE": "aws", **aws_environ}


@pytest.fixture
def run(environ: dict[str, str]) -> Run:
    def invoke(*arguments: object) -> Result:
        return CliRunner().invoke(cli.app, [str(item) for item in arguments], env=environ)

    return invoke


def kill_when(
    reached: Callable[[], bool], arguments: list[object], environ: dict[str, str], folder: Path
) -> None:
    """Run the command line in a process and kill it once a condition holds."""
    command = [sys.executable, "cli.py", *map(str, arguments)]
    with (folder / "killed.txt").open("w") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=os.environ | environ, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + SECONDS
        while not reached():
            assert process.poll() is None, (folder / "killed.txt").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.001)
    finally:
        process.kill()
        process.wait(SECONDS)


def hold_after(count: int, faults: Any) -> None:
    """Answer this many invocations, and hold the others until the faults are cleared."""
    if count:
        faults.add("delay", operation="InvokeEndpoint", seconds=0, times=count)
    faults.add("delay", operation="InvokeEndpoint", seconds=600)


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


@pytest.mark.parametrize("point", ["in flight", "mask alone", "done"])
def test_a_killed_segment_resumes_exactly_what_has_no_json(
    *, point: str, run: Run, endpoint: str, images: Path, tmp_path: Path, environ: dict[str, str], faults: Any
) -> None:
    """Wherever it was killed, --resume invokes the endpoint once for each image without a JSON and for no other."""
    out = tmp_path / "out"
    arguments: list[object] = ["segment", images, "--endpoint", endpoint, "--out", out, "--format", "mask"]
    answered = 2 if point == "in flight" else 3
    hold_after(answered, faults)
    reached = {
        "in flight": lambda: len(faults.hits) > answered,
        "mask alone": (out / "2_mask.png").exists,
        "done": (out / "2.json").exists,
    }
    kill_when(reached[point], arguments, environ, tmp_path)
    done = {path.stem for path in out.glob("*.json")}
    assert done <= {"0", "1", "2"}
    if point == "mask alone" and "2" not in done:
        arguments[1] = images / "2.jpg"
        assert run(*arguments).exit_code == 1  # without --resume nothing is replaced
        arguments[1] = images
    before = digests(out)
    faults.clear()
    faults.add("delay", operation="InvokeEndpoint", seconds=0)
    result = run(*arguments, "--resume")
    assert result.exit_code == 0, result.stderr
    assert len(faults.hits) == COUNT - len(done)
    assert f"Skipped {len(done)} of {COUNT} images that an earlier run had done" in result.stderr
    after = digests(out)
    assert {name for name in after if not name.startswith(".")} == {
        f"{number}{end}" for number in range(COUNT) for end in (".json", "_mask.png", "_overlay.png")
    }
    assert not [name for name in after if name.startswith(".")]
    assert all(after[name] == digest for name, digest in before.items() if name[0] in done)
    again = run(*arguments, "--resume", "--json")
    assert len(faults.hits) == COUNT - len(done)
    document = json.loads(again.stdout)
    assert (len(document["skipped"]), document["images"]) == (COUNT, [])


def test_what_is_left_of_an_image_is_completed(
    run: Run, endpoint: str, images: Path, tmp_path: Path, faults: Any
) -> None:
    """A mask alone, a truncated JSON or a missing overlay makes its image, and no other, be segmented again."""
    out = tmp_path / "out"
    arguments = ("segment", images, "--endpoint", endpoint, "--out", out, "--format", "mask")
    assert run(*arguments).exit_code == 0
    (out / "0.json").unlink()
    (out / "0_overlay.png").unlink()
    (out / ".0.unfinished").touch()
    (out / "1.json").write_bytes((out / "1.json").read_bytes()[:-40])
    (out / ".1.unfinished").touch()
    (out / "2_overlay.png").unlink()
    (out / f".{'a' * 16}.part").write_bytes(b"cut")
    faults.add("delay", operation="InvokeEndpoint", seconds=0)
    result = run(*arguments, "--resume")
    assert result.exit_code == 0, result.stderr
    assert len(faults.hits) == 3
    assert "Removed 1 unfinished file" in result.stderr
    assert len(list(out.iterdir())) == 3 * COUNT


def test_resuming_keeps_files_that_no_run_of_ours_wrote(
    run: Run, endpoint: str, images: Path, tmp_path: Path, faults: Any
) -> None:
    """A mask that the user put at the place of a result is kept: that image fails before the endpoint is invoked."""
    out = tmp_path / "out"
    out.mkdir()
    (out / "1_mask.png").write_bytes(b"drawn by hand")
    faults.add("delay", operation="InvokeEndpoint", seconds=0)
    result = run("segment", images, "--endpoint", endpoint, "--out", out, "--format", "mask", "--resume")
    assert result.exit_code == 1
    assert "It is not from an interrupted run" in " ".join(result.stderr.split())
    assert (out / "1_mask.png").read_bytes() == b"drawn by hand"
    assert len(faults.hits) == COUNT - 1


def test_resume_mixes_neither_requests_nor_images(
    run: Run, endpoint: str, images: Path, tmp_path: Path, faults: Any
) -> None:
    """A changed option or image is refused with both values, and nothing is invoked."""
    out = tmp_path / "out"
    arguments = ("segment", images / "0.jpg", "--endpoint", endpoint, "--out", out, "--format", "mask")
    assert run(*arguments).exit_code == 0
    faults.add("delay", operation="InvokeEndpoint", seconds=0)
    other = run(*arguments, "--palette", "safe", "--resume")
    Image.new("RGB", (20, 20)).save(images / "0.jpg")
    changed = run(*arguments, "--resume")
    assert (other.exit_code, changed.exit_code, faults.hits) == (1, 1, [])
    assert "palette 'model' and now 'safe'" in other.stderr
    assert "written for another image" in changed.stderr
    assert run(*arguments, "--resume", "--overwrite").exit_code == 2


@pytest.mark.parametrize("calls", [1, 4])
def test_a_killed_evaluation_repeats_at_most_what_was_in_flight(
    *, calls: int, run: Run, endpoint: str, tmp_path: Path, environ: dict[str, str], faults: Any
) -> None:
    """Cached predictions are not requested again; at most two calls in flight are, and the command says so."""
    images, masks, out = (tmp_path / name for name in ("images", "masks", "out"))
    for folder in (images, masks):
        folder.mkdir()
    for number in range(8):
        Image.new("RGB", (8, 6), (25 * number, 90, 90)).save(images / f"{number}.jpg")
        (masks / f"{number}.png").write_bytes(png(np.eye(6, 8, dtype=np.uint8)))
    arguments: list[object] = ["evaluate", "--endpoint", endpoint, "--images", images, "--masks", masks]
    arguments += ["--out", out]
    hold_after(calls - 1, faults)
    kill_when(lambda: len(faults.hits) >= calls, arguments, environ, tmp_path)
    kept = len((out / LINES).read_bytes().splitlines()) - 1
    in_flight = len(list((out / IN_FLIGHT).iterdir()))
    assert 1 <= in_flight <= 2
    faults.clear()
    faults.add("delay", operation="InvokeEndpoint", seconds=0)
    result = run(*arguments)
    assert result.exit_code == 0, result.stderr
    assert len(faults.hits) == 8 - kept
    assert f"{in_flight} call" in result.stderr
    assert "repeated" in result.stderr
    assert not list((out / IN_FLIGHT).iterdir())
    if kept:
        assert f"{kept} image" in result.stderr
    again = run(*arguments)
    assert len(faults.hits) == 8 - kept
    assert "repeated" not in again.stderr
