"""An endpoint with its configuration, models, lineage, classes and autoscaling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from core.endpoints.endpoint import Endpoint, EndpointConfig
from core.imaging.classes import Classes


@dataclass(frozen=True, slots=True)
class Model:
    """A SageMaker Model: an image with an artifact.

    image, model_uri: of the first container; empty if AWS returns none.
    job:              the training job that the artifact came from; empty if unknown.
    request:          the CreateModel request for the same model; do not modify its lists and mappings.
    tags:             its tags; empty if they were not read.
    """

    name: str
    arn: str
    image: str
    model_uri: str
    role_arn: str
    created_at: datetime | None
    environment: Mapping[str, str] = field(default_factory=dict)
    job: str = ""
    request: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Scaling:
    """The autoscaling of a variant.

    low, high: the minimum and maximum number of instances.
    target:    target invocations per instance per minute; None if there is no such policy.
    policies:  the names of its policies.
    """

    variant: str
    low: int
    high: int
    target: float | None
    policies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EndpointDetail:
    """One endpoint with all its details.

    endpoint:      its variants have instance types and models if the configuration could be read.
    config:        None if it is deleted, or may not be read.
    config_tags:   the tags of the configuration; empty if they were not read.
    tags_known:    False if the tags of the configuration or of a model may not be read.
    models:        of the variants, each once; deleted or unreadable ones are left out.
    aws_algorithm: whether the first variant's model has AWS's own semantic segmentation image; None if unknown.
    classes:       names and colors of the first variant's model; None if there are none.
    classes_uri, examples_uri: their S3 URIs; empty if unknown.
    scaling:       of the variants that have autoscaling; scaling_known: False if it may not be read.
    notes:         sentences about what could not be read.
    """

    endpoint: Endpoint
    config: EndpointConfig | None = None
    models: tuple[Model, ...] = ()
    aws_algorithm: bool | None = None
    classes: Classes | None = None
    classes_uri: str = ""
    examples_uri: str = ""
    scaling: tuple[Scaling, ...] = ()
    scaling_known: bool = True
    config_tags: Mapping[str, str] = field(default_factory=dict)
    tags_known: bool = True
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Return the endpoint's name."""
        return self.endpoint.name

    def model(self, name: str) -> Model | None:
        """Return a model by name; None if there is none."""
        return next((model for model in self.models if model.name == name), None)


@dataclass(frozen=True, slots=True)
class Users:
    """Other users of the resources of some endpoints: a resource with other users must not be deleted.

    configs:     configuration -> its other users, in words such as "the endpoint roads".
    models:      model -> the same.
    old_configs: endpoint -> configurations left by its earlier updates.
    old_models:  endpoint -> models left by its earlier updates.
    unreadable:  why the users are unknown: then no configuration or model is deleted; empty if they are known.
    """

    configs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    models: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    old_configs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    old_models: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unreadable: str = ""
