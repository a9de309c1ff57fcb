"""The trial components that SageMaker creates for jobs: Search has no resource of its own for transform jobs.

Source: SageMaker API reference, "TrialComponent" and "TrialComponentSourceDetail".
"""

from __future__ import annotations

from sandbox.common.store import Document, RecordStore

# Kind -> the prefix of its members, the end of its component's name, and the names of its times.
_JOBS = {
    "training-job": ("TrainingJob", "TrainingStartTime", "TrainingEndTime"),
    "transform-job": ("TransformJob", "TransformStartTime", "TransformEndTime"),
}


def trial_components(store: RecordStore) -> list[Document]:
    """Return one component per training and transform job."""
    return [component(kind, job) for kind in _JOBS for job in store.view(kind)]


def component(kind: str, job: Document) -> Document:
    """Return the component of a job."""
    prefix, start, end = _JOBS[kind]
    account = job[f"{prefix}Arn"].rpartition(":")[0]
    name = f"{job[f'{prefix}Name']}-aws-{kind}"
    source = {"SourceArn": job[f"{prefix}Arn"], "SourceType": f"SageMaker{prefix}"}
    state = {"PrimaryStatus": job[f"{prefix}Status"], "Message": job.get("FailureReason")}
    return {
        "TrialComponentName": name,
        "DisplayName": name,
        "TrialComponentArn": f"{account}:experiment-trial-component/{name.lower()}",
        "Source": source,
        "Status": state,
        "StartTime": job.get(start),
        "EndTime": job.get(end),
        "CreationTime": job["CreationTime"],
        "LastModifiedTime": job.get("LastModifiedTime"),
        "SourceDetail": {"SourceArn": source["SourceArn"], prefix: job},
        "Tags": job.get("Tags"),
    }
