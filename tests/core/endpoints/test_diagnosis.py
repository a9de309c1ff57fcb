"""Why an endpoint failed, in words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.endpoints.diagnosis import RULES, diagnose_endpoint
from core.training.diagnosis import MAX_EVIDENCE

PING = (
    "The primary container for production variant AllTraffic did not pass the ping health check{}. "
    "Please check CloudWatch logs for this endpoint."
)
ENDED = ": its process ended with exit code "
REASONS = [
    (
        "ResourceLimitExceeded: The account-level service limit 'ml.p3.2xlarge for endpoint usage' is 0 Instances",
        "Quota reached",
    ),
    (
        "Unable to provision requested ML compute capacity due to InsufficientInstanceCapacity",
        "No capacity",
    ),
    (PING.format(f"{ENDED}3: MXNet 1.9.1 is not installed here (x)"), "The sandbox has no MXNet"),
    (
        'No program on this machine stands for the image "xgboost:1" (known: y).',
        "Image not available in the sandbox",
    ),
    (
        (
            'Could not access model data at s3://b/m.tar.gz. Please ensure that the role "arn:aws:iam::1:role/x" '
            'exists and that its trust relationship policy allows the action "sts:AssumeRole".'
        ),
        "The model cannot be downloaded",
    ),
    ("Could not find model data at s3://b/model.tar.gz.", "The model cannot be downloaded"),
    (
        (
            'Failed to extract model data archive for container "container_1" from URL "s3://b/m.tar.gz": it '
            "unpacks to more than 5 bytes."
        ),
        "The model is not a valid archive",
    ),
    (
        PING.format(f"{ENDED}3: The model archive has no hyperparams.json; it holds other.txt."),
        "The archive has no valid model",
    ),
    ("Could not assume role arn:aws:iam::1:role/x.", "The role cannot be used"),
    ("CannotPullContainerError: manifest unknown: Requested image not found", "Image not found"),
    (PING.format(f"{ENDED}-9"), "Out of memory"),
    ("Request to service failed. InternalServerError: try again", "AWS failed"),
    (PING.format(""), "The container does not respond"),
    ("Something nobody has seen before", "Failed"),
    ("", "Failed"),
]


@pytest.mark.parametrize(("reason", "title"), REASONS)
def test_a_reason_has_words(reason: str, title: str) -> None:
    """Each kind of failure has a title, a cause and a next step, and shows AWS's own message."""
    found = diagnose_endpoint(reason, (), "ml.p3.2xlarge")
    assert found.title == title
    assert found.cause
    assert found.todo
    assert found.evidence in reason
    assert "{" not in found.cause + found.todo


def test_every_rule_has_a_case() -> None:
    """Every rule is matched by a case."""
    assert {rule.title for rule in RULES} <= {title for _, title in REASONS}


def test_the_log_tells_where_the_reason_does_not() -> None:
    """For "did not pass the ping health check", the last error in the log is used."""
    lines = ["starting", "[11/22/2026 12:00:00 ERROR 1] cudaMalloc failed: out of memory", "bye"]
    found = diagnose_endpoint(PING.format(""), lines, "ml.g4dn.xlarge")
    assert found.title == "Out of memory"
    assert "ml.g4dn.xlarge" in found.cause
    assert "cudaMalloc" in found.evidence
    unknown = diagnose_endpoint(PING.format(""), ["ValueError: odd"])
    assert (unknown.title, unknown.evidence) == ("The container does not respond", "ValueError: odd")


def test_a_long_reason_is_cut_around_what_tells() -> None:
    """Of a very long message, a part is shown."""
    reason = "x" * 5000 + " out of memory " + "y" * 5000
    found = diagnose_endpoint(reason)
    assert "out of memory" in found.evidence
    assert len(found.evidence) <= MAX_EVIDENCE + 2


@given(st.text(), st.lists(st.text(), max_size=5))
def test_any_text_is_told(reason: str, lines: list[str]) -> None:
    """No message raises an exception."""
    assert diagnose_endpoint(reason, lines).title
