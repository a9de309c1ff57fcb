"""ZIP files: valid ones are extracted completely, harmful ones are refused with the reason, and nothing is left."""

from __future__ import annotations

import io
import os
import stat
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from core.datasets.readers import read_dataset
from core.datasets.unzip import extract
from core.errors import InputError
from tests.support.dataset import digests


def zipped(path: Path, fill: Callable[[zipfile.ZipFile], object]) -> Path:
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        warnings.simplefilter("ignore")  # about a duplicate name
        fill(archive)
    return path


def test_a_dataset_in_a_zip_is_read(voc: Path, tmp_path: Path) -> None:
    """A ZIP file of a folder gives the folder, byte for byte, and its progress."""

    def fill(archive: zipfile.ZipFile) -> None:
        for path in voc.rglob("*"):
            archive.write(path, Path("my set", path.relative_to(voc)))

    told: list[tuple[int, int]] = []
    extract(
        zipped(tmp_path / "a.zip", fill), tmp_path / "out", on_progress=lambda *so_far: told.append(so_far)
    )
    found = read_dataset(tmp_path / "out")
    assert found.root == tmp_path / "out" / "my set"
    assert len(found.samples) == 8
    hashes = [{path: said.split()[0] for path, said in digests(root).items()} for root in (voc, found.root)]
    assert hashes[0] == hashes[1]
    assert told[-1] == (19, 19)


def entry(name: str, mode: int, content: bytes = b"x") -> Callable[[zipfile.ZipFile], object]:
    def fill(archive: zipfile.ZipFile) -> None:
        info = zipfile.ZipInfo(name)
        info.external_attr = mode << 16
        archive.writestr(info, content)

    return fill


def bomb(archive: zipfile.ZipFile) -> None:
    with archive.open("zeros.png", "w", force_zip64=True) as stream:
        for _ in range(200):
            stream.write(bytes(1 << 20))


def many(archive: zipfile.ZipFile) -> None:
    for number in range(60_001):
        archive.writestr(zipfile.ZipInfo(f"{number}.png"), b"")


def twice(archive: zipfile.ZipFile) -> None:
    archive.writestr("a.png", b"1")
    archive.writestr("A.png", b"2")


@pytest.mark.parametrize(
    ("fill", "reason"),
    [
        (entry("../../etc/passwd", stat.S_IFREG | 0o644), "leads out of the folder"),
        (entry("/etc/passwd", 0), "leads out of the folder"),
        (entry("images/../../x", 0), "leads out of the folder"),
        (entry("C:/windows/x", 0), "leads out of the folder"),
        (entry("..\\x", 0), "leads out of the folder"),
        (entry("\\x", 0), "leads out of the folder"),
        (entry("images\\x.jpg", 0), "has backslashes instead of slashes"),
        (entry("images/link.jpg", stat.S_IFLNK | 0o777, b"/etc/passwd"), "is a link"),
        (entry("pipe", stat.S_IFIFO | 0o644), "is not a regular file"),
        (bomb, "a ZIP bomb"),
        (many, "60,001 entries; the limit is 60,000"),
        (twice, "duplicate names: a.png"),
    ],
    ids=[
        "dots",
        "absolute",
        "inner dots",
        "drive",
        "backslash",
        "root",
        "slashes",
        "link",
        "pipe",
        "bomb",
        "60,001",
        "twice",
    ],
)
def test_a_harmful_zip_is_refused(
    tmp_path: Path, fill: Callable[[zipfile.ZipFile], object], reason: str
) -> None:
    """Nothing of it is written, inside the folder or outside."""
    path = zipped(tmp_path / "bad.zip", fill)
    with pytest.raises(InputError, match=reason):
        extract(path, tmp_path / "out")
    assert sorted(tmp_path.iterdir()) == [path]


def test_a_zip_with_a_password_is_refused(tmp_path: Path) -> None:
    """A file with a password is reported before anything is extracted."""
    path = zipped(tmp_path / "a.zip", entry("a.png", 0))
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match="has a password"):
        extract(path, tmp_path / "out")


@pytest.mark.parametrize("keep", [0, 20, 3000], ids=["empty", "start", "middle"])
def test_a_damaged_zip_leaves_nothing(tmp_path: Path, keep: int) -> None:
    """A truncated ZIP file, or one with a wrong checksum, leaves no folder."""
    path = zipped(
        tmp_path / "a.zip", lambda archive: [archive.writestr(f"{n}.txt", bytes(99)) for n in range(99)]
    )
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match="not a readable ZIP file"):
        extract(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_wrong_checksum_leaves_nothing(tmp_path: Path) -> None:
    """Changed content is reported, and what was extracted before it is removed."""
    path = zipped(
        tmp_path / "a.zip",
        lambda archive: [archive.writestr(zipfile.ZipInfo(f"{n}"), b"content") for n in range(9)],
    )
    data = path.read_bytes()
    place = data.rindex(b"content")
    path.write_bytes(data[:place] + b"CONTENT" + data[place + 7 :])
    with pytest.raises(InputError, match="Bad CRC"):
        extract(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def patched(method: int, change: Callable[[bytearray], object]) -> bytes:
    """Return a ZIP file with one entry, with its bytes changed."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr("image.png", b"pixels" * 99)
    data = bytearray(buffer.getvalue())
    change(data)
    return bytes(data)


def in_both_headers(data: bytearray, local: int, value: bytes) -> None:
    """Set a field of the local and the central header. local: its offset in the local one, from the version on."""
    central = data.index(b"PK\x01\x02")
    data[local : local + len(value)] = value
    data[central + local + 2 : central + local + 2 + len(value)] = value


def bad_lzma(data: bytearray) -> None:
    start = 30 + len("image.png")
    data[start + 4 : start + 9] = b"\xff" * 5


def bad_name(data: bytearray) -> None:
    in_both_headers(data, 6, b"\x00\x08")  # the UTF-8 flag
    for place in (data.index(b"image.png"), data.rindex(b"image.png")):
        data[place : place + 2] = b"\xff\xfe"


def no_name() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("?", b"x")
    data = buffer.getvalue().replace(b"?", b"")
    data = data.replace(
        b"\x01\x00\x00\x00x", b"\x00\x00\x00\x00x"
    )  # the length of the name in the local header
    central = data.index(b"PK\x01\x02")
    data = bytearray(data)
    data[central + 28] = 0
    end = data.index(b"PK\x05\x06")
    data[end + 12 : end + 20] = struct.pack("<II", 46, central)
    return bytes(data)


BROKEN = {
    "name": (patched(zipfile.ZIP_STORED, bad_name), "not a readable ZIP file"),
    "lzma": (patched(zipfile.ZIP_LZMA, bad_lzma), "entry 'image.png' cannot be read"),
    "bzip2": (
        patched(zipfile.ZIP_BZIP2, lambda data: data.__setitem__(45, 0xFF)),
        "entry 'image.png' cannot be read",
    ),
    "compression": (
        patched(zipfile.ZIP_STORED, lambda data: in_both_headers(data, 8, b"\x63\x00")),
        "entry 'image.png' cannot be read: That compression method is not supported",
    ),
    "password": (
        patched(zipfile.ZIP_STORED, lambda data: in_both_headers(data, 6, b"\x01\x00")),
        "has a password",
    ),
    "empty name": (no_name(), "is not a file name"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_every_invalid_zip_is_one_error(tmp_path: Path, kind: str) -> None:
    """Names that are not UTF-8, damaged content, unknown compression, passwords: one error that names the file."""
    data, why = BROKEN[kind]
    path = tmp_path / "a.zip"
    path.write_bytes(data)
    with pytest.raises(InputError, match=why) as caught:
        extract(path, tmp_path / "out")
    assert caught.value.what.startswith("a.zip")
    assert caught.value.todo
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (("a", "a/b"), "both a file and a folder: a"),
        (("a/b", "A"), "both a file and a folder: a"),
        (("a//b", "a/b"), "duplicate names: a/b"),
        (("x" * 300,), "more than 255 bytes"),
    ],
)
def test_unsupported_names_are_refused(tmp_path: Path, names: tuple[str, ...], why: str) -> None:
    """Names that file systems do not support are refused before anything is written."""
    path = zipped(tmp_path / "a.zip", lambda archive: [archive.writestr(name, b"x") for name in names])
    with pytest.raises(InputError, match=why):
        extract(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_pipe_is_not_a_zip(tmp_path: Path) -> None:
    """A named pipe with a ZIP file's name is reported as a pipe, and does not block."""
    os.mkfifo(tmp_path / "a.zip")
    with pytest.raises(InputError, match=r"a\.zip cannot be extracted\. It is a named pipe"):
        extract(tmp_path / "a.zip", tmp_path / "out")
