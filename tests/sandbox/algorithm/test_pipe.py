"""Channels in Pipe mode, as the algorithm reads them."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sandbox.algorithm.augment import batches, random_mirror
from sandbox.algorithm.failure import ClientError
from sandbox.algorithm.mxnet_import import AlgorithmError
from sandbox.algorithm.pipe import PipeExamples, piped_channels, read_pipe
from sandbox.common.recordio import framed

ROOT = Path(__file__).parents[3]
SMALL = {
    "algorithm": "light",
    "num_classes": "2",
    "num_training_samples": "4",
    "mini_batch_size": "2",
    "crop_size": "32",
    "epochs": "2",
}


def encoded(labels: np.ndarray, kind: str) -> bytes:
    """Return labels as a PNG mask or as a JPEG image."""
    buffer = io.BytesIO()
    image = Image.fromarray(labels if kind == "PNG" else labels * 120 + 60)
    image.convert("L" if kind == "PNG" else "RGB").save(buffer, kind)
    return buffer.getvalue()


def pair(number: int, side: int = 48) -> list[bytes]:
    coarse = np.random.default_rng(number).integers(0, 2, (4, 4), np.uint8)
    labels = np.repeat(np.repeat(coarse, side // 4, 0), side // 4, 1)
    return [encoded(labels, "JPEG"), encoded(labels, "PNG")]


def stream(count: int) -> list[bytes]:
    return [content for number in range(count) for content in pair(number)]


@pytest.fixture
def opened(tmp_path: Path) -> PipeExamples:
    """Return the channel train of two classes; tests write its epochs as files."""
    return read_pipe(tmp_path, "train", 2)


def write(data: Path, contents: list[bytes], epoch: int = 0, channel: str = "train") -> None:
    (data / f"{channel}_{epoch}").write_bytes(b"".join(map(framed, contents)))


def test_an_epoch_is_the_stream_of_a_pipe(opened: PipeExamples, tmp_path: Path) -> None:
    """Each iteration reads the next pipe: pairs of an image and a mask, in the order of the stream."""
    write(tmp_path, stream(3))
    write(tmp_path, pair(7), epoch=1)
    assert len(list(opened)) == 3
    ((image, labels),) = opened
    assert (image.shape, labels.shape) == ((48, 48, 3), (48, 48))
    assert set(np.unique(labels)) <= {0, 1}


def test_a_label_map_applies_in_pipe_mode(tmp_path: Path) -> None:
    """The channel label_map changes the labels of a stream as those of files."""
    (tmp_path / "label_map").mkdir()
    (tmp_path / "label_map/train_label_map.json").write_text(json.dumps({"map": {"1": 0, "0": 1}}))
    write(tmp_path, pair(0))
    write(tmp_path, pair(0), epoch=1)
    ((_, mapped),) = read_pipe(tmp_path, "train", 2)
    write(tmp_path, pair(0), channel="validation")
    ((_, unchanged),) = read_pipe(tmp_path, "validation", 2)
    assert np.array_equal(mapped, 1 - unchanged)


def test_batches_of_a_stream_keep_its_order(opened: PipeExamples, tmp_path: Path) -> None:
    """A stream is divided into whole batches; the last incomplete one is left out, unless it is the only one."""
    write(tmp_path, stream(5))
    write(tmp_path, stream(1), epoch=1)
    random = np.random.default_rng(0)

    def sizes() -> list[int]:
        made = batches(opened, size=2, crop=32, orientation=random_mirror, random=random)
        return [len(labels) for _, labels in made]

    assert [sizes(), sizes()] == [[2, 2], [1]]


@pytest.mark.parametrize(
    ("contents", "kind", "words"),
    [
        (
            [],
            ClientError,
            "Got empty batch from pipe. Please check if the manifest file contains valid batches",
        ),
        (pair(0)[:1], ClientError, "The image 1 of 'train' has no annotation"),
        ([b"no image", pair(0)[1]], ClientError, "Cannot read the image 1 of the channel 'train'"),
        ([pair(0)[1], pair(0)[0]], ClientError, "Cannot read the annotation 1 of the channel 'train'"),
        ([pair(0)[0], pair(0, 32)[1]], ClientError, "their sizes do not match"),
    ],
)
def test_a_stream_that_cannot_be_trained_on(
    opened: PipeExamples, tmp_path: Path, contents: list[bytes], kind: type[Exception], words: str
) -> None:
    """Each way in which a stream is invalid has the container's message, or names the record."""
    write(tmp_path, contents)
    with pytest.raises(kind, match=words):
        list(opened)


def test_data_without_record_wrapper_is_awss_internal_error(opened: PipeExamples, tmp_path: Path) -> None:
    """Files without RecordIO around them fail as on AWS: an internal error around an input error."""
    (tmp_path / "train_0").write_bytes(b"".join(stream(1)))
    with pytest.raises(AlgorithmError) as caught:
        list(opened)
    assert str(caught.value) == (
        "Internal Server Error, (Input Error) Unable to parse record: "
        "The Record IO header does not start with the magic number."
    )


def test_the_configuration_names_the_channels_in_pipe_mode(tmp_path: Path) -> None:
    """Channels in Pipe mode are those of inputdataconfig.json; without the file there are none."""
    assert piped_channels(tmp_path) == {}
    rows = {"train": {"TrainingInputMode": "Pipe"}, "model": {"TrainingInputMode": "File"}}
    (tmp_path / "inputdataconfig.json").write_text(json.dumps(rows))
    assert list(piped_channels(tmp_path)) == ["train"]
    (tmp_path / "inputdataconfig.json").write_text("[")
    with pytest.raises(ClientError, match=r"Unable to parse inputdataconfig\.json"):
        piped_channels(tmp_path)


def prepared(root: Path, content_type: str = "application/x-recordio") -> Path:
    """Return a folder that replaces /opt/ml, with files as the pipes of two epochs."""
    (root / "input/config").mkdir(parents=True)
    (root / "input/data").mkdir()
    row = {"ContentType": content_type, "TrainingInputMode": "Pipe", "RecordWrapperType": "RecordIO"}
    config = {"hyperparameters": SMALL, "inputdataconfig": {"train": row, "validation": row}}
    for name, content in config.items():
        (root / f"input/config/{name}.json").write_text(json.dumps(content))
    for epoch in range(2):
        for channel in ("train", "validation"):
            write(root / "input/data", stream(4), epoch, channel)
    return root


def run(root: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sandbox.algorithm", "train"]
    environ = {**os.environ, "SM_ML_ROOT": str(root)}
    return subprocess.run(
        command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False, timeout=120
    )


@pytest.mark.mxnet
def test_a_job_trains_from_its_pipes(tmp_path: Path) -> None:
    """A job with both channels in Pipe mode trains all epochs and leaves a model."""
    done = run(prepared(tmp_path / "ml"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "ml/model/model_best.params").is_file()
    assert "The channel 'train' is in pipe input mode under /opt/ml/input/data/train." in done.stdout
    assert "completed 100 % of epochs" in done.stdout


def test_another_content_type_is_refused(tmp_path: Path) -> None:
    """In Pipe mode the content type must be that of RecordIO, as the container checks before training."""
    done = run(prepared(tmp_path / "ml", "image/jpeg"))
    assert done.returncode == 2
    failure = (tmp_path / "ml/output/failure").read_text()
    assert "Failed to validate input data configuration" in failure
    assert "u'image/jpeg' is not one of [u'application/x-recordio']" in failure
