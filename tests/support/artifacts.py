"""Small model archives in AWS's layout, written without MXNet; and hostile archives."""

from __future__ import annotations

import gzip
import io
import json
import struct
import tarfile
from collections.abc import Mapping, Sequence
from math import prod

HEADS = {"fcn": (), "psp": ("head.psp.conv1.0.weight",), "deeplab": ("head.aspp.concurent.0.0.weight",)}


def parameters(shapes: Mapping[str, Sequence[int]]) -> bytes:
    """Return a file of MXNet parameters, as `mx.nd.save` writes float32 arrays, all zero."""
    arrays = b"".join(
        struct.pack(f"<Iii{len(shape)}qiii", 0xF993FAC9, 0, len(shape), *shape, 1, 0, 0)
        + bytes(4 * prod(shape))
        for shape in shapes.values()
    )
    names = b"".join(struct.pack("<Q", len(name.encode())) + name.encode() for name in shapes)
    head = struct.pack("<QQQ", 0x112, 0, len(shapes))
    return head + arrays + struct.pack("<Q", len(shapes)) + names


def gluoncv_shapes(
    algorithm: str = "fcn", backbone: str = "resnet-50", classes: int = 3
) -> dict[str, tuple[int, ...]]:
    """Return some parameter names and shapes by which GluonCV's networks are distinguished."""
    names = ["conv1.0.weight", "layer1.0.conv1.weight", *HEADS[algorithm], "auxlayer.block.4.bias"]
    names += ["layer3.22.conv1.weight"] if backbone == "resnet-101" else []
    return {**dict.fromkeys(names, (2, 3)), "head.block.4.bias": (classes,)}


def aws_files(
    algorithm: str = "fcn", backbone: str = "resnet-50", classes: int = 3, crop_size: int = 240
) -> dict[str, bytes]:
    """Return AWS's three files, for `archive` or the fixture `model_archive`."""
    weights = parameters(gluoncv_shapes(algorithm, backbone, classes))
    hyperparameters = {"algorithm": algorithm, "backbone": backbone, "num_classes": str(classes)}
    hyperparameters |= {"crop_size": str(crop_size), "epochs": "10"}
    return {
        "model_algo-1": weights,
        "model_best.params": weights,
        "hyperparams.json": json.dumps(hyperparameters).encode(),
    }


def archive(
    files: Mapping[str, bytes],
    *more: tarfile.TarInfo,
    kind: int = tarfile.PAX_FORMAT,
    level: int = 6,
) -> bytes:
    """Return a .tar.gz with these files, followed by the members `more` without content."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=kind) as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
        for entry in more:
            tar.addfile(entry)
    return gzip.compress(buffer.getvalue(), level, mtime=0)


def special(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    """Return a member of any type."""
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, target
    return entry
