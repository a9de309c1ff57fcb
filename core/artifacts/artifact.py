"""Inspect a `model.tar.gz` before it costs anything.

AWS's archive contains exactly `model_algo-1` (the last epoch), `model_best.params` and `hyperparams.json`, and its
server loads `model_best.params`; so an archive without one of the last two is rejected, and other files are only
reported. The content of a real `hyperparams.json` is not documented, so the network is read from the names and shapes
in `model_best.params`, and the JSON is compared with it. What neither contains is None: unknown.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

from core.artifacts.archive import ArchiveLimits, Member, OutOfTime, Readable, walk
from core.errors import ArtifactError, DecodeError
from core.local_files import open_regular
from core.strict_json import parse_json
from core.text import listing
from core.training.hyperparameters import HYPERPARAMETERS, LIGHT
from core.wire.ndarrays import read_shapes

BEST, LAST, SETTINGS = "model_best.params", "model_algo-1", "hyperparams.json"
MAX_SETTINGS = 1 << 16
"""Maximum bytes of `hyperparams.json`; a real one has hundreds."""

SHOWN = 8
"""How many names of members or arrays a message lists."""

TODO = "Use the model.tar.gz that the training job wrote, unchanged."

Network = Literal["aws", "light", "unknown"]
"""One of AWS's networks; the sandbox's small one, which AWS cannot load; or one that was not identified."""


@dataclass(frozen=True, slots=True)
class IdentifiedNetwork:
    """A network identified by the names and shapes of its parameters.

    algorithm: "fcn", "psp", "deeplab" or "light".
    backbone:  "resnet-50", "resnet-101" or "light".
    """

    network: Network
    algorithm: str
    backbone: str
    num_classes: int


@dataclass(frozen=True, slots=True)
class Artifact:
    """An inspected `model.tar.gz`.

    where:           its S3 URI, or a file name.
    size:            bytes, packed.
    members:         its files, in order.
    network:         the kind of network.
    algorithm:       "fcn", "psp", "deeplab", or "light" for the sandbox's own; None: unknown, as for the next three.
    backbone:        "resnet-50", "resnet-101" or "light".
    num_classes:     number of classes.
    crop_size:       pixels.
    hyperparameters: the content of `hyperparams.json`, as text.
    warnings:        sentences to read before deploying it.
    complete:        whether all of it was read; False if time ran out.
    """

    where: str
    size: int
    members: tuple[Member, ...]
    network: Network
    algorithm: str | None
    backbone: str | None
    num_classes: int | None
    crop_size: int | None
    hyperparameters: Mapping[str, str]
    warnings: tuple[str, ...]
    complete: bool

    @property
    def unpacked(self) -> int:
        """Return the total bytes of its members."""
        return sum(member.size for member in self.members)

    def training_values(self) -> dict[str, str]:
        """Return the known hyperparameters for a job that continues from it."""
        names = {row.name for row in HYPERPARAMETERS}
        values = {name: value for name, value in self.hyperparameters.items() if name in names}
        known = {
            "algorithm": self.algorithm,
            "backbone": self.backbone,
            "num_classes": self.num_classes,
            "crop_size": self.crop_size,
        }
        return values | {name: str(value) for name, value in known.items() if value is not None}

    def refusal(self, *, sandbox: bool) -> ArtifactError | None:
        """Return why it cannot be deployed there; None if it can, as far as is known."""
        if self.network != LIGHT or sandbox:
            return None
        return ArtifactError(
            f"{self.where} cannot be deployed on AWS.",
            why="It contains the sandbox's small network, which AWS's algorithm does not support.",
            todo="Deploy it in the sandbox, or train with fcn, psp or deeplab on AWS.",
        )


def inspect_artifact_file(path: Path) -> Artifact:
    """Inspect a local archive. Raises ArtifactError, OSError."""
    with open_regular(path) as file:
        return inspect_artifact(file, str(path), os.fstat(file.fileno()).st_size)


def inspect_artifact(
    source: Readable,
    where: str,
    size: int,
    *,
    limits: ArchiveLimits | None = None,
    out_of_time: Callable[[], bool] = lambda: False,
) -> Artifact:
    """Inspect an archive as it is read, start to end; nothing is written. Raises ArtifactError.

    where:       its name in messages, such as its S3 URI.
    size:        bytes, packed.
    out_of_time: called between reads; if it returns True, the partial result is returned.
    """
    contents = _Contents(where)
    try:
        walk(source, where, contents.take, limits=limits or ArchiveLimits(), out_of_time=out_of_time)
    except OutOfTime:
        return contents.artifact(size, complete=False)
    _require(contents.members, where)
    return contents.artifact(size, complete=True)


class _Contents:
    """Collects what the files in an archive contain."""

    def __init__(self, where: str) -> None:
        self.members: list[Member] = []
        self._where = where
        self._hyperparameters: dict[str, str] = {}
        self._network: IdentifiedNetwork | None = None
        self._warnings: list[str] = []

    def take(self, member: Member, content: IO[bytes]) -> None:
        """Read a file that is relevant. Raises ArtifactError."""
        self.members.append(member)
        if member.name == SETTINGS:
            self._hyperparameters = _hyperparameters(member, content, self._where)
        elif member.name == BEST:
            self._network = self._read_network(member, content)

    def artifact(self, size: int, *, complete: bool) -> Artifact:
        """Return the artifact, with warnings about anything unusual."""
        settings, network = self._hyperparameters, self._network
        foreign = [member.name for member in self.members if member.name not in (BEST, LAST, SETTINGS)]
        warnings = [*self._warnings, *_contradictions(network, settings)]
        if foreign:
            warnings.append(
                f"It also contains files that AWS's training does not write: {_listing(foreign)}."
            )
        if not complete:
            warnings.append("Time ran out before all of it was read.")
        algorithm = network.algorithm if network else settings.get("algorithm")
        return Artifact(
            where=self._where,
            size=size,
            members=tuple(self.members),
            network=network.network if network else "unknown",
            algorithm=algorithm,
            backbone=network.backbone if network else settings.get("backbone"),
            num_classes=network.num_classes if network else _number(settings.get("num_classes")),
            crop_size=_number(settings.get("crop_size")),
            hyperparameters=settings,
            warnings=tuple(warnings),
            complete=complete,
        )

    def _read_network(self, member: Member, content: IO[bytes]) -> IdentifiedNetwork | None:
        try:
            shapes = read_shapes(content, member.size)
        except DecodeError as error:
            raise ArtifactError(
                f"{BEST} in {self._where} is not a complete MXNet parameter file.", why=str(error), todo=TODO
            ) from error
        network = identify_network(shapes)
        if network is None:
            sample = _listing(sorted(shapes)) or "nothing"
            self._warnings.append(
                f"{BEST} contains {sample}: these are not known parameters of FCN, PSP or DeepLab."
            )
        return network


def identify_network(shapes: Mapping[str, tuple[int, ...]]) -> IdentifiedNetwork | None:
    """Return the network with parameters of these names and shapes; None if it is not known.

    AWS's names come from the attributes of GluonCV's classes, such as `head.block.4.bias` for the bias of the scores.
    """
    light, score = shapes.get("half.score.bias"), shapes.get("head.block.4.bias")
    if light:
        return IdentifiedNetwork("light", LIGHT, LIGHT, light[0])
    if not score:
        return None
    heads = {"head.psp.": "psp", "head.aspp.": "deeplab"}
    algorithm = next(
        (name for start, name in heads.items() if any(key.startswith(start) for key in shapes)), "fcn"
    )
    backbone = "resnet-101" if "layer3.22.conv1.weight" in shapes else "resnet-50"
    return IdentifiedNetwork("aws", algorithm, backbone, score[0])


def _require(members: Iterable[Member], where: str) -> None:
    names = [member.name for member in members]
    missing = [name for name in (BEST, SETTINGS) if name not in names]
    if missing:
        nested = [name for name in names if name.rpartition("/")[2] in missing]
        raise ArtifactError(
            f"{where} lacks {' and '.join(missing)}.",
            why=f"It contains {_listing(names) or 'no files'}.",
            todo="Pack the files at the top level, not in a folder." if nested else TODO,
        )


def _hyperparameters(member: Member, content: IO[bytes], where: str) -> dict[str, str]:
    """Return all values as text, as in CreateTrainingJob. Raises ArtifactError if it is not a JSON object."""
    if member.size > MAX_SETTINGS:
        raise ArtifactError(
            f"{SETTINGS} in {where} has {member.size:,} bytes; the limit is {MAX_SETTINGS:,}.", todo=TODO
        )
    try:
        values = parse_json(content.read(MAX_SETTINGS))
        return {str(name): _text(value) for name, value in values.items()}
    except (ValueError, AttributeError) as error:
        raise ArtifactError(
            f"{SETTINGS} in {where} is not a JSON object.", why=f"{error}.", todo=TODO
        ) from error


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _contradictions(network: IdentifiedNetwork | None, stated: Mapping[str, str]) -> list[str]:
    """Return where the JSON contradicts the parameters, which take precedence."""
    if network is None:
        return []
    actual = {
        "algorithm": network.algorithm,
        "backbone": network.backbone,
        "num_classes": str(network.num_classes),
    }
    return [
        f"{SETTINGS} has {name} {stated[name]}, but {BEST} has the parameters of {name} {value}: deployment may fail."
        for name, value in actual.items()
        if stated.get(name, value) != value
    ]


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 7 else None


def _listing(names: list[str]) -> str:
    return listing([name[:80] for name in names], SHOWN, grouping="")
