"""The dataset that a session works with: validated, exported and uploaded in background tasks."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from core.aws.connection import Connection, clients
from core.aws.execute import execute
from core.aws.prefix import check_prefix
from core.datasets.check import check, processors
from core.datasets.convert import Conversion, convert
from core.datasets.label_studio import merge
from core.datasets.readers import is_label_studio_export, read_dataset
from core.datasets.report import LayoutReport
from core.datasets.source import Dataset, Splitting
from core.datasets.temp_zip import ExtractedZip, TempFolder
from core.plans.plan import Plan
from pages.parts.state import Slot
from pages.parts.tasks import BackgroundTask, OnCount, start


@dataclass(frozen=True, slots=True)
class CheckedDataset:
    """A dataset and its validation report.

    source: None for a dataset in S3, whose images were not read.
    home:   the temporary folder with an extracted ZIP or merged Label Studio masks; it is deleted with this object.
    notes:  sentences on what was not checked, and on what was decided.
    """

    report: LayoutReport
    source: Dataset | None = None
    splitting: Splitting = field(default_factory=Splitting)
    home: TempFolder | None = None
    notes: tuple[str, ...] = ()


@dataclass(eq=False)
class DatasetSession:
    """The background tasks of the dataset that was selected last. uploaded: the plan that `upload` executes."""

    check: BackgroundTask[CheckedDataset] | None = None
    conversion: BackgroundTask[Path] | None = None
    upload: BackgroundTask[dict[str, Any]] | None = None
    uploaded: Plan | None = None

    def check_folder(self, path: Path, splitting: Splitting, classes: Path | None) -> None:
        """Validate a folder or a ZIP file on the dashboard's machine. classes: a file with class names."""
        if path.suffix.lower() == ".zip" and path.is_file():
            self._begin(start("Validation", partial(_check_zip, path, None, splitting, classes)))
        else:
            self._begin(start("Validation", partial(_check, path, splitting, classes, None)))

    def check_zip(self, name: str, data: bytes, splitting: Splitting, classes: Path | None) -> None:
        """Validate an uploaded ZIP file."""
        self._begin(start("Validation", partial(_check_zip, Path(name), data, splitting, classes)))

    def check_prefix(self, connection: Connection, uri: str) -> None:
        """Validate an S3 prefix in the layout of the four channels."""

        def work(_: OnCount) -> CheckedDataset:
            report, notes = check_prefix(clients(connection), uri)
            return CheckedDataset(report, notes=notes)

        self._begin(start("Listing", work))

    def convert(self, plan: Conversion) -> None:
        """Export a fixed copy."""

        def work(on_count: OnCount) -> Path:
            with _threads() as executor:
                convert(plan, executor, on_progress=on_count)
            return plan.out

        self.conversion = start("Export", work)

    def carry_out(self, connection: Connection, plan: Plan) -> None:
        """Execute the plan of an upload."""

        def work(on_count: OnCount) -> dict[str, Any]:
            outcome = execute(
                clients(connection),
                plan,
                on_progress=lambda progress: on_count(progress.files, progress.total),
            )
            return dict(outcome.done[0].answer)

        self.uploaded = plan
        self.upload = start("Upload", work)

    def _begin(self, task: BackgroundTask[CheckedDataset]) -> None:
        if self.check is not None:
            self.check.stop.set()
        self.check, self.conversion, self.upload, self.uploaded = task, None, None, None


DATASET, DATASET_ZIP = "dataset", "dataset_zip"
"""Keys of the page's own inputs; the first is bound to the URL under the same name."""

SESSION: Slot[DatasetSession] = Slot("datasets.session")


def current() -> DatasetSession:
    """Return the dataset session of this browser tab."""
    return SESSION.setdefault(DatasetSession)


def _check_zip(
    path: Path, data: bytes | None, splitting: Splitting, classes: Path | None, on_count: OnCount
) -> CheckedDataset:
    """Extract and validate a ZIP file. data: its bytes, where it was uploaded; None: read it from the path."""
    home = ExtractedZip(path, data=data, on_progress=on_count)
    with home.named():
        return _check(home.folder, splitting, classes, home, on_count)


def _check(
    folder: Path,
    splitting: Splitting,
    classes: Path | None,
    extracted: ExtractedZip | None,
    on_count: OnCount,
) -> CheckedDataset:
    """Validate a folder. extracted: the ZIP file that it is in, if any."""
    home: TempFolder | None = extracted
    notes: tuple[str, ...] = ()
    called = extracted.called if extracted else str(folder)
    if folder.is_dir() and is_label_studio_export(folder):
        home = home or TempFolder()
        merged = home.path / "merged" / folder.name
        notes = merge(folder, merged, on_count)
        folder = merged
    source = read_dataset(folder, splitting=splitting, classes=classes, called=called)
    with _threads() as executor:
        return CheckedDataset(check(source, executor, on_progress=on_count), source, splitting, home, notes)


@contextmanager
def _threads() -> Iterator[Executor]:
    """Give a pool of threads: worker processes would run Streamlit's main program again."""
    pool = ThreadPoolExecutor(processors(), thread_name_prefix="dataset")
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
