"""An evaluation as files: CSV for tables, JSON for programs. `core.evaluation.html_report` makes the HTML report.

classes.csv     a row an endpoint and class
images.csv      a row an endpoint and photo, worst first
confusion.csv   a row an endpoint, true and predicted class: the pixels, where there are any
report.json     all of it
report.html     a page with pictures, to be read or printed
"""

from __future__ import annotations

import math
from typing import Any

from core.errors import CoreError
from core.escaping import json_bytes
from core.evaluation.results import WHY_JOBS_DIFFER, EndpointScores, Evaluation
from core.imaging.classes import IGNORE
from core.imaging.scores import MEASURES

Row = dict[str, Any]


def class_rows(of: Evaluation) -> list[Row]:
    """A row an endpoint and class, as in classes.csv; None for what cannot be said."""
    difference = of.difference
    rows = []
    for place, result in enumerate(of.endpoints):
        ground_truth, total = result.total.truth, max(1, result.total.pixels)
        for number, name in enumerate(of.classes.names):
            row = {
                "endpoint": result.endpoint,
                "id": number,
                "class": name,
                "true_pixels": int(ground_truth[number]),
                "true_share": int(ground_truth[number]) / total,
                "iou": number_or_none(result.scores.iou[number]),
                "dice": number_or_none(result.scores.dice[number]),
                "accuracy": number_or_none(result.scores.accuracy[number]),
                "boundary_iou": number_or_none(result.boundary.iou[number]),
                "image_iou": number_or_none(result.per_image.iou[number]),
            }
            if difference is not None:
                row["iou_difference"] = None if place else number_or_none(difference[number])
            rows.append(row)
    return rows


def image_rows(of: Evaluation) -> list[Row]:
    """A row an endpoint and photo, worst first, as in images.csv."""
    return [
        {
            "endpoint": result.endpoint,
            "name": image.score.name,
            "photo": image.score.photo,
            "mask": image.score.mask,
            "width": image.score.width,
            "height": image.score.height,
            "mean_iou": number_or_none(image.mean_iou),
            "pixel_accuracy": number_or_none(image.pixel_accuracy),
            "ignored_pixels": image.score.ignored,
            "endpoint_seconds": round(image.score.seconds, 4),
        }
        for result in of.endpoints
        for image in result.images
    ]


def confusion_rows(of: Evaluation) -> list[Row]:
    """A row for each true and predicted class that some pixel has, as in confusion.csv."""
    return [
        {
            "endpoint": result.endpoint,
            "truth": of.classes.name(actual),
            "predicted": "none of these" if predicted == IGNORE else of.classes.name(predicted),
            "pixels": pixels,
        }
        for result in of.endpoints
        for actual, predicted, pixels in result.total.triples()
    ]


def document(of: Evaluation) -> dict[str, Any]:
    """All of it, of JSON's own types, no NaN."""
    return {
        "photos": of.image_count,
        "classes": [
            {"id": number, "name": name, "color": "#{:02x}{:02x}{:02x}".format(*color)}
            for number, (name, color) in enumerate(zip(of.classes.names, of.classes.colors, strict=True))
        ],
        "endpoints": [_endpoint(of, result) for result in of.endpoints],
        "by_class": class_rows(of),
        "by_image": image_rows(of),
        "failed": failure_rows(of),
        "notes": list(of.notes),
        "meaning": {name: meaning for name, (_, meaning) in MEASURES.items()},
    }


def failure_rows(of: Evaluation) -> list[Row]:
    """What could not be judged, and why."""
    rows = []
    for failure in of.failures:
        error = failure.error
        known = isinstance(error, CoreError)
        why, todo = (error.why, error.todo) if isinstance(error, CoreError) else ("", "")
        what = str(error.what) if isinstance(error, CoreError) else f"Segdeck stumbled: {error!r}."
        rows.append(
            {
                "name": failure.name,
                "endpoint": failure.endpoint or None,
                "error": type(error).__name__ if known else "Exception",
                "what": what,
                "why": why,
                "todo": todo,
            }
        )
    return rows


def to_json(of: Evaluation) -> bytes:
    """The text of report.json."""
    return json_bytes(document(of))


def number_or_none(value: float) -> float | None:
    """NaN is no number that JSON and CSV know."""
    return None if math.isnan(value) else float(value)


def _endpoint(of: Evaluation, result: EndpointScores) -> Row:
    job = (of.jobs or {}).get(result.endpoint)
    return {
        "name": result.endpoint,
        "measures": {name: number_or_none(value) for name, value in result.measures.items()},
        "counted_pixels": result.total.pixels,
        "ignored_pixels": result.total.ignored,
        "confusion": result.total.counts.tolist(),
        "predicted_as_no_class": result.total.outside.tolist(),
        "training_job": None
        if job is None
        else {
            "name": job.job,
            "validation_miou_best": job.best,
            "validation_miou_last": job.last,
            "why_it_differs": WHY_JOBS_DIFFER,
        },
    }
