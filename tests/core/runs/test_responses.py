"""Cached responses: the same request to the same model, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.endpoints.endpoint import EndpointInfo
from core.errors import InputError
from core.imaging.image import EncodedImage
from core.inference.invoke import EndpointResponse, Inference, reopen, segment
from core.runs.responses import ModelIdentity, ResponseCache, model_identity, response_key
from core.wire.decode import PNG, RECORDIO
from tests.support.answers import HEIGHT, WIDTH, mask, probabilities, recordio

MODEL = ModelIdentity("AWS eu-west-1", "roads", "config 2026-03-01", "s3://models/model.tar.gz")
IMAGE = EncodedImage(b"jpeg", "image/jpeg", HEIGHT, WIDTH, HEIGHT, WIDTH, None)
KEY = response_key(IMAGE, MODEL)


def answered(body: bytes, content_type: str) -> Inference:
    return segment(
        IMAGE,
        lambda *_: EndpointResponse(body, content_type, 0.25),
        endpoint="roads",
        accepts={},
        want="mask" if content_type == PNG else "probabilities",
        clock=iter((0.0, 0.25, 0.3)).__next__,
    )


@pytest.fixture
def cache(tmp_path: Path) -> ResponseCache:
    return ResponseCache(tmp_path / "responses")


def test_probabilities_come_back(cache):
    """A stored response is decoded to the same probabilities, without a call, and is marked as cached."""
    sent = answered(recordio(probabilities()), RECORDIO)
    cache.add(KEY, sent)
    stored = cache.get(KEY, "probabilities")
    assert stored is not None
    assert stored.complete
    again = reopen(IMAGE, stored.response, endpoint="roads", accept=stored.accept)
    assert again.cached
    assert (again.accept, again.endpoint_seconds) == (RECORDIO, 0.25)
    assert np.array_equal(again.segmentation.probabilities, sent.segmentation.probabilities)
    assert not sent.cached


def test_a_mask_is_served_from_probabilities_too(cache):
    """A request for a mask is answered by the class ids of an earlier response with probabilities."""
    sent = answered(recordio(probabilities()), RECORDIO)
    cache.add(KEY, sent)
    stored = cache.get(KEY, "mask")
    assert stored is not None
    assert stored.complete
    again = reopen(IMAGE, stored.response, endpoint="roads", accept=stored.accept)
    assert np.array_equal(again.segmentation.labels, sent.segmentation.labels)
    assert again.segmentation.probabilities is None


def test_a_mask_alone_is_no_response_to_a_request_for_probabilities(cache):
    """Probabilities that were never paid for are requested; then both are there."""
    cache.add(KEY, answered(mask(), PNG))
    assert cache.get(KEY, "probabilities") is None
    assert cache.get(KEY, "mask") is not None
    cache.add(KEY, answered(recordio(probabilities()), RECORDIO))
    cache.add(KEY, answered(mask(), PNG))
    stored = cache.get(KEY, "probabilities")
    assert stored is not None
    assert stored.complete


def test_removed_probabilities_leave_the_class_ids(cache):
    """Where the large part was removed to save space, the class ids are still shown, and said to be incomplete."""
    sent = answered(recordio(probabilities()), RECORDIO)
    cache.add(KEY, sent)
    (cache.folder / f"{KEY}.body").unlink()
    stored = cache.get(KEY, "probabilities")
    assert stored is not None
    assert not stored.complete
    again = reopen(IMAGE, stored.response, endpoint="roads", accept=stored.accept)
    assert np.array_equal(again.segmentation.labels, sent.segmentation.labels)


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"segdeck": "response", "version": 1}', b"\xff"])
def test_a_damaged_entry_counts_as_missing(cache, damage):
    """A truncated or foreign file is no response."""
    cache.add(KEY, answered(recordio(probabilities()), RECORDIO))
    (cache.folder / f"{KEY}.json").write_bytes(damage)
    assert cache.get(KEY, "probabilities") is None


def test_a_key_is_never_a_path(cache):
    """Only a hash is a key."""
    with pytest.raises(ValueError, match="not a key"):
        cache.get("../" + "a" * 29, "mask")


@pytest.mark.parametrize(
    "other",
    [
        replace(MODEL, location="AWS us-east-1"),
        replace(MODEL, endpoint="roads-2"),
        replace(MODEL, config="config 2026-03-02"),
        replace(MODEL, model_uri="s3://models/other.tar.gz"),
    ],
)
def test_another_model_has_other_responses(other: ModelIdentity):
    """An updated endpoint, another endpoint or another account does not get an earlier response."""
    assert response_key(IMAGE, other) != KEY


def test_other_bytes_have_another_response():
    """The response belongs to the bytes that were sent."""
    assert response_key(replace(IMAGE, body=b"jpeg2"), MODEL) != KEY
    assert response_key(replace(IMAGE, content_type="image/png"), MODEL) != KEY


def test_a_model_without_a_known_configuration_has_no_identity():
    """Where the configuration may not be read, an update would go unnoticed: nothing is reused."""
    assert model_identity(EndpointInfo("roads", "InService"), "AWS") is None
    assert model_identity(EndpointInfo("roads", "InService", config="only-its-name"), "AWS") is None
    known = EndpointInfo("roads", "InService", config="c 2026", model_uri="s3://m/model.tar.gz")
    assert model_identity(known, "AWS") == ModelIdentity("AWS", "roads", "c 2026", "s3://m/model.tar.gz")


def test_a_folder_that_cannot_be_written_is_reported(tmp_path: Path):
    """Where the disk does not take a response, the error says so."""
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="SEGDECK_STATE_DIR"):
        ResponseCache(tmp_path / "file" / "x").add(KEY, answered(mask(), PNG))
