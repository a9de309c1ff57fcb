"""Damaged responses: each gives a Segmentation or a DecodeError, without a warning.

SEGDECK_FUZZ_RUNS sets the number; of each form it is ten times as high as of the files of other readers, since
responses are small.
"""

import os
import random
import warnings

import numpy as np
import pytest

from core.errors import DecodeError
from core.imaging.segmentation import Segmentation
from core.wire.decode import decode
from tests.support.damage import damaged

RUNS = 10 * int(os.environ.get("SEGDECK_FUZZ_RUNS", "300"))
RECORDIO, PROTOBUF, PNG = "application/x-recordio-protobuf", "application/x-protobuf", "image/png"


def attempt(body, content_type):
    """Return the Segmentation or the DecodeError of decoding; raise anything else."""
    try:
        return decode(body, content_type)
    except DecodeError as error:
        return error


def outcome(body, content_type):
    """Return `value` or `error`, after checking that it is valid."""
    got = attempt(body, content_type)
    if isinstance(got, DecodeError):
        assert got.found
        assert got.wanted
        assert got.offset is None or 0 <= got.offset <= len(body)
        return "error"
    assert isinstance(got, Segmentation)
    assert got.probabilities is None or np.array_equal(got.labels, np.argmax(got.probabilities, axis=0))
    return "value"


@pytest.fixture(scope="module")
def bodies(wire):
    """Return small responses of every form."""
    planes = wire.softmax(3, 2, 3)
    record = wire.bare(planes)
    double = wire.field(3, wire.field(1, planes.astype(float).tobytes()))
    single = wire.field(2, b"".join(b"\x0d" + value.tobytes() for value in planes.ravel()))
    others = [
        wire.feature("shape", wire.integers([3, 2, 3])) + wire.feature("target", value)
        for value in (double, single, wire.integers(range(-9, 9)))
    ]
    split = wire.frame(record[:12], 1) + wire.frame(record[12:20], 2) + wire.frame(record[20:], 3)
    ids = np.arange(12, dtype=np.uint8).reshape(3, 4)
    return {
        "recordio": [(wire.frame(record), RECORDIO), (split, RECORDIO), (wire.frame(others[0]), PROTOBUF)],
        "bare": [(body, PROTOBUF) for body in (record, *others)],
        "png": [
            (body, PNG) for body in (wire.palette_png(ids), wire.palette_png(ids, bits=4), wire.gray_png(ids))
        ],
    }


@pytest.mark.parametrize("form", ["recordio", "bare", "png"])
def test_damaged_responses(bodies, form):
    """However a response is damaged, decoding gives a Segmentation or a DecodeError."""
    chance = random.Random(f"{form} 1")
    seen = {"value": 0, "error": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(RUNS):
            body, content_type = chance.choice(bodies[form])
            seen[outcome(damaged(body, chance, checksums=form == "png"), content_type)] += 1
    # Both occur: the damage is neither always fatal nor always harmless.
    assert min(seen.values()) > RUNS // 50, seen
