"""Write an evaluation as CSV and JSON. `core.evaluation.html_report` writes the HTML report.

classes.csv     one row per endpoint and class
images.csv      one row per endpoint and image, worst first
confusion.csv   the confusion matrix: one row per endpoint, actual and predicted class with any pixels
report.json     everything
report.html     a page with images, to read or print
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
    """Return one row per endpoint and class, as in classes.csv; None for scores that are not defined."""
    difference = of.difference
    rows = []
    for index, result in enumerate(of.endpoints):
        ground_truth, total = result.total.ground_truth, max(1, result.total.pixels)
        for class_id, name in enumerate(of.classes.names):
            row = {
                "endpoint": result.endpoint,
                "id": class_id,
                "class": name,
                "true_pixels": int(ground_truth[class_id]),
                "true_share": int(ground_truth[class_id]) / total,
                "iou": number_or_none(result.scores.iou[class_id]),
                "dice": number_or_none(result.scores.dice[class_id]),
                "accuracy": number_or_none(result.scores.accuracy[class_id]),
                "trimap_iou": number_or_none(result.trimap.iou[class_id]),
                "image_iou": number_or_none(result.per_image.iou[class_id]),
            }
            if difference is not None:
                row["iou_difference"] = None if index else number_or_none(difference[class_id])
            rows.append(row)
    return rows


def image_rows(of: Evaluation) -> list[Row]:
    """Return one row per endpoint and image, worst first, as in images.csv."""
    return [
        {
            "endpoint": result.endpoint,
            "name": image.score.name,
            "photo": image.score.image,
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
    """Return one row for each actual and predicted class with any pixels, as in confusion.csv."""
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
    """Return the whole evaluation in JSON types, without NaN."""
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
    """Return one row per failed image, with the reason."""
    rows = []
    for failure in of.failures:
        error = failure.error
        known = isinstance(error, CoreError)
        why, todo = (error.why, error.todo) if isinstance(error, CoreError) else ("", "")
        what = str(error.what) if isinstance(error, CoreError) else f"Unexpected error: {error!r}."
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
    """Return the content of report.json."""
    return json_bytes(document(of))


def number_or_none(value: float) -> float | None:
    """Return the value, or None for NaN, which JSON and CSV do not have."""
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
