"""`segment` on an S3 prefix, against a server that counts invocations."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from PIL import Image

import cli
from core.aws.client_batch import find_images, image_reader, s3_masks
from core.aws.connection import Clients, Connection
from core.aws.runtime import MAX_REQUEST
from core.batch.client import CHANGED
from core.errors import AwsError, InputError
from core.wire.decode import PNG, decode
from sandbox.http.faults import Faults
from sandbox.server import Sandbox
from tests.support.batches import BROKEN, BUCKET, Store, jpeg, mask
from tests.support.command_line import CliRunner
from tests.support.patience import SECONDS, wait_until

ROOT = Path(__file__).resolve().parents[2]
SIZE = (20, 16)
Run = Callable[..., Result]


@pytest.fixture(scope="module")
def store(sandbox_server: Sandbox, model_archive: Callable[..., bytes]) -> Store:
    return Store(sandbox_server, model_archive)


@pytest.fixture(scope="module")
def endpoint(sandbox_server: Sandbox, make_endpoint: Any) -> Iterator[str]:
    """Return the name of an endpoint that responds with one mask of 5 x 4 pixels, and rejects broken images."""
    name: str = make_endpoint(
        sandbox_server, files={"answer.png": mask()}, behavior={"refuse": [BROKEN.decode(), 400]}
    )
    yield name
    sandbox_server.loopback.client("sagemaker").delete_endpoint(EndpointName=name)
    sandbox_server.wait_settled(SECONDS)


@pytest.fixture
def faults(sandbox_server: Sandbox) -> Iterator[Faults]:
    """Return the faults of the server, all of which end with the test."""
    yield sandbox_server.faults
    sandbox_server.faults.clear()


@pytest.fixture
def run(aws_environ: dict[str, str], endpoint: str) -> Run:
    """Return a function: run(prefix, "--out", ...) invokes `segment` in mode aws against the test's sandbox."""

    def invoke(*arguments: object) -> Result:
        words = ["segment", *map(str, arguments), "--endpoint", endpoint, "--size", "original"]
        return CliRunner().invoke(cli.app, words, env={"SEGDECK_MODE": "aws", **aws_environ})

    return invoke


def invocations(faults: Faults) -> Callable[[], int]:
    """Return a function that counts the invocations from now on."""
    faults.add("delay", seconds=0, operation="InvokeEndpoint")
    return lambda: sum(operation == "InvokeEndpoint" for _, operation in faults.hits)


def stored(store: Store, uri: str) -> bytes:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    body: bytes = store.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    return body


def labels(body: bytes) -> list[list[int]]:
    """Return the ids of a mask. Raises DecodeError where it is not complete."""
    rows: list[list[int]] = decode(body, PNG).labels.tolist()
    return rows


def put_images(store: Store, count: int) -> tuple[str, str]:
    """Put images of one size; return their prefix and that of their masks, as S3 URIs."""
    source, out = store.images()
    for number in range(count):
        store.put(f"{source.removeprefix(f's3://{BUCKET}/')}{number:02}.jpg", jpeg(SIZE))
    return source, out


def test_a_prefix_becomes_masks_in_a_folder(store: Store, run: Run, tmp_path: Path) -> None:
    """Each image below the prefix gets a mask of its size in the same subfolder; other objects are named."""
    source, _ = store.images("a.jpg", "sub/a.jpg", "notes.txt", "old_mask.png")
    done = run(source, "--out", tmp_path / "out", "--json")
    assert done.exit_code == 0, done.stderr
    document = json.loads(done.stdout)
    assert [row["path"] for row in document["images"]] == [f"{source}a.jpg", f"{source}sub/a.jpg"]
    assert document["not_attempted"] == len(document["failed"]) == 0
    files = sorted(path.relative_to(tmp_path / "out").as_posix() for path in tmp_path.rglob("*.*"))
    assert files == ["a_mask.png", "sub/a_mask.png"]
    with Image.open(tmp_path / "out" / "sub" / "a_mask.png") as image:
        assert (image.mode, image.size) == ("P", (8, 8))
        assert sorted(np.unique(np.asarray(image)).tolist()) == [0, 1]
    assert document["images"][0]["classes"][0]["pixels"] == 48
    assert "Skipped 2 objects" in done.stderr
    assert "notes.txt" in done.stderr
    assert "2 of 2 images segmented" in done.stderr


def test_masks_are_written_to_s3_and_never_over_others(store: Store, run: Run, faults: Faults) -> None:
    """With an S3 prefix as --out the masks are written there; an existing object is kept, before the invocation."""
    source, out = store.images("a.jpg", "b.jpg")
    store.put(f"{out.removeprefix(f's3://{BUCKET}/')}a_mask.png", b"another")
    count = invocations(faults)
    done = run(source, "--out", out)
    assert done.exit_code == 1
    assert f"{source}a.jpg: {out}a_mask.png already exists." in done.stderr.replace("\n", "")
    assert stored(store, f"{out}a_mask.png") == b"another"
    assert len(labels(stored(store, f"{out}b_mask.png"))) == 8
    assert count() == 1
    resumed = run(source, "--out", out, "--resume")
    assert resumed.exit_code == 1
    assert "It is not from an interrupted run, so it is kept." in resumed.stderr
    assert stored(store, f"{out}a_mask.png") == b"another"
    replaced = run(source, "--out", out, "--overwrite")
    assert replaced.exit_code == 0, replaced.stderr
    assert len(labels(stored(store, f"{out}a_mask.png"))) == 8
    assert store.keys(out) == ["a_mask.png", "b_mask.png"]


@pytest.mark.parametrize("place", ["folder", "prefix"])
def test_resume_segments_exactly_what_has_no_valid_mask(
    place: str, store: Store, run: Run, faults: Faults, tmp_path: Path
) -> None:
    """--resume reads the masks, skips the valid ones and makes missing and damaged ones again."""
    source, prefix = put_images(store, 4)
    out = str(tmp_path / "out") if place == "folder" else prefix
    assert run(source, "--out", out).exit_code == 0
    if place == "folder":
        whole = (tmp_path / "out" / "00_mask.png").read_bytes()
        (tmp_path / "out" / "01_mask.png").unlink()
        damaged = (tmp_path / "out" / "02_mask.png").read_bytes()
        (tmp_path / "out" / "02_mask.png").write_bytes(damaged[:-30])
    else:
        whole = stored(store, f"{out}00_mask.png")
        base = out.removeprefix(f"s3://{BUCKET}/")
        store.s3.delete_object(Bucket=BUCKET, Key=f"{base}01_mask.png")
        store.put(f"{base}02_mask.png", stored(store, f"{out}02_mask.png")[:-30])
    count = invocations(faults)
    done = run(source, "--out", out, "--resume", "--json")
    assert done.exit_code == 0, done.stderr
    document = json.loads(done.stdout)
    assert [row["path"][-6:] for row in document["images"]] == ["01.jpg", "02.jpg"]
    assert [row["path"][-6:] for row in document["skipped"]] == ["00.jpg", "03.jpg"]
    assert "was not valid, and was made again" in document["images"][1]["notes"][0]
    assert count() == 2
    assert "Skipped 2 of 4 images that have a valid mask" in done.stderr
    read = (tmp_path / "out" / "02_mask.png").read_bytes() if place == "folder" else None
    assert labels(read or stored(store, f"{out}02_mask.png")) == labels(whole)


def test_resume_does_not_mix_images_or_settings(store: Store, run: Run, tmp_path: Path) -> None:
    """A mask of an image that has changed since, or made with other settings, is an error and is kept."""
    source, _ = put_images(store, 1)
    assert run(source, "--out", tmp_path).exit_code == 0
    before = (tmp_path / "00_mask.png").read_bytes()
    settings = run(source, "--out", tmp_path, "--resume", "--palette", "safe")
    assert settings.exit_code == 1
    assert "palette 'model' and now 'safe'" in settings.stderr
    store.put(f"{source.removeprefix(f's3://{BUCKET}/')}00.jpg", jpeg((9, 9)))
    changed = run(source, "--out", tmp_path, "--resume")
    assert changed.exit_code == 1
    assert "was written for another image" in changed.stderr
    assert (tmp_path / "00_mask.png").read_bytes() == before


def test_bad_images_are_named_and_stop_nothing(store: Store, run: Run, tmp_path: Path) -> None:
    """An image that the model rejects, and one that is not an image, are named with the reason; exit code 1."""
    source, _ = store.images("a.jpg", "c.jpg", bad=("bad.jpg",))
    store.put(f"{source.removeprefix(f's3://{BUCKET}/')}text.jpg", b"not an image")
    done = run(source, "--out", tmp_path, "--json")
    assert done.exit_code == 1
    document = json.loads(done.stdout)
    assert [row["path"].rpartition("/")[2] for row in document["images"]] == ["a.jpg", "c.jpg"]
    assert [(row["path"].rpartition("/")[2], row["error"]) for row in document["failed"]] == [
        ("bad.jpg", "ModelError"),
        ("text.jpg", "ImageError"),
    ]
    assert "2 of 4 images segmented" in done.stderr
    assert "2 failed" in done.stderr


@pytest.mark.parametrize("code", ["ThrottlingException", "ModelNotReadyException"])
def test_throttled_calls_are_repeated(
    code: str, store: Store, run: Run, faults: Faults, tmp_path: Path
) -> None:
    """A throttled call is repeated with fewer images in flight, and every image gets its mask."""
    source, _ = put_images(store, 6)
    faults.add("error", operation="InvokeEndpoint", code=code, status=429, times=2)
    done = run(source, "--out", tmp_path, "--json")
    assert done.exit_code == 0, done.stderr
    document = json.loads(done.stdout)
    assert (len(document["images"]), document["throttled"]) == (6, 2)
    assert "The endpoint throttled 2 calls, which were repeated" in done.stderr


def test_a_fault_of_all_images_stops_the_batch(
    store: Store, run: Run, faults: Faults, tmp_path: Path
) -> None:
    """After 10 consecutive failures of AWS the batch stops, and tells how many images were not attempted."""
    source, _ = put_images(store, 40)
    faults.add("error", operation="InvokeEndpoint", code="AccessDeniedException", status=400)
    done = run(source, "--out", tmp_path, "--concurrency", 1, "--json")
    assert done.exit_code == 1
    document = json.loads(done.stdout)
    assert document["not_attempted"] >= 25
    assert document["not_attempted"] + len(document["failed"]) == 40
    assert "To continue, run the same command with --resume." in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("s3://a/b/", "c.jpg", "--out", "x"), "Name one S3 prefix, or local images."),
        (("c.jpg", "--out", "s3://a/b/"), "The masks of local images are written to a folder."),
        (("c.jpg", "--out", "x", "--concurrency", "2"), "Local images are segmented one by one."),
        (("s3://a/b/", "--out", "x", "--opacity", "0.3"), "No overlay is written for an S3 prefix."),
        (("s3://a/b/", "--out", "x", "--concurrency", "33"), "less than or equal to 32"),
    ],
)
def test_options_that_do_not_fit_are_wrong_usage(arguments: tuple[str, ...], message: str, run: Run) -> None:
    """An option that has no meaning for the given images is wrong usage, exit code 2."""
    done = run(*arguments)
    assert done.exit_code == 2
    assert message in " ".join(done.stderr.replace("│", " ").split())


def test_a_prefix_without_images_is_an_error(store: Store, run: Run, tmp_path: Path) -> None:
    """A prefix without images is an error that names the supported types."""
    done = run(f"s3://{BUCKET}/nothing/", "--out", tmp_path)
    assert done.exit_code == 1
    assert f"There are no images under s3://{BUCKET}/nothing/." in done.stderr


def test_a_folder_that_cannot_be_written_is_found_first(store: Store, run: Run) -> None:
    """Where the folder of the masks cannot be written, the batch does not begin: each image is billed."""
    source, _ = store.images("a.jpg")
    done = run(source, "--out", "/proc/self")
    assert done.exit_code == 1
    assert "/proc/self cannot be written" in done.stderr
    assert "images segmented" not in done.stderr


def test_ctrl_c_leaves_whole_masks(
    aws_environ: dict[str, str], stub_endpoint: Any, store: Store, tmp_path: Path
) -> None:
    """Ctrl-C exits with 130, reports every mask that was written, all of them complete, and how to resume."""
    source, _ = put_images(store, 40)
    name = stub_endpoint(files={"answer.png": mask()}, behavior={"seconds": 1})
    out = tmp_path / "out"
    command = [sys.executable, "cli.py", "segment", source, "--endpoint", name, "--out", out, "--json"]
    environ = os.environ | aws_environ | {"SEGDECK_MODE": "aws"}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, env=environ, stdout=pipe, stderr=pipe, text=True) as process:
        wait_until(lambda: any(out.glob("*_mask.png")))
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=SECONDS)
    assert process.returncode == 130, stderr
    document = json.loads(stdout)
    assert document["stopped"] is True
    written = sorted(str(path) for path in out.iterdir())
    assert written == [row["files"]["mask"] for row in document["images"]]
    assert 0 < len(written) == 40 - document["not_attempted"] < 40
    for path in written:
        assert len(labels(Path(path).read_bytes())) == SIZE[1]
    assert "To continue, run the same command with --resume." in stderr


def test_the_mask_is_the_endpoints_pixel_for_pixel(store: Store, run: Run, tmp_path: Path) -> None:
    """An image of the response's own size gets exactly the ids of the response."""
    source, _ = store.images()
    store.put(f"{source.removeprefix(f's3://{BUCKET}/')}a.jpg", jpeg((5, 4)))
    assert run(source, "--out", tmp_path).exit_code == 0
    with Image.open(io.BytesIO(mask())) as wanted, Image.open(tmp_path / "a_mask.png") as made:
        assert np.array_equal(np.asarray(wanted), np.asarray(made))


def test_a_lost_response_of_s3_loses_no_mask(store: Store, run: Run, faults: Faults) -> None:
    """If S3's response to a mask is lost, Segdeck checks that it was written; the image is not sent again."""
    source, out = put_images(store, 1)
    faults.add("lost_reply", service="s3", operation="PUT .*_mask.png", times=1)
    count = invocations(faults)
    done = run(source, "--out", out)
    assert done.exit_code == 0, done.stderr
    assert "lost_reply" in [kind for kind, _ in faults.hits]
    assert count() == 1
    assert len(labels(stored(store, f"{out}00_mask.png"))) == SIZE[1]


def test_an_object_that_appears_meanwhile_is_kept(store: Store, sandbox_server: Sandbox) -> None:
    """A mask never replaces an object that another program wrote after the listing."""
    _, out = store.images()
    address = sandbox_server.address
    connection = Connection(address.region, address.url, None, address.access_key, address.secret_key)
    masks = s3_masks(Clients(connection), out)
    store.put(f"{out.removeprefix(f's3://{BUCKET}/')}a_mask.png", b"another")
    assert not masks.exists("a_mask.png")
    with pytest.raises(InputError, match="already exists"):
        masks.write("a_mask.png", mask(), replace=False)
    assert stored(store, f"{out}a_mask.png") == b"another"


def test_an_image_above_the_request_limit_is_compressed(store: Store, run: Run, tmp_path: Path) -> None:
    """An image whose JPEG exceeds AWS's 6 MiB is compressed for the endpoint; its mask has the image's size."""
    source, _ = store.images()
    buffer = io.BytesIO()
    Image.effect_noise((2600, 2600), 100).convert("RGB").save(buffer, "JPEG", quality=100, subsampling=0)
    assert len(buffer.getvalue()) > MAX_REQUEST
    store.put(f"{source.removeprefix(f's3://{BUCKET}/')}a.jpg", buffer.getvalue())
    done = run(source, "--out", tmp_path, "--json")
    assert done.exit_code == 0, done.stderr
    (row,) = json.loads(done.stdout)["images"]
    assert row["photo"] == {"width": 2600, "height": 2600}
    with Image.open(tmp_path / "a_mask.png") as image:
        assert image.size == (2600, 2600)


def test_a_prefix_is_a_folder_with_every_slash_that_it_has(store: Store, run: Run, tmp_path: Path) -> None:
    """A prefix without a slash at its end is the folder of that name, and a double slash is part of the keys."""
    base = store.images()[0].removesuffix("in/")
    folder = base.removeprefix(f"s3://{BUCKET}/")
    for key in ("in/a.jpg", "in2/b.jpg", "in//c.jpg"):
        store.put(folder + key, jpeg((5, 4)))
    for prefix, masks in (("in2", ["b_mask.png"]), ("in//", ["c_mask.png"])):
        out = tmp_path / f"{len(prefix)}"
        done = run(f"{base}{prefix}", "--out", out)
        assert done.exit_code == 0, done.output
        assert sorted(path.name for path in out.iterdir()) == masks


def test_an_image_that_changes_meanwhile_is_not_read(store: Store, sandbox_server: Sandbox) -> None:
    """An object that was replaced since it was listed is an error: its mask would belong to another content."""
    source, _ = store.images("a.jpg")
    address = sandbox_server.address
    clients = Clients(Connection(address.region, address.url, None, address.access_key, address.secret_key))
    (image,), _ = find_images(clients, source)
    read = image_reader(clients, source)
    assert read(image) == jpeg()
    store.put(f"{source.removeprefix(f's3://{BUCKET}/')}a.jpg", jpeg((9, 9)))
    with pytest.raises(AwsError) as caught:
        read(image)
    assert caught.value.code == CHANGED
