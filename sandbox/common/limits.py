"""Two values that many modules need: the region and account of the sandbox, and its limits."""

from __future__ import annotations

import os
from dataclasses import dataclass

from sandbox.common.archive import MAX_BYTES


@dataclass(frozen=True, slots=True)
class SandboxLocation:
    """The region and the account of everything in the sandbox."""

    region: str = "us-east-1"
    account: str = "123456789012"


@dataclass(frozen=True, slots=True)
class SandboxLimits:
    """What AWS documents, and a few of our own. Bytes and seconds. Tests shorten the seconds."""

    request_bytes: int = 6_291_456  # InvokeEndpoint's body, botocore's BodyBlob
    invocation_seconds: float = 60.0  # a container's time to answer
    startup_seconds: float = 240.0  # until /ping answers 200, unless the variant says otherwise
    stop_seconds: float = 2.0  # between SIGTERM and SIGKILL
    restart_seconds: float = 1.0  # first wait before a process that died is started again; doubles
    variant_instances: int = max(4, os.cpu_count() or 1)  # processes of one variant, as many as its instances
    archive_bytes: int = MAX_BYTES  # a model unpacked
    training_jobs: int = 2  # that run at once; the others wait
    training_stop_seconds: float = 120.0  # between SIGTERM and SIGKILL of a training program
    training_seconds: int = 86_400  # of a job that names no MaxRuntimeInSeconds
    utilization_seconds: float = 10.0  # between two measurements of a job's processor and memory
    scaling_seconds: float = 60.0  # between two looks at the load of variants that are scaled automatically
    endpoint_usage_seconds: float = 60.0  # the same of an endpoint's
