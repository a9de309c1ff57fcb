"""The datasets page: from a folder to a report, a fixed copy, an upload and the launch form."""

from __future__ import annotations

import time
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from core.datasets.convert import plan_conversion
from core.datasets.source import Splitting
from core.datasets.upload_plan import order_upload
from core.plans.plan import plan_upload
from core.training.channels import data_channels
from pages.parts.tasks import start
from sandbox.server import Sandbox
from tests.support.apps import app_from_function
from tests.support.dashboard import button, connection_of, open_page, plain_texts, put_data, start_job
from tests.support.dataset import digests, ids, indexed, make_brushed, make_voc, photo, write
from tests.support.tool_formats import FORMATS, make_scenes

BUCKET = "page-datasets"
OpenPage = Callable[..., AppTest]


@pytest.fixture(scope="module")
def s3(sandbox_server: Sandbox, make_client: Callable[..., Any]) -> Any:
    made = make_client(sandbox_server, "s3")
    made.create_bucket(Bucket=BUCKET)
    return made


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    return make_voc(tmp_path / "voc")


@pytest.fixture
def dataset_page(
    sandbox_server: Sandbox,
    aws_environ: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., AppTest]:
    """page(**query) -> the page after its first run."""
    state = {"SEGDECK_STATE_DIR": str(tmp_path_factory.mktemp("state"))}

    def start(name: str = "datasets", **query: str) -> AppTest:
        for variable, value in {**aws_environ, **state, "SEGDECK_MODE": "aws"}.items():
            monkeypatch.setenv(variable, value)
        return open_page(name, sandbox_server, **query)

    return start


def until(app: AppTest, text: str, seconds: float = 120) -> AppTest:
    """Run the page again until it shows this text; the browser's timer does not tick here."""
    deadline = time.monotonic() + seconds
    while text not in everything(app):
        assert time.monotonic() < deadline, everything(app)
        app.run()
    return app


def everything(app: AppTest) -> str:
    return "\n".join(
        [plain_texts(app), *(str(box.value) for box in app.success), *(button.label for button in app.button)]
    )


def checked(app: AppTest, location: object, text: str) -> AppTest:
    app.text_input(key="dataset").set_value(str(location)).run()
    button(app, "Validate").click().run()
    return until(app, text)


def field(app: AppTest, label: str) -> Any:
    return next(widget for widget in app.text_input if widget.label == label)


def hyperparameter(form: AppTest, name: str) -> Any:
    """Return the value of a hyperparameter in the launch form."""
    return next(
        widget.value for widget in form.number_input if str(widget.key).startswith(f"launch-value-{name}")
    )


def test_a_folder_is_checked_and_shown(dataset_page: OpenPage, voc: Path) -> None:
    """A good folder shows how many pairs it has, its classes, no issues, and its pairs to browse."""
    app = checked(dataset_page(), voc, "No issues found.")
    shown = everything(app)
    assert not app.exception
    assert "Training pairs: 6" in shown
    assert "Validation pairs: 2" in shown
    assert "8 of 8 pairs" in shown
    classes = next(table.value for table in app.dataframe if "name" in table.value.columns)
    assert classes["name"].tolist() == ["ground", "roof", "tree", "ignore"]


def test_problems_are_listed_and_filter_the_pairs(dataset_page: OpenPage, voc: Path) -> None:
    """Each type of issue is counted with what to do, each file is named, and the filter selects the pair."""
    write(voc / "SegmentationClass/tile_2.png", indexed(ids(0, 9)))
    app = checked(dataset_page(), voc, "Issues")
    tables = [table.value for table in app.dataframe]
    kinds = next(table for table in tables if "count" in table.columns)
    assert kinds[["problem", "count"]].to_numpy().tolist() == [["class_out_of_range", 1]]
    files = next(table for table in tables if "file" in table.columns)
    assert files["file"].tolist() == ["SegmentationClass/tile_2.png"]
    next(widget for widget in app.selectbox if widget.label == "Issue").set_value("class_out_of_range").run()
    assert "1 of 8 pairs" in everything(app)
    assert not app.exception


def test_a_path_without_a_dataset(dataset_page: OpenPage, tmp_path: Path) -> None:
    """A folder that does not exist and a relative path are rejected with the reason."""
    checked(dataset_page(), tmp_path / "nowhere", "does not exist")
    checked(dataset_page(), "relative/path", "is not an absolute path")


def test_a_zip_is_uploaded(dataset_page: OpenPage, voc: Path) -> None:
    """A ZIP file is extracted on the dashboard's machine and validated; a malicious one is rejected."""
    good, bad = BytesIO(), BytesIO()
    with zipfile.ZipFile(good, "w") as archive:
        for path in sorted(voc.rglob("*.*")):
            archive.write(path, path.relative_to(voc.parent))
    with zipfile.ZipFile(bad, "w") as archive:
        archive.writestr("../outside.jpg", b"x")
    for data, text in ((good, "No issues found."), (bad, "leads out of the folder")):
        app = dataset_page()
        app.file_uploader(key="dataset_zip").set_value(("set.zip", data.getvalue(), "application/zip")).run()
        button(app, "Validate").click().run()
        until(app, text)


def test_brush_labels_are_merged(dataset_page: OpenPage, tmp_path: Path) -> None:
    """A Label Studio export with one PNG per region is shown as the merged dataset, with what was decided."""
    root = make_brushed(tmp_path / "brushed")
    app = checked(dataset_page(), root, "Fixed copy")
    assert (
        "Merged 8 PNGs of Label Studio brush labels; unpainted pixels became background, class 0."
        in everything(app)
    )
    assert str(root) in everything(app)
    assert field(app, "New folder").value.endswith("/brushed-channels")


def test_annotations_are_drawn(dataset_page: OpenPage, tmp_path: Path) -> None:
    """Annotations of a tool become masks, with what was decided, and their issues filter the pairs."""
    root = tmp_path / "coco"
    FORMATS["coco_polygons"](root, make_scenes(3))
    app = checked(dataset_page(), root, "Fixed copy")
    assert not app.exception
    assert "Pixels without a shape became background, class 0." in everything(app)
    assert "6 of 6 pairs" in everything(app)
    assert "shape_overlap" in next(box for box in app.selectbox if box.label == "Issue").options


def test_a_dataset_that_can_be_read_in_several_ways_is_a_question(
    dataset_page: OpenPage, tmp_path: Path
) -> None:
    """The page asks which annotations to use; a click on one validates the dataset with it."""
    for name in ("coco_polygons", "labelme"):
        FORMATS[name](tmp_path / "both", make_scenes(3))
    app = checked(dataset_page(), tmp_path / "both", "Which annotations?")
    assert "has annotations in several formats." in everything(app)
    button(app, "labelme").click().run()
    until(app, "Fixed copy")
    assert "Drew 36 shapes of labelme JSON on 6 images" in everything(app)


def test_datasets_are_listed(
    dataset_page: OpenPage, voc: Path, s3: Any, sandbox_server: Sandbox, make_client: Callable[..., Any]
) -> None:
    """The page lists what was validated and uploaded, with the jobs that used it, and opens it again."""
    app = checked(dataset_page(), voc, "No issues found.")
    current = app.session_state["datasets.session"]
    uri = f"s3://{BUCKET}/listed/"
    order = order_upload(current.check.result.source, current.check.result.report, uri, splitting=Splitting())
    current.carry_out(connection_of(sandbox_server), plan_upload(order))
    until(app, "17 files in S3, all verified.")
    put_data(s3)
    start_job(make_client(sandbox_server, "sagemaker"), "page-listed", channels=data_channels(uri))
    button(app, "All datasets").click().run()
    until(app, "Your datasets")
    (row,) = app.dataframe[0].value.to_dict("records")
    assert (row["dataset"], row["location"], row["uri"]) == ("voc", str(voc), uri)
    assert row["classes"] == "3: ground, roof, tree"
    assert (row["train"], row["validation"], row["issues"], row["kind"]) == (6, 2, "none", "pascal voc")
    assert row["jobs"] == ["page-listed"]
    assert row["size"] == sum(path.stat().st_size for path in voc.glob("*/*.*g"))
    assert not app.exception


def test_a_copy_is_exported_after_confirmation(dataset_page: OpenPage, voc: Path, tmp_path: Path) -> None:
    """The plan is shown first; the copy is in the new folder and can be validated, and the original is unchanged."""
    write(voc / "JPEGImages/tile_0.jpg", photo(70, "PNG"))
    before = digests(voc)
    app = checked(dataset_page(), voc, "Fixed copy")
    assert "Fixes 1 of 1 issue automatically. Your files are not changed." in everything(app)
    field(app, "New folder").set_value(str(tmp_path / "copy")).run()
    button(app, "Review and export").click().run()
    assert "Images converted to JPEG or rotated upright: 1" in everything(app)
    assert not (tmp_path / "copy").exists()
    current = app.session_state["datasets.session"]
    result = current.check.result
    current.convert(plan_conversion(result.source, result.report, tmp_path / "copy"))
    until(app, "Copy saved to")
    button(app, "Validate the copy").click().run()
    until(app, "No issues found.")
    assert digests(voc) == before


def test_an_upload_leads_to_the_launch_form(
    dataset_page: OpenPage, voc: Path, s3: Any, sandbox_server: Sandbox
) -> None:
    """After confirmation the files are in their channels; the launch form then has channels and counts filled in."""
    app = checked(dataset_page(), voc, "Upload to S3")
    uri = f"s3://{BUCKET}/led/"
    field(app, "S3 prefix").set_value(uri).run()
    button(app, "Review and upload").click().run()
    assert "Upload 17 files" in everything(app)
    assert "Contents" not in s3.list_objects_v2(Bucket=BUCKET, Prefix="led/")
    current = app.session_state["datasets.session"]
    result = current.check.result
    order = order_upload(result.source, result.report, uri, splitting=result.options.splitting)
    current.carry_out(connection_of(sandbox_server), plan_upload(order))
    until(app, "17 files in S3, all verified.")
    assert len(s3.list_objects_v2(Bucket=BUCKET, Prefix="led/")["Contents"]) == 17
    form = dataset_page("launch_training", data=uri, num_classes="3", num_training_samples="6")
    assert not form.exception
    assert f"Trains on the dataset at **{uri}**" in everything(form)
    assert field(form, "Data").value == uri
    assert hyperparameter(form, "num_training_samples") == 6
    assert hyperparameter(form, "num_classes") == 3


def test_invalid_numbers_in_a_link_are_ignored(dataset_page: OpenPage) -> None:
    """A value in a link that is not a whole number leaves its field at the default."""
    form = dataset_page(
        "launch_training", data=f"s3://{BUCKET}/empty/", num_classes="<b>", num_training_samples="-1"
    )
    assert not form.exception
    assert hyperparameter(form, "num_classes") is None


def test_the_plan_waits_for_confirmation() -> None:
    """The dialog's body shows the plan and starts it with its one button; AppTest cannot click inside a dialog."""

    def script() -> None:
        import streamlit

        from pages.parts.datasets.actions import body

        body("Upload 17 files.", "Upload", lambda: streamlit.session_state.update(begun=True))

    app = app_from_function(script).run()
    assert "Upload 17 files." in everything(app)
    assert "begun" not in app.session_state
    button(app, "Upload").click().run()
    assert app.session_state["begun"]


def test_a_validation_can_be_stopped(dataset_page: OpenPage, voc: Path) -> None:
    """A running validation has a button that stops it, and the page then reports how far it got."""
    app = dataset_page()
    current = app.session_state["datasets.session"]
    proceed = Event()

    def work(on_count: Callable[[int, int], None]) -> None:
        on_count(3, 8)
        proceed.wait(30)
        on_count(4, 8)

    current.check = start("Validation", work)
    until(app, "Stop")
    button(app, "Stop").click().run()
    proceed.set()
    until(app, "Validation stopped** after 3 of 8")


def test_a_dataset_with_errors_is_not_uploaded(dataset_page: OpenPage, voc: Path, s3: Any) -> None:
    """A dataset with errors is not uploaded; the page says to convert it first."""
    write(voc / "JPEGImages/tile_0.jpg", photo(70, "PNG"))
    app = checked(dataset_page(), voc, "Upload to S3")
    field(app, "S3 prefix").set_value(f"s3://{BUCKET}/no/").run()
    button(app, "Review and upload").click().run()
    assert "Convert it first" in everything(app)


def test_an_s3_prefix_is_validated_by_its_keys(dataset_page: OpenPage, s3: Any) -> None:
    """A prefix in channel layout is listed without reading its images, and links to the launch form."""
    for split in ("train", "validation"):
        s3.put_object(Bucket=BUCKET, Key=f"names/{split}/a.jpg", Body=b"x")
        s3.put_object(Bucket=BUCKET, Key=f"names/{split}_annotation/a.png", Body=b"x")
    app = checked(dataset_page(), f"s3://{BUCKET}/names/", "No issues found.")
    assert "Training pairs: 1" in everything(app)
    assert "Image size: unknown" in everything(app)
    assert "Only the object names were checked, not the images." in everything(app)
    assert "Train on this dataset" in [link.proto.label for link in app.get("page_link")]
    assert "Pairs" not in [heading.value for heading in app.header]
