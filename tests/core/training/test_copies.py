"""Copies of training jobs: nothing of the original is lost, and what gets weaker is a warning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from core.cost.training import shipped_prices
from core.plans.plan import plan_launch
from core.training import carried, channels
from core.training.channels import Channel
from core.training.job import (
    TrainingSpec,
    carried_names,
    check_copy,
    clone_spec,
    continue_spec,
    from_description,
    to_request,
)
from core.training.preflight import check_spec
from core.training.security import SecuritySettings, check_security, has_local_storage
from tests.support.full_job import JOBS, READ_ONLY, description
from tests.support.shapes import filled, in_both, input_of, leaves, output_of, paths

PRICES = shipped_prices("us-east-1")
SECURE = SecuritySettings(("subnet-1",), ("sg-1",), "out-key", "volume-key", True, True)

NOT_COPIED = {
    "TrainingJobName": "AWS never accepts a name twice",
    "CheckpointConfig.S3Uri": "the new job would resume where the old one ended",
    "CheckpointConfig.LocalPath": "it is sent only with a checkpoint prefix",
    "ResourceConfig.SelectedInstanceType": "read-only by the API reference",
    "ResourceConfig.SelectedInstanceCount": "read-only by the API reference",
}
"""Members of the request that a copy does not have from the original, with the reason."""

REJECTED = {
    "built in": ("AlgorithmSpecification.MetricDefinitions",),  # AWS: a built-in algorithm has its own
}
"""Job of `JOBS` -> what AWS rejects for it, by the beginning of the path."""


def differences(job: str, request: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return path -> (value of the original, value of the copy) where they differ, except the listed exceptions."""
    original = {
        key: value for key, value in JOBS[job]().items() if key in input_of("CreateTrainingJob").members
    }
    before, after = dict(leaves(_by_channel(original))), dict(leaves(_by_channel(request)))
    excepted = (*NOT_COPIED, *REJECTED.get(job, ()), "HyperParameters.")
    return {
        path: (before.get(path), after.get(path))
        for path in sorted(before.keys() | after.keys())
        if before.get(path) != after.get(path) and not path.startswith(excepted)
    }


def _by_channel(request: Mapping[str, Any]) -> dict[str, Any]:
    return {**request, "InputDataConfig": {row["ChannelName"]: row for row in request["InputDataConfig"]}}


@pytest.mark.parametrize("job", JOBS)
def test_a_clone_has_every_setting_of_the_original(job: str) -> None:
    """Every member that AWS returns for a job and accepts for a new one is the same in a clone's request."""
    assert differences(job, to_request(clone_spec(from_description(JOBS[job]()), "roads-8"))) == {}


@pytest.mark.parametrize("job", JOBS)
def test_a_continued_job_has_every_setting_of_the_original(job: str) -> None:
    """A job that continues from a model has the same settings too, and the channel of the model."""
    request = to_request(continue_spec(from_description(JOBS[job]()), "roads-8"))
    model = request["InputDataConfig"].pop()
    assert model["DataSource"]["S3DataSource"]["S3Uri"] == "s3://bucket/out/roads-7/output/model.tar.gz"
    assert differences(job, request) == {}


def test_the_jobs_of_these_tests_have_every_member() -> None:
    """Together the jobs have every member, recursively, that the service model accepts and returns."""
    both = in_both("CreateTrainingJob", "DescribeTrainingJob")
    members = {key: input_of("CreateTrainingJob").members[key] for key in both}
    everything = paths({key: filled(shape, key) for key, shape in members.items()})
    covered = set().union(*(paths(make()) for make in JOBS.values()))
    free_names = {"HyperParameters.key"}
    assert everything - covered - free_names == set()
    requests = [to_request(clone_spec(from_description(make()), "roads-8")) for make in JOBS.values()]
    assert everything - set().union(*map(paths, requests)) - free_names == set(NOT_COPIED) - {
        "TrainingJobName"
    }


def test_every_member_of_the_service_model_is_known() -> None:
    """Each field of a description is a setting or state of a job, so that a new one of AWS is noticed here."""
    settings = {*carried.WITH_FIELDS, *carried.FIELDS, *carried.WITHOUT_FIELD}
    returned = set(output_of("DescribeTrainingJob").members)
    assert settings - {"Tags"} == in_both("CreateTrainingJob", "DescribeTrainingJob")
    assert returned - settings == set(carried.STATE) - {"ResponseMetadata"}
    assert set(input_of("CreateTrainingJob").members) - settings == {"SessionChainingConfig"}
    resources = output_of("DescribeTrainingJob").members["ResourceConfig"]
    assert set(READ_ONLY) < set(resources.members)


def test_a_field_that_segdeck_does_not_know_is_a_warning() -> None:
    """A setting that neither list knows is not copied, and the plan says so."""
    spec = clone_spec(from_description({**description(), "QuantumConfig": {"Qubits": 4}}), "roads-8")
    assert "QuantumConfig" not in to_request(spec)
    assert any("Not copied from roads-7" in text for text in plan_launch(spec, PRICES).warnings)


def test_local_path_of_checkpoints_comes_with_a_prefix() -> None:
    """A copy with a checkpoint prefix of its own keeps the local path of the original's checkpoints."""
    spec = replace(clone_spec(from_description(description())), checkpoint_uri="s3://bucket/keep/")
    assert to_request(spec)["CheckpointConfig"] == {
        "S3Uri": "s3://bucket/keep/",
        "LocalPath": description()["CheckpointConfig"]["LocalPath"],
    }


def test_a_plan_does_not_share_lists_with_the_job() -> None:
    """Changing a request changes neither the job that it was made from nor the next request."""
    spec = clone_spec(from_description(description()), "roads-8")
    request = to_request(spec)
    request["Environment"]["key"] = "changed"
    request["InputDataConfig"][0]["DataSource"]["S3DataSource"]["AttributeNames"].append("changed")
    assert "changed" not in str(to_request(spec))


def test_carried_settings_have_names() -> None:
    """What has no field is listed in AWS's names, for the form."""
    listed = carried_names(clone_spec(from_description(description())))
    assert {"Environment", "OutputDataConfig.CompressionType", "train.ShuffleConfig"} <= set(listed)
    assert "train.S3DataSource.AttributeNames" in listed
    assert not any(name.startswith("CheckpointConfig") for name in listed)


def copy(**changes: Any) -> TrainingSpec:
    """Return a copy with its security settings, on demand and without other settings, and with these changes."""
    original = replace(from_description(description()), tags={"team": "maps"}, security=SECURE, carried={})
    return replace(clone_spec(original, "roads-8"), **{"spot": False, **changes})


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("network_isolation", False, "network isolation is turned off"),
        ("traffic_encryption", False, "encryption of the traffic between containers is turned off"),
        ("output_kms_key", "", "KMS key out-key, which is unset"),
        ("volume_kms_key", "", "KMS key volume-key, which is unset"),
    ],
)
def test_a_weaker_copy_is_a_warning(field: str, value: Any, text: str) -> None:
    """Each security setting that is turned off or unset in a copy is a warning of the checks and of the plan."""
    spec = copy(security=replace(SECURE, **{field: value}))
    [warning] = plan_launch(spec, PRICES).warnings
    assert warning.startswith("Weaker than roads-7: ")
    assert text in warning
    [problem] = [problem for problem in check_spec(spec) if problem.name == field]
    assert (problem.message, problem.severity) == (warning, "warning")
    assert plan_launch(spec, PRICES, warnings=(warning,)).warnings == (warning,)


def test_leaving_the_vpc_is_a_warning() -> None:
    """A copy outside the VPC of the original is one warning with its subnets and security groups."""
    [warning] = plan_launch(copy(security=replace(SECURE, subnets=(), security_groups=())), PRICES).warnings
    assert "ran in a VPC (subnets subnet-1; security groups sg-1)" in warning


def test_lost_tags_are_a_warning() -> None:
    """A tag that is removed in a copy is a warning; a changed value is not."""
    assert [problem.name for problem in check_copy(copy(tags={}))] == ["tags"]
    assert check_copy(copy(tags={"team": "roads"})) == []


def test_an_equal_or_stronger_copy_has_no_warning() -> None:
    """A copy as it was, and one with other keys and networks, has no warning of this kind."""
    other = SecuritySettings(("subnet-2",), ("sg-2",), "other", "another", True, True)
    assert plan_launch(copy(), PRICES).warnings == plan_launch(copy(security=other), PRICES).warnings == ()
    plain = clone_spec(from_description({**description(), "VpcConfig": None}))
    assert check_copy(replace(plain, carried={}, security=SECURE)) == []


def test_a_warm_pool_is_a_warning() -> None:
    """A copied keep-alive period is billed after the job, which is a warning."""
    spec = copy(carried={"ResourceConfig": {"KeepAlivePeriodInSeconds": 1800}})
    [warning] = plan_launch(spec, PRICES).warnings
    assert "keeps the instance for 30 min 00 s after the job" in warning


def test_one_instance_type_instead_of_several() -> None:
    """Choosing one instance type for a copy of a job on several removes those, with a warning."""
    spec = replace(clone_spec(from_description(JOBS["several types"]())), instance_type="ml.g4dn.xlarge")
    resources = to_request(spec)["ResourceConfig"]
    assert resources["InstanceType"] == "ml.g4dn.xlarge"
    assert not {"InstanceGroups", "InstancePreferences"} & set(resources)
    assert any("replaced by one, ml.g4dn.xlarge" in problem.message for problem in check_copy(spec))


@pytest.mark.parametrize(
    ("settings", "name", "text"),
    [
        (SecuritySettings(("subnet-1",)), "security_groups", "without a security group"),
        (SecuritySettings((), ("sg-1",)), "subnets", "without a subnet"),
        (SecuritySettings(("my subnet",), ("sg-1",)), "subnets", "'my subnet' is not a subnet ID"),
        (SecuritySettings(("s-1",), tuple(f"sg-{n}" for n in range(6))), "security_groups", "at most 5"),
        (SecuritySettings(output_kms_key="a key"), "output_kms_key", "'a key'"),
        (SecuritySettings(volume_kms_key="alias/k"), "volume_kms_key", "local storage"),
    ],
)
def test_invalid_security_settings(settings: SecuritySettings, name: str, text: str) -> None:
    """Each invalid setting is a problem of its field, with the value found and what to use."""
    [problem] = check_security(settings, "ml.g4dn.xlarge")
    assert problem.name == name
    assert text in problem.message


def test_valid_security_settings() -> None:
    """A VPC, keys and flags that AWS accepts have no problem."""
    assert check_security(SECURE, "ml.p3.2xlarge") == []
    assert check_security(SecuritySettings(), "ml.g4dn.xlarge") == []


@pytest.mark.parametrize(
    ("instance_type", "local"),
    [
        ("ml.g4dn.xlarge", True), ("ml.g5.xlarge", True), ("ml.p3dn.24xlarge", True), ("ml.c6gd.large", True),
        ("ml.p3.2xlarge", False), ("ml.p2.xlarge", False), ("ml.c5.xlarge", False), ("", False),
    ],
)  # fmt: skip
def test_local_storage(instance_type: str, local: bool) -> None:
    """Instance types with NVMe storage are recognized by their family."""
    assert has_local_storage(instance_type) is local


def channel(name: str) -> Channel:
    rows = description()["InputDataConfig"]
    return next(channels.from_description(row) for row in rows if row["ChannelName"] == name)


def test_other_data_keeps_the_settings_of_a_channel() -> None:
    """A channel with another S3 prefix keeps its compression, shuffling and attributes."""
    before, after = (
        channels.to_request(each) for each in (channel("train"), channel("train").with_uri("s3://o/t/"))
    )
    changed = {path for path, value in leaves(after) if dict(leaves(before))[path] != value}
    assert changed == {"DataSource.S3DataSource.S3Uri"}


def test_an_s3_prefix_replaces_a_file_system() -> None:
    """A channel on a file system or dataset reads from S3 once it has an S3 URI."""
    for name in ("validation", "train_annotation"):
        source = channels.to_request(channel(name).with_uri("s3://bucket/other/"))["DataSource"]
        assert source == {
            "S3DataSource": {
                "S3DataType": "S3Prefix",
                "S3Uri": "s3://bucket/other/",
                "S3DataDistributionType": "FullyReplicated",
            }
        }


def test_a_file_system_is_no_error() -> None:
    """A channel on a file system is a warning that its files are not checked, not an error."""
    [problem] = [problem for problem in check_spec(copy()) if problem.name == "validation"]
    assert problem.severity == "warning"


def test_channels_compare_and_hash_with_their_settings() -> None:
    """A channel with settings is a key of a cache, and differs from the same one without."""
    assert {channel("train"): 1}[channel("train")] == 1
    assert channel("train") != replace(channel("train"), carried={})
