"""The operations on transform jobs, as in the SageMaker API reference."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from sandbox.common.environment import environment_problem
from sandbox.common.s3_uri import split_uri
from sandbox.common.store import Document
from sandbox.http.protocol import ApiError, Params
from sandbox.services.sagemaker import members
from sandbox.services.sagemaker.listing import Listing
from sandbox.services.sagemaker.references import References
from sandbox.services.sagemaker.resources import Operation, Resources
from sandbox.transform import status
from sandbox.transform.fault import fault_problem
from sandbox.transform.manager import Transforms
from sandbox.transform.status import KIND, STATUS

MAX_PAYLOAD_MB = 100  # also of all concurrent payloads together
DEFAULT_PAYLOAD_MB = 6
MAX_INSTANCES = 100
_LISTING = Listing("TransformJobName", STATUS)
_NOTHING = (
    'No S3 objects found under S3 URL "{uri}" given in input data source. Please ensure that the bucket exists '
    'in the selected region ({region}), that objects exist under that S3 prefix, and that the role "{role}" has '
    '"s3:ListBucket" permissions on bucket "{bucket}".'
)


class TransformOperations:
    """Create, describe, list and stop transform jobs.

    s3_for: (role or None, session name) -> an S3 client with the role's permissions.
    quota:  the name of a quota -> its value.
    """

    def __init__(
        self,
        resources: Resources,
        references: References,
        transforms: Transforms,
        *,
        s3_for: Callable[[str | None, str], Any],
        quota: Callable[[str], float],
        region: str,
    ) -> None:
        self._resources, self._references, self._transforms = resources, references, transforms
        self._s3_for, self._quota, self._region = s3_for, quota, region
        self._lock = threading.Lock()  # two requests must not both get the last instance

    def operations(self) -> dict[str, Operation]:
        """Return the operations by name."""
        return {
            "CreateTransformJob": self.create,
            "DescribeTransformJob": lambda params: self._get(params["TransformJobName"]),
            "ListTransformJobs": self.list,
            "StopTransformJob": self.stop,
        }

    def create(self, params: Params) -> Params:
        """Answer CreateTransformJob: validate, store and queue a job. Raises ApiError."""
        check(params)
        model = self._resources.get("model", params["ModelName"])
        role = model.get("ExecutionRoleArn")
        self._references.check_role(role)
        self._references.check_bucket(
            "TransformOutput.S3OutputPath", params["TransformOutput"]["S3OutputPath"]
        )
        self._check_inputs(params, role)
        name, now = params["TransformJobName"], self._resources.clock()
        arn = self._resources.arn(KIND, name)
        document = {
            **completed(params),
            "TransformJobArn": arn,
            STATUS: "InProgress",
            "CreationTime": now,
            "LastModifiedTime": now,
            "_container": model.get("PrimaryContainer") or model["Containers"][0],
            "_role": role,
        }
        with self._lock:
            self._check_unused(name, arn)
            self._check_quota(params["TransformResources"])
            if not self._resources.store.insert(KIND, name, document):
                raise AssertionError(name)
        self._transforms.start(name)
        return {"TransformJobArn": arn}

    def list(self, params: Params) -> Params:
        """Answer ListTransformJobs. Raises ApiError for an invalid token."""
        page, token = _LISTING.page(self._resources.store.view(KIND), params)
        return {"TransformJobSummaries": page, "NextToken": token}

    def stop(self, params: Params) -> None:
        """Answer StopTransformJob. Raises ApiError for a job that has ended."""
        name, now = params["TransformJobName"], self._resources.clock()

        def mark(document: Document) -> None:
            if status.has_ended(document):
                text = f"The request was rejected because the transform job is in status {document[STATUS]}."
                raise ApiError("ValidationException", text)
            document.update({STATUS: "Stopping", "LastModifiedTime": now})

        self._get(name)
        self._resources.store.update(KIND, name, mark)
        self._transforms.stop(name)

    def _get(self, name: str) -> Document:
        """Return a job. Raises ApiError."""
        document = self._resources.store.get(KIND, name)
        if document is None:
            raise ApiError("ValidationException", f"Could not find requested job with name: {name}")
        return document

    def _check_unused(self, name: str, arn: str) -> None:
        """Raise ApiError ResourceInUse when there is a job with this name."""
        if self._resources.store.get(KIND, name) is not None:
            text = (
                "Transform job names must be unique within an AWS account and region, "
                f"and a transform job with this name already exists ({arn})"
            )
            raise ApiError("ResourceInUse", text)

    def _check_quota(self, wanted: Params) -> None:
        """Raise ApiError ResourceLimitExceeded when the jobs in progress would use more instances than the quota."""
        instance, count = wanted["InstanceType"], wanted["InstanceCount"]
        name = f"{instance} for transform job usage"
        limit = int(self._quota(name))
        running = [job for job in self._resources.store.view(KIND) if not status.has_ended(job)]
        used = sum(
            job["TransformResources"]["InstanceCount"]
            for job in running
            if job["TransformResources"]["InstanceType"] == instance
        )
        if used + count > limit:
            text = (
                f"The account-level service limit '{name}' is {limit} Instances, with current utilization of {used} "
                f"Instances and a request delta of {count} Instances. Please use AWS Service Quotas to request an "
                "increase for this quota."
            )
            raise ApiError("ResourceLimitExceeded", text)

    def _check_inputs(self, params: Params, role: str | None) -> None:
        """Raise ApiError ValidationException, as AWS does, when the role finds no object at the input's S3 URI."""
        uri = params["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"]
        bucket, prefix = split_uri(uri)
        text = _NOTHING.format(uri=uri, region=self._region, role=role or "(none)", bucket=bucket)
        try:
            s3 = self._s3_for(role, params["TransformJobName"])
            count = s3.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1)["KeyCount"]
        except (ClientError, BotoCoreError) as problem:
            raise ApiError("ValidationException", text) from problem
        if not count:
            raise ApiError("ValidationException", text)


def completed(params: Params) -> Document:
    """Return a request with the members that AWS adds, as DescribeTransformJob reports them."""
    return {
        **params,
        "TransformInput": {"CompressionType": "None", "SplitType": "None", **params["TransformInput"]},
        "TransformOutput": {"AssembleWith": "None", "KmsKeyId": "", **params["TransformOutput"]},
        "DataProcessing": {
            "InputFilter": "$",
            "OutputFilter": "$",
            "JoinSource": "None",
            **(params.get("DataProcessing") or {}),
        },
    }


def check(params: Params) -> None:
    """Raise ApiError ValidationException for what AWS refuses, and for what the sandbox does not support."""
    problems = [*members.TRANSFORM_JOB.problems(params), *_payload_problems(params)]
    count = params["TransformResources"]["InstanceCount"]
    if count > MAX_INSTANCES:
        problems.append(f"TransformResources.InstanceCount must be at most {MAX_INSTANCES}, not {count}.")
    for member, uri in (
        (
            "TransformInput.DataSource.S3DataSource.S3Uri",
            params["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"],
        ),
        ("TransformOutput.S3OutputPath", params["TransformOutput"]["S3OutputPath"]),
    ):
        if not uri.startswith("s3://"):
            problems.append(f"{member} must begin with s3://, not {uri[:40]!r}.")
    environment = params.get("Environment") or {}
    problems += [f"Environment: {problem}" for problem in (environment_problem(environment),) if problem]
    problems += [f"Environment: {problem}" for problem in (fault_problem(environment),) if problem]
    if problems:
        raise ApiError("ValidationException", " ".join(problems))


def _payload_problems(params: Params) -> list[str]:
    """Return what is wrong with MaxPayloadInMB and MaxConcurrentTransforms."""
    payload, concurrent = params.get("MaxPayloadInMB"), params.get("MaxConcurrentTransforms")
    if payload == 0:
        return ["MaxPayloadInMB must not be 0: the built-in algorithms do not support HTTP chunked encoding."]
    if payload is not None and payload > MAX_PAYLOAD_MB:
        return [f"MaxPayloadInMB must be at most {MAX_PAYLOAD_MB}, not {payload}."]
    if concurrent and concurrent * (payload or DEFAULT_PAYLOAD_MB) > MAX_PAYLOAD_MB:
        size = payload or DEFAULT_PAYLOAD_MB
        text = f"{concurrent} * {size} = {concurrent * size} MB"
        return [f"MaxConcurrentTransforms * MaxPayloadInMB must be at most {MAX_PAYLOAD_MB} MB, not {text}."]
    return []
