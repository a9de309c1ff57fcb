"""Every command under every fault of AWS: an exit code, one clear error, a bounded time, and no secret."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from click import Command
from click.testing import Result
from typer.main import get_command

import cli
from core.aws.connection import ATTEMPTS, LIST_ATTEMPTS, Clients, Connection, attempts_within
from core.settings import AWS_SECONDS
from tests.support.broken_aws import BrokenAws, broken_aws
from tests.support.command_line import CliRunner
from tests.support.dataset import ids, indexed, photo, write
from tests.support.scenes import write_scene

SECRETS = {
    "AWS_ACCESS_KEY_ID": "AKIAPLANTEDPLANTED00",
    "AWS_SECRET_ACCESS_KEY": "planted/secret/key/that/nobody/may/see00",
    "AWS_SESSION_TOKEN": "planted-session-token-that-nobody-may-see",
}
SHOWN = {"AWS_ACCESS_KEY_ID"}
"""Not a secret: AWS names it in its own errors."""

MAX_SECONDS = 60.0
MOST_LINES = 12
CALL_SECONDS = "1"
ROLE = "arn:aws:iam::123456789012:role/Role"
MODEL = "s3://models/a/model.tar.gz"


@dataclass(frozen=True)
class Row:
    """A command line."""

    words: str

    @property
    def command(self) -> str:
        return re.split(r" -| [A-Z{]| this-one| s3:", self.words)[0]


ROWS = (
    Row("segment {image} --out {out}"),
    Row("segment s3://data/in/ --endpoint this-one --out {out}"),
    Row("segment s3://data/in/ --endpoint this-one --out s3://data/out/"),
    Row("evaluate --images {voc}/JPEGImages --masks {voc}/SegmentationClass --out {out}"),
    Row("endpoints list"),
    Row("endpoints show this-one"),
    Row("endpoints scale this-one --count 2 --yes"),
    Row("endpoints delete this-one --yes"),
    Row(f"endpoints deploy --artifact {MODEL} --role {ROLE} --name this-one --yes"),
    Row(f"endpoints update this-one --artifact {MODEL} --yes"),
    Row(f"endpoints serve-here --artifact {MODEL} --yes"),
    Row(f"jobs launch --data s3://data/set --output s3://out/models --role {ROLE} --name this-one --yes"),
    Row("jobs clone this-one --yes"),
    Row("jobs list"),
    Row("jobs show this-one"),
    Row("jobs curves this-one"),
    Row("jobs logs this-one --follow"),
    Row("jobs stop this-one --yes"),
    Row("batch run s3://data/in/ --out s3://data/out/ --model this-one --yes"),
    Row("batch list"),
    Row("batch show this-one"),
    Row("batch results this-one"),
    Row("batch resume this-one --yes"),
    Row("batch clone this-one --yes"),
    Row("batch stop this-one --yes"),
    Row(f"doctor --role {ROLE} --bucket data-1"),
    Row("create-role --bucket data-1 --yes"),
    Row("dataset check s3://data/set"),
    Row("dataset upload {voc} --to s3://data/set --yes"),
)
LOCAL = (
    Row("image-uri --region eu-west-1"),
    Row("endpoints unfinished"),
    Row("dataset convert {voc} --out {out} --yes"),
    Row("zones {voc}-map/a_mask.tif {voc}-map/zones.geojson --out {out}"),
    Row("change {voc}/SegmentationClass/a.png {voc}/SegmentationClass/a.png --out {out}"),
    Row("dataset list"),
    Row("runs list"),
)
"""Commands that do their work without AWS."""

SERVING = {"run", "sandbox"}
"""Commands that serve until they are stopped, tested in `test_segdeck.py`."""

OF_A_RUN = {"runs show", "runs delete"}
"""Commands that need a stored run, tested in `test_runs.py`; they never call AWS."""

FAULTS = (
    "refused", "black hole", "throttled", "expired token", "access denied", "internal error", "garbled", "truncated",
    "empty JSON", "missing", "no credentials", "wrong address",
)  # fmt: skip
MORE = ("web page", "nothing", "deep", "dropped", "wrong region", "unknown profile")
"""Faults that are tried on two commands alone, one of each protocol."""


@pytest.fixture(scope="module")
def aws() -> Iterator[BrokenAws]:
    with broken_aws() as server:
        yield server


@pytest.fixture(scope="module")
def voc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a dataset that could be uploaded as it is."""
    root = tmp_path_factory.mktemp("set")
    for split, names in (("train", "abc"), ("validation", "de")):
        for name in names:
            write(root / split / f"{name}.jpg", photo(ord(name)))
            write(root / f"{split}_annotation" / f"{name}.png", indexed(ids(0, 1, 2)))
    write(root / "classes.txt", "ground\nroof\ntree\n")
    write(root / "JPEGImages/a.jpg", photo(1))
    write(root / "SegmentationClass/a.png", indexed(ids(0, 1, 2)))
    beside = root.with_name(f"{root.name}-map")
    beside.mkdir()
    write_scene(beside / "a_mask.tif", np.zeros((1, 8, 8), np.uint8), nodata=255)
    outline = [[9.0, 47.84], [9.01, 47.84], [9.01, 47.86], [9.0, 47.84]]
    write(beside / "zones.geojson", json.dumps({"type": "Polygon", "coordinates": [outline]}))
    return root


def environment(fault: str, url: str, state: Path) -> dict[str, str | None]:
    """Return the environment of a user whose AWS has this fault."""
    variables: dict[str, str | None] = {
        "SEGDECK_MODE": "aws", "SEGDECK_STATE_DIR": str(state), "SEGDECK_SANDBOX_DIR": str(state / "sandbox"),
        "SEGDECK_AWS_SECONDS": CALL_SECONDS, "AWS_ENDPOINT_URL": url, "AWS_REGION": "eu-west-1",
        "AWS_PROFILE": None, "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_EC2_METADATA_DISABLED": "true",
        **SECRETS,
    }  # fmt: skip
    changes: dict[str, dict[str, str | None]] = {
        "refused": {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{closed_port()}"},
        "no credentials": {
            **dict.fromkeys(SECRETS),
            "AWS_REGION": "eu-west-2",
        },  # a region for which no clients are cached yet
        "wrong region": {"AWS_REGION": "mars"},
        "wrong address": {"AWS_ENDPOINT_URL": "ftp://nowhere"},
        "unknown profile": {**dict.fromkeys(SECRETS), "AWS_PROFILE": "nobody"},
    }
    return variables | changes.get(fault, {})


def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


def run(row: Row, fault: str, aws: BrokenAws, voc: Path, folder: Path) -> tuple[Result, float]:
    places = {"image": voc / "JPEGImages/a.jpg", "voc": voc, "out": folder / "out"}
    words = [word.format(**places) for word in row.words.split()]
    aws.break_with(fault)
    started = time.monotonic()
    result = CliRunner().invoke(cli.app, words, env=environment(fault, aws.url, folder / "state"))
    return result, time.monotonic() - started


def commands_below(command: Command, above: str = "") -> set[str]:
    below: dict[str, Command] = getattr(command, "commands", {})
    if not below:
        return {above}
    return {
        name
        for key, member in below.items()
        if not member.hidden  # another name of a command
        for name in commands_below(member, f"{above} {key}".strip())
    }


def test_the_table_has_every_command() -> None:
    """Every command is in one of the tables."""
    assert {row.command for row in (*ROWS, *LOCAL)} | SERVING | OF_A_RUN == commands_below(
        get_command(cli.app)
    )


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.command)
def test_every_command_reports_every_fault(
    row: Row, fault: str, aws: BrokenAws, voc: Path, tmp_path: Path
) -> None:
    """A fault gives one error with what to do, exit code 1, in time, and never a traceback or a secret."""
    check_answer(row, fault, aws, voc, tmp_path)


@pytest.mark.parametrize("fault", MORE)
@pytest.mark.parametrize("words", ["endpoints list --json", "dataset check s3://data/set"])
def test_rarer_faults_are_reported(words: str, fault: str, aws: BrokenAws, voc: Path, tmp_path: Path) -> None:
    """The same holds for a proxy's page, empty or deeply nested replies, closed connections and wrong settings."""
    check_answer(Row(words), fault, aws, voc, tmp_path)


@pytest.mark.parametrize("row", LOCAL, ids=lambda row: row.command)
def test_what_needs_no_aws_works_without(row: Row, aws: BrokenAws, voc: Path, tmp_path: Path) -> None:
    """Commands that only use this machine send nothing, and succeed with every fault of AWS."""
    result, _ = run(row, "black hole", aws, voc, tmp_path)
    assert (result.exit_code, aws.requests) == (0, []), result.stderr


def check_answer(row: Row, fault: str, aws: BrokenAws, voc: Path, folder: Path) -> None:
    result, seconds = run(row, fault, aws, voc, folder)
    text = result.stdout + result.stderr
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
    assert "Traceback" not in text
    assert "Unexpected error" not in text
    assert not [name for name, value in SECRETS.items() if value in text and name not in SHOWN]
    assert seconds < MAX_SECONDS
    assert result.exit_code == 1, text
    assert has_error(result), text


def has_error(result: Result) -> bool:
    """Return whether standard error has an error: a block with indented lines, or a sentence per part left out.

    A command with --yes prints its plan before, which ends with how to undo it.
    """
    after_plan = re.split(r"^To undo: .*$", result.stderr, flags=re.MULTILINE)[-1]
    lines = [line for line in after_plan.splitlines() if line]
    indented = [line for line in lines if line.startswith("  ")]
    return bool(indented or [line for line in lines if "Could not" in line]) and len(lines) <= MOST_LINES


@pytest.mark.parametrize("most", [1, ATTEMPTS, LIST_ATTEMPTS])
@pytest.mark.parametrize("seconds", [1, 10, 29, 30, AWS_SECONDS, 600])
def test_a_call_ends_within_its_seconds(seconds: int, most: int) -> None:
    """All attempts and the pauses between them fit into the limit, and each attempt has some time."""
    attempts, each = attempts_within(seconds, most)
    assert 1 <= attempts <= most
    assert each > 0
    assert attempts * each + 2 ** (attempts - 1) - 1 <= seconds


def test_the_clients_keep_to_the_seconds() -> None:
    """Each client for reads has the attempts and the timeouts that the limit allows."""
    made = Clients(Connection("eu-west-1", "http://127.0.0.1:9", None, "a", "b"))
    assert AWS_SECONDS < MAX_SECONDS
    for client in (
        made.sagemaker,
        made.lists,
        made.s3,
        made.sts,
        made.logs,
        made.cloudwatch,
        made.autoscaling,
    ):
        config = client.meta.config
        attempts = config.retries["total_max_attempts"]
        assert (
            attempts * max(config.read_timeout, config.connect_timeout) + 2 ** (attempts - 1) - 1
            <= AWS_SECONDS
        )
