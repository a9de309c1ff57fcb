"""The job that a form or the command line begins with."""

from __future__ import annotations

from datetime import UTC, datetime

from core.training.defaults import SANDBOX_DATA, first_spec, new_name
from core.training.preflight import NAME, check_spec

IMAGE = "811284229777.dkr.ecr.us-east-1.amazonaws.com/semantic-segmentation:1"
NOW = datetime(2026, 11, 22, 18, 30, 5, tzinfo=UTC)


def test_the_sandboxs_first_job_lacks_only_its_name_and_the_number_of_pictures() -> None:
    """In the sandbox a job works as it stands, once it has a name and the pictures are counted."""
    errors = [row.name for row in check_spec(first_spec(IMAGE, sandbox=True), sandbox=True) if row.is_error]
    assert errors == ["name", "num_training_samples"]


def test_aws_gets_nothing_of_the_sandboxs() -> None:
    """On AWS nothing is guessed: no role, no data, no output, and no network that AWS does not have."""
    spec = first_spec(IMAGE, sandbox=False)
    assert (spec.role_arn, spec.channels, spec.output_uri, spec.hyperparameters) == ("", (), "", {})


def test_what_is_given_counts() -> None:
    """Values that are given count; with other data or another network, what belongs to the sandbox's own goes."""
    spec = first_spec(IMAGE, sandbox=True, values={"algorithm": "psp", "epochs": "2"})
    assert spec.hyperparameters == {"algorithm": "psp", "epochs": "2", "num_classes": "6"}
    other = first_spec(IMAGE, sandbox=True, data="s3://mine/data/")
    assert "num_classes" not in other.hyperparameters
    assert other.channels[0].uri == "s3://mine/data/train/"
    assert first_spec(IMAGE, sandbox=True).channels[0].uri == f"{SANDBOX_DATA}train/"


def test_a_new_name_replaces_the_time_in_the_old_one() -> None:
    """A name made from an older one has one time in it, and is never too long for AWS."""
    assert new_name("roads-20261101-101010", NOW) == "roads-20261122-183005"
    assert new_name(new_name("roads", NOW), NOW) == "roads-20261122-183005"
    long = new_name("a" * 46 + "-" + "b" * 20, NOW)
    assert NAME.fullmatch(long)
    assert len(long) <= 63
