"""An evaluation as one page with its pictures inside: to be read, sent around, or printed into a PDF."""

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
from core.evaluation.report import Row, class_rows, failure_rows
from core.evaluation.results import WHY_JOBS_DIFFER, EndpointScores, Evaluation
from core.evaluation.samples import EvaluationSample, smaller
from core.imaging.classes import IGNORE, Classes, Color
from core.imaging.scores import MEASURES
from core.render.difference import DIFFERENCE, difference
from core.render.overlay import overlay_image
from core.text import DASH, percent, plural

WORST = 8
"""Photos with pictures."""

LONGEST = 420
"""Longest side of a picture in the page, in pixels: sharp at the width of a column, and some 20 kB."""

MOST_CLASSES = 24
"""Up to so many classes the confusion is drawn as a matrix; beyond, the largest mistakes are listed."""

MOST_MISTAKES = 20


def to_html(of: Evaluation, samples: Sequence[EvaluationSample], made_at: datetime) -> bytes:
    """The page. shots: the photos to show, worst first."""
    names = " against ".join(result.endpoint for result in of.endpoints)
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
            shots=_samples(of, samples),
            failed=_failed(of),
            meaning=_meaning(),
        )
        .encode()
    )


def _facts(of: Evaluation, made_at: datetime) -> str:
    total = of.endpoints[0].total
    facts = [
        plural(of.image_count, "photo"),
        plural(len(of.classes), "class", "classes"),
        f"{total.pixels:,} pixels counted, {total.ignored:,} ignored",
        f"made on {made_at:%Y-%m-%d %H:%M} UTC",
    ]
    return " · ".join(facts)


def _measures(of: Evaluation) -> str:
    """Tiles for one endpoint; for two, a table with their difference."""
    if len(of.endpoints) == 1:
        tiles = [
            f'<div class="measure" title="{html(MEASURES[name][1])}"><b>{percent(value)}</b>'
            f"<span>{html(MEASURES[name][0])}</span></div>"
            for name, value in of.endpoints[0].measures.items()
        ]
        return f'<div class="measures">{"".join(tiles)}</div>'
    first, second = of.endpoints
    head = ["Measure", first.endpoint, second.endpoint, "Difference"]
    rows = [
        [html(title), percent(first.measures[name]), percent(second.measures[name]),
         _points(first.measures[name] - second.measures[name])]
        for name, (title, _) in MEASURES.items()
    ]  # fmt: skip
    return _table(head, rows)


def _jobs(of: Evaluation) -> str:
    lines = []
    for result in of.endpoints:
        if (job := (of.jobs or {}).get(result.endpoint)) is None:
            continue
        best = DASH if job.best is None else percent(job.best)
        last = DASH if job.last is None else percent(job.last)
        lines.append(
            f"<p>The training job <b>{html(job.job)}</b> behind {html(result.endpoint)} reported a "
            f"validation:mIOU of {best} at its best epoch and {last} at its last; here it is "
            f"{percent(result.scores.mean_iou)}.</p>"
        )
    if not lines:
        return ""
    return f'<h2>Beside the training job</h2>{"".join(lines)}<p class="soft">{html(WHY_JOBS_DIFFER)}</p>'


def _classes(of: Evaluation) -> str:
    rows = class_rows(of)
    size = len(of.classes)
    cells = [_class_cells(of.classes, rows[place::size]) for place in range(size)]
    if len(of.endpoints) == 1:
        head = ["Class", "Share of the truth", "IoU", "Dice", "Accuracy", "Boundary IoU", "IoU per image"]
    else:
        first, second = of.endpoints
        head = [
            "Class",
            "Share of the truth",
            f"IoU of {first.endpoint}",
            f"IoU of {second.endpoint}",
            "Difference",
        ]
    return _table(head, cells)


def _class_cells(classes: Classes, rows: Sequence[Row]) -> list[str]:
    first = rows[0]
    name = f"{_swatch(classes.colors[first['id']])}{html(first['class'])}"
    if len(rows) == 1:
        others = [percent(first[key]) for key in ("dice", "accuracy", "boundary_iou", "image_iou")]
        return [name, percent(first["true_share"]), _bar(first["iou"]), *others]
    less = first["iou_difference"]
    return [
        name,
        percent(first["true_share"]),
        _bar(first["iou"]),
        _bar(rows[1]["iou"]),
        _points(float("nan") if less is None else less),
    ]


def _confusion(of: Evaluation, result: EndpointScores) -> str:
    heading = f"<h3>{html(result.endpoint)}</h3>" if len(of.endpoints) > 1 else ""
    body = _matrix(of, result) if len(of.classes) <= MOST_CLASSES else _mistakes(of, result)
    return heading + body


def _matrix(of: Evaluation, result: EndpointScores) -> str:
    """A row a true class; each cell the share of its pixels, darker the more."""
    actual = result.total.truth
    columns = "".join(f'<th class="column">{html(name)}</th>' for name in of.classes.names)
    lines = []
    for number, name in enumerate(of.classes.names):
        shares = result.total.counts[number] / max(1, int(actual[number]))
        cells = "".join(_cell(float(share), place == number) for place, share in enumerate(shares))
        lines.append(f'<tr><th class="row">{html(name)}</th>{cells}</tr>')
    return (
        '<p class="soft">A row a class of the truth, a column a class of the prediction: the share of the true '
        "class's pixels. Blue is right, orange is wrong.</p>"
        f'<div class="scroll"><table class="confusion"><tr><th></th>{columns}</tr>{"".join(lines)}</table></div>'
    )


def _cell(share: float, right: bool) -> str:
    red, green, blue = DIFFERENCE.colors[0 if right else 1]
    ink = "#fff" if share > 0.55 else "inherit"
    text = "" if share < 0.0005 else f"{share:.1%}" if share < 0.995 else f"{share:.0%}"
    return f'<td style="background:rgba({red},{green},{blue},{share:.3f});color:{ink}">{text}</td>'


def _mistakes(of: Evaluation, result: EndpointScores) -> str:
    total = max(1, result.total.pixels)
    wrong = sorted(
        (triple for triple in result.total.triples() if triple[0] != triple[1]),
        key=lambda triple: -triple[2],
    )
    rows = [
        [html(of.classes.name(actual)),
         "none of these" if predicted == IGNORE else html(of.classes.name(predicted)),
         f"{pixels:,}", percent(pixels / total)]
        for actual, predicted, pixels in wrong[:MOST_MISTAKES]
    ]  # fmt: skip
    return _table(["Truth", "Taken for", "Pixels", "Of all"], rows)


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
        f"<span>bare photo: not counted</span></div>{body}"
    )


def _sample(of: Evaluation, sample: EvaluationSample) -> str:
    several = len(of.endpoints) > 1
    table = of.classes.table()
    pictures = [("Photo", _jpeg(sample.photo)), ("Truth", _laid_over(sample, sample.truth, table))]
    for result, score, predicted in zip(of.endpoints, sample.scores, sample.predicted, strict=True):
        whose = f" of {result.endpoint}" if several else ""
        mean = next(image.mean_iou for image in result.images if image.score.name == score.name)
        map_ = difference(sample.truth, predicted)
        pictures.append(
            (f"Prediction{whose}: mean IoU {percent(mean)}", _laid_over(sample, predicted, table))
        )
        pictures.append((f"Difference{whose}", _laid_over(sample, map_, DIFFERENCE.table())))
    figures = "".join(
        f'<figure><img src="{source}" alt="{html(caption)}"><figcaption>{html(caption)}</figcaption></figure>'
        for caption, source in pictures
    )
    return f'<div class="shot"><h3>{html(sample.name)}</h3><div class="row">{figures}</div></div>'


def _laid_over(sample: EvaluationSample, labels: NDArray[np.uint8], table: NDArray[np.uint8]) -> str:
    return _jpeg(overlay_image(sample.photo, labels, table, 0.65))


def _jpeg(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _failed(of: Evaluation) -> str:
    if not of.failures:
        return ""
    lines = [" ".join(filter(None, (row["what"], row["why"]))) for row in failure_rows(of)]
    messages = [f"{failure.name}: {line}" for failure, line in zip(of.failures, lines, strict=True)]
    return f"<h2>Could not be judged</h2>{_list('failed', messages)}"


def _meaning() -> str:
    rows = "".join(f"<dt>{html(title)}</dt><dd>{html(meaning)}</dd>" for title, meaning in MEASURES.values())
    return (
        "<p>IoU of a class: the pixels that truth and prediction both give it, over those that either gives it. "
        "Pixels whose truth is 255 are not counted; a class in neither truth nor prediction is in no mean.</p>"
        f"<dl>{rows}</dl>"
    )


def _list(kind: str, lines: Sequence[str]) -> str:
    return f'<ul class="{kind}">{"".join(f"<li>{html(line)}</li>" for line in lines)}</ul>' if lines else ""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """head: texts; rows: HTML."""
    heads = "".join(f"<th>{html(text)}</th>" for text in head)
    lines = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="scroll"><table><tr>{heads}</tr>{lines}</table></div>'


def _swatch(color: Color) -> str:
    return '<i class="swatch" style="background:#{:02x}{:02x}{:02x}"></i>'.format(*color)


def _bar(share: float | None) -> str:
    if share is None:
        return DASH
    return f'<span class="bar"><span style="width:{share:.1%}"></span></span>{percent(share)}'


def _points(less: float) -> str:
    """A difference of two shares, in percentage points."""
    return DASH if np.isnan(less) else f"{less * 100:+.1f} points"
