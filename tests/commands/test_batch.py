"""The commands `batch ...`, run against a real server on loopback as they would be against AWS."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from PIL import Image

import cli
from core.batch.objects import mask_names
from sandbox.server import Sandbox
from tests.support.artifacts import archive, aws_files
from tests.support.batches import BROKEN, BUCKET, NUMBERS, ROLE, Store, ended, jpeg
from tests.support.command_line import CliRunner

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def store(sandbox_server: Sandbox, model_archive: Callable[..., bytes]) -> Store:
    return Store(sandbox_server, model_archive)


@pytest.fixture
def run(aws_environ: dict[str, str], tmp_path: Path) -> Run:
    """Return a function: run("list", ...) invokes `batch` in mode aws against the test's sandbox."""

    def invoke(*arguments: object, **environ: str) -> Result:
        environ = {"SEGDECK_MODE": "aws", "SEGDECK_STATE_DIR": str(tmp_path), **aws_environ, **environ}
        return CliRunner().invoke(cli.app, ["batch", *map(str, arguments)], env=environ)

    return invoke


@pytest.fixture
def slow_job(store: Store, run: Run) -> Iterator[tuple[str, str]]:
    """A job that runs for long, and its output; it is stopped after the test."""
    name = f"slow-{next(NUMBERS)}"
    source, out = store.images("a.jpg", "b.jpg")
    made = run("run", source, "--out", out, "--model", store.model(seconds=60), "--name", name, "--yes")
    assert made.exit_code == 0, made.output
    yield name, out
    if store.status(name) == "InProgress":
        store.sagemaker.stop_transform_job(TransformJobName=name)


def test_a_folder_becomes_masks(store: Store, run: Run, tmp_path: Path) -> None:
    """A local folder is uploaded, segmented and measured; its masks and tables are saved in the same subfolders."""
    folder, saved = tmp_path / "images", tmp_path / "masks"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.jpg").write_bytes(jpeg())
    (folder / "sub" / "b c.jpg").write_bytes(jpeg())
    (folder / "notes.txt").write_text("x")
    base = f"s3://{BUCKET}/folder"
    places = ("--to", f"{base}/in/", "--out", f"{base}/out/", "--model", store.model())
    made = run("run", folder, *places, "--name", "folder-job", "--yes", "--follow", "--json")
    assert made.exit_code == 0, made.output
    document = json.loads(made.stdout)
    assert (document["status"], document["images"], document["done"]) == ("Completed", 2, 2)
    assert "notes.txt" in made.stderr
    assert store.keys(f"{base}/out/") == ["a.jpg.out", "sub/b c.jpg.out"]

    read = run("results", "folder-job", "--out", saved, "--json")
    assert read.exit_code == 0, read.output
    assert json.loads(read.stdout)["totals"][1] == {
        "class_id": 1,
        "class": "sea",
        "images": 2,
        "pixels": 10,
        "share": 0.25,
    }
    with Image.open(saved / "sub" / "b c_mask.png") as image:
        assert np.asarray(image)[0].tolist() == [1] * 5
    rows = list(csv.DictReader((saved / "areas.csv").read_text().splitlines()))
    assert [(row["image"], row["class"]) for row in rows] == [
        ("a.jpg", "land"),
        ("a.jpg", "sea"),
        ("sub/b c.jpg", "land"),
        ("sub/b c.jpg", "sea"),
    ]
    assert run("results", "folder-job", "--out", saved).exit_code == 1, "existing files are kept"


def test_a_dry_run_changes_nothing(store: Store, run: Run) -> None:
    """--dry-run prints the plan with its price and what will not be sent, and starts nothing."""
    source, out = store.images("a.jpg", "b.png")
    made = run("run", source, "--out", out, "--model", store.model(), "--name", "dry", "--dry-run", "--json")
    assert made.exit_code == 0, made.output
    plan = json.loads(made.stdout)
    assert [step["operation"] for step in plan["steps"]] == ["PutObject", "CreateTransformJob"]
    assert json.loads(plan["steps"][0]["params"]["Body"]) == [{"prefix": source}, "a.jpg"]
    assert plan["price"]["usd_per_hour"] is not None
    assert any("b.png" in warning for warning in plan["warnings"])
    assert store.keys(out) == []


def test_an_estimate_is_from_an_earlier_job_of_the_model(store: Store, run: Run) -> None:
    """--dry-run estimates the price from an earlier completed job of the same model, and names that job."""
    source, out = store.images("a.jpg")
    model = store.model()
    plan = ("run", source, "--out", out, "--model", model, "--dry-run", "--json")
    assert json.loads(run(*plan).stdout)["price"]["usd_expected"] is None
    ended(store, store.start(f"earlier-{next(NUMBERS)}", model, source, out), "Completed")
    price = json.loads(run(*plan).stdout)["price"]
    assert "s per image, as in earlier-" in price["source"]
    assert price["usd_expected"] is not None


def test_failed_images_are_named_and_resumed(store: Store, run: Run) -> None:
    """A job with a broken image fails, names it with its reason, and resume sends exactly what has no valid mask."""
    model = store.model(refuse=[BROKEN.decode(), 400])
    source, out = store.images("a.jpg", "b.jpg", "c.jpg", bad=("bad.jpg",))
    made = run("run", source, "--out", out, "--model", model, "--name", "three", "--yes", "--follow")
    assert made.exit_code == 1
    assert "Failed: bad.jpg: ClientError: 400" in made.output.replace("\n", " ")
    document = json.loads(run("show", "three", "--json").stdout)
    assert (document["status"], document["images"], document["done"]) == ("Failed", 4, 3)
    assert [row["image"] for row in document["failed"]] == ["bad.jpg"]

    folder = out.removeprefix(f"s3://{BUCKET}/")
    store.put(f"{folder}b.jpg.out", b"\x89PNG cut")
    store.s3.delete_object(Bucket=BUCKET, Key=f"{folder}c.jpg.out")
    resumed = run("resume", "three", "--name", "three-b", "--yes", "--follow", "--json")
    assert resumed.exit_code == 0, resumed.output
    assert "Not sent again, because they failed: bad.jpg." in resumed.stderr
    manifest = store.s3.get_object(Bucket=BUCKET, Key=f"{folder}three-b.manifest")["Body"].read()
    assert json.loads(manifest) == [{"prefix": source}, "b.jpg", "c.jpg"]
    assert json.loads(resumed.stdout)["done"] >= 2
    assert "There is nothing to resume" in run("resume", "three").stderr


def test_a_prefix_without_a_slash_and_keys_with_two(store: Store, run: Run) -> None:
    """Another tool's job on s3://b/in reads in/, in// and in2/: all are counted, matched with masks, and resumed."""
    source, out = store.images("a.jpg", "/b.jpg")
    folder = source.removeprefix(f"s3://{BUCKET}/").removesuffix("in/")
    store.put(f"{folder}in2/c.jpg", jpeg())
    store.put(f"{folder}in2/bad.jpg", jpeg() + BROKEN)
    model = store.model(refuse=[BROKEN.decode(), 400])
    name = store.start("no-slash", model, source.removesuffix("/"), out)
    ended(store, name, "Failed")
    assert sorted(store.keys(out)) == ["/b.jpg.out", "a.jpg.out", "in2/c.jpg.out"]
    document = json.loads(run("show", name, "--json").stdout)
    assert (document["images"], document["done"]) == (4, 3)
    assert [row["image"] for row in document["failed"]] == ["in2/bad.jpg"]

    for key in store.keys(out):
        store.s3.delete_object(Bucket=BUCKET, Key=f"{folder}out/{key}")
    first = run("resume", name, "--name", "no-slash-1", "--yes", "--follow", "--json")
    assert first.exit_code == 0, first.output
    assert "1 image outside of" in first.stderr.replace("\n", " ")
    assert manifest_of(store, f"{folder}out/no-slash-1") == [{"prefix": source}, "/b.jpg", "a.jpg"]
    second = run("resume", name, "--name", "no-slash-2", "--yes", "--follow", "--json")
    assert second.exit_code == 0, second.output
    parent = source.removesuffix("in/")
    assert manifest_of(store, f"{folder}out/no-slash-2") == [{"prefix": parent}, "in2/c.jpg"]
    assert json.loads(run("show", name, "--json").stdout)["done"] == 3
    assert "There is nothing to resume" in run("resume", name).stderr


def manifest_of(store: Store, key: str) -> Any:
    return json.loads(store.s3.get_object(Bucket=BUCKET, Key=f"{key}.manifest")["Body"].read())


def test_a_running_job_is_stopped_and_not_resumed(store: Store, run: Run, slow_job: tuple[str, str]) -> None:
    """A running job cannot be resumed; stop ends it, and then cannot be repeated."""
    name, _ = slow_job
    refused = run("resume", name)
    assert refused.exit_code == 1
    assert "still running" in refused.output
    assert run("stop", name, "--yes").exit_code == 0
    ended(store, name, "Stopped")
    again = run("stop", name, "--yes")
    assert again.exit_code == 1
    assert "was stopped" in again.output
    assert name in run("list", "--status", "Stopped").output


def test_a_clone_has_the_same_settings(store: Store, run: Run, slow_job: tuple[str, str]) -> None:
    """clone plans the same request under another name, with another output if one is given."""
    name, out = slow_job
    before = store.sagemaker.describe_transform_job(TransformJobName=name)
    made = run("clone", name, "--name", "copy", "--out", f"{out}2/", "--dry-run", "--json")
    assert made.exit_code == 0, made.output
    request = json.loads(made.stdout)["steps"][-1]["params"]
    assert request["TransformOutput"]["S3OutputPath"] == f"{out}2/"
    for key in (
        "ModelName",
        "TransformInput",
        "ModelClientConfig",
        "MaxPayloadInMB",
        "MaxConcurrentTransforms",
    ):
        assert request[key] == before[key]


def test_a_model_is_created_from_an_artifact(store: Store, run: Run) -> None:
    """--artifact plans the model before the job, and --role is required for it."""
    source, out = store.images("a.jpg")
    store.put("models/artifact/model.tar.gz", archive(aws_files()))
    model = ("--artifact", f"s3://{BUCKET}/models/artifact/model.tar.gz")
    refused = run("run", source, "--out", out, *model, "--dry-run")
    assert refused.exit_code == 1
    assert "--role is required" in refused.output
    made = run("run", source, "--out", out, *model, "--role", ROLE, "--dry-run", "--json")
    assert made.exit_code == 0, made.output
    create, start = json.loads(made.stdout)["steps"]
    assert (create["operation"], start["operation"]) == ("CreateModel", "CreateTransformJob")
    assert create["params"]["ModelName"] == start["params"]["ModelName"]


def test_no_two_masks_have_the_same_file() -> None:
    """Masks keep the subfolders of their images; others that would be the same get a number."""
    keys = ["a/x.jpg", "a/x.jpeg", "A/X.jpg", "../../etc/passwd.jpg", "", r"..\..\x.jpg", "C:y.jpg"]
    assert mask_names(keys) == [
        "a/x_mask.png",
        "a/x-2_mask.png",
        "A/X-3_mask.png",
        "etc/passwd_mask.png",
        "image_mask.png",
        ".._.._x_mask.png",
        "C_y_mask.png",
    ]


def test_masks_of_another_job_do_not_count(store: Store, run: Run) -> None:
    """Two jobs that write below the same prefix each count and read their own masks."""
    model = store.model()
    first, out = store.images("a.jpg")
    second, _ = store.images("b.jpg", "c.jpg")
    for name, source in (("one-of-two", first), ("two-of-two", second)):
        made = run("run", source, "--out", out, "--model", model, "--name", name, "--yes", "--follow")
        assert made.exit_code == 0, made.output
    document = json.loads(run("show", "one-of-two", "--json").stdout)
    assert (document["images"], document["done"]) == (1, 1)
    assert json.loads(run("results", "two-of-two", "--json").stdout)["images"] == 2


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("run", "s3://x/in/", "--out", "s3://x/out/"), "exactly one of"),
        (("run", "/nowhere", "--out", "s3://x/out/", "--model", "m"), "m"),
        (("show", "nothing"), "nothing"),
        (("results", "nothing"), "nothing"),
        (("stop", "nothing", "--yes"), "nothing"),
    ],
)
def test_what_does_not_exist_is_an_error(run: Run, arguments: tuple[str, ...], text: str) -> None:
    """A missing model, job, folder or option is an error that names it, with a nonzero exit code."""
    made = run(*arguments)
    assert made.exit_code != 0
    assert text in made.output
    assert "Traceback" not in made.output


def test_a_prefix_without_images_starts_nothing(store: Store, run: Run) -> None:
    """Where there are no JPEG images the job is not started, and the error says so."""
    source, out = store.images("a.png")
    made = run("run", source, "--out", out, "--model", store.model(), "--yes")
    assert made.exit_code == 1
    assert "There are no JPEG images" in made.output.replace("\n", " ")
