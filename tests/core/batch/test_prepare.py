"""Preparing transform jobs: what a partial listing allows, and what a resume sends."""

from __future__ import annotations

from core.batch.job import BatchSpec
from core.batch.objects import StoredObject, sort_inputs
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
    batch = prepare_resume(SPEC, PREFIX, images, {"done.jpg.out"}, reasons)
    assert [image.key for image in batch.images] == ["hung.jpg", "new.jpg"]
    assert batch.excluded == ("bad.jpg",)
