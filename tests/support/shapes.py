"""Requests and responses with every member of AWS's service model set, to find the ones that get lost."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import botocore.loaders
import botocore.model

SAGEMAKER = botocore.model.ServiceModel(
    botocore.loaders.Loader().load_service_model("sagemaker", "service-2")
)


def input_of(operation: str) -> Any:
    """Return the shape of an operation's parameters."""
    return SAGEMAKER.operation_model(operation).input_shape


def output_of(operation: str) -> Any:
    """Return the shape of an operation's response."""
    return SAGEMAKER.operation_model(operation).output_shape


def in_both(create: str, describe: str) -> set[str]:
    """Return the members that one operation accepts and the other one returns."""
    return set(input_of(create).members) & set(output_of(describe).members)


def filled(shape: Any, name: str = "x", without: Collection[str] = ()) -> Any:
    """Return a value with every member set, each text different. without: names of members to leave out."""
    if shape.type_name == "structure":
        return {
            key: filled(member, f"{name}-{key}", without)
            for key, member in shape.members.items()
            if key not in without
        }
    if shape.type_name == "list":
        return [filled(shape.member, name, without)]
    if shape.type_name == "map":
        return {"key": filled(shape.value, name, without)}
    if shape.type_name == "boolean":
        return True
    if shape.type_name in ("integer", "long"):
        return shape.metadata.get("min", 0) + 1
    if shape.type_name == "float":
        return 0.5
    return shape.enum[-1] if getattr(shape, "enum", None) else name[-shape.metadata.get("max", 99) :].lower()


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Return each value with its path, such as "InputDataConfig.0.ContentType"."""
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from leaves(each, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from leaves(each, f"{path}.{number}")
    else:
        yield path, value


def paths(value: Any) -> set[str]:
    """Return the paths of all values, without the numbers of list entries."""
    return {".".join(part for part in path.split(".") if not part.isdigit()) for path, _ in leaves(value)}
