"""Inputs and outputs of transform jobs: which objects are sent, what is missing, manifests."""

from __future__ import annotations

import json

import pytest

from core.batch.job import BatchSpec
from core.batch.objects import (
    MEGABYTE,
    StoredObject,
    check_inputs,
    input_key,
    manifest,
    missing,
    object_uri,
    output_key,
    parent_uri,
    place_inputs,
    read_manifest,
    sort_inputs,
)
from core.errors import InputError

SPEC = BatchSpec("night", "roads", "s3://data/in/", "s3://data/out/", "ml.g4dn.xlarge")


def stored(*keys: str, size: int = 1000) -> list[StoredObject]:
    return [StoredObject(key, size) for key in keys]


def test_only_jpeg_files_are_sent() -> None:
    """JPEG files with any of their endings are sent; folder markers are nothing; the rest has a reason."""
    inputs = sort_inputs(
        [*stored("a.jpg", "b/c.JPEG", "d.jfif", "b/", "", "e.png", "a.jpg.out"), StoredObject("z.jpg", 0)]
    )
    assert [image.key for image in inputs.images] == ["a.jpg", "b/c.JPEG", "d.jfif"]
    assert {each.key: each.why for each in inputs.skipped} == {
        "e.png": "not a JPEG file: the algorithm reads image/jpeg only",
        "a.jpg.out": "an output of batch transform",
        "z.jpg": "empty",
    }


def test_an_image_above_100_mb_is_skipped() -> None:
    """An object that batch transform never accepts is skipped with its size."""
    inputs = sort_inputs(stored("huge.jpg", size=100 * MEGABYTE + 1))
    assert not inputs.images
    assert "104,857,601 bytes" in inputs.skipped[0].why


@pytest.mark.parametrize(("size", "payload"), [(10, 6), (6 * MEGABYTE, 6), (6 * MEGABYTE + 1, 7)])
def test_the_payload_limit_fits_the_largest_image(size: int, payload: int) -> None:
    """The payload limit is AWS's default, or as many whole megabytes as the largest image needs."""
    assert sort_inputs(stored("a.jpg", size=size)).payload_mb == payload


def test_problems_of_the_inputs_are_named() -> None:
    """Nothing to send and too large images are errors; skipped, uncounted and very large ones are warnings."""
    empty = check_inputs(sort_inputs([]), SPEC)
    assert [problem.is_error for problem in empty] == [True]
    inputs = sort_inputs([*stored("a.jpg", "b.png"), StoredObject("big.jpg", 7 * MEGABYTE)])
    problems = check_inputs(inputs, SPEC, sizes=[("big.jpg", 4000, 3000)], complete=False)
    texts = {problem.name: [] for problem in problems}
    for problem in problems:
        texts[problem.name].append((problem.severity, problem.message))
    assert texts["payload_mb"][0][0] == "error"
    assert "big.jpg" in texts["payload_mb"][0][1]
    assert [severity for severity, _ in texts["input_uri"]] == ["warning"] * 3
    assert "b.png" in texts["input_uri"][0][1]
    assert "4000 x 3000" in texts["input_uri"][2][1]


def test_outputs_are_matched_with_inputs() -> None:
    """The output of an image is its key with .out; images without one are missing."""
    images = stored("a.jpg", "b/a.jpg")
    assert output_key("b/a.jpg") == "b/a.jpg.out"
    assert input_key("b/a.jpg.out") == "b/a.jpg"
    assert input_key("night.manifest") is None
    assert missing(images, {"a.jpg.out"}) == (images[1],)


@pytest.mark.parametrize(
    ("uri", "below_parent", "prefix", "keys", "outside"),
    [
        ("s3://b/in/", ["a.jpg", "/a.jpg"], "s3://b/in/", ["a.jpg", "/a.jpg"], set()),
        ("s3://b/in//", ["a.jpg"], "s3://b/in//", ["a.jpg"], set()),
        ("s3://b/in", ["in/a.jpg", "in//a.jpg"], "s3://b/in/", ["a.jpg", "/a.jpg"], set()),
        ("s3://b/x/in", ["in-1.jpg", "in2/b.jpg"], "s3://b/x/", ["in-1.jpg", "in2/b.jpg"], set()),
        ("s3://b/x/in", ["in/a.jpg", "in2/b.jpg"], "s3://b/x/in/", ["a.jpg", "in2/b.jpg"], {"in2/b.jpg"}),
        ("s3://b/in/a.jpg", ["a.jpg"], "s3://b/in/", ["a.jpg"], set()),
    ],
)
def test_every_key_that_begins_with_a_prefix_is_an_input(
    uri: str, below_parent: list[str], prefix: str, keys: list[str], outside: set[str]
) -> None:
    """Keys are named as their outputs, and each leads back to its object; no slash of a key is lost."""
    placed, objects, beyond = place_inputs(uri, stored(*below_parent))
    assert (placed, [each.key for each in objects], beyond) == (prefix, keys, outside)
    start = uri if uri.endswith("/") else parent_uri(uri)
    assert [object_uri(placed, each.key, beyond) for each in objects] == [
        f"{start}{key}" for key in below_parent
    ]


def test_a_manifest_is_read_back() -> None:
    """A manifest names the prefix first and then each image, in any script."""
    text = manifest("s3://data/in/", stored("a b.jpg", "großes/日本.jpg"))
    assert json.loads(text) == [{"prefix": "s3://data/in/"}, "a b.jpg", "großes/日本.jpg"]
    assert read_manifest(text, "s3://x") == ("s3://data/in/", ("a b.jpg", "großes/日本.jpg"))


def test_a_manifest_may_have_its_slash_on_either_side() -> None:
    """A prefix without a slash and keys that begin with one name the same objects."""
    assert read_manifest('[{"prefix": "s3://b/in"}, "/a.jpg", "/b/c.jpg"]', "s3://x") == (
        "s3://b/in/",
        ("a.jpg", "b/c.jpg"),
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        "[1]",
        '[{"prefix": 1}, "a"]',
        '[{"prefix": "s3://a/"}]',
        '[{"prefix": "s3://a/"}, 1]',
        "[" * 9000,
    ],
)
def test_a_broken_manifest_is_an_input_error(text: str) -> None:
    """Anything but a list of a prefix and names raises InputError with the manifest's own address."""
    with pytest.raises(InputError, match="is not a manifest"):
        read_manifest(text, "s3://data/m.manifest")
