"""Changes on a full disk: the journal has no room before a plan, or in its middle, on a page and in the terminal.

The limit of a file's size is a real failure of the same writes, and harms no other process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from core.aws.connection import Clients, Connection, connect
from core.aws.endpoint_detail import endpoint_detail, users
from core.aws.execute import execute, journal_in
from core.cost.training import shipped_prices
from core.endpoints.spec import EndpointSpec
from core.errors import DeniedError
from core.plans.delete import plan_delete
from core.plans.deploy import plan_deploy
from core.plans.journal import Journal
from core.plans.plan import Plan
from core.settings import Settings
from sandbox.server import Sandbox
from tests.support.dashboard import IMAGE
from tests.support.patience import SECONDS

ROOT = Path(__file__).resolve().parents[1]
NAME, BUCKET = "full-disk", "full-disk-models"
ROLE = "arn:aws:iam::123456789012:role/Server"
TWO_LINES = 200
"""Bytes: more than two lines about a step, and less than three."""

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit of a file's size")


@pytest.fixture
def connection(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Connection:
    """The connection of the page and the command, through the environment."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    return connect(Settings.from_environ(environ))


@pytest.fixture
def environ(aws_environ: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """Mode aws at the address of the sandbox, and a journal for the test alone."""
    names = {"SEGDECK_MODE": "aws", **aws_environ, "SEGDECK_STATE_DIR": str(tmp_path / "state")}
    return {**os.environ, **names, "PYTHONPATH": str(ROOT)}


@pytest.fixture
def plan(
    connection: Connection,
    sandbox_server: Sandbox,
    make_client: Callable[..., Any],
    model_archive: Callable[[dict[str, bytes]], bytes],
) -> Iterator[Plan]:
    """A deployment of three steps; its resources are deleted after the test."""
    s3 = make_client(sandbox_server, "s3")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="model.tar.gz", Body=model_archive({"behavior.json": b"{}"}))
    spec = EndpointSpec(NAME, ROLE, "ml.c5.xlarge", IMAGE, f"s3://{BUCKET}/model.tar.gz")
    yield plan_deploy(spec, shipped_prices("us-east-1"))
    sandbox_server.wait_settled(SECONDS)
    aws = Clients(connection)
    if "Endpoints" not in made(connection):
        return
    details = [endpoint_detail(aws, NAME)]
    execute(aws, plan_delete(details, users(aws, details)))


def journal_of(environ: dict[str, str]) -> Journal:
    """Return the journal of the page and of the command."""
    return journal_in(Settings.from_environ(environ).journal_dir, "the dashboard")


def first_line(plan: Plan, connection: Connection, sandbox: Sandbox, journal: Journal) -> int:
    """Return the size of the plan's journal entry, measured with a try that AWS refuses and that is then removed."""
    denied = {"code": "AccessDeniedException", "message": "no", "status": 400}
    sandbox.faults.clear()
    sandbox.faults.add("error", operation="CreateModel", times=1, **denied)
    with pytest.raises(DeniedError):
        execute(Clients(connection), plan, journal=journal)
    (path,) = journal.folder.iterdir()
    size = path.read_bytes().index(b"\n") + 1
    path.unlink()
    return size


def limited(
    room: int, environ: dict[str, str], *command: str, given: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a Python file whose own files may not grow beyond `room` bytes."""
    return subprocess.run(
        [sys.executable, str(ROOT / "tests/support/limited_files.py"), str(room), *command],
        cwd=ROOT,
        env=environ,
        input=given,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def made(connection: Connection) -> list[str]:
    """Return the existing resources of the deployment."""
    sagemaker = Clients(connection).sagemaker
    answers = (
        (sagemaker.list_models, "Models", "ModelName"),
        (sagemaker.list_endpoint_configs, "EndpointConfigs", "EndpointConfigName"),
        (sagemaker.list_endpoints, "Endpoints", "EndpointName"),
    )
    return [kind for call, kind, _ in answers if call(NameContains=NAME)[kind]]


def test_a_page_without_room_for_its_journal_says_what_is_in_place(
    plan: Plan, connection: Connection, sandbox_server: Sandbox, environ: dict[str, str]
) -> None:
    """Without space for the plan nothing is started; in its middle the error says what exists, and is recorded."""
    journal = journal_of(environ)
    size = first_line(plan, connection, sandbox_server, journal)
    given = json.dumps({"connection": asdict(connection), "plan": plan.to_dict()})
    script = str(ROOT / "tests/support/one_dialog.py")
    before = limited(size - 1, environ, script, given=given)
    shown = before.stdout.replace("\\", "")
    assert "There is not enough space for the change journal" in shown, before.stderr
    assert "kB are needed" in shown
    assert "after" not in before.stdout
    assert made(connection) == []
    assert list(journal.folder.iterdir()) == []

    shown = limited(size + TWO_LINES, environ, script, given=given).stdout.replace("\\", "")
    assert f"Completed before that: {plan.steps[0].what} Not started: {plan.steps[1].what}" in shown.replace(
        "`", ""
    )
    assert "it is listed as unfinished" in shown
    assert made(connection) == ["Models"]
    (entry,) = journal.unfinished()
    assert entry.states == ("done", None, None)

    finished = limited(10**9, environ, str(ROOT / "cli.py"), "endpoints", "unfinished", "--finish", "--yes")
    assert finished.returncode == 0, finished.stderr
    assert len(made(connection)) == 3
    assert journal.unfinished() == ()


def test_a_command_without_room_for_its_journal_says_what_is_in_place(
    plan: Plan, connection: Connection, sandbox_server: Sandbox, environ: dict[str, str]
) -> None:
    """Without space to finish a change, before or in the middle, the error says what exists, and is recorded."""
    journal = journal_of(environ)
    denied = {"code": "AccessDeniedException", "message": "no", "status": 400}
    sandbox_server.faults.clear()
    sandbox_server.faults.add("error", operation="CreateEndpointConfig", times=1, **denied)
    with pytest.raises(DeniedError):
        execute(Clients(connection), plan, journal=journal)
    (path,) = journal.folder.iterdir()
    finish = (str(ROOT / "cli.py"), "endpoints", "unfinished", "--finish", "--yes")
    before = limited(path.stat().st_size + 5, environ, *finish)
    assert before.returncode == 1
    assert "There is not enough space for the change journal" in before.stderr
    assert "Traceback" not in before.stderr
    assert made(connection) == ["Models"]

    middle = limited(path.stat().st_size + 3 * TWO_LINES // 2, environ, *finish)
    assert middle.returncode == 1
    assert f"Completed before that: {plan.steps[0].what}" in middle.stderr
    assert "endpoints unfinished" in middle.stderr
    assert "Traceback" not in middle.stderr
    assert len(journal.unfinished()) == 1

    after = limited(10**9, environ, *finish)
    assert after.returncode == 0, after.stderr
    assert len(made(connection)) == 3
    assert journal.unfinished() == ()
