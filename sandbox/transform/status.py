"""The status of a transform job in its document, with its times: written here and nowhere else.

Source: SageMaker API reference, "DescribeTransformJob".
"""

from __future__ import annotations

from sandbox.common.store import Document

KIND = "transform-job"
STATUS = "TransformJobStatus"
ENDED = frozenset({"Completed", "Failed", "Stopped"})
MAX_REASON = 1024
RESTARTED = (
    "InternalServerError: the sandbox was restarted while this job was running; the objects that it had written "
    "until then are complete"
)


def has_ended(document: Document) -> bool:
    """Return whether a job is Completed, Failed or Stopped."""
    return document[STATUS] in ENDED


def begin(document: Document, now: float) -> None:
    """Record that the job's instances start: it is billed from now on."""
    document.update(TransformStartTime=now, LastModifiedTime=now)


def end(document: Document, outcome: str, now: float, reason: str = "") -> None:
    """End a job as Completed, Failed (with `reason`) or Stopped; one that is being stopped ends as Stopped."""
    stopping = document[STATUS] == "Stopping"
    document[STATUS] = "Stopped" if stopping else outcome
    document.update(TransformEndTime=now, LastModifiedTime=now)
    if reason and not stopping:
        document["FailureReason"] = reason[:MAX_REASON]
