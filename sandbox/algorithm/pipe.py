"""Read a channel in Pipe mode: a stream of RecordIO records, an image and its mask in turn, one pipe for each epoch.

Nothing is checked before training, because nothing can be read twice; an epoch has the order of the stream.

Source: SageMaker developer guide, "Semantic Segmentation Algorithm" (augmented manifest format). The messages are
those of AWS's containers (amazon-sagemaker-examples#562, #1283, #4056).
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sandbox.algorithm import log
from sandbox.algorithm.augment import Example
from sandbox.algorithm.channels import check_sizes, label_table, read_image, read_mask
from sandbox.algorithm.failure import ClientError
from sandbox.algorithm.mxnet_import import AlgorithmError
from sandbox.common.recordio import RecordError, records

CONTENT = "application/x-recordio"
_EMPTY = (
    "Got empty batch from pipe. Please check if the manifest file contains valid batches and the value of training "
    "job parameter AttributeNames matches attributes names in the augmented manifest."
)
_DAMAGED = "Internal Server Error, (Input Error) Unable to parse record: {why}"
_NOT_RECORDIO = "Unable to parse record. Please make sure input data is in correct recordio format."


@dataclass(slots=True)
class PipeExamples:
    """The examples of a channel, one epoch for each iteration.

    labels: the label of each pixel value, (256,) uint8.
    """

    data: Path
    name: str
    classes: int
    labels: NDArray[np.uint8]
    _epochs: Iterator[int] = field(default_factory=count)

    def __iter__(self) -> Iterator[Example]:
        """Yield the pairs of the next epoch. Raises ClientError, AlgorithmError."""
        path = self.data / f"{self.name}_{next(self._epochs)}"
        number = 0
        with path.open("rb") as stream:
            try:
                contents = records(stream)
                for number, image in enumerate(contents, 1):
                    mask = next(contents, None)
                    if mask is None:
                        raise ClientError(
                            f"{_NOT_RECORDIO} The image {number} of '{self.name}' has no annotation."
                        )
                    yield self._example(number, image, mask)
            except RecordError as error:
                raise AlgorithmError(_DAMAGED.format(why=error)) from error
        if not number:
            raise ClientError(_EMPTY)

    def _example(self, number: int, image: bytes, mask: bytes) -> Example:
        """Decode a pair. Raises ClientError."""
        name = f"{number} of the channel '{self.name}'"
        labels = read_mask(io.BytesIO(mask), name, self.labels, self.classes)
        pixels = read_image(io.BytesIO(image), name)
        check_sizes(name, name, pixels.shape[:2], labels.shape)
        return pixels, labels


def read_pipe(data: Path, name: str, classes: int) -> PipeExamples:
    """Return the examples of `train` or `validation` in Pipe mode, with the label map if there is one."""
    log.info(f"The channel '{name}' is in pipe input mode under /opt/ml/input/data/{name}.")
    return PipeExamples(data, name, classes, label_table(data, name))


def piped_channels(config: Path) -> dict[str, Mapping[str, Any]]:
    """Return the channels in Pipe mode with their configuration. Raises ClientError.

    config: the folder `input/config`; without inputdataconfig.json, no channel is.
    """
    path = config / "inputdataconfig.json"
    if not path.is_file():
        return {}
    try:
        channels = json.loads(path.read_bytes())
        return {name: row for name, row in channels.items() if row.get("TrainingInputMode") == "Pipe"}
    except (ValueError, AttributeError, RecursionError) as error:
        raise ClientError(f"Unable to parse {path.name}: {error}") from error
