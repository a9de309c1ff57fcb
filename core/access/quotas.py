"""Quotas on the number of instances of a type in an account. In a new account, many are 0."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from core.errors import InputError
from core.training.preflight import FAMILIES, INSTANCE

InstanceUse = Literal["training", "spot", "hosting", "transform"]
"""spot: training on spot capacity, which has a quota of its own."""

QUOTA_NAMES: dict[InstanceUse, str] = {
    "training": "{} for training job usage",
    "spot": "{} for spot training job usage",
    "hosting": "{} for endpoint usage",
    "transform": "{} for transform job usage",
}
"""How AWS names the quotas; {} is the instance type."""

USES: tuple[InstanceUse, ...] = ("training", "spot", "hosting", "transform")

TRAINS: tuple[InstanceUse, ...] = ("training", "spot")


@dataclass(frozen=True, slots=True, order=True)
class InstanceNeed:
    """An instance type, and what for."""

    use: InstanceUse
    instance_type: str

    @property
    def quota(self) -> str:
        """The name of the quota that limits it."""
        return QUOTA_NAMES[self.use].format(self.instance_type)


@dataclass(frozen=True, slots=True)
class Quota:
    """A quota as it is applied to the account, or AWS's default where none is.

    value:      the number of instances.
    code:       such as "L-1194D53C", for the request.
    adjustable: whether more can be requested.
    """

    name: str
    value: float
    code: str
    adjustable: bool = True


def parse_need(text: str) -> tuple[InstanceNeed, ...]:
    """Return what is meant by TYPE or USE=TYPE. Raises InputError.

    Without a use, the type is meant for all that the algorithm can use it for; spot capacity must be asked for.
    """
    use_text, _, instance_type = text.strip().rpartition("=")
    match = INSTANCE.fullmatch(instance_type)
    if match is None:
        raise InputError(
            f"{instance_type!r} is not an instance type.", todo="Give one such as ml.g4dn.xlarge."
        )
    if use_text:
        use = next((use for use in USES if use == use_text), None)
        if use is None:
            raise InputError(f"{use_text!r} is not a use of an instance.", todo=f"Use {', '.join(USES)}.")
        return (InstanceNeed(use, instance_type),)
    trains = match["family"] in FAMILIES
    return tuple(
        InstanceNeed(use, instance_type) for use in USES if use != "spot" and (use != "training" or trains)
    )
