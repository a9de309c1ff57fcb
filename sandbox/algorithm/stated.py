"""Read a model's `hyperparams.json` in any plausible form.

No `hyperparams.json` of a real model is published, and tools write their own: strings that are JSON themselves, whole
numbers as 21.0, "FCN", "resnet50", true for "True", or all of it one level deeper.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

_WRAPPERS = ("hyperparameters", "hyperParameters", "HyperParameters")
_LOWER = ("algorithm", "backbone")
_BACKBONE = re.compile(r"resnet[-_ ]?(\d+)")
_DEPTH = 4  # JSON inside JSON inside JSON ...


def read_stated(content: bytes) -> dict[str, str]:
    """Return the hyperparameters as text, spelled as in CreateTrainingJob. Raises ValueError."""
    values = _decoded(content.decode("utf-8-sig"))
    for wrapper in _WRAPPERS:
        if isinstance(values, dict) and wrapper in values:
            values = _decoded(values[wrapper])
    if not isinstance(values, dict):
        raise ValueError(f"it holds {type(values).__name__}, expected an object")  # noqa: TRY004 - of a file
    stated = {str(name).strip(): _text(value) for name, value in values.items() if value is not None}
    return {name: _spelled(name, text) for name, text in stated.items()}


def contradictions(actual: Mapping[str, str], stated: Mapping[str, str]) -> list[str]:
    """Return one sentence per stated hyperparameter that differs from the actual one."""
    return [
        f"hyperparams.json says {name} {stated[name]}, but the parameters are those of {name} {value}."
        for name, value in actual.items()
        if stated.get(name, value) != value
    ]


def _decoded(value: Any) -> Any:
    """Decode JSON text, and JSON text within it. Raises ValueError."""
    for _ in range(_DEPTH):
        if not isinstance(value, str):
            break
        value = json.loads(value)
    return value


def _text(value: Any) -> str:
    """Return a value as CreateTrainingJob would have it."""
    for _ in range(_DEPTH):
        if not (isinstance(value, str) and value.strip().startswith('"')):
            break
        try:
            value = json.loads(value)
        except ValueError:
            break
    if isinstance(value, str):
        text: str = value.strip()
        if re.fullmatch(r"-?[0-9]{1,15}\.0+", text):
            return text.partition(".")[0]
        return {"true": "True", "false": "False"}.get(text, text)
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        return str(int(value))
    return str(value)


def _spelled(name: str, text: str) -> str:
    """Return the value of a hyperparameter that is a name as AWS spells it."""
    if name not in _LOWER:
        return text
    lower = text.lower()
    backbone = _BACKBONE.fullmatch(lower)
    return f"resnet-{backbone[1]}" if backbone else lower
