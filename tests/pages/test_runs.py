"""The Runs page, and what stays on the Segment and Evaluate pages: no result is paid for twice."""

from __future__ import annotations

import io
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from core.runs.run import Run
from core.runs.store import RunStore
from pages.parts import run_store
from tests.support.answers import mask, probabilities, recordio
from tests.support.apps import app_from_file
from tests.support.dashboard import SHELL, fresh_caches, texts
from tests.support.endpoints import remove_endpoint

FILES = {"answer.recordio": recordio(probabilities()), "answer.png": mask()}
Segment = Callable[..., AppTest]


@pytest.fixture(scope="module")
def endpoint(sandbox_server, make_endpoint) -> Iterator[str]:
    """An endpoint of two classes without names: three quarters are class 0."""
    name = make_endpoint(sandbox_server, files=FILES)
    yield name
    remove_endpoint(sandbox_server, name)


@pytest.fixture
def segment(open_page, endpoint, jpeg, run_until) -> Segment:
    """segment(("bay.jpg", 7), ..., endpoint=...) -> the page with images of these shades, once all are done."""

    def start(*files: tuple[str, int], **query: Any) -> AppTest:
        app = drop(
            open_page(**{"endpoint": endpoint, **query}),
            *((name, jpeg(shade=shade)) for name, shade in files),
        )
        run_until(app, done(len(files)))
        return app

    return start


@pytest.fixture
def updated(sandbox_server, make_client, make_endpoint) -> Iterator[tuple[str, Callable[[], None]]]:
    """The name of an endpoint, and a function that updates it to another model."""
    name, other = (make_endpoint(sandbox_server, files=FILES) for _ in range(2))
    sagemaker = make_client(sandbox_server, "sagemaker")

    def update() -> None:
        sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=other)
        waiter = sagemaker.get_waiter("endpoint_in_service")
        waiter.wait(EndpointName=name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 600})

    yield name, update
    for each in (name, other):
        remove_endpoint(sandbox_server, each)


@pytest.fixture
def shore(tmp_path: Path, jpeg) -> Path:
    """A folder with one labeled image, all of class 0."""
    folder = tmp_path / "shore"
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    (folder / "images" / "bay.jpg").write_bytes(jpeg(shade=30))
    Image.fromarray(np.zeros((30, 40), np.uint8)).save(folder / "masks" / "bay.png")
    return folder


@pytest.fixture
def calls(faults) -> Callable[[], int]:
    """calls() -> how many times an endpoint was invoked since the test began."""
    faults.add("delay", seconds=0, operation="InvokeEndpoint")
    return lambda: len(faults.hits)


def drop(app: AppTest, *files: tuple[str, bytes]) -> AppTest:
    return app.file_uploader[0].set_value([(name, data, "image/jpeg") for name, data in files]).run()


def done(count: int) -> Callable[[AppTest], bool]:
    """Return whether a page shows the results of so many images."""
    if count == 1:
        return has_areas
    return lambda app: f"{count} images done" in str([status.label for status in app.status])


def has_areas(app: AppTest) -> bool:
    return bool(app.dataframe)


def written() -> RunStore:
    """Wait until all is written, and return the store."""
    run_store.recorder().wait(30)
    store = run_store.store()
    assert store is not None
    return store


def only_run() -> Run:
    (run,) = written().all().runs
    return run


def visit(app: AppTest, page: str) -> AppTest:
    """Open another page in the same session, as a click in the sidebar does."""
    app.query_params.clear()
    return app.switch_page(f"../{page}.py").run()


def new_session(**query: str) -> AppTest:
    """Open the Segment page in another session of the same process."""
    app = app_from_file(SHELL)
    for name, value in query.items():
        app.query_params[name] = value
    return app.switch_page("../segment.py").run()


def new_process() -> None:
    """Forget all that a process holds in memory, as a restart does."""
    run_store.recorder().wait(30)
    fresh_caches()


def button(app: AppTest, label: str) -> Any:
    return next(button for button in app.button if label in button.label)


def test_images_outlive_a_visit_to_another_page(segment, run_until, calls):
    """After a visit to another page, images and results are back on the Segment page without a call."""
    app = segment(("bay.jpg", 1))
    visit(app, "setup")
    visit(app, "segment")
    run_until(app, has_areas)
    assert list(app.dataframe[0].value["share"]) == [75, 25]
    assert calls() == 1


def test_a_reload_brings_everything_back(segment, open_page, run_until, calls):
    """A new session with the page's address shows the same images from the disk, even after a restart."""
    app = segment(("bay.jpg", 2), ("cove.jpg", 3))
    address = {name: "".join(app.query_params[name]) for name in ("endpoint", "run")}
    new_process()
    again = open_page(**address)
    run_until(again, done(2))
    run_until(again, has_areas)
    assert "cached response, not sent again" in texts(again)
    assert calls() == 2
    assert len(written().all().runs) == 1


def test_the_run_has_what_was_done(open_page, endpoint, jpeg, run_until):
    """A run names the endpoint, its model, the options, and each image with its largest classes."""
    app = drop(open_page(endpoint=endpoint), ("bay.jpg", jpeg(shade=4)), ("broken.jpg", b"no"))
    run_until(app, lambda app: has_areas(app) and app.error)
    run = only_run()
    assert run.endpoint.name == endpoint
    assert run.endpoint.model_uri.endswith("model.tar.gz")
    assert (run.want, run.fit, run.total, run.done, run.failures) == ("probabilities", (800, 600), 2, 1, 1)
    bay, broken = sorted(run.images, key=lambda image: image.name)
    assert bay.largest[0] == ("class 0", 0.75)
    assert written().content(bay.content) == jpeg(shade=4)
    assert "is not an image" in broken.error
    assert run.user.startswith("arn:")


def test_an_updated_endpoint_does_not_give_the_old_result(updated, segment, open_page, run_until, calls):
    """After an update the image is sent to the new model, after a click; the old run still shows the old result."""
    name, update = updated
    segment(("bay.jpg", 5), endpoint=name)
    run_id = only_run().id
    update()
    new_process()
    linked = open_page(endpoint=name, run=run_id)
    run_until(linked, lambda app: app.error)
    assert "no stored result for the model" in linked.error[0].value
    assert calls() == 1
    button(linked, "Try again").click().run()
    run_until(linked, has_areas)
    assert calls() == 2
    assert len(written().all().runs) == 2
    run_until(open_page("runs", run=run_id), has_areas)
    assert calls() == 2


def test_an_update_within_the_minute_is_noticed(updated, segment, jpeg, run_until, calls):
    """A page that does not know about an update yet uses no earlier response, and stores none for the old model."""
    name, update = updated
    segment(("bay.jpg", 6), ("cove.jpg", 7), endpoint=name)
    before = {path.name for path in written().responses.folder.iterdir()}
    update()
    app = new_session(endpoint=name)  # with what the first session has read
    drop(app, ("lake.jpg", jpeg(shade=8)))
    run_until(app, has_areas)
    assert calls() == 3
    assert {path.name for path in written().responses.folder.iterdir()} == before


def test_a_failed_image_is_not_sent_again_by_itself(endpoint, open_page, jpeg, run_until, faults):
    """An image that failed is shown as failed after a visit to another page and a reload; a click sends it again."""
    faults.add("error", operation="InvokeEndpoint", code="ThrottlingException", status=400, times=1)
    app = drop(open_page(endpoint=endpoint), ("bay.jpg", jpeg(shade=24)))
    run_until(app, lambda app: app.error)
    faults.clear()
    faults.add("delay", seconds=0, operation="InvokeEndpoint")  # counts further calls
    visit(app, "setup")
    visit(app, "segment")
    run_until(app, lambda app: app.error)
    assert "too many calls" in app.error[0].value
    run = only_run()
    assert (run.failures, "too many calls" in run.images[0].error) == (1, True)
    new_process()
    again = open_page(endpoint=endpoint, run=run.id)
    run_until(again, lambda app: app.error)
    assert faults.hits == []
    button(again, "Try again").click().run()
    run_until(again, has_areas)
    assert len(faults.hits) == 1


def test_an_opened_run_is_not_changed(segment, open_page, jpeg, run_until, calls):
    """Adding an image to a run that was opened by its address starts another run; the first stays as it is."""
    segment(("bay.jpg", 8))
    first = only_run()
    new_process()
    app = open_page(endpoint=first.endpoint.name, run=first.id)
    run_until(app, has_areas)
    drop(app, ("cove.jpg", jpeg(shade=9)))
    run_until(app, done(2))
    runs = written().all().runs
    assert runs[1] == first
    assert [image.name for image in runs[0].images] == ["bay.jpg", "cove.jpg"]
    assert calls() == 2


def test_a_removed_image_leaves_the_run(segment, jpeg):
    """An image that is removed from the page is removed from its run; "Remove all images" keeps the run."""
    app = segment(("bay.jpg", 10), ("cove.jpg", 11))
    drop(app, ("bay.jpg", jpeg(shade=10)))
    assert [image.name for image in only_run().images] == ["bay.jpg"]
    button(app, "Remove all images").click().run()
    assert "run" not in app.query_params
    assert not app.dataframe
    assert len(only_run().images) == 1


def test_the_same_request_of_two_sessions_is_one_call(open_page, endpoint, jpeg, run_until, faults):
    """While one session waits for the endpoint, another that sends the same image gets the same response."""
    faults.add("delay", seconds=60, operation="InvokeEndpoint")  # until `clear`
    first = drop(open_page(endpoint=endpoint), ("bay.jpg", jpeg(shade=12)))
    second = drop(new_session(endpoint=endpoint), ("bay.jpg", jpeg(shade=12)))
    deadline = time.monotonic() + 120
    while not faults.hits:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    faults.clear()
    faults.add("delay", seconds=0, operation="InvokeEndpoint")  # counts further calls
    run_until(first, has_areas)
    run_until(second, has_areas)
    assert faults.hits == []


def test_ground_truth_comes_back(open_page, endpoint, jpeg, run_until):
    """A ground-truth mask is stored with its image: scores are in the run, in the list, and on its page."""
    ids = np.zeros((30, 40), np.uint8)
    ids[:, 30:] = 1
    buffer = io.BytesIO()
    Image.fromarray(ids).save(buffer, "PNG")
    app = drop(open_page(endpoint=endpoint), ("bay.jpg", jpeg(shade=13)), ("bay.png", buffer.getvalue()))
    run_until(app, has_areas)
    run = only_run()
    assert run.mean_iou == 1.0
    page = open_page("runs", run=run.id)
    run_until(page, has_areas)
    assert {metric.label: metric.value for metric in page.metric}["Mean IoU"] == "100.0%"
    assert open_page("runs").dataframe[0].value["miou"].tolist() == [100.0]


def test_the_page_of_a_run(segment, open_page, run_until, faults):
    """A run's page shows endpoint, model, results and downloads, also while AWS refuses every call."""
    segment(("a*b_c.jpg", 14))
    run = only_run()
    faults.add("error", operation=".*", code="AccessDeniedException", status=400)
    page = open_page("runs", run=run.id)
    run_until(page, has_areas)
    assert "InvokeEndpoint" not in str(faults.hits)
    assert r"a\*b\_c\.jpg" in page.title[0].value
    assert run.endpoint.model_uri in texts(page)
    assert run.id in page.code[0].value
    labels = [button.proto.label for button in page.get("download_button")]
    assert {"Mask", "Overlay", "Probabilities", "Download all (ZIP)"} <= set(labels)


def test_run_again(segment, open_page, run_until, calls):
    """ "Run again" brings the images back to Segment, where cached responses are not sent again."""
    segment(("bay.jpg", 15))
    first = only_run()
    page = open_page("runs", run=first.id)
    run_until(page, has_areas)
    button(page, "Run again").click().run()
    run_until(page, lambda app: has_areas(app) and app.title[0].value == "Segment images")
    assert calls() == 1
    runs = written().all().runs
    assert len(runs) == 2
    assert runs[1] == first
    assert runs[0].images == first.images


def test_a_run_is_deleted_after_a_confirmation(segment, open_page):
    """Deleting asks first; then the run, its images and its responses are gone, and its address says so."""
    segment(("bay.jpg", 16))
    run = only_run()
    page = open_page("runs", run=run.id)
    button(page, "Delete").click().run()
    assert only_run() == run
    button(page, "Delete permanently").click().run()
    store = written()
    assert store.all().runs == ()
    assert [path.name for path in store.folder.rglob("*") if path.is_file()] == ["lock"]
    assert "There is no run" in texts(open_page("runs", run=run.id))


def test_a_deleted_run_does_not_come_back(segment, jpeg, run_until):
    """After its run is deleted, a page that still shows the images stores nothing until they change."""
    app = segment(("bay.jpg", 22))
    first = only_run()
    written().delete(first.id)
    app.run()
    assert written().all().runs == ()
    assert "run" not in app.query_params
    assert "Stored as a run" not in [link.proto.label for link in app.get("page_link")]
    drop(app, ("bay.jpg", jpeg(shade=22)), ("cove.jpg", jpeg(shade=23)))
    run_until(app, done(2))
    assert only_run().id != first.id
    assert only_run().done == 2


def test_the_list(segment, open_page):
    """The list is empty at first and says what to do; a search finds runs by file name."""
    empty = open_page("runs")
    assert "No runs yet" in texts(empty)
    assert {"Segment images", "Evaluate an endpoint"} <= {link.proto.label for link in empty.get("page_link")}
    segment(("bay.jpg", 17))
    only_run()
    page = open_page("runs")
    assert page.dataframe[0].value["name"].tolist() == ["bay.jpg"]
    assert "1 run" in texts(page)
    page.text_input[0].set_value("cove").run()
    assert not page.dataframe
    assert "No runs match" in texts(page)


def test_a_forged_address(open_page):
    """An address with a path instead of an ID opens nothing."""
    assert "There is no run" in texts(open_page("runs", run="../../journal"))


def test_nothing_is_stored_where_the_limit_is_zero(segment, run_until, state_dir):
    """With SEGDECK_RESULTS_MB=0 nothing is written; images still outlive a visit to another page."""
    app = segment(("bay.jpg", 18), environ={"SEGDECK_RESULTS_MB": "0"})
    assert "Runs are not stored" in texts(visit(app, "runs"))
    visit(app, "segment")
    run_until(app, has_areas)
    assert not list(state_dir.rglob("*.json"))


def test_a_full_disk_is_reported(segment, state_dir):
    """Where the store cannot be written, results are shown all the same, and the page says what is missing."""
    state_dir.mkdir()
    (state_dir / "file").write_text("in the way")
    app = segment(("bay.jpg", 19), environ={"SEGDECK_STATE_DIR": str(state_dir / "file")})
    run_store.recorder().wait(30)
    app.run()
    assert has_areas(app)
    assert "These results are not stored" in texts(app)


def test_removed_probabilities_are_sent_again_after_a_click(segment, open_page, run_until, calls):
    """Where the probabilities were removed to save space, the mask is shown; a click sends the image again."""
    segment(("bay.jpg", 20))
    run = only_run()
    for body in written().responses.folder.glob("*.body"):
        body.unlink()
    new_process()
    app = open_page(endpoint=run.endpoint.name, run=run.id)
    run_until(app, has_areas)
    assert "were removed to free memory or disk space" in texts(app)
    assert calls() == 1
    button(app, "Run inference again").click().run()
    run_until(app, lambda app: has_areas(app) and "were removed" not in texts(app))
    assert calls() == 2


def test_a_link_sends_nothing_where_the_model_is_unknown(segment, open_page, run_until, faults):
    """Where the configuration may not be read, nothing is reused; a link shows so, and still sends nothing."""
    faults.add("delay", seconds=0, operation="InvokeEndpoint")
    faults.add("error", operation="DescribeEndpoint", code="AccessDeniedException", status=400)
    faults.add("error", operation="Search", code="AccessDeniedException", status=400)
    app = segment(("bay.jpg", 21))
    run_id = only_run().id
    assert not only_run().response_keys
    app = open_page(endpoint=only_run().endpoint.name, run=run_id)
    run_until(app, lambda app: app.error)
    assert "no stored result" in app.error[0].value
    assert [kind for kind, operation in faults.hits if operation == "InvokeEndpoint"] == ["delay"]


def test_an_evaluation_reopens_without_a_call(shore, open_page, endpoint, run_until, calls):
    """An evaluation is a run: its page has scores, tables, images and downloads, even without its dataset."""
    app = open_page("evaluate", endpoint=endpoint, labelled="A folder", folder=str(shore), part="All of it")
    next(each for each in app.button if each.label == "Evaluate").click().run()
    run_until(app, lambda app: bool(app.metric))
    evaluated = {metric.label: metric.value for metric in app.metric}
    deadline = time.monotonic() + 120
    while not (written().all().runs and only_run().contents):
        assert time.monotonic() < deadline
    run = only_run()
    assert calls() == 1
    shutil.rmtree(shore)
    new_process()
    page = open_page("runs", run=run.id)
    assert not page.error
    assert {metric.label: metric.value for metric in page.metric} == evaluated
    assert r"**bay\.jpg**" in texts(page)
    assert "not stored" not in texts(page)
    again = open_page("evaluate", endpoint=endpoint, run=run.id)  # after a reload
    assert {metric.label: metric.value for metric in again.metric} == evaluated
    button(page, "Run again").click().run()
    assert page.query_params["folder"] in (str(shore), [str(shore)])
    assert calls() == 1
