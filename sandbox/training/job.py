"""Run one training job from its turn in the queue to its end, in a thread of its own.

The order of statuses and the FailureReason texts follow SageMaker's (API reference, "DescribeTrainingJob").
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

from sandbox.common.disk import Disk, is_full
from sandbox.common.queue import WaitedTooLongError
from sandbox.common.s3_uri import split_uri
from sandbox.common.store import Document
from sandbox.hosting.container import StartError
from sandbox.training import opt_ml, status
from sandbox.training.channels import ChannelDownloader, DownloadError, Interrupted, fetch_channels
from sandbox.training.run import JobContext, JobRun
from sandbox.training.status import KIND


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
        except Interrupted:
            self._end("Stopped")
        except WaitedTooLongError:
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
            shutil.rmtree(self._root, ignore_errors=True)
            self._on_end(self)

    def _take_turn(self) -> None:
        """Wait for the job's turn, then train."""
        queue, document = self._context.queue, self._context.store.get(KIND, self.name)
        if document is None:
            raise Interrupted
        text = f"Waiting in the queue: this machine trains {queue.places} at a time."
        stopping = document["StoppingCondition"]
        bounds = [stopping.get(name) for name in ("MaxWaitTimeInSeconds", "MaxPendingTimeInSeconds")]
        patience = min([float(bound) for bound in bounds if bound] or [threading.TIMEOUT_MAX])
        with queue.turn(self._ticket, self._check_stopped, lambda: self._enter("Starting", text), patience):
            self._train(document)

    def _train(self, document: Document) -> None:
        """Download, train and upload. Raises JobFailure."""
        try:
            command = self._context.container.command(document["AlgorithmSpecification"]["TrainingImage"])
            self._download(document)
            self._enter("Training")
            run = JobRun(document, command, self._root, self._context, self._changed)
        except (StartError, DownloadError) as problem:
            raise JobFailure(f"ClientError: {problem}") from problem
        outcome = self._watch(run, document["StoppingCondition"]["MaxRuntimeInSeconds"])
        if self._context.closing.is_set():
            return
        run.finish()
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

    def _download(self, document: Document) -> None:
        """Fetch the channels into the job's folder. Raises DownloadError or Interrupted."""
        self._enter("Downloading")
        opt_ml.prepare(self._root, document)
        s3 = self._context.container.loopback.client("s3")
        source = ChannelDownloader(s3, self._context.region, document["RoleArn"], self._stop)
        fetch_channels(source, document.get("InputDataConfig") or [], self._root / "input/data")
        self._check_stopped()

    def _watch(self, run: JobRun, limit: float) -> str | None:
        """Wait for the program's end; return "Stopped" or "MaxRuntimeExceeded" when it was ended, else None."""
        process, outcome, ends = run.process, None, time.monotonic() + limit
        while process.exit_code is None:
            now = time.monotonic()
            if outcome is None and (self._stop.is_set() or now >= ends):
                outcome = "Stopped" if self._stop.is_set() else "MaxRuntimeExceeded"
                self._enter("Stopping")
                process.terminate()
                ends = now
            if outcome is not None and now >= ends + self._grace():
                process.kill()
            run.wait(ends + (0 if outcome is None else self._grace()) - now)
        return outcome or ("Stopped" if self._stop.is_set() else None)

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
        """Raise Interrupted when the job is being stopped."""
        if self._stop.is_set():
            raise Interrupted

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
