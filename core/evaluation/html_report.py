"""Write the HTML report of an evaluation: one page with its images embedded, to read, share or print as PDF."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from string import Template

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.escaping import html
from core.evaluation.bootstrap import COMPARED_CONFIDENCE, HOW, Interval
from core.evaluation.calibration import HOW as CALIBRATION
from core.evaluation.report import Row, class_rows, failure_rows
from core.evaluation.results import WHY_JOBS_DIFFER, EndpointScores, Evaluation
from core.evaluation.samples import EvaluationSample, smaller
from core.imaging.classes import IGNORE, Classes, Color
from core.imaging.scores import ABSENT_CLASSES, MEASURES
from core.render.difference import CORRECT, DIFFERENCE, WRONG, difference
from core.render.overlay import overlay_image
from core.text import DASH, percent, plural

WORST = 8
"""Number of the worst images that are shown."""

LONGEST = 420
"""Longest side of an image in the page, in pixels: sharp at the width of a column, and about 20 kB."""

MOST_CLASSES = 24
"""The largest number of classes for which the confusion matrix is drawn; with more, the largest errors are listed."""

MOST_ERRORS = 20

PERCENTS = ("dice", "accuracy", "trimap_iou", "image_iou", "boundary_iou", "boundary_f1")
"""Scores of a class, in the columns after its IoU."""


def to_html(of: Evaluation, samples: Sequence[EvaluationSample], made_at: datetime) -> bytes:
    """Return the page. samples: the images to show, worst first."""
    names = " and ".join(result.endpoint for result in of.endpoints)
    return (
        Template(Path(__file__).with_name("report.html").read_text("utf-8"))
        .substitute(
            title=html(f"Evaluation of {names}"),
            facts=html(_facts(of, made_at)),
            measures=_measures(of),
            notes=_list("notes", of.notes),
            job=_jobs(of),
            classes=_classes(of),
            confusion="".join(_confusion(of, result) for result in of.endpoints),
            calibration=_calibration(of),
            shots=_samples(of, samples),
            failed=_failed(of),
            meaning=_meaning(),
        )
        .encode()
    )


def _facts(of: Evaluation, made_at: datetime) -> str:
    total = of.endpoints[0].total
    facts = [
        plural(of.image_count, "image"),
        plural(len(of.classes), "class", "classes"),
        f"{total.pixels:,} pixels counted, {total.ignored:,} ignored",
        f"created {made_at:%Y-%m-%d %H:%M} UTC",
    ]
    return " · ".join(facts)


def _measures(of: Evaluation) -> str:
    """Return tiles for one endpoint, or a table with the difference for two; and the rules behind the means."""
    rules = f'<p class="soft">{html(ABSENT_CLASSES)} {html(HOW)}</p>'
    if len(of.endpoints) == 1:
        (result,) = of.endpoints
        tiles = [
            f'<div class="measure" title="{html(MEASURES[name][1])}"><b>{percent(value)}</b>'
            f"<span>{html(MEASURES[name][0])}{_bounds(result.intervals[name])}</span></div>"
            for name, value in result.measures.items()
        ]
        return f'<div class="measures">{"".join(tiles)}</div>{rules}'
    first, second = of.endpoints
    comparison = of.comparison
    assert comparison is not None  # noqa: S101  # for the type checker: there are two
    head = ["Score", first.endpoint, second.endpoint, "Difference", f"{COMPARED_CONFIDENCE:.0%} interval"]
    rows = []
    for name, (title, _) in MEASURES.items():
        values = [f"{percent(each.measures[name])}{_bounds(each.intervals[name])}" for each in of.endpoints]
        gap = [_points(comparison.differences[name]), _point_bounds(comparison.intervals[name])]
        rows.append([html(title), *values, *gap])
    return f"<p><b>{html(comparison.sentence)}</b></p>{_table(head, rows)}{rules}"


def _bounds(bounds: Interval | None) -> str:
    """Return the interval of a score as HTML; empty without one."""
    if bounds is None:
        return ""
    return f' <small class="soft">({percent(bounds.low)} to {percent(bounds.high)})</small>'


def _point_bounds(bounds: Interval | None) -> str:
    return DASH if bounds is None else f"{bounds.low * 100:+.1f} to {bounds.high * 100:+.1f}"


def _jobs(of: Evaluation) -> str:
    lines = []
    for result in of.endpoints:
        if (job := (of.jobs or {}).get(result.endpoint)) is None:
            continue
        best = DASH if job.best is None else percent(job.best)
        last = DASH if job.last is None else percent(job.last)
        lines.append(
            f"<p>The training job <b>{html(job.job)}</b> of endpoint {html(result.endpoint)} reported a "
            f"validation mean IoU of {best} at its best epoch and {last} at its last epoch. The mean IoU of this "
            f"evaluation is {percent(result.scores.mean_iou)}.</p>"
        )
    if not lines:
        return ""
    return (
        f'<h2>Compared with the training job</h2>{"".join(lines)}<p class="soft">{html(WHY_JOBS_DIFFER)}</p>'
    )


def _classes(of: Evaluation) -> str:
    rows = class_rows(of)
    size = len(of.classes)
    cells = [_class_cells(of.classes, rows[class_id::size]) for class_id in range(size)]
    if len(of.endpoints) == 1:
        head = [
            "Class",
            "Ground truth share",
            "IoU",
            "Dice",
            "Accuracy",
            "Trimap IoU",
            "IoU per image",
            "Boundary IoU",
            "Boundary F1",
        ]
    else:
        first, second = of.endpoints
        head = [
            "Class",
            "Ground truth share",
            f"IoU of {first.endpoint}",
            f"IoU of {second.endpoint}",
            "Difference",
        ]
    return _table(head, cells)


def _class_cells(classes: Classes, rows: Sequence[Row]) -> list[str]:
    first = rows[0]
    name = f"{_swatch(classes.colors[first['id']])}{html(first['class'])}"
    if len(rows) == 1:
        others = [percent(first[key]) for key in PERCENTS]
        return [name, percent(first["true_share"]), _bar(first["iou"]), *others]
    difference_in_iou = first["iou_difference"]
    return [
        name,
        percent(first["true_share"]),
        _bar(first["iou"]),
        _bar(rows[1]["iou"]),
        _points(float("nan") if difference_in_iou is None else difference_in_iou),
    ]


def _confusion(of: Evaluation, result: EndpointScores) -> str:
    heading = f"<h3>{html(result.endpoint)}</h3>" if len(of.endpoints) > 1 else ""
    body = _matrix(of, result) if len(of.classes) <= MOST_CLASSES else _largest_errors(of, result)
    return heading + body


def _matrix(of: Evaluation, result: EndpointScores) -> str:
    """Return the confusion matrix, one row per actual class; cells are shares of the row, darker where larger."""
    actual = result.total.ground_truth
    columns = "".join(f'<th class="column">{html(name)}</th>' for name in of.classes.names)
    lines = []
    for number, name in enumerate(of.classes.names):
        shares = result.total.counts[number] / max(1, int(actual[number]))
        cells = "".join(_cell(float(share), column == number) for column, share in enumerate(shares))
        lines.append(f'<tr><th class="row">{html(name)}</th>{cells}</tr>')
    return (
        '<p class="soft">Rows: actual class (ground truth). Columns: predicted class. Cells: share of the actual '
        "class's pixels. Blue is correct, orange is wrong.</p>"
        f'<div class="scroll"><table class="confusion"><tr><th></th>{columns}</tr>{"".join(lines)}</table></div>'
    )


def _cell(share: float, correct: bool) -> str:
    red, green, blue = DIFFERENCE.colors[CORRECT if correct else WRONG]
    ink = "#fff" if share > 0.55 else "inherit"
    text = "" if share < 0.0005 else f"{share:.1%}" if share < 0.995 else f"{share:.0%}"
    return f'<td style="background:rgba({red},{green},{blue},{share:.3f});color:{ink}">{text}</td>'


def _largest_errors(of: Evaluation, result: EndpointScores) -> str:
    total = max(1, result.total.pixels)
    wrong = sorted(
        (triple for triple in result.total.triples() if triple[0] != triple[1]),
        key=lambda triple: -triple[2],
    )
    rows = [
        [html(of.classes.name(actual)),
         "none of these" if predicted == IGNORE else html(of.classes.name(predicted)),
         f"{pixels:,}", percent(pixels / total)]
        for actual, predicted, pixels in wrong[:MOST_ERRORS]
    ]  # fmt: skip
    return _table(["Actual", "Predicted", "Pixels", "Share of all pixels"], rows)


def _calibration(of: Evaluation) -> str:
    """Return the calibration of each endpoint: its error, the reliability diagram and the thresholds as tables."""
    sections = []
    for result in of.endpoints:
        if (calibration := result.calibration) is None:
            continue
        errors = zip(of.classes.names, calibration.class_errors, strict=True)
        bins = [
            [
                f"{row.low:.0%} to {row.high:.0%}",
                f"{row.pixels:,}",
                percent(row.confidence),
                percent(row.accuracy),
            ]
            for row in calibration.reliability
        ]
        kept = [
            [f"{row.threshold:g}", percent(row.coverage), percent(row.accuracy), percent(row.mean_iou)]
            for row in calibration.table
        ]
        sections += [
            f"<h3>{html(result.endpoint)}: expected calibration error {percent(calibration.error)}</h3>",
            _table(["Confidence", "Pixels", "Mean confidence", "Accuracy"], bins),
            _table(["Threshold", "Coverage", "Accuracy", "Mean IoU"], kept),
            _table(
                ["Class", "Expected calibration error"], [[html(k), percent(error)] for k, error in errors]
            ),
        ]
    if not sections:
        return ""
    return f'<h2>Calibration</h2><p class="soft">{html(CALIBRATION)}</p>{"".join(sections)}'


def _samples(of: Evaluation, samples: Sequence[EvaluationSample]) -> str:
    wrong = "".join(
        f"<span>{_swatch(color)}{name}</span>"
        for name, color in zip(DIFFERENCE.names, DIFFERENCE.colors, strict=True)
    )
    legend = "".join(
        f"<span>{_swatch(color)}{html(name)}</span>"
        for name, color in zip(of.classes.names, of.classes.colors, strict=True)
    )
    body = "".join(_sample(of, smaller(sample, LONGEST)) for sample in samples)
    return (
        f'<div class="legend">{legend}</div><div class="legend">{wrong}'
        f"<span>not colored: ignored</span></div>{body}"
    )


def _sample(of: Evaluation, sample: EvaluationSample) -> str:
    several = len(of.endpoints) > 1
    table = of.classes.table()
    panels = [("Image", _jpeg(sample.image)), ("Ground truth", _overlay(sample, sample.ground_truth, table))]
    for result, score, predicted in zip(of.endpoints, sample.scores, sample.predicted, strict=True):
        endpoint = f" of {result.endpoint}" if several else ""
        mean = next(image.mean_iou for image in result.images if image.score.name == score.name)
        errors = difference(sample.ground_truth, predicted)
        panels.append((f"Prediction{endpoint}: mean IoU {percent(mean)}", _overlay(sample, predicted, table)))
        panels.append((f"Errors{endpoint}", _overlay(sample, errors, DIFFERENCE.table())))
    shown = "".join(
        f'<figure><img src="{source}" alt="{html(caption)}"><figcaption>{html(caption)}</figcaption></figure>'
        for caption, source in panels
    )
    return f'<div class="shot"><h3>{html(sample.name)}</h3><div class="row">{shown}</div></div>'


def _overlay(sample: EvaluationSample, labels: NDArray[np.uint8], table: NDArray[np.uint8]) -> str:
    return _jpeg(overlay_image(sample.image, labels, table, 0.65))


def _jpeg(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _failed(of: Evaluation) -> str:
    if not of.failures:
        return ""
    lines = [" ".join(filter(None, (row["what"], row["why"]))) for row in failure_rows(of)]
    messages = [f"{failure.name}: {line}" for failure, line in zip(of.failures, lines, strict=True)]
    return f"<h2>Failed images</h2>{_list('failed', messages)}"


def _meaning() -> str:
    rows = "".join(f"<dt>{html(title)}</dt><dd>{html(meaning)}</dd>" for title, meaning in MEASURES.values())
    return (
        "<p>IoU (intersection over union) of a class: the pixels that have the class in both ground truth and "
        "prediction, divided by those that have it in either. Pixels whose ground truth is 255 are not counted. "
        f"{html(ABSENT_CLASSES)}</p>"
        f"<dl>{rows}</dl>"
    )


def _list(kind: str, lines: Sequence[str]) -> str:
    return f'<ul class="{kind}">{"".join(f"<li>{html(line)}</li>" for line in lines)}</ul>' if lines else ""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return an HTML table. head: plain texts; rows: HTML."""
    heads = "".join(f"<th>{html(text)}</th>" for text in head)
    lines = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="scroll"><table><tr>{heads}</tr>{lines}</table></div>'


def _swatch(color: Color) -> str:
    return '<i class="swatch" style="background:#{:02x}{:02x}{:02x}"></i>'.format(*color)


def _bar(share: float | None) -> str:
    if share is None:
        return DASH
    return f'<span class="bar"><span style="width:{share:.1%}"></span></span>{percent(share)}'


def _points(difference_in_share: float) -> str:
    """Return a difference of two shares in percentage points."""
    return DASH if np.isnan(difference_in_share) else f"{difference_in_share * 100:+.1f} points"
