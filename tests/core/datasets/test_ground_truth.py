"""The output of Ground Truth labeling jobs: from a manifest and local copies to pairs, classes and ids."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from core.datasets.convert import convert, plan_conversion
from core.datasets.problems import count_by_code
from core.datasets.readers import read_dataset
from core.datasets.report import LayoutReport
from core.errors import InputError
from tests.support.dataset import COLORS, NAMES, encoded, ids, painted, photo, write

Checked = Callable[[Path], LayoutReport]

CITY = ("BACKGROUND", "#ffffff"), ("buildings", "#2acf59"), ("road", "#f28333")
"""Classes and colors of the documentation's example."""


def city_line(number: int, ids_known: tuple[int, ...] = (0, 1, 2), **more: object) -> dict[str, object]:
    """Return a line as in the AWS documentation of labeling job output, with a mask name as jobs create it."""
    color_map = {
        str(one): {"class-name": CITY[one][0], "confidence": 0.9, "hex-color": CITY[one][1]}
        for one in ids_known
    }
    folder = "s3://bucket/out/label-city-streets/annotations/consolidated-annotation/output"
    return {
        "source-ref": f"s3://bucket/city/{number}.jpg",
        "city-streets-ref": f"{folder}/{number}_2020-04-21T13:48:00.091190.png",
        "city-streets-ref-metadata": {
            "internal-color-map": color_map,
            "type": "groundtruth/semantic-segmentation",
            "human-annotated": "yes",
            "creation-date": "2018-10-18T22:18:13.527256",
            "job-name": "label-city-streets",
        },
        "verify-city-streets": "1",
        "verify-city-streets-metadata": {"class-name": "bad", "type": "groundtruth/label-verification"},
        **more,
    }


def city_mask(labels: NDArray[np.uint8]) -> bytes:
    """Return a mask in the job's colors."""
    table = np.array([list(bytes.fromhex(color[1:])) for _, color in CITY], np.uint8)
    return encoded(Image.fromarray(table[labels]), "PNG")


def city(root: Path, lines: list[dict[str, object]], sign: str = ":") -> Path:
    """Write copies of a job's images, masks and manifest. sign: what replaces the colons in names."""
    for number in range(len(lines)):
        write(root / f"city/{number}.jpg", photo(number))
        folder = "annotations/consolidated-annotation/output"
        name = f"{number}_2020-04-21T13:48:00.091190.png".replace(":", sign)
        write(root / folder / name, city_mask(ids(0, 1, 2)))
    write(root / "manifests/output/output.manifest", "".join(f"{json.dumps(line)}\n" for line in lines))
    return root


@pytest.mark.parametrize("sign", [":", "_"])
def test_documented_ground_truth_output_becomes_ids(
    tmp_path: Path, threads: Executor, checked: Checked, sign: str
) -> None:
    """Colors become the ids of the color map, merged from all lines; colons may be replaced in the copies."""
    root = city(tmp_path / "gt", [city_line(0, (0, 1)), city_line(1, (0, 2)), city_line(2)], sign)
    report = checked(root)
    assert report.classes is not None
    assert report.classes.names == tuple(name for name, _ in CITY)
    assert count_by_code(report.problems).keys() <= {"mask_rgb", "name_odd"}
    convert(plan_conversion(read_dataset(root), report, tmp_path / "out"), threads)
    for path in (tmp_path / "out").glob("*_annotation/*.png"):
        with Image.open(path) as image:
            assert np.asarray(image).tolist() == ids(0, 1, 2).tolist()
    assert checked(tmp_path / "out").usable


def test_the_newest_label_of_a_line_counts(tmp_path: Path) -> None:
    """After an adjustment job the adjusted mask is used; its metadata key may lack the -ref, as documented."""
    about = {"type": "groundtruth/semantic-segmentation", "creation-date": "2018-11-20T22:18:13.527256"}
    more = {"adjusted-city-streets-ref": "s3://bucket/new/a.png", "adjusted-city-streets-metadata": about}
    root = city(tmp_path / "gt", [city_line(0, **more)])
    write(root / "new/a.png", city_mask(ids(1, 2)))
    assert read_dataset(root).samples[0].mask == "new/a.png"


def test_contradicting_lines_are_reported(tmp_path: Path) -> None:
    """If an id is one class in a line and another in the next, the manifest is refused."""
    other = city_line(1)
    other["city-streets-ref-metadata"] = {
        "internal-color-map": {"1": {"class-name": "sky", "hex-color": "#0000ff"}}
    }
    with pytest.raises(
        InputError, match=r"Line 2 .* 1 is sky in #0000ff; in another line, buildings in #2acf59"
    ):
        read_dataset(city(tmp_path / "gt", [city_line(0), other]))


def manifest_line(number: int, mask: bool = True) -> str:
    row: dict[str, object] = {"source-ref": f"s3://bucket/photos/{number}.jpg"}
    colors = {
        str(place): {"class-name": name, "hex-color": "#{:02x}{:02x}{:02x}".format(*color)}
        for place, (name, color) in enumerate(zip(NAMES, COLORS, strict=True))
    }
    about = {"type": "groundtruth/semantic-segmentation", "internal-color-map": colors}
    row |= {"roofs-ref": f"s3://bucket/out/masks/{number}.png"} if mask else {}
    row["roofs-ref-metadata"] = about if mask else {"failure-reason": "no worker"}
    return json.dumps(row)


def test_ground_truth_output_is_read_from_local_copies(tmp_path: Path, checked: Checked) -> None:
    """The manifest pairs the files and its color map has the classes; missing copies and masks are reported."""
    for number in range(6):
        write(tmp_path / f"photos/{number}.jpg", photo(number))
        write(tmp_path / f"masks/{number}.png", painted(ids(0, 1, 2)))
    (tmp_path / "photos/4.jpg").unlink()
    lines = [manifest_line(number, mask=number != 5) for number in range(6)]
    write(tmp_path / "manifests/output/output.manifest", "\n".join(lines))
    report = checked(tmp_path)
    assert report.kind == "ground truth"
    assert report.classes is not None
    assert (report.classes.names, report.classes.colors) == (NAMES, COLORS)
    assert count_by_code(report.problems) == {"photo_missing": 1, "mask_missing": 1, "mask_rgb": 5}
    missing = [one for one in report.problems if one.code == "photo_missing"]
    assert "s3://bucket/photos/4.jpg" in missing[0].message
    assert (
        missing[0].todo == "Copy it into the folder, for example with: aws s3 cp s3://bucket/photos/4.jpg ."
    )


@pytest.mark.parametrize("line", ["{", "[]", '{"source": 1}', '{"source-ref": "s3://b/a.jpg"}'])
def test_an_invalid_manifest_is_reported_with_its_line(tmp_path: Path, line: str) -> None:
    """The example in the AWS documentation is not valid JSON; the invalid line is reported."""
    write(tmp_path / "output.manifest", f"{manifest_line(0)}\n{line}\n")
    with pytest.raises(InputError, match=r"Line 2 of output\.manifest"):
        read_dataset(tmp_path)
