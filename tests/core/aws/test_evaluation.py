"""What an evaluation reads from AWS: an endpoint's training job, and labeled data in S3."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from PIL import Image

from core.aws.evaluation import job_behind, job_scores, pairs_in_s3, validation_images, validation_set
from core.endpoints.endpoint import EndpointInfo
from core.errors import InputError
from core.training.channels import Channel, data_channels
from core.training.job import TrainingJob, from_description

NOW = datetime(2026, 11, 25, tzinfo=UTC)
SERVING = EndpointInfo("coast", "InService", model_uri="s3://models/a/output/model.tar.gz")


def job(name: str) -> dict[str, Any]:
    return {"TrainingJobName": name, "TrainingJobStatus": "Completed", "CreationTime": NOW.timestamp()}


def page(server: Any, *names: str) -> Any:
    return server.json({"Results": [{"TrainingJob": job(name)} for name in names]})


def listing(*keys: str) -> bytes:
    rows = "".join(f"<Contents><Key>{key}</Key><Size>1</Size></Contents>" for key in keys)
    return f"<ListBucketResult><IsTruncated>false</IsTruncated>{rows}</ListBucketResult>".encode()


def trained(*channels: Channel) -> TrainingJob:
    return replace(from_description(job("a") | {"CreationTime": NOW}), channels=channels)


def test_job_by_its_artifact(canned_server: Any) -> None:
    """An endpoint's training job is found by one search for its model."""
    canned_server.says(page(canned_server, "a"))
    found = job_behind(canned_server.clients(), SERVING)
    assert found is not None
    assert found.name == "a"
    assert canned_server.asked == [("Search", "/")]


def test_job_by_the_endpoints_tag(canned_server: Any) -> None:
    """If the endpoint's tag names the job, it is described without a search."""
    canned_server.says(canned_server.json(job("b")))
    found = job_behind(canned_server.clients(), replace(SERVING, job="b"))
    assert found is not None
    assert found.name == "b"
    assert canned_server.asked == [("DescribeTrainingJob", "/")]


def test_nobody_knows_the_job(canned_server: Any) -> None:
    """A model without a training job, or with an unknown URI, has no job."""
    canned_server.says(page(canned_server))
    assert job_behind(canned_server.clients(), SERVING) is None
    assert job_behind(canned_server.clients(), EndpointInfo("coast", "InService")) is None
    assert len(canned_server.asked) == 1


def test_refusal_is_a_note(canned_server: Any) -> None:
    """The job's own scores are optional: if they may not be read, a note says so."""
    canned_server.says(canned_server.error(400, "AccessDeniedException", "no"))
    found, notes = job_scores(canned_server.clients(), [SERVING])
    assert found == {}
    assert "The scores of the training job of coast are unknown" in notes[0]
    assert "not allowed" in notes[0]


def test_pairs_of_two_prefixes(canned_server: Any) -> None:
    """Two listings make the pairs; no image is read before it is needed."""
    canned_server.says(
        canned_server.raw(200, listing("p/a.jpg", "p/b.jpg", "p/c.jpg")),
        canned_server.raw(200, listing("m/a.png", "m/b.png")),
    )
    pairs, notes = pairs_in_s3(canned_server.clients(), "s3://bucket/p", "s3://bucket/m/")
    assert [(pair.name, pair.image, pair.mask) for pair in pairs] == [
        ("a", "a.jpg", "a.png"),
        ("b", "b.jpg", "b.png"),
    ]
    assert notes == ("Skipped the image c: it has no mask.",)
    assert len(canned_server.asked) == 2


def test_validation_images_of_the_model(canned_server: Any) -> None:
    """A few validation images of the job behind a model are offered, evenly spread; masks and folders are not."""
    row = job("a") | {
        "InputDataConfig": [
            {
                "ChannelName": "validation",
                "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://bucket/v"}},
            }
        ]
    }
    keys = [f"v/{number}.jpg" for number in range(8)]
    canned_server.says(
        canned_server.json({"Results": [{"TrainingJob": row}]}),
        canned_server.raw(200, listing("v/", "v/notes.txt", *keys)),
    )
    name, uris = validation_images(canned_server.clients(), SERVING, 4)
    assert name == "a"
    assert uris == tuple(f"s3://bucket/v/{number}.jpg" for number in (0, 2, 4, 6))


def test_no_validation_images(canned_server: Any) -> None:
    """A model without a known job, or whose job has no such channel, has none; nothing is listed."""
    canned_server.says(page(canned_server), page(canned_server, "a"))
    assert validation_images(canned_server.clients(), SERVING, 4) == ("", ())
    assert validation_images(canned_server.clients(), SERVING, 4) == ("", ())
    assert [operation for operation, _ in canned_server.asked] == ["Search", "Search"]


def test_label_map_of_the_job(canned_server: Any) -> None:
    """A job's validation masks are read with the job's own label map."""
    canned_server.says(
        canned_server.raw(200, listing("d/label_map/validation_label_map.json")),
        canned_server.raw(200, json.dumps({"map": {"0": 5, "1": 0}}).encode()),
        canned_server.raw(200, listing("d/validation/a.jpg")),
        canned_server.raw(200, listing("d/validation_annotation/a.png")),
    )
    channels = (*data_channels("s3://bucket/d"), Channel("label_map", "s3://bucket/d/label_map/"))
    (pair,), _ = validation_set(canned_server.clients(), trained(*channels))
    file = io.BytesIO()
    Image.fromarray(np.array([[5, 0, 255]], np.uint8)).save(file, "PNG")
    assert pair.ids(file.getvalue(), "a.png").tolist() == [[0, 1, 255]]


@pytest.mark.parametrize(
    ("channels", "reason"),
    [
        ((), "has no such channel"),
        (
            (Channel("validation", "s3://b/x.manifest", data_type="AugmentedManifestFile"),),
            "reads it from a AugmentedManifestFile",
        ),
    ],
)
def test_validation_that_is_no_prefix(canned_server: Any, channels: Any, reason: str) -> None:
    """A job without a validation prefix is an error that says what it reads, before anything is listed."""
    with pytest.raises(InputError, match=reason):
        validation_set(canned_server.clients(), trained(*channels))
    assert canned_server.asked == []
