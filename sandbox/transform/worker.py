"""One instance of a transform job: a model's container, and what SageMaker does around it for each object.

Each object is read from S3 and sent whole to POST /invocations; the response is written to S3. When one fails, the
data log says why in AWS's words, and the next one follows. Source: SageMaker developer guide, "Use Your Own Inference
Code with Batch Transform" and "Batch Transform Errors"; the lines of the data log as users report them.
"""

from __future__ import annotations

import json
import tempfile
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, cast

import urllib3
from botocore.exceptions import BotoCoreError, ClientError

from sandbox.common.disk import Disk, is_full
from sandbox.common.publish import Datum
from sandbox.common.s3_uri import split_uri
from sandbox.common.store import Document
from sandbox.common.utilization import Utilization
from sandbox.hosting.container import (
    ModelProcess,
    StartError,
    allowed_environment,
    instance_id,
    strict_environment,
)
from sandbox.hosting.context import ContainerContext
from sandbox.http.faults import WORKERS, Faults
from sandbox.transform.fault import JobFault
from sandbox.transform.inputs import SUFFIX, InputObject

LOG_GROUP = "/aws/sagemaker/TransformJobs"
NAMESPACE = "/aws/sagemaker/TransformJobs"
CLIENT, ALGORITHM = "ClientError", "AlgorithmError"
MEGABYTE = 1 << 20
PIECE = 1 << 18  # bytes of a response held at a time
IN_MEMORY = 4 << 20  # bytes of a response; a longer one goes to a file
MAX_MESSAGE = 4096  # bytes of a container's error text that are logged
PARAMETER_SECONDS = 2.0  # for the answer to /execution-parameters
FLUSH_SECONDS = 10.0
NO_ANSWER = "Unable to get response from algorithm"
TOO_LARGE = "Too much data for max payload size"
_NO_PING = (
    "Model container failed to respond to ping. Please ensure /ping endpoint is implemented and responds with an "
    "HTTP 200 status code"
)
_STRATEGIES = {"MultiRecord": "MULTI_RECORD", "SingleRecord": "SINGLE_RECORD"}


class ItemError(Exception):
    """One object failed. kind: CLIENT or ALGORITHM; lines: for the data log."""

    def __init__(self, kind: str, *lines: str) -> None:
        super().__init__(lines[0])
        self.kind, self.lines = kind, lines


class WorkerGoneError(Exception):
    """The worker's container has ended; the text says how."""


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """What the workers of one job share. s3: with the permissions of the model's role; stop: set to stop the job."""

    container: ContainerContext
    faults: Faults
    s3: Any
    document: Document
    stop: threading.Event


@dataclass(frozen=True, slots=True)
class ExecutionParameters:
    """How a container is called: those of the request, else what the container advertises, else AWS's defaults."""

    concurrent: int
    payload_mb: int
    strategy: str

    @classmethod
    def of(cls, document: Document, advertised: Document) -> ExecutionParameters:
        """Return the parameters of a job. advertised: the container's answer to /execution-parameters."""
        concurrent = (
            document.get("MaxConcurrentTransforms") or _number(advertised, "MaxConcurrentTransforms") or 1
        )
        payload = document.get("MaxPayloadInMB") or _number(advertised, "MaxPayloadInMB") or 6
        wanted = advertised.get("BatchStrategy")
        default = str(wanted) if wanted in _STRATEGIES.values() else "MULTI_RECORD"
        return cls(concurrent, payload, _STRATEGIES.get(document.get("BatchStrategy", ""), default))

    def line(self) -> str:
        """Return the first line of the data log."""
        return (
            f"MaxConcurrentTransforms={self.concurrent}, MaxPayloadInMB={self.payload_mb}, "
            f"BatchStrategy={self.strategy}"
        )


class Worker:
    """One instance. number: from 1; folder: its own, which does not exist yet; model: the unpacked model."""

    def __init__(self, number: int, context: WorkerContext, folder: Path, model: Path) -> None:
        self.number, self._context, self._folder, self._model = number, context, folder, model
        document = context.document
        self._job: str = document["TransformJobName"]
        instance = instance_id()
        self._stream = f"{self._job}/{instance}-{int(time.time())}"
        self._host = f"{self._job}/{instance}"
        self._fault = JobFault.of(document) if number == 1 else None
        self._process: ModelProcess | None = None
        self._utilization: Utilization | None = None
        config = document.get("ModelClientConfig") or {}
        self._seconds = float(config.get("InvocationsTimeoutInSeconds", 600))
        self._retries = int(config.get("InvocationsMaxRetries", 3))
        self.parameters = ExecutionParameters.of(document, {})

    def start(self) -> None:
        """Start the container and wait until it is ready. Raises StartError."""
        context, container = self._context.container, self._context.document["_container"]
        (self._folder / "ml").mkdir(parents=True)
        (self._folder / "ml" / "model").symlink_to(self._model.resolve(), target_is_directory=True)
        self._process = process = ModelProcess(
            context.command(container.get("Image", "")),
            self._folder / "ml",
            _environment(self._context.document, strict=context.limits.strict),
            context.death_pipe,
            lambda pipe: context.shipper.follow(pipe, LOG_GROUP, self._stream),
        )
        try:
            process.wait_ready(context.limits.startup_seconds, self._context.stop)
        except StartError as problem:
            raise StartError(f"{_NO_PING}: {problem}") from problem
        self._utilization = Utilization(self._host, process.pid)
        self.parameters = ExecutionParameters.of(self._context.document, self._advertised(process))
        self._log(self.parameters.line())

    def _advertised(self, process: ModelProcess) -> Document:
        """Return the container's /execution-parameters, an optional path; empty when it has none."""
        try:
            response = process.get("/execution-parameters", PARAMETER_SECONDS)
            advertised = json.loads(response.data) if response.status == 200 and response.data else {}
        except (urllib3.exceptions.HTTPError, ValueError) as problem:
            self._log(f"The container's /execution-parameters cannot be read: {problem}")
            return {}
        return advertised if isinstance(advertised, dict) else {}

    def utilization(self) -> list[Datum]:
        """Return the use of processor and memory since the last call, as CloudWatch data."""
        return self._utilization.data() if self._utilization is not None else []

    # Objects

    def transform(self, item: InputObject) -> str:
        """Transform one object; return "", or the kind of its failure, which is logged. Raises WorkerGoneError."""
        try:
            with self._invoke(item, self._read(item)) as answer:
                self._write(item, answer)
        except ItemError as problem:
            if self._context.stop.is_set():
                return ""  # its container is being stopped: the object was not refused
            for line in problem.lines:
                self._log(f"{item.label}: {line}")
            self._check_running(problem)
            return problem.kind
        return ""

    def _check_running(self, problem: ItemError) -> None:
        """Raise WorkerGoneError when the object failed because the container has ended."""
        code = self._process.exit_code() if self._process is not None else None
        if code is not None:
            raise WorkerGoneError(
                f"the container of {self._host} ended with exit code {_shown(code)}"
            ) from problem

    def _read(self, item: InputObject) -> bytes:
        """Return an object's bytes. Raises ItemError."""
        limit = self.parameters.payload_mb * MEGABYTE
        try:
            answer = self._context.s3.get_object(Bucket=item.bucket, Key=item.key)
            with answer["Body"] as body:
                if answer["ContentLength"] > limit:
                    raise ItemError(CLIENT, TOO_LARGE)
                content: bytes = body.read()
        except ClientError as problem:
            raise ItemError(CLIENT, f"Unable to read the object: {_s3_text(problem)}") from problem
        except BotoCoreError as problem:
            raise ItemError(CLIENT, f"Unable to read the object: {problem}") from problem
        return content

    def _invoke(self, item: InputObject, body: bytes) -> IO[bytes]:
        """Return the container's response, at its beginning. Raises ItemError after the last retry."""
        for attempt in range(self._retries + 1):
            if attempt and self._context.stop.wait(self._context.container.limits.transform_retry_seconds):
                break
            try:
                return self._post(item, body)
            except ItemError as problem:
                process = self._process
                ended = process is None or process.exit_code() is not None
                if problem.kind == CLIENT or ended or attempt == self._retries:
                    raise
        raise ItemError(ALGORITHM, NO_ANSWER)

    def _post(self, item: InputObject, body: bytes) -> IO[bytes]:
        """Send one object to the container once and return its response. Raises ItemError."""
        process = self._process
        if process is None:
            raise ItemError(ALGORITHM, NO_ANSWER)
        self._apply_fault(item, process)
        answer = None
        try:
            answer = process.post(body, self._headers(), self._seconds)
            if answer.status >= 300:
                raise _refused(answer.status, answer.read(MAX_MESSAGE))
            return self._spool(answer)
        except urllib3.exceptions.HTTPError as problem:
            raise ItemError(ALGORITHM, NO_ANSWER) from problem
        finally:
            if self._fault is not None:
                self._fault.after()
            if answer is not None:
                answer.release_conn() if answer.closed else answer.close()

    def _headers(self) -> dict[str, str]:
        """Return the headers of an invocation."""
        document = self._context.document
        names = {
            "Content-Type": document["TransformInput"].get("ContentType"),
            "Accept": document["TransformOutput"].get("Accept"),
        }
        return {name: value for name, value in names.items() if value}

    def _spool(self, answer: Any) -> IO[bytes]:
        """Read a response to its end, so that a truncated one is never written to S3. Raises urllib3's HTTPError."""
        whole = cast("IO[bytes]", tempfile.SpooledTemporaryFile(IN_MEMORY, dir=str(self._folder)))  # noqa: SIM115
        try:
            for piece in answer.stream(PIECE, decode_content=False):
                whole.write(piece)
            whole.seek(0)
        except OSError as problem:
            whole.close()
            if not is_full(problem):
                raise
            text = Disk(self._folder).text(problem, None, "The object in S3 is unchanged.")
            raise ItemError(CLIENT, text) from problem
        except BaseException:
            whole.close()
            raise
        return whole

    def _write(self, item: InputObject, answer: IO[bytes]) -> None:
        """Write a response to S3. Raises ItemError."""
        output = self._context.document["TransformOutput"]
        bucket, prefix = split_uri(output["S3OutputPath"])
        key = f"{prefix.rstrip('/')}/{item.name}{SUFFIX}".removeprefix("/")
        key_id = output.get("KmsKeyId")
        encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key_id} if key_id else {}
        try:
            self._context.s3.put_object(Bucket=bucket, Key=key, Body=answer, **encryption)
        except ClientError as problem:
            text = f"Unable to write s3://{bucket}/{key}: {_s3_text(problem)}"
            raise ItemError(CLIENT, text) from problem
        except BotoCoreError as problem:
            raise ItemError(CLIENT, f"Unable to write s3://{bucket}/{key}: {problem}") from problem

    def _apply_fault(self, item: InputObject, process: ModelProcess) -> None:
        """Apply the faults of the job and of the tests to this object's container."""
        rule = self._context.faults.match(WORKERS, f"{self._job}/{self.number} {item.label}")

        def apply(kind: str, seconds: float) -> None:
            if kind == "hang":
                process.suspend()
            elif kind == "kill":
                process.kill()
            else:
                self._context.stop.wait(seconds)

        if rule is not None:
            apply(rule.kind, float(rule.options.get("seconds", 1.0)))
        if self._fault is not None:
            self._fault.before(self._context.stop, apply)

    # Logs and the end

    def _log(self, text: str) -> None:
        """Add one line to the data log, in AWS's form."""
        now = datetime.now(UTC)
        stamp = f"{now:%Y-%m-%dT%H:%M:%S}.{now.microsecond // 1000:03d}"
        stream = f"{self._stream}/data-log"
        self._context.container.shipper.add(LOG_GROUP, stream, f"{stamp}:[sagemaker logs]: {text}")

    def stop(self) -> None:
        """End the container."""
        if self._process is not None:
            self._process.stop(self._context.container.limits.stop_seconds)

    def flush(self) -> None:
        """Wait until both logs are complete in CloudWatch Logs."""
        shipper = self._context.container.shipper
        if self._process is not None:
            self._process.log.ended.wait(FLUSH_SECONDS)
            shipper.flush(LOG_GROUP, self._stream, FLUSH_SECONDS)
        shipper.flush(LOG_GROUP, f"{self._stream}/data-log", FLUSH_SECONDS)


def _number(advertised: Document, name: str) -> int | None:
    """Return a number between 1 and 100 that a container advertises; None for anything else."""
    value = advertised.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 100 else None


def _refused(status: int, body: bytes) -> ItemError:
    """Return the failure of an object that the container answered with an error."""
    lines = body.decode("utf-8", "replace").strip().splitlines()
    if 400 <= status < 500 and status != 429:
        return ItemError(CLIENT, f"ClientError: {status}", "", "Message:", *lines)
    return ItemError(ALGORITHM, f"Bad HTTP status received from algorithm: {status}", "", "Message:", *lines)


def _s3_text(problem: ClientError) -> str:
    """Return an error of S3 in one line."""
    error, status = problem.response["Error"], problem.response["ResponseMetadata"]["HTTPStatusCode"]
    return f"{error['Code']} ({status}): {error['Message']}"


def _shown(code: int) -> int:
    """Return an exit code as containers report it: 128 plus the number of a signal."""
    return code if code >= 0 else 128 - code


def _environment(document: Document, *, strict: bool) -> dict[str, str]:
    """Return a container's environment: the model's, the job's, and what batch transform adds. Raises StartError."""
    strategy = _STRATEGIES.get(document.get("BatchStrategy", ""))
    added = {
        "SAGEMAKER_BATCH": "true",
        "SAGEMAKER_MAX_PAYLOAD_IN_MB": document.get("MaxPayloadInMB"),
        "SAGEMAKER_BATCH_STRATEGY": strategy,
        "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": document.get("MaxConcurrentTransforms") or None,
    }
    return {
        **allowed_environment(document["_container"].get("Environment")),
        **allowed_environment(document.get("Environment")),
        **strict_environment(strict),
        **{name: str(value) for name, value in added.items() if value is not None},
    }
