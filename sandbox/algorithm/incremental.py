"""Incremental training: the model that a job goes on from, in the channel `model`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sandbox.algorithm.archive import Architecture, read_archive, unpack
from sandbox.algorithm.failure import ClientError
from sandbox.algorithm.hyperparameters import Hyperparameters, check_same
from sandbox.algorithm.mxnet_import import AlgorithmError


@dataclass(frozen=True, slots=True)
class Start:
    """A model's parameters and what they belong to."""

    parameters: Path
    architecture: Architecture


def read_start(channel: Path, params: Hyperparameters, scratch: Path) -> Start | None:
    """Read the model in the channel; None when there is no such channel. Raises ClientError.

    scratch: a folder that the archive may be unpacked in.
    """
    if not channel.is_dir():
        return None
    archives = sorted(channel.rglob("*.tar.gz"))
    if len(archives) != 1:
        raise ClientError(
            f"The channel 'model' holds {len(archives)} archives, wanted the model.tar.gz of one earlier job."
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
