"""An endpoint as somebody asks for it, checked in words, and the requests that make it.

The names of its model and configuration follow from the endpoint's name and from what they hold. So the same deploy
done twice makes nothing twice, and an update never meets the name of what it replaces.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

MAX_NAME = 63
MAX_INSTANCES = 100
DEFAULT_VARIANT = "AllTraffic"

Processor = Literal["CPU", "GPU"]

FAMILIES: Mapping[str, Processor] = {"c5": "CPU", "m5": "CPU", "p3": "GPU", "g4dn": "GPU"}
"""Families of instances that the algorithm can be served on (developer guide, semantic segmentation)."""

HOSTING_INSTANCES: tuple[str, ...] = (
    "ml.c5.large", "ml.c5.xlarge", "ml.c5.2xlarge", "ml.c5.4xlarge", "ml.c5.9xlarge", "ml.c5.18xlarge",
    "ml.m5.large", "ml.m5.xlarge", "ml.m5.2xlarge", "ml.m5.4xlarge", "ml.m5.12xlarge", "ml.m5.24xlarge",
    "ml.g4dn.xlarge", "ml.g4dn.2xlarge", "ml.g4dn.4xlarge", "ml.g4dn.8xlarge", "ml.g4dn.12xlarge",
    "ml.g4dn.16xlarge", "ml.p3.2xlarge", "ml.p3.8xlarge", "ml.p3.16xlarge",
)  # fmt: skip
"""What to choose from, CPU first, each family from small to large."""


@dataclass(frozen=True, slots=True)
class EndpointSpec:
    """An endpoint, or a variant of one, that somebody wants. `check_spec` says what is wrong with it.

    role_arn:     the role that SageMaker takes on.
    image:        of the container; with model_uri.
    model_uri:    the S3 URI of `model.tar.gz`.
    model:        the name of a SageMaker Model that is there already, in place of image and model_uri.
    variant:      the name of the production variant.
    weight:       of the variant, beside others.
    environment:  of the container.
    classes_uri:  the S3 URI of its `classes.json`; empty where there is none.
    examples_uri: the S3 URI of its `examples.json`; likewise.
    job:          the training job that the artifact came from; empty where there is none.
    tags:         more tags of the endpoint.
    """

    name: str
    role_arn: str
    instance_type: str
    image: str = ""
    model_uri: str = ""
    model: str = ""
    instance_count: int = 1
    variant: str = DEFAULT_VARIANT
    weight: float = 1.0
    environment: Mapping[str, str] = field(default_factory=dict)
    classes_uri: str = ""
    examples_uri: str = ""
    job: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def model_name(self) -> str:
        """The given model, else one named after the endpoint and what the model holds."""
        raise NotImplementedError


def check_spec(spec: EndpointSpec) -> tuple[str, ...]:
    """What is wrong with a spec, each in a sentence with what to do; nothing where it can be deployed."""
    raise NotImplementedError


def processor(instance_type: str) -> Processor | None:
    """What an instance computes with; None for a family that the algorithm cannot be served on."""
    raise NotImplementedError


def processor_in_words(instance_type: str) -> str:
    """Such as "CPU: cheap, some seconds a picture" or "GPU: fast, dearer"; empty where unknown."""
    raise NotImplementedError


def model_request(spec: EndpointSpec) -> dict[str, Any]:
    """The parameters of CreateModel."""
    raise NotImplementedError


def config_request(name: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of CreateEndpointConfig: the given ones, under a name made of the endpoint's and of them."""
    raise NotImplementedError


def endpoint_name(base: str, suffix: str = "") -> str:
    """A valid endpoint name from any text, such as a job's name: other signs become hyphens; cut to 63."""
    raise NotImplementedError
