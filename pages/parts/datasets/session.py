"""The dataset that a session works with: validated, exported and uploaded in background tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from core.aws.connection import Connection, clients
from core.aws.execute import execute
from core.aws.prefix import check_prefix
from core.datasets.check import check, processors
from core.datasets.convert import Conversion, convert
from core.datasets.history import DatasetRecord, UploadRecord, record_of, remember
from core.datasets.prepare import ReadOptions, prepared_dataset
from core.datasets.report import LayoutReport
from core.datasets.source import Dataset
from core.datasets.temp_zip import ExtractedZip, TempFolder
from core.errors import InputError
from core.plans.plan import Plan
from pages.parts import backend, formatting, state
from pages.parts.state import Slot
from pages.parts.tasks import BackgroundTask, OnCount, start


@dataclass(frozen=True, slots=True)
class CheckedDataset:
    """A dataset and its validation report.

    source:  None for a dataset in S3, whose images were not read.
    options: how it was read.
    home:    the temporary folder with an extracted ZIP or drawn masks; it is deleted with this object.
    notes:   sentences on what was not checked, and on what was decided.
    """

    report: LayoutReport
    source: Dataset | None = None
    options: ReadOptions = field(default_factory=ReadOptions)
    home: TempFolder | None = None
    notes: tuple[str, ...] = ()


@dataclass(eq=False)
class DatasetSession:
    """The background tasks of the dataset that was selected last.

    uploaded: the plan that `upload` executes.
    choose:   validates the dataset again with one of several masks or annotations.
    """

    check: BackgroundTask[CheckedDataset] | None = None
    conversion: BackgroundTask[Path] | None = None
    upload: BackgroundTask[dict[str, Any]] | None = None
    uploaded: Plan | None = None
    choose: Callable[[str], None] | None = None

    def check_folder(self, path: Path, options: ReadOptions) -> None:
        """Validate a folder or a ZIP file on the dashboard's machine."""
        if path.suffix.lower() == ".zip" and path.is_file():
            self._begin(_listed("Validation", partial(_check_zip, path, None, options)))
        else:
            self._begin(_listed("Validation", partial(_check, path, options, None)))
        self.choose = lambda name: self.check_folder(path, _with_choice(options, name))

    def check_zip(self, name: str, data: bytes, options: ReadOptions) -> None:
        """Validate an uploaded ZIP file."""
        self._begin(_listed("Validation", partial(_check_zip, Path(name), data, options)))
        self.choose = lambda picked: self.check_zip(name, data, _with_choice(options, picked))

    def check_prefix(self, connection: Connection, uri: str) -> None:
        """Validate an S3 prefix in the layout of the four channels."""

        def work(_: OnCount) -> CheckedDataset:
            report, notes = check_prefix(clients(connection), uri)
            return CheckedDataset(report, notes=notes)

        self._begin(_listed("Listing", work))

    def close(self) -> None:
        """Leave the dataset, so that the page shows the list again."""
        if self.check is not None:
            self.check.stop.set()
        self.check, self.conversion, self.upload, self.uploaded, self.choose = None, None, None, None, None
        state.choose(DATASET, "")

    def convert(self, plan: Conversion) -> None:
        """Export a fixed copy."""

        def work(on_count: OnCount) -> Path:
            with _threads() as executor:
                convert(plan, executor, on_progress=on_count)
            return plan.out

        self.conversion = start("Export", work)

    def carry_out(self, connection: Connection, plan: Plan) -> None:
        """Execute the plan of an upload."""

        checked = self.check.result if self.check is not None else None
        folder = backend.datasets_dir()

        def work(on_count: OnCount) -> dict[str, Any]:
            outcome = execute(
                clients(connection),
                plan,
                on_progress=lambda progress: on_count(progress.files, progress.total),
            )
            answer = dict(outcome.done[0].answer)
            if checked is not None:
                now = formatting.now()
                upload = UploadRecord(plan.target, now, answer["Files"], answer["Bytes"])
                record = record_of(checked.report, checked.source, now)
                answer["Note"] = _remember(folder, replace(record, uploads=(upload,)))
            return answer

        self.uploaded = plan
        self.upload = start("Upload", work)

    def _begin(self, task: BackgroundTask[CheckedDataset]) -> None:
        if self.check is not None:
            self.check.stop.set()
        self.check, self.conversion, self.upload, self.uploaded, self.choose = task, None, None, None, None


DATASET, DATASET_ZIP = "dataset", "dataset_zip"
"""Keys of the page's own inputs; the first is bound to the URL under the same name."""

SESSION: Slot[DatasetSession] = Slot("datasets.session")


def current() -> DatasetSession:
    """Return the dataset session of this browser tab."""
    return SESSION.setdefault(DatasetSession)


def _listed(title: str, work: Callable[[OnCount], CheckedDataset]) -> BackgroundTask[CheckedDataset]:
    """Start a validation that adds the dataset to the list of datasets."""
    folder = backend.datasets_dir()

    def then_listed(on_count: OnCount) -> CheckedDataset:
        checked = work(on_count)
        note = _remember(folder, record_of(checked.report, checked.source, formatting.now()))
        return replace(checked, notes=(*checked.notes, note)) if note else checked

    return start(title, then_listed)


def _remember(folder: Path, record: DatasetRecord) -> str:
    """Add a dataset to the list; return why it cannot be added, else an empty text."""
    try:
        remember(folder, record)
    except InputError as error:
        return str(error)
    return ""


def _with_choice(options: ReadOptions, name: str) -> ReadOptions:
    return replace(options, choices=(*options.choices, name))


def _check_zip(path: Path, data: bytes | None, options: ReadOptions, on_count: OnCount) -> CheckedDataset:
    """Extract and validate a ZIP file. data: its bytes, where it was uploaded; None: read it from the path."""
    home = ExtractedZip(path, data=data, on_progress=on_count)
    with home.named():
        return _check(home.folder, options, home, on_count)


def _check(
    folder: Path, options: ReadOptions, extracted: ExtractedZip | None, on_count: OnCount
) -> CheckedDataset:
    """Validate a folder. extracted: the ZIP file that it is in, if any."""
    home: TempFolder | None = extracted

    def new_folder() -> Path:
        nonlocal home
        home = home or TempFolder()
        return home.path / "drawn"

    called = extracted.called if extracted else str(folder)
    with _threads() as executor:
        source, notes = prepared_dataset(
            folder, options, new_folder, executor, called=called, on_progress=on_count
        )
        return CheckedDataset(check(source, executor, on_progress=on_count), source, options, home, notes)


@contextmanager
def _threads() -> Iterator[Executor]:
    """Give a pool of threads: worker processes would run Streamlit's main program again."""
    pool = ThreadPoolExecutor(processors(), thread_name_prefix="dataset")
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
