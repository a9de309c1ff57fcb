"""An endpoint as somebody asks for it, checked in words, and the requests that make it.

The names of its model and configuration follow from the endpoint's name and from what they hold. So the same deploy
done twice makes nothing twice, and an update never meets the name of what it replaces.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from core.endpoints.endpoint import CLASSES_TAG, EXAMPLES_TAG, JOB_TAG

MAX_NAME = 63
DIGEST = 8
"""Hexadecimal digits at the end of the name of a model or a configuration."""

NAME = re.compile(r"[a-zA-Z0-9](?:-*[a-zA-Z0-9]){0,62}")
ARTIFACT = re.compile(r"s3://[a-z0-9][a-z0-9.-]{2,62}/\S.*\.tar\.gz")
ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/?[a-zA-Z0-9+=,.@_/-]+")
TAG = re.compile(r"[\w \t.:/=+\-@]{0,256}")
"""The patterns of botocore 1.44's service model; a model's artifact ends in .tar.gz."""

MAX_INSTANCES = 100
DEFAULT_VARIANT = "AllTraffic"

Processor = Literal["CPU", "GPU"]

FAMILIES: Mapping[str, Processor] = {"c5": "CPU", "m5": "CPU", "p3": "GPU", "g4dn": "GPU"}
"""Families of instances that the algorithm can be served on (developer guide, semantic segmentation)."""

WORDS: Mapping[Processor, str] = {
    "CPU": "CPU: cheaper, some seconds for a picture",
    "GPU": "GPU: dearer, much faster",
}

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
        return self.model or derived_name(self.name, _model_content(self))

    def with_model(
        self, image: str, model_uri: str, *, classes_uri: str = "", examples_uri: str = "", job: str = ""
    ) -> EndpointSpec:
        """The same for another artifact, with what belongs to that one."""
        return replace(
            self,
            model="",
            image=image,
            model_uri=model_uri,
            classes_uri=classes_uri,
            examples_uri=examples_uri,
            job=job,
        )


def check_spec(spec: EndpointSpec) -> tuple[str, ...]:
    """What is wrong with a spec, each in a sentence with what to do; nothing where it can be deployed."""
    problems = [
        _name(spec.name, "name of the endpoint"),
        _name(spec.variant, "name of the variant"),
        _name(spec.model, "name of the model") if spec.model else _artifact(spec),
        _instance(spec.instance_type),
        ""
        if 1 <= spec.instance_count <= MAX_INSTANCES
        else f"{spec.instance_count} instances are asked for; give 1 to {MAX_INSTANCES}.",
        "" if 0 <= spec.weight < math.inf else f"The weight is {spec.weight}; give a number from 0 up.",
        *(_tag(key, value) for key, value in endpoint_tags(spec).items()),
    ]
    return tuple(problem for problem in problems if problem)


def processor(instance_type: str) -> Processor | None:
    """What an instance computes with; None for a family that the algorithm cannot be served on."""
    parts = instance_type.split(".")
    return FAMILIES.get(parts[1]) if len(parts) == 3 and parts[0] == "ml" else None


def processor_in_words(instance_type: str) -> str:
    """What it means to choose it; empty where the algorithm cannot be served on it."""
    kind = processor(instance_type)
    return WORDS[kind] if kind else ""


def model_request(spec: EndpointSpec) -> dict[str, Any]:
    """The parameters of CreateModel."""
    tags = {JOB_TAG: spec.job, CLASSES_TAG: spec.classes_uri}
    return {"ModelName": spec.model_name, **_model_content(spec), "Tags": tag_rows(tags)}


def variant_request(spec: EndpointSpec) -> dict[str, Any]:
    """One of ProductionVariants of CreateEndpointConfig."""
    return {
        "VariantName": spec.variant,
        "ModelName": spec.model_name,
        "InstanceType": spec.instance_type,
        "InitialInstanceCount": spec.instance_count,
        "InitialVariantWeight": spec.weight,
    }


def config_request(name: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of CreateEndpointConfig: the given ones, under a name made of the endpoint's and of them."""
    content = {key: value for key, value in request.items() if key != "EndpointConfigName"}
    return {"EndpointConfigName": derived_name(name, content), **content}


def endpoint_tags(spec: EndpointSpec) -> dict[str, str]:
    """The endpoint's tags: where its model comes from, and what was asked for besides."""
    return {
        **spec.tags,
        **lineage_tags(spec),
    }


def lineage_tags(spec: EndpointSpec) -> dict[str, str]:
    """Where the model comes from; each tag is there, and empty where nobody knows."""
    return {JOB_TAG: spec.job, CLASSES_TAG: spec.classes_uri, EXAMPLES_TAG: spec.examples_uri}


def tag_rows(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags as AWS takes them; empty ones are left out."""
    return [{"Key": key, "Value": tags[key]} for key in sorted(tags) if tags[key]]


def endpoint_name(base: str, suffix: str = "") -> str:
    """A valid endpoint name from any text, such as a job's name: other signs become hyphens; cut to 63."""
    tail = f"-{suffix}" if suffix else ""
    plain = re.sub(r"[^a-zA-Z0-9]+", "-", base)[: MAX_NAME - len(tail)].strip("-")
    return f"{plain or 'endpoint'}{tail}"


def derived_name(base: str, content: Mapping[str, Any]) -> str:
    """A name that says whose it is, and is another one for another content."""
    text = json.dumps(content, sort_keys=True, ensure_ascii=False)
    digest = hashlib.sha256(text.encode()).hexdigest()[:DIGEST]
    return f"{base[: MAX_NAME - DIGEST - 1].rstrip('-')}-{digest}"


def is_derived(name: str, base: str) -> bool:
    """Whether a model or configuration was named after this endpoint by `derived_name`."""
    start = f"{base[: MAX_NAME - DIGEST - 1].rstrip('-')}-"
    return name.startswith(start) and re.fullmatch(rf"[0-9a-f]{{{DIGEST}}}", name[len(start) :]) is not None


def _model_content(spec: EndpointSpec) -> dict[str, Any]:
    container: dict[str, Any] = {"Image": spec.image, "ModelDataUrl": spec.model_uri}
    container |= {"Environment": dict(spec.environment)} if spec.environment else {}
    return {"PrimaryContainer": container, "ExecutionRoleArn": spec.role_arn}


def _name(name: str, what: str) -> str:
    if NAME.fullmatch(name) and len(name) <= MAX_NAME:
        return ""
    return f"The {what} is {name!r}; give 1 to {MAX_NAME} letters, digits and hyphens, the first and last no hyphen."


def _artifact(spec: EndpointSpec) -> str:
    """What is missing to make a model."""
    if not ARTIFACT.fullmatch(spec.model_uri):
        return f"The artifact is {spec.model_uri!r}; give the S3 URI of a model.tar.gz, as s3://bucket/model.tar.gz."
    if not spec.image:
        return "There is no container image; give the one that the model was trained with."
    if not ROLE.fullmatch(spec.role_arn):
        return (
            f"The role is {spec.role_arn!r}; give the ARN of the role that SageMaker takes on, "
            "as arn:aws:iam::123456789012:role/NAME."
        )
    return ""


def _instance(instance_type: str) -> str:
    if processor(instance_type):
        return ""
    kinds = " and ".join(
        f"{kind} instances of the families {', '.join(name for name, of in FAMILIES.items() if of == kind)}"
        for kind in ("CPU", "GPU")
    )
    return f"The algorithm cannot be served on {instance_type!r}; take one of these: {kinds}."


def _tag(key: str, value: str) -> str:
    if TAG.fullmatch(value):
        return ""
    return f"The tag {key} is {value!r}; give at most 256 letters, digits, spaces and signs of _.:/=+-@."
