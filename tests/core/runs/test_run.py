"""Runs as values: what is written is read, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from core.imaging.classes import Classes
from core.runs.run import RUN_ID, Run, RunEndpoint, RunImage, image_rows, new_id, summary

NAME = "bay \u202e<b>[x](y)`.jpg"
IMAGE = RunImage("1" * 32, NAME, "1" * 32, "2" * 32, "3" * 32, "bay.png", "done", 0.2, (("sea", 0.75),), 0.5)
RUN = Run(
    "a" * 32,
    "segmentation",
    datetime(2026, 3, 1, 12, tzinfo=UTC),
    "arn:aws:iam::1:user/ann",
    "AWS (eu-west-1)",
    (RunEndpoint("roads", "config 2026", "s3://models/model.tar.gz", "train-1"),),
    fit=(800, 600),
    classes=Classes.numbered(2),
    images=(IMAGE, RunImage("4" * 32, "b.jpg", state="failed", error="No.")),
)
EVALUATION = replace(
    RUN,
    kind="evaluation",
    images=(),
    title="val",
    names=("x.jpg",),
    image_count=3,
    failed=1,
    measures=({"mean_iou": 0.25, "mean_dice": None},),
    scores="5" * 32,
    contents=("6" * 32,),
    form={"labelled": "A folder"},
)


@pytest.mark.parametrize("run", [RUN, EVALUATION, replace(RUN, fit=None, classes=None, images=())])
def test_a_run_is_read_as_it_was_written(run: Run):
    """`from_dict` returns the run that `to_dict` wrote."""
    assert Run.from_dict(run.to_dict()) == run


@pytest.mark.parametrize(
    "change",
    [
        {"segdeck": "plan"},
        {"version": 2},
        {"id": "../../etc/passwd"},
        {"kind": "other"},
        {"endpoints": []},
        {"started_at": "2026-03-01T12:00:00"},
        {"started_at": 7},
        {"scores": "../secret"},
        {"contents": ["/etc/passwd"]},
        {"images": [{"id": "x"}]},
        {"images": None},
        {"classes": "{}"},
        {"fit": ["a", "b"]},
        {"user": None},
    ],
)
def test_anything_else_is_refused(change: dict[str, Any]):
    """A document with an invalid value, such as a path in place of an id, is not a run."""
    with pytest.raises(ValueError, match=r"not a run|invalid"):
        Run.from_dict(RUN.to_dict() | change)


def test_a_missing_field_is_refused():
    """A document without one of the fields is not a run."""
    for name in RUN.to_dict():
        document = RUN.to_dict()
        del document[name]
        with pytest.raises(ValueError, match="not a run"):
            Run.from_dict(document)


def test_the_id_cannot_be_guessed():
    """An id has 128 random bits, and no two are the same."""
    ids = {new_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(map(RUN_ID.fullmatch, ids))


def test_counts():
    """A run counts its images: done, failed, and with ground truth."""
    assert (RUN.total, RUN.done, RUN.failures, RUN.mean_iou) == (2, 1, 1, 0.5)
    assert (EVALUATION.total, EVALUATION.done, EVALUATION.failures, EVALUATION.mean_iou) == (4, 3, 1, 0.25)
    assert replace(RUN, images=()).mean_iou is None


def test_what_a_run_needs():
    """A run names all of its files in the store, so that they are removed with it."""
    assert RUN.content_ids == {"1" * 32, "3" * 32}
    assert RUN.response_keys == {"2" * 32}
    assert EVALUATION.content_ids == {"5" * 32, "6" * 32}


def test_images_are_added_replaced_and_removed():
    """An image replaces the one with its id, in its place; a new one is the last."""
    changed = RUN.with_image(replace(IMAGE, state="pending"))
    assert [image.state for image in changed.images] == ["pending", "failed"]
    assert [image.id[0] for image in RUN.with_image(replace(IMAGE, id="7")).images] == ["1", "4", "7"]
    assert [image.name for image in RUN.without_images([IMAGE.id]).images] == ["b.jpg"]


@pytest.mark.parametrize(
    ("text", "found"),
    [("", True), ("BAY", True), ("roads bay", True), ("ann", True), ("train-1", True), ("bay lakes", False)],
)
def test_search(text: str, found: bool):
    """A search finds runs by file, endpoint, model, job and user, in any case; all words must occur."""
    assert RUN.matches(text) == found


def test_the_documents_for_programs_are_exact():
    """A program reads file names as they are."""
    assert image_rows(RUN)[0]["name"] == NAME
    assert image_rows(RUN)[1]["error"] == "No."
    document = summary(EVALUATION)
    assert document["scores"] == [{"mean_iou": 0.25, "mean_dice": None}]
    assert document["dataset"] == "val"
    assert "contents" not in document
