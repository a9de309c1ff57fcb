"""Seed a new sandbox with training jobs: recorded from real runs, and tagged as such."""

from __future__ import annotations

import time
from pathlib import Path

from sandbox.common.clients import Loopback
from sandbox.seed.seed import BUCKET, DEMO_FOLDER, MARKER, read_marker, write_marker
from sandbox.training.importer import Importer, Recording

DONE = "jobs"
AGO = 300.0
"""Seconds between the end of the newest job and now, and between the end of a job and the start of the next."""


def seed_jobs(loopback: Loopback, importer: Importer, data_dir: Path, demos: Path = DEMO_FOLDER) -> list[str]:
    """Import the recorded jobs once per data folder, along with the aerial demo; return their names."""
    marker = data_dir / MARKER
    done = read_marker(marker)
    if DONE in done or not done.get("aerial"):
        return []
    end, names = time.time() - AGO, []
    recordings = [Recording.read(path) for path in (demos / "jobs").glob("*.json")]
    for recording in sorted(recordings, key=lambda recorded: -recorded.document["CreationTime"]):
        archive = demos / "jobs" / f"{recording.name}.tar.gz"
        if archive.is_file():
            uri = recording.document["ModelArtifacts"]["S3ModelArtifacts"]
            key = uri.removeprefix(f"s3://{BUCKET}/")
            loopback.client("s3").upload_file(str(archive), BUCKET, key)
            _name_classes(loopback, demos, key)
        importer.adopt(recording.ending(end))
        names.append(recording.name)
        end -= AGO + recording.document["TrainingEndTime"] - recording.document["CreationTime"]
    write_marker(marker, {**done, DONE: ",".join(names)})
    return names


def _name_classes(loopback: Loopback, demos: Path, key: str) -> None:
    """Put the demo's class names next to an artifact: the dataset, which has them too, is drawn later."""
    names = demos / "aerial" / "classes.json"
    if names.is_file():
        loopback.client("s3").upload_file(str(names), BUCKET, f"{key.rpartition('/')[0]}/classes.json")
