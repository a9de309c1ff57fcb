"""Copy a job's checkpoints: from S3 before its program starts, and to S3 while it runs.

The folder is mirrored: what the program deletes is deleted in S3, too, so that a restart downloads only what it kept.
AWS's own container for XGBoost expects that (aws/sagemaker-xgboost-container, pull request 32). Source: SageMaker
developer guide, "Use Checkpoints in Amazon SageMaker".
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import BotoCoreError, ClientError

from sandbox.common.clients import Loopback
from sandbox.common.s3_uri import split_uri
from sandbox.common.store import Document
from sandbox.training import opt_ml
from sandbox.training.channels import DownloadError

State = tuple[int, int]
"""Size in bytes and time of the last change in nanoseconds, by which a changed file is recognized."""


class CheckpointError(Exception):
    """A checkpoint cannot be copied; the text goes into the FailureReason."""


class CheckpointSync:
    """The checkpoints of one job. config: its CheckpointConfig; root: the folder that is /opt/ml.

    uploaded: the number of files copied to S3 so far.
    """

    def __init__(self, config: Document, root: Path, loopback: Loopback) -> None:
        self.uploaded = 0
        self._folder = opt_ml.checkpoint_folder(root, config)
        self._bucket, prefix = split_uri(config["S3Uri"])
        self._prefix = f"{prefix.rstrip('/')}/" if prefix.rstrip("/") else ""
        self._s3: Any = loopback.client("s3")
        self._copied: dict[str, State] = {}

    def restore(self) -> int:
        """Download the checkpoints in S3 and return their number. Raises DownloadError."""
        try:
            pages = self._s3.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._prefix
            )
            keys = [item["Key"] for page in pages for item in page.get("Contents", ())]
            names = {key: key[len(self._prefix) :] for key in keys if not key.endswith("/")}
            for key, name in names.items():
                path = self._folder / name
                if not path.resolve().is_relative_to(self._folder.resolve()):
                    raise DownloadError(f'The checkpoint "{key}" is outside of its folder.')
                path.parent.mkdir(parents=True, exist_ok=True)
                self._s3.download_file(self._bucket, key, str(path))
                self._copied[name] = _state(path)
        except (ClientError, BotoCoreError) as problem:
            raise DownloadError(f"Checkpoint download failed: {problem}") from problem
        return len(names)

    def copy(self) -> None:
        """Upload new and changed files, and delete those that are gone. Raises CheckpointError."""
        files = {
            str(path.relative_to(self._folder)): path
            for path in sorted(self._folder.rglob("*"))
            if path.is_file()
        }
        try:
            for name, path in files.items():
                self._upload(name, path)
            for name in [name for name in self._copied if name not in files]:
                self._s3.delete_object(Bucket=self._bucket, Key=self._prefix + name)
                del self._copied[name]
        except (S3UploadFailedError, ClientError, BotoCoreError) as problem:
            raise CheckpointError(f"Checkpoint upload failed: {problem}") from problem

    def _upload(self, name: str, path: Path) -> None:
        """Upload a file unless it was copied before; one that the program deletes meanwhile is left out."""
        try:
            state = _state(path)
            if self._copied.get(name) == state:
                return
            self._s3.upload_file(str(path), self._bucket, self._prefix + name)
        except FileNotFoundError:
            return
        self._copied[name] = state
        self.uploaded += 1


def _state(path: Path) -> State:
    """Return a file's size and time of change."""
    info = path.stat()
    return info.st_size, info.st_mtime_ns
