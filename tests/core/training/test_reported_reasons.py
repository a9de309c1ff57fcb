"""Reasons of real failed jobs that were once explained wrongly: what is blamed now, and what must not be."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from core.training.diagnosis import diagnose
from core.training.job import from_description

AT = datetime(2026, 11, 30, 10, tzinfo=UTC)
INPUT = (
    "ClientError: Unable to initialize the algorithm. Failed to validate input data configuration. "
    "(caused by ValidationError)\n\nCaused by: "
)
NOT_RECORDIO = (
    "[11/30/2026 10:00:00 ERROR 140] Customer Error: Unable to parse record. "
    "Please make sure input data is in correct recordio format."
)
VALUES = INPUT.replace("input data configuration", "hyperparameters")


@dataclass(frozen=True)
class Case:
    """A failed job, and a part of the right cause. log: its last lines; empty if none is kept."""

    reason: str
    title: str
    cause: str
    log: tuple[str, ...] = ()


CASES = {
    "recordio-magic": Case(
        "AlgorithmError: Internal Server Error, (Input Error) Unable to parse record: The Record IO header does not "
        "start with the magic number., exit code: 1",
        "Not RecordIO data",
        "The algorithm expected RecordIO",
        (
            "[11/30/2026 10:00:00 ERROR 140] Algorithm Error: Internal Server Error",
            "(Input Error) Unable to parse record: The Record IO header does not start with the magic number.",
        ),
    ),
    "internal-reason": Case(
        "InternalServerError: We encountered an internal error. Please try again.",
        "Not RecordIO data",
        "The algorithm expected RecordIO",
        (NOT_RECORDIO,),
    ),
    "content-type": Case(
        f"{INPUT}u'image/jpg' is not one of [u'image/jpeg', u'application/x-image', u'application/x-recordio'], "
        "exit code: 2",
        "Invalid channel setting",
        "The content type of a channel is “image/jpg”",
    ),
    "distribution": Case(
        f"{INPUT}u'ShardedByS3Key' is not one of [u'FullyReplicated'], exit code: 2",
        "Invalid channel setting",
        "The S3DataDistributionType of a channel is “ShardedByS3Key”",
    ),
    "channel-name": Case(
        f"{INPUT}Additional properties are not allowed (u'train_annotations' was unexpected), exit code: 2",
        "Unknown channel",
        "no channel “train_annotations”",
    ),
    "enum": Case(
        f"{VALUES}u'resnet-51' is not one of [u'resnet-50', u'resnet-101'], exit code: 2",
        "Invalid hyperparameter",
        "The value “resnet-51” of backbone is not allowed",
    ),
    "mini-batch": Case(
        "ClientError: The number of input images must be bigger or equal to the mini_batch_size., exit code: 2",
        "Batch larger than the dataset",
        "mini_batch_size is 32",
    ),
    "empty-batch": Case(
        "ClientError: Got empty batch from pipe. Please check if the manifest file contains valid batches and the "
        "value of training job parameter AttributeNames matches attributes names in the augmented manifest., "
        "exit code: 2",
        "Empty batches",
        "AttributeNames differ from the attributes in the manifest",
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_reported_reason_blames_the_input(case: Case) -> None:
    """The diagnosis names the input at fault; it blames neither AWS nor a container that never ran."""
    job = from_description(
        {
            "TrainingJobName": "roads",
            "CreationTime": AT,
            "TrainingStartTime": AT,
            "TrainingJobStatus": "Failed",
            "SecondaryStatus": "Failed",
            "FailureReason": case.reason,
            "HyperParameters": {"backbone": "resnet-51", "mini_batch_size": "32"},
        }
    )
    diagnosis = diagnose(job, case.log)
    assert diagnosis is not None
    assert diagnosis.title == case.title
    assert case.cause in diagnosis.cause
    assert "AWS failed" not in diagnosis.title
    assert "never ran" not in diagnosis.cause
