"""The datasets that were validated and uploaded: a small file for each, in Segdeck's own folder.

A file is named after the dataset's location, so that a dataset has one entry, with the last few uploads. It has no
pixels and no paths of single files.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from core.datasets.report import LayoutReport
from core.datasets.source import TRAIN, VALIDATION, Dataset
from core.errors import InputError
from core.escaping import json_bytes
from core.inference.export import write_new
from core.local_files import private_folder, read_regular, reason
from core.strict_json import parse_json
from core.text import listing, plural
from core.training.job import TrainingJob

MOST, MOST_UPLOADS = 200, 10
"""Datasets, and uploads of each, that are kept: the newest ones."""

MAX_BYTES = 1_000_000
FILE = re.compile(r"[0-9a-f]{32}\.json")
HEAD = {"segdeck": "dataset", "version": 1}


@dataclass(frozen=True, slots=True)
class UploadRecord:
    """One upload. uri: the S3 prefix; at: aware, UTC; files, size: number of objects and their bytes."""

    uri: str
    at: datetime
    files: int
    size: int


@dataclass(frozen=True, slots=True)
class DatasetRecord:
    """A dataset that was validated.

    location:          its folder, ZIP file or S3 prefix.
    kind:              its layout, see `core.datasets.report.LayoutReport`.
    classes:           the names; empty if unknown.
    train, validation: pairs.
    size:              bytes of its images and masks; 0 if unknown.
    errors, warnings:  issues that the validation reported.
    validated_at:      aware, UTC.
    uploads:           the newest first.
    """

    location: str
    kind: str
    classes: tuple[str, ...]
    train: int
    validation: int
    size: int
    errors: int
    warnings: int
    validated_at: datetime
    uploads: tuple[UploadRecord, ...] = ()

    @property
    def last_at(self) -> datetime:
        """Return when it was last validated or uploaded."""
        return max([self.validated_at, *(upload.at for upload in self.uploads)])

    @property
    def uris(self) -> tuple[str, ...]:
        """Return the S3 prefixes that it is in, each once."""
        own = (self.location,) if self.location.startswith("s3://") else ()
        return tuple(dict.fromkeys((*own, *(upload.uri for upload in self.uploads))))

    def to_dict(self) -> dict[str, Any]:
        """Return the record for JSON."""
        row = asdict(self)
        row["validated_at"] = self.validated_at.isoformat()
        row["uploads"] = [{**asdict(upload), "at": upload.at.isoformat()} for upload in self.uploads]
        return row


@dataclass(frozen=True, slots=True)
class History:
    """Records, the last used first. notes: sentences on files that cannot be read."""

    records: tuple[DatasetRecord, ...]
    notes: tuple[str, ...] = ()


def record_of(report: LayoutReport, source: Dataset | None, now: datetime) -> DatasetRecord:
    """Return the record of a validation. source: None for a dataset in S3. now: aware, UTC."""
    severities = [problem.severity for problem in report.problems]
    return DatasetRecord(
        location=source.called if source is not None else report.root,
        kind=report.kind,
        classes=report.classes.names if report.classes else (),
        train=report.counts.get(TRAIN, 0),
        validation=report.counts.get(VALIDATION, 0),
        size=_bytes(source) if source is not None else 0,
        errors=severities.count("error"),
        warnings=severities.count("warning"),
        validated_at=now,
    )


def remember(folder: Path, record: DatasetRecord, *, most: int = MOST) -> None:
    """Keep a record in place of the one with the same location, with the uploads of that one.

    Of more records than `most`, the least recently used are removed. Raises InputError where the folder cannot be
    written.
    """
    try:
        private_folder(folder)
        path = _path(folder, record.location)
        before = _read(path) if path.exists() else None
        if isinstance(before, DatasetRecord):
            uploads = sorted({*before.uploads, *record.uploads}, key=lambda upload: upload.at, reverse=True)
            record = replace(record, uploads=tuple(uploads[:MOST_UPLOADS]))
        write_new(path, json_bytes({**HEAD, **record.to_dict()}), overwrite=True, private=True)
        for old in read_history(folder).records[most:]:
            _path(folder, old.location).unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            f"The dataset {record.location} is not in the list of datasets.",
            why=reason(error),
            todo=f"Check the folder {folder}, or set SEGDECK_STATE_DIR to another one.",
        ) from error


def forget(folder: Path, location: str) -> None:
    """Remove a record from the list; the dataset itself is not touched. Raises OSError."""
    _path(folder, location).unlink(missing_ok=True)


def read_history(folder: Path) -> History:
    """Return all records. A folder that does not exist has none."""
    if not folder.is_dir():
        return History(())
    read = {path.name: _read(path) for path in sorted(folder.iterdir()) if FILE.fullmatch(path.name)}
    records = [record for record in read.values() if isinstance(record, DatasetRecord)]
    broken = [f"{name}: {why}" for name, why in read.items() if isinstance(why, str)]
    notes = (
        (f"{plural(len(broken), 'entry', 'entries')} in {folder} cannot be read: {listing(broken)}",)
        if broken
        else ()
    )
    return History(tuple(sorted(records, key=lambda record: record.last_at, reverse=True)), notes)


def jobs_using(record: DatasetRecord, jobs: Iterable[TrainingJob]) -> tuple[str, ...]:
    """Return the names of the jobs that have a channel below one of the dataset's S3 prefixes."""
    prefixes = tuple(f"{uri.rstrip('/')}/" for uri in record.uris)
    return tuple(
        job.name
        for job in jobs
        if prefixes and any(f"{channel.uri.rstrip('/')}/".startswith(prefixes) for channel in job.channels)
    )


def _bytes(source: Dataset) -> int:
    """Return the size of the files of a dataset; files that are missing are reported by its validation."""
    paths = [source.root / path for sample in source.samples for path in (sample.image, sample.mask) if path]
    return sum(path.stat().st_size for path in paths if path.exists())


def _path(folder: Path, location: str) -> Path:
    name = hashlib.blake2b(location.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
    return folder / f"{name}.json"


def _read(path: Path) -> DatasetRecord | str:
    """Return the record in a file, or why it cannot be read."""
    try:
        return _record(parse_json(read_regular(path, max_bytes=MAX_BYTES)))
    except OSError as error:
        return reason(error)
    except (ValueError, KeyError, TypeError) as error:
        return f"It is not a record of a dataset: {type(error).__name__}: {error}."


def _record(row: Mapping[str, Any]) -> DatasetRecord:
    """Return the record in a JSON document. Raises KeyError, TypeError, ValueError."""
    if {name: row[name] for name in HEAD} != HEAD:
        raise ValueError("another kind of file")
    numbers = {name: row[name] for name in ("train", "validation", "size", "errors", "warnings")}
    texts = (row["location"], row["kind"], *row["classes"])
    if not all(type(value) is int and value >= 0 for value in numbers.values()):
        raise ValueError("a count is not a whole number")
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("a name is not text")
    return DatasetRecord(
        location=row["location"],
        kind=row["kind"],
        classes=tuple(row["classes"]),
        **numbers,
        validated_at=_time(row["validated_at"]),
        uploads=_uploads(row["uploads"]),
    )


def _uploads(rows: Sequence[Mapping[str, Any]]) -> tuple[UploadRecord, ...]:
    return tuple(
        UploadRecord(str(row["uri"]), _time(row["at"]), int(row["files"]), int(row["size"])) for row in rows
    )


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
