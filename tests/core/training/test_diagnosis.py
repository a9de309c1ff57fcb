"""Why a training job failed, in words."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.training.diagnosis import MAX_EVIDENCE, diagnose
from core.training.job import TrainingJob, from_description


def job(
    reason: str = "",
    *,
    status: str = "Failed",
    secondary: str = "Failed",
    model: str = "",
    **more: object,
) -> TrainingJob:
    return from_description(
        {
            "TrainingJobName": "roads",
            "CreationTime": datetime(2026, 11, 22, tzinfo=UTC),
            "TrainingJobStatus": status,
            "SecondaryStatus": secondary,
            "FailureReason": reason,
            "ResourceConfig": {"InstanceType": "ml.p3.2xlarge", "InstanceCount": 1, "VolumeSizeInGB": 50},
            "StoppingCondition": {"MaxRuntimeInSeconds": 600, "MaxWaitTimeInSeconds": 900},
            "ModelArtifacts": {"S3ModelArtifacts": model},
            "HyperParameters": {"backbone": "resnet-18", "mini_batch_size": "32", "epochs": "0"},
            "SecondaryStatusTransitions": [
                {"Status": "Interrupted", "StartTime": datetime(2026, 11, 22, tzinfo=UTC)}
            ],
            **more,
        }
    )


REASONS = [
    (
        "ResourceLimitExceeded: The account-level service limit 'ml.p3.2xlarge for training job usage' is 0",
        "Quota reached",
    ),
    ("CapacityError: Unable to provision requested ML compute capacity. Please retry.", "No capacity"),
    ("ClientError: Could not assume role arn:aws:iam::1:role/x. Please check it", "The role cannot be used"),
    ("ClientError: Data download failed: S3 HeadObject: AccessDenied (403): Access Denied", "Access denied"),
    ("ClientError: Cannot find repository semantic-segmentation in registry ID 8112", "Image not found"),
    ("CannotPullContainerError: manifest unknown: Requested image not found", "Image not found"),
    ("ClientError: No S3 objects found under S3 URL 's3://b/d/train' given in input data", "No data found"),
    (
        "ClientError: Additional properties are not allowed (u'mini_batch_siz' was unexpected) (caused by X)",
        "Unknown hyperparameter",
    ),
    ("ClientError: u'0' is not valid under any of the given schemas (caused by X)", "Invalid hyperparameter"),
    ("ClientError: 'num_classes' is a required property", "Invalid hyperparameter"),
    ("ClientError: Failed to validate. u'train_annotation' is a required property", "Channel missing"),
    ("ClientError: Missing required channel: validation_annotation", "Channel missing"),
    ("AlgorithmError: CUDA: Check failed: e == cudaSuccess: out of memory", "Out of memory"),
    ("AlgorithmError: cudaMalloc failed: out of memory", "Out of memory"),
    ("AlgorithmError: Please use an instance type with more memory, exit code: 137", "Out of memory"),
    ("ClientError: No space left on device", "Disk full"),
    ("ClientError: The size of the mask a.png does not match its image", "Image and mask sizes differ"),
    (
        "ClientError: The annotation a.png holds label 9, which is outside 0..5 (num_classes is 6)",
        "Label out of range",
    ),
    ("ClientError: cannot identify image file 'a.png'", "A file cannot be read"),
    (
        "InternalServerError: the sandbox was restarted while this job was running",
        "The sandbox was restarted",
    ),
    ("InternalServerError: We encountered an internal error. Please try again.", "AWS failed"),
    (
        "ClientError: Incremental training: num_classes is 5 and was 6. backbone, num_classes must be identical.",
        "Settings differ from the earlier model",
    ),
    (
        "ClientError: The image a.jpg and 3 more of the channel 'train' has no annotation: no file a.png was found",
        "Images without masks",
    ),
    ("ClientError: The label map train_label_map.json cannot be read (bad number)", "Invalid label map"),
]


@pytest.mark.parametrize(("reason", "title"), REASONS)
def test_a_known_reason_has_a_diagnosis(reason: str, title: str) -> None:
    """Each known failure reason has a title, a cause and a next step, and quotes AWS's message."""
    found = diagnose(job(reason))
    assert found is not None
    assert (found.title, found.evidence) == (title, reason)
    assert found.cause
    assert found.todo
    assert "{" not in found.cause + found.todo


def test_words_name_what_is_at_fault() -> None:
    """The diagnosis names the instance type or the invalid hyperparameter, with the name that may have been meant."""
    quota = diagnose(job(REASONS[0][0]))
    assert quota is not None
    assert "ml.p3.2xlarge for training job usage" in quota.todo
    spot = diagnose(job(REASONS[0][0], EnableManagedSpotTraining=True))
    assert spot is not None
    assert "ml.p3.2xlarge for spot training job usage" in spot.todo
    typo = diagnose(job("Additional properties are not allowed (u'mini_batch_siz' was unexpected)"))
    assert typo is not None
    assert "“mini_batch_siz”" in typo.cause
    assert "Did you mean mini_batch_size?" in typo.todo


INPUT = (
    "ClientError: Unable to initialize the algorithm. Failed to validate input data configuration. (by X)\n\n"
)
VALUES = (
    "ClientError: Unable to initialize the algorithm. Failed to validate hyperparameters. (caused by X)\n\n"
)
BLAMED = [
    (
        INPUT
        + "Caused by: u'image/tiff' is not one of [u'image/jpeg', u'application/x-image'], exit code: 2",
        "Invalid channel setting",
        "content type of a channel is “image/tiff”",
    ),
    (
        INPUT + "Caused by: 'FastFile' is not one of ['File', 'Pipe'], exit code: 2",
        "Invalid channel setting",
        "input mode of a channel is “FastFile”, which is not allowed. Allowed: File, Pipe.",
    ),
    (
        INPUT + "Caused by: u'ShardedByS3Key' is not one of [u'FullyReplicated'], exit code: 2",
        "Invalid channel setting",
        "S3DataDistributionType of a channel is “ShardedByS3Key”",
    ),
    (
        INPUT + "Caused by: Additional properties are not allowed (u'labels', u'valid' were unexpected)",
        "Unknown channel",
        "no channel “labels”, “valid”",
    ),
    (
        VALUES + "Caused by: u'resnet-18' is not one of [u'resnet-50', u'resnet-101'], exit code: 2",
        "Invalid hyperparameter",
        "“resnet-18” of backbone is not allowed. Allowed: resnet-50, resnet-101.",
    ),
    (VALUES + "Caused by: 0 is less than the minimum of 1", "Invalid hyperparameter", "“0” of epochs"),
    (
        VALUES + "Caused by: u'many' is not valid under any of the given schemas",
        "Invalid hyperparameter",
        "“many” is not allowed",
    ),
    (VALUES + "u'num_classes' is a required property", "Invalid hyperparameter", "“num_classes” is missing"),
    (
        "ClientError: The number of input images must be greater or equal to the mini_batch_size., exit code: 2",
        "Batch larger than the dataset",
        "mini_batch_size is 32",
    ),
    (
        "ClientError: Got empty batch from pipe. Please check the value of AttributeNames., exit code: 2",
        "Empty batches",
        "AttributeNames",
    ),
    (
        "AlgorithmError: Internal Server Error, (Input Error) Unable to parse record: bad header., exit code: 1",
        "Not RecordIO data",
        "RecordIO",
    ),
    (
        "AlgorithmError: Internal Server Error, (Input Error) The moon is not an image., exit code: 1",
        "Invalid input",
        "job's input",
    ),
]
"""Reasons in the forms of AWS's containers: errors of their JSON schemas, and of their data readers."""


@pytest.mark.parametrize(("reason", "title", "words"), BLAMED)
def test_the_value_at_fault_is_blamed(reason: str, title: str, words: str) -> None:
    """A diagnosis names the rejected value, not an allowed one, and the channel or hyperparameter that it is of."""
    diagnosis = diagnose(job(reason), [])
    assert diagnosis is not None
    assert diagnosis.title == title
    assert words in diagnosis.cause
    assert "never ran" not in diagnosis.cause


def test_an_unknown_channel_has_a_suggestion() -> None:
    """For a channel that the algorithm does not have, the closest name that it has is suggested."""
    reason = INPUT + "Additional properties are not allowed (u'train_annotations' was unexpected)"
    diagnosis = diagnose(job(reason))
    assert diagnosis is not None
    assert "Did you mean train_annotation?" in diagnosis.todo


def test_an_internal_error_yields_to_the_log() -> None:
    """Where the reason only says that AWS failed, an error in the log that is known is the cause."""
    reason = "InternalServerError: We encountered an internal error. Please try again."
    lines = [
        "[11/30/2026 10:00:00 ERROR 140] Customer Error: Please make sure input data is in correct recordio format.",
        "[11/30/2026 10:00:01 ERROR 140] Algorithm Error: Internal Server Error",
    ]
    diagnosis, without = diagnose(job(reason), lines), diagnose(job(reason), lines[1:])
    assert diagnosis is not None
    assert without is not None
    assert (diagnosis.title, diagnosis.evidence, without.title) == (
        "Not RecordIO data",
        lines[0],
        "AWS failed",
    )


STARTED = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.mark.parametrize(
    "more",
    [
        {"FailureReason": "AlgorithmError: odd, exit code: 2"},
        {"TrainingStartTime": STARTED},
        {"SecondaryStatusTransitions": [{"Status": "Training", "StartTime": STARTED}]},
    ],
)
def test_a_job_whose_log_is_gone_has_run(more: dict[str, object]) -> None:
    """A job with a start time, the status Training or an exit code has run: its log is empty or has expired."""
    diagnosis = diagnose(job("Odd.", **more), [])
    assert diagnosis is not None
    assert diagnosis.title == "Failed"
    assert "has expired" in diagnosis.cause


def test_the_log_is_used_if_aws_gives_no_known_reason() -> None:
    """If AWS's reason is not known, the last known error of the log is used; other lines are ignored."""
    lines = [
        "[11/22/2026 12:00:00 INFO 1] out of memory is what we avoid",
        "[11/22/2026 12:00:00 INFO 1] Memory: num_classes out of range is checked",
        "mxnet.base.MXNetError: [12:00:01] src/storage.cc: Check failed: cudaMalloc failed: out of memory",
        "[11/22/2026 12:00:02 INFO 1] bye",
    ]
    found = diagnose(job("AlgorithmError: exit code: 1"), lines)
    assert found is not None
    assert (found.title, found.evidence) == ("Out of memory", lines[2])


def test_the_reason_counts_before_the_log() -> None:
    """AWS's reason takes precedence over errors in the log."""
    found = diagnose(job("ClientError: No space left on device"), ["MemoryError: out of memory"])
    assert found is not None
    assert found.title == "Disk full"


def test_a_job_without_a_log_failed_before_it_started() -> None:
    """A failed job with an empty log never started; if the log was not read, the diagnosis does not claim that."""
    empty, unread = diagnose(job("Odd."), []), diagnose(job("Odd."))
    assert empty is not None
    assert unread is not None
    assert (empty.title, unread.title) == ("Failed before it started", "Failed")
    assert empty.evidence == unread.evidence == "Odd."


def test_an_unknown_reason_is_shown_as_it_is() -> None:
    """For an unknown reason, AWS's message or the log's last error is quoted, and no cause is made up."""
    found = diagnose(job(), ["ERROR: the moon is down", "bye"])
    assert found is not None
    assert (found.title, found.evidence) == ("Failed", "ERROR: the moon is down")
    assert "no reason" in found.cause


def test_a_healthy_job_has_no_diagnosis() -> None:
    """Running, completed and stopped jobs have no diagnosis."""
    for status, secondary in (("InProgress", "Training"), ("Completed", "Completed"), ("Stopped", "Stopped")):
        assert diagnose(job(status=status, secondary=secondary)) is None


def test_an_interrupted_spot_job_waits() -> None:
    """A spot job that AWS interrupted is reported as waiting."""
    found = diagnose(job(status="InProgress", secondary="Interrupted"))
    assert found is not None
    assert found.title == "Spot instance interrupted"


def test_time_limits_are_reported() -> None:
    """A job stopped at a time limit names the limit and the location of its model."""
    late = diagnose(job(status="Stopped", secondary="MaxRuntimeExceeded", model="s3://b/model.tar.gz"))
    assert late is not None
    assert "600 s" in late.cause
    assert "s3://b/model.tar.gz" in late.cause
    waited = diagnose(job(status="Stopped", secondary="MaxWaitTimeExceeded"))
    assert waited is not None
    assert "900 s" in waited.cause
    assert "interrupted once" in waited.cause


@settings(deadline=None)
@given(st.text(max_size=3000), st.lists(st.text(max_size=300), max_size=5))
def test_any_text_is_diagnosed(reason: str, lines: list[str]) -> None:
    """Whatever the reason and the log contain, a failed job has a diagnosis with short evidence."""
    found = diagnose(job(reason), lines)
    assert found is not None
    assert len(found.evidence) <= MAX_EVIDENCE + 2


def test_long_evidence_is_shortened_around_the_match() -> None:
    """Of a long message, the part around the match is quoted, with ellipses."""
    reason = "x " * 400 + "No space left on device" + " y" * 400
    found = diagnose(job(reason))
    assert found is not None
    assert "No space left on device" in found.evidence
    assert (found.evidence[0], found.evidence[-1]) == ("…", "…")
    assert len(found.evidence) <= MAX_EVIDENCE + 2
