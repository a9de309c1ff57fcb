"""Turn the deploy form into a spec, and check it."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any
from zlib import crc32

from core.aws.class_names import FoundClasses
from core.aws.connection import Connection
from core.aws.images import image_uri
from core.endpoints.detail import EndpointDetail
from core.endpoints.endpoint import classes_uri_for
from core.endpoints.spec import EndpointSpec, check_spec, instance_warnings
from core.errors import InputError
from core.imaging.classes import Classes
from core.plans.comparison import class_warnings
from core.plans.deploy import current_spec
from core.text import plural
from core.training.hyperparameters import Problem
from pages.parts.deploy.model import Chosen
from pages.parts.deploy.source import ModelChoice

COLOR = re.compile(r"\s*(#[0-9a-fA-F]{6})\s*$")


@dataclass(frozen=True, slots=True)
class CheckedDeployment:
    """The spec from the form, and its problems, errors first.

    classes:     names to write to `spec.classes_uri`; None if they are already there, or there are none.
    new_classes: names that the endpoint will have; None if there are none.
    """

    spec: EndpointSpec
    classes: Classes | None
    problems: tuple[Problem, ...]
    new_classes: Classes | None = None

    @property
    def blocked(self) -> bool:
        """Whether an error must be fixed first."""
        return any(problem.is_error for problem in self.problems)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return the warnings to read before confirming."""
        return tuple(problem.message for problem in self.problems if problem.severity == "warning")


def check(
    connection: Connection,
    chosen: Chosen,
    fields: Mapping[str, Any],
    *,
    detail: EndpointDetail | None = None,
    taken: Collection[str] = (),
) -> CheckedDeployment:
    """Check the form. Raises InputError if AWS does not offer the algorithm in this region.

    detail: the endpoint to update; None to create a new one.
    taken:  names of existing endpoints.
    """
    problems: list[Problem] = []
    source = chosen.source
    classes, uri = _classes(source, chosen.names, fields, problems)
    spec = replace(
        _before(detail, fields, source),
        name=detail.name if detail else (fields["name"] or "").strip(),
        role_arn=(fields["role_arn"] or "").strip(),
        instance_type=fields["instance_type"] or "",
        instance_count=fields["count"] or 0,
        image="" if source.model else image_uri(connection.region),
        model_uri="" if source.model else source.model_uri,
        model=source.model,
        classes_uri=uri,
        job=source.job,
    )
    variant = detail.endpoint.variant(spec.variant) if detail else None
    current = variant.instance_type if variant else None
    problems += [Problem("endpoint", sentence, "error") for sentence in check_spec(spec, current)]
    problems += [Problem("instance_type", text, "warning") for text in instance_warnings(spec, current)]
    problems += _name_problems(spec, detail, taken)
    new_classes = classes or (chosen.names.classes if uri else None)
    problems += _model_problems(chosen, new_classes)
    if detail is not None:
        differing = class_warnings(detail.classes, new_classes, chosen.count)
        problems += [Problem("classes", text, "warning") for text in differing]
    by_severity = sorted(problems, key=lambda problem: not problem.is_error)
    return CheckedDeployment(spec, classes, tuple(by_severity), new_classes)


def to_classes(text: str) -> Classes | None:
    """Return class names from text, one per line, each with an optional color; None if there are none.

    Raises InputError if there are too many.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    rows = [{"name": COLOR.sub("", line) or line, "color": _color(line)} for line in lines]
    return Classes.from_json(json.dumps({"classes": rows})) if rows else None


def _before(detail: EndpointDetail | None, fields: Mapping[str, Any], source: ModelChoice) -> EndpointSpec:
    """Return the spec to start from: a new endpoint, an existing variant, or an additional variant."""
    if detail is None:
        return EndpointSpec(name="", role_arn="", instance_type="", model_settings=source.settings)
    if fields["variant"]:
        return current_spec(detail, fields["variant"])
    own = (fields["own_variant"] or "").strip()
    return replace(current_spec(detail), variant=own, weight=fields["weight"] or 0.0)


def _classes(
    source: ModelChoice, existing: FoundClasses, fields: Mapping[str, Any], problems: list[Problem]
) -> tuple[Classes | None, str]:
    """Return the class names to write, and their URI. Names from the dataset are copied next to the artifact."""
    beside = classes_uri_for(source.model_uri) or ""
    own = existing.classes is None or fields["own_names"]
    try:
        typed = to_classes(fields["names"] or "") if own else None
    except InputError as error:
        problems.append(Problem("classes", str(error), "error"))
        return None, ""
    if typed is not None:
        other = f"{beside.removesuffix('.json')}-{crc32(typed.to_json().encode()):08x}.json"
        return typed, other if existing.uri == beside else beside
    if existing.uri and existing.uri != source.with_data:
        return None, existing.uri
    return existing.classes, beside if existing.classes else ""


def _name_problems(
    spec: EndpointSpec, detail: EndpointDetail | None, taken: Collection[str]
) -> list[Problem]:
    if detail is None and spec.name in taken:
        text = f"An endpoint named {spec.name} already exists. Choose another name, or update that endpoint."
        return [Problem("name", text, "error")]
    return []


def _model_problems(chosen: Chosen, classes: Classes | None) -> list[Problem]:
    """Return problems of the artifact, and whether each class has a name."""
    problems = [Problem("artifact", chosen.unseen, "warning")] if chosen.unseen else []
    problems += [
        Problem("artifact", text, "warning") for text in (chosen.artifact.warnings if chosen.artifact else ())
    ]
    if classes is None:
        problems.append(Problem("classes", "Without class names, classes are shown as numbers.", "note"))
    elif chosen.count is not None and len(classes) != chosen.count:
        text = f"{plural(len(classes), 'class name')} given, but the model has {chosen.count} classes."
        problems.append(Problem("classes", text, "warning"))
    return problems


def _color(line: str) -> str | None:
    match = COLOR.search(line)
    return match[1] if match else None
