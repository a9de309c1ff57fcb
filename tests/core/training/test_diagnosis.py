"""Why a training job failed, in words."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.training.diagnosis import MAX_EVIDENCE, diagnose
from core.training.job import TrainingJob, from_description


def job(
    reason: str = "", *, status: str = "Failed", secondary: str = "Failed", model: str = ""
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
            "SecondaryStatusTransitions": [
                {"Status": "Interrupted", "StartTime": datetime(2026, 11, 22, tzinfo=UTC)}
            ],
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
    typo = diagnose(job("Additional properties are not allowed (u'mini_batch_siz' was unexpected)"))
    assert typo is not None
    assert "“mini_batch_siz”" in typo.cause
    assert "Did you mean mini_batch_size?" in typo.todo


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
