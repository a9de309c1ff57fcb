"""An evaluation on its way, in the background: a page must answer to its visitor while an endpoint is asked.

The page starts it, looks at it, and never waits. Nothing in its thread may touch Streamlit.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Thread

from core.aws.connection import Connection
from core.datasets.temp_zip import Unpacked
from core.errors import InputError
from core.evaluation.results import Evaluation, JobScore, score_outcomes
from core.evaluation.run import EvaluationTask, ImageOutcome, evaluate
from core.evaluation.store import PredictionStore
from core.settings import Settings
from pages.parts.evaluate import slots
from pages.parts.state import Slot

MOST_KEPT = 20
"""Endpoints, or pairs of two, whose answers are kept: those that were evaluated last."""

Jobs = Callable[[], tuple[Mapping[str, JobScore], tuple[str, ...]]]
"""See `core.aws.evaluation.job_scores`."""


@dataclass(eq=False)
class BackgroundEvaluation:
    """One evaluation. Written by its thread, read by the page.

    title:    what is judged, for a person.
    home:     keeps what its pairs are read from on disk, where that came in a zip.
    stopping: set to True, no more photos are begun.
    """

    task: EvaluationTask
    store: PredictionStore
    title: str
    home: Unpacked | None = None
    outcomes: list[ImageOutcome] = field(default_factory=list)
    stopping: bool = False
    started: float = field(default_factory=time.monotonic)
    seconds: float = 0.0
    future: Future[Evaluation] = field(default_factory=Future)

    @property
    def over(self) -> bool:
        """Whether it is done, failed or stopped."""
        return self.future.done()

    @property
    def done(self) -> int:
        """Photos that are through."""
        return len(self.outcomes)

    @property
    def remembered(self) -> int:
        """Photos of which nothing had to be asked."""
        return sum(not outcome.calls and not outcome.failures for outcome in list(self.outcomes))

    @property
    def repeated(self) -> int:
        """Calls that an earlier run had begun when it was killed."""
        return sum(outcome.repeated for outcome in list(self.outcomes))

    @property
    def failed(self) -> int:
        """Photos that could not be judged."""
        return sum(bool(outcome.failures) for outcome in list(self.outcomes))

    @property
    def error(self) -> BaseException | None:
        """Why there is no verdict; None where there is one, or not yet."""
        return self.future.exception() if self.over else None

    @property
    def result(self) -> Evaluation | None:
        """The verdict; None where there is none, or not yet."""
        return self.future.result() if self.over and self.error is None else None

    def stop(self) -> None:
        """Begin no more photos; those that are done are judged."""
        self.stopping = True


CURRENT: Slot[BackgroundEvaluation] = Slot("evaluate.current")
"""This session's evaluation, in progress or done."""


def keep(evaluation: BackgroundEvaluation) -> None:
    """Make this the session's evaluation; no cell of its confusion matrix is chosen yet."""
    CURRENT.set(evaluation)
    slots.choose_cell(None)


def forget_answers() -> None:
    """Remove what the endpoints of this session's evaluation answered so far, and the evaluation with it."""
    if (evaluation := CURRENT.pop()) is not None:
        evaluation.store.forget()


def start(
    task: EvaluationTask, store: PredictionStore, title: str, jobs: Jobs, home: Unpacked | None = None
) -> BackgroundEvaluation:
    """Begin it. jobs: asked in the background too."""
    judging = BackgroundEvaluation(task, store, title, home)
    # A daemon: the dashboard can be stopped while an endpoint thinks. What was answered is kept.
    Thread(target=_run, args=(judging, jobs), daemon=True, name="evaluation").start()
    return judging


def store_for(settings: Settings, connection: Connection, names: Iterable[str]) -> PredictionStore:
    """Where the answers of these endpoints are kept, across sessions and restarts. Raises InputError."""
    where = (
        str(settings.sandbox_dir) if connection.is_sandbox else f"{connection.aws_url} {connection.profile}"
    )
    place = "\0".join((where, connection.region, *names))
    digest = hashlib.blake2b(place.encode(), digest_size=8).hexdigest()
    folder = folder_for(settings) / digest
    store = PredictionStore(folder, private=True)
    folder.touch()
    for old in sorted(folder.parent.iterdir(), key=lambda path: path.stat().st_mtime)[:-MOST_KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    return store


def folder_for(settings: Settings) -> Path:
    """Where evaluations of this dashboard lie."""
    return settings.state_dir / "evaluations"


def _run(judging: BackgroundEvaluation, jobs: Jobs) -> None:
    try:
        found = _judged(judging, jobs)
    except BaseException as error:  # noqa: BLE001  # told by the page, which reads the future
        judging.seconds = time.monotonic() - judging.started
        judging.future.set_exception(error)
    else:
        judging.seconds = time.monotonic() - judging.started
        judging.future.set_result(found)


def _judged(judging: BackgroundEvaluation, jobs: Jobs) -> Evaluation:
    with closing(evaluate(judging.task, judging.store)) as outcomes:
        for outcome in outcomes:
            judging.outcomes.append(outcome)
            if judging.stopping:
                break
    task, total = judging.task, len(judging.task.pairs)
    if judging.done < total:
        if not any(outcome.scores for outcome in judging.outcomes):
            raise InputError("The evaluation was stopped before a photo was done.", todo="Start it again.")
        note = f"It was stopped after {judging.done:,} of {total:,} photos; started again, it goes on from there."
        task = replace(task, notes=(note, *task.notes))
    found, said = jobs()
    return score_outcomes(judging.outcomes, replace(task, notes=(*task.notes, *said)), jobs=found)
