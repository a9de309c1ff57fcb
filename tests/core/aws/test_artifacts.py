"""Artifacts are inspected in S3."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from core.aws.artifacts import download_artifact, inspect_s3_artifact
from core.aws.class_names import FoundClasses, find_classes
from core.aws.connection import Clients, Connection
from core.errors import ArtifactError, CutOffError, InputError, NotFoundError
from core.imaging.classes import Classes
from sandbox.server import Sandbox
from tests.support.artifacts import archive, aws_files, special

BUCKET = "artifacts"
Put = Callable[[str, bytes], str]
PACKED = archive(aws_files("psp", classes=21))


@pytest.fixture(scope="module")
def s3(sandbox_server: Sandbox, make_client: Callable[..., Any]) -> Any:
    """Return a client that can write; the bucket exists."""
    found = make_client(sandbox_server, "s3")
    found.create_bucket(Bucket=BUCKET)
    return found


@pytest.fixture(scope="module")
def clients(sandbox_server: Sandbox) -> Clients:
    """Return the read-only clients under test."""
    address = sandbox_server.address
    return Clients(Connection(address.region, address.url, None, address.access_key, address.secret_key))


@pytest.fixture
def put(s3: Any) -> Put:
    """Return put("a.tar.gz", body) -> its S3 URI."""

    def put_object(key: str, body: bytes) -> str:
        s3.put_object(Bucket=BUCKET, Key=key, Body=body)
        return f"s3://{BUCKET}/{key}"

    return put_object


def test_an_artifact_in_s3_tells_what_it_is(clients: Clients, put: Put) -> None:
    """One GetObject gives the network and its number of classes."""
    found = inspect_s3_artifact(clients, put("model.tar.gz", PACKED))
    assert (found.where, found.size) == (f"s3://{BUCKET}/model.tar.gz", len(PACKED))
    assert (found.algorithm, found.num_classes, found.complete) == ("psp", 21, True)


def test_what_should_not_be_unpacked_is_refused(clients: Clients, put: Put) -> None:
    """The error names the object and the reason."""
    uri = put("evil.tar.gz", archive(aws_files(), special("../../escaped")))
    with pytest.raises(ArtifactError, match=r"evil\.tar\.gz .* leads out"):
        inspect_s3_artifact(clients, uri)


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        (f"s3://{BUCKET}/none.tar.gz", NotFoundError),
        ("s3://no-such-bucket-here/model.tar.gz", NotFoundError),
        ("https://bucket/model.tar.gz", InputError),
        ("s3://bucket", InputError),
    ],
)
def test_an_address_without_an_object_is_told(
    clients: Clients, s3: Any, uri: str, expected: type[Exception]
) -> None:
    """A wrong S3 URI is not reported as an invalid artifact."""
    with pytest.raises(expected) as caught:
        inspect_s3_artifact(clients, uri)
    assert not isinstance(caught.value, ArtifactError)


def test_an_answer_that_stops_is_no_fault_of_the_artifact(canned_server: Any) -> None:
    """A connection that breaks is reported as such, not as a truncated archive."""
    canned_server.says(canned_server.mask(PACKED[:200], length=len(PACKED)))
    with pytest.raises(CutOffError):
        inspect_s3_artifact(canned_server.clients(), "s3://bucket/model.tar.gz")
    assert [method for method, _ in canned_server.asked] == ["GET"]


def test_an_enormous_object_is_refused_by_its_size(canned_server: Any) -> None:
    """A huge object is rejected without reading it."""
    canned_server.says(canned_server.mask(PACKED, length=5 << 30))
    with pytest.raises(ArtifactError, match="5,368,709,120 bytes"):
        inspect_s3_artifact(canned_server.clients(), "s3://bucket/model.tar.gz")


def test_no_time_is_no_refusal(clients: Clients, put: Put) -> None:
    """If time runs out, the artifact is marked incomplete."""
    assert not inspect_s3_artifact(clients, put("late.tar.gz", PACKED), max_seconds=0).complete


def test_memory_does_not_grow_with_the_object(clients: Clients, put: Put) -> None:
    """Memory does not grow with the size of the object."""
    noise = Random(1).randbytes(24 << 20)
    uri = put("big.tar.gz", archive(aws_files() | {"big": noise}))
    inspect_s3_artifact(clients, uri)  # whatever is made once
    tracemalloc.start()
    try:
        assert inspect_s3_artifact(clients, uri).size > 20_000_000
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 6_000_000


def test_class_names_are_taken_from_the_first_place_that_has_some(clients: Clients, put: Put) -> None:
    """URIs without class names are skipped; unreadable ones get a note."""
    bad, good = put("bad.json", b"no json"), put("good.json", b'{"classes": [{"name": "road"}]}')
    places = (f"s3://{BUCKET}/none.json", "s3://no-such-bucket-here/classes.json", bad, good)
    names = find_classes(clients, places)
    assert names.classes is not None
    assert (names.uri, names.classes.names) == (good, ("road",))
    assert len(names.notes) == 1
    assert bad in names.notes[0]
    assert find_classes(clients, places[:2]) == FoundClasses()
    assert find_classes(clients, ("", good)).uri == good


def test_an_artifact_is_brought_here_with_its_names(clients: Clients, put: Put, tmp_path: Path) -> None:
    """The downloaded bytes are the object's, with `classes.json` next to them if there is one."""
    uri = put("named/model.tar.gz", PACKED)
    put("named/classes.json", b'{"classes": [{"name": "road"}]}')
    path = download_artifact(clients, uri, tmp_path)
    assert path.read_bytes() == PACKED
    assert Classes.from_json((tmp_path / "classes.json").read_bytes()).names == ("road",)
    nameless = tmp_path / "nameless"
    nameless.mkdir()
    download_artifact(clients, put("nameless/model.tar.gz", PACKED), nameless)
    assert [file.name for file in nameless.iterdir()] == ["model.tar.gz"]


def test_class_names_that_cannot_be_read_are_reported(clients: Clients, put: Put, tmp_path: Path) -> None:
    """An artifact with an invalid `classes.json` is downloaded without it, with a note that names the file."""
    uri = put("broken/model.tar.gz", PACKED)
    bad = put("broken/classes.json", b"no json")
    notes: list[str] = []
    download_artifact(clients, uri, tmp_path, notes=notes)
    assert [file.name for file in tmp_path.iterdir()] == ["model.tar.gz"]
    assert len(notes) == 1
    assert bad in notes[0]


def test_nothing_here_is_replaced(clients: Clients, put: Put, tmp_path: Path) -> None:
    """An existing local file of that name is kept."""
    (tmp_path / "model.tar.gz").write_bytes(b"mine")
    with pytest.raises(InputError, match="File exists"):
        download_artifact(clients, put("again/model.tar.gz", PACKED), tmp_path)
    assert (tmp_path / "model.tar.gz").read_bytes() == b"mine"
