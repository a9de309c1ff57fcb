"""Inputs from public bug reports give their right answers on the command line."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from PIL import Image

import cli
from core.imaging.image import open_image
from sandbox.server import Sandbox
from tests.support.cases import CASES, DATASETS, SEGMENTED, needs_cases
from tests.support.command_line import CliRunner
from tests.support.patience import SECONDS

Run = Callable[..., Result]

pytestmark = [needs_cases, pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")]


@pytest.fixture
def run(aws_environ: dict[str, str], tmp_path: Path) -> Run:
    def invoke(*arguments: object) -> Result:
        environ = {"SEGDECK_MODE": "aws", "SEGDECK_STATE_DIR": str(tmp_path / "state"), **aws_environ}
        return CliRunner().invoke(cli.app, [str(item) for item in arguments], env=environ)

    return invoke


@pytest.fixture(scope="module")
def endpoint(sandbox_server: Sandbox, make_endpoint: Any) -> Iterator[str]:
    """Return the name of an endpoint with the same mask for every image."""
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(buffer, "PNG")
    name: str = make_endpoint(sandbox_server, files={"answer.png": buffer.getvalue()})
    yield name
    sandbox_server.loopback.client("sagemaker").delete_endpoint(EndpointName=name)
    sandbox_server.wait_settled(SECONDS)


def test_images_are_segmented_or_named(run: Run, endpoint: str, tmp_path: Path) -> None:
    """Images of every case are segmented with a note on how they were read; what is skipped is named."""
    for folder in ("rgb16-tiff-12bit", "geotiff-internal-mask", "geotiff-unread", "folder-endings"):
        done = run(
            "segment", CASES / folder, "--endpoint", endpoint, "--format", "mask", "--out", tmp_path / folder
        )
        assert done.exit_code in (0, 1), done.stderr
        for name, note in SEGMENTED.items():
            if name.startswith(f"{folder}/"):
                result = json.loads((tmp_path / folder / f"{Path(name).stem}.json").read_text())
                assert note in " ".join(result["notes"])
        text = " ".join(done.stderr.split())
        assert f"{folder}/README" in text
    assert f"{folder}/sub/" in text
    assert "d.HEIC" in text or (tmp_path / folder / "d.json").exists()


def test_a_16_bit_tiff_looks_like_its_copy_in_8_bits() -> None:
    """The TIFF of 12-bit values is the PNG next to it, up to the range that is stretched."""
    tiff, png = (
        open_image((CASES / "rgb16-tiff-12bit" / name).read_bytes(), name).array().astype(int)
        for name in ("values_to_3000.tif", "same_in_8_bit.png")
    )
    assert np.corrcoef(tiff.ravel(), png.ravel())[0, 1] > 0.99
    assert abs(tiff.mean() - png.mean()) < 64


@pytest.mark.parametrize("case", DATASETS)
def test_datasets_are_read_right(case: str, run: Run) -> None:
    """Datasets of the cases have the right class names, and what is unusual about them is reported."""
    names, text = DATASETS[case]
    checked = run("dataset", "check", CASES / case, "--json")
    document = json.loads(checked.stdout)
    assert [row["name"] for row in document["histogram"]] == names
    assert text in checked.stderr + " ".join(row["message"] for row in document["problems"])
