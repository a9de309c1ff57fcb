"""Temporarily extracted ZIP files: removed with their user, or at the next start; errors name the ZIP file."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from core.datasets.readers import read_dataset
from core.datasets.temp_zip import LOCK, PREFIX, ExtractedZip, close_all, sweep
from core.errors import InputError
from core.locks import locked
from tests.support.dataset import write


def zipped(path: Path, files: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def test_it_is_removed_when_it_is_closed(tmp_path: Path) -> None:
    """The content exists while it is in use, and is removed afterwards, with the copy of an uploaded ZIP file."""
    path = zipped(tmp_path / "my set.zip", {"a/b.txt": "b"})
    for unpacked in (ExtractedZip(path), ExtractedZip(Path("my set.zip"), data=path.read_bytes())):
        assert (unpacked.folder / "a/b.txt").read_text() == "b"
        unpacked.close()
        assert not unpacked.folder.parent.exists()
    assert path.is_file()


def test_it_is_removed_with_its_user(tmp_path: Path) -> None:
    """It does not have to be closed: the end of a session releases it."""
    unpacked = ExtractedZip(zipped(tmp_path / "a.zip", {"a.txt": "a"}))
    home = unpacked.folder.parent
    del unpacked
    assert not home.exists()


def test_folders_of_killed_processes_are_removed(tmp_path: Path) -> None:
    """A folder without a held lock is removed; a locked one, one with another name and a plain file are kept."""
    for name in ("left", "held"):
        write(tmp_path / f"{PREFIX}{name}/{LOCK}", "")
        write(tmp_path / f"{PREFIX}{name}/set/a.jpg", "a")
    write(tmp_path / f"mine/{LOCK}", "")
    write(tmp_path / f"{PREFIX}file", "")
    with (tmp_path / f"{PREFIX}held/{LOCK}").open("r+b") as file:
        assert locked(file.fileno())
        sweep(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", f"{PREFIX}file", f"{PREFIX}held"]


def test_all_are_removed_when_the_process_ends(tmp_path: Path) -> None:
    """A server that is terminated removes what its sessions still use; they may close it again."""
    held = [ExtractedZip(zipped(tmp_path / "a.zip", {"a.txt": "a"})) for _ in range(2)]
    close_all()
    assert not any(one.folder.parent.exists() for one in held)
    held[0].close()


def test_a_folder_in_use_is_not_removed(tmp_path: Path) -> None:
    """Another process that starts does not remove folders in use."""
    unpacked = ExtractedZip(zipped(tmp_path / "a.zip", {"a.txt": "a"}))
    sweep()
    assert (unpacked.folder / "a.txt").is_file()
    unpacked.close()


def test_errors_name_the_zip_and_the_file_in_it(tmp_path: Path) -> None:
    """Errors name the ZIP file instead of the temporary folder."""
    path = zipped(
        tmp_path / "a.zip",
        {
            "in/JPEGImages/a.jpg": "",
            "in/SegmentationClass/a.png": "",
            "in/ImageSets/Segmentation/train.txt": "",
        },
    )
    unpacked = ExtractedZip(path)
    (unpacked.folder / "in/ImageSets/Segmentation/train.txt").write_bytes(b"\xff")
    with pytest.raises(InputError) as caught, unpacked.named():
        read_dataset(unpacked.folder, called=unpacked.called)
    assert caught.value.what == f"The list {path}/in/ImageSets/Segmentation/train.txt cannot be read."
    (unpacked.folder / "in/ImageSets/Segmentation/train.txt").write_bytes(b"")
    assert read_dataset(unpacked.folder, called=unpacked.called).called == f"{path}/in"
    unpacked.close()


def test_a_zip_that_is_refused_leaves_nothing(tmp_path: Path) -> None:
    """An uploaded file that is not a readable ZIP file is reported by its own name, and its copy is removed."""
    with pytest.raises(InputError, match=r"^holiday\.zip is not a readable ZIP file"):
        ExtractedZip(Path("holiday.zip"), data=b"not a ZIP file")
