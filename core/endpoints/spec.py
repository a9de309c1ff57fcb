"""The spec of an endpoint to deploy, its validation, and the requests that create it.

The names of its model and configuration are derived from the endpoint's name and their content. So repeating a deploy
creates nothing twice, and an update never conflicts with the name of what it replaces.
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
"""Number of hexadecimal digits at the end of a model's or configuration's name."""

NAME = re.compile(r"[a-zA-Z0-9](?:-*[a-zA-Z0-9]){0,62}")
ARTIFACT = re.compile(r"s3://[a-z0-9][a-z0-9.-]{2,62}/\S.*\.tar\.gz")
ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/?[a-zA-Z0-9+=,.@_/-]+")
TAG = re.compile(r"[\w \t.:/=+\-@]{0,256}")
"""The patterns of botocore 1.44's service model; a model's artifact ends in .tar.gz."""

CONTAINER_FIELDS = (
    "Image",
    "ModelDataUrl",
    "ModelDataSource",
    "ModelPackageName",
    "InferenceSpecificationName",
    "Environment",
)
"""Members of a model's container that are the spec's own, or another way to name the artifact."""

MAX_INSTANCES = 100
DEFAULT_VARIANT = "AllTraffic"

Processor = Literal["CPU", "GPU"]

FAMILIES: Mapping[str, Processor] = {"c5": "CPU", "m5": "CPU", "p3": "GPU", "g4dn": "GPU"}
"""The instance families that the developer guide names as examples for hosting the algorithm; others may work too."""

INSTANCE = re.compile(r"ml\.(?P<family>[a-z0-9-]+)\.[a-z0-9-]+", re.ASCII)
GPU_FAMILY = re.compile(r"[pg]\d.*")
CPU_FAMILY = re.compile(r"[cmrt]\d+(?!g)[a-z-]*")
ARM_FAMILY = re.compile(r"[cmrtx]\d+g[a-z]*")
"""Families by EC2's naming: p3, g5; c6i, m5d; and with Graviton processors c7g, m6gd."""

WORDS: Mapping[Processor, str] = {
    "CPU": "CPU: cheaper, a few seconds per image",
    "GPU": "GPU: more expensive, much faster",
}

HOSTING_INSTANCES: tuple[str, ...] = (
    "ml.c5.large", "ml.c5.xlarge", "ml.c5.2xlarge", "ml.c5.4xlarge", "ml.c5.9xlarge", "ml.c5.18xlarge",
    "ml.m5.large", "ml.m5.xlarge", "ml.m5.2xlarge", "ml.m5.4xlarge", "ml.m5.12xlarge", "ml.m5.24xlarge",
    "ml.g4dn.xlarge", "ml.g4dn.2xlarge", "ml.g4dn.4xlarge", "ml.g4dn.8xlarge", "ml.g4dn.12xlarge",
    "ml.g4dn.16xlarge", "ml.p3.2xlarge", "ml.p3.8xlarge", "ml.p3.16xlarge",
)  # fmt: skip
"""The instance types to choose from, CPU first, each family from small to large."""


@dataclass(frozen=True, slots=True)
class EndpointSpec:
    """An endpoint, or one of its variants, to deploy. `check_spec` validates it.

    role_arn:     the role that SageMaker assumes.
    image:        of the container; with model_uri.
    model_uri:    the S3 URI of `model.tar.gz`.
    model:        the name of an existing SageMaker Model, instead of image and model_uri.
    variant:      the name of the production variant.
    weight:       of the variant, relative to others.
    environment:  of the container.
    classes_uri:  the S3 URI of its `classes.json`; empty if there is none.
    examples_uri: the S3 URI of its `examples.json`; empty if there is none.
    job:          the training job that the artifact came from; empty if there is none.
    tags:         additional tags of the endpoint.
    model_settings: the CreateModel request of the model that a new one replaces: it keeps everything but image and
                  artifact, such as its VPC. For a new endpoint, the network of the training job.
    model_tags:   the tags of that model.
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
    model_settings: Mapping[str, Any] = field(default_factory=dict)
    model_tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def model_name(self) -> str:
        """Return the given model, otherwise a name derived from the endpoint's name and the model's content."""
        return self.model or derived_name(self.name, _model_content(self))

    def with_model(
        self, image: str, model_uri: str, *, classes_uri: str = "", examples_uri: str = "", job: str = ""
    ) -> EndpointSpec:
        """Return the spec for another artifact and what belongs to it."""
        return replace(
            self,
            model="",
            image=image,
            model_uri=model_uri,
            classes_uri=classes_uri,
            examples_uri=examples_uri,
            job=job,
        )


def check_spec(spec: EndpointSpec, current: str | None = None) -> tuple[str, ...]:
    """Return the problems of a spec, each a sentence with what to do; empty if it can be deployed.

    current: the instance type of the variant that it updates, which is not a problem; None for a new variant.
    """
    problems = [
        _name(spec.name, "name of the endpoint"),
        _name(spec.variant, "name of the variant"),
        _name(spec.model, "name of the model") if spec.model else _artifact(spec),
        "" if spec.instance_type == current else _instance(spec.instance_type),
        ""
        if 1 <= spec.instance_count <= MAX_INSTANCES
        else f"The instance count is {spec.instance_count}; set it to 1 to {MAX_INSTANCES}.",
        "" if 0 <= spec.weight < math.inf else f"The weight is {spec.weight}; set it to 0 or more.",
        *(_tag(key, value) for key, value in endpoint_tags(spec).items()),
    ]
    return tuple(problem for problem in problems if problem)


def instance_warnings(spec: EndpointSpec, current: str | None = None) -> tuple[str, ...]:
    """Return a warning if it is not documented that the algorithm can be hosted on the instance type.

    current: as for `check_spec`.
    """
    match = INSTANCE.fullmatch(spec.instance_type)
    if match is None or spec.instance_type == current or match["family"] in FAMILIES:
        return ()
    if ARM_FAMILY.fullmatch(match["family"]):
        why = "It has an ARM processor, but the image of the algorithm is for x86, so the endpoint would not start."
    else:
        why = "Test it before you rely on it."
    named = f"AWS's documentation does not name {spec.instance_type} for hosting this algorithm"
    return (f"{named}; its examples are {_examples()}. {why}",)


def processor(instance_type: str) -> Processor | None:
    """Return an instance type's processor; None if its family is unknown, or cannot host the algorithm."""
    match = INSTANCE.fullmatch(instance_type)
    family = match["family"] if match else ""
    if GPU_FAMILY.fullmatch(family):
        return "GPU"
    return "CPU" if CPU_FAMILY.fullmatch(family) else None


def processor_in_words(instance_type: str) -> str:
    """Return what to expect of an instance type; empty if its processor is unknown."""
    kind = processor(instance_type)
    return WORDS[kind] if kind else ""


def model_request(spec: EndpointSpec) -> dict[str, Any]:
    """Return the parameters of CreateModel."""
    lineage = {JOB_TAG: spec.job, CLASSES_TAG: spec.classes_uri}
    tags = {**_own_tags(spec.model_tags), **{key: text for key, text in lineage.items() if text}}
    return {"ModelName": spec.model_name, **_model_content(spec), "Tags": tag_rows(tags)}


def dropped_settings(spec: EndpointSpec) -> tuple[str, ...]:
    """Return the settings of the replaced model that do not fit the new image and artifact."""
    container = _first_container(spec.model_settings)
    return tuple(
        key for key in container if key not in (*CONTAINER_FIELDS, *_kept_container(spec)) and container[key]
    )


def variant_request(spec: EndpointSpec) -> dict[str, Any]:
    """Return an entry of CreateEndpointConfig's ProductionVariants."""
    return {
        "VariantName": spec.variant,
        "ModelName": spec.model_name,
        "InstanceType": spec.instance_type,
        "InitialInstanceCount": spec.instance_count,
        "InitialVariantWeight": spec.weight,
    }


def config_request(
    name: str, request: Mapping[str, Any], tags: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return the parameters of CreateEndpointConfig, with a name derived from the endpoint's name and content."""
    content = {key: value for key, value in request.items() if key != "EndpointConfigName"}
    rows = tag_rows(_own_tags(tags or {}))
    return {"EndpointConfigName": derived_name(name, content), **content, **({"Tags": rows} if rows else {})}


def endpoint_tags(spec: EndpointSpec) -> dict[str, str]:
    """Return the endpoint's tags: its model's lineage, as far as it is known, and the requested ones."""
    return {**spec.tags, **{key: text for key, text in lineage_tags(spec).items() if text}}


def lineage_tags(spec: EndpointSpec) -> dict[str, str]:
    """Return the model's lineage; every tag is present, and empty if unknown."""
    return {JOB_TAG: spec.job, CLASSES_TAG: spec.classes_uri, EXAMPLES_TAG: spec.examples_uri}


def tag_rows(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Return tags in AWS's format."""
    return [{"Key": key, "Value": tags[key]} for key in sorted(tags)]


def endpoint_name(base: str, suffix: str = "") -> str:
    """Return a valid endpoint name for any text, such as a job's name: other characters become hyphens."""
    tail = f"-{suffix}" if suffix else ""
    plain = re.sub(r"[^a-zA-Z0-9]+", "-", base)[: MAX_NAME - len(tail)].strip("-")
    return f"{plain or 'endpoint'}{tail}"


def derived_name(base: str, content: Mapping[str, Any]) -> str:
    """Return a name with this base and a hash of the content."""
    text = json.dumps(content, sort_keys=True, ensure_ascii=False)
    digest = hashlib.sha256(text.encode()).hexdigest()[:DIGEST]
    return f"{base[: MAX_NAME - DIGEST - 1].rstrip('-')}-{digest}"


def is_derived(name: str, base: str) -> bool:
    """Return whether `derived_name` gave a model or configuration of this endpoint this name."""
    start = f"{base[: MAX_NAME - DIGEST - 1].rstrip('-')}-"
    return name.startswith(start) and re.fullmatch(rf"[0-9a-f]{{{DIGEST}}}", name[len(start) :]) is not None


def _model_content(spec: EndpointSpec) -> dict[str, Any]:
    """Return what a new model is: image, artifact and role, and the settings of the model that it replaces."""
    container: dict[str, Any] = {"Image": spec.image, "ModelDataUrl": spec.model_uri}
    container |= {"Environment": dict(spec.environment)} if spec.environment else {}
    container |= _kept_container(spec)
    others = (spec.model_settings.get("Containers") or [])[1:]
    own = ("ModelName", "PrimaryContainer", "Containers", "ExecutionRoleArn")
    alone = () if others else ("InferenceExecutionConfig",)  # how several containers are called
    rest = {key: value for key, value in spec.model_settings.items() if key not in (*own, *alone) and value}
    containers = {"Containers": [container, *others]} if others else {"PrimaryContainer": container}
    return {**containers, "ExecutionRoleArn": spec.role_arn, **rest}


def _first_container(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the container with the algorithm, which is the first one; empty without settings."""
    containers = settings.get("Containers") or [{}]
    first: Mapping[str, Any] = settings.get("PrimaryContainer") or containers[0]
    return first


def _kept_container(spec: EndpointSpec) -> dict[str, Any]:
    """Return the settings of the replaced model's container that fit another image and artifact.

    A registry's access mode fits images of the same registry only, and several models in one container are replaced
    by one, which is AWS's default mode.
    """
    container = _first_container(spec.model_settings)
    same_registry = container.get("Image", "").partition("/")[0] == spec.image.partition("/")[0]
    left_out = (*CONTAINER_FIELDS, "Mode", "MultiModelConfig", *(() if same_registry else ("ImageConfig",)))
    return {key: value for key, value in container.items() if key not in left_out and value}


def _own_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Return tags that a new resource may have: not AWS's own ones, and not the lineage of another model."""
    lineage = (JOB_TAG, CLASSES_TAG, EXAMPLES_TAG)
    return {key: text for key, text in tags.items() if not key.startswith("aws:") and key not in lineage}


def _name(name: str, what: str) -> str:
    if NAME.fullmatch(name) and len(name) <= MAX_NAME:
        return ""
    return f"The {what} is {name!r}; use 1 to {MAX_NAME} letters, digits and hyphens, with no hyphen at either end."


def _artifact(spec: EndpointSpec) -> str:
    """Return what is missing to create a model."""
    if not ARTIFACT.fullmatch(spec.model_uri):
        return f"The artifact is {spec.model_uri!r}; set the S3 URI of a model.tar.gz, such as s3://bucket/model.tar.gz."
    if not spec.image:
        return "No container image is set; use the one that the model was trained with."
    if not ROLE.fullmatch(spec.role_arn):
        return (
            f"The role is {spec.role_arn!r}; set the ARN of the role that SageMaker assumes, "
            "such as arn:aws:iam::123456789012:role/NAME."
        )
    return ""


def _instance(instance_type: str) -> str:
    if INSTANCE.fullmatch(instance_type):
        return ""
    return (
        f"The instance type is {instance_type!r}; use one such as ml.c5.xlarge. Examples are {_examples()}."
    )


def _examples() -> str:
    return " and ".join(
        f"{kind} instances of the families {', '.join(name for name, of in FAMILIES.items() if of == kind)}"
        for kind in ("CPU", "GPU")
    )


def _tag(key: str, value: str) -> str:
    if TAG.fullmatch(value):
        return ""
    return f"The tag {key} is {value!r}; use at most 256 letters, digits, spaces and the characters _.:/=+-@."
