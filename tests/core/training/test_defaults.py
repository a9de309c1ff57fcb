"""The default training job of the form and the command line."""

from __future__ import annotations

from datetime import UTC, datetime

from core.training.defaults import SANDBOX_DATA, default_spec, new_name
from core.training.preflight import NAME, check_spec

IMAGE = "811284229777.dkr.ecr.us-east-1.amazonaws.com/semantic-segmentation:1"
NOW = datetime(2026, 11, 22, 18, 30, 5, tzinfo=UTC)


def test_the_sandboxs_default_job_lacks_only_a_name_and_the_number_of_images() -> None:
    """The sandbox's default job is valid once it has a name and the number of images."""
    errors = [row.name for row in check_spec(default_spec(IMAGE, sandbox=True), sandbox=True) if row.is_error]
    assert errors == ["name", "num_training_samples"]


def test_aws_gets_no_sandbox_defaults() -> None:
    """On AWS nothing is guessed: no role, data, output, or network that AWS does not have."""
    spec = default_spec(IMAGE, sandbox=False)
    assert (spec.role_arn, spec.channels, spec.output_uri, spec.hyperparameters) == ("", (), "", {})


def test_given_values_take_precedence() -> None:
    """Given values take precedence; with other data or another network, the sandbox's own defaults are dropped."""
    spec = default_spec(IMAGE, sandbox=True, values={"algorithm": "psp", "epochs": "2"})
    assert spec.hyperparameters == {"algorithm": "psp", "epochs": "2", "num_classes": "6"}
    other = default_spec(IMAGE, sandbox=True, data="s3://mine/data/")
    assert "num_classes" not in other.hyperparameters
    assert other.channels[0].uri == "s3://mine/data/train/"
    assert default_spec(IMAGE, sandbox=True).channels[0].uri == f"{SANDBOX_DATA}train/"


def test_a_new_name_replaces_the_time_in_the_old_one() -> None:
    """A name made from an older one contains one timestamp, and is never too long for AWS."""
    assert new_name("roads-20261101-101010", NOW) == "roads-20261122-183005"
    assert new_name(new_name("roads", NOW), NOW) == "roads-20261122-183005"
    long = new_name("a" * 46 + "-" + "b" * 20, NOW)
    assert NAME.fullmatch(long)
    assert len(long) <= 63
