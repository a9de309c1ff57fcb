"""The pages of transform jobs, against a sandbox on loopback with a stub in the container's place."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import TextInput

from core.aws.batch import SAMPLE
from core.aws.batch_utilization import hosts
from core.batch.results import areas_csv
from core.plans.plan import ApiCall
from pages.parts import backend, cached
from pages.parts.batch.images import THUMBNAIL_BYTES, ByteCache, thumbnails
from pages.parts.batch.measure import measurement
from pages.parts.plan_dialog import request_text
from sandbox.server import Sandbox
from tests.support.answers import probabilities, recordio
from tests.support.apps import app_from_file, app_from_function
from tests.support.artifacts import archive, aws_files
from tests.support.batch_server import JOB, BatchServer
from tests.support.batches import BROKEN, BUCKET, NUMBERS, ROLE, Store, ended, jpeg
from tests.support.dashboard import SHELL, button, fresh_caches, plain_texts

OpenPage = Callable[..., AppTest]
IDENTITY = ""
"""GetCallerIdentity has no target header."""


@pytest.fixture(scope="module")
def store(sandbox_server: Sandbox, model_archive: Callable[..., bytes]) -> Store:
    return Store(sandbox_server, model_archive)


@pytest.fixture(scope="module")
def done(store: Store) -> str:
    """A completed job of 30 images."""
    source, out = store.images(*(f"{number:02}.jpg" for number in range(30)))
    name = store.start(f"done-{next(NUMBERS)}", store.model(), source, out)
    ended(store, name, "Completed")
    return name


@pytest.fixture
def calls(sandbox_server: Sandbox) -> Iterator[list[str]]:
    """The operations that the sandbox was called with, from now on."""
    sandbox_server.faults.clear()
    sandbox_server.faults.add("delay", seconds=0)  # changes nothing, and records the operations
    yield sandbox_server.faults.hits
    sandbox_server.faults.clear()


def names(app: AppTest) -> list[str]:
    return list(app.dataframe[0].value["name"])


def metrics(app: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in app.metric}


def tiles(app: AppTest) -> list[dict[str, Any]]:
    """Return the thumbnails of the gallery."""

    component = next(
        each for each in app.get("bidi_component") if "segdeck_gallery" in each.proto.component_name
    )
    return list(json.loads(component.proto.json)["tiles"])


def test_an_empty_account_is_told_what_batches_are_for(open_page: OpenPage) -> None:
    """Without jobs that match, the list offers to clear its filters; an invalid filter is ignored with a note."""
    app = open_page("batches", status="Completed", text="no-such-job")
    assert "No jobs match these filters" in plain_texts(app)
    assert "Ignored the status 'lost'" in plain_texts(open_page("batches", status="lost"))
    assert not app.exception


def test_the_list_is_one_call_per_page(open_page: OpenPage, done: str, calls: list[Any]) -> None:
    """The list shows status, age and duration of each job after a single ListTransformJobs call."""
    app = open_page("batches", text=done)
    assert names(app) == [done]
    row = app.dataframe[0].value.iloc[0]
    assert list(row["status"]) == ["Completed"]
    operations = [operation for _, operation in calls]
    assert operations.count("ListTransformJobs") == 1
    assert "DescribeTransformJob" not in operations
    assert not app.exception


def test_a_job_shows_its_masks(open_page: OpenPage, done: str, calls: list[Any]) -> None:
    """A job's page shows counts and a page of thumbnails, and reads only the masks and images that are shown."""
    app = open_page("batch", job=done)
    assert metrics(app)["Masks"] == "30 of 30"
    assert metrics(app)["Without a mask"] == "0"
    shown = tiles(app)
    assert [tile["id"] for tile in shown] == [f"{number:02}.jpg" for number in range(24)]
    assert all(tile["jpeg"].startswith("data:image/jpeg") for tile in shown)
    assert shown[0]["note"] == "land 75% · sea 25%"
    assert "This job writes masks only" in app.selectbox(key="order").help
    gets = [operation for _, operation in calls].count("GetObject")
    assert gets <= 2 * 24 + 2  # and the class names
    app.run()
    assert [operation for _, operation in calls].count("GetObject") == gets, "thumbnails are kept"
    button(app, "Next page").click().run()
    assert [tile["id"] for tile in tiles(app)] == [f"{number:02}.jpg" for number in range(24, 30)]


def test_the_instances_tab_shows_their_utilization(open_page: OpenPage, done: str, calls: list[Any]) -> None:
    """The tab of instances draws CPU and memory from the metrics that batch transform publishes, by one call."""
    app = open_page("batch", job=done, tab="Instances")
    assert "CPU is summed over all cores" in plain_texts(app)
    assert [operation for _, operation in calls].count("GetMetricData") == 1
    assert not app.exception


def test_hosts_are_named_by_the_log_streams() -> None:
    """Each instance is one host, whatever logs it has."""
    streams = ("night/i-0a-1790000000", "night/i-0b-1790000000", "night/i-0a-1790000000/data-log")
    assert hosts(streams) == ["night/i-0a", "night/i-0b"]


def test_masks_are_measured_filtered_and_downloaded(
    open_page: OpenPage, done: str, run_until: Callable[..., None]
) -> None:
    """Measuring reads all masks in the background; then a class with a least share filters the gallery."""
    app = open_page("batch", job=done)
    button(app, "Measure 30 masks").click().run()
    run_until(app, lambda app: "30 of 30 masks measured" in plain_texts(app))
    app.selectbox(key="class").set_value("1").run()
    assert len(tiles(app)) == 24
    assert tiles(app)[0]["note"] == "sea 25%"
    app.number_input(key="least").set_value(30.0).run()
    assert "No masks match these filters" in plain_texts(app)
    app.number_input(key="least").set_value(20.0).run()
    app.text_input(key="name").set_value("29").run()
    assert [tile["id"] for tile in tiles(app)] == ["29.jpg"]
    assert not app.exception


def test_an_image_opens_in_the_viewer(open_page: OpenPage, done: str) -> None:
    """The image that the URL names is in the viewer, with buttons to the next one and to close it."""
    app = open_page("batch", job=done, image="03.jpg")
    assert any("segdeck_viewer" in each.proto.component_name for each in app.get("bidi_component"))
    button(app, "Next").click().run()
    assert app.query_params["image"] == "04.jpg"
    next(each for each in app.button if each.label == "Close").click().run()
    assert "image" not in app.query_params
    assert "There is no mask of this image" in plain_texts(open_page("batch", job=done, image="lost.jpg"))


def test_a_job_with_a_broken_image_is_resumed(open_page: OpenPage, store: Store) -> None:
    """A failed image is listed with its reason; Resume plans a job for exactly the images without a mask."""
    source, out = store.images("a.jpg", "c.jpg", bad=("b.jpg",))
    model = store.model(refuse=[BROKEN.decode(), 400])
    name = store.start(f"broken-{next(NUMBERS)}", model, source, out)
    ended(store, name, "Failed")
    store.s3.delete_object(Bucket=BUCKET, Key=f"{out.removeprefix(f's3://{BUCKET}/')}c.jpg.out")
    app = open_page("batch", job=name, tab="Failed images")
    rows = app.dataframe[0].value
    assert list(rows["image"]) == ["b.jpg", "c.jpg"]
    assert metrics(app)["Without a mask"] == "2"
    button(app, "Resume").click().run()
    texts = plain_texts(app)
    assert "Write the list of images" in texts
    assert "Not sent again, because they failed: b.jpg" in texts
    request = "\n".join(code.value for code in app.code)
    assert "c.jpg" in request
    assert '"ManifestFile"' in request


def test_a_job_of_another_tool_on_a_prefix_without_a_slash(open_page: OpenPage, store: Store) -> None:
    """The gallery shows the images of every folder whose name begins with the prefix, each with its own mask."""
    source, out = store.images("a.jpg", "/b.jpg")
    store.put(f"{source.removeprefix(f's3://{BUCKET}/').removesuffix('/')}2/c.jpg", jpeg())
    name = store.start(f"no-slash-{next(NUMBERS)}", store.model(), source.removesuffix("/"), out)
    ended(store, name, "Completed")
    app = open_page("batch", job=name)
    assert metrics(app)["Masks"] == "3 of 3"
    assert [tile["id"] for tile in tiles(app)] == ["/b.jpg", "a.jpg", "in2/c.jpg"]
    assert all(tile["jpeg"].startswith("data:image/jpeg") for tile in tiles(app))
    assert not app.exception


def test_a_running_job_is_stopped_by_a_plan(open_page: OpenPage, store: Store) -> None:
    """A running job shows its progress; Stop shows a plan and stops nothing yet."""
    source, out = store.images("a.jpg", "b.jpg")
    name = store.start(f"slow-{next(NUMBERS)}", store.model(seconds=60), source, out)
    app = open_page("batch", job=name)
    assert "Running" in "\n".join(str(each.value) for each in app.markdown)
    button(app, "Stop").click().run()
    assert "Stop the transform job" in plain_texts(app)
    assert app.button(key="plan-sure").label == "Stop batch"
    assert store.status(name) == "InProgress"
    store.sagemaker.stop_transform_job(TransformJobName=name)
    assert not app.exception


def test_the_form_checks_the_images_and_plans_the_job(
    open_page: OpenPage, store: Store, run_until: Callable[..., None]
) -> None:
    """The form counts the images, names what is skipped, and its plan has the request with a manifest."""
    source, out = store.images("a.jpg", "b.jpg", "notes.txt")
    app = open_page("launch_batch", model=store.model())
    assert app.button(key="review").disabled
    form = {each.label: each for each in app.text_input}
    form["Images"].set_value(source)
    form["Masks"].set_value(out)
    app.run()
    run_until(app, lambda app: "Ready to start" in plain_texts(app))
    texts = plain_texts(app)
    assert "1 skipped" in texts
    assert "notes.txt" in texts
    app.button(key="review").click().run()
    assert app.button(key="plan-sure").label == "Start batch"
    request = "\n".join(code.value for code in app.code)
    assert '"ManifestFile"' in request
    assert out in request
    assert "notes.txt" not in request


def test_a_model_is_created_from_an_artifact(
    open_page: OpenPage, store: Store, run_until: Callable[..., None]
) -> None:
    """An artifact in S3 needs a role; then the plan creates its model before it starts the job."""
    source, out = store.images("a.jpg")
    uri = f"s3://{BUCKET}/models/form-artifact/model.tar.gz"
    store.put("models/form-artifact/model.tar.gz", archive(aws_files()))
    app = open_page("launch_batch")
    app.segmented_control[0].set_value("artifact").run()
    for label, text in (("Images", source), ("Masks", out), ("Artifact", uri)):
        text_field(app, label).set_value(text)
    app.run()
    assert "An execution role is required" in plain_texts(app)
    text_field(app, "Execution role").set_value(ROLE).run()
    run_until(app, lambda app: not app.button(key="review").disabled)
    app.button(key="review").click().run()
    assert "Create the model" in plain_texts(app)
    assert uri in "\n".join(code.value for code in app.code)
    assert not app.exception


def text_field(app: AppTest, label: str) -> TextInput:
    return next(each for each in app.text_input if each.label == label)


def test_the_form_estimates_from_an_earlier_job(
    open_page: OpenPage, store: Store, done: str, run_until: Callable[..., None]
) -> None:
    """The form's expected price is from an earlier completed job of the same model, which it names."""
    job = store.sagemaker.describe_transform_job(TransformJobName=done)
    source, out = store.images("a.jpg")
    app = open_page("launch_batch", model=job["ModelName"])
    form = {each.label: each for each in app.text_input}
    form["Images"].set_value(source)
    form["Masks"].set_value(out)
    app.run()
    run_until(app, lambda app: f"s per image, as in {done}" in plain_texts(app))
    assert metrics(app)["Expected in total"] != "unknown"


def test_a_clone_starts_from_the_settings_of_a_job(open_page: OpenPage, done: str) -> None:
    """Clone fills the form with the job's settings under a new name."""
    app = open_page("launch_batch", clone=done)
    assert f"Cloned from {done}" in plain_texts(app)
    values = {each.label: each.value for each in app.text_input}
    assert values["Name"] != done
    assert values["Images"].startswith(f"s3://{BUCKET}/")
    assert "Ready to start" in plain_texts(app)


def test_kept_thumbnails_are_bounded() -> None:
    """The cache drops the longest unused values beyond its limit, and counts their bytes."""
    kept: ByteCache[bytes] = ByteCache(10, len)
    for key in "abc":
        kept.keep(key, b"1234")
        kept.get("a")
    assert [key for key in "abc" if kept.get(key)] == ["a", "c"]
    assert kept.size == 8
    kept.keep("a", b"1")
    assert kept.size == 5
    assert THUMBNAIL_BYTES <= 64_000_000


def test_probabilities_are_shown_and_sorted_by_confidence(
    open_page: OpenPage, store: Store, run_until: Callable[..., None]
) -> None:
    """A job that wrote probabilities has thumbnails and the viewer's maps; measured, it sorts by confidence."""
    source, out = store.images("a.jpg", "b.jpg")
    files = {"answer.recordio": recordio(probabilities())}
    name = store.start(
        f"maps-{next(NUMBERS)}",
        store.model(files=files),
        source,
        out,
        accept="application/x-recordio-protobuf",
    )
    ended(store, name, "Completed")
    app = open_page("batch", job=name, image="a.jpg")
    assert all(tile["jpeg"] for tile in tiles(app))
    viewers = [each for each in app.get("bidi_component") if "segdeck_viewer" in each.proto.component_name]
    assert b"probability/0" in viewers[0].proto.bytes
    button(app, "Measure 2 masks").click().run()
    run_until(app, lambda app: "2 of 2 masks measured" in plain_texts(app))
    app.selectbox(key="order").set_value("uncertain").run()
    assert len(tiles(app)) == 2
    assert not app.exception


def test_the_areas_are_csv(open_page: OpenPage, done: str, run_until: Callable[..., None]) -> None:
    """The download of a measured job has a row per image and class."""
    app = open_page("batch", job=done)
    button(app, "Measure").click().run()
    run_until(app, lambda app: "30 of 30 masks measured" in plain_texts(app))
    body = areas_csv(measurement(backend.connection(), done).sorted_results(), None)
    assert len(list(csv.DictReader(io.StringIO(body.decode("utf-8-sig"))))) == 60
    assert any("Download areas" in each.label for each in app.get("download_button"))


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> Iterator[BatchServer]:
    """An account with a running job of 10,000 images, of which 9,000 have a mask."""
    server = BatchServer(10_000, written=9_000, running=True)
    for name, value in server.environ().items():
        monkeypatch.setenv(name, value)
    fresh_caches()
    yield server
    server.stop()


def test_ten_thousand_images_cost_a_fixed_number_of_calls(many: BatchServer) -> None:
    """A refresh of a job with 10,000 images is one description and a listing per 1,000 masks: no image is read."""
    app = app_from_file(SHELL).switch_page("../batch.py")
    app.query_params["job"] = JOB
    app.run()
    assert metrics(app)["Masks"] == "9,000 of 10,000"
    assert "No output has been written for" in plain_texts(app), "it hangs"
    assert len(tiles(app)) == 24
    assert many.calls["GetObject"] == 2 * 24
    many.calls.clear()
    cached.shelf().expire("transform job")
    cached.shelf().expire("transform outputs")
    app.run()
    assert not app.exception
    refreshes = many.calls["DescribeTransformJob"]
    assert 1 <= refreshes <= 2, "a slow run may outlast the first one's age limit"
    assert many.calls["ListObjectsV2"] in range(9, 9 * refreshes + 1, 9)
    assert many.calls.keys() <= {"DescribeTransformJob", "ListObjectsV2", IDENTITY}
    assert thumbnails().size < THUMBNAIL_BYTES
    assert sum(len(each.proto.json) for each in app.get("bidi_component")) < 500_000


def test_ten_thousand_images_are_checked_with_a_fixed_number_of_calls(
    many: BatchServer, run_until: Callable[..., None]
) -> None:
    """The form lists 1,000 images per call and reads the start of 12; a further run of the page makes no call."""
    app = app_from_file(SHELL).switch_page("../launch_batch.py")
    app.query_params["model"] = "many"
    app.run()
    text_field(app, "Images").set_value("s3://many/in/")
    text_field(app, "Masks").set_value("s3://many/out/")
    app.run()
    run_until(app, lambda app: "**10,000** images" in plain_texts(app))
    assert (many.calls["ListObjectsV2"], many.calls["GetObject"]) == (10, SAMPLE)
    before = dict(many.calls)
    app.run()
    assert {key: many.calls[key] for key in ("ListObjectsV2", "GetObject")} == {
        key: before[key] for key in ("ListObjectsV2", "GetObject")
    }
    assert not app.exception


def test_a_long_manifest_is_shortened_in_the_dialog() -> None:
    """The dialog shows the start of a long parameter and its length, not a manifest of all images."""
    step = ApiCall("s3", "PutObject", {"Body": "a" * 200_000, "Key": "k"}, "Write the list of images.")
    text = request_text(step, alone=True)
    assert len(text) < 5_000
    assert "200,000 characters in total" in text


def test_a_local_folder_is_uploaded_first(
    open_page: OpenPage, store: Store, tmp_path: Path, run_until: Callable[..., None]
) -> None:
    """The plan of an upload names what is left out; once confirmed, the images are in S3 and can be used."""
    (tmp_path / "a.jpg").write_bytes(jpeg())
    (tmp_path / "notes.txt").write_text("x")
    uri = f"s3://{BUCKET}/uploads-{next(NUMBERS)}/"
    app = open_page("launch_batch")
    app.text_input(key="batch-folder").set_value("lost").run()
    app.text_input(key="batch-upload-to").set_value(uri).run()
    button(app, "Review and upload").click().run()
    assert "is not the absolute path of a folder" in plain_texts(app)
    app.text_input(key="batch-folder").set_value(str(tmp_path)).run()
    button(app, "Review and upload").click().run()
    assert "notes.txt" in "\n".join(code.value for code in app.code)
    assert app.button(key="batch-upload-sure").label == "Upload"

    confirmed = app_from_function(upload_app, args=(str(tmp_path), uri)).run()
    confirmed.button(key="batch-upload-sure").click().run()
    run_until(
        confirmed, lambda app: "1 image in S3, all verified" in "\n".join(each.value for each in app.success)
    )
    button(confirmed, "Use these images").click().run()
    assert store.keys(uri) == ["a.jpg"]


def upload_app(folder: str, uri: str) -> None:
    """Draw the dialog's body, and the form's part that shows the upload."""
    from pathlib import Path

    from core.datasets.upload_plan import order_images
    from core.plans.plan import plan_upload
    from pages.parts import backend
    from pages.parts.batch import upload

    upload.body(backend.connection(), plan_upload(order_images(Path(folder), uri)[0]), uri)
    upload.draw(backend.connection())
