"""The report files of an evaluation."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from core.errors import InputError
from core.escaping import csv_bytes
from core.evaluation.bootstrap import HOW
from core.evaluation.html_report import MOST_CLASSES, to_html
from core.evaluation.report import class_rows, confusion_rows, score_rows, to_json
from core.evaluation.results import Evaluation, JobScore, score_outcomes
from core.evaluation.run import EvaluatedEndpoint, EvaluationFailure, EvaluationTask, ImageOutcome
from core.evaluation.samples import EvaluationSample
from core.evaluation.store import ImageScore
from core.imaging.classes import Classes
from core.imaging.scores import ABSENT_CLASSES
from core.inference.invoke import EndpointResponse

AT = datetime(2026, 11, 25, 9, 30, tzinfo=UTC)
HOSTILE = '<script>alert("1")</script>'
CLASSES = Classes(("sea", HOSTILE, "never"), ((0, 0, 255), (0, 170, 0), (9, 9, 9)))


def nobody(body: bytes, content_type: str, accept: str) -> EndpointResponse:
    raise AssertionError("nothing is asked here")


def judged(name: str, *triples: tuple[int, int, int]) -> ImageScore:
    return ImageScore(name, "coast", name, f"{name}.jpg", f"{name}.png", 4, 2, triples, (), 1, 0.5)


def evaluated(classes: Classes = CLASSES, jobs: dict[str, JobScore] | None = None) -> Evaluation:
    rows = judged("a", (0, 0, 5), (0, 1, 1), (1, 1, 1)), judged("b", (1, 0, 7), (1, 255, 1))
    failed = ImageOutcome(
        "c", (), (EvaluationFailure("c", "", InputError(f"{HOSTILE} is damaged.", why="Cut.")),), 0
    )
    task = EvaluationTask((), [EvaluatedEndpoint("coast", "one", "", classes, nobody)], classes)
    return score_outcomes([*(ImageOutcome(row.name, (row,), (), 1) for row in rows), failed], task, jobs=jobs)


class Tags(HTMLParser):
    """The tags and texts of a page."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data.strip())


def test_csv_has_one_row_per_class():
    """A class in neither ground truth nor prediction has empty cells, not zeros."""
    rows = list(csv.DictReader(io.StringIO(csv_bytes(class_rows(evaluated())).decode())))
    assert [row["class"] for row in rows] == list(CLASSES.names)
    assert float(rows[0]["iou"]) == pytest.approx(5 / 13)
    assert rows[2]["iou"] == rows[2]["dice"] == rows[2]["accuracy"] == ""


def test_iou_near_class_borders_is_trimap_iou():
    """The IoU near class borders of the ground truth is called trimap IoU in CSV, JSON and HTML."""
    evaluation = evaluated()
    assert "trimap_iou" in csv_bytes(class_rows(evaluation)).decode().splitlines()[0].split(",")
    (endpoint,) = json.loads(to_json(evaluation))["endpoints"]
    assert "trimap_mean_iou" in endpoint["measures"]
    page = to_html(evaluation, [], AT).decode()
    assert "Trimap IoU" in Tags(page.encode()).texts


def test_contours_that_were_not_computed():
    """Without the counts of contours, boundary IoU and boundary F1 are null, empty or a dash, and nothing else is."""
    document = json.loads(to_json(evaluated()))
    (endpoint,) = document["endpoints"]
    assert [name for name, value in endpoint["measures"].items() if value is None] == [
        "trimap_mean_iou",
        "boundary_mean_iou",
        "boundary_f1",
    ]
    assert document["by_class"][0]["boundary_iou"] is None


def test_rules_are_next_to_the_means():
    """JSON and page say which classes are left out of a mean, and how the intervals are computed."""
    document = json.loads(to_json(evaluated()))
    assert document["absent_classes"] == ABSENT_CLASSES
    assert "at least 10 images" in document["intervals"]
    assert f"{ABSENT_CLASSES} {HOW}" in Tags(to_html(evaluated(), [], AT)).texts


def test_two_endpoints_with_intervals():
    """JSON, scores.csv and page have the interval of each score, and of the difference with its sentence."""
    evaluation = compared_on(20)
    document = json.loads(to_json(evaluation))
    low, high = document["endpoints"][0]["intervals"]["mean_iou"]
    assert low < document["endpoints"][0]["measures"]["mean_iou"] < high
    assert document["comparison"]["better"] == "coast"
    assert document["comparison"]["first_wins"] == 20
    page = to_html(evaluation, [], AT)
    assert document["comparison"]["sentence"] in Tags(page).texts
    rows = list(csv.DictReader(io.StringIO(csv_bytes(score_rows(evaluation)).decode())))
    last = next(row for row in rows if (row["endpoint"], row["score"]) == ("coast minus inland", "mean_iou"))
    assert float(last["low"]) < float(last["value"]) < float(last["high"])
    assert last["confidence"] == "0.99"


def compared_on(images: int) -> Evaluation:
    """Return an evaluation of two endpoints in which the first one is better, by another amount in each image."""
    outcomes = [
        ImageOutcome(
            f"{index}",
            tuple(
                ImageScore(
                    f"{index}", name, f"{index}", "a.jpg", "a.png", 4, 4,
                    ((0, 0, right + index), (0, 1, 40 - right - index), (1, 1, 40)), (), 0, 0.5,
                )
                for name, right in (("coast", 15), ("inland", 4 + index % 3))
            ),
            (),
            2,
        )
        for index in range(images)
    ]  # fmt: skip
    endpoints = [EvaluatedEndpoint(name, "one", "", CLASSES, nobody) for name in ("coast", "inland")]
    return score_outcomes(outcomes, EvaluationTask((), endpoints, CLASSES))


def test_confusion_has_predictions_that_are_not_classes():
    """Pixels whose predicted id is not a class have their own row."""
    rows = confusion_rows(evaluated())
    assert {"endpoint": "coast", "truth": HOSTILE, "predicted": "none of these", "pixels": 1} in rows
    assert sum(row["pixels"] for row in rows) == 15


def test_json_has_no_nan():
    """JSON does not have NaN: undefined scores are null; failures and the training job are included."""
    found = json.loads(
        to_json(evaluated(jobs={"coast": JobScore("job-1", None, 0.5)})), parse_constant=pytest.fail
    )
    (endpoint,) = found["endpoints"]
    assert found["by_class"][2]["iou"] is None
    assert endpoint["predicted_as_no_class"] == [0, 1, 0]
    assert endpoint["training_job"]["validation_miou_best"] == 0.5
    assert endpoint["training_job"]["validation_miou_last"] is None
    assert found["failed"][0]["why"] == "Cut."


def test_page_escapes_names():
    """Names of classes and files are text in the page, whatever characters they contain."""
    page = Tags(to_html(evaluated(), [], AT))
    assert "script" not in page.tags
    assert HOSTILE in page.texts
    assert any("is damaged" in text for text in page.texts)
    assert "2 images · 3 classes · 15 pixels counted, 2 ignored · created 2026-11-25 09:30 UTC" in page.texts


def test_page_shows_images():
    """The page contains each image with ground truth, prediction and errors."""
    ids = np.array([[0, 0, 1, 1], [0, 0, 1, 255]], np.uint8)
    shot = EvaluationSample(Image.new("RGB", (4, 2)), ids, (ids,), (judged("a"),))
    page = Tags(to_html(evaluated(), [shot], AT))
    assert page.tags.count("img") == 4
    assert {"Image", "Ground truth", "Errors"} < set(page.texts)
    assert "Prediction: mean IoU 66.7%" in page.texts


def test_page_of_many_classes_lists_the_largest_errors():
    """With many classes, the largest errors are listed instead of the confusion matrix."""
    many = Classes.numbered(MOST_CLASSES + 1)
    page = Tags(to_html(evaluated(many), [], AT))
    assert "class 1" in page.texts
    assert "Predicted" in page.texts
    assert "46.7%" in page.texts


def test_page_compares_with_the_training_job():
    """If the training job is known, the page has its score and the reason why it differs."""
    page = Tags(to_html(evaluated(jobs={"coast": JobScore("job-1", 0.25, 0.5)}), [], AT))
    assert "job-1" in page.texts
    assert any(
        "validation mean IoU of 50.0% at its best epoch and 25.0% at its last epoch" in text
        for text in page.texts
    )
    assert any("different things" in text for text in page.texts)
