"""AWS's words for a training or transform job whose instances cannot be launched."""

from __future__ import annotations

NO_CAPACITY = (
    "CapacityError: Unable to provision requested ML compute capacity. "
    "Please retry using a different ML instance type."
)
"""AWS's FailureReason: of training jobs, DIAGNijmegen/rse-grand-challenge, issue 2631; of transform jobs,
cypienta/docs, "Common errors"."""
