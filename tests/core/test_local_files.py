"""Only regular files are opened, without blocking; JSON has one kind of error."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.local_files import (
    NotRegularError,
    close_to_others,
    open_regular,
    private_folder,
    private_opener,
    read_regular,
    read_text,
    reason,
)
from core.strict_json import parse_json


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


SPECIAL: dict[str, tuple[Callable[[Path], object], str]] = {
    "pipe": (os.mkfifo, "a named pipe"),
    "folder": (Path.mkdir, "a folder"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "a device"),
    "socket": (make_socket, "a socket"),
}


@pytest.mark.parametrize("kind", SPECIAL)
def test_only_regular_files_are_opened(tmp_path: Path, kind: str) -> None:
    """A pipe, a folder, a device and a socket are rejected at once, with what they are."""
    make, name = SPECIAL[kind]
    path = tmp_path / "file"
    make(path)
    with pytest.raises(NotRegularError) as caught:
        open_regular(path)
    assert reason(caught.value) == f"It is {name}, not a regular file."


def test_regular_files_are_read_whole(tmp_path: Path) -> None:
    """A regular file's bytes are returned, also through a link."""
    (tmp_path / "a").write_bytes(b"\xef\xbb\xbfabc")
    (tmp_path / "link").symlink_to("a")
    assert read_regular(tmp_path / "link") == b"\xef\xbb\xbfabc"
    assert read_text(tmp_path / "a") == "abc"
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "b")


def test_a_file_that_is_too_large_is_refused_before_it_is_read(tmp_path: Path) -> None:
    """A sparse file of a terabyte is rejected with its size."""
    path = tmp_path / "huge"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(OSError, match="1,099,511,627,776 bytes; at most 1,073,741,824 are read"):
        read_regular(path)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[" * 3000 + "]" * 3000, "nested too deeply"),
        ('{"a":' * 100_000, "nested too deeply"),
        (r'["\ud83d"]', "half a character"),
        (r'{"\uDE00": 1}', "half a character"),
        (b'["\xed\xa0\xbd"]', "can't decode"),
        ("9" * 5000, "digits"),
        ("{", "Expecting"),
        (b"\xff\xfe\x00", "truncated"),
    ],
)
def test_json_has_one_kind_of_error(text: str | bytes, why: str) -> None:
    """Deep nesting, lone surrogates, long numbers and invalid bytes are a ValueError like any invalid text."""
    with pytest.raises(ValueError, match=why):
        parse_json(text)


def test_good_json_is_read() -> None:
    """Text and bytes in UTF-8 and UTF-16 are parsed; a pair of surrogates is one character."""
    assert parse_json(r'{"a": "\ud83d\ude00"}') == {"a": "😀"}
    assert parse_json('["ä"]'.encode("utf-8-sig")) == ["ä"]
    assert parse_json('["ä"]'.encode("utf-16")) == ["ä"]


@pytest.fixture
def open_umask() -> Iterator[None]:
    """Set a umask that removes no permissions."""
    umask = os.umask(0)
    yield
    os.umask(umask)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.usefixtures("open_umask")
def test_private_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    """Each new folder is 0700 and each new file 0600, whatever the umask; existing ones keep their mode."""
    (tmp_path / "there").mkdir()
    folder = tmp_path / "there" / "state" / "plans"
    private_folder(folder)
    private_folder(folder)
    with open(folder / "file", "xb", opener=private_opener) as file:
        file.write(b"abc")
    assert [mode(path) for path in (folder.parent, folder, folder / "file")] == [0o700, 0o700, 0o600]
    assert mode(tmp_path / "there") == 0o777
    with pytest.raises(FileExistsError):
        private_folder(folder / "file")


@pytest.mark.usefixtures("open_umask")
def test_an_existing_folder_is_closed_to_others(tmp_path: Path) -> None:
    """Group and others lose every permission on the folder, its owner none; a missing folder is an error."""
    folder = tmp_path / "state"
    folder.mkdir()
    assert close_to_others(folder)
    assert mode(folder) == 0o700
    folder.chmod(0o540)
    assert close_to_others(folder)
    assert mode(folder) == 0o500
    with pytest.raises(FileNotFoundError):
        close_to_others(tmp_path / "none")
