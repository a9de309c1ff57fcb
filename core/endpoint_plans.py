"""Changes of endpoints as plans: deploy, update, scale, autoscale, delete, and clean up after a cut one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.classes import Classes
from core.cost import PriceTable
from core.endpoint_detail import EndpointDetail, Scaling, Users
from core.endpoint_spec import EndpointSpec
from core.endpoints import Endpoint
from core.plans import Plan, StepState


@dataclass(frozen=True, slots=True)
class Upload:
    """A file of this machine that a plan brings to S3 first; never over another object.

    path:   of the file.
    uri:    where it goes; the spec's `model_uri`.
    size:   bytes.
    sha256: hexadecimal, of its bytes: kept with the object, so that the same file is known again.
    """

    path: str
    uri: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class VariantChange:
    """weight, count: None leaves it as it is."""

    name: str
    weight: float | None = None
    count: int | None = None


def plan_deploy(
    spec: EndpointSpec,
    prices: PriceTable,
    *,
    warnings: tuple[str, ...] = (),
    upload: Upload | None = None,
    classes: Classes | None = None,
) -> Plan:
    """Make model, configuration and endpoint. Raises InputError, with all that `check_spec` finds.

    upload:  a local artifact that goes to `spec.model_uri` first.
    classes: class names that go to `spec.classes_uri` first; by default beside the artifact.
    """
    raise NotImplementedError


def spec_of(detail: EndpointDetail, variant: str = "") -> EndpointSpec:
    """A variant as it is now (by default the first), to change with `dataclasses.replace` and give to `plan_update`.

    Raises InputError where its configuration cannot be read, or there is no such variant.
    """
    raise NotImplementedError


def plan_update(
    detail: EndpointDetail,
    spec: EndpointSpec,
    prices: PriceTable,
    *,
    warnings: tuple[str, ...] = (),
    upload: Upload | None = None,
    classes: Classes | None = None,
) -> Plan:
    """Give the variant `spec.variant` another model or other instances; a name not there yet is a variant more.

    The old configuration answers until the new one does; the other variants stay as they are. Raises InputError for a
    bad spec, where nothing would change, and while AWS is at work on the endpoint.
    """
    raise NotImplementedError


def plan_scale(endpoint: Endpoint, changes: Sequence[VariantChange], prices: PriceTable) -> Plan:
    """Change weights and numbers of instances. Raises InputError for what cannot be.

    endpoint: with its configuration (`with_config`), for the price.
    """
    raise NotImplementedError


def plan_autoscale(endpoint: Endpoint, scaling: Scaling, prices: PriceTable) -> Plan:
    """Let a variant's number of instances follow its calls, so that each gets about `scaling.target` a minute.

    endpoint: with its configuration, for the price, which is that of the most instances.
    """
    raise NotImplementedError


def plan_stop_autoscale(endpoint: Endpoint, variant: str) -> Plan:
    """Let a variant's number of instances be."""
    raise NotImplementedError


def plan_delete(details: Sequence[EndpointDetail], users: Users) -> Plan:
    """Delete endpoints, and the configurations and models that only they used (see `core.aws.endpoints.users`).

    Its warnings list what stays: the artifacts, and what others use. Raises InputError while AWS is at work on one.
    """
    raise NotImplementedError


def clean_up(plan: Plan, states: Sequence[StepState | None]) -> Plan:
    """Remove what a cut plan has made. Raises InputError where that cannot be, and it can only be finished.

    states: what became of each of its steps; None: not begun. What was there before the plan stays.
    """
    raise NotImplementedError
