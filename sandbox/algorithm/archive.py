"""Read and write a `model.tar.gz`: `hyperparams.json` and Gluon parameters, in AWS's layout.

AWS's archive holds exactly `model_algo-1` (the last epoch), `model_best.params` and `hyperparams.json`
(amazon-sagemaker-examples#864, sagemaker-python-sdk#2062), and its server loads `model_best.params`
(sagemaker-python-sdk#1284). The network is identified by the parameters alone, as no `hyperparams.json` of a real
model is published; values in it that contradict them are reported in the log.
"""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.algorithm import log
from sandbox.algorithm.mxnet_import import AlgorithmError, load_mxnet
from sandbox.algorithm.stated import contradictions, read_stated
from sandbox.common.archive import ArchiveError
from sandbox.common.archive import unpack as unpack_files

BEST, LAST, HYPERPARAMETERS = "model_best.params", "model_algo-1", "hyperparams.json"


@dataclass(frozen=True, slots=True)
class Architecture:
    """The values needed to build a network.

    algorithm: `light`, `fcn`, `psp` or `deeplab`.
    backbone:  `resnet-50` or `resnet-101`; `light` for the light network.
    classes:   number of classes.
    auxiliary: whether the parameters of the auxiliary head exist.
    stem:      `v1s` or `v1b`, see `networks`; empty for the light network.
    """

    algorithm: str
    backbone: str
    classes: int
    auxiliary: bool = False
    stem: str = ""


@dataclass(frozen=True, slots=True)
class Archive:
    """An unpacked model archive, validated but not loaded. hyperparameters: as `hyperparams.json` states them."""

    parameters: Path
    names: frozenset[str]
    architecture: Architecture
    hyperparameters: Mapping[str, str]


def read_archive(folder: Path) -> Archive:
    """Inspect an unpacked archive. Raises AlgorithmError, which says what is missing or foreign."""
    hyperparameters = _read_hyperparameters(folder)
    parameters = _choose_parameters(folder)
    arrays = _read_arrays(parameters)
    shapes = {name: tuple(array.shape) for name, array in arrays.items()}
    architecture = architecture_of(shapes, parameters.name)
    _report_contradictions(architecture, hyperparameters)
    return Archive(parameters, frozenset(shapes), architecture, hyperparameters)


def architecture_of(shapes: Mapping[str, tuple[int, ...]], file: str) -> Architecture:
    """Return the network that has parameters of these names and shapes. Raises AlgorithmError for a foreign file."""
    if "half.score.bias" in shapes:
        return Architecture("light", "light", shapes["half.score.bias"][0])
    if "head.block.4.bias" not in shapes:
        sample = ", ".join(sorted(shapes)[:3]) or "nothing"
        raise AlgorithmError(
            f"{file} holds {sample}...: these are not parameters of FCN, PSP, DeepLab or the light network."
        )
    return Architecture(
        algorithm=_algorithm_of(shapes),
        backbone="resnet-101" if "layer3.22.conv1.weight" in shapes else "resnet-50",
        classes=shapes["head.block.4.bias"][0],
        auxiliary="auxlayer.block.4.bias" in shapes,
        stem="v1s" if "conv1.0.weight" in shapes else "v1b",
    )


def build(architecture: Architecture) -> Any:
    """Build the network, without parameters."""
    # Imported here: both modules import MXNet as they define their blocks.
    from sandbox.algorithm.light import LightNetwork  # noqa: PLC0415
    from sandbox.algorithm.networks import SegmentationNetwork  # noqa: PLC0415

    if architecture.algorithm == "light":
        return LightNetwork(architecture.classes)
    return SegmentationNetwork(
        architecture.algorithm,
        architecture.backbone,
        architecture.classes,
        auxiliary=architecture.auxiliary,
        stem=architecture.stem,
    )


def load_network(archive: Archive, *, auxiliary: bool = True) -> Any:
    """Load the network with all its parameters. Raises AlgorithmError when some are missing or left over.

    auxiliary: False leaves out the auxiliary head, which only training needs.
    """
    known = archive.architecture
    keep = auxiliary and known.auxiliary
    network = build(
        Architecture(known.algorithm, known.backbone, known.classes, auxiliary=keep, stem=known.stem)
    )
    wanted = {name for name in archive.names if keep or not name.startswith("auxlayer.")}
    misfit = f"{archive.parameters.name} does not fit {known.algorithm} on {known.backbone}: "
    try:
        network.load_parameters(str(archive.parameters), ignore_extra=len(wanted) < len(archive.names))
    except (AssertionError, ValueError) as error:
        raise AlgorithmError(misfit + _first_line(error)) from error
    expected = len(network.collect_params().keys())
    if len(wanted) != expected:
        raise AlgorithmError(f"{misfit}it holds {len(wanted)} arrays, expected {expected}.")
    return network


def write_hyperparameters(folder: Path, hyperparameters: Mapping[str, str]) -> None:
    """Write `hyperparams.json`; all values are text, as in CreateTrainingJob."""
    text = json.dumps(dict(sorted(hyperparameters.items())), indent=1)
    (folder / HYPERPARAMETERS).write_text(text + "\n", encoding="utf-8")


def pack(folder: Path, archive: Path) -> None:
    """Pack a model folder as AWS does; the same files always give the same bytes."""
    with (
        archive.open("wb") as file,
        gzip.GzipFile("", "wb", 9, file, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for name in (LAST, BEST, HYPERPARAMETERS):
            content = (folder / name).read_bytes()
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a model archive; no member can leave the folder. Raises AlgorithmError, OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        unpack_files(archive, folder)
    except ArchiveError as error:
        raise AlgorithmError(f"{archive.name} cannot be unpacked: {error}.") from error


def _algorithm_of(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """Return the algorithm whose head has these parameters."""
    if any(name.startswith("head.psp.") for name in shapes):
        return "psp"
    return "deeplab" if any(name.startswith("head.aspp.") for name in shapes) else "fcn"


def _read_hyperparameters(folder: Path) -> dict[str, str]:
    """Read `hyperparams.json`. Raises AlgorithmError."""
    path = folder / HYPERPARAMETERS
    if not path.is_file():
        raise AlgorithmError(f"The model archive has no {HYPERPARAMETERS}; it holds {_listing(folder)}.")
    try:
        return read_stated(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise AlgorithmError(
            f"{HYPERPARAMETERS} of the model archive is not a JSON object: {error}."
        ) from error


def _choose_parameters(folder: Path) -> Path:
    """Return the parameters' file: the best epoch's, else the last one's. Raises AlgorithmError."""
    for name in (BEST, LAST):
        if (folder / name).is_file():
            return folder / name
    raise AlgorithmError(f"The model archive has neither {BEST} nor {LAST}; it holds {_listing(folder)}.")


def _read_arrays(path: Path) -> dict[str, Any]:
    """Load a file of named arrays. Raises AlgorithmError."""
    mx = load_mxnet()
    try:
        arrays = mx.nd.load(str(path))
    except mx.MXNetError as error:
        raise AlgorithmError(
            f"{path.name} is not a file of MXNet parameters: {_first_line(error)}"
        ) from error
    if not isinstance(arrays, dict):
        raise AlgorithmError(
            f"{path.name} holds {len(arrays)} arrays without names, expected Gluon parameters."
        )
    return arrays


def _report_contradictions(architecture: Architecture, hyperparameters: Mapping[str, str]) -> None:
    """Log the values of `hyperparams.json` that contradict the parameters."""
    actual = {
        "algorithm": architecture.algorithm,
        "backbone": architecture.backbone,
        "num_classes": str(architecture.classes),
    }
    for text in contradictions(actual, hyperparameters):
        log.warning(f"{text} The parameters apply.")


def _listing(folder: Path) -> str:
    """Return the first files of a folder, for a message."""
    return ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing"


def _first_line(error: Exception) -> str:
    """Return the first line of an error's text."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__
