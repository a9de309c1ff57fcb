"""What is inside a `model.tar.gz`, known before anything is paid for it.

AWS's archive holds exactly `model_algo-1` (the last epoch), `model_best.params` and `hyperparams.json`, and its
server loads `model_best.params`; so what lacks one of the last two is refused, and more files are only told of. What
`hyperparams.json` of a real model says has not been seen published; so the network is read from the names and
shapes in `model_best.params`, and the JSON is held against it. What neither tells is None: unknown.
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
"""Bytes of `hyperparams.json`; a real one has hundreds."""

SHOWN = 8
"""So many names of members or arrays stand in a sentence."""

TODO = "Take the model.tar.gz that the training job wrote, unchanged."

Network = Literal["aws", "light", "unknown"]
"""One of AWS's own, the sandbox's small one, which AWS cannot load, or one that could not be told."""


@dataclass(frozen=True, slots=True)
class IdentifiedNetwork:
    """A network as the names and shapes of its parameters tell it.

    algorithm: "fcn", "psp", "deeplab" or "light".
    backbone:  "resnet-50", "resnet-101" or "light".
    """

    network: Network
    algorithm: str
    backbone: str
    num_classes: int


@dataclass(frozen=True, slots=True)
class Artifact:
    """A `model.tar.gz` that was looked into.

    where:           its S3 URI, or the name of a file.
    size:            bytes, packed.
    members:         its files, in their order.
    network:         whose network it is.
    algorithm:       "fcn", "psp", "deeplab", or "light" for the sandbox's own; None: unknown, as for the next three.
    backbone:        "resnet-50", "resnet-101" or "light".
    num_classes:     how many.
    crop_size:       pixels.
    hyperparameters: what `hyperparams.json` says, as text.
    warnings:        sentences to read before it is served.
    complete:        whether all of it was looked at; False where time ran out.
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
        """Bytes of its members."""
        return sum(member.size for member in self.members)

    def training_values(self) -> dict[str, str]:
        """The hyperparameters of a job that goes on from it, as far as they are known."""
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
        """Why it cannot be served there; None where it can, as far as is known."""
        if self.network != LIGHT or sandbox:
            return None
        return ArtifactError(
            f"{self.where} cannot be served on AWS.",
            why="It holds the sandbox's small network, which AWS's algorithm does not know.",
            todo="Serve it in the sandbox, or train with fcn, psp or deeplab on AWS.",
        )


def inspect_artifact_file(path: Path) -> Artifact:
    """Look into an archive on this machine. Raises ArtifactError, OSError."""
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
    """Look into an archive as its bytes come, front to back; nothing is written. Raises ArtifactError.

    where:       what it is called, such as its S3 URI.
    size:        bytes, packed.
    out_of_time: asked between reads; where it says yes, what is known until then is returned.
    """
    contents = _Contents(where)
    try:
        walk(source, where, contents.take, limits=limits or ArchiveLimits(), out_of_time=out_of_time)
    except OutOfTime:
        return contents.artifact(size, complete=False)
    _require(contents.members, where)
    return contents.artifact(size, complete=True)


class _Contents:
    """What the files in an archive say, gathered as they come."""

    def __init__(self, where: str) -> None:
        self.members: list[Member] = []
        self._where = where
        self._hyperparameters: dict[str, str] = {}
        self._network: IdentifiedNetwork | None = None
        self._warnings: list[str] = []

    def take(self, member: Member, content: IO[bytes]) -> None:
        """Read a file that tells something. Raises ArtifactError."""
        self.members.append(member)
        if member.name == SETTINGS:
            self._hyperparameters = _hyperparameters(member, content, self._where)
        elif member.name == BEST:
            self._network = self._read_network(member, content)

    def artifact(self, size: int, *, complete: bool) -> Artifact:
        """All together, with what is odd about it."""
        settings, network = self._hyperparameters, self._network
        foreign = [member.name for member in self.members if member.name not in (BEST, LAST, SETTINGS)]
        warnings = [*self._warnings, *_contradictions(network, settings)]
        if foreign:
            warnings.append(f"It also holds what AWS's training does not write: {_listing(foreign)}.")
        if not complete:
            warnings.append("Time ran out before all of it was looked at.")
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
                f"{BEST} in {self._where} is no whole file of MXNet parameters.", why=str(error), todo=TODO
            ) from error
        network = identify_network(shapes)
        if network is None:
            sample = _listing(sorted(shapes)) or "nothing"
            self._warnings.append(
                f"{BEST} holds {sample}: these are not known as parameters of FCN, PSP or DeepLab."
            )
        return network


def identify_network(shapes: Mapping[str, tuple[int, ...]]) -> IdentifiedNetwork | None:
    """The network that has parameters of these names and shapes; None where it is none that is known.

    AWS's names come from the attributes of GluonCV's classes, such as `head.block.4.bias` for the scores' bias.
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
        deeper = [name for name in names if name.rpartition("/")[2] in missing]
        raise ArtifactError(
            f"{where} lacks {' and '.join(missing)}.",
            why=f"It holds {_listing(names) or 'nothing'}.",
            todo="Pack the files without a folder around them." if deeper else TODO,
        )


def _hyperparameters(member: Member, content: IO[bytes], where: str) -> dict[str, str]:
    """All values as text, as they travel in CreateTrainingJob. Raises ArtifactError where it is no JSON object."""
    if member.size > MAX_SETTINGS:
        raise ArtifactError(
            f"{SETTINGS} in {where} has {member.size:,} bytes; at most {MAX_SETTINGS:,} are read.", todo=TODO
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
    """Where the JSON says another thing than the parameters, which count."""
    if network is None:
        return []
    held = {
        "algorithm": network.algorithm,
        "backbone": network.backbone,
        "num_classes": str(network.num_classes),
    }
    return [
        f"{SETTINGS} says {name} {stated[name]}, but {BEST} holds the parameters of {name} {value}: serving may fail."
        for name, value in held.items()
        if stated.get(name, value) != value
    ]


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 7 else None


def _listing(names: list[str]) -> str:
    return listing([name[:80] for name in names], SHOWN, grouping="")
