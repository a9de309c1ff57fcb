"""The Evaluate page in a real browser: a labeled folder, the scores, a cell of the confusion matrix, the masks."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.support.answers import HEIGHT, WIDTH
from tests.support.browser import LONG, press, shown

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def shore(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two images with masks; in one the middle is land, which the endpoint predicts as sea."""
    folder = tmp_path_factory.mktemp("shore")
    for name in ("images", "masks"):
        (folder / name).mkdir()
    for name, columns in (("calm", 30), ("rough", 20)):
        Image.new("RGB", (WIDTH, HEIGHT), (20, columns, 180)).save(folder / "images" / f"{name}.png")
        truth = (np.indices((HEIGHT, WIDTH))[1] >= columns).astype(np.uint8)
        file = io.BytesIO()
        Image.fromarray(truth).save(file, "PNG")
        (folder / "masks" / f"{name}.png").write_bytes(file.getvalue())
    return folder


def test_from_a_folder_to_the_images_of_confused_classes(
    page: Page,
    account_dashboard: str,
    coast: str,
    shore: Path,
    tmp_path: Path,
    *,
    ready: Callable[[Page], None],
):
    """A link fills the form, the button starts the evaluation, and a cell of the matrix leads to its images."""
    page.set_viewport_size({"width": 1280, "height": 1000})
    query = f"endpoint={coast}&labelled=A+folder&part=All+of+it&folder={quote(str(shore))}"
    page.goto(f"{account_dashboard}/evaluate?{query}")
    press(page.get_by_role("button", name="Evaluate", exact=True))
    shown(page.get_by_role("heading", name=f"{coast} on 2 images"), timeout=LONG)
    shown(page.get_by_test_id("stMetric").filter(has_text="Mean IoU per image").filter(has_text="79.2%"))

    chart = page.get_by_test_id("stVegaLiteChart")
    expect(chart.get_by_label(re.compile("Predicted: sea; Actual: land")).last).to_be_visible(timeout=LONG)
    ready(page)  # no run of the page draws the chart again
    chart.scroll_into_view_if_needed()
    chart.get_by_label(re.compile("Predicted: sea; Actual: land")).last.click()  # on the number in the cell
    shown(page.get_by_role("heading", name="land predicted as sea: 1 image"), timeout=LONG)
    expect(page.locator(".tile")).to_have_count(1)
    press(page.get_by_role("button", name="All images"))
    expect(page.locator(".tile")).to_have_count(2)
    ready(page)  # the viewer shows the image that it keeps

    viewer = page.locator(".viewer")
    expect(viewer.locator(".result figcaption")).to_have_text("Errors", timeout=LONG)
    viewer.get_by_label("Zoom in").click()
    expect(viewer).to_have_attribute("data-view", re.compile("^1[.]250 "))  # drawn with the next frame
    seen = viewer.get_attribute("data-view") or ""
    press(page.locator(".st-key-mask_shown").get_by_text("Ground truth", exact=True))
    expect(viewer.locator(".result figcaption")).to_have_text("Ground truth", timeout=LONG)
    expect(viewer, "another mask of the same image keeps zoom and position").to_have_attribute(
        "data-view", seen
    )

    with page.expect_download(timeout=LONG) as download:
        press(page.get_by_role("button", name="Report"))
    report = tmp_path / "report.html"
    download.value.save_as(report)
    assert "land" in report.read_text("utf-8")
