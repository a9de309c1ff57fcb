"""A stored evaluation is the same as before, without its dataset and without a call."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.errors import InputError, ThrottledError
from core.evaluation.calibration import ConfidenceCounts
from core.evaluation.files import make, worst_samples
from core.evaluation.pairs import LabeledImage
from core.evaluation.report import to_json
from core.evaluation.results import Evaluation, JobScore, endpoint_scores, score_outcomes
from core.evaluation.run import EvaluatedEndpoint, EvaluationFailure, EvaluationTask, evaluate
from core.evaluation.store import FILES, PredictionStore
from core.imaging.classes import Classes
from core.inference.invoke import EndpointResponse
from core.runs.evaluation import StoredEvaluation, measures_of, names_of, reopen, store_image, to_bytes
from core.runs.store import RunStore

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
CLASSES = Classes(("sea", "land"), ((0, 0, 255), (0, 170, 0)))
TRUTH = np.array([[0, 0, 1, 1], [0, 0, 1, 255]], np.uint8)
PREDICTED = np.array([[0, 0, 0, 1], [0, 0, 1, 1]], np.uint8)


def png(ids: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(ids).save(file, "PNG")
    return file.getvalue()


def jpeg(shade: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4, 2), (shade, shade, 200)).save(file, "JPEG")
    return file.getvalue()


def pair(name: str, shade: int) -> LabeledImage:
    return LabeledImage(name, f"{name}.jpg", f"{name}.png", lambda: jpeg(shade), lambda: png(TRUTH))


PAIRS = [pair("a", 1), pair("b", 2)]


@pytest.fixture
def predictions(tmp_path: Path) -> PredictionStore:
    return PredictionStore(tmp_path / "predictions")


@pytest.fixture
def evaluation(predictions: PredictionStore) -> Evaluation:
    """Two endpoints on two images, with a failure, a note and a training job."""

    def invoke(*_: object) -> EndpointResponse:
        return EndpointResponse(png(PREDICTED), "image/png", 0.5)

    endpoints = [EvaluatedEndpoint(name, "c", "", CLASSES, invoke) for name in ("new", "old")]
    task = EvaluationTask(PAIRS, endpoints, CLASSES, notes=("A note.",))
    scored = score_outcomes(evaluate(task, predictions), task, jobs={"new": JobScore("job", 0.5, None)})
    failure = EvaluationFailure("c", "old", ThrottledError("Too many calls.", why="Why.", todo="Wait."))
    return replace(scored, failures=(failure,))


@pytest.fixture
def stored(tmp_path: Path, evaluation: Evaluation, predictions: PredictionStore) -> StoredEvaluation:
    """The same, from the disk, where the first image alone is stored."""
    store = RunStore(tmp_path / "runs", 10**6, lambda: NOON)
    keys = [
        image.score.key
        for scores in evaluation.endpoints
        for image in scores.images
        if image.score.name == "a"
    ]
    images = {"a": store_image(store, PAIRS[0], keys, predictions)}
    return reopen(store, store.add_content(to_bytes(evaluation, 12.5, images)))


@pytest.mark.parametrize("name", [name for name in FILES if name != "report.html"])
def test_the_tables_are_the_same(evaluation, stored, name):
    """Each table and the JSON report of a stored evaluation equal those of the evaluation itself."""
    assert make(stored.evaluation, name, list, NOON) == make(evaluation, name, list, NOON)


def test_scores_and_seconds(evaluation, stored):
    """The overall scores are the same, and the duration is known."""
    assert measures_of(stored.evaluation) == measures_of(evaluation)
    assert names_of(stored.evaluation) == names_of(evaluation) == ("a.jpg", "b.jpg")
    assert stored.seconds == 12.5


def test_an_image_with_its_masks(evaluation, stored, predictions):
    """A stored image comes with its ground truth and each endpoint's prediction, for the viewer and the report."""
    (sample,) = worst_samples(stored.evaluation, stored.pairs, stored.masks)
    original = worst_samples(evaluation, PAIRS, predictions)[0]
    assert sample.name == "a"
    assert np.array_equal(sample.ground_truth, original.ground_truth)
    assert all(map(np.array_equal, sample.predicted, original.predicted))
    assert np.array_equal(np.asarray(sample.image), np.asarray(original.image))


def test_an_image_that_is_not_stored(stored):
    """Scores of an image that is not stored are shown all the same; its pixels are said to be missing, by name."""
    missing = next(pair for pair in stored.pairs if pair.name == "b")
    with pytest.raises(InputError, match=r"b\.jpg is not stored"):
        missing.read_image()
    key = stored.evaluation.endpoints[0].images[-1].score.key
    with pytest.raises(InputError, match="not stored"):
        stored.masks.predicted(key)


def test_an_evaluation_stored_before_contours_were_counted(tmp_path, evaluation):
    """An evaluation from an earlier version opens; its contours are not computed, which a note says."""
    document = json.loads(to_bytes(evaluation, 1.0, {}))
    for endpoint in document["endpoints"]:
        for image in endpoint["images"]:
            del image["contours"]
    store = RunStore(tmp_path / "earlier", 10**6, lambda: NOON)
    opened = reopen(store, store.add_content(json.dumps(document).encode())).evaluation
    now, before = measures_of(opened)[0], measures_of(evaluation)[0]
    assert now["boundary_mean_iou"] is now["boundary_f1"] is None
    assert before["boundary_mean_iou"] > 0
    assert {**before, "boundary_mean_iou": None, "boundary_f1": None} == now
    assert [note for note in opened.notes if "not computed" in note]


def test_calibration_is_stored(tmp_path, evaluation):
    """The counts of the confidence are stored with an evaluation, and give the same calibration."""
    counts = (ConfidenceCounts(0, 59, 5, 4, 4, 3.96), ConfidenceCounts(1, 30, 2, 3, 2, 1.5))
    rows = [replace(image.score, confidences=counts) for image in evaluation.endpoints[0].images]
    scored = replace(evaluation, endpoints=(endpoint_scores("new", rows, 2),))
    store = RunStore(tmp_path / "calibrated", 10**6, lambda: NOON)
    opened = reopen(store, store.add_content(to_bytes(scored, 1.0, {}))).evaluation
    assert to_json(opened) == to_json(scored)
    assert opened.endpoints[0].calibration.error == pytest.approx((4 - 3.96 + 2 - 1.5) / 7)


@pytest.mark.parametrize("counts", [[[0, 1]], [[0, 1, 1, 1, 1, 1, 1, -1]], [["0", 1, 1, 1, 1, 1, 1, 1]], 5])
def test_damaged_counts_are_reported(tmp_path, evaluation, counts):
    """Counts of contours that no version writes are reported as damaged."""
    document = json.loads(to_bytes(evaluation, 1.0, {}))
    document["endpoints"][0]["images"][0]["contours"] = counts
    store = RunStore(tmp_path / "damaged", 10**6, lambda: NOON)
    with pytest.raises(InputError, match="Evaluate again"):
        reopen(store, store.add_content(json.dumps(document).encode()))


@pytest.mark.parametrize(
    "data", [b"", b"{}", b'{"segdeck": "evaluation scores", "version": 9}', b"[1]", b"\xff"]
)
def test_damaged_scores_are_reported(tmp_path, data):
    """Scores that cannot be read are reported as such, with what to do."""
    store = RunStore(tmp_path / "runs", 10**6, lambda: NOON)
    with pytest.raises(InputError, match="Evaluate again"):
        reopen(store, store.add_content(data))


def test_scores_that_were_removed_are_reported(tmp_path):
    """A run whose scores are gone says so."""
    with pytest.raises(InputError, match="no longer stored"):
        reopen(RunStore(tmp_path / "runs", 10**6, lambda: NOON), "a" * 32)
