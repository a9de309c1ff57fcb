"""The command `evaluate`, run against a real server on loopback as it would be against AWS."""

from __future__ import annotations

import csv
import hashlib
import html
import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import DEVNULL, PIPE

import numpy as np
import pytest
from click.testing import Result
from PIL import Image

import cli
from bench.decode import response
from tests.support.command_line import CliRunner
from tests.support.patience import SECONDS, wait_until

ROOT = Path(__file__).resolve().parents[2]
CAMVID = ROOT.parent / "shared" / "camvid"
Run = Callable[..., Result]
ANSWER = np.repeat([[0, 1, 1, 2]], 4, axis=0)  # 4 rows, 4 columns
CLASSES = "sky\nroad\ncar\n"


def png(ids: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(ids.astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def photo(path: Path, shade: int, size: tuple[int, int] = (4, 4)) -> None:
    Image.new("RGB", size, (shade, 90, 90)).save(path)


@pytest.fixture
def run(aws_environ: dict[str, str]) -> Run:
    """Return a function: run("evaluate", ...) invokes the command line in mode aws against the test's sandbox."""

    def invoke(*arguments: object, **environ: str) -> Result:
        environ = {"SEGDECK_MODE": "aws", **aws_environ, **environ}
        return CliRunner().invoke(cli.app, [str(item) for item in arguments], env=environ)

    return invoke


@pytest.fixture
def street(stub_endpoint: Callable[..., str]) -> str:
    """Return the name of an endpoint that always responds with ANSWER."""
    return stub_endpoint(files={"answer.png": png(ANSWER)})


@pytest.fixture
def given(tmp_path: Path) -> list[object]:
    """Return arguments for two images with masks: all pixels of the first are correct, half of the second."""
    for name in ("photos", "masks"):
        (tmp_path / name).mkdir()
    first = ANSWER.copy()
    first[0] = 255
    for name, ids in (("a", first), ("b", np.where(np.indices((4, 4))[0] < 2, ANSWER, 0))):
        photo(tmp_path / "photos" / f"{name}.jpg", ord(name))
        (tmp_path / "masks" / f"{name}.png").write_bytes(png(ids))
    (tmp_path / "classes.txt").write_text(CLASSES)
    folders = ["--images", tmp_path / "photos", "--masks", tmp_path / "masks"]
    return [*folders, "--classes", tmp_path / "classes.txt"]


def test_numbers_as_json(run, street, given):
    """The document has every score, overall, by class and by image; the images do not change."""
    before = digests(Path(str(given[1])), Path(str(given[3])))
    result = run("evaluate", "--endpoint", street, *given, "--json")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    (endpoint,) = document["endpoints"]
    # a: 3 sky, 6 road, 3 car, all right; b: 2 sky, 4 road, 2 car right, and 2 sky right, 4 road and 2 car wrong
    assert endpoint["confusion"] == [[7, 4, 2], [0, 10, 0], [0, 0, 5]]
    assert endpoint["measures"]["mean_iou"] == pytest.approx((7 / 13 + 10 / 14 + 5 / 7) / 3, abs=1e-12)
    assert endpoint["measures"]["image_mean_iou"] == pytest.approx((1 + (4 / 10 + 4 / 8 + 2 / 4) / 3) / 2)
    assert endpoint["ignored_pixels"] == 4
    assert [row["name"] for row in document["by_image"]] == ["b", "a"]
    assert [row["class"] for row in document["by_class"]] == ["sky", "road", "car"]
    assert document["failed"] == []
    assert digests(Path(str(given[1])), Path(str(given[3]))) == before


def test_table(run, street, given):
    """Without --json, a table shows the scores and the IoU of each class."""
    result = run("evaluate", "--endpoint", street, *given)
    assert re.search(r"Mean IoU\s+│ 0\.6557", result.stdout)
    assert re.search(r"sky\s+│ 0\.5385", result.stdout)


def test_second_run_continues(run, street, given, tmp_path, sandbox_server):
    """A second run with the same folder makes no calls and writes the report again; a new image takes one call."""
    faults = sandbox_server.faults
    faults.clear()
    faults.add("delay", seconds=0, operation="InvokeEndpoint")
    arguments = ("evaluate", "--endpoint", street, *given, "--out", tmp_path / "out", "--json")
    first, second = run(*arguments), run(*arguments)
    assert len(faults.hits) == 2
    assert without_seconds(first.stdout) == without_seconds(second.stdout)
    photo(tmp_path / "photos" / "c.jpg", 1)
    (tmp_path / "masks" / "c.png").write_bytes(png(ANSWER))
    third = run(*arguments)
    assert len(faults.hits) == 3
    assert json.loads(third.stdout)["photos"] == 3
    faults.clear()


def test_report(run, street, given, tmp_path):
    """The folder has the tables, the document of --json, and a self-contained page that names what it shows."""
    out = tmp_path / "out"
    result = run("evaluate", "--endpoint", street, *given, "--out", out, "--json")
    assert json.loads((out / "report.json").read_bytes()) == json.loads(result.stdout)
    rows = list(csv.DictReader((out / "classes.csv").read_text().splitlines()))
    assert [row["class"] for row in rows] == ["sky", "road", "car"]
    assert float(rows[0]["iou"]) == pytest.approx(7 / 13)
    assert [row["name"] for row in csv.DictReader((out / "images.csv").read_text().splitlines())] == [
        "b",
        "a",
    ]
    wrong = list(csv.DictReader((out / "confusion.csv").read_text().splitlines()))
    assert {"endpoint": street, "truth": "sky", "predicted": "road", "pixels": "4"} in wrong
    page = html.unescape((out / "report.html").read_text())
    assert f"Evaluation of {street}" in page
    assert page.count("data:image/jpeg;base64,") == 8  # per image: image, ground truth, prediction, errors
    assert not re.search(r'(src|href)="(?!data:)', page)


def test_two_endpoints(run, street, stub_endpoint, given, tmp_path):
    """Two endpoints are shown side by side, with the difference for each class."""
    other = stub_endpoint(files={"answer.png": png(ANSWER * 0)})
    arguments = ("evaluate", "--endpoint", street, "--endpoint", other, *given, "--out", tmp_path / "out")
    result = run(*arguments, "--json")
    document = json.loads(result.stdout)
    assert [row["name"] for row in document["endpoints"]] == [street, other]
    differences = [row["iou_difference"] for row in document["by_class"] if row["endpoint"] == street]
    assert differences == pytest.approx([7 / 13 - 13 / 28, 10 / 14, 5 / 7])
    assert (tmp_path / "out" / "report.html").read_text().count("data:image/jpeg;base64,") == 12
    table = run(*arguments)
    assert "+0.0742" in table.stdout
    assert "cannot be said with 2 images" in " ".join(table.stderr.split())
    assert document["comparison"]["better"] is None
    assert (tmp_path / "out" / "scores.csv").read_text().count(f"{street} minus {other}") == 9


def test_calibration(run, stub_endpoint, given, tmp_path, sandbox_server):
    """--calibration requests probabilities once more, and adds error, reliability and thresholds to all reports."""
    probabilities = np.stack([np.equal(ANSWER, k) * 0.7 + 0.1 for k in range(3)])[np.newaxis]
    files = {"answer.png": png(ANSWER), "answer.recordio": response(probabilities.astype(np.float32))}
    arguments = ("evaluate", "--endpoint", stub_endpoint(files=files), *given, "--out", tmp_path / "out")
    plain = json.loads(run(*arguments, "--json").stdout)
    assert plain["endpoints"][0]["calibration"] is None
    sandbox_server.faults.clear()
    sandbox_server.faults.add("delay", seconds=0, operation="InvokeEndpoint")
    result = run(*arguments, "--calibration", "--json")
    again = run(*arguments, "--calibration")
    assert len(sandbox_server.faults.hits) == 2
    sandbox_server.faults.clear()
    (endpoint,) = json.loads(result.stdout)["endpoints"]
    # every pixel has a confidence of 0.8; 22 of 28 are right
    assert endpoint["calibration"]["expected_calibration_error"] == pytest.approx(0.8 - 22 / 28, abs=1e-5)
    assert [row["coverage"] for row in endpoint["calibration"]["thresholds"]] == [1, 1, 1, 1, 1, 0, 0]
    assert endpoint["measures"] == plain["endpoints"][0]["measures"]
    assert "expected calibration error" in again.stdout
    assert "Expected calibration error" in (tmp_path / "out" / "report.html").read_text()


def test_suspects(run, stub_endpoint, tmp_path):
    """--suspects lists the regions where a confident model contradicts the label; suspects.csv has their boxes."""
    for name in ("photos", "masks"):
        (tmp_path / name).mkdir()
    predicted = np.zeros((64, 64), np.uint8)
    for index in range(4):
        photo(tmp_path / "photos" / f"{index}.jpg", index, (64, 64))
        labels = predicted.copy()
        if index == 2:
            labels[10:40, 20:50] = 1
        (tmp_path / "masks" / f"{index}.png").write_bytes(png(labels))
    probabilities = np.stack([np.equal(predicted, k) * 0.8 + 0.1 for k in range(2)])[np.newaxis]
    files = {"answer.recordio": response(probabilities.astype(np.float32))}
    folders = ["--images", tmp_path / "photos", "--masks", tmp_path / "masks", "--out", tmp_path / "out"]
    result = run("evaluate", "--endpoint", stub_endpoint(files=files), *folders, "--suspects", 5)
    assert result.exit_code == 0, result.stderr
    assert "Likely label errors" in result.stdout
    (row,) = csv.DictReader((tmp_path / "out" / "suspects.csv").read_text().splitlines())
    assert [row[name] for name in ("image", "left", "top", "width", "height", "pixels", "confidence")] == [
        "2.jpg", "25", "15", "20", "20", "400", "0.9",
    ]  # fmt: skip


def test_list_takes_some(run, street, given, tmp_path):
    """--list selects the images that it names, and no others."""
    (tmp_path / "val.txt").write_text("b\n")
    result = run("evaluate", "--endpoint", street, *given, "--list", tmp_path / "val.txt", "--json")
    assert [row["name"] for row in json.loads(result.stdout)["by_image"]] == ["b"]


def test_failures(run, street, given, tmp_path):
    """An image whose mask has another size is reported on standard error, and the exit code is 1."""
    (tmp_path / "masks" / "a.png").write_bytes(png(ANSWER[:, :2]))
    result = run("evaluate", "--endpoint", street, *given, "--json")
    assert result.exit_code == 1
    assert "a.png is 2 x 4 pixels, but its image a.jpg is 4 x 4" in result.stderr
    assert "1 of 2 images failed" in result.stderr
    document = json.loads(result.stdout)
    assert document["photos"] == 1
    assert document["failed"][0]["name"] == "a"


def test_a_folder_is_not_an_image(run, street, given):
    """A folder whose name ends like an image file is skipped, and named as such."""
    (given[1] / "more.jpg").mkdir()
    result = run("evaluate", "--endpoint", street, *given)
    assert result.exit_code == 0, result.stderr
    assert "Skipped subfolders, and files that are not images or masks: more.jpg/." in " ".join(
        result.stderr.split()
    )


def test_nothing_can_be_scored(run, street, given, tmp_path):
    """If every image fails there are no scores, and each reason is shown once with its images."""
    for name in "ab":
        (tmp_path / "masks" / f"{name}.png").write_bytes(png(ANSWER + 9))
    result = run("evaluate", "--endpoint", street, *given, "--json")
    assert result.exit_code == 1
    assert not result.stdout
    assert result.stderr.count("a, b: The ground truth contains class 9, 10, 11; there are 3 classes") == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda given: ["--images", "/nowhere", *given[2:]], "The folder /nowhere does not exist"),
        (lambda given: [*given, "--list", given[1] / "a.jpg"], "cannot be read"),
        (lambda given: [*given, "--out", given[1] / "a.jpg"], "cannot be created"),
        (lambda given: [*given, "--endpoint", "gone"], "Could not find endpoint"),
    ],
)
def test_what_cannot_be_used(run, street, given, change, reason):
    """An unusable folder, list, output folder or endpoint is reported, with exit code 1."""
    result = run("evaluate", "--endpoint", street, *change(given))
    assert result.exit_code == 1
    assert reason in result.stderr


def test_three_endpoints(run, given):
    """More than two endpoints are wrong usage."""
    names = [item for name in "xyz" for item in ("--endpoint", name)]
    assert run("evaluate", *names, *given).exit_code == 2


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGKILL])
def test_ended_in_the_middle(run, street, given, tmp_path, aws_environ, sandbox_server, sign):  # noqa: PLR0917
    """After Ctrl-C or SIGKILL, the same command makes only the calls that had no reply."""
    for shade in range(40):
        photo(tmp_path / "photos" / f"{shade:02}.png", shade)  # without loss, no two of them are alike
        (tmp_path / "masks" / f"{shade:02}.png").write_bytes(png(ANSWER))
    faults = sandbox_server.faults
    faults.clear()
    faults.add("delay", seconds=0, operation="InvokeEndpoint", times=10)
    faults.add("delay", seconds=1, operation="InvokeEndpoint")
    arguments = ["evaluate", "--endpoint", street, *given, "--out", tmp_path / "out"]
    command = [sys.executable, "cli.py", *map(str, arguments)]
    environ = {**os.environ, "SEGDECK_MODE": "aws", **aws_environ}
    with subprocess.Popen(command, cwd=ROOT, env=environ, stdout=DEVNULL, stderr=PIPE, text=True) as process:
        wait_until(lambda: len(list((tmp_path / "out" / "predicted").glob("*.png"))) >= 3)
        process.send_signal(sign)
        _, errors = process.communicate(timeout=SECONDS)
    if sign is signal.SIGINT:
        assert process.returncode == 130
        assert "To continue, run the same command again." in errors
    kept = len(list((tmp_path / "out" / "evaluation.jsonl").read_bytes().splitlines())) - 1
    assert 0 < kept < 42
    faults.clear()
    faults.add("delay", seconds=0, operation="InvokeEndpoint")
    result = run(*arguments, "--json")
    assert json.loads(result.stdout)["photos"] == 42
    assert 42 - kept <= len(faults.hits) <= 42 - kept + 1  # a truncated line is requested again
    faults.clear()


@pytest.mark.skipif(not CAMVID.is_dir(), reason="the CamVid sample is not on this machine")
def test_real_masks_against_scikit_learn(run, stub_endpoint):
    """On CamVid's validation list, mean IoU and the IoU of each class match scikit-learn to 1e-9."""
    from sklearn.metrics import jaccard_score  # only here: it takes every worker two seconds

    names = (CAMVID / "ImageSets/Segmentation/val.txt").read_text().split()
    masks = [np.asarray(Image.open(CAMVID / "SegmentationClass" / f"{name}.png")) for name in names]
    endpoint = stub_endpoint(
        files={"answer.png": png(masks[0] % 255)}
    )  # the ground truth of the first image, for all
    result = run(
        "evaluate", "--endpoint", endpoint, "--images", CAMVID / "JPEGImages", "--masks",
        CAMVID / "SegmentationClass", "--list", CAMVID / "ImageSets/Segmentation/val.txt",
        "--classes", CAMVID / "classes.txt", "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    truth = np.concatenate([mask.ravel() for mask in masks])
    predictions = np.tile((masks[0] % 255).ravel(), len(masks))
    iou = jaccard_score(truth[truth != 255], predictions[truth != 255], labels=range(11), average=None)
    assert [row["iou"] for row in document["by_class"]] == pytest.approx(iou.tolist(), abs=1e-9)
    assert document["endpoints"][0]["measures"]["mean_iou"] == pytest.approx(iou.mean(), abs=1e-9)


def digests(*folders: Path) -> list[str]:
    files = [path for folder in folders for path in sorted(folder.iterdir())]
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]


def without_seconds(document: str) -> str:
    return re.sub(r'"endpoint_seconds": [\d.]+', "", document)
