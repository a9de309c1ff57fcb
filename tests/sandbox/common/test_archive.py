"""Model archives from untrusted sources are unpacked safely."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from sandbox.common.archive import ArchiveError, unpack


def _tar(*members: tarfile.TarInfo, data: bytes = b"") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", format=tarfile.PAX_FORMAT) as tar:
        for member in members:
            if member.isreg():
                member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def _special(kind: bytes, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo("model_best.params")
    member.type, member.linkname = kind, target
    return member


def _unpack(tmp_path: Path, archive: bytes, **limits: int) -> Path:
    file, target = tmp_path / "model.tar.gz", tmp_path / "in" / "model"
    target.mkdir(parents=True)
    file.write_bytes(archive)
    unpack(file, target, **limits)
    return target


def test_files_and_folders_come_out_as_they_went_in(tmp_path: Path) -> None:
    """Regular files, also in folders, are unpacked with their bytes."""
    data = bytes(range(256)) * 4096
    folder = _unpack(
        tmp_path, _tar(tarfile.TarInfo("model_algo-1"), tarfile.TarInfo("./a/b.json"), data=data)
    )
    assert (folder / "model_algo-1").read_bytes() == data
    assert (folder / "a" / "b.json").read_bytes() == data


@pytest.mark.parametrize(
    ("archive", "why"),
    [
        (b"", "not a valid tar.gz"),
        (b"this is not an archive", "Not a gzipped file"),
        (gzip.compress(b"no tar" * 1000), "not a valid tar.gz"),
        (_tar(tarfile.TarInfo("a"))[:-12], "end-of-stream marker"),
        (_tar(tarfile.TarInfo("../escaped")), "leaves the model's folder"),
        (_tar(tarfile.TarInfo("a/../../escaped")), "leaves the model's folder"),
        (_tar(tarfile.TarInfo("/etc/escaped")), "leaves the model's folder"),
        (_tar(_special(tarfile.SYMTYPE, "/etc/passwd")), "link"),
        (_tar(_special(tarfile.LNKTYPE, "../../secret")), "link"),
        (_tar(_special(tarfile.FIFOTYPE)), "device"),
        (_tar(_special(tarfile.CHRTYPE)), "device"),
        (_tar(tarfile.TarInfo("a"), tarfile.TarInfo("a")), "appears twice"),
    ],
)
def test_anything_else_is_refused_and_nothing_leaves_the_folder(
    tmp_path: Path, archive: bytes, why: str
) -> None:
    """Links, devices, paths outside of the folder, duplicates and broken archives are refused with the reason."""
    with pytest.raises(ArchiveError, match=why):
        _unpack(tmp_path, archive)
    assert not list(tmp_path.rglob("escaped"))


def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    """The limit applies to the unpacked bytes, whatever the packed size."""
    with pytest.raises(ArchiveError, match="more than 1000000 bytes"):
        _unpack(tmp_path, _tar(tarfile.TarInfo("a"), data=bytes(20_000_000)), max_bytes=1_000_000)
    assert sum(path.stat().st_size for path in (tmp_path / "in").rglob("*") if path.is_file()) <= 1_000_000


def test_a_forged_header_is_refused_before_it_fills_the_memory(tmp_path: Path) -> None:
    """An extended header that claims 100 MB is not read."""
    member = tarfile.TarInfo("a")
    member.pax_headers = {"comment": "x" * 100_000_000}
    with pytest.raises(ArchiveError, match="a header claims"):
        _unpack(tmp_path, _tar(member))


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (("a", "a/b"), "needs a folder where another member is a file"),
        (("a/b", "a"), "appears twice, or is also a folder"),
        (("a/b/c", "a/b"), "appears twice, or is also a folder"),
        ((".",), "has no name"),
        (("x" * 300,), "cannot be written"),
        (("x" * 300 + "/a",), "cannot be written"),
    ],
)
def test_names_that_no_folder_can_hold_are_refused(tmp_path: Path, names: tuple[str, ...], why: str) -> None:
    """A name that is both a file and a folder, empty, or too long is refused as the archive's error."""
    with pytest.raises(ArchiveError, match=why):
        _unpack(tmp_path, _tar(*map(tarfile.TarInfo, names), data=b"x"))
