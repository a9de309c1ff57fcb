"""Preparing transform jobs: what a partial listing allows, and what a resume sends."""

from __future__ import annotations

import json
from dataclasses import replace

from core.batch.job import BatchSpec
from core.batch.objects import StoredObject, check_inputs, place_inputs, sort_inputs
from core.batch.prepare import NO_ANSWER, ListedInputs, prepare, prepare_resume

SPEC = BatchSpec("night", "roads", "s3://data/in/", "s3://data/out/", "ml.g4dn.xlarge", payload_mb=0)
PREFIX = "s3://data/in/"


def test_a_manifest_is_never_made_of_a_part_of_the_images() -> None:
    """Where not all objects could be listed, a job for the whole prefix is possible, one for a manifest is not."""
    images = [StoredObject("a.jpg", 10)]
    whole = prepare(SPEC, ListedInputs(PREFIX, sort_inputs(images), complete=False))
    assert whole.errors == ()
    assert whole.manifest == ""
    partial = prepare(
        SPEC, ListedInputs(PREFIX, sort_inputs([*images, StoredObject("b.png", 10)]), complete=False)
    )
    assert "too many objects to list them all" in partial.errors[0]


def test_a_resume_sends_what_a_hanging_container_left() -> None:
    """Images that were rejected are not sent again; those that a container did not answer are."""
    images = tuple(StoredObject(key, 10) for key in ("done.jpg", "bad.jpg", "hung.jpg", "new.jpg"))
    reasons = {"bad.jpg": "ClientError: 400", "hung.jpg": f"{NO_ANSWER}: x"}
    batch = prepare_resume(SPEC, PREFIX, sort_inputs(images), {"done.jpg.out"}, reasons)
    assert [image.key for image in batch.images] == ["hung.jpg", "new.jpg"]
    assert batch.excluded == ("bad.jpg",)


def test_a_resume_keeps_the_names_of_the_outputs() -> None:
    """Images outside of a prefix without a slash get a job of their own, whose manifest names them as before."""
    images = [StoredObject(key, 10) for key in ("a.jpg", "b.jpg", "in2/c.jpg")]
    inputs = sort_inputs(images, frozenset({"in2/c.jpg"}))
    first = prepare_resume(SPEC, PREFIX, inputs, {"a.jpg.out"}, {})
    assert json.loads(first.manifest) == [{"prefix": "s3://data/in/"}, "b.jpg"]
    assert "1 image outside of s3://data/in/ will not be sent" in first.warnings[0]
    second = prepare_resume(SPEC, PREFIX, inputs, {"a.jpg.out", "b.jpg.out"}, {})
    assert json.loads(second.manifest) == [{"prefix": "s3://data/"}, "in2/c.jpg"]
    assert second.warnings == ()


def test_a_prefix_that_ends_within_names_is_narrowed_with_a_note() -> None:
    """A new job reads one folder; that SageMaker would read more for the prefix as it was typed is reported."""
    spec = replace(SPEC, input_uri="s3://data/in")
    batch = prepare(spec, ListedInputs(PREFIX, sort_inputs([StoredObject("a.jpg", 10)])))
    assert batch.spec.input_uri == PREFIX
    assert "every key that begins with s3://data/in." in batch.warnings[0]
    assert prepare(SPEC, ListedInputs(PREFIX, sort_inputs([StoredObject("a.jpg", 10)]))).warnings == ()


def test_two_images_with_the_same_mask_are_named() -> None:
    """Of a prefix without a slash, in/in2/x.jpg and in2/x.jpg write one mask: both are named, neither is resumed."""
    below = [StoredObject(key, 10) for key in ("in/a.jpg", "in/in2/x.jpg", "in2/x.jpg", "in2/y.jpg")]
    prefix, objects, outside = place_inputs("s3://data/in", below)
    inputs = sort_inputs(objects, outside)
    assert inputs.shared == ("in2/x.jpg",)
    warning = next(
        problem.message for problem in check_inputs(inputs, SPEC) if "two images" in problem.message
    )
    assert "in2/x.jpg.out is the mask of s3://data/in/in2/x.jpg and of s3://data/in2/x.jpg." in warning
    batch = prepare_resume(SPEC, prefix, inputs, {"in2/y.jpg.out"}, {})
    assert [image.key for image in batch.images] == ["a.jpg"]
    assert batch.warnings[0].startswith("Not sent: 1 mask belongs to two images")
    done = prepare_resume(SPEC, prefix, inputs, {"in2/x.jpg.out", "in2/y.jpg.out", "a.jpg.out"}, {})
    assert (done.images, done.warnings) == ((), ())
