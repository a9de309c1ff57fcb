"""Image files are found."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from core.errors import InputError
from core.inference.batch import BatchRequest, completed_summary, find_images, printable, segment_file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.JPG", "a.png", "a_mask.png", "a_overlay.png", "a_truth.png", "notes.txt", "sub/c.jpg"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    return tmp_path


def names(paths: list[Path]) -> list[str]:
    return [path.name for path in paths]


def test_a_folder_is_searched_for_images(folder: Path) -> None:
    """A folder gives its images in order, and names what is skipped: results, other files and subfolders."""
    paths, missing, skipped = find_images([str(folder)])
    assert (names(paths), missing) == (["a.png", "b.JPG"], [])
    left_out = ["a_mask.png", "a_overlay.png", "a_truth.png", "notes.txt", "sub/"]
    assert skipped == [f"{folder}/{name}" for name in left_out]


@pytest.mark.parametrize("suffix", [".jfif", ".jpe", ".gif", ".avif", ".HEIC", ".jp2"])
def test_every_readable_format_is_found_in_a_folder(tmp_path: Path, suffix: str) -> None:
    """A folder gives images of every format that is read, by any of its suffixes, in any case."""
    (tmp_path / f"a{suffix}").write_bytes(b"")
    paths, _, skipped = find_images([str(tmp_path)])
    assert (names(paths), skipped) == ([f"a{suffix}"], [])


def test_a_skipped_file_that_is_also_given_by_name_is_not_skipped(folder: Path) -> None:
    """A file given by name is read, whatever the folder that it is in skips."""
    _, _, skipped = find_images([str(folder), str(folder / "notes.txt")])
    assert f"{folder}/notes.txt" not in skipped


def test_a_pattern_and_a_file_give_whatever_they_name(folder: Path) -> None:
    """A file given by name or pattern is used whatever its extension."""
    assert names(find_images([f"{folder}/*.txt", f"{folder}/a_mask.png"])[0]) == ["notes.txt", "a_mask.png"]
    assert names(find_images([f"{folder}/**/*.jpg"])[0]) == ["c.jpg"]


def test_a_file_whose_name_looks_like_a_pattern_is_a_file(folder: Path) -> None:
    """Brackets in the name of an existing file are part of the name."""
    (folder / "x[1].jpg").write_bytes(b"")
    assert names(find_images([str(folder / "x[1].jpg")])[0]) == ["x[1].jpg"]


def test_each_file_is_taken_once(folder: Path) -> None:
    """A file that is given several times is used once, at its first position."""
    (folder / "link.jpg").symlink_to(folder / "b.JPG")
    found, *_ = find_images(
        [str(folder / "b.JPG"), str(folder / "sub/../b.JPG"), str(folder / "link.jpg"), str(folder)]
    )
    assert names(found) == ["b.JPG", "a.png"]


@pytest.mark.parametrize(
    ("argument", "said"), [("nowhere.jpg", "not found"), ("*.gif", "not found"), ("empty", "no images")]
)
def test_what_leads_to_nothing_is_told(tmp_path: Path, argument: str, said: str) -> None:
    """An argument that matches nothing is returned with the reason."""
    (tmp_path / "empty").mkdir()
    found, [(name, error)], _ = find_images([str(tmp_path / argument)])
    assert found == []
    assert name == str(tmp_path / argument)
    assert said in error.what


def test_a_name_that_is_no_utf8_can_be_shown() -> None:
    """A file name with non-UTF-8 bytes becomes text that can be written anywhere."""
    assert printable("a\udcff.jpg").encode() == b"a?.jpg"


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    """Two links to their own folder do not multiply what `**` matches."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/a.jpg").write_bytes(b"x")
    for name in ("one", "two"):
        (tmp_path / "sub" / name).symlink_to(tmp_path)
    found, missing, _ = find_images([f"{tmp_path}/**/*.jpg"])
    assert (found, missing) == ([tmp_path / "sub/a.jpg"], [])


def test_a_pipe_is_told_for_what_it_is(tmp_path: Path) -> None:
    """A named pipe among images is found like them, and reading it fails with what it is."""
    os.mkfifo(tmp_path / "a.jpg")
    found, *_ = find_images([str(tmp_path)])
    order = BatchRequest("e", None, "mask", "model", 0.5, None, tmp_path / "out", False, frozenset())
    with pytest.raises(InputError, match="It is a named pipe"):
        segment_file(found[0], "a", order, lambda *_: None, {})  # type: ignore[arg-type]


def test_results_of_another_account_or_region_are_not_resumed(tmp_path: Path) -> None:
    """An endpoint of the same name in another region is another endpoint: its results are not mixed in."""
    image, out = tmp_path / "a.jpg", tmp_path / "out"
    image.write_bytes(b"x")
    out.mkdir()
    here = BatchRequest(
        "e", None, "mask", "model", 0.5, None, out, False, frozenset(), resume=True, origin="us-east-1"
    )
    row = {"endpoint": "e", "image": "a.jpg", "classes": [], "seconds": {}, "problems": []}
    (out / "a.json").write_text(json.dumps({**row, "request": here.request()}))
    for kind in ("mask", "overlay"):
        (out / f"a_{kind}.png").write_bytes(b"x")
    assert completed_summary(image, "a", here) is not None
    with pytest.raises(InputError, match="origin 'us-east-1' and now 'eu-west-1'"):
        completed_summary(image, "a", replace(here, origin="eu-west-1"))


def test_results_of_another_model_are_not_resumed(tmp_path: Path) -> None:
    """Once the endpoint has another model, results of the former are not mixed in."""
    image, out = tmp_path / "a.jpg", tmp_path / "out"
    image.write_bytes(b"x")
    out.mkdir()
    before = BatchRequest(
        "e", None, "mask", "model", 0.5, None, out, False, frozenset(), resume=True, model="config-1"
    )
    row = {"endpoint": "e", "image": "a.jpg", "classes": [], "seconds": {}, "problems": []}
    (out / "a.json").write_text(json.dumps({**row, "request": before.request()}))
    for kind in ("mask", "overlay"):
        (out / f"a_{kind}.png").write_bytes(b"x")
    with pytest.raises(InputError, match="model 'config-1' and now 'config-2'"):
        completed_summary(image, "a", replace(before, model="config-2"))
