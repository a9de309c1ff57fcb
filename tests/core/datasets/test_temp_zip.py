"""A zip unpacked for a while: it goes with its holder, or at the next start; errors name the zip."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from core.datasets.readers import read_dataset
from core.datasets.temp_zip import LOCK, PREFIX, Unpacked, close_all, sweep
from core.errors import InputError
from core.locks import locked
from tests.support.dataset import write


def zipped(path: Path, files: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def test_it_goes_when_the_work_is_over(tmp_path: Path) -> None:
    """What was unpacked is there while it is held, and gone afterwards, with the copy of a zip that was dropped."""
    path = zipped(tmp_path / "my set.zip", {"a/b.txt": "b"})
    for unpacked in (Unpacked(path), Unpacked(Path("my set.zip"), data=path.read_bytes())):
        assert (unpacked.folder / "a/b.txt").read_text() == "b"
        unpacked.close()
        assert not unpacked.folder.parent.exists()
    assert path.is_file()


def test_it_goes_with_who_held_it(tmp_path: Path) -> None:
    """Nobody has to say that the work is over: a session that ends lets go of it."""
    unpacked = Unpacked(zipped(tmp_path / "a.zip", {"a.txt": "a"}))
    home = unpacked.folder.parent
    del unpacked
    assert not home.exists()


def test_what_a_killed_process_left_goes(tmp_path: Path) -> None:
    """A folder whose lock nobody holds is removed; one that is held, one of another name and a plain file stay."""
    for name in ("left", "held"):
        write(tmp_path / f"{PREFIX}{name}/{LOCK}", "")
        write(tmp_path / f"{PREFIX}{name}/set/a.jpg", "a")
    write(tmp_path / f"mine/{LOCK}", "")
    write(tmp_path / f"{PREFIX}file", "")
    with (tmp_path / f"{PREFIX}held/{LOCK}").open("r+b") as file:
        assert locked(file.fileno())
        sweep(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", f"{PREFIX}file", f"{PREFIX}held"]


def test_all_go_when_the_process_ends(tmp_path: Path) -> None:
    """A server that is told to end removes what its visitors still hold; they may close it again."""
    held = [Unpacked(zipped(tmp_path / "a.zip", {"a.txt": "a"})) for _ in range(2)]
    close_all()
    assert not any(one.folder.parent.exists() for one in held)
    held[0].close()


def test_a_zip_at_work_is_not_swept(tmp_path: Path) -> None:
    """Another process that starts leaves alone what somebody works with."""
    unpacked = Unpacked(zipped(tmp_path / "a.zip", {"a.txt": "a"}))
    sweep()
    assert (unpacked.folder / "a.txt").is_file()
    unpacked.close()


def test_errors_name_the_zip_and_the_file_in_it(tmp_path: Path) -> None:
    """Whoever gave a zip is not told of the folder that it lies in for a while."""
    path = zipped(
        tmp_path / "a.zip",
        {
            "in/JPEGImages/a.jpg": "",
            "in/SegmentationClass/a.png": "",
            "in/ImageSets/Segmentation/train.txt": "",
        },
    )
    unpacked = Unpacked(path)
    (unpacked.folder / "in/ImageSets/Segmentation/train.txt").write_bytes(b"\xff")
    with pytest.raises(InputError) as caught, unpacked.named():
        read_dataset(unpacked.folder, called=unpacked.called)
    assert caught.value.what == f"The list {path}/in/ImageSets/Segmentation/train.txt cannot be read."
    (unpacked.folder / "in/ImageSets/Segmentation/train.txt").write_bytes(b"")
    assert read_dataset(unpacked.folder, called=unpacked.called).called == f"{path}/in"
    unpacked.close()


def test_a_zip_that_is_refused_leaves_nothing(tmp_path: Path) -> None:
    """A dropped file that is no zip is told by its own name, and its copy is gone."""
    with pytest.raises(InputError, match=r"^holiday\.zip is not a ZIP file"):
        Unpacked(Path("holiday.zip"), data=b"not a ZIP file")
