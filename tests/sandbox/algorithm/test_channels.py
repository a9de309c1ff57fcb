"""Channels of a training job: pairs, label maps, and invalid files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sandbox.algorithm.augment import ScaledCrop, scaled_down
from sandbox.algorithm.channels import Examples, check_channels, read_channel
from sandbox.algorithm.failure import ClientError
from sandbox.algorithm.hyperparameters import read
from sandbox.algorithm.label_map import identity, read_label_map
from sandbox.algorithm.memory import check_memory

Draw = Callable[..., Path]


@pytest.fixture
def draw(tmp_path: Path) -> Draw:
    """draw(labels, name=..., channel=..., size=..., mode=...) -> the data folder with one more pair."""

    def make(
        labels: object,
        name: str = "a",
        channel: str = "train",
        size: tuple[int, int] | None = None,
        mode: str = "L",
    ) -> Path:
        values = np.array(labels, np.uint8)
        for part in (channel, f"{channel}_annotation"):
            (tmp_path / part / name).parent.mkdir(parents=True, exist_ok=True)
        image = Image.new("RGB", size or values.shape[::-1], (90, 120, 60))
        image.save(tmp_path / channel / f"{name}.jpg")
        mask = Image.fromarray(values)
        if mode == "P":
            mask.putpalette(bytes(range(256)) * 3)
        elif mode != "L":
            mask = mask.convert(mode)
        mask.save(tmp_path / f"{channel}_annotation" / f"{name}.png")
        return tmp_path

    return make


def test_images_and_masks_are_paired_by_name(draw: Draw) -> None:
    """Folders are part of the name; grayscale and palette masks give their pixel values, including 255."""
    draw([[0, 1], [2, 255]], "b")
    data = draw([[2, 1], [0, 0]], "sub/a", mode="P")
    examples = read_channel(data, "train", 3)
    assert [pair.image.name for pair in examples.pairs] == ["b.jpg", "a.jpg"]
    assert [labels.tolist() for _, labels in examples] == [[[0, 1], [2, 255]], [[2, 1], [0, 0]]]
    assert examples[0][0].shape == (2, 2, 3)


def test_an_image_without_a_mask_is_named(draw: Draw) -> None:
    """The reason says which file is missing, and in which channel."""
    data = draw([[0, 1]])
    (data / "train_annotation" / "a.png").unlink()
    with pytest.raises(
        ClientError, match=r"The image a\.jpg .* no file a\.png was found .*'train_annotation'"
    ):
        read_channel(data, "train", 2)


def test_a_missing_channel_is_named_in_awss_words(draw: Draw) -> None:
    """All four channels are required."""
    data = draw([[0, 1]])
    with pytest.raises(ClientError, match="u'validation' is a required property"):
        check_channels(data)


@pytest.mark.parametrize(
    ("labels", "options", "reason"),
    [
        ([[0, 7]], {}, r"a\.png has the label 7, which is out of range: expected 0 to 2 .* or 255"),
        ([[0, 1]], {"mode": "RGB"}, r"a\.png: it has mode RGB, expected a PNG with a single channel"),
        (
            [[0, 1]],
            {"size": (4, 3)},
            r"a\.jpg has 4 x 3 pixels and its annotation a\.png has 2 x 1: their sizes",
        ),
    ],
)
def test_an_invalid_mask_is_named_with_the_expected_values(
    draw: Draw, labels: object, options: dict[str, object], reason: str
) -> None:
    """A label out of range, colors instead of ids, and a size other than the image's are refused by name."""
    with pytest.raises(ClientError, match=reason):
        read_channel(draw(labels, **options), "train", 3).check()


@pytest.mark.parametrize(("folder", "name"), [("train", "a.jpg"), ("train_annotation", "a.png")])
def test_a_broken_file_is_named(draw: Draw, folder: str, name: str) -> None:
    """Files that are not images, and truncated masks, are reported with their name before training starts."""
    data = draw(np.zeros((64, 64)))
    path = data / folder / name
    path.write_bytes(b"not an image at all")
    with pytest.raises(ClientError, match=f"Cannot read the .* {name}: cannot identify image file"):
        read_channel(data, "train", 3).check()


def test_a_truncated_image_is_named_when_it_is_read(draw: Draw) -> None:
    """Its header is complete, so only decoding it reports the truncation."""
    data = draw(np.zeros((64, 64)))
    path = data / "train" / "a.jpg"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ClientError, match=r"Cannot read the image a\.jpg: .*truncated"):
        read_channel(data, "train", 3)[0]


def test_the_cache_of_decoded_examples_is_limited(draw: Draw) -> None:
    """Beyond the cache size, the least recently used example is read from its file again."""
    for name in "abc":
        data = draw([[0, 1], [1, 0]], name)
    pairs = read_channel(data, "train", 2).pairs
    examples = Examples(pairs, 2, identity(), cache_bytes=2 * (4 * 3 + 4))
    for number in (0, 1, 0, 2):
        assert len(examples[number][1]) == 2
    for name in "abc":
        (data / "train" / f"{name}.jpg").unlink()
    assert examples[0][1].tolist() == [[0, 1], [1, 0]]
    with pytest.raises(ClientError, match=r"b\.jpg"):
        examples[1]


@pytest.mark.parametrize(
    ("text", "pixels", "labels"),
    [
        ({"scale": "3"}, [0, 3, 5, 6, 255], [0, 1, 1, 2, 255]),
        ({"scale": 1}, [0, 1, 255], [0, 1, 255]),
        ({"map": {"0": 5, "1": 0, "2": 2}}, [0, 5, 2, 255], [1, 0, 2, 255]),
        ({"map": {"0": 255, "255": 0}}, [255, 0], [0, 255]),
    ],
)
def test_a_label_map_maps_as_the_guide_says(
    tmp_path: Path, text: object, pixels: list[int], labels: list[int]
) -> None:
    """`scale` divides and rounds down; the keys of `map` are the new labels, its values those in the mask."""
    path = tmp_path / "train_label_map.json"
    path.write_text(json.dumps(text))
    assert read_label_map(path)[pixels].tolist() == labels


@pytest.mark.parametrize(
    "text", ["[]", '{"map": {"a": 1}}', '{"map": {"1": 900}}', '{"scale": 0}', "{", '{"x": 1}']
)
def test_an_invalid_label_map_is_refused(tmp_path: Path, text: str) -> None:
    """The reason names the file and shows a valid label map."""
    path = tmp_path / "train_label_map.json"
    path.write_text(text)
    with pytest.raises(ClientError, match=r"train_label_map\.json"):
        read_label_map(path)


def test_a_channel_is_read_through_its_own_label_map(draw: Draw) -> None:
    """A pixel value that is missing in the map is out of range."""
    data = draw([[5, 0], [2, 255]])
    (data / "label_map").mkdir()
    (data / "label_map" / "train_label_map.json").write_text('{"map": {"0": 5, "1": 0, "2": 2}}')
    assert read_channel(data, "train", 3)[0][1].tolist() == [[0, 1], [2, 255]]
    draw([[9, 0], [0, 0]], "b")
    with pytest.raises(ClientError, match=r"b\.png has the label 9"):
        read_channel(data, "train", 3).check()


def test_a_crop_at_a_random_scale_keeps_image_and_labels_together() -> None:
    """The scale is base_size × 0.5 to × 2; where the scaled image is smaller than the crop, the rest is ignored."""
    labels = np.zeros((40, 80), np.uint8)
    labels[:, 40:] = 1
    image = np.repeat(labels[..., None] * 200, 3, axis=2)
    random, shares = np.random.default_rng(0), []
    for _ in range(30):
        cut, wanted = ScaledCrop(80)((image, labels), 64, random)
        assert cut.shape == (64, 64, 3)
        known = wanted != 255
        assert np.mean((cut[..., 0] > 100)[known] == (wanted == 1)[known]) > 0.97
        shares.append(float(known.mean()))
    assert min(shares) < 0.35
    assert max(shares) == 1.0


def test_only_what_is_too_large_is_scaled_down() -> None:
    """Image and labels are scaled together to the pixel limit, with the same proportions and only known labels."""
    labels = np.zeros((30, 60), np.uint8)
    labels[:, 30:] = 7
    example = np.repeat(labels[..., None], 3, axis=2), labels
    assert scaled_down(example, 1800) is example
    image, smaller = scaled_down(example, 450)
    assert image.shape == (15, 30, 3)
    assert smaller.tolist() == [[0] * 15 + [7] * 15] * 15


def test_a_step_that_does_not_fit_into_memory_is_refused(
    tmp_path: Path,
) -> None:
    """The reason says how much memory is needed, how much is available, and what to halve."""
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 4000000 kB\nMemAvailable: 2000000 kB\n")
    hyperparameters = {"num_classes": "6", "num_training_samples": "96"}
    with pytest.raises(
        ClientError, match=r"Out of memory: .* 1\.9 GB available\. Halve mini_batch_size or crop_size"
    ):
        check_memory(read(hyperparameters), meminfo)
    check_memory(read({**hyperparameters, "mini_batch_size": "1"}), meminfo)
