"""The command line, run against a real server on loopback as it would be against AWS."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import rasterio
from click.testing import Result
from PIL import Image

import cli
from commands.common import print_error, print_table, say
from core.render.palette import PALETTES
from sandbox.launcher import write_address
from sandbox.server import Sandbox
from tests.support.command_line import CliRunner
from tests.support.patience import SECONDS, wait_until
from tests.support.seeded import mark_seeded

ROOT = Path(__file__).resolve().parents[2]
CAMVID = ROOT.parent / "shared" / "camvid" / "JPEGImages"
EXAMPLES = ROOT / "sandbox" / "demo" / "aerial" / "examples"
Run = Callable[..., Result]


def png(ids: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(ids.astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def varint(number: int) -> bytes:
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])


def chunk(field: int, payload: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(payload)) + payload


def recordio(probabilities: np.ndarray) -> bytes:
    """Return a RecordIO frame with a Record: features `target` and `shape`, as the algorithm sends them."""
    shape = b"".join(varint(size) for size in (1, *probabilities.shape))
    target = chunk(2, chunk(1, probabilities.astype("<f4").tobytes()))
    entries = [
        chunk(1, name) + chunk(2, value)
        for name, value in ((b"target", target), (b"shape", chunk(7, chunk(1, shape))))
    ]
    record = b"".join(chunk(1, entry) for entry in entries)
    return struct.pack("<II", 0xCED7230A, len(record)) + record + bytes(-len(record) % 4)


LEFT_RIGHT = np.repeat([[1, 2]], 6, axis=0).repeat(4, axis=1)  # 6 rows, 8 columns: 1 left, 2 right
MASK = np.where(np.indices((6, 8))[0] == 0, 255, LEFT_RIGHT)  # the first row is to be ignored
SURE = np.stack([np.equal(LEFT_RIGHT, i) * 0.8 + 0.05 for i in range(3)])
FILES = {"answer.png": png(MASK), "answer.recordio": recordio(SURE)}


@pytest.fixture
def run(aws_environ: dict[str, str]) -> Run:
    """Return a function: run("segment", ...) invokes the command line in mode aws against the test's sandbox."""

    def invoke(*arguments: object, **environ: str) -> Result:
        environ = {"SEGDECK_MODE": "aws", **aws_environ, **environ}
        return CliRunner().invoke(cli.app, [str(item) for item in arguments], env=environ)

    return invoke


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return a folder with two images and one file that is not an image."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, size in (("a.jpg", (80, 60)), ("b.png", (33, 47))):
        Image.effect_noise(size, 40).convert("RGB").save(folder / name)
    (folder / "broken.jpg").write_bytes(b"no picture at all")
    return folder


@pytest.fixture(scope="module")
def endpoint(sandbox_server: Sandbox, make_endpoint: Any) -> Iterator[str]:
    """Return the name of an endpoint that responds as the algorithm does, with the same output for every image."""
    name: str = make_endpoint(sandbox_server, files=FILES)
    yield name
    sandbox_server.loopback.client("sagemaker").delete_endpoint(EndpointName=name)
    sandbox_server.wait_settled(SECONDS)


def hashes(folder: Path) -> dict[str, str]:
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_two_endpoints_are_compared(
    run: Run, endpoint: str, sandbox_server: Sandbox, make_endpoint: Any, photos: Path
) -> None:
    """--compare writes both masks, the difference, and a table sorted by it; both prices come before."""
    (photos / "broken.jpg").unlink()
    top = np.stack(
        [np.equal(np.where(np.indices((6, 8))[0] < 3, 0, LEFT_RIGHT), i) * 0.8 + 0.05 for i in range(3)]
    )
    other = make_endpoint(sandbox_server, files=FILES | {"answer.recordio": recordio(top)})
    out = photos.parent / "compared"
    arguments = ("segment", photos, "--endpoint", endpoint, "--compare", other, "--out", out)
    done = run(*arguments)
    assert done.exit_code == 0, done.stderr
    messages = " ".join(done.stderr.split())
    assert (
        messages.index(f"{endpoint}: ")
        < messages.index(f"{other}: ")
        < messages.index(f"Invoking {endpoint}")
    )
    rows = list(csv.DictReader((out / "comparison.csv").read_text().splitlines()))
    shares = {}
    for stem in ("a", "b"):
        paths = [out / name / f"{stem}_mask.png" for name in (endpoint, other)] + [out / f"{stem}_diff.png"]
        first, second, difference = (np.asarray(Image.open(path)) for path in paths)
        assert np.array_equal(difference, first != second)
        shares[stem] = (first != second).mean()
    assert sorted(shares.values(), reverse=True) == [
        pytest.approx(float(row["differing_share"])) for row in rows
    ]
    pairs = list(csv.DictReader((out / "comparison_pairs.csv").read_text().splitlines()))
    assert sum(int(row["pixels"]) for row in pairs) == sum(int(row["differing_pixels"]) for row in rows)
    assert run(*arguments).exit_code == 1
    again = run(*arguments, "--resume", "--json")
    assert again.exit_code == 0, again.stderr
    assert [float(row["differing_share"]) for row in rows] == pytest.approx(
        [row["differing_share"] for row in json.loads(again.stdout)["images"]]
    )


def test_a_file_in_the_place_of_a_difference_is_kept(
    run: Run, endpoint: str, sandbox_server: Sandbox, make_endpoint: Any, photos: Path
) -> None:
    """A STEM_diff.png that exists is an error before an endpoint is invoked, and no mask is written."""
    other = make_endpoint(sandbox_server, files=FILES)
    out = photos.parent / "mine"
    out.mkdir()
    (out / "b_diff.png").write_bytes(b"mine")
    done = run("segment", photos / "b.png", "--endpoint", endpoint, "--compare", other, "--out", out)
    assert done.exit_code == 1
    assert "b_diff.png already exists" in " ".join(done.stderr.split())
    assert [(path.name, path.read_bytes()) for path in out.iterdir()] == [("b_diff.png", b"mine")]


def test_an_endpoint_is_not_compared_with_itself(
    run: Run, endpoint: str, photos: Path, tmp_path: Path
) -> None:
    """Comparing an endpoint with itself is refused before it is invoked."""
    done = run("segment", photos, "--endpoint", endpoint, "--compare", endpoint, "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert "cannot be compared with itself" in " ".join(done.stderr.replace("│", " ").split())


@pytest.mark.parametrize(("threshold", "unsure"), [(0.5, 0.0), (0.9, 1.0)])
def test_threshold_writes_unsure_pixels(
    run: Run, endpoint: str, photos: Path, threshold: float, unsure: float
) -> None:
    """With --threshold, pixels below it are 255 in the mask, and table and JSON say their share."""
    arguments = ("segment", photos / "b.png", "--endpoint", endpoint, "--threshold", threshold)
    out = photos.parent / "unsure"
    done = run(*arguments, "--out", out)
    assert done.exit_code == 0, done.stderr
    with Image.open(out / "b_mask.png") as mask:
        assert (np.asarray(mask) == 255).mean() == unsure
    row = json.loads((out / "b.json").read_bytes())
    assert row["unsure"] == {"threshold": threshold, "share": unsure}
    assert row["request"]["threshold"] == threshold
    assert f"unsure (below {threshold}) {unsure:.1%}" in done.stdout
    again = run("segment", photos / "b.png", "--endpoint", endpoint, "--out", out, "--resume")
    assert f"threshold {threshold} and now None" in " ".join(again.stderr.split())


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--format", "mask"), "the response has no confidence"),
        (("--tiles",), "A threshold applies to local images"),
    ],
)
def test_threshold_needs_probabilities(run: Run, photos: Path, tmp_path: Path, options, reason) -> None:
    """A threshold without probabilities is refused with the reason, before the endpoint is invoked."""
    done = run("segment", photos / "b.png", "--out", tmp_path / "out", "--threshold", 0.6, *options)
    assert done.exit_code == 2
    assert reason in " ".join(done.stderr.replace("│", " ").split())
    assert not (tmp_path / "out").exists()


def test_an_image_becomes_a_mask_an_overlay_and_a_summary(
    run: Run, endpoint: str, photos: Path, tmp_path: Path
) -> None:
    """One image gives three files: a mask of the image's size with class IDs, an overlay, and a JSON summary."""
    out = tmp_path / "out/deep"
    done = run("segment", photos / "b.png", "--endpoint", endpoint, "--out", out)
    assert done.exit_code == 0, done.stderr
    assert sorted(path.name for path in out.iterdir()) == ["b.json", "b_mask.png", "b_overlay.png"]
    with Image.open(out / "b_mask.png") as mask, Image.open(out / "b_overlay.png") as overlay:
        assert (mask.mode, mask.size, overlay.size) == ("P", (33, 47), (33, 47))
        assert set(np.unique(np.asarray(mask))) == {1, 2}
    summary = json.loads((out / "b.json").read_text())
    assert sum(row["pixels"] for row in summary["classes"]) == 33 * 47
    assert summary["mean_confidence"] == pytest.approx(0.85)
    assert str(out / "b_mask.png") in done.stdout


def test_a_mask_alone_keeps_the_ignored_pixels(run: Run, endpoint: str, photos: Path, tmp_path: Path) -> None:
    """With --format mask the IDs are those of the endpoint, 255 included, and there is no confidence."""
    done = run("segment", photos / "a.jpg", "--endpoint", endpoint, "--out", tmp_path, "--format", "mask")
    assert done.exit_code == 0, done.stderr
    with Image.open(tmp_path / "a_mask.png") as mask:
        assert set(np.unique(np.asarray(mask))) == {1, 2, 255}
    assert json.loads((tmp_path / "a.json").read_text())["mean_confidence"] is None


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_folder_names_what_is_skipped_and_what_was_changed(run: Run, endpoint: str, tmp_path: Path) -> None:
    """Every readable image of a folder is segmented; skipped entries and changes to an image are reported."""
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    picture = Image.effect_noise((24, 16), 40).convert("RGB")
    picture.save(folder / "a.jfif", "JPEG")
    picture.convert("RGBA").save(folder / "b.png")
    (folder / "notes.md").write_text("# Notes")
    with (
        rasterio.MemoryFile() as file,
        file.open(driver="GTiff", count=4, height=16, width=24, dtype="uint16", photometric="RGB") as tiff,
    ):
        tiff.write(np.full((4, 16, 24), 3000, np.uint16))
        tiff.close()
        (folder / "c.tif").write_bytes(file.read())
    done = run("segment", folder, "--endpoint", endpoint, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "out").glob("*.json")) == ["a.json", "b.json", "c.json"]
    assert f"{folder}/notes.md, {folder}/sub/" in " ".join(done.stderr.split())
    note = "TIFF of 4 x uint16: bands 1-3 of 4, stretched from 0..3000."
    assert note in " ".join(done.stderr.split())
    assert json.loads((tmp_path / "out/c.json").read_text())["notes"] == [note]


def test_one_bad_image_stops_no_other_and_is_named(
    run: Run, endpoint: str, photos: Path, tmp_path: Path
) -> None:
    """Each image that fails is named with the reason, the others are segmented, and the exit code is 1."""
    arguments = [
        photos,
        photos / "nowhere.jpg",
        "--endpoint",
        endpoint,
        "--out",
        tmp_path / "out",
    ]
    done = run("segment", *arguments)
    assert done.exit_code == 1
    assert (tmp_path / "out/a_mask.png").exists()
    assert (tmp_path / "out/b_mask.png").exists()
    assert "broken.jpg is not an image" in done.stderr
    assert "File not found: " in done.stderr
    assert "2 of 4 images failed" in done.stderr


def test_json_is_one_document_and_nothing_else(run: Run, endpoint: str, photos: Path, tmp_path: Path) -> None:
    """With --json, standard output is one document: every image with its files, every failure with its reason."""
    done = run("segment", f"{photos}/*.*", "--endpoint", endpoint, "--out", tmp_path / "out", "--json")
    document = json.loads(done.stdout)
    assert done.exit_code == 1
    assert document["endpoint"] == endpoint
    assert [Path(row["path"]).name for row in document["images"]] == ["a.jpg", "b.png"]
    assert all(Path(path).exists() for row in document["images"] for path in row["files"].values())
    assert [(Path(row["path"]).name, row["error"]) for row in document["failed"]] == [
        ("broken.jpg", "ImageError")
    ]
    assert document["stopped"] is False


def test_nothing_is_overwritten_unasked(
    run: Run, sandbox_server: Any, endpoint: str, photos: Path, tmp_path: Path
) -> None:
    """An existing file is kept and the endpoint is not invoked; --overwrite replaces the file."""
    (tmp_path / "a_mask.png").write_text("mine")
    arguments = ["segment", photos / "a.jpg", "--endpoint", endpoint, "--out", tmp_path]
    sandbox_server.faults.clear()
    sandbox_server.faults.add(
        "error", operation="InvokeEndpoint", code="MustNotBeAsked", message="", status=400
    )
    try:
        done = run(*arguments)
        assert not sandbox_server.faults.hits
    finally:
        sandbox_server.faults.clear()
    assert (done.exit_code, (tmp_path / "a_mask.png").read_text()) == (1, "mine")
    assert "a_mask.png already exists" in done.stderr
    assert not (tmp_path / "a.json").exists()
    assert run(*arguments, "--overwrite").exit_code == 0
    assert (tmp_path / "a_mask.png").read_bytes()[:4] == b"\x89PNG"


def test_an_image_is_never_replaced(run: Run, endpoint: str, photos: Path) -> None:
    """Not even --overwrite replaces an input image."""
    (photos / "a_mask.png").write_bytes((photos / "b.png").read_bytes())
    before = hashes(photos)
    images = (photos / "a.jpg", photos / "a_mask.png")
    done = run("segment", *images, "--endpoint", endpoint, "--out", photos, "--overwrite")
    assert done.exit_code == 1
    assert "a_mask.png is one of the input images" in done.stderr
    assert before.items() <= hashes(photos).items()


def test_a_folder_can_be_segmented_into_itself_twice(run: Run, endpoint: str, photos: Path) -> None:
    """Output files of an earlier run are not treated as images when the folder is searched."""
    (photos / "broken.jpg").unlink()
    arguments = ("segment", photos, "--endpoint", endpoint, "--out", photos, "--overwrite")
    assert run(*arguments).exit_code == 0
    again = run(*arguments, "--json")
    assert [Path(row["path"]).name for row in json.loads(again.stdout)["images"]] == ["a.jpg", "b.png"]


@pytest.mark.parametrize(
    "option",
    [
        ("--palette", "jet"),
        ("--opacity", "1"),
        ("--size", "40x40"),
        ("--size", "original"),
        ("--size", "own"),
    ],
)
def test_options_change_the_overlay_and_not_the_ids(
    run: Run, endpoint: str, photos: Path, tmp_path: Path, option: tuple[str, str]
) -> None:
    """Palette, opacity and size are accepted, and the mask keeps the size of the image."""
    done = run("segment", photos / "a.jpg", "--endpoint", endpoint, "--out", tmp_path, *option)
    assert done.exit_code == 0, done.stderr
    with Image.open(tmp_path / "a_mask.png") as mask:
        assert mask.size == (80, 60)
    saw = json.loads((tmp_path / "a.json").read_text())["model_saw"]
    assert saw == ({"width": 40, "height": 30} if "40x40" in option else {"width": 80, "height": 60})


@pytest.mark.parametrize(
    "arguments",
    [
        ("segment", "a.jpg"),
        ("segment", "--out", "x"),
        ("segment", "a.jpg", "--out", "x", "--size", "large"),
        ("segment", "a.jpg", "--out", "x", "--size", "0x600"),
        ("segment", "a.jpg", "--out", "x", "--palette", "rainbow"),
        ("segment", "a.jpg", "--out", "x", "--opacity", "2"),
        ("paint",),
    ],
)
def test_wrong_usage_exits_with_2(run: Run, arguments: tuple[str, ...]) -> None:
    """Options that cannot be used end with exit code 2 and nothing on standard output."""
    done = run(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")


def test_the_endpoint_may_be_left_out_when_there_is_one(
    *, run: Run, stub_programs: Any, make_endpoint: Any, photos: Path, tmp_path: Path
) -> None:
    """Without --endpoint, the only one in service is used; several are listed, and none is an error."""
    with Sandbox(tmp_path / "sandbox", programs=stub_programs) as sandbox:

        def ask() -> Result:
            images = photos / "a.jpg", "--out", tmp_path / "out", "--overwrite"
            return run("segment", *images, **sandbox.address.environ())

        assert "No endpoint is in service" in ask().stderr
        make_endpoint(sandbox, files=FILES, name="first")
        assert ask().exit_code == 0
        make_endpoint(sandbox, files=FILES, name="second")
        several = ask()
    assert several.exit_code == 1
    assert "first, second" in several.stderr


def test_class_names_come_with_the_endpoint(
    *, run: Run, stub_endpoint: Any, make_client: Any, sandbox_server: Any, photos: Path, tmp_path: Path
) -> None:
    """The summary has the class names of the classes.json that the endpoint's tag names."""
    names = {"classes": [{"name": name} for name in ("sea", "sand", "grass")]}
    storage = make_client(sandbox_server, "s3")
    storage.create_bucket(Bucket="names")
    storage.put_object(Bucket="names", Key="classes.json", Body=json.dumps(names).encode())
    name = stub_endpoint(files=FILES, tags={"segdeck:classes": "s3://names/classes.json"})
    done = run("segment", photos / "a.jpg", "--endpoint", name, "--out", tmp_path)
    assert done.exit_code == 0, done.stderr
    assert "sand 50.0%" in done.stdout
    assert json.loads((tmp_path / "a.json").read_text())["class_names"] == ["sea", "sand", "grass"]


def test_a_lost_reply_may_be_billed(
    run: Run, endpoint: str, faults: Any, photos: Path, tmp_path: Path
) -> None:
    """When the reply is lost, the command says that the model may have run, and does not invoke it again."""
    faults.add("lost_reply", operation="InvokeEndpoint", times=1)
    done = run("segment", photos / "a.jpg", "--endpoint", endpoint, "--out", tmp_path)
    assert done.exit_code == 1
    assert "The model may have run, so this call may be billed" in done.stderr
    assert len(faults.hits) == 1


def test_permission_to_invoke_is_enough(
    run: Run, endpoint: str, sandbox_server: Any, photos: Path, tmp_path: Path
) -> None:
    """Permission to invoke is enough; the command then reports that the class names are unknown."""
    sandbox_server.faults.clear()
    reads = "DescribeEndpoint|ListEndpoints|Search"
    sandbox_server.faults.add(
        "error", operation=reads, code="AccessDeniedException", message="no", status=400
    )
    try:
        done = run("segment", photos / "a.jpg", "--endpoint", endpoint, "--out", tmp_path)
    finally:
        sandbox_server.faults.clear()
    assert done.exit_code == 0, done.stderr
    assert "not allowed" in done.stderr


@pytest.mark.parametrize(
    ("behavior", "message"),
    [
        ({"status": 500, "text": "boom"}, "status 500"),
        ({"bytes": 1000, "cut": 500}, "Could not invoke the endpoint"),
        ({"bytes": 1000}, "application/octet-stream"),
    ],
)
def test_an_endpoint_error_is_reported_without_a_traceback(
    *, run: Run, stub_endpoint: Any, photos: Path, tmp_path: Path, behavior: dict[str, Any], message: str
) -> None:
    """An error of an endpoint is reported in words, and no files are left."""
    name = stub_endpoint(behavior=behavior)
    done = run("segment", photos / "a.jpg", "--endpoint", name, "--out", tmp_path / "out")
    assert done.exit_code == 1
    assert "a.jpg" in done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert list((tmp_path / "out").iterdir()) == []
    assert (
        "Traceback"
        in run("segment", photos / "a.jpg", "--endpoint", name, "--out", tmp_path / "out", "--debug").stderr
    )


def test_an_endpoint_that_does_not_exist(run: Run, photos: Path, tmp_path: Path) -> None:
    """An unknown endpoint is reported once, before any image."""
    done = run("segment", photos, "--endpoint", "nobody", "--out", tmp_path)
    assert done.exit_code == 1
    assert done.stderr.count("nobody") >= 1
    assert "does not exist" in done.stderr


def test_the_list_of_endpoints(run: Run, endpoint: str) -> None:
    """`endpoints list` shows name and status, as a table or as JSON."""
    table, document = run("endpoints", "list"), run("endpoints", "list", "--json")
    assert endpoint in table.stdout
    assert "InService" in table.stdout
    row = next(row for row in json.loads(document.stdout)["endpoints"] if row["name"] == endpoint)
    assert row["status"] == "InService"


def test_a_long_name_is_shown_whole(run: Run, stub_endpoint: Any) -> None:
    """A name that is too long for its column wraps instead of being truncated."""
    stub_endpoint(name="n" * 60 + "end")
    assert "…" not in run("endpoints", "list").stdout


def test_the_log_of_a_container_that_failed_is_named(
    run: Run, stub_endpoint: Any, photos: Path, tmp_path: Path
) -> None:
    """When the model's container fails, the URL of its log is printed."""
    name = stub_endpoint(behavior={"status": 500, "text": "boom"})
    done = run("segment", photos / "a.jpg", "--endpoint", name, "--out", tmp_path / "out")
    assert "Container log: https://" in done.stderr


def test_the_image_of_a_region(run: Run) -> None:
    """`image-uri` prints the container image of the region in --region or in the environment."""
    given, set_ = run("image-uri", "--region", "eu-west-1"), run("image-uri")
    assert given.stdout == "685385470294.dkr.ecr.eu-west-1.amazonaws.com/semantic-segmentation:1\n"
    assert set_.stdout == "811284229777.dkr.ecr.us-east-1.amazonaws.com/semantic-segmentation:1\n"
    nowhere = run("image-uri", AWS_REGION="", AWS_DEFAULT_REGION="")
    assert (nowhere.exit_code, nowhere.stdout) == (1, "")
    assert "--region" in nowhere.stderr


def test_a_bad_setting_is_reported_without_a_traceback(run: Run) -> None:
    """A variable with an unusable value is named; --debug shows the traceback."""
    done = run("endpoints", "list", SEGDECK_MODE="amazon")
    assert done.exit_code == 1
    assert "SEGDECK_MODE" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_sandbox_that_runs_on_the_folder_is_used(
    run: Run, sandbox_server: Any, endpoint: str, tmp_path: Path
) -> None:
    """In mode sandbox, a running sandbox is found by its folder, and no other is started."""
    write_address(tmp_path, sandbox_server.address)
    done = run("endpoints", "list", "--json", SEGDECK_MODE="sandbox", SEGDECK_SANDBOX_DIR=str(tmp_path))
    assert endpoint in [row["name"] for row in json.loads(done.stdout)["endpoints"]]
    assert "Starting" not in done.stderr


@pytest.mark.mxnet
def test_a_sandbox_is_started_for_the_call_and_ends_with_it(tmp_path: Path) -> None:
    """Without a running sandbox, the command starts one, writes the mask, and stops it again."""
    photo = next(iter(sorted(EXAMPLES.glob("*.jpg"))), None)
    if photo is None:
        pytest.skip("the demo images are missing")
    home, out = mark_seeded(tmp_path / "sandbox", except_for="aerial"), tmp_path / "out"
    arguments = ["segment", photo, "--endpoint", "aerial-land-cover", "--out", out, "--json"]
    done = script(*arguments, SEGDECK_MODE="sandbox", SEGDECK_SANDBOX_DIR=str(home))
    assert done.returncode == 0, done.stderr
    assert "Starting the sandbox" in done.stderr
    (row,) = json.loads(done.stdout)["images"]
    assert len(row["class_names"]) == 6
    assert row["mean_confidence"] > 0.5
    assert not (home / "sandbox.json").exists()


def script(*arguments: object, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run `python cli.py ...` as a user does."""
    command = [sys.executable, "cli.py", *map(str, arguments)]
    return subprocess.run(
        command, cwd=ROOT, env=os.environ | environ, capture_output=True, text=True, check=False, timeout=180
    )


def test_ctrl_c_ends_with_what_is_done(
    aws_environ: dict[str, str], stub_endpoint: Any, tmp_path: Path
) -> None:
    """Ctrl-C exits with 130, reports the images done, and leaves only complete files."""
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    for number in range(40):
        Image.new("RGB", (64, 48), (number, 0, 0)).save(photos / f"{number:02}.jpg")
    name = stub_endpoint(files=FILES, behavior={"seconds": 1})
    command = [sys.executable, "cli.py", "segment", photos, "--endpoint", name, "--out", out, "--json"]
    environ = os.environ | aws_environ | {"SEGDECK_MODE": "aws"}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, env=environ, stdout=pipe, stderr=pipe, text=True) as process:
        wait_until((out / "00.json").exists)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=SECONDS)
    assert process.returncode == 130, stderr
    document = json.loads(stdout)
    assert document["stopped"] is True
    assert 1 <= len(document["images"]) < 40
    assert "Stopped." in stderr
    assert not list(out.glob(".*"))


def test_help_is_fast() -> None:
    """`--help` imports no AWS SDK, no arrays and no drawing."""
    code = (
        "import sys; sys.argv = ['cli.py', '--help']\n"
        "import runpy\n"
        "try: runpy.run_path('cli.py', run_name='__main__')\n"
        "except SystemExit: pass\n"
        "slow = {'boto3', 'botocore', 'numpy', 'PIL', 'matplotlib', 'moto', 'streamlit'}\n"
        "print(*slow & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "segment" in done.stdout
    assert done.stdout.splitlines()[-1] == ""


def test_the_palettes_are_those_of_the_product() -> None:
    """The command line offers every palette of the product."""
    assert set(get_args(cli.Palette)) == set(PALETTES)


@pytest.mark.skipif(not CAMVID.is_dir(), reason="the CamVid images are not on this machine")
def test_real_images_are_segmented_and_do_not_change(run: Run, endpoint: str, tmp_path: Path) -> None:
    """Images from a camera get masks of their own size, and their files do not change."""
    photos = sorted(CAMVID.glob("*.jpg"))[:6]
    before = [hashlib.sha256(path.read_bytes()).hexdigest() for path in photos]
    done = run("segment", *photos, "--endpoint", endpoint, "--out", tmp_path, "--json")
    assert done.exit_code == 0, done.stderr
    for path, row in zip(photos, json.loads(done.stdout)["images"], strict=True):
        with Image.open(path) as photo, Image.open(row["files"]["mask"]) as mask:
            assert photo.size == mask.size
    assert [hashlib.sha256(path.read_bytes()).hexdigest() for path in photos] == before


def test_no_name_controls_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Control characters and markup in names are shown, and have no effect."""
    name = "[red]\x1b[2Jstreet\x07"
    say(name)
    print_error(name, where=name)
    print_table("Files", [{"name": name}])
    output, errors = capsys.readouterr()
    shown = "[red]\\x1b[2Jstreet\\x07"
    assert (output.count(shown), errors.count(shown)) == (1, 3)
    assert "\x1b[2J" not in output + errors
