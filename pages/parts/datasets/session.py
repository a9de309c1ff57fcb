"""One data set at work in a session: checked, mended, uploaded, each in the background."""

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
from core.datasets.temp_zip import TempFolder, Unpacked
from core.plans.plan import Plan
from pages.parts.background import BackgroundTask, OnCount, start
from pages.parts.state import Slot


@dataclass(frozen=True, slots=True)
class CheckedDataset:
    """A set and what was found in it.

    source: None for a set that lies in S3, whose pictures were not read.
    home:   what a zip was unpacked into, or brush labels were brought together in; it goes with this.
    notes:  what was not looked at, and what was decided.
    """

    report: LayoutReport
    source: Dataset | None = None
    splitting: Splitting = field(default_factory=Splitting)
    home: TempFolder | None = None
    notes: tuple[str, ...] = ()


@dataclass(eq=False)
class DatasetSession:
    """What is under way or done with the set that was chosen last. uploaded: the plan that `upload` carries out."""

    check: BackgroundTask[CheckedDataset] | None = None
    conversion: BackgroundTask[Path] | None = None
    upload: BackgroundTask[dict[str, Any]] | None = None
    uploaded: Plan | None = None

    def check_folder(self, place: Path, splitting: Splitting, classes: Path | None) -> None:
        """A folder, or a zip, on the dashboard's machine."""
        if place.suffix.lower() == ".zip" and place.is_file():
            self._begin(start("Checking", partial(_check_zip, place, None, splitting, classes)))
        else:
            self._begin(start("Checking", partial(_check, place, splitting, classes, None)))

    def check_zip(self, name: str, data: bytes, splitting: Splitting, classes: Path | None) -> None:
        """A zip that was dropped."""
        self._begin(start("Checking", partial(_check_zip, Path(name), data, splitting, classes)))

    def check_prefix(self, connection: Connection, uri: str) -> None:
        """An S3 prefix in channel layout."""

        def work(_: OnCount) -> CheckedDataset:
            report, notes = check_prefix(clients(connection), uri)
            return CheckedDataset(report, notes=notes)

        self._begin(start("Listing", work))

    def convert(self, plan: Conversion) -> None:
        """Write the copy."""

        def work(tell: OnCount) -> Path:
            with _threads() as executor:
                convert(plan, executor, on_progress=tell)
            return plan.out

        self.conversion = start("Writing", work)

    def carry_out(self, connection: Connection, plan: Plan) -> None:
        """Upload."""

        def work(tell: OnCount) -> dict[str, Any]:
            outcome = execute(
                clients(connection),
                plan,
                on_progress=lambda progress: tell(progress.files, progress.total),
            )
            return dict(outcome.done[0].answer)

        self.uploaded = plan
        self.upload = start("Uploading", work)

    def _begin(self, task: BackgroundTask[CheckedDataset]) -> None:
        if self.check is not None:
            self.check.stop.set()
        self.check, self.conversion, self.upload, self.uploaded = task, None, None, None


DATASET, DATASET_ZIP = "dataset", "dataset_zip"
"""Keys of the page's own inputs; the first is bound to the URL under the same name."""

SESSION: Slot[DatasetSession] = Slot("datasets.session")


def current() -> DatasetSession:
    """Return this session's dataset: checked, fixed and uploaded."""
    return SESSION.setdefault(DatasetSession)


def _check_zip(
    path: Path, data: bytes | None, splitting: Splitting, classes: Path | None, tell: OnCount
) -> CheckedDataset:
    """data: of a zip that was dropped; None: it lies at the path."""
    home = Unpacked(path, data=data, on_progress=tell)
    with home.named():
        return _check(home.folder, splitting, classes, home, tell)


def _check(
    folder: Path,
    splitting: Splitting,
    classes: Path | None,
    zipped: Unpacked | None,
    tell: OnCount,
) -> CheckedDataset:
    home: TempFolder | None = zipped
    notes: tuple[str, ...] = ()
    called = zipped.called if zipped else str(folder)
    if folder.is_dir() and is_label_studio_export(folder):
        home = home or TempFolder()
        whole = home.path / "merged" / folder.name
        notes = merge(folder, whole, tell)
        folder = whole
    source = read_dataset(folder, splitting=splitting, classes=classes, called=called)
    with _threads() as executor:
        return CheckedDataset(check(source, executor, on_progress=tell), source, splitting, home, notes)


@contextmanager
def _threads() -> Iterator[Executor]:
    """Threads, as the program under a page cannot be started anew in other processes."""
    pool = ThreadPoolExecutor(processors(), thread_name_prefix="dataset")
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
