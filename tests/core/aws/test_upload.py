"""Datasets uploaded to S3, against the sandbox: each file once, whatever happens in between."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from core import errors
from core.aws.connection import Clients, Connection
from core.aws.execute import execute
from core.aws.prefix import NAMES_ALONE, check_prefix
from core.aws.training import list_channels
from core.aws.upload import THREADS, ListedObject, Progress, is_same, upload
from core.datasets.check import check
from core.datasets.problems import count_by_code
from core.datasets.readers import read_dataset
from core.datasets.s3_listing import check_listing
from core.datasets.source import Splitting
from core.datasets.upload_plan import UploadOrder, items, order_upload
from core.plans.plan import plan_upload
from core.training.channels import data_channels
from tests.support.dataset import NAMES, digests, ids, indexed, make_voc, photo, write

ROOT = Path(__file__).resolve().parents[3]
BUCKET = "sets"
PUT = re.compile(r"PUT /sets/(.+)")
Order = Callable[..., UploadOrder]


@pytest.fixture(scope="module")
def clients(sandbox_server: Any) -> Clients:
    address = sandbox_server.address
    return Clients(Connection(address.region, address.url, None, address.access_key, address.secret_key))


@pytest.fixture(scope="module")
def s3(sandbox_server: Any, make_client: Any) -> Any:
    """Return another user's client."""
    made = make_client(sandbox_server, "s3")
    made.create_bucket(Bucket=BUCKET)
    return made


@pytest.fixture
def puts(sandbox_server: Any) -> Iterator[Callable[[], list[str]]]:
    """Return puts() -> the keys of the PutObject calls since the last check."""
    faults = sandbox_server.faults
    faults.clear()
    faults.add("delay", service="s3", operation="PUT .*", seconds=0)

    def take() -> list[str]:
        taken = [found[1] for _, operation in faults.hits if (found := PUT.match(operation))]
        faults.hits.clear()
        return taken

    yield take
    faults.clear()


@pytest.fixture
def order(tmp_path: Path) -> Order:
    """Return order(prefix, overwrite=...) for a valid dataset with six and two pairs."""
    root = make_voc(tmp_path / "voc")

    def make(prefix: str, folder: Path = root, **options: Any) -> UploadOrder:
        source = read_dataset(folder)
        with ThreadPoolExecutor(1) as executor:
            report = check(source, executor)
        return order_upload(source, report, f"s3://{BUCKET}/{prefix}", splitting=Splitting(), **options)

    return make


def standing(clients: Clients, prefix: str) -> dict[str, str]:
    """Return key under the prefix -> ETag."""
    pages = clients.s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{prefix}/")
    rows = (row for page in pages for row in page.get("Contents", ()))
    return {row["Key"].removeprefix(f"{prefix}/"): row["ETag"].strip('"') for row in rows}


def test_a_set_is_uploaded_into_its_four_channels(
    clients: Clients, s3: Any, order: Order, puts: Any, tmp_path: Path
) -> None:
    """Each file is sent once, to its channel, with the class names; the local files are unchanged."""
    before = digests(tmp_path)
    made = order("whole")
    told: list[Progress] = []
    outcome = execute(clients, plan_upload(made), on_progress=told.append)
    assert outcome.done[0].answer == {"Files": 17, "Sent": 17, "Bytes": made.size}
    assert told[-1] == Progress(17, 17, 17, made.size, made.size)
    found = standing(clients, "whole")
    assert sorted(puts()) == sorted(f"whole/{key}" for key in found)
    voc = tmp_path / "voc"
    wanted = {f"train/tile_{n}.jpg": voc / f"JPEGImages/tile_{n}.jpg" for n in range(6)}
    wanted |= {f"validation_annotation/tile_{n}.png": voc / f"SegmentationClass/tile_{n}.png" for n in (6, 7)}
    for key, path in wanted.items():
        assert found[key] == hashlib.md5(path.read_bytes()).hexdigest()
    head = clients.s3.head_object(Bucket=BUCKET, Key="whole/train_annotation/tile_0.png")
    assert head["ContentType"] == "image/png"
    assert made.channels["train_annotation"] == f"s3://{BUCKET}/whole/train_annotation/"
    assert digests(tmp_path) == before


def test_what_stands_there_is_not_sent_again(clients: Clients, s3: Any, order: Order, puts: Any) -> None:
    """A repeated upload sends nothing; if one object is missing, only that is sent."""
    execute(clients, plan_upload(order("again")))
    assert len(puts()) == 17
    assert execute(clients, plan_upload(order("again"))).done[0].answer["Sent"] == 0
    assert puts() == []
    s3.delete_object(Bucket=BUCKET, Key="again/train/tile_3.jpg")
    execute(clients, plan_upload(order("again")))
    assert puts() == ["again/train/tile_3.jpg"]


def test_another_object_is_not_overwritten_unasked(
    clients: Clients, s3: Any, order: Order, puts: Any
) -> None:
    """An object with different content stops the upload before its first file; with `overwrite` it is replaced."""
    s3.put_object(Bucket=BUCKET, Key="theirs/train/tile_3.jpg", Body=b"theirs")
    puts()
    with pytest.raises(
        errors.InputError, match=r"1 objects under .* have different content: theirs/train/tile_3\.jpg"
    ):
        execute(clients, plan_upload(order("theirs")))
    assert puts() == []
    plan = plan_upload(order("theirs", overwrite=True))
    assert plan.warnings == ("Objects with different content are overwritten.",)
    execute(clients, plan)
    assert len(puts()) == 17


def test_an_object_of_another_set_is_told(clients: Clients, s3: Any, order: Order, puts: Any) -> None:
    """Another object in a channel would be trained on, so the prefix is rejected; outside the channels it may be."""
    s3.put_object(Bucket=BUCKET, Key="mixed/notes.txt", Body=b"mine")
    s3.put_object(Bucket=BUCKET, Key="mixed/train/other.jpg", Body=b"other")
    puts()
    with pytest.raises(
        errors.InputError, match=r"1 objects that are not part of this dataset: mixed/train/other\.jpg"
    ):
        execute(clients, plan_upload(order("mixed", overwrite=True)))
    assert puts() == []


def test_one_that_comes_meanwhile_is_not_overwritten(clients: Clients, s3: Any, order: Order) -> None:
    """S3 itself refuses to replace an object created after the check."""

    def late(**params: Any) -> Any:
        if params["Key"] == "race/classes.json":
            s3.put_object(Bucket=BUCKET, Key=params["Key"], Body=b"theirs")
        return clients.client_for_uploads.put_object(**params)

    with pytest.raises(
        errors.InputError, match=r"1 objects under .* have different content: race/classes\.json"
    ):
        upload(clients, order("race"), late)
    assert clients.s3.get_object(Bucket=BUCKET, Key="race/classes.json")["Body"].read() == b"theirs"


def test_the_end_is_verified(clients: Clients, s3: Any, order: Order) -> None:
    """An object that differs from what was sent is detected at the end."""

    def early(**params: Any) -> Any:
        answer = clients.client_for_uploads.put_object(**params)
        if params["Key"] == "verify/classes.json":
            s3.put_object(Bucket=BUCKET, Key=params["Key"], Body=b"theirs")
        return answer

    with pytest.raises(
        errors.UnexpectedAnswerError, match=r"1 objects .* differ from what was sent: verify/classes"
    ):
        upload(clients, order("verify"), early)


@pytest.mark.parametrize("kind", ["lost_reply", "reset", "drop"])
def test_a_lost_reply_is_not_an_obstacle(
    clients: Clients, s3: Any, order: Order, sandbox_server: Any, kind: str
) -> None:
    """A call whose response is lost is repeated; that the object exists then is success."""
    sandbox_server.faults.clear()
    prefix = f"lost-{kind.replace('_', '-')}"
    sandbox_server.faults.add(kind, service="s3", operation=f"PUT /sets/{prefix}/train/.*", times=2)
    execute(clients, plan_upload(order(prefix)))
    sandbox_server.faults.clear()
    assert len(standing(clients, prefix)) == 17


def test_throttling_is_waited_out(clients: Clients, s3: Any, order: Order, sandbox_server: Any) -> None:
    """S3's SlowDown does not end an upload."""
    sandbox_server.faults.clear()
    slow = {"code": "SlowDown", "message": "Reduce your request rate.", "status": 503, "times": 3}
    sandbox_server.faults.add("error", service="s3", operation="PUT /sets/slow/train/.*", **slow)
    execute(clients, plan_upload(order("slow")))
    sandbox_server.faults.clear()
    assert len(standing(clients, "slow")) == 17


def test_an_upload_can_be_canceled_and_resumed(clients: Clients, s3: Any, order: Order, puts: Any) -> None:
    """An exception from the progress callback cancels it; sent files are kept, and the next upload sends the rest."""

    def stop(progress: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        execute(clients, plan_upload(order("cancel")), on_progress=stop)
    first = puts()
    assert set(first) == {f"cancel/{key}" for key in standing(clients, "cancel")}
    execute(clients, plan_upload(order("cancel")))
    assert not set(first) & set(puts())
    assert len(standing(clients, "cancel")) == 17


def test_a_folder_that_changed_is_told(
    clients: Clients, s3: Any, order: Order, tmp_path: Path, puts: Any
) -> None:
    """Files added, removed or changed since the plan are an error before the first is sent."""
    made = order("changed")
    write(tmp_path / "voc/JPEGImages/tile_0.jpg", photo(99) + b"more")
    with pytest.raises(errors.InputError, match="has changed since"):
        execute(clients, plan_upload(made))
    assert puts() == []


def test_a_set_with_errors_is_refused(order: Order, tmp_path: Path) -> None:
    """A dataset that would make a job fail is not uploaded; fixable problems must be fixed first."""
    write(tmp_path / "voc/JPEGImages/tile_0.jpg", photo(99, "PNG"))
    with pytest.raises(errors.InputError, match=r"1 errors.*tile_0\.jpg.*Convert it first"):
        order("wrong")
    with pytest.raises(errors.InputError, match="not an S3 URI"):
        order_upload(None, None, "http://x", splitting=Splitting())  # type: ignore[arg-type]


@pytest.mark.skipif(sys.platform == "darwin", reason="its file system takes UTF-8 alone")
def test_a_name_that_is_no_utf_8_is_refused(order: Order, tmp_path: Path) -> None:
    """A file name that is not a valid key is reported before anything is sent; a converted copy has another name."""
    for path in ("JPEGImages/tile_0.jpg", "SegmentationClass/tile_0.png"):
        named = tmp_path / "voc" / path
        named.rename(named.with_name(os.fsdecode(b"caf\xe9") + named.suffix))
    lists = tmp_path / "voc/ImageSets/Segmentation"
    for path in lists.iterdir():
        path.unlink()
    with pytest.raises(errors.InputError, match=r"caf\?\.jpg.*not UTF-8.*Convert the dataset"):
        order("odd")


def test_a_set_that_needs_a_label_map_is_refused(order: Order, tmp_path: Path) -> None:
    """Uploads have no label map, so a dataset that needs one must be converted first."""
    root = tmp_path / "mapped"
    for split in ("train", "validation"):
        write(root / split / "0.jpg", photo(split == "train"))
        write(root / f"{split}_annotation/0.png", indexed(ids(0, 2)))
        write(root / f"label_map/{split}_label_map.json", json.dumps({"map": {"0": 0, "1": 2}}))
    with pytest.raises(errors.InputError, match="need a label map"):
        order("mapped", root)


def test_an_etag_that_is_no_md5_is_no_obstacle(
    clients: Clients, s3: Any, order: Order, tmp_path: Path
) -> None:
    """In a bucket with a KMS key the ETag is not an MD5: the object's SHA-256 is compared instead."""
    made = order("kms")
    item = items(made)[0]
    content = {"Bucket": BUCKET, "Key": item.key, "ChecksumAlgorithm": "SHA256"}
    s3.put_object(**content, Body=item.read())
    assert is_same(clients, made, item, ListedObject(item.size, "0123456789abcdef0123456789abcdef"))
    s3.put_object(**content, Body=bytes(item.size))
    assert not is_same(clients, made, item, ListedObject(item.size, "0123456789abcdef0123456789abcdef"))


def test_what_is_uploaded_passes_the_check_of_its_objects(clients: Clients, s3: Any, order: Order) -> None:
    """A prefix in channel layout is checked by object names; a missing mask and an unusual name are reported."""
    execute(clients, plan_upload(order("listed")))
    base = f"s3://{BUCKET}/listed/"
    report = check_listing(base, list_channels(clients, data_channels(base)).keys)
    assert (report.problems, report.num_training_samples, report.counts["validation"]) == ((), 6, 2)
    s3.delete_object(Bucket=BUCKET, Key="listed/train_annotation/tile_0.png")
    s3.put_object(Bucket=BUCKET, Key="listed/validation/a b.jpg", Body=b"x")
    report = check_listing(base, list_channels(clients, data_channels(base)).keys)
    assert [(one.code, one.path.removeprefix(base)) for one in report.problems] == [
        ("channel", "train_annotation/"),
        ("channel", "validation_annotation/"),
        ("name_odd", "validation/"),
    ]


def test_a_prefix_brings_its_class_names(clients: Clients, order: Order) -> None:
    """An uploaded dataset has its class names, which a launch reads."""
    execute(clients, plan_upload(order("named")))
    report, notes = check_prefix(clients, f"s3://{BUCKET}/named/")
    assert (report.problems, notes) == ((), (NAMES_ALONE,))
    assert report.classes is not None
    assert report.classes.names == NAMES


def test_a_prefix_that_cannot_be_listed_is_not_called_good(clients: Clients) -> None:
    """If the bucket does not exist, each channel is an error, and the missing bucket is named once."""
    report, notes = check_prefix(clients, "s3://nowhere-at-all/set/")
    assert count_by_code(report.problems) == {"channel": 4}
    assert not report.usable
    assert [note for note in notes if "bucket" in note] == [
        "Could not find the bucket nowhere-at-all. Create it in us-east-1, or correct the S3 URI."
    ]
    with pytest.raises(errors.InputError, match="not an S3 URI"):
        check_prefix(clients, "s3://")


KILLED = """
import os, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from core.aws.connection import Clients, Connection
from core.aws.execute import execute
from core.datasets.upload_plan import UploadOrder
from core.plans.plan import plan_upload
import json
order, connection = json.loads(sys.argv[1]), json.loads(sys.argv[2])

def tell(progress):
    if progress.sent >= int(sys.argv[3]):
        print("far enough", flush=True)

execute(Clients(Connection(**connection)), plan_upload(UploadOrder(**order)), on_progress=tell)
"""


def test_killed_in_the_middle_nothing_is_lost_and_nothing_sent_twice(
    clients: Clients, s3: Any, sandbox_server: Any, puts: Any, tmp_path: Path
) -> None:
    """An upload of 600 files killed after some of them and repeated sends each file once."""
    root, mask = tmp_path / "many", indexed(ids(0, 1))
    for number in range(300):
        split = "validation" if number % 10 == 0 else "train"
        write(root / split / f"{number}.jpg", os.urandom(200))
        write(root / f"{split}_annotation" / f"{number}.png", mask)
    size = sum(path.stat().st_size for path in root.rglob("*.*"))
    made = UploadOrder(str(root), BUCKET, "killed/", 0.2, 0, "", 600, size, overwrite=False)
    address = sandbox_server.address
    connection = {"region": address.region, "aws_url": address.url}
    connection |= {"access_key": address.access_key, "secret_key": address.secret_key}
    command = [sys.executable, "-c", KILLED, json.dumps(made.to_params()), json.dumps(connection), "150"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "far enough\n"
        process.send_signal(signal.SIGKILL)
    first, stood = puts(), standing(clients, "killed")
    assert 150 <= len(stood) < 600
    outcome = execute(clients, plan_upload(made))
    second = puts()
    assert not {f"killed/{key}" for key in stood} & set(second)
    # A file on its way when its sender was killed may arrive between the listing above and that of the second run.
    assert 600 - len(stood) - THREADS <= len(second) == len(set(second)) <= 600 - len(stood)
    assert len(first) == len(set(first))
    assert outcome.done[0].answer["Sent"] == len(second)
    wanted = {
        path.relative_to(root).as_posix(): hashlib.md5(path.read_bytes()).hexdigest()
        for path in root.rglob("*.*")
    }
    assert standing(clients, "killed") == wanted
