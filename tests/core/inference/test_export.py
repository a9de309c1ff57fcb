"""The result files of an image, their names, and how they are saved."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from core.errors import InputError
from core.imaging.classes import Classes
from core.imaging.image import encode, open_image
from core.imaging.segmentation import Segmentation
from core.inference.export import (
    KINDS,
    ExportResult,
    File,
    file,
    files,
    has_probabilities,
    made_ahead,
    result,
    summary,
    unique_stems,
    write_new,
    zip_files,
)
from core.inference.invoke import EndpointResponse, Inference
from core.render.palette import table

CLASSES = Classes(("sky", "road, wet", "Bäume"), ((10, 20, 30), (40, 50, 60), (70, 80, 90)))


def answered(
    *, mask_alone: bool = False, width: int = 300, height: int = 225, stem: str = "street"
) -> ExportResult:
    """Return an image of 300 x 225 that was sent at 200 x 150."""
    buffer = io.BytesIO()
    Image.effect_noise((width, height), 60).convert("RGB").save(buffer, "PNG")
    photo = open_image(buffer.getvalue(), "street.png")
    image = encode(photo, fit=(200, 150))
    values = np.random.default_rng(3).random((3, image.height, image.width), np.float32)
    labels = values.argmax(0).astype(np.uint8)
    labels[0, 0] = 255
    found = Segmentation(
        labels,
        None if mask_alone else values.max(0),
        None if mask_alone else values,
        CLASSES,
        ("It is odd.",),
    )
    answer = EndpointResponse(b"", "image/png" if mask_alone else "application/x-recordio-protobuf", 1.5)
    return result(photo, Inference(found, answer, image, "demo", answer.content_type, 1.75, 0.25), stem=stem)


@pytest.fixture(scope="module")
def full() -> ExportResult:
    """Return a response with probabilities."""
    return answered()


@pytest.fixture(scope="module")
def mask_only() -> ExportResult:
    """Return a response with labels only."""
    return answered(mask_alone=True)


def test_the_files_of_an_image(full: ExportResult) -> None:
    """One image gives six files, each named by its stem."""
    made = files(full)
    assert [item.name for item in made] == [
        "street_mask.png", "street_overlay.png", "street.json", "street_areas.csv", "street_probabilities.npz",
        "street_figure.png",
    ]  # fmt: skip
    assert all(item.data for item in made)
    assert made[0].media_type == "image/png"


def test_a_mask_alone_has_no_probabilities(mask_only: ExportResult) -> None:
    """Without probabilities there are five files, and requesting the sixth is an error that says why."""
    kinds = tuple(kind for kind in KINDS if kind != "figure")
    assert len(files(mask_only, kinds)) == 4
    assert not has_probabilities(mask_only)
    with pytest.raises(InputError, match="labels only"):
        file(mask_only, "probabilities")


def test_the_mask_has_the_images_size(full: ExportResult) -> None:
    """The mask is an 8-bit indexed PNG at the image's original size, with nearest-neighbor scaling and 255 kept."""
    image = Image.open(io.BytesIO(file(full, "mask").data))
    ids = np.asarray(image)
    rows = ((np.arange(225) + 0.5) * 150 / 225).astype(int)
    columns = ((np.arange(300) + 0.5) * 200 / 300).astype(int)
    assert (image.mode, image.size) == ("P", (300, 225))
    assert ids[0, 0] == 255
    assert np.array_equal(ids, full.inference.segmentation.labels[rows][:, columns])


def test_the_overlay_has_the_images_size(full: ExportResult) -> None:
    """The overlay is an RGB PNG at the image's original size, and it differs from the image."""
    image = Image.open(io.BytesIO(file(full, "overlay").data))
    assert (image.mode, image.size) == ("RGB", (300, 225))
    assert not np.array_equal(np.asarray(image), full.photo.array())


def test_the_json_says_what_happened(full: ExportResult) -> None:
    """The JSON has image, sizes, endpoint, classes, areas, confidence, durations and problems."""
    found = json.loads(file(full, "json").data)
    assert found == summary(full)
    assert found["image"] == "street.png"
    assert found["photo"] == {"width": 300, "height": 225}
    assert found["model_saw"] == {"width": 200, "height": 150}
    assert (found["endpoint"], found["content_type"]) == ("demo", "application/x-recordio-protobuf")
    assert found["seconds"] == {"endpoint": 1.75, "decode": 0.25}
    assert found["class_names"] == ["sky", "road, wet", "Bäume"]
    assert found["problems"] == ["It is odd."]
    assert 0.5 < found["mean_confidence"] < 1


def test_the_areas_are_those_of_the_mask_that_is_saved(full: ExportResult) -> None:
    """JSON, CSV and mask agree to the pixel, and the shares add up to 1."""
    ids = np.asarray(Image.open(io.BytesIO(file(full, "mask").data)))
    counts = {int(i): int(n) for i, n in zip(*np.unique(ids, return_counts=True), strict=True)}
    rows = json.loads(file(full, "json").data)["classes"]
    table_rows = list(csv.DictReader(io.StringIO(file(full, "areas").data.decode())))
    assert {row["id"]: row["pixels"] for row in rows} == counts
    assert {int(row["id"]): int(row["pixels"]) for row in table_rows} == counts
    assert {row["name"] for row in table_rows} == {"sky", "road, wet", "Bäume", "ignore"}
    assert sum(float(row["share"]) for row in table_rows) == pytest.approx(1)
    assert {row["color"] for row in rows} == {"#0a141e", "#28323c", "#46505a", "#e0e0c0"}


def test_numbers_that_json_has_not_are_null(mask_only: ExportResult) -> None:
    """Without confidence the JSON has null, never NaN."""
    found = json.loads(file(mask_only, "json").data)
    assert found["mean_confidence"] is None
    assert {row["mean_confidence"] for row in found["classes"]} == {None}


def test_probabilities_are_saved_exactly(full: ExportResult) -> None:
    """The npz has the model's own float32 values and the names, and loads without pickle."""
    saved = np.load(io.BytesIO(file(full, "probabilities").data), allow_pickle=False)
    assert saved["probabilities"].dtype == np.float32
    assert np.array_equal(saved["probabilities"], full.inference.segmentation.probabilities)
    assert saved["classes"].tolist() == ["sky", "road, wet", "Bäume"]


def test_the_palette_and_opacity_are_choices() -> None:
    """Mask, overlay and JSON use the chosen palette."""
    own = answered(width=40, height=30)
    safe = result(own.photo, own.inference, stem="s", table=table("safe", CLASSES), opacity=1.0)
    overlay = np.asarray(Image.open(io.BytesIO(file(safe, "overlay").data)))
    assert np.array_equal(overlay[5, 5], safe.table[safe.labels[5, 5]])
    assert summary(safe)["classes"][0]["color"] != summary(own)["classes"][0]["color"]


def test_a_zip_holds_every_file_as_it_is(full: ExportResult) -> None:
    """A ZIP contains every file unchanged, passes its own check, and has the same bytes each time."""
    made = files(full, ("mask", "json", "areas"))
    data = zip_files(made)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == {
            item.name: item.data for item in made
        }
    assert zip_files(made) == data


def test_a_zip_refuses_two_files_of_one_name() -> None:
    """Two files with one name are rejected: one would hide the other."""
    with pytest.raises(ValueError, match=r"a\.png is twice"):
        zip_files([File("a.png", "image/png", b"1"), File("a.png", "image/png", b"2")])


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("street.jpg", "street"), ("a.b.c.png", "a.b.c"), ("IMG 01.JPG", "IMG 01"), ("Straße 空.webp", "Straße 空"),
        ("dir/sub/x.jpg", "x"), ("C:\\photos\\x.jpg", "x"), ("../../etc/passwd", "passwd"), ("..", "image"),
        ("", "image"), (".jpg", "jpg"), (".hidden.png", "hidden"), ("a/", "a"), ("con.jpg", "_con"),
        ("LPT1.tar.png", "_LPT1.tar"), ("a\n\tb\x00.png", "a_x0a_x09b_x00"), ("q?*<>|:\".jpg", "q_______"),
        ("dot. .jpg", "dot"),
        ("\u202egpj.exe.png", "_u202egpj.exe"), ("e\u0301.png", "\u00e9"), ("\udcff.png", "_udcff"),
    ],
)  # fmt: skip
def test_a_stem_is_safe_everywhere(name: str, stem: str) -> None:
    """Folders, leading dots and characters that Windows forbids are removed, control characters become codes."""
    assert unique_stems([name]) == [stem]


def test_stems_are_numbered() -> None:
    """Equal names are numbered, also if only case differs, and a number never collides with another name."""
    assert unique_stems(["a.jpg", "a.png", "A.jpg", "a-2.jpg", "b.jpg"]) == ["a", "a-2", "A-3", "a-2-2", "b"]


@given(
    st.lists(
        st.text(max_size=300) | st.sampled_from(["a.jpg", "A.png", "a-2.jpg", "\u00e9", "e\u0301", "nul"]),
        max_size=12,
    )
)
def test_stems_never_meet(names: list[str]) -> None:
    """For any names, the stems differ, fit a file system and contain no folder."""
    stems = unique_stems(names)
    assert len(stems) == len(names)
    assert len({stem.casefold() for stem in stems}) == len(names)
    for stem in stems:
        assert 0 < len(stem.encode()) <= 180
        assert not set(stem) & set('/\\<>:"|?*\0\n')
        assert stem[0] not in ". "
        assert stem[-1] not in ". "


def test_a_file_is_written_whole(tmp_path: Path) -> None:
    """A new file has the data and ordinary permissions, and no other file is left next to it."""
    path = tmp_path / "new.png"
    write_new(path, b"data")
    plain = tmp_path.parent / "plain"
    plain.write_bytes(b"")
    assert path.read_bytes() == b"data"
    assert path.stat().st_mode == plain.stat().st_mode
    assert os.listdir(tmp_path) == ["new.png"]


def test_nothing_is_overwritten_unasked(tmp_path: Path) -> None:
    """An existing file is kept, and the error names it."""
    path = tmp_path / "old.png"
    path.write_bytes(b"old")
    with pytest.raises(InputError, match=r"old\.png already exists"):
        write_new(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["old.png"]


def test_a_file_is_overwritten_when_told(tmp_path: Path) -> None:
    """With `overwrite` the new data replaces the old."""
    path = tmp_path / "old.png"
    path.write_bytes(b"old")
    write_new(path, b"new", overwrite=True)
    assert path.read_bytes() == b"new"


def test_a_link_to_nowhere_counts_as_there(tmp_path: Path) -> None:
    """A dangling link is not written through."""
    path = tmp_path / "link.png"
    path.symlink_to(tmp_path / "elsewhere.png")
    with pytest.raises(InputError, match="already exists"):
        write_new(path, b"new")
    assert not (tmp_path / "elsewhere.png").exists()


@pytest.mark.parametrize("where", ["missing/a.png", "file/a.png", "x" * 300])
def test_a_place_that_takes_no_file_is_an_input_error(tmp_path: Path, where: str) -> None:
    """A missing folder, a file in its place and a name that is too long are InputErrors, and leave nothing behind."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError, match="cannot be written"):
        write_new(tmp_path / where, b"data")
    assert os.listdir(tmp_path) == ["file"]


def test_a_folder_in_its_place_is_not_replaced(tmp_path: Path) -> None:
    """A folder of that name is kept, even if overwriting is allowed."""
    (tmp_path / "a.png").mkdir()
    with pytest.raises(InputError):
        write_new(tmp_path / "a.png", b"data", overwrite=True)
    assert os.listdir(tmp_path) == ["a.png"]


def no_links(source: Path, target: Path) -> None:
    """Fail as a memory card does for `link`."""
    raise OSError(errno.EPERM, "Operation not permitted", str(source), None, str(target))


def test_a_file_is_written_where_there_are_no_links(tmp_path: Path) -> None:
    """On a file system without links a file is still written atomically."""
    write_new(tmp_path / "a.png", b"data", link=no_links)
    assert (tmp_path / "a.png").read_bytes() == b"data"
    assert os.listdir(tmp_path) == ["a.png"]


def test_a_file_that_comes_up_meanwhile_is_kept(tmp_path: Path) -> None:
    """A file that another process creates during the write is kept, with links and without."""
    for number, last in enumerate((os.link, no_links)):
        path = tmp_path / f"{number}.png"

        def slow(source: Path, target: Path, last: Callable[[Path, Path], None] = last) -> None:
            target.write_bytes(b"theirs")
            last(source, target)

        with pytest.raises(InputError, match="already exists"):
            write_new(path, b"ours", link=slow)
        assert path.read_bytes() == b"theirs"
    assert sorted(os.listdir(tmp_path)) == ["0.png", "1.png"]


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    """If the last step fails, the error has the system's reason and no partial file is left."""

    def full(source: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(source), None, str(target))

    with pytest.raises(InputError, match="No space left on device"):
        write_new(tmp_path / "a.png", b"data", link=full)
    assert os.listdir(tmp_path) == []


def test_files_made_ahead_are_in_order() -> None:
    """Files that are made in other threads come in the order of their images, also if a later one is done first."""
    second_done = threading.Event()

    def first() -> tuple[File, ...]:
        assert second_done.wait(60)
        return (File("a", "text/csv", b"1"), File("b", "text/csv", b"2"))

    def second() -> tuple[File, ...]:
        second_done.set()
        return (File("c", "text/csv", b"3"),)

    assert [item.name for item in made_ahead([first, second, lambda: ()])] == ["a", "b", "c"]


def test_what_a_maker_raises_ends_the_files() -> None:
    """An error while the files of an image are made is raised in its turn; the images after it are not begun."""
    begun = []

    def failing() -> tuple[File, ...]:
        raise InputError("no")

    def later() -> tuple[File, ...]:
        begun.append(1)
        return ()

    made = made_ahead([lambda: (File("a", "text/csv", b""),), failing, *([later] * 20)])
    with pytest.raises(InputError, match="no"):
        list(made)
    assert len(begun) <= 2
