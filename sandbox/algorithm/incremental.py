"""Incremental training: read the model that a job starts from, in the channel `model`.

Source: SageMaker developer guide, "Use Incremental Training in Amazon SageMaker AI".
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sandbox.algorithm.archive import Architecture, read_archive, unpack
from sandbox.algorithm.failure import ClientError
from sandbox.algorithm.hyperparameters import Hyperparameters, check_same
from sandbox.algorithm.mxnet_import import AlgorithmError


@dataclass(frozen=True, slots=True)
class Start:
    """A model's parameters and its architecture."""

    parameters: Path
    architecture: Architecture


def read_start(channel: Path, params: Hyperparameters, scratch: Path) -> Start | None:
    """Read the model in the channel; None without that channel. Raises ClientError.

    scratch: a folder in which to unpack the archive.
    """
    if not channel.is_dir():
        return None
    archives = sorted(channel.rglob("*.tar.gz"))
    if len(archives) != 1:
        raise ClientError(
            f"The channel 'model' has {len(archives)} archives, expected the model.tar.gz of one earlier job."
        )
    folder = scratch / "start"
    try:
        unpack(archives[0], folder)
        archive = read_archive(folder)
    except (OSError, AlgorithmError) as error:
        raise ClientError(
            f"The model {archives[0].name} of the channel 'model' cannot be used: {error}"
        ) from error
    known = archive.architecture
    shape = {"algorithm": known.algorithm, "backbone": known.backbone, "num_classes": str(known.classes)}
    check_same(params, {**archive.hyperparameters, **shape})
    return Start(archive.parameters, known)
