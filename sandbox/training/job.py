"""Run one training job from its turn in the queue to its end, in a thread of its own.

The order of statuses and the FailureReason texts follow SageMaker's (API reference, "DescribeTrainingJob"; developer
guide, "Managed Spot Training Lifecycle"). When a spot job's instance is reclaimed, its program is killed at once and
everything on the instance is gone; the job starts again with the checkpoints in S3.
"""

from __future__ import annotations

import secrets
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import BotoCoreError, ClientError

from sandbox.common.capacity import NO_CAPACITY
from sandbox.common.disk import Disk, is_full
from sandbox.common.queue import WaitedTooLongError
from sandbox.common.s3_uri import split_uri
from sandbox.common.store import Document
from sandbox.hosting.container import StartError
from sandbox.http.faults import FaultRule
from sandbox.training import opt_ml, status
from sandbox.training.channels import (
    ChannelDownloader,
    DownloadError,
    JobStoppedError,
    fetch_channels,
)
from sandbox.training.checkpoints import CheckpointError, CheckpointSync
from sandbox.training.pipes import ChannelPipes, uses_pipe
from sandbox.training.run import JobContext, JobRun
from sandbox.training.status import KIND

INTERRUPTED = "Interrupted"
RETRY_SECONDS = 1.0  # between two attempts to launch a spot instance


class JobFailure(Exception):  # noqa: N818 - a job's failure, not one of this program
    """The job failed; the text is its FailureReason."""


class Job:
    """One training job. `on_end` is called with the job when it is over."""

    def __init__(self, name: str, context: JobContext, on_end: Callable[[Job], object]) -> None:
        self.name, self._context, self._on_end = name, context, on_end
        self._root: Path = context.container.folder / f"{name}-{secrets.token_hex(4)}"
        self._ticket = context.queue.enter()
        self._stop = threading.Event()
        self._changed = threading.Event()  # the program ended, or is asked to
        self._deadline = threading.TIMEOUT_MAX  # of a spot job's MaxWaitTimeInSeconds, by time.monotonic()
        self._trained = 0.0  # seconds, before the last interruption
        self._no_capacity_until = 0.0  # by time.monotonic()
        self._pipes: ChannelPipes | None = None  # of the channels in Pipe mode
        self._thread = threading.Thread(target=self._run, name=f"job {name}", daemon=True)

    def start(self) -> None:
        """Start the job's thread."""
        self._thread.start()

    def stop(self) -> None:
        """Request the end of the job; its program saves its model first."""
        self._stop.set()
        self._changed.set()
        self._context.queue.wake()

    def join(self, seconds: float) -> None:
        """Wait for the job's thread."""
        self._thread.join(seconds)

    # Phases

    def _run(self) -> None:
        """Run the job and record its end, whatever it is."""
        try:
            self._take_turn()
        except JobStoppedError:
            self._end("Stopped")
        except WaitedTooLongError:
            self._enter("Stopping")
            self._end("MaxWaitTimeExceeded")
        except JobFailure as failure:
            self._end("Failed", str(failure))
        except Exception as problem:
            if is_full(problem):
                kept = "The channels in S3 are unchanged; the job's local files were removed."
                self._end(
                    "Failed", f"ClientError: {Disk(self._context.container.folder).text(problem, None, kept)}"
                )
                return
            self._end("Failed", f"InternalServerError: {type(problem).__name__}: {problem}")
            raise
        finally:
            self._close_pipes()
            shutil.rmtree(self._root, ignore_errors=True)
            self._on_end(self)

    def _take_turn(self) -> None:
        """Wait for the job's turn, then train."""
        queue, document = self._context.queue, self._context.store.get(KIND, self.name)
        if document is None:
            raise JobStoppedError
        text = f"Waiting in the queue: this machine trains {queue.places} at a time."
        stopping = document["StoppingCondition"]
        if seconds := stopping.get("MaxWaitTimeInSeconds"):
            waited = self._context.clock() - document["CreationTime"]
            self._deadline = time.monotonic() + seconds - waited
        patience = min(self._deadline - time.monotonic(), threading.TIMEOUT_MAX)
        patience = min(patience, stopping.get("MaxPendingTimeInSeconds") or patience)
        with queue.turn(self._ticket, self._check_stopped, lambda: self._enter("Starting", text), patience):
            self._train(document)

    def _train(self, document: Document) -> None:
        """Download, train and upload; start again after each interruption. Raises JobFailure."""
        while True:
            self._await_capacity(document)
            run, checkpoints = self._start_program(document)
            outcome = self._watch(run, document, checkpoints)
            if self._context.closing.is_set():
                return
            run.finish()
            if outcome != INTERRUPTED:
                break
            self._close_pipes()
            shutil.rmtree(self._root, ignore_errors=True)
            self._enter(INTERRUPTED)
            self._pause(self._context.container.limits.spot_restart_seconds)
            self._enter("Starting", status.LAUNCHING)
        if self._pipes and self._pipes.failure:
            raise JobFailure(f"ClientError: {self._pipes.failure}")
        self._enter("Uploading")
        failed = outcome is None and run.process.exit_code != 0
        try:
            self._upload(document, "output/data", "output.tar.gz")
            uri = None if failed else self._upload(document, "model", "model.tar.gz")
        except JobFailure as problem:
            raise JobFailure(run.failure() if failed else str(problem)) from problem
        if failed:
            raise JobFailure(run.failure())
        self._end(outcome or "Completed", artifact=uri)

    def _await_capacity(self, document: Document) -> None:
        """Wait until a spot instance can be launched. Raises JobFailure for another instance without capacity."""
        faults = self._context.container.faults
        while time.monotonic() < self._no_capacity_until or faults.take(
            "capacity", document["ResourceConfig"]["InstanceType"]
        ):
            if not document["EnableManagedSpotTraining"]:
                raise JobFailure(NO_CAPACITY)
            self._enter("Starting", status.NO_CAPACITY)
            self._pause(RETRY_SECONDS)

    def _pause(self, seconds: float) -> None:
        """Wait, unless the job is stopped. Raises JobStoppedError, or WaitedTooLongError at the deadline."""
        ends = time.monotonic() + seconds
        while (now := time.monotonic()) < ends:
            self._check_stopped()
            if now >= self._deadline:
                raise WaitedTooLongError
            self._stop.wait(min(ends, self._deadline) - now)
        self._check_stopped()

    def _start_program(self, document: Document) -> tuple[JobRun, CheckpointSync | None]:
        """Prepare the instance and start the program. Raises JobFailure or JobStoppedError."""
        container, config = self._context.container, document.get("CheckpointConfig")
        try:
            command = container.command(document["AlgorithmSpecification"]["TrainingImage"])
            self._download(document)
            checkpoints = CheckpointSync(config, self._root, container.loopback) if config else None
            if checkpoints:
                checkpoints.restore()
            self._check_stopped()
            self._enter("Training")
            self._changed.clear()
            return JobRun(document, command, self._root, self._context, self._changed), checkpoints
        except (StartError, DownloadError) as problem:
            raise JobFailure(f"ClientError: {problem}") from problem

    def _download(self, document: Document) -> None:
        """Fetch the channels into the job's folder. Raises DownloadError or JobStoppedError."""
        self._enter("Downloading")
        opt_ml.prepare(self._root, document)
        s3 = self._context.container.loopback.client("s3")
        source = ChannelDownloader(s3, self._context.region, document["RoleArn"], self._stop)
        channels, folder = document.get("InputDataConfig") or [], self._root / "input/data"
        fetch_channels(source, [row for row in channels if not uses_pipe(row, document)], folder)
        piped = [row for row in channels if uses_pipe(row, document)]
        self._close_pipes()
        self._pipes = ChannelPipes(source, piped, folder, self._changed.set) if piped else None
        self._check_stopped()

    def _close_pipes(self) -> None:
        """End the streams of the channels in Pipe mode."""
        if self._pipes:
            self._pipes.close()

    def _watch(self, run: JobRun, document: Document, checkpoints: CheckpointSync | None) -> str | None:
        """Wait for the program's end and copy its checkpoints. Raises JobFailure when these cannot be copied.

        Return None when it was not ended; else "Stopped", "MaxRuntimeExceeded", "MaxWaitTimeExceeded" or
        "Interrupted".
        """
        process, outcome, started = run.process, None, time.monotonic()
        ends = started + document["StoppingCondition"]["MaxRuntimeInSeconds"] - self._trained
        failure: CheckpointError | None = None
        while process.exit_code is None:
            now = time.monotonic()
            if outcome is None:
                outcome = self._reason_to_end(now, ends, document, checkpoints)
                ends = min(ends, self._deadline) if outcome is None else now
                if outcome == INTERRUPTED:
                    process.kill()
                elif outcome is not None:
                    self._enter("Stopping")
                    process.terminate()
            if outcome is not None and now >= ends + self._grace():
                process.kill()
            if self._pipes and self._pipes.failure:
                process.kill()
            run.wait(ends + (0 if outcome is None else self._grace()) - now)
            if failure is None and outcome != INTERRUPTED:
                failure = _copy(checkpoints)
                if failure is not None:
                    process.kill()
        self._trained += time.monotonic() - started
        if outcome == INTERRUPTED:
            return None if process.exit_code == 0 else outcome  # 0: it had just completed
        if failure := failure or _copy(checkpoints):
            raise JobFailure(f"ClientError: {failure}")
        return outcome or ("Stopped" if self._stop.is_set() else None)

    def _reason_to_end(
        self, now: float, ends: float, document: Document, checkpoints: CheckpointSync | None
    ) -> str | None:
        """Return why the program is to be ended now; None to let it run. ends: of its run time."""
        if self._stop.is_set():
            return "Stopped"
        if now >= self._deadline:
            return "MaxWaitTimeExceeded"
        if now >= ends:
            return "MaxRuntimeExceeded"

        def due(rule: FaultRule) -> bool:
            saved = checkpoints is not None and checkpoints.uploaded > 0
            return saved or not rule.options.get("after_checkpoint")

        if not document["EnableManagedSpotTraining"]:
            return None
        rule = self._context.container.faults.take("interrupt", self.name, due)
        if rule is None:
            return None
        self._no_capacity_until = now + rule.options.get("capacity_seconds", 0)
        return INTERRUPTED

    def _grace(self) -> float:
        """Return the seconds between SIGTERM and SIGKILL: few when the sandbox itself is stopping."""
        limits = self._context.container.limits
        return limits.stop_seconds if self._context.closing.is_set() else limits.training_stop_seconds

    def _upload(self, document: Document, folder: str, name: str) -> str | None:
        """Upload the content of `folder` as an archive; return its URI, None when it is empty. Raises JobFailure."""
        archive = self._root / name
        if not opt_ml.pack(self._root / folder, archive):
            return None
        path = document["OutputDataConfig"]["S3OutputPath"].rstrip("/")
        uri = f"{path}/{self.name}/output/{name}"
        bucket, key = split_uri(uri)
        key_id = document["OutputDataConfig"].get("KmsKeyId")
        encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key_id} if key_id else None
        try:
            s3 = self._context.container.loopback.client("s3")
            s3.upload_file(str(archive), bucket, key, ExtraArgs=encryption)
        except (S3UploadFailedError, ClientError, BotoCoreError) as problem:
            raise JobFailure(f"ClientError: Artifact upload failed: {problem}") from problem
        return uri

    # The stored document

    def _check_stopped(self) -> None:
        """Raise JobStoppedError when the job is being stopped."""
        if self._stop.is_set():
            raise JobStoppedError

    def _enter(self, secondary: str, message: str | None = None) -> None:
        """Enter a secondary status."""
        now = self._context.clock()
        self._write(lambda document: status.enter(document, secondary, now, message))

    def _end(self, secondary: str, reason: str = "", artifact: str | None = None) -> None:
        """Record the end of the job."""
        now = self._context.clock()

        def change(document: Document) -> None:
            # Decided inside the update, so that a job that was reported as Stopping ends as Stopped.
            stopped = secondary == "Completed" and document["TrainingJobStatus"] == "Stopping"
            if artifact is not None:
                document["ModelArtifacts"] = {"S3ModelArtifacts": artifact}
            status.end(document, "Stopped" if stopped else secondary, now, reason)

        self._write(change)

    def _write(self, change: Callable[[Document], object]) -> None:
        """Change the stored job, unless the sandbox is closing."""
        if not self._context.closing.is_set():
            self._context.store.update(KIND, self.name, change)


def _copy(checkpoints: CheckpointSync | None) -> CheckpointError | None:
    """Copy the job's checkpoints to S3; return the problem."""
    try:
        if checkpoints is not None:
            checkpoints.copy()
    except CheckpointError as problem:
        return problem
    return None
