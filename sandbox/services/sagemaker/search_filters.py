"""The filters of Search: turn a SearchExpression into one function that tests a document.

A property's name is a path through botocore's shape of the resource ("AlgorithmSpecification.TrainingImage",
"HyperParameters.epochs", "InputDataConfig.ChannelName"), or "Metrics.NAME", its last value, or "Tags.KEY".
A property has several values when its path passes a list; a filter holds when one of them satisfies it. Source:
SageMaker API reference, "SearchExpression", "Filter" and "NestedFilters".
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from botocore.model import Shape

from sandbox.common.store import Document
from sandbox.http.protocol import ApiError, Params

MAX_PARTS = 50  # filters, nested filters and subexpressions of one search
Test = Callable[[Document], bool]
_TYPES = {
    "string": "text",
    "integer": "number",
    "long": "number",
    "float": "number",
    "double": "number",
    "timestamp": "time",
    "boolean": "boolean",
}
_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "GreaterThan": operator.gt,
    "GreaterThanOrEqualTo": operator.ge,
    "LessThan": operator.lt,
    "LessThanOrEqualTo": operator.le,
}


@dataclass(frozen=True, slots=True)
class Property:
    """One property of a resource.

    kind: "text", "number", "time", "boolean", "map" (text that may be a number), or "whole" (no single value).
    """

    name: str
    kind: str
    values: Callable[[Document], Iterable[Any]]

    def first(self, document: Document) -> Any:
        """Return the first value, for sorting; None without one."""
        for value in self.values(document):
            return value
        return None


def find_property(shape: Shape, name: str) -> Property:
    """Return a property by name. Raises ApiError for a name that the resource does not have."""
    group, _, rest = name.partition(".")
    if group == "Metrics" and rest:
        return Property(name, "number", lambda document: _metric(document, rest))
    if group == "Tags" and rest:
        return Property(name, "text", lambda document: _tag(document, rest))
    steps, kind = _path(shape, name)
    if len(steps) == 1 and kind != "whole":  # the common case, and much faster
        return Property(
            name, kind, lambda document: [document[name]] if document.get(name) is not None else ()
        )
    return Property(name, kind, lambda document: _walk(document, steps))


def _metric(document: Document, name: str) -> list[float]:
    """Return the last value of a metric."""
    return [item["Value"] for item in document.get("FinalMetricDataList") or () if item["MetricName"] == name]


def _tag(document: Document, key: str) -> list[str]:
    """Return the value of a tag."""
    return [item["Value"] for item in document.get("Tags") or () if item["Key"] == key]


def _path(shape: Shape, name: str) -> tuple[list[str], str]:
    """Return the keys to follow, and the kind of the value at their end. Raises ApiError."""
    steps: list[str] = []
    rest, kind = name, "whole"
    while rest:
        while shape.type_name == "list":
            shape = shape.member
        if shape.type_name == "map":
            return [*steps, rest], "map"  # a key may hold dots
        step, _, rest = rest.partition(".")
        if shape.type_name != "structure" or step not in shape.members:
            raise invalid(f"Unknown property name: {name}")
        steps.append(step)
        shape = shape.members[step]
        kind = _TYPES.get(shape.type_name, "whole")
    return steps, kind


def _walk(value: Any, steps: list[str]) -> Iterator[Any]:
    """Yield the values at the end of a path."""
    for number, step in enumerate(steps):
        if isinstance(value, list):
            for item in value:
                yield from _walk(item, steps[number:])
            return
        value = value.get(step) if isinstance(value, dict) else None
        if value is None:
            return
    if isinstance(value, list):
        yield from value
    else:
        yield value


def build(shape: Shape, expression: Params) -> Test:
    """Return the test of a whole expression. Raises ApiError for an invalid one."""
    _check_size(expression)
    return _build(shape, expression)


def _build(shape: Shape, expression: Params) -> Test:
    """Return the test of one expression and its subexpressions. Raises ApiError."""
    tests = [_test(find_property(shape, item["Name"]), item) for item in expression.get("Filters") or ()]
    tests += [_nested(shape, item) for item in expression.get("NestedFilters") or ()]
    tests += [_build(shape, item) for item in expression.get("SubExpressions") or ()]
    if not tests:
        raise invalid("A search expression needs at least one subexpression, filter, or nested filter.")
    some = expression.get("Operator", "And") == "Or"
    if len(tests) == 1:
        return tests[0]
    return lambda document: (any if some else all)(test(document) for test in tests)


def _nested(shape: Shape, nested: Params) -> Test:
    """Return the test of a nested filter: one object of a list must satisfy all its filters. Raises ApiError."""
    name = nested["NestedPropertyName"]
    steps, _ = _path(shape, name)
    tests = []
    for item in nested["Filters"]:
        if not item["Name"].startswith(f"{name}."):
            raise invalid(f"The nested filter {item['Name']} must begin with {name}.")
        inner, kind = _path(shape, item["Name"])
        below = inner[len(steps) :]
        prop = Property(item["Name"], kind, lambda value, below=below: _walk(value, below))  # type: ignore[misc]
        tests.append(_test(prop, item))
    return lambda document: any(all(test(item) for test in tests) for item in _walk(document, steps))


def _test(prop: Property, item: Params) -> Test:
    """Return the test of one filter. Raises ApiError when its operator or its value does not suit the property."""
    name, text = item.get("Operator", "Equals"), item.get("Value")
    if name in {"Exists", "NotExists"}:
        wanted = name == "Exists"
        return lambda document: (prop.first(document) is not None) == wanted
    if text is None:
        raise invalid(f"A value is required for the operator {name} of {prop.name}.")
    if prop.kind == "whole":
        raise invalid(f"The property {prop.name} takes the operators Exists and NotExists only.")
    if name == "NotEquals":
        same = _matcher(prop, "Equals", text)
        return lambda document: not any(same(value) for value in prop.values(document))
    matches = _matcher(prop, name, text)
    return lambda document: any(matches(value) for value in prop.values(document))


def _matcher(prop: Property, name: str, text: str) -> Callable[[Any], bool]:
    """Return the test of one value. Raises ApiError."""
    is_text = prop.kind in {"text", "map"}
    if name == "Contains" and is_text:
        return lambda value: text in value
    if name == "In" and is_text:
        choices = {choice.strip() for choice in text.split(",")}
        return lambda value: value in choices
    if name in _ORDER and prop.kind not in {"text", "boolean"}:
        return _order(prop, _ORDER[name], text)
    if name == "Equals":
        wanted = text if is_text else _value(prop, text)
        if prop.kind == "map" and (number := number_of(text)) is not None:
            return lambda value: value == text or number_of(value) == number
        return lambda value: value == wanted
    raise invalid(f"The operator {name} is not supported for the property {prop.name}.")


def _order(prop: Property, compare: Callable[[Any, Any], bool], text: str) -> Callable[[Any], bool]:
    """Return the test of a comparison. Raises ApiError."""
    if prop.kind != "map":
        wanted = _value(prop, text)
        return lambda value: compare(value, wanted)
    limit = number_of(text)
    if limit is None:
        raise invalid(f"The value {text} of {prop.name} must be a number.")
    whole = text.strip().lstrip("+-").isdigit()

    def matches(value: str) -> bool:
        # AWS: against a whole number, a decimal hyperparameter counts as a whole number too.
        number = number_of(value)
        return number is not None and compare(float(int(number)) if whole else number, limit)

    return matches


def _value(prop: Property, text: str) -> Any:
    """Parse a filter's text as the property's kind. Raises ApiError."""
    if prop.kind == "boolean":
        if text.lower() not in {"true", "false"}:
            raise invalid(f"The value {text} of {prop.name} must be true or false.")
        return text.lower() == "true"
    if prop.kind == "number":
        number = number_of(text)
        if number is None:
            raise invalid(f"The value {text} of {prop.name} must be a number.")
        return number
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as problem:
        raise invalid(
            f"The value {text} of {prop.name} must be a time such as 2026-11-22T12:00:00."
        ) from problem
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def number_of(text: Any) -> float | None:
    """Parse a finite number; return None for anything else."""
    try:
        number = float(text)
    except (TypeError, ValueError):
        return None
    return number if number - number == 0 else None  # neither NaN nor infinite


def _check_size(expression: Params) -> None:
    """Raise ApiError for an expression with too many parts, or more than one Contains per property."""
    names: Counter[str] = Counter()
    parts = 0
    stack = [expression]
    while stack:
        item = stack.pop()
        nested = item.get("NestedFilters") or []
        filters = [
            *(item.get("Filters") or []),
            *(test_filter for group in nested for test_filter in group["Filters"]),
        ]
        below = item.get("SubExpressions") or []
        names.update(
            test_filter["Name"] for test_filter in filters if test_filter.get("Operator") == "Contains"
        )
        parts += len(filters) + len(nested) + len(below)
        stack += below
    if parts > MAX_PARTS:
        raise invalid(f"A search expression can have {MAX_PARTS} filters and subexpressions, not {parts}.")
    if names and max(names.values()) > 1:
        raise invalid("'CONTAINS' operator usage limit of 1 exceeded.")


def invalid(message: str) -> ApiError:
    """Return AWS's error for an invalid search."""
    return ApiError("ValidationException", message)
