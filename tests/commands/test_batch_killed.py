"""A batch whose sandbox is killed by SIGKILL, and the batch that resumes it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

import cli
from sandbox.common.clients import Loopback
from sandbox.launcher import Address, running
from tests.support.batches import Store, ended, mask
from tests.support.command_line import CliRunner
from tests.support.patience import wait_until

PROJECT = Path(__file__).resolve().parents[2]
STUBBED = [sys.executable, str(PROJECT / "tests" / "support" / "sandbox_process.py")]
IMAGES = 10
SECONDS = 1
"""Of the model, for each image."""


@dataclass
class Running:
    """A sandbox in a process of its own."""

    address: Address
    process: subprocess.Popen[bytes]

    @property
    def loopback(self) -> Loopback:
        address = self.address
        return Loopback(address.url, address.region, address.access_key, address.secret_key)


@contextmanager
def sandbox_process(data_dir: Path) -> Iterator[Running]:
    """Start a sandbox with stub containers; kill it at the end."""
    command = [*STUBBED, "--data", str(data_dir), "--no-demo", "--port", "0"]
    environ = {**os.environ, "PYTHONPATH": str(PROJECT)}
    with (data_dir.parent / "log.txt").open("ab") as log:
        process = subprocess.Popen(command, cwd=PROJECT, env=environ, stdout=log, stderr=log)
    try:

        def probe() -> Address | None:
            assert process.poll() is None, (data_dir.parent / "log.txt").read_text()
            address = running(data_dir)
            return address if address is not None and address.pid == process.pid else None

        yield Running(wait_until(probe), process)
    finally:
        process.kill()
        process.wait()


def written(store: Store, out: str) -> dict[str, object]:
    """Return each mask below a prefix and when it was written."""
    bucket, _, prefix = out.removeprefix("s3://").partition("/")
    rows = store.s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
    return {
        row["Key"].removeprefix(prefix): row["LastModified"] for row in rows if row["Key"].endswith(".out")
    }


@pytest.mark.sandbox
def test_a_killed_batch_is_resumed(model_archive: Callable[..., bytes], tmp_path: Path) -> None:
    """After SIGKILL a batch has failed and its masks are whole; its resume makes each missing mask, and no other."""
    data_dir = tmp_path / "sandbox"

    def run(sandbox: Running, *arguments: str) -> str:
        environ = {
            "SEGDECK_MODE": "aws",
            "SEGDECK_STATE_DIR": str(tmp_path / "state"),
            **sandbox.address.environ(),
        }
        result = CliRunner().invoke(cli.app, ["batch", *arguments], env=environ)
        assert result.exit_code == 0, result.output
        return result.output

    with sandbox_process(data_dir) as sandbox:
        store = Store(sandbox, model_archive)  # type: ignore[arg-type]
        source, out = store.images(*(f"{number:02}.jpg" for number in range(IMAGES)))
        model = store.model(seconds=SECONDS)
        run(sandbox, "run", source, "--out", out, "--model", model, "--name", "killed", "--yes")
        wait_until(lambda: len(written(store, out)) >= 2)

    with sandbox_process(data_dir) as sandbox:
        store = Store(sandbox, model_archive)  # type: ignore[arg-type]
        ended(store, "killed", "Failed")
        before = written(store, out)
        assert 2 <= len(before) < IMAGES
        run(sandbox, "resume", "killed", "--name", "resumed", "--yes")
        ended(store, "resumed", "Completed")
        after = written(store, out)
        assert len(after) == IMAGES
        assert before.items() <= after.items()
        bucket, _, prefix = out.removeprefix("s3://").partition("/")
        bodies = {store.s3.get_object(Bucket=bucket, Key=prefix + name)["Body"].read() for name in after}
        assert bodies == {mask()}
