"""What an update of an endpoint changes, before it starts: current and new values, and warnings about the classes.

Clients of an endpoint read class ids. A model with other classes takes over without any error of AWS, and every
client then misreads its masks.
"""

from __future__ import annotations

from dataclasses import dataclass

from core.endpoints.detail import EndpointDetail
from core.endpoints.endpoint import JOB_TAG
from core.endpoints.spec import EndpointSpec
from core.imaging.classes import Classes
from core.text import listing, plural

UNKNOWN = "unknown"
SERVERLESS = "serverless"


@dataclass(frozen=True, slots=True)
class Comparison:
    """One property of an endpoint's variant. current: empty if the update adds the variant."""

    label: str
    current: str
    new: str

    @property
    def changed(self) -> bool:
        """Return whether the values differ."""
        return self.current != self.new

    def __str__(self) -> str:
        if not self.changed:
            return f"{self.label}: {self.new} (unchanged)"
        return f"{self.label}: {self.current or 'none'} -> {self.new}"


def compare(
    detail: EndpointDetail, spec: EndpointSpec, classes: Classes | None, count: int | None = None
) -> tuple[Comparison, ...]:
    """Return model, training job, classes and instances of the variant `spec.variant`, current and new.

    classes: of the new model; None if it has no class names.
    count:   of the new model's classes; None if unknown.
    """
    variant = detail.endpoint.variant(spec.variant)
    if variant is None:
        current = ("", "", "", "")
    else:
        model = detail.model(variant.model)
        instances = variant.desired_count if variant.desired_count is not None else variant.count
        current = (
            (model.model_uri if model else "") or variant.model or UNKNOWN,
            (model.job if model else "") or detail.endpoint.tags.get(JOB_TAG) or UNKNOWN,
            _described(detail.classes, None),
            SERVERLESS if variant.serverless else _instances(variant.instance_type, instances),
        )
    new_model = detail.model(spec.model) if spec.model else None
    stays_serverless = variant is not None and variant.serverless and not spec.instance_type
    new = (
        spec.model_uri or (new_model.model_uri if new_model else "") or spec.model or UNKNOWN,
        (new_model.job if new_model else "") or spec.job or UNKNOWN,
        _described(classes, count),
        SERVERLESS if stays_serverless else _instances(spec.instance_type, spec.instance_count),
    )
    labels = ("Model", "Training job", "Classes", "Instances")
    return tuple(Comparison(*values) for values in zip(labels, current, new, strict=True))


def class_warnings(current: Classes | None, new: Classes | None, count: int | None = None) -> tuple[str, ...]:
    """Return a warning if the new model's classes differ from the current ones, by number or by name."""
    number = count if count is not None else (len(new) if new else None)
    if current is None or number is None:
        return ()
    effect = "Clients that expect the current class ids will misread the new masks."
    if number != len(current):
        return (
            f"The current model has {plural(len(current), 'class', 'classes')}, the new one {number}. {effect}",
        )
    pairs = enumerate(zip(current.names, new.names, strict=False)) if new else ()
    renamed = [f"{place} {old} -> {name}" for place, (old, name) in pairs if old != name]
    return (f"The class names differ: {listing(renamed)}. {effect}",) if renamed else ()


def _described(classes: Classes | None, count: int | None) -> str:
    number = count if count is not None else (len(classes) if classes else None)
    if number is None:
        return UNKNOWN
    return f"{number} ({listing(classes.names)})" if classes else f"{number}, unnamed"


def _instances(instance_type: str, count: int | None) -> str:
    return f"{UNKNOWN if count is None else count} x {instance_type or UNKNOWN}"
