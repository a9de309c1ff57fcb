"""What the deploy form asks for, as a spec, and what is wrong with it."""

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
from core.endpoints.spec import EndpointSpec, check_spec
from core.errors import InputError
from core.imaging.classes import Classes
from core.plans.deploy import current_spec
from core.training.hyperparameters import Problem
from pages.parts.deploy.model import Chosen
from pages.parts.deploy.source import ModelChoice

COLOR = re.compile(r"\s*(#[0-9a-fA-F]{6})\s*$")


@dataclass(frozen=True, slots=True)
class CheckedDeployment:
    """What the form says, and what is wrong with it, errors first.

    classes: names that are written to `spec.classes_uri`; None where they lie there already, or there are none.
    """

    spec: EndpointSpec
    classes: Classes | None
    problems: tuple[Problem, ...]

    @property
    def blocked(self) -> bool:
        """Whether something must be mended first."""
        return any(problem.is_error for problem in self.problems)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What to read before saying yes."""
        return tuple(problem.message for problem in self.problems if problem.severity == "warning")


def check(
    connection: Connection,
    chosen: Chosen,
    fields: Mapping[str, Any],
    *,
    detail: EndpointDetail | None = None,
    taken: Collection[str] = (),
) -> CheckedDeployment:
    """Look at the form. Raises InputError where AWS does not offer the algorithm in this region.

    detail: the endpoint that gets the model; None for a new one.
    taken:  names that endpoints have already.
    """
    problems: list[Problem] = []
    source = chosen.source
    classes, uri = _classes(source, chosen.names, fields, problems)
    spec = replace(
        _before(detail, fields),
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
    problems += [Problem("endpoint", sentence, "error") for sentence in check_spec(spec)]
    problems += _name_problems(spec, detail, taken)
    problems += _model_problems(chosen, classes or (chosen.names.classes if uri else None))
    return CheckedDeployment(spec, classes, tuple(sorted(problems, key=lambda problem: not problem.is_error)))


def to_classes(text: str) -> Classes | None:
    """Names as they were typed, one a line, each with a colour behind it or not; None where there are none.

    Raises InputError where there are too many.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    rows = [{"name": COLOR.sub("", line) or line, "color": _color(line)} for line in lines]
    return Classes.from_json(json.dumps({"classes": rows})) if rows else None


def _before(detail: EndpointDetail | None, fields: Mapping[str, Any]) -> EndpointSpec:
    """What the form begins from: nothing, a variant as it is, or one more beside it."""
    if detail is None:
        return EndpointSpec(name="", role_arn="", instance_type="")
    if fields["variant"]:
        return current_spec(detail, fields["variant"])
    own = (fields["own_variant"] or "").strip()
    return replace(current_spec(detail), variant=own, weight=fields["weight"] or 0.0)


def _classes(
    source: ModelChoice, found: FoundClasses, fields: Mapping[str, Any], problems: list[Problem]
) -> tuple[Classes | None, str]:
    """What is to be written, and where the names lie or will lie. Those of the data go beside the artifact."""
    beside = classes_uri_for(source.model_uri) or ""
    own = found.classes is None or fields["own_names"]
    try:
        typed = to_classes(fields["names"] or "") if own else None
    except InputError as error:
        problems.append(Problem("classes", str(error), "error"))
        return None, ""
    if typed is not None:
        other = f"{beside.removesuffix('.json')}-{crc32(typed.to_json().encode()):08x}.json"
        return typed, other if found.uri == beside else beside
    if found.uri and found.uri != source.with_data:
        return None, found.uri
    return found.classes, beside if found.classes else ""


def _name_problems(
    spec: EndpointSpec, detail: EndpointDetail | None, taken: Collection[str]
) -> list[Problem]:
    if detail is None and spec.name in taken:
        text = f"There is an endpoint {spec.name} already: choose another name, or update that one."
        return [Problem("name", text, "error")]
    return []


def _model_problems(chosen: Chosen, classes: Classes | None) -> list[Problem]:
    """What the look inside told, and whether there is a name for each class."""
    found = [Problem("artifact", chosen.unseen, "warning")] if chosen.unseen else []
    found += [
        Problem("artifact", text, "warning") for text in (chosen.artifact.warnings if chosen.artifact else ())
    ]
    if classes is None:
        found.append(Problem("classes", "Without names, the classes are shown as numbers.", "note"))
    elif chosen.count is not None and len(classes) != chosen.count:
        text = f"There are names for {len(classes)} classes, and the model has {chosen.count}."
        found.append(Problem("classes", text, "warning"))
    return found


def _color(line: str) -> str | None:
    found = COLOR.search(line)
    return found[1] if found else None
