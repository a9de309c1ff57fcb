"""The command `evaluate`: score endpoints on labeled images."""

# ruff: noqa: PLC0415 - each function imports what it needs, so that --help is fast

from __future__ import annotations

import tempfile
import traceback
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands.common import (
    FAILED,
    STOPPED,
    AsJson,
    Debug,
    connected,
    print_document,
    print_error,
    print_table,
    progress,
    reporting,
    say,
    say_block,
)
from commands.inference_options import endpoint_to_invoke, make_folder, parse_fit
from commands.memory import limit_memory, memory_column
from core.errors import AwsError, InputError
from core.text import plural

if TYPE_CHECKING:
    from core.aws.connection import Clients
    from core.datasets.source import Names
    from core.endpoints.endpoint import EndpointInfo
    from core.evaluation.bootstrap import Interval
    from core.evaluation.pairs import LabeledImage
    from core.evaluation.results import Evaluation
    from core.evaluation.run import EvaluationFailure, EvaluationTask, ImageOutcome
    from core.evaluation.store import PredictionStore

MOST_ENDPOINTS = 2


@dataclass(slots=True)
class EvaluationRun:
    """The pairs evaluated so far."""

    outcomes: list[ImageOutcome] = field(default_factory=list)
    stopped: bool = False


def evaluate(
    *,
    endpoint: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Endpoint to evaluate; repeat to compare two. Default: the only one in service.",
        ),
    ] = None,
    images: Annotated[Path, typer.Option(metavar="DIR", help="Folder with the images.")],
    masks: Annotated[
        Path,
        typer.Option(
            metavar="DIR", help="Folder with the ground-truth masks: class IDs, 255 for pixels to ignore."
        ),
    ],
    list_: Annotated[
        Path | None,
        typer.Option("--list", metavar="FILE", help="File with the image names to use, one per line."),
    ] = None,
    classes: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Class names: a text file with one per line, a classes.json, or a labelmap.txt. "
            "Default: those of the model.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder for the report and the cached predictions; an interrupted run continues there.",
        ),
    ] = None,
    size: Annotated[
        str,
        typer.Option(
            metavar="WxH|original", help="Input size: fit each image into WxH pixels, or send the original."
        ),
    ] = "800x600",
    calibration: Annotated[
        bool,
        typer.Option(
            "--calibration",
            help="Request probabilities, a large response, and compare the confidence with the accuracy. Images "
            "whose cached predictions have labels only are sent again.",
        ),
    ] = False,
    suspects: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=0,
            help="List the N regions in which a confident model contradicts the ground truth most: likely label "
            "errors. Requests probabilities, as --calibration does.",
        ),
    ] = 0,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Evaluate one or two endpoints on labeled images: IoU and other scores, by class and by image.

    An image that fails does not stop the others; the exit code is then 1.
    """
    names = list(dict.fromkeys(endpoint or [""]))
    if len(names) > MOST_ENDPOINTS:
        raise typer.BadParameter("At most two endpoints can be compared.", param_hint="--endpoint")
    from core.evaluation.run import EvaluationTask

    fit = parse_fit(size)
    with reporting(debug):
        limit_memory()
        named = _names(classes)
        pairs, notes = _pairs(images, masks, list_, named)
        given = None if named is None else named.classes
        with _store(out) as store, connected() as clients:
            endpoints = [endpoint_to_invoke(clients, name) for name in names]
            calibrate = calibration or suspects > 0
            task = EvaluationTask(pairs, (), given, fit, notes, calibrate)
            task = _with_endpoints(clients, endpoints, task)
            run = _run_all(task, store)
            evaluation = _evaluation(run, task, clients, endpoints)
            if debug:
                _print_traces(run.outcomes)
            if out is not None and evaluation is not None:
                _write(evaluation, pairs, store)
            if evaluation is not None and suspects and not as_json:
                _print_suspects(evaluation, suspects)
            _report(run, evaluation, len(pairs), out, as_json)


def _pairs(
    images: Path, masks: Path, list_: Path | None, names: Names | None
) -> tuple[list[LabeledImage], tuple[str, ...]]:
    from core.evaluation.pairs import pairs_in, read_list

    pairs, pairing = pairs_in(images, masks, None if list_ is None else read_list(list_), names)
    return pairs, (*pairing.notes, *(names.notes if names else ()))


def _names(path: Path | None) -> Names | None:
    from core.datasets.names import read_names

    return None if path is None else read_names(path)


@contextmanager
def _store(out: Path | None) -> Iterator[PredictionStore]:
    from core.evaluation.store import PredictionStore

    if out is not None:
        make_folder(out)
        yield PredictionStore(out)
        return
    with tempfile.TemporaryDirectory(prefix="segdeck-") as folder:
        yield PredictionStore(Path(folder))


def _with_endpoints(clients: Clients, infos: Sequence[EndpointInfo], task: EvaluationTask) -> EvaluationTask:
    from core.aws.evaluation import evaluated_endpoint
    from core.evaluation.results import resolve_classes

    endpoints = [evaluated_endpoint(clients, info) for info in infos]
    classes, class_notes = resolve_classes(endpoints, task.classes)
    return replace(task, endpoints=endpoints, classes=classes, notes=(*task.notes, *class_notes))


def _run_all(task: EvaluationTask, store: PredictionStore) -> EvaluationRun:
    """Evaluate the pairs in order. Ctrl-C stops after the pairs already done."""
    from core.evaluation.run import evaluate as evaluate_pairs

    run = EvaluationRun()
    with progress(memory_column()) as bar:
        names = " and ".join(endpoint.name for endpoint in task.endpoints)
        task_id = bar.add_task(f"Invoking {names}", total=len(task.pairs))
        try:
            with closing(evaluate_pairs(task, store)) as outcomes:
                for outcome in outcomes:
                    run.outcomes.append(outcome)
                    bar.advance(task_id)
        except KeyboardInterrupt:
            run.stopped = True
    return run


def _evaluation(
    run: EvaluationRun, task: EvaluationTask, clients: Clients, endpoints: Sequence[EndpointInfo]
) -> Evaluation | None:
    """Return the scores; None if no pair could be evaluated, which the failures explain."""
    from core.aws.evaluation import job_scores
    from core.evaluation.results import score_outcomes

    jobs, job_notes = job_scores(clients, endpoints)
    try:
        return score_outcomes(run.outcomes, replace(task, notes=(*task.notes, *job_notes)), jobs=jobs)
    except InputError:
        return None


def _write(evaluation: Evaluation, pairs: Sequence[LabeledImage], store: PredictionStore) -> None:
    from core.evaluation.files import write_all

    write_all(evaluation, pairs, store, datetime.now(UTC))


# Output.


def _report(
    run: EvaluationRun, evaluation: Evaluation | None, total: int, out: Path | None, as_json: bool
) -> None:
    """Print scores on standard output and the rest on standard error. Raises Exit if an image failed."""
    if evaluation is not None:
        _print(evaluation, as_json)
        for note in evaluation.notes:
            say(note)
        for line in _job_lines(evaluation):
            say(line)
        if out is not None:
            say(f"Report: {out / 'report.html'}")
    _report_calls(run)
    failures = [failure for outcome in run.outcomes for failure in outcome.failures]
    _print_failures(failures)
    if run.stopped:
        kept = " To continue, run the same command again." if out is not None else ""
        say(f"Stopped. {len(run.outcomes)} of {total} images done.{kept}")
        raise typer.Exit(STOPPED)
    if failures:
        say(f"{len({failure.name for failure in failures})} of {total} images failed.")
        raise typer.Exit(FAILED)


def _report_calls(run: EvaluationRun) -> None:
    """Report how many predictions were cached, and how many calls were repeated."""
    cached = sum(not outcome.calls and not outcome.failures for outcome in run.outcomes)
    repeated = sum(outcome.repeated for outcome in run.outcomes)
    if cached:
        say(f"{plural(cached, 'image')} skipped: the predictions are cached, and no endpoint was invoked.")
    if repeated:
        say(
            f"{plural(repeated, 'call')} repeated: an earlier run was interrupted during the call, "
            "which AWS may have billed."
        )


def _print_failures(failures: Sequence[EvaluationFailure]) -> None:
    """Print each error once, with the images that it concerns."""
    from core.text import listing

    where: dict[tuple[str, ...], list[str]] = {}
    for failure in failures:
        error = failure.error
        parts: tuple[str, ...] = (f"{error}",)
        if isinstance(error, InputError | AwsError):
            parts = (error.what, error.why, error.todo)
        place = f"{failure.name}{f' at {failure.endpoint}' if failure.endpoint else ''}"
        where.setdefault(parts, []).append(place)
    for parts, places in where.items():
        print_error(*parts, where=listing(sorted(places)))


def _print(evaluation: Evaluation, as_json: bool) -> None:
    from core.evaluation.report import document

    if as_json:
        print_document(document(evaluation))
        return
    from core.evaluation.bootstrap import HOW
    from core.imaging.scores import ABSENT_CLASSES

    print_table("Scores", _measure_rows(evaluation))
    print_table("IoU by class", _class_rows(evaluation))
    _print_calibration(evaluation)
    if evaluation.comparison is not None:
        say(evaluation.comparison.sentence)
    say(f"{ABSENT_CLASSES} {HOW}")


def _print_suspects(evaluation: Evaluation, most: int) -> None:
    from core.evaluation.report import suspect_rows

    rows = suspect_rows(evaluation)
    for scores in evaluation.endpoints:
        shown = [
            {
                "image": row["image"],
                "box": f"{row['left']}, {row['top']}, {row['width']} x {row['height']}",
                "pixels": f"{row['pixels']:,}",
                "labeled": row["labeled"],
                "predicted": row["predicted"],
                "confidence": _number(row["confidence"]),
            }
            for row in rows
            if row["endpoint"] == scores.endpoint
        ]
        print_table(f"Likely label errors: {scores.endpoint}", shown[:most])


def _print_calibration(evaluation: Evaluation) -> None:
    from core.evaluation.calibration import HOW

    calibrated = [scores for scores in evaluation.endpoints if scores.calibration is not None]
    for scores in calibrated:
        assert scores.calibration is not None  # noqa: S101  # for the type checker
        rows = [
            {name: _number(value) for name, value in row._asdict().items()}
            for row in scores.calibration.table
        ]
        print_table(f"Accuracy by threshold: {scores.endpoint}", rows)
        errors = zip(evaluation.classes.names, scores.calibration.class_errors, strict=True)
        total = {"class": "all", "expected calibration error": _number(scores.calibration.error)}
        by_class = [{"class": name, "expected calibration error": _number(error)} for name, error in errors]
        print_table(f"Calibration: {scores.endpoint}", [total, *by_class])
    if calibrated:
        say(HOW)


def _measure_rows(evaluation: Evaluation) -> list[dict[str, str]]:
    from core.evaluation.bootstrap import COMPARED_CONFIDENCE
    from core.imaging.scores import MEASURES

    comparison = evaluation.comparison
    rows = []
    for name, (title, _) in MEASURES.items():
        values = [endpoint.measures[name] for endpoint in evaluation.endpoints]
        bounds = [endpoint.intervals[name] for endpoint in evaluation.endpoints]
        row = {"score": title} | _by_endpoint(evaluation, values, bounds)
        if comparison is not None:
            row[f"{COMPARED_CONFIDENCE:.0%} interval"] = _bounds(comparison.intervals[name], sign="+")
        rows.append(row)
    return rows


def _bounds(bounds: Interval | None, sign: str = "") -> str:
    return "-" if bounds is None else f"{bounds.low:{sign}.4f} to {bounds.high:{sign}.4f}"


def _class_rows(evaluation: Evaluation) -> list[dict[str, str]]:
    return [
        {"class": name}
        | _by_endpoint(
            evaluation, [float(endpoint.scores.iou[class_id]) for endpoint in evaluation.endpoints]
        )
        for class_id, name in enumerate(evaluation.classes.names)
    ]


def _by_endpoint(
    evaluation: Evaluation, values: Sequence[float], bounds: Sequence[Interval | None] = ()
) -> dict[str, str]:
    """Return the value of each endpoint, with its confidence interval if it has one, and the difference of two."""
    row = {}
    for scores, value, interval in zip_longest(evaluation.endpoints, values, bounds):
        row[scores.endpoint] = _number(value) + (f" ({_bounds(interval)})" if interval else "")
    if len(values) > 1:
        less = values[0] - values[1]
        row["difference"] = "-" if less != less else f"{less:+.4f}"  # noqa: PLR0124  # NaN
    return row


def _number(value: float) -> str:
    return "-" if value != value else f"{value:.4f}"  # noqa: PLR0124  # NaN


def _job_lines(evaluation: Evaluation) -> list[str]:
    from core.evaluation.results import WHY_JOBS_DIFFER

    lines = [
        f"The training job {job.job} of {endpoint} reported a validation mean IoU of "
        f"{_reported(job.best)} at its best epoch, {_reported(job.last)} at its last."
        for endpoint, job in (evaluation.jobs or {}).items()
    ]
    return [*lines, WHY_JOBS_DIFFER] if lines else []


def _reported(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.4f}"


def _print_traces(outcomes: Sequence[ImageOutcome]) -> None:
    for outcome in outcomes:
        for failure in outcome.failures:
            say_block("".join(traceback.format_exception(failure.error)))
