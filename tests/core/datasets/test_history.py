"""The list of datasets: one entry per dataset, bounded, private, and readable after a crash."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from core.datasets.history import (
    MOST_UPLOADS,
    DatasetRecord,
    UploadRecord,
    forget,
    read_history,
    record_of,
    remember,
)
from core.datasets.readers import read_dataset
from core.datasets.report import LayoutReport
from core.errors import InputError

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
RECORD = DatasetRecord("/data/a", "folders", ("sky", "sea"), 3, 1, 12_000, 0, 2, NOW)


def uploaded(minutes: int) -> UploadRecord:
    return UploadRecord("s3://b/a/", NOW + timedelta(minutes=minutes), 9, 12_345)


def test_a_record_has_what_the_validation_found(voc: Path, checked: Callable[[Path], LayoutReport]) -> None:
    """Layout, class names, pairs, bytes and issues of a dataset are kept."""
    (voc / "SegmentationClass/tile_0.png").unlink()
    record = record_of(checked(voc), read_dataset(voc), NOW)
    size = sum(
        path.stat().st_size
        for folder in ("JPEGImages", "SegmentationClass")
        for path in (voc / folder).iterdir()
    )
    assert record == DatasetRecord(str(voc), "pascal voc", ("ground", "roof", "tree"), 6, 2, size, 1, 0, NOW)


def test_a_dataset_has_one_entry_with_its_uploads(tmp_path: Path) -> None:
    """A new validation keeps the uploads of an earlier one; the last used dataset is first."""
    folder = tmp_path / "state/datasets"
    assert read_history(folder).records == ()
    remember(folder, replace(RECORD, uploads=(uploaded(1),)))
    remember(folder, replace(RECORD, location="/data/b", validated_at=NOW + timedelta(hours=1)))
    remember(folder, replace(RECORD, train=4, uploads=(uploaded(2),)))
    first, second = read_history(folder).records
    assert (first.location, second.location) == ("/data/b", "/data/a")
    assert second == replace(RECORD, train=4, uploads=(uploaded(2), uploaded(1)))
    assert second.uris == ("s3://b/a/",)
    forget(folder, "/data/b")
    assert [record.location for record in read_history(folder).records] == ["/data/a"]


def test_the_list_is_bounded_and_private(tmp_path: Path) -> None:
    """The oldest datasets and uploads are removed beyond the limits; only this user can read the files."""
    for number in range(MOST_UPLOADS + 2):
        remember(tmp_path / "list", replace(RECORD, uploads=(uploaded(number),)))
    assert len(read_history(tmp_path / "list").records[0].uploads) == MOST_UPLOADS
    for number in range(3):
        when = NOW + timedelta(minutes=100 + number)
        remember(tmp_path / "list", replace(RECORD, location=f"/data/{number}", validated_at=when), most=3)
    records = read_history(tmp_path / "list").records
    assert len(records) == 3
    assert "/data/a" not in {record.location for record in records}
    assert {path.stat().st_mode & 0o077 for path in (tmp_path / "list").iterdir()} == {0}


def test_damaged_entries_are_reported(tmp_path: Path) -> None:
    """A file that is cut off or of another program is named, and the others are listed."""
    remember(tmp_path, RECORD)
    remember(tmp_path, replace(RECORD, location="/data/b"))
    path = sorted(tmp_path.iterdir())[0]
    for text in (
        "{",
        '{"segdeck": "evaluation", "version": 1}',
        path.read_text().replace(": 3,", ": -3,"),
        "[]",
    ):
        path.write_text(text)
        history = read_history(tmp_path)
        assert len(history.records) == 1
        assert f"1 entry in {tmp_path} cannot be read: {path.name}: " in history.notes[0]


def test_a_folder_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    """The error names the folder and the setting."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match=r"is not in the list of datasets.*SEGDECK_STATE_DIR"):
        remember(tmp_path / "file/datasets", RECORD)
