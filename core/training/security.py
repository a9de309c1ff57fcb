"""The security settings of a training job: network, encryption keys; what is wrong with them, and what got weaker."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from core.text import listing
from core.training.hyperparameters import Problem

NETWORK_ID = re.compile(r"[-0-9a-zA-Z]{1,32}", re.ASCII)
KMS_KEY = re.compile(r"[a-zA-Z0-9:/_-]{1,2048}", re.ASCII)
"""SubnetId and SecurityGroupId, and KmsKeyId of SageMaker's API (botocore 1.44)."""

MAX_SUBNETS, MAX_SECURITY_GROUPS = 16, 5

LOCAL_STORAGE = ("g5", "g6", "g6e", "g7", "g7e", "p4de", "p5", "p5e", "p5en", "trn1", "trn1n")
LOCAL_STORAGE_NAME = re.compile(r"[a-z]+\d+[a-z]*dn?")
"""Families with NVMe instance storage, to which AWS attaches no volume; EC2 marks most with a d: g4dn, p4d, m5d."""


@dataclass(frozen=True, slots=True)
class SecuritySettings:
    """The network and encryption of a training job.

    subnets, security_groups: of its VPC; empty without one.
    output_kms_key: the KMS key that encrypts the model in S3; empty for the bucket's own encryption.
    volume_kms_key: the KMS key that encrypts the instance's storage volume; empty for an AWS key.
    network_isolation: whether the container has no network access.
    traffic_encryption: whether traffic between the containers of a job is encrypted.
    """

    subnets: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()
    output_kms_key: str = ""
    volume_kms_key: str = ""
    network_isolation: bool = False
    traffic_encryption: bool = False

    @property
    def vpc(self) -> dict[str, list[str]]:
        """Return it as AWS's VpcConfig; empty without a VPC."""
        if not (self.subnets or self.security_groups):
            return {}
        return {"SecurityGroupIds": list(self.security_groups), "Subnets": list(self.subnets)}

    @property
    def in_words(self) -> tuple[tuple[str, str], ...]:
        """Return label and value of each setting that is on."""
        rows = (
            ("VPC subnets", ", ".join(self.subnets)),
            ("VPC security groups", ", ".join(self.security_groups)),
            ("Output KMS key", self.output_kms_key),
            ("Volume KMS key", self.volume_kms_key),
            ("Network isolation", "on" if self.network_isolation else ""),
            ("Inter-container traffic encryption", "on" if self.traffic_encryption else ""),
        )
        return tuple((label, value) for label, value in rows if value)

    @property
    def model_settings(self) -> dict[str, Any]:
        """Return the parameters of CreateModel that give the job's model the same network; empty for none."""
        vpc = {"VpcConfig": self.vpc} if self.vpc else {}
        return vpc | ({"EnableNetworkIsolation": True} if self.network_isolation else {})


def from_description(answer: Mapping[str, Any]) -> SecuritySettings:
    """Read DescribeTrainingJob's response; anything may be missing."""
    vpc = answer.get("VpcConfig") or {}
    return SecuritySettings(
        subnets=tuple(vpc.get("Subnets") or ()),
        security_groups=tuple(vpc.get("SecurityGroupIds") or ()),
        output_kms_key=(answer.get("OutputDataConfig") or {}).get("KmsKeyId") or "",
        volume_kms_key=(answer.get("ResourceConfig") or {}).get("VolumeKmsKeyId") or "",
        network_isolation=bool(answer.get("EnableNetworkIsolation")),
        traffic_encryption=bool(answer.get("EnableInterContainerTrafficEncryption")),
    )


def has_local_storage(instance_type: str) -> bool:
    """Return whether instances of this type have NVMe storage, so that AWS attaches no volume to them."""
    family = [*instance_type.split("."), ""][1]
    return family in LOCAL_STORAGE or LOCAL_STORAGE_NAME.fullmatch(family) is not None


def check_security(settings: SecuritySettings, instance_type: str) -> list[Problem]:
    """Return the problems of the settings for a job on this instance type."""
    problems = [
        *_network("subnets", "subnet", settings.subnets, MAX_SUBNETS),
        *_network("security_groups", "security group", settings.security_groups, MAX_SECURITY_GROUPS),
    ]
    if settings.subnets and not settings.security_groups:
        problems.append(Problem("security_groups", "Subnets are set without a security group. Set both."))
    if settings.security_groups and not settings.subnets:
        problems.append(Problem("subnets", "Security groups are set without a subnet. Set both."))
    for name, key in (
        ("output_kms_key", settings.output_kms_key),
        ("volume_kms_key", settings.volume_kms_key),
    ):
        if key and not KMS_KEY.fullmatch(key):
            wanted = "Use a key ID, a key ARN or an alias, such as alias/training."
            problems.append(Problem(name, f"The KMS key is {key!r}. {wanted}"))
    if settings.volume_kms_key and has_local_storage(instance_type):
        problems.append(
            Problem(
                "volume_kms_key",
                f"AWS accepts no volume KMS key for {instance_type}: it has local storage, which its hardware "
                "encrypts. Remove the key, or use an instance type without local storage, such as ml.p3.2xlarge.",
                "warning",
            )
        )
    return problems


def weaker(job: str, before: SecuritySettings, after: SecuritySettings) -> list[Problem]:
    """Return a warning for each setting of an earlier job that is removed or turned off in a new one.

    job: the name of the earlier one.
    """
    return [Problem(name, f"Weaker than {job}: {text}", "warning") for name, text in _weaker(before, after)]


def _weaker(before: SecuritySettings, after: SecuritySettings) -> Iterator[tuple[str, str]]:
    if before.vpc and not after.vpc:
        where = f"subnets {listing(before.subnets)}; security groups {listing(before.security_groups)}"
        yield "subnets", f"that job ran in a VPC ({where}), and this one would run outside it."
    if before.network_isolation and not after.network_isolation:
        yield "network_isolation", "network isolation is turned off, so the container gets network access."
    if before.traffic_encryption and not after.traffic_encryption:
        yield "traffic_encryption", "encryption of the traffic between containers is turned off."
    if before.output_kms_key and not after.output_kms_key:
        yield (
            "output_kms_key",
            f"its model was encrypted with the KMS key {before.output_kms_key}, which is unset.",
        )
    if before.volume_kms_key and not after.volume_kms_key:
        yield (
            "volume_kms_key",
            f"its volume was encrypted with the KMS key {before.volume_kms_key}, which is unset.",
        )


def _network(name: str, noun: str, ids: tuple[str, ...], most: int) -> list[Problem]:
    wrong = [each for each in ids if not NETWORK_ID.fullmatch(each)]
    if wrong:
        example = "subnet-0abc" if name == "subnets" else "sg-0abc"
        return [Problem(name, f"{wrong[0]!r} is not a {noun} ID. Use IDs such as {example}.")]
    if len(ids) > most:
        return [Problem(name, f"There are {len(ids)} {noun}s. AWS accepts at most {most}.")]
    return []
