"""Prepare /opt/ml of a training job: its folders, its configuration, and the archives of its output.

Source: SageMaker developer guide, "Use Your Own Training Algorithms" and "How Amazon SageMaker AI Provides Training
Information"; for checkpointconfig.json, AWS's containers that read it (aws/sagemaker-xgboost-container).
"""

from __future__ import annotations

import json
import tarfile
from pathlib import Path, PurePosixPath

from sandbox.common.store import Document
from sandbox.training.pipes import uses_pipe

HOST = "algo-1"
FOLDERS = ("input/config", "input/data", "model", "output/data", "checkpoints")
ML_ROOT = PurePosixPath("/opt/ml")
CHECKPOINTS = "/opt/ml/checkpoints"
_TAKEN = ("input", "model", "output", "code")
"""Folders of /opt/ml with another purpose."""


def prepare(root: Path, document: Document) -> None:
    """Create the folders and write the files of input/config. root: a folder that does not exist yet."""
    for name in FOLDERS:
        (root / name).mkdir(parents=True)
    channels = document.get("InputDataConfig") or []
    for channel in channels:
        if not uses_pipe(channel, document):
            (root / "input/data" / channel["ChannelName"]).mkdir(exist_ok=True)
    files = {
        "hyperparameters": document.get("HyperParameters") or {},
        "inputdataconfig": {channel["ChannelName"]: _channel(channel, document) for channel in channels},
        "resourceconfig": {
            "current_host": HOST,
            "hosts": [HOST],
            "network_interface_name": "lo",
            "current_instance_type": document["ResourceConfig"].get("InstanceType"),
        },
    }
    if config := document.get("CheckpointConfig"):
        files["checkpointconfig"] = {
            "S3Uri": config["S3Uri"],
            "LocalPath": config.get("LocalPath", CHECKPOINTS),
        }
        checkpoint_folder(root, config).mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (root / "input/config" / f"{name}.json").write_text(json.dumps(content))


def checkpoint_folder(root: Path, config: Document) -> Path:
    """Return the folder of a job's checkpoints. config: its CheckpointConfig, checked by `local_path_problem`."""
    return root / PurePosixPath(config.get("LocalPath") or CHECKPOINTS).relative_to(ML_ROOT)


def local_path_problem(path: str) -> str:
    """Return why a CheckpointConfig.LocalPath is refused; empty for a valid one."""
    local = PurePosixPath(path)
    inside = local.is_relative_to(ML_ROOT) and local != ML_ROOT and ".." not in local.parts
    if inside and local.relative_to(ML_ROOT).parts[0] not in _TAKEN:
        return ""
    return f"The sandbox keeps checkpoints in a folder of {ML_ROOT} such as {CHECKPOINTS}, not in {path}."


def _channel(channel: Document, document: Document) -> Document:
    """Return one channel's entry of inputdataconfig.json."""
    mode = document["AlgorithmSpecification"]["TrainingInputMode"]
    values = {
        "ContentType": channel.get("ContentType"),
        "TrainingInputMode": channel.get("InputMode", mode),
        "S3DistributionType": channel["DataSource"]["S3DataSource"]["S3DataDistributionType"],
        "RecordWrapperType": channel["RecordWrapperType"],
    }
    return {name: value for name, value in values.items() if value is not None}


def failure_text(root: Path) -> str:
    """Return the text that the program wrote to output/failure, at most the 1,024 characters that AWS shows."""
    path = root / "output/failure"
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return file.read(4096).decode("utf-8", "replace").strip()[:1024]


def pack(folder: Path, archive: Path) -> bool:
    """Pack the content of a folder into a .tar.gz; return False, without an archive, when the folder is empty."""
    members = sorted(folder.iterdir())
    if members:
        # Parameters hardly compress: the lowest level is as good as the highest, and ten times as fast.
        with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
            for member in members:
                tar.add(member, member.name)
    return bool(members)
