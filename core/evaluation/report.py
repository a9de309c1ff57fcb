"""Write an evaluation as CSV and JSON. `core.evaluation.html_report` writes the HTML report.

classes.csv     one row per endpoint and class
images.csv      one row per endpoint and image, worst first
scores.csv      one row per endpoint and score, with its interval; and per score the difference of two endpoints
confusion.csv   the confusion matrix: one row per endpoint, actual and predicted class with any pixels
suspects.csv    one row per endpoint and region in which a confident model contradicts the label
report.json     everything
report.html     a page with images, to read or print
"""

from __future__ import annotations

import math
from typing import Any

from core.errors import CoreError
from core.escaping import json_bytes
from core.evaluation.bootstrap import COMPARED_CONFIDENCE, CONFIDENCE, HOW, Comparison, Interval
from core.evaluation.calibration import HOW as CALIBRATION
from core.evaluation.calibration import Calibration
from core.evaluation.results import WHY_JOBS_DIFFER, EndpointScores, Evaluation, ranked_suspects
from core.imaging.classes import IGNORE
from core.imaging.scores import ABSENT_CLASSES, MEASURES

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
                "boundary_iou": number_or_none(result.contours.iou[class_id]),
                "boundary_f1": number_or_none(result.contours.f1[class_id]),
            }
            if difference is not None:
                row["iou_difference"] = None if index else number_or_none(difference[class_id])
            rows.append(row)
    return rows


SUSPECT_COLUMNS = (
    "endpoint", "image", "mask", "left", "top", "width", "height", "pixels", "labeled", "predicted", "confidence",
)  # fmt: skip


def suspect_rows(of: Evaluation) -> list[Row]:
    """Return one row per endpoint and region that contradicts its label, most suspect first, as in suspects.csv."""
    return [
        {
            "endpoint": result.endpoint,
            "image": score.image,
            "mask": score.mask,
            **region._asdict(),
            "labeled": of.classes.name(region.labeled),
            "predicted": "none of these" if region.predicted == IGNORE else of.classes.name(region.predicted),
        }
        for result in of.endpoints
        for score, region in ranked_suspects(result)
    ]


def score_rows(of: Evaluation) -> list[Row]:
    """Return one row per endpoint and score, then one per score with the difference, as in scores.csv."""
    rows = [
        _score_row(result.endpoint, name, result.measures[name], result.intervals[name], CONFIDENCE)
        for result in of.endpoints
        for name in MEASURES
    ]
    if (comparison := of.comparison) is not None:
        names = f"{comparison.first} minus {comparison.second}"
        rows += [
            _score_row(
                names, name, comparison.differences[name], comparison.intervals[name], COMPARED_CONFIDENCE
            )
            for name in MEASURES
        ]
    return rows


def _score_row(endpoint: str, name: str, value: float, bounds: Interval | None, confidence: float) -> Row:
    low, high = (None, None) if bounds is None else (bounds.low, bounds.high)
    return {
        "endpoint": endpoint,
        "score": name,
        "value": number_or_none(value),
        "low": low,
        "high": high,
        "confidence": confidence,
    }


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
            "boundary_iou": number_or_none(image.boundary_iou),
            "boundary_f1": number_or_none(image.boundary_f1),
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
        "suspects": suspect_rows(of),
        "comparison": comparison_row(of.comparison),
        "failed": failure_rows(of),
        "notes": list(of.notes),
        "meaning": {name: meaning for name, (_, meaning) in MEASURES.items()},
        "absent_classes": ABSENT_CLASSES,
        "intervals": HOW,
    }


def comparison_row(comparison: Comparison | None) -> Row | None:
    """Return the comparison of two endpoints in JSON types; None for a single one."""
    if comparison is None:
        return None
    return {
        "first": comparison.first,
        "second": comparison.second,
        "differences": {name: number_or_none(value) for name, value in comparison.differences.items()},
        "intervals": {name: interval_row(bounds) for name, bounds in comparison.intervals.items()},
        "first_wins": comparison.first_wins,
        "second_wins": comparison.second_wins,
        "ties": comparison.ties,
        "better": comparison.better,
        "sentence": comparison.sentence,
    }


def calibration_row(of: Evaluation, calibration: Calibration | None) -> Row | None:
    """Return the calibration in JSON types; None if it was not computed."""
    if calibration is None:
        return None
    errors = calibration.class_errors
    return {
        "expected_calibration_error": number_or_none(calibration.error),
        "by_class": {name: number_or_none(errors[number]) for number, name in enumerate(of.classes.names)},
        "reliability": [_numbers(row._asdict()) for row in calibration.reliability],
        "thresholds": [_numbers(row._asdict()) for row in calibration.table],
        "curve": [_numbers(row._asdict()) for row in calibration.curve],
        "how": CALIBRATION,
    }


def _numbers(row: Row) -> Row:
    return {name: number_or_none(value) if isinstance(value, float) else value for name, value in row.items()}


def interval_row(bounds: Interval | None) -> list[float] | None:
    """Return the bounds, low and high; None where there is no interval."""
    return None if bounds is None else [bounds.low, bounds.high]


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
        "intervals": {name: interval_row(bounds) for name, bounds in result.intervals.items()},
        "calibration": calibration_row(of, result.calibration),
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
