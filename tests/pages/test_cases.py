"""Inputs from public bug reports give their right answers on the pages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from tests.support.cases import CASES, DATASETS, SEGMENTED, needs_cases

pytestmark = [needs_cases, pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")]
Texts = Callable[[AppTest], str]


def test_images_are_segmented(
    open_page: Callable[..., AppTest], coast: str, run_until: Callable[..., None], read_texts: Texts
) -> None:
    """Each image of the cases is segmented on the Segment page, with the note on how it was read."""
    for name, note in SEGMENTED.items():
        app = open_page(endpoint=coast)
        path = Path(name)
        app.file_uploader[0].set_value([(path.name, (CASES / name).read_bytes(), "image/jpeg")]).run()
        run_until(app, lambda app: bool(app.dataframe))
        assert note in read_texts(app).replace("\\", ""), name


@pytest.mark.parametrize("case", DATASETS)
def test_datasets_are_read_right(
    case: str, open_page: Callable[..., AppTest], run_until: Callable[..., Any], tmp_path: Path
) -> None:
    """Datasets of the cases have the right class names on the Datasets page, and what is unusual is reported."""
    names, text = DATASETS[case]
    app = open_page("datasets", {"SEGDECK_STATE_DIR": str(tmp_path)})
    app.text_input(key="dataset").set_value(str(CASES / case)).run()
    next(button for button in app.button if button.label == "Validate").click().run()
    run_until(app, lambda app: any("name" in table.value.columns for table in app.dataframe))
    breakdown = next(table.value for table in app.dataframe if "name" in table.value.columns)
    assert breakdown["name"].tolist() == names
    issues = [message for table in app.dataframe for message in table.value.get("what", [])]
    notes = [str(box.value).replace("\\", "") for box in app.warning]
    assert text in " ".join([*notes, *issues])
