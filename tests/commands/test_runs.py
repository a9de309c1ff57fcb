"""The commands `runs ...` on a stored segmentation and a stored evaluation."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import cli
from core.accounts import AccountChoice
from core.runs.run import Run, RunEndpoint, RunImage
from core.runs.store import RunStore
from core.settings import Settings
from tests.support.command_line import CliRunner

NAME = "bay\x1b[31m.jpg"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """Mode aws with an empty state folder; nothing is called."""
    return {"SEGDECK_MODE": "aws", "AWS_REGION": "eu-west-1", "SEGDECK_STATE_DIR": str(tmp_path / "state")}


@pytest.fixture
def store(environ: dict[str, str]) -> RunStore:
    settings = Settings.from_environ(environ)
    return RunStore(settings.runs_dir_of(AccountChoice()), settings.results_bytes, lambda: NOON)


@pytest.fixture
def stored(store: RunStore) -> tuple[Run, Run]:
    """A segmentation of two images, one of which failed, and a newer evaluation."""
    content = store.add_content(b"image")
    segmentation = Run(
        "a" * 32, "segmentation", NOON, "ann", "AWS", (RunEndpoint("roads", "c", "s3://m/model.tar.gz"),),
        images=(
            RunImage(content, NAME, content, "", state="done", seconds=0.25, largest=(("sea", 0.75),)),
            RunImage("b", "b.jpg", state="failed", error="b.jpg is not an image."),
        ),
    )  # fmt: skip
    evaluation = Run(
        "ab" + "c" * 30, "evaluation", NOON.replace(hour=13), "", "AWS", (RunEndpoint("new"), RunEndpoint("old")),
        title="val", image_count=3, failed=1, measures=({"mean_iou": 0.5}, {"mean_iou": None}),
    )  # fmt: skip
    store.add(segmentation)
    store.add(evaluation)
    return segmentation, evaluation


@pytest.fixture
def segdeck(environ: dict[str, str]) -> Callable[..., Any]:
    """segdeck("runs", "list") -> the result of the command."""

    def run(*arguments: str, **more: str) -> Any:
        return CliRunner().invoke(cli.app, arguments, env={**environ, **more})

    return run


def test_runs_are_listed(segdeck, stored):
    """Runs are listed newest first, with endpoint, images and scores; control characters have no effect."""
    result = segdeck("runs", "list")
    assert result.exit_code == 0
    lines = result.stdout
    assert lines.index("new vs. old") < lines.index("roads")
    assert "50.0%" in lines
    assert "1 of 2" in lines
    assert r"bay\x1b[31m.jpg" in lines
    assert "\x1b[31m" not in lines


def test_runs_for_programs(segdeck, stored):
    """--json has the whole runs, with exact names, and --search and --limit choose among them."""
    document = json.loads(segdeck("runs", "list", "--json").stdout)
    assert [run["id"] for run in document["runs"]] == [stored[1].id, stored[0].id]
    assert document["runs"][0]["scores"] == [{"mean_iou": 0.5}, {"mean_iou": None}]
    found = json.loads(segdeck("runs", "list", "--search", "ROADS", "--json").stdout)
    assert [run["id"] for run in found["runs"]] == [stored[0].id]
    few = json.loads(segdeck("runs", "list", "--limit", "1", "--json").stdout)
    assert (len(few["runs"]), few["total"]) == (1, 2)


def test_one_run(segdeck, stored):
    """A run is shown by its ID or the beginning of it, with the result of each image."""
    result = segdeck("runs", "show", "aaaa")
    assert result.exit_code == 0
    assert r"bay\x1b[31m.jpg" in result.stdout
    assert "sea 75.0%" in result.stdout
    assert "b.jpg is not an image." in result.stdout
    document = json.loads(segdeck("runs", "show", stored[0].id, "--json").stdout)
    assert [row["name"] for row in document["results"]] == [NAME, "b.jpg"]
    assert "Mean IoU" in segdeck("runs", "show", stored[1].id).stdout


@pytest.mark.parametrize("run_id", ["ffff", "a", "../../etc", ""])
def test_a_run_that_does_not_exist(segdeck, stored, run_id):
    """An unknown ID, or a beginning that is too short, is reported with what to do."""
    result = segdeck("runs", "show", run_id)
    assert result.exit_code == 1
    assert "There is no run" in result.stderr


def test_an_ambiguous_beginning(segdeck, store, stored):
    """Where several runs begin alike, they are named, and nothing is deleted."""
    store.add(Run("aaaa" + "d" * 28, "segmentation", NOON, "", "AWS", (RunEndpoint("roads"),)))
    result = segdeck("runs", "delete", "aaaa", "--yes")
    assert result.exit_code == 1
    assert "2 runs begin with aaaa" in result.stderr
    assert len(store.all().runs) == 3


def test_a_run_is_deleted(segdeck, store, stored):
    """With --yes a run is deleted with its images; without a terminal to confirm on, nothing is."""
    refused = segdeck("runs", "delete", "aaaa")
    assert refused.exit_code == 1
    assert "--yes" in refused.stderr
    assert len(store.all().runs) == 2
    document = json.loads(segdeck("runs", "delete", "aaaa", "--yes", "--json").stdout)
    assert document["deleted"] is True
    assert [run.id for run in store.all().runs] == [stored[1].id]
    assert not store.has_content(stored[0].images[0].content)


def test_no_runs(segdeck, environ):
    """Without runs, the list says so; with storing turned off, it names the setting."""
    assert segdeck("runs", "list").stdout.strip() == "No runs."
    result = segdeck("runs", "list", SEGDECK_RESULTS_MB="0")
    assert result.exit_code == 1
    assert "SEGDECK_RESULTS_MB is 0" in result.stderr
