"""The statuses of a training job in its document, each with its start and end times and AWS's message.

A job's status is written here and nowhere else, so that TrainingJobStatus, SecondaryStatus, the transitions and the
times always agree. Source: botocore's SecondaryStatusTransition, the logs of the SageMaker SDK, and for spot jobs the
developer guide, "Managed Spot Training Lifecycle".
"""

from __future__ import annotations

import math

from sandbox.common.store import Document

KIND = "training-job"
ENDED = frozenset({"Completed", "Failed", "Stopped"})
MAX_REASON = 1024
MESSAGES = {
    "Starting": "Starting the training job",
    "Downloading": "Downloading input data",
    "Training": "Training image download completed. Training in progress.",
    "Interrupted": "The spot instance was reclaimed. Training continues when there is capacity again.",
    "Stopping": "Stopping the training job",
    "Uploading": "Uploading generated training model",
    "Completed": "Training job completed",
    "Failed": "Training job failed",
    "Stopped": "Training job stopped",
    "MaxRuntimeExceeded": "Training job runtime exceeded MaxRuntimeInSeconds provided",
    "MaxWaitTimeExceeded": "Training job wait time exceeded MaxWaitTimeInSeconds provided",
}
LAUNCHING = "Launching requested ML instances"
NO_CAPACITY = "Insufficient capacity error from EC2 while launching instances, retrying!"
"""Of Starting: AWS's messages (botocore's SecondaryStatusTransition)."""
SPOT_SHARE = 0.3
"""Share of a spot job's seconds that is billed. On AWS it follows the market; Hugging Face's guide to SageMaker has
a run with this one."""
RESTARTED = "InternalServerError: the sandbox was restarted while this job was running"
_STEPS = ("Starting", "Downloading", "Training", "Interrupted")
_ON_INSTANCE = ("Downloading", "Training", "Stopping", "Uploading")
"""The steps that run on an instance, and so count as training time."""
_STATUS = dict.fromkeys(_STEPS, "InProgress") | {
    "MaxRuntimeExceeded": "Stopped",
    "MaxWaitTimeExceeded": "Stopped",
}


def has_ended(document: Document) -> bool:
    """Return whether a job is Completed, Failed or Stopped."""
    return document["TrainingJobStatus"] in ENDED


def enter(document: Document, secondary: str, now: float, message: str | None = None) -> None:
    """Enter a secondary status; the same status with another message starts a new period."""
    if document.get("TrainingJobStatus") == "Stopping" and secondary in _STEPS:
        return  # it was stopped in between and starts no further step
    transitions = document.setdefault("SecondaryStatusTransitions", [])
    message = MESSAGES[secondary] if message is None else message
    if transitions:
        if (transitions[-1]["Status"], transitions[-1]["StatusMessage"]) == (secondary, message):
            return
        transitions[-1].setdefault("EndTime", now)
    transitions.append({"Status": secondary, "StartTime": now, "StatusMessage": message})
    document["SecondaryStatus"] = secondary
    # A job that is being stopped keeps that status while its model is uploaded.
    kept = document.get("TrainingJobStatus", "InProgress")
    document["TrainingJobStatus"] = kept if secondary == "Uploading" else _STATUS.get(secondary, secondary)
    document["LastModifiedTime"] = now
    if secondary == "Downloading":
        document.setdefault("TrainingStartTime", now)


def end(document: Document, secondary: str, now: float, reason: str = "") -> None:
    """End a job as Completed, Failed (with `reason`), Stopped, MaxRuntimeExceeded or MaxWaitTimeExceeded."""
    enter(document, secondary, now)
    document["SecondaryStatusTransitions"][-1]["EndTime"] = now
    document["TrainingEndTime"] = now
    if reason:
        document["FailureReason"] = reason[:MAX_REASON]
    if "TrainingStartTime" in document:
        seconds = max(1, math.ceil(instance_seconds(document, now)))
        share = SPOT_SHARE if document.get("EnableManagedSpotTraining") else 1
        billable = max(1, math.ceil(seconds * share))
        document |= {"TrainingTimeInSeconds": seconds, "BillableTimeInSeconds": billable}


def instance_seconds(document: Document, now: float) -> float:
    """Return how long a job has had an instance, without its waits for spot capacity."""
    steps = [
        step for step in document.get("SecondaryStatusTransitions", ()) if step["Status"] in _ON_INSTANCE
    ]
    return float(sum(step.get("EndTime", now) - step["StartTime"] for step in steps))
