"""Zips: what is good is unpacked whole, what could do harm is refused with the reason, and nothing is left behind."""

from __future__ import annotations

import stat
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from core.datasets.archive import unpack
from core.datasets.read import read_dataset
from core.errors import InputError
from tests.support.dataset import digests


def zipped(path: Path, fill: Callable[[zipfile.ZipFile], object]) -> Path:
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        warnings.simplefilter("ignore")  # of a name that stands there twice
        fill(archive)
    return path


def test_a_set_in_a_zip_is_read(voc: Path, tmp_path: Path) -> None:
    """A zip of a folder gives the folder, byte for byte, and its progress."""

    def fill(archive: zipfile.ZipFile) -> None:
        for path in voc.rglob("*"):
            archive.write(path, Path("my set", path.relative_to(voc)))

    told: list[tuple[int, int]] = []
    unpack(
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
    for number in range(100_000):
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
        (entry("images\\x.jpg", 0), "has backslashes, where a zip has slashes"),
        (entry("images/link.jpg", stat.S_IFLNK | 0o777, b"/etc/passwd"), "is a link"),
        (entry("pipe", stat.S_IFIFO | 0o644), "is no plain file"),
        (bomb, "a zip bomb"),
        (many, "100,000 entries; at most 60,000"),
        (twice, "stand there twice: a.png"),
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
        "100,000",
        "twice",
    ],
)
def test_a_harmful_zip_is_refused(
    tmp_path: Path, fill: Callable[[zipfile.ZipFile], object], reason: str
) -> None:
    """Nothing of it is written, within the folder or beside it."""
    path = zipped(tmp_path / "bad.zip", fill)
    with pytest.raises(InputError, match=reason):
        unpack(path, tmp_path / "out")
    assert sorted(tmp_path.iterdir()) == [path]


def test_a_zip_with_a_password_is_refused(tmp_path: Path) -> None:
    """A file that cannot be read without a password is told before anything is unpacked."""
    path = zipped(tmp_path / "a.zip", entry("a.png", 0))
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match="has a password"):
        unpack(path, tmp_path / "out")


@pytest.mark.parametrize("keep", [0, 20, 3000], ids=["empty", "start", "middle"])
def test_a_broken_zip_leaves_nothing(tmp_path: Path, keep: int) -> None:
    """A zip that was cut, or whose content does not fit its checksum, leaves no folder behind."""
    path = zipped(
        tmp_path / "a.zip", lambda archive: [archive.writestr(f"{n}.txt", bytes(99)) for n in range(99)]
    )
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match="no zip that can be read"):
        unpack(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_wrong_checksum_leaves_nothing(tmp_path: Path) -> None:
    """Content that was changed on its way is told, and what was unpacked before it is gone again."""
    path = zipped(
        tmp_path / "a.zip",
        lambda archive: [archive.writestr(zipfile.ZipInfo(f"{n}"), b"content") for n in range(9)],
    )
    data = path.read_bytes()
    place = data.rindex(b"content")
    path.write_bytes(data[:place] + b"CONTENT" + data[place + 7 :])
    with pytest.raises(InputError, match="Bad CRC"):
        unpack(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
