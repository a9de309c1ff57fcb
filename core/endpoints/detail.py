"""One endpoint with all that belongs to it: configuration, models, lineage, classes and autoscaling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from core.endpoints.endpoint import Endpoint, EndpointConfig
from core.imaging.classes import Classes


@dataclass(frozen=True, slots=True)
class Model:
    """A SageMaker Model: an image with an artifact.

    image, model_uri: of the first container; empty where AWS tells none.
    job:              the training job that the artifact came from; empty where nobody knows.
    """

    name: str
    arn: str
    image: str
    model_uri: str
    role_arn: str
    created_at: datetime | None
    environment: Mapping[str, str] = field(default_factory=dict)
    job: str = ""


@dataclass(frozen=True, slots=True)
class Scaling:
    """How a variant's number of instances follows its calls.

    low, high: the fewest and the most instances.
    target:    calls a minute and instance to keep to; None where no policy of that kind is there.
    policies:  the names of its policies.
    """

    variant: str
    low: int
    high: int
    target: float | None
    policies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EndpointDetail:
    """One endpoint, whole.

    endpoint:      its variants have instance types and models where the configuration could be read.
    config:        None where it is gone, or may not be read.
    models:        of the variants, each once; those that are gone or may not be read are left out.
    aws_algorithm: whether the first model's image is AWS's own semantic segmentation; None where unknown.
    classes:       names and colours; None where the model brought none.
    classes_uri, examples_uri: where they lie; empty where nobody knows.
    scaling:       of the variants that have it; scaling_known: False where that may not be read.
    notes:         sentences on what could not be read.
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
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The endpoint's."""
        return self.endpoint.name

    def model(self, name: str) -> Model | None:
        """A model by its name."""
        return next((model for model in self.models if model.name == name), None)


@dataclass(frozen=True, slots=True)
class Users:
    """Who else uses what belongs to some endpoints, so that it must stay when they go.

    configs:     configuration -> who else uses it, in words such as "the endpoint roads".
    models:      model -> the same.
    old_configs: endpoint -> configurations that earlier updates of it left.
    old_models:  endpoint -> models that earlier updates of it left.
    blind:       why it could not be seen who uses what: then no configuration and no model goes; empty where it was.
    """

    configs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    models: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    old_configs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    old_models: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    blind: str = ""
