"""An evaluation in the background, and the store of its predictions."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from core.aws.connection import Connection
from core.datasets.temp_zip import ExtractedZip
from core.errors import InputError
from core.evaluation.results import Evaluation, JobScore, score_outcomes
from core.evaluation.run import EvaluationTask, ImageOutcome, evaluate
from core.evaluation.store import PredictionStore
from core.settings import Settings
from pages.parts.evaluate import slots
from pages.parts.state import Slot
from pages.parts.tasks import BackgroundTask

MOST_KEPT = 20
"""Endpoints, or pairs of endpoints, whose predictions are kept: those that were evaluated last."""

JobScores = Callable[[], tuple[Mapping[str, JobScore], tuple[str, ...]]]
"""See `core.aws.evaluation.job_scores`."""


@dataclass(eq=False)
class BackgroundEvaluation(BackgroundTask[Evaluation]):
    """One evaluation. Its title is that of the dataset; stopped, it scores the images that are done.

    zipped: keeps the files of an uploaded ZIP until this is gone.
    run_id: of the run that it is stored as; empty if runs are not stored.
    """

    task: EvaluationTask
    store: PredictionStore
    zipped: ExtractedZip | None = None
    outcomes: list[ImageOutcome] = field(default_factory=list)
    run_id: str = ""

    @property
    def cached(self) -> int:
        """Return the number of images whose predictions all came from the store."""
        return sum(not outcome.calls and not outcome.failures for outcome in list(self.outcomes))

    @property
    def repeated(self) -> int:
        """Return the number of calls that an earlier run had begun when it was killed."""
        return sum(outcome.repeated for outcome in list(self.outcomes))

    @property
    def failed(self) -> int:
        """Return the number of images that could not be scored."""
        return sum(bool(outcome.failures) for outcome in list(self.outcomes))


CURRENT: Slot[BackgroundEvaluation] = Slot("evaluate.current")
"""This session's evaluation, in progress or done."""


def keep(evaluation: BackgroundEvaluation) -> None:
    """Make this the session's evaluation; no cell of its confusion matrix is selected."""
    CURRENT.set(evaluation)
    slots.choose_cell(None)


def delete_predictions() -> None:
    """Delete the stored predictions of this session's evaluation, and drop the evaluation."""
    if (evaluation := CURRENT.pop()) is not None:
        evaluation.store.clear()


def prepared(
    task: EvaluationTask, store: PredictionStore, title: str, zipped: ExtractedZip | None = None
) -> BackgroundEvaluation:
    """Return the evaluation, not started yet."""
    return BackgroundEvaluation(title, task, store, zipped, total=len(task.pairs))


def start(evaluation: BackgroundEvaluation, job_scores: JobScores) -> None:
    """Start the evaluation; `job_scores` is called in the background too."""
    evaluation.begin(partial(_evaluate, evaluation, job_scores))


def store_for(settings: Settings, connection: Connection, names: Iterable[str]) -> PredictionStore:
    """Return the store of these endpoints' predictions, kept across sessions and restarts. Raises InputError."""
    where = (
        str(settings.sandbox_dir) if connection.is_sandbox else f"{connection.aws_url} {connection.profile}"
    )
    parts = [where, connection.region]
    parts += (
        ["profile"] if connection.profile_chosen else []
    )  # another account than that of keys in the environment
    parts += [connection.role_arn] if connection.role_arn else []
    identity = "\0".join((*parts, *names))
    digest = hashlib.blake2b(identity.encode(), digest_size=8).hexdigest()
    folder = folder_for(settings) / digest
    store = PredictionStore(folder, private=True)
    folder.touch()
    for old in sorted(folder.parent.iterdir(), key=lambda path: path.stat().st_mtime)[:-MOST_KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    return store


def folder_for(settings: Settings) -> Path:
    """Return the folder of this dashboard's evaluations."""
    return settings.state_dir / "evaluations"


def _evaluate(evaluation: BackgroundEvaluation, job_scores: JobScores) -> Evaluation:
    task, total = evaluation.task, evaluation.total
    with closing(evaluate(task, evaluation.store)) as outcomes:
        for outcome in outcomes:
            evaluation.outcomes.append(outcome)
            evaluation.done += 1
            if evaluation.stop.is_set():
                break
    if evaluation.done < total:
        if not any(outcome.scores for outcome in evaluation.outcomes):
            raise InputError(
                "The evaluation was stopped before any image was scored.", todo="Start it again."
            )
        note = f"It was stopped after {evaluation.done:,} of {total:,} images. Start it again to continue."
        task = replace(task, notes=(note, *task.notes))
    jobs, notes = job_scores()
    return score_outcomes(evaluation.outcomes, replace(task, notes=(*task.notes, *notes)), jobs=jobs)
