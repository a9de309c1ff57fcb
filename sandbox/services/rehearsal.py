"""The sandbox's own operations, which AWS does not have: rehearse a spot interruption, and missing capacity.

They are called like those of AWS's services, as JSON 1.1 with a signature for the service `sandbox`, by the sandbox's
own key only; `python -m sandbox interrupt` and `python -m sandbox capacity` do so.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sandbox.common.store import RecordStore
from sandbox.http.faults import Faults
from sandbox.http.protocol import ApiError, Params

JOBS = "training-job"
_ENDED = frozenset({"Completed", "Failed", "Stopped"})


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """Rules on instances, for the jobs in the store."""

    store: RecordStore
    faults: Faults

    def call(self, operation: str, params: Params) -> Params:
        """Run one operation. Raises ApiError."""
        operations: dict[str, Callable[[Params], Params]] = {
            "InterruptTrainingJob": self._interrupt,
            "SetCapacity": self._set_capacity,
        }
        if operation not in operations:
            known = ", ".join(operations)
            raise ApiError("UnknownOperationException", f"The sandbox has no {operation}, only {known}.")
        return operations[operation](params)

    def _interrupt(self, params: Params) -> Params:
        """Reclaim the instance of a spot job that has not ended. Raises ApiError."""
        name = _member(params, "TrainingJobName", str)
        document = self.store.get(JOBS, name)
        if document is None:
            raise ApiError("ValidationException", f"There is no training job {name}.")
        status = document["TrainingJobStatus"]
        if status in _ENDED or status == "Stopping":
            raise ApiError(
                "ValidationException", f"The training job {name} cannot be interrupted: it is {status}."
            )
        if not document["EnableManagedSpotTraining"]:
            text = "it does not use spot capacity (EnableManagedSpotTraining)."
            raise ApiError("ValidationException", f"The training job {name} cannot be interrupted: {text}")
        self.faults.add(
            "interrupt",
            resource=re.escape(name),
            times=1,
            after_checkpoint=_member(params, "AfterCheckpoint", bool, default=False),
            capacity_seconds=_member(params, "CapacitySeconds", int, default=0),
        )
        return {"TrainingJobName": name, "SecondaryStatus": document["SecondaryStatus"]}

    def _set_capacity(self, params: Params) -> Params:
        """Remove, or restore, the capacity of an instance type. Raises ApiError."""
        instance_type = _member(params, "InstanceType", str)
        removed = self.faults.remove("capacity", instance_type)
        if not _member(params, "Available", bool):
            seconds = _member(params, "Seconds", int, default=0)
            options = {"seconds": seconds} if seconds else {}
            self.faults.add("capacity", resource=re.escape(instance_type), **options)
        return {"InstanceType": instance_type, "WasMissing": removed > 0}


def _member(params: Params, name: str, kind: type, default: Any = None) -> Any:
    """Return a member of the parameters. Raises ApiError if it is missing or not valid."""
    value = params.get(name, default)
    valid = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
    if not valid or value == "" or (kind is int and not 0 <= value <= 86_400):
        wanted = {str: "a name", bool: "true or false", int: "a number of seconds up to 86400"}[kind]
        raise ApiError("ValidationException", f"{name} must be {wanted}, not {value!r}.")
    return value
