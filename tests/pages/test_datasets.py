"""The page of data sets: from a folder to a report, a mended copy, an upload and the launch form."""

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
from core.datasets.upload_plan import order_upload
from core.plans.plan import plan_upload
from pages.parts.background import start
from sandbox.server import Sandbox
from tests.support.dashboard import button, connection_of, open_page, plain_texts
from tests.support.dataset import digests, ids, indexed, make_brushed, make_voc, photo, write

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
    sandbox_server: Sandbox, aws_environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., AppTest]:
    """page(**query) -> the page after its first run."""

    def start(name: str = "datasets", **query: str) -> AppTest:
        for variable, value in {**aws_environ, "SEGDECK_MODE": "aws"}.items():
            monkeypatch.setenv(variable, value)
        return open_page(name, sandbox_server, **query)

    return start


def until(app: AppTest, said: str, seconds: float = 40) -> AppTest:
    """Run the page again until it says this; the browser's timer does not tick here."""
    deadline = time.monotonic() + seconds
    while said not in everything(app):
        assert time.monotonic() < deadline, everything(app)
        app.run()
    return app


def everything(app: AppTest) -> str:
    return "\n".join(
        [plain_texts(app), *(str(one.value) for one in app.success), *(one.label for one in app.button)]
    )


def checked(app: AppTest, place: object, said: str) -> AppTest:
    app.text_input(key="dataset").set_value(str(place)).run()
    button(app, "Check it").click().run()
    return until(app, said)


def field(app: AppTest, label: str) -> Any:
    return next(one for one in app.text_input if one.label == label)


def hyperparameter(form: AppTest, name: str) -> Any:
    """What the launch form holds."""
    return next(one.value for one in form.number_input if str(one.key).startswith(f"launch-value-{name}"))


def test_a_folder_is_checked_and_shown(dataset_page: OpenPage, voc: Path) -> None:
    """A good folder: how many pairs, which classes, nothing wrong, and its pairs to look at."""
    app = checked(dataset_page(), voc, "Nothing is wrong with it.")
    found = everything(app)
    assert not app.exception
    assert "Training pairs: 6" in found
    assert "Validation pairs: 2" in found
    assert "8 of 8 pairs" in found
    classes = next(table.value for table in app.dataframe if "name" in table.value.columns)
    assert classes["name"].tolist() == ["ground", "roof", "tree", "ignore"]


def test_problems_are_listed_and_filter_the_pairs(dataset_page: OpenPage, voc: Path) -> None:
    """Each kind of problem is counted with its remedy, each file is named, and the filter finds the pair."""
    write(voc / "SegmentationClass/tile_2.png", indexed(ids(0, 9)))
    app = checked(dataset_page(), voc, "Problems")
    tables = [table.value for table in app.dataframe]
    kinds = next(table for table in tables if "count" in table.columns)
    assert kinds[["problem", "count"]].to_numpy().tolist() == [["class_out_of_range", 1]]
    files = next(table for table in tables if "file" in table.columns)
    assert files["file"].tolist() == ["SegmentationClass/tile_2.png"]
    next(one for one in app.selectbox if one.label == "Has the problem").set_value("class_out_of_range").run()
    assert "1 of 8 pairs" in everything(app)
    assert not app.exception


def test_what_is_no_set_is_told(dataset_page: OpenPage, tmp_path: Path) -> None:
    """A folder that is none, and a path that is not whole, end in words."""
    checked(dataset_page(), tmp_path / "nowhere", "There is no folder")
    checked(dataset_page(), "relative/path", "is no whole path")


def test_a_zip_is_dropped(dataset_page: OpenPage, voc: Path) -> None:
    """A zip is unpacked on the dashboard's machine and checked; a harmful one is refused with the reason."""
    good, bad = BytesIO(), BytesIO()
    with zipfile.ZipFile(good, "w") as archive:
        for path in sorted(voc.rglob("*.*")):
            archive.write(path, path.relative_to(voc.parent))
    with zipfile.ZipFile(bad, "w") as archive:
        archive.writestr("../outside.jpg", b"x")
    for data, said in ((good, "Nothing is wrong with it."), (bad, "leads out of the folder")):
        app = dataset_page()
        app.file_uploader(key="dataset_zip").set_value(("set.zip", data.getvalue(), "application/zip")).run()
        button(app, "Check it").click().run()
        until(app, said)


def test_brush_labels_are_merged(dataset_page: OpenPage, tmp_path: Path) -> None:
    """Label Studio's export of a PNG a region is shown as the set that it becomes, with what was decided."""
    root = make_brushed(tmp_path / "brushed")
    app = checked(dataset_page(), root, "A mended copy")
    assert "8 PNGs were brought together; unpainted pixels became background, class 0." in everything(app)
    assert str(root) in everything(app)
    assert field(app, "New folder").value.endswith("/brushed-channels")


def test_a_copy_is_written_after_a_yes(dataset_page: OpenPage, voc: Path, tmp_path: Path) -> None:
    """The plan is shown first; the copy lies in the new folder, can be checked in turn, and the set is as it was."""
    write(voc / "JPEGImages/tile_0.jpg", photo(70, "PNG"))
    before = digests(voc)
    app = checked(dataset_page(), voc, "A mended copy")
    field(app, "New folder").set_value(str(tmp_path / "copy")).run()
    button(app, "Review and write").click().run()
    assert "Photographs made JPEG or turned upright: 1" in everything(app)
    assert not (tmp_path / "copy").exists()
    desk = app.session_state["datasets.session"]
    desk.convert(plan_conversion(desk.check.result.source, desk.check.result.report, tmp_path / "copy"))
    until(app, "The copy is in")
    button(app, "Check the copy").click().run()
    until(app, "Nothing is wrong with it.")
    assert digests(voc) == before


def test_an_upload_leads_to_the_launch_form(
    dataset_page: OpenPage, voc: Path, s3: Any, sandbox_server: Sandbox
) -> None:
    """After a yes the files stand in their channels; the launch form then has channels and numbers filled in."""
    app = checked(dataset_page(), voc, "Into S3")
    to = f"s3://{BUCKET}/led/"
    field(app, "S3 prefix").set_value(to).run()
    button(app, "Review and upload").click().run()
    assert "Upload 17 files" in everything(app)
    assert "Contents" not in s3.list_objects_v2(Bucket=BUCKET, Prefix="led/")
    desk = app.session_state["datasets.session"]
    found = desk.check.result
    order = order_upload(found.source, found.report, to, splitting=found.splitting)
    desk.carry_out(connection_of(sandbox_server), plan_upload(order))
    until(app, "17 files stand there")
    assert len(s3.list_objects_v2(Bucket=BUCKET, Prefix="led/")["Contents"]) == 17
    form = dataset_page("launch_training", data=to, num_classes="3", num_training_samples="6")
    assert not form.exception
    assert f"On the data set at **{to}**" in everything(form)
    assert next(one.value for one in form.text_input if one.label == "Data") == to
    assert hyperparameter(form, "num_training_samples") == 6
    assert hyperparameter(form, "num_classes") == 3


def test_numbers_that_are_none_are_left_out(dataset_page: OpenPage) -> None:
    """What a link says is not believed: a number that is none leaves the field as it is without it."""
    form = dataset_page(
        "launch_training", data=f"s3://{BUCKET}/led/", num_classes="<b>", num_training_samples="-1"
    )
    assert not form.exception
    assert hyperparameter(form, "num_classes") is None


def test_the_plan_waits_for_a_yes() -> None:
    """The dialog shows the plan, and begins it with its one button: AppTest cannot click inside a dialog."""

    def script() -> None:
        import streamlit

        from pages.parts.datasets.actions import body

        body("Upload 17 files.", "Upload it", lambda: streamlit.session_state.update(begun=True))

    app = AppTest.from_function(script).run()
    assert "Upload 17 files." in everything(app)
    assert "begun" not in app.session_state
    button(app, "Upload it").click().run()
    assert app.session_state["begun"]


def test_a_check_can_be_ended(dataset_page: OpenPage, voc: Path) -> None:
    """A check that is under way has a button that ends it; what then is said."""
    app = dataset_page()
    desk = app.session_state["datasets.session"]
    go_on = Event()

    def work(tell: Callable[[int, int], None]) -> None:
        tell(3, 8)
        go_on.wait(30)
        tell(4, 8)

    desk.check = start("Checking", work)
    until(app, "End it")
    button(app, "End it").click().run()
    go_on.set()
    until(app, "ended** after 3 of 8")


def test_a_set_with_errors_is_not_uploaded(dataset_page: OpenPage, voc: Path, s3: Any) -> None:
    """The way on is told instead."""
    write(voc / "JPEGImages/tile_0.jpg", photo(70, "PNG"))
    app = checked(dataset_page(), voc, "Into S3")
    field(app, "S3 prefix").set_value(f"s3://{BUCKET}/no/").run()
    button(app, "Review and upload").click().run()
    assert "Convert it first" in everything(app)


def test_a_prefix_in_s3_is_checked_by_its_names(dataset_page: OpenPage, s3: Any) -> None:
    """A prefix in channel layout is listed; its pictures are not read, and it leads to the launch form as well."""
    for split in ("train", "validation"):
        s3.put_object(Bucket=BUCKET, Key=f"names/{split}/a.jpg", Body=b"x")
        s3.put_object(Bucket=BUCKET, Key=f"names/{split}_annotation/a.png", Body=b"x")
    app = checked(dataset_page(), f"s3://{BUCKET}/names/", "Nothing is wrong with it.")
    assert "Training pairs: 1" in everything(app)
    assert "Sizes: unknown" in everything(app)
    assert "Only the names of the objects were looked at, not the pictures." in everything(app)
    assert "Pairs" not in [one.value for one in app.subheader]
