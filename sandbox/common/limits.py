"""The region and account of the sandbox, and its limits."""

from __future__ import annotations

import os
from dataclasses import dataclass

from sandbox.common.archive import MAX_BYTES


@dataclass(frozen=True, slots=True)
class SandboxLocation:
    """The region and the account of every resource in the sandbox."""

    region: str = "us-east-1"
    account: str = "123456789012"


@dataclass(frozen=True, slots=True)
class SandboxLimits:
    """The limits that AWS documents, and a few of the sandbox's own; bytes and seconds. Tests shorten the seconds."""

    request_bytes: int = 6_291_456  # InvokeEndpoint's body, botocore's BodyBlob
    invocation_seconds: float = 60.0  # for a container to respond
    startup_seconds: float = 240.0  # until /ping returns 200, unless the variant sets another timeout
    stop_seconds: float = 2.0  # between SIGTERM and SIGKILL
    restart_seconds: float = 1.0  # first delay before a process that exited is restarted; doubles
    variant_instances: int = max(4, os.cpu_count() or 1)  # processes of one variant, one per instance
    archive_bytes: int = MAX_BYTES  # of an unpacked model
    training_jobs: int = 2  # running at the same time; the others wait
    training_stop_seconds: float = 120.0  # between SIGTERM and SIGKILL of a training program
    transform_jobs: int = 2  # running at the same time; the others wait
    transform_retry_seconds: float = 1.0  # before an image that a container could not answer is sent again
    spot_restart_seconds: float = 3.0  # between a spot interruption and the request for another instance
    training_seconds: int = 86_400  # of a job without MaxRuntimeInSeconds
    utilization_seconds: float = 10.0  # between two measurements of a job's processor and memory
    scaling_seconds: float = 60.0  # between two checks of the load of variants with automatic scaling
    endpoint_usage_seconds: float = 60.0  # between two measurements of an endpoint's processor and memory
    strict: bool = False  # also what fails on AWS only under load, or in its version of the networks
