"""The commands `dataset ...`, run against a real server on loopback as they would be against AWS."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

import cli
from core.training.channels import data_channels
from sandbox.server import Sandbox
from tests.support.command_line import CliRunner
from tests.support.dashboard import put_data, start_job
from tests.support.dataset import CAMVID, digests, ids, indexed, make_brushed, make_voc, photo, write
from tests.support.tool_formats import FORMATS, make_scenes

BUCKET = "cli-datasets"
Run = Callable[..., Result]


@pytest.fixture
def run(aws_environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return a function: run("check", ...) invokes `dataset` in mode aws against the test's sandbox."""
    state = str(tmp_path_factory.mktemp("state"))

    def invoke(*arguments: object) -> Result:
        environ = {"SEGDECK_MODE": "aws", "SEGDECK_STATE_DIR": state, **aws_environ}
        return CliRunner().invoke(cli.app, ["dataset", *map(str, arguments)], env=environ)

    return invoke


@pytest.fixture(scope="module")
def s3(sandbox_server: Sandbox, make_client: Any) -> Any:
    made = make_client(sandbox_server, "s3")
    made.create_bucket(Bucket=BUCKET)
    return made


@pytest.fixture
def start(s3: Any, make_client: Any, sandbox_server: Sandbox) -> Callable[..., str]:
    """Return a function: start(name, channels=...) starts a training job."""
    put_data(s3)
    return partial(start_job, make_client(sandbox_server, "sagemaker"))


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    return make_voc(tmp_path / "voc")


def keys(s3: Any, prefix: str) -> list[str]:
    rows = s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", ())
    return sorted(row["Key"].removeprefix(prefix) for row in rows)


def test_check_shows_classes_and_issues(run: Run, voc: Path) -> None:
    """A valid dataset is shown with its classes, exit code 0; an invalid one with files and fixes, exit code 1."""
    good = run("check", voc)
    assert good.exit_code == 0, good.stderr
    assert "6 training images, 2 validation images, 3 classes" in good.stdout
    assert "Ready for training." in good.stdout
    write(voc / "SegmentationClass/tile_3.png", indexed(ids(0, 7)))
    bad = run("check", voc)
    assert bad.exit_code == 1
    assert "class_out_of_range" in bad.stdout
    assert "SegmentationClass/tile_3.png" in bad.stdout


def test_brush_labels_are_merged(run: Run, tmp_path: Path) -> None:
    """A Label Studio export with a PNG per region is merged, then validated and converted, from a ZIP file too."""
    root = make_brushed(tmp_path / "brushed")
    before = digests(root)
    with zipfile.ZipFile(tmp_path / "brushed.zip", "w") as archive:
        for path in root.iterdir():
            archive.write(path, path.name)
    for place in (root, tmp_path / "brushed.zip"):
        result = run("check", place)
        assert result.exit_code == 0, result.stderr
        assert "Merged 8 PNGs" in result.stderr
        assert f"folders: {place}" in result.stdout
        made = run("convert", place, "--out", tmp_path / f"out-{place.suffix}", "--yes")
        assert made.exit_code == 0, made.stderr
        assert json.loads(run("check", tmp_path / f"out-{place.suffix}", "--json").stdout)["num_classes"] == 3
    assert digests(root) == before


def test_a_check_as_json_has_every_problem(run: Run, voc: Path) -> None:
    """The document has counts, the histogram, and each problem with path, code, message and fix."""
    for number in range(7):
        (voc / f"SegmentationClass/tile_{number}.png").unlink()
    document = json.loads(run("check", voc, "--json").stdout)
    assert document["problem_counts"]["mask_missing"] == 7
    missing = [row for row in document["problems"] if row["code"] == "mask_missing"]
    assert [row["path"] for row in missing] == [f"JPEGImages/tile_{number}.jpg" for number in range(7)]
    assert all(row["message"] and row["todo"] for row in missing)
    assert (document["usable"], document["counts"]["train_annotation"], document["num_classes"]) == (
        False,
        0,
        3,
    )


def test_names_may_be_given(run: Run, voc: Path, tmp_path: Path) -> None:
    """--classes takes precedence over the names in the dataset."""
    write(tmp_path / "names.txt", "a\nb\nc\nd\n")
    document = json.loads(run("check", voc, "--classes", tmp_path / "names.txt", "--json").stdout)
    assert [row["name"] for row in document["histogram"]] == ["a", "b", "c", "d", "ignore"]
    assert document["problem_counts"] == {"class_empty": 1}


def test_a_zip_is_checked_and_a_harmful_one_refused(run: Run, voc: Path, tmp_path: Path) -> None:
    """A ZIP file is extracted for the duration of the command; paths that lead outside are refused."""
    with zipfile.ZipFile(tmp_path / "good.zip", "w") as archive:
        for path in sorted(voc.rglob("*.*")):
            archive.write(path, path.relative_to(tmp_path))
    result = run("check", tmp_path / "good.zip", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["counts"]["train"] == 6
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr("../../outside.jpg", b"x")
    refused = run("check", tmp_path / "bad.zip")
    assert refused.exit_code == 1
    assert "leads out of the folder" in refused.stderr


def test_a_conversion_asks_and_never_overwrites(run: Run, voc: Path, tmp_path: Path) -> None:
    """Without confirmation nothing is written; the copy is next to the dataset, which does not change."""
    write(voc / "JPEGImages/tile_0.png", photo(70, "PNG"))
    (voc / "JPEGImages/tile_0.jpg").unlink()
    before = digests(voc)
    shown = run("convert", voc, "--dry-run", "--json")
    assert json.loads(shown.stdout)["photographs_written_anew"] == 1
    assert "Add --yes" in run("convert", voc).stderr
    assert not (tmp_path / "voc-channels").exists()
    done = run("convert", voc, "--yes")
    assert done.exit_code == 0, done.stderr
    assert run("check", tmp_path / "voc-channels").exit_code == 0
    again = run("convert", voc, "--yes")
    assert again.exit_code == 1
    assert "is not empty" in again.stderr
    assert digests(voc) == before


def test_an_upload_feeds_a_training_job(run: Run, voc: Path, s3: Any, aws_environ: dict[str, str]) -> None:
    """The upload gives the four channels and the values that `jobs launch` takes; repeated, it sends nothing."""
    to = f"s3://{BUCKET}/fed/"
    assert run("upload", voc, "--to", to, "--dry-run").exit_code == 0
    assert keys(s3, "fed/") == []
    done = run("upload", voc, "--to", to, "--yes", "--json")
    assert done.exit_code == 0, done.stderr
    document = json.loads(done.stdout)
    assert (document["num_training_samples"], document["num_classes"], document["done"]) == (6, 3, True)
    assert document["channels"]["validation_annotation"] == f"{to}validation_annotation/"
    assert len(keys(s3, "fed/")) == 17
    again = run("upload", voc, "--to", to, "--yes")
    assert "Uploaded 0 files; skipped 17 that were already in S3, unchanged." in again.stderr
    assert f"jobs launch --data {to} -p num_classes=3" in again.stderr
    launch = ["jobs", "launch", "--data", to, "--output", f"s3://{BUCKET}/out/"]
    launch += ["--role", "arn:aws:iam::123456789012:role/Trainer", "--dry-run", "--json"]
    launch += ["-p", "num_classes=3", "-p", "mini_batch_size=2", "-p", "validation_mini_batch_size=1"]
    planned = CliRunner().invoke(cli.app, launch, env={"SEGDECK_MODE": "aws", **aws_environ})
    assert planned.exit_code == 0, planned.stderr
    values = json.loads(planned.stdout)["steps"][0]["params"]["HyperParameters"]
    assert values["num_training_samples"] == "6"


def test_validated_and_uploaded_datasets_are_listed(
    run: Run, voc: Path, start: Callable[..., str], tmp_path: Path
) -> None:
    """`datasets list` has classes, size, times, the S3 prefix and the jobs that used it; both names of it work."""
    assert "No dataset was validated yet" in run("list").stderr
    write(tmp_path / "bad/images/a.jpg", photo(1))
    write(tmp_path / "bad/masks/b.png", indexed(ids(0)))
    assert run("check", tmp_path / "bad").exit_code == 1
    to = f"s3://{BUCKET}/listed/"
    assert run("upload", voc, "--to", to, "--yes").exit_code == 0
    start("listed-job", channels=data_channels(to))
    start("other-job", channels=data_channels(f"s3://{BUCKET}/listed-too/"))
    listed = run("list", "--json")
    assert listed.exit_code == 0, listed.stderr
    good, bad = json.loads(listed.stdout)["datasets"]
    size = sum(path.stat().st_size for path in voc.glob("*/*.*g"))
    assert (good["location"], good["classes"], good["size"]) == (str(voc), ["ground", "roof", "tree"], size)
    assert (good["train"], good["validation"], good["errors"]) == (6, 2, 0)
    assert [upload["uri"] for upload in good["uploads"]] == [to]
    assert good["jobs"] == ["listed-job"]
    assert (bad["location"], bad["uploads"], bad["jobs"]) == (str(tmp_path / "bad"), [], [])
    assert bad["errors"] > 0
    table = run("list").stdout
    for text in ("3: ground, roof, tree", to, "listed-job", "pascal voc"):
        assert text in table


def test_annotations_are_drawn_and_converted(run: Run, tmp_path: Path) -> None:
    """Annotations of a tool are drawn for a check; the plan of the copy has what was decided; a question is one."""
    FORMATS["coco_polygons"](tmp_path / "coco", make_scenes(2))
    made = run(
        "convert", tmp_path / "coco", "--unlabeled", "ignore", "--out", tmp_path / "out", "--yes", "--json"
    )
    assert made.exit_code == 0, made.stderr
    assert "Pixels without a shape are ignored (255)." in made.stderr
    plan = json.loads(made.stdout)
    assert (plan["num_classes"], plan["pairs"]) == (3, {"train": 4, "validation": 2})
    assert any(note.startswith("The category ids 3 to 90 became class ids") for note in plan["notes"])
    FORMATS["labelme"](tmp_path / "coco", make_scenes(2))
    question = run("check", tmp_path / "coco")
    assert question.exit_code == 1
    assert "--annotations coco" in question.stderr
    checked = run("check", tmp_path / "coco", "--annotations", "labelme")
    assert checked.exit_code == 0, checked.stderr
    assert f"labelme: {tmp_path / 'coco'}" in checked.stdout


def test_an_upload_with_errors_is_refused(run: Run, voc: Path, s3: Any) -> None:
    """A dataset on which a job would fail is not uploaded, and the next step is named."""
    write(voc / "JPEGImages/tile_0.jpg", photo(70, "PNG"))
    refused = run("upload", voc, "--to", f"s3://{BUCKET}/refused/", "--yes")
    assert refused.exit_code == 1
    assert "Convert it first" in refused.stderr
    assert "--to is required" in run("upload", voc, "--yes").stderr
    assert keys(s3, "refused/") == []


def test_a_prefix_in_channels_is_checked_by_its_names(run: Run, voc: Path, s3: Any) -> None:
    """An S3 prefix is listed and validated without reading an image."""
    to = f"s3://{BUCKET}/names/"
    assert run("upload", voc, "--to", to, "--yes").exit_code == 0
    assert run("check", to).exit_code == 0
    s3.delete_object(Bucket=BUCKET, Key="names/train/tile_0.jpg")
    bad = run("check", to, "--json")
    assert bad.exit_code == 1
    assert "tile_0" in json.loads(bad.stdout)["problems"][0]["message"]


@pytest.mark.skipif(not CAMVID.is_dir(), reason="the sample of CamVid is not on this machine")
def test_a_real_dataset_is_validated_and_uploaded(run: Run, s3: Any) -> None:
    """The CamVid sample is uploaded from its folder into channels, byte for byte."""
    before = digests(CAMVID)
    done = run("upload", CAMVID, "--to", f"s3://{BUCKET}/camvid/", "--yes", "--json")
    assert done.exit_code == 0, done.stderr
    document = json.loads(done.stdout)
    assert (document["num_training_samples"], document["num_classes"]) == (100, 11)
    assert len(keys(s3, "camvid/")) == 261
    assert digests(CAMVID) == before
