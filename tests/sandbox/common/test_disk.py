"""A full disk: its error texts, the operations that still work, and recovery."""

from __future__ import annotations

import errno
import json
import os
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sandbox.common.disk import Disk, is_full
from sandbox.common.lossy_output import LossyStream
from sandbox.http.server import Listener, bind
from sandbox.launcher import Address, running
from sandbox.services.s3 import S3
from tests.support.clients import new_client
from tests.support.patience import SECONDS, WAITER

PROJECT = Path(__file__).resolve().parents[3]
STUBBED = [
    sys.executable,
    str(PROJECT / "tests" / "support" / "sandbox_process.py"),
    "--no-demo",
    "--port",
    "0",
]
IMAGE = "811284229777.dkr.ecr.us-east-1.amazonaws.com/semantic-segmentation:1"
LIMIT = 2 << 20
Eventually = Callable[..., Any]

# A limit on the size of files makes writes fail for every user and on every disk, as a quota does.
LIMITED = """
import json, resource, sys
from pathlib import Path
from sandbox.services.iam.journal import Call, IamJournal
from sandbox.services.s3.store import ObjectStore
from sandbox.services.s3.values import Attributes
from sandbox.common.store import RecordStore
from sandbox.common.disk import is_full

root, results = Path(sys.argv[1]), {}
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))

def until_full(work):
    for number in range(10_000):
        try:
            work(number)
        except Exception as problem:
            if not is_full(problem):
                raise
            return number
    raise AssertionError("it never was full")

objects = ObjectStore(root / "s3")
objects.create_bucket("b")
def put(number):
    blob = objects.write([b"x"], lambda: "etag")
    objects.put("b", f"key-{number}", blob, Attributes({"pad": "y" * 500}))
count = until_full(put)
files = [path for path in (root / "s3/blobs").rglob("*") if path.is_file()]
results["objects"] = count > 10 and len(files) == count
for number in range(count):
    objects.delete("b", f"key-{number}")
results["deleted"] = objects.span("b", b"", b"z", 10) == []
put(0)
objects.close()
results["kept"] = [item.key for item in ObjectStore(root / "s3").span("b", b"", b"z", 10)]

store = RecordStore(root / "control.sqlite")
count = until_full(lambda number: store.insert("model", f"m{number}", {"pad": "y" * 2000}))
store.update("model", "m0", lambda document: document.update(State="Deleting"))
results["updated"] = store.get("model", "m0")["State"]
results["gone"] = all(store.delete("model", f"m{number}") for number in range(count))
results["none left"] = store.view("model") == []

journal = IamJournal(root / "journal.jsonl")
call = lambda number: Call(number, "a", "t", "x", "body" * 100)
count = until_full(lambda number: journal.append(call(number)))
journal.close()
results["journal"] = [int(line.at) for line in IamJournal(root / "journal.jsonl")] == list(range(count))
try:
    (root / "big").write_bytes(bytes(400_000))
except OSError as problem:
    results["big"] = is_full(problem)
print(json.dumps(results))
"""


def test_nothing_is_lost_and_deletions_work_on_a_full_disk(tmp_path: Path) -> None:
    """A refused write leaves nothing behind, and everything can be deleted and written again."""
    command = [sys.executable, "-c", LIMITED, str(tmp_path)]
    (tmp_path / "s3").mkdir()
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "objects": True, "deleted": True, "kept": ["key-0"], "updated": "Deleting", "gone": True, "none left": True,
        "journal": True, "big": True,
    }  # fmt: skip


@pytest.fixture
def start(tmp_path: Path, eventually: Eventually) -> Iterator[Callable[..., Address]]:
    """start(limit) -> the address of a sandbox with a limit on file sizes; the previous one is ended."""
    running_now: list[subprocess.Popen[bytes]] = []

    def end() -> None:
        for process in running_now:
            process.terminate()
            process.wait(SECONDS)
        running_now.clear()

    def run(limit: int = resource.RLIM_INFINITY) -> Address:
        end()
        code = (
            f"import os, resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}));"
            "os.execv(sys.argv[1], sys.argv[1:])"
        )
        command = [sys.executable, "-c", code, *STUBBED, "--no-demo", "--data", str(tmp_path / "data")]
        environ = {**os.environ, "PYTHONPATH": str(PROJECT)}
        process = subprocess.Popen(command, cwd=PROJECT, env=environ, stdin=subprocess.DEVNULL)
        running_now.append(process)

        def probe() -> Address | None:
            assert process.poll() is None, "the sandbox has ended"
            address = running(tmp_path / "data")
            return address if address is not None and address.pid == process.pid else None

        address: Address = eventually(probe)
        return address

    yield run
    end()


def _client(address: Address, service: str) -> Any:
    return new_client(address, service, retries={"total_max_attempts": 5})


@pytest.mark.sandbox
def test_an_endpoint_recovers_from_a_full_disk(
    start: Callable[..., Address], model_archive: Callable[..., bytes]
) -> None:
    """Restarted on a full disk, an endpoint is Failed with the missing space; with space, it is in service."""
    address = start()
    s3, sagemaker = _client(address, "s3"), _client(address, "sagemaker")
    weights = os.urandom(LIMIT + 100_000)
    s3.create_bucket(Bucket="models")
    s3.put_object(Bucket="models", Key="model.tar.gz", Body=model_archive({"weights": weights}))
    container = {"Image": IMAGE, "ModelDataUrl": "s3://models/model.tar.gz"}
    variant = {
        "VariantName": "A",
        "ModelName": "m",
        "InstanceType": "ml.g4dn.xlarge",
        "InitialInstanceCount": 1,
    }
    sagemaker.create_model(ModelName="m", PrimaryContainer=container)
    sagemaker.create_endpoint_config(EndpointConfigName="m", ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName="m", EndpointConfigName="m")
    waiter = sagemaker.get_waiter("endpoint_in_service")
    waiter.wait(EndpointName="m", WaiterConfig=WAITER)

    address = start(LIMIT)
    endpoint = _client(address, "sagemaker").describe_endpoint(EndpointName="m")
    assert endpoint["EndpointStatus"] == "Failed"
    reason = endpoint["FailureReason"]
    assert "accepts no more data (a quota, a limit on file sizes" in reason
    assert "MB free, 4." in reason
    assert "The model archive s3://models/model.tar.gz is unchanged" in reason
    assert "the next start of the sandbox will try again" in reason
    s3 = _client(address, "s3")
    with pytest.raises(ClientError) as caught:
        s3.put_object(Bucket="models", Key="more", Body=weights)
    response = caught.value.response
    assert (response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]) == ("StorageFull", 507)
    assert "MB free, 2.2 MB needed. Nothing of this request was saved" in response["Error"]["Message"]
    assert [item["Key"] for item in s3.list_objects_v2(Bucket="models")["Contents"]] == ["model.tar.gz"]

    endpoint = _client(start(), "sagemaker").describe_endpoint(EndpointName="m")
    assert (endpoint["EndpointStatus"], endpoint.get("FailureReason")) == ("InService", None)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[tuple[Any, list[int]]]:
    """An S3 on a disk whose free bytes are in the list."""
    room = [1_000_000]
    disk = Disk(tmp_path, free=lambda: room[0])
    (tmp_path / "s3").mkdir()
    app, sock = S3(tmp_path / "s3", "us-east-1", disk=disk), bind("127.0.0.1", 0)
    listener = Listener(app, sock)
    sock.close()
    thread = Thread(target=listener.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    connection = HTTPConnection("127.0.0.1", listener.port, timeout=SECONDS)

    def send(method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, str]:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()

    yield send, room
    connection.close()
    listener.stop()
    thread.join()
    app.close()


def test_an_upload_to_a_full_disk_is_refused_before_it_is_written(small: tuple[Any, list[int]]) -> None:
    """The error gives the free and needed bytes; the old object is unaffected; with space it succeeds."""
    send, room = small
    send("PUT", "/bucket")
    assert send("PUT", "/bucket/key", b"old")[0] == 200
    room[0] = 200_000
    status, text = send("PUT", "/bucket/key", bytes(300_000))
    assert (status, "<Code>StorageFull</Code>" in text) == (507, True)
    assert "is full: 0.2 MB free, 0.3 MB needed. Nothing of this request was saved" in text
    assert send("GET", "/bucket/key") == (200, "old")
    room[0] = 0
    assert send("DELETE", "/bucket/key")[0] == 204
    room[0] = 400_000
    assert send("PUT", "/bucket/key", bytes(300_000))[0] == 200


def test_an_upload_beyond_s3s_limit_is_refused(small: tuple[Any, list[int]]) -> None:
    """PutObject accepts at most 5 GiB, as S3 does, whatever space there is."""
    send, room = small
    room[0] = 1 << 50
    send("PUT", "/bucket")
    headers = {"x-amz-decoded-content-length": str((5 << 30) + 1)}
    status, text = send("PUT", "/bucket/key", b"x", **headers)
    assert (status, "<Code>EntityTooLarge</Code>" in text) == (400, True)


def test_the_reserve_is_released_for_deletions(tmp_path: Path) -> None:
    """Work that fails on a full disk is repeated with the reserve released, which is allocated again afterwards."""
    room = [10_000]
    disk = Disk(tmp_path, reserve_bytes=1 << 20, free=lambda: room[0])
    reserve = tmp_path / "reserve"
    assert (disk.reserve(), reserve.exists()) == (False, False)
    room[0] = 500_000
    assert (disk.reserve(), reserve.stat().st_size) == (True, 500_000)
    room[0] = 0

    def work() -> str:
        if reserve.exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        room[0] = 5_000_000
        return "done"

    assert disk.freeing(work) == "done"
    assert reserve.stat().st_size == 1 << 20


@pytest.mark.parametrize("problem", [OSError(errno.EACCES, "denied"), sqlite3.OperationalError("locked")])
def test_other_problems_are_not_a_full_disk(tmp_path: Path, problem: Exception) -> None:
    """Other errors are raised immediately, and the reserve is kept."""
    disk, calls = Disk(tmp_path, reserve_bytes=1 << 20), []
    disk.reserve()

    def work() -> None:
        calls.append(1)
        raise problem

    with pytest.raises(type(problem)):
        disk.freeing(work)
    assert (calls, is_full(problem), (tmp_path / "reserve").exists()) == ([1], False, True)


def test_sqlite_on_a_full_disk_is_one(tmp_path: Path) -> None:
    """SQLite's "database or disk is full" is recognized by its code."""
    database = sqlite3.connect(tmp_path / "x.sqlite")
    database.execute("pragma max_page_count = 3")
    database.execute("create table t(x)")
    with pytest.raises(sqlite3.OperationalError, match="database or disk is full") as caught:
        database.execute("insert into t values (zeroblob(100000))")
    database.close()
    assert is_full(caught.value)
    text = Disk(tmp_path, free=lambda: 12).text(caught.value, 100_000, "All is in place.")
    assert text.startswith(
        f"The disk that holds {tmp_path} is full: 12 bytes free, 0.1 MB needed. All is in place."
    )


def test_a_full_disk_under_the_log_is_survived(tmp_path: Path) -> None:
    """Lost log writes are counted, and reported once there is space."""
    full, log = os.open("/dev/full", os.O_WRONLY), tmp_path / "log"
    steady = LossyStream(full)
    print("lost", file=steady, flush=True)
    with log.open("w") as room:
        os.dup2(room.fileno(), full)
    print("kept \ud800", file=steady)
    os.close(full)
    assert log.read_text() == "sandbox: 2 writes to this log were lost: its disk was full\nkept \\ud800\n"
