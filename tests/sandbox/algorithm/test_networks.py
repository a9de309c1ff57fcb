"""AWS's three networks and its archive; MXNet runs in separate processes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from core.artifacts.artifact import IdentifiedNetwork, identify_network
from sandbox.algorithm.archive import architecture_of, read_archive
from sandbox.algorithm.mxnet_import import AlgorithmError

ROOT = Path(__file__).parents[3]

# Parameters with 21 classes and the auxiliary head, measured on GluonCV 0.10.5.
PARAMETERS = {
    "fcn/resnet-50": 35_501_034,
    "psp/resnet-50": 49_140_714,
    "deeplab/resnet-50": 42_185_450,
    "fcn/resnet-101": 54_545_386,
    "psp/resnet-101": 68_185_066,
    "deeplab/resnet-101": 61_229_802,
}
MEASURE = """
import json, sys
from pathlib import Path
import numpy as np
from sandbox.algorithm.archive import Architecture, BEST, LAST, build, write_hyperparameters
from sandbox.algorithm.mxnet_import import load_mxnet
from sandbox.algorithm.predict import Predictor
mx = load_mxnet()
from sandbox.algorithm.networks import SegmentationNetwork
shapes, served, folder = {}, {}, Path(sys.argv[1])
for name in sys.argv[2:]:
    network = SegmentationNetwork(*name.split("/"), 21)
    shapes[name] = {k: p.shape for k, p in network._collect_params_with_prefix().items()}
for algorithm, auxiliary, stem in (("fcn", True, "v1s"), ("psp", False, "v1b"), ("deeplab", True, "v1s")):
    network = build(Architecture(algorithm, "resnet-50", 4, auxiliary=auxiliary, stem=stem))
    network.initialize(mx.init.Zero())
    network.save_parameters(str(folder / (LAST if stem == "v1b" else BEST)))
    hyperparameters = {"algorithm": algorithm, "backbone": "resnet-50", "num_classes": "4", "crop_size": "32"}
    write_hyperparameters(folder, hyperparameters)
    predictor = Predictor.from_folder(folder)
    images = [np.zeros((*size, 3), np.uint8) for size in ((45, 61), (1, 2))]
    served[algorithm] = [predictor.probabilities(image).shape for image in images]
    (folder / (LAST if stem == "v1b" else BEST)).unlink()
print(json.dumps({"shapes": shapes, "served": served}))
"""


def run(code: str, *arguments: str) -> Any:
    """Return what the code prints as JSON, in a process of its own."""
    completed = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert completed.returncode == 0, completed.stderr
    return json.loads(completed.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What one process measures: importing MXNet takes as long as the rest."""
    return run(MEASURE, str(tmp_path_factory.mktemp("archives")), *PARAMETERS)


@pytest.fixture(scope="module")
def shapes(measured: Any) -> dict[str, dict[str, list[int]]]:
    """Names and shapes of all parameters, for each algorithm on each backbone."""
    by_network: dict[str, dict[str, list[int]]] = measured["shapes"]
    return by_network


@pytest.mark.mxnet
@pytest.mark.parametrize("network", PARAMETERS)
def test_networks_have_as_many_parameters_as_gluoncv(
    shapes: dict[str, dict[str, list[int]]], network: str
) -> None:
    """Each algorithm on each backbone has GluonCV's number of parameters."""
    total = 0
    for shape in shapes[network].values():
        size = 1
        for side in shape:
            size *= side
        total += size
    assert total == PARAMETERS[network]


@pytest.mark.mxnet
@pytest.mark.parametrize(
    ("network", "name", "shape"),
    [
        ("fcn/resnet-50", "conv1.0.weight", [64, 3, 3, 3]),
        ("fcn/resnet-50", "conv1.6.weight", [128, 64, 3, 3]),
        ("fcn/resnet-50", "bn1.running_var", [128]),
        ("fcn/resnet-50", "layer1.0.downsample.0.weight", [256, 128, 1, 1]),
        ("fcn/resnet-50", "head.block.0.weight", [512, 2048, 3, 3]),
        ("fcn/resnet-50", "head.block.4.bias", [21]),
        ("fcn/resnet-50", "auxlayer.block.4.weight", [21, 256, 1, 1]),
        ("fcn/resnet-101", "layer3.22.conv3.weight", [1024, 256, 1, 1]),
        ("psp/resnet-50", "head.psp.conv4.0.weight", [512, 2048, 1, 1]),
        ("psp/resnet-50", "head.block.0.weight", [512, 4096, 3, 3]),
        ("deeplab/resnet-50", "head.aspp.concurent.3.0.weight", [256, 2048, 3, 3]),
        ("deeplab/resnet-50", "head.aspp.concurent.4.gap.1.weight", [256, 2048, 1, 1]),
        ("deeplab/resnet-101", "head.aspp.project.0.weight", [256, 1280, 1, 1]),
    ],
)
def test_parameters_have_gluoncvs_names(
    shapes: dict[str, dict[str, list[int]]], network: str, name: str, shape: list[int]
) -> None:
    """Parameters have the names and shapes of the files that AWS's algorithm writes."""
    assert shapes[network][name] == shape


@pytest.mark.mxnet
@pytest.mark.parametrize("network", PARAMETERS)
def test_the_product_identifies_each_network(shapes: dict[str, dict[str, list[int]]], network: str) -> None:
    """The product's own reader, which uses names and shapes alone, identifies what the sandbox builds."""
    algorithm, backbone = network.split("/")
    recognized = identify_network({name: tuple(shape) for name, shape in shapes[network].items()})
    assert recognized == IdentifiedNetwork("aws", algorithm, backbone, 21)


@pytest.mark.mxnet
def test_archives_of_all_three_segment_images_larger_than_crop_size(measured: Any) -> None:
    """A saved archive is identified by its keys, with either stem and file name, and serves any size."""
    sizes = [[4, 45, 61], [4, 1, 2]]
    assert measured["served"] == {"fcn": sizes, "psp": sizes, "deeplab": sizes}


def test_the_architecture_is_read_from_the_names() -> None:
    """Algorithm, backbone, stem and auxiliary head follow from the existing parameters."""
    shapes = {"head.block.4.bias": (5,), "head.psp.conv1.0.weight": (1,), "layer3.22.conv1.weight": (1,)}
    known = architecture_of(shapes, "model_algo-1")
    assert (known.algorithm, known.backbone, known.classes) == ("psp", "resnet-101", 5)
    assert (known.auxiliary, known.stem) == (False, "v1b")


def test_foreign_parameters_are_named() -> None:
    """A file of other parameters is refused with a sample of its content."""
    with pytest.raises(AlgorithmError, match=r"model_best.params holds conv0_weight\.\.\.: these are not"):
        architecture_of({"conv0_weight": (1,)}, "model_best.params")


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"model_algo-1": b""}, "The model archive has no hyperparams.json; it holds model_algo-1"),
        (
            {"hyperparams.json": b"{}"},
            "neither model_best.params nor model_algo-1; it holds hyperparams.json",
        ),
        ({"hyperparams.json": b"[1]", "model_algo-1": b""}, "is not a JSON object"),
        ({"hyperparams.json": b"{", "model_algo-1": b""}, "is not a JSON object"),
    ],
)
def test_an_incomplete_archive_is_refused_with_what_is_missing(
    tmp_path: Path, files: dict[str, bytes], words: str
) -> None:
    """An archive of another algorithm is refused with what is missing and what it contains."""
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(AlgorithmError, match=words):
        read_archive(tmp_path)
