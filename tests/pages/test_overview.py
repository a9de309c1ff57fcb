"""The overview: running jobs and endpoints, cost per hour, recent failures, idle endpoints, and the live example."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from core.aws.connection import clients
from core.aws.execute import execute
from core.cost.training import shipped_prices
from core.endpoints.spec import EndpointSpec
from core.errors import CoreError
from core.plans.deploy import plan_deploy
from pages.parts import backend, cached
from pages.parts.segment.run import InferenceTask, InputImage, SegmentationQueue, SegmentRequest
from sandbox.server import Sandbox
from tests.support.answers import NAMES, probabilities, recordio
from tests.support.dashboard import (
    IMAGE,
    ONE_ATTEMPT,
    button,
    connection_of,
    ended,
    open_page,
    plain_texts,
    priced,
    put_data,
    start_job,
    texts,
    wait_for,
)
from tests.support.fleet import put_endpoint
from tests.support.roles import create_roles

NUMBERS = itertools.count(1)
NO_ENDPOINT = "No endpoint is in service. Deploy a model, and try it here."
OpenOverview = Callable[..., AppTest]


@pytest.fixture(scope="module")
def busy(
    tmp_path_factory: pytest.TempPathFactory,
    stub_programs: dict[str, list[str]],
    stub_training_programs: dict[str, list[str]],
    make_client: Callable[..., Any],
) -> Iterator[Sandbox]:
    """A sandbox with jobs and endpoints of every kind."""
    folder = tmp_path_factory.mktemp("busy")
    with Sandbox(folder, programs=stub_programs, training_programs=stub_training_programs) as sandbox:
        create_roles(sandbox)
        put_data(make_client(sandbox, "s3"))
        sagemaker = make_client(sandbox, "sagemaker")
        start_job(sagemaker, "broken", {"fail": "no memory left"})
        wait_for(sagemaker, "broken", ended)
        put_endpoint(sandbox, "roads", daily=[40] * 30, count=2)
        put_endpoint(sandbox, "forgotten", daily=[9] * 5 + [0] * 20, instance="ml.p3.2xlarge")
        put_endpoint(sandbox, "feverish", daily=[40] * 30, failed=20)
        put_endpoint(sandbox, "lost", status="Failed", days=0.1)
        put_endpoint(sandbox, "leaving", status="Deleting")
        put_endpoint(sandbox, "stuck", status="UpdateRollbackFailed", instance="ml.c5.xlarge")
        yield sandbox


@pytest.fixture(scope="module")
def newcomer(
    tmp_path_factory: pytest.TempPathFactory,
    stub_programs: dict[str, list[str]],
    stub_training_programs: dict[str, list[str]],
    make_endpoint: Callable[..., str],
    jpeg: Callable[..., bytes],
) -> Iterator[Sandbox]:
    """A sandbox with one endpoint, which answers, and which has two sample images."""
    folder = tmp_path_factory.mktemp("newcomer")
    with Sandbox(folder, programs=stub_programs, training_programs=stub_training_programs) as sandbox:
        tags = {"segdeck:examples": "s3://stub-models/coast/examples.json"}
        make_endpoint(sandbox, files={"answer.recordio": recordio(probabilities())}, name="coast", tags=tags)
        s3 = sandbox.loopback.client("s3")
        files = {
            "classes.json": json.dumps(NAMES).encode(),
            "examples.json": b'[{"file": "bay.jpg", "title": "Bay"}, {"file": "cape.jpg", "title": "Cape"}]',
            "bay.jpg": jpeg(),
            "cape.jpg": jpeg(shade=9),
        }
        for name, body in files.items():
            s3.put_object(Bucket="stub-models", Key=f"coast/{name}", Body=body)
        yield sandbox


@pytest.fixture
def empty(
    tmp_path: Path, stub_programs: dict[str, list[str]], stub_training_programs: dict[str, list[str]]
) -> Iterator[Sandbox]:
    """A sandbox with neither jobs nor endpoints."""
    with Sandbox(
        tmp_path / "empty", programs=stub_programs, training_programs=stub_training_programs
    ) as sandbox:
        yield sandbox


@pytest.fixture
def faults(busy: Sandbox) -> Iterator[Any]:
    busy.faults.clear()
    yield busy.faults
    busy.faults.clear()


@pytest.fixture
def open_overview(busy: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> OpenOverview:
    """open_overview(sandbox=busy) -> the page after its first run, in mode aws."""

    def start(sandbox: Sandbox = busy, mode: str = "aws") -> AppTest:
        environ = {**sandbox.address.environ(), **ONE_ATTEMPT, "SEGDECK_MODE": mode}
        environ["SEGDECK_STATE_DIR"] = str(tmp_path)
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        return open_page("overview", sandbox, mode=mode)

    return start


def figures(app: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in app.metric}


def link_labels(app: AppTest) -> list[str]:
    return [link.proto.label.replace("\\", "") for link in app.get("page_link")]


def test_it_is_the_first_page(open_overview):
    """The dashboard opens with the overview, and with links to the main tasks."""
    app = open_overview()
    assert app.title[0].value == "Overview"
    assert {"Segment an image", "Launch training", "Deploy a model"} <= set(link_labels(app))


def test_figures(open_overview):
    """The page starts with the numbers of running jobs and endpoints, their cost per hour, and recent failures.

    An endpoint being deleted is not counted as in service; one whose rollback failed is, and it is billed.
    """
    known = figures(priced(open_overview()))
    assert known["Jobs running"] == "0"
    assert known["Endpoints in service"] == "3"
    assert known["Cost per hour"] == "$6.24"
    assert known["Failed in 24 h"] == "3"


def test_every_thing_is_linked(open_overview):
    """Each running, failed, erroring or idle job or endpoint is listed with its reason and a link to its page."""
    app = priced(open_overview())
    assert {"roads", "forgotten", "feverish", "lost", "broken", "stuck"} <= set(link_labels(app))
    told = plain_texts(app)
    assert "no memory left" in told
    assert "1 endpoint is idle" in told
    assert "$2,792.25 per month" in told


def test_running_jobs(open_overview, busy, make_client):
    """A running job is counted, named, and priced per hour."""
    sagemaker = make_client(busy, "sagemaker")
    name = start_job(sagemaker, f"long-{next(NUMBERS)}", {"seconds": "60"})
    wait_for(sagemaker, name, lambda found: found["SecondaryStatus"] == "Training")
    app = open_overview()
    assert figures(app)["Jobs running"] == "1"
    assert name in link_labels(app)
    sagemaker.stop_training_job(TrainingJobName=name)
    wait_for(sagemaker, name, ended)


def test_an_empty_account(open_overview, empty):
    """With neither jobs nor endpoints, the page says what Segdeck is and what to do first, without empty lists."""
    app = open_overview(empty)
    assert "assign a class to every pixel" in texts(app)
    assert {"**Segment an image**", "**Launch training**", "**Deploy a model**"} <= set(link_labels(app))
    assert NO_ENDPOINT in texts(app)
    assert not app.metric


def test_demo_models_on_their_way(open_overview, empty, make_client):
    """A new sandbox says that its demo models are being prepared; one whose demo models were deleted does not."""
    assert "Preparing the demo models" in texts(open_overview(empty, mode="sandbox"))
    put_data(make_client(empty, "s3"))
    start_job(make_client(empty, "sagemaker"), "recorded", tags={"segdeck:recorded": "true"})
    after = texts(open_overview(empty, mode="sandbox"))
    assert "Preparing the demo models" not in after
    assert NO_ENDPOINT in after


def test_a_new_account_can_try_a_model(open_overview, newcomer):
    """While there are few endpoints and no jobs, the page offers the sample images of one, above the numbers."""
    app = open_overview(newcomer)
    assert "Click an image to segment it with **coast** (2 classes)." in plain_texts(app)
    assert "Each click sends a billed request to this endpoint in" in plain_texts(app)
    assert [heading.value for heading in app.header][:2] == ["Try a model", "Running now"]
    assert "Sandbox: nothing is billed." in plain_texts(open_overview(newcomer, mode="sandbox"))


def test_an_example_is_segmented_by_one_click(open_overview, newcomer):
    """Nothing is sent to the endpoint before a click; after one, the page shows image, mask and timing."""
    newcomer.faults.add("delay", seconds=0, operation="InvokeEndpoint")
    app = open_overview(newcomer)
    components = len(app.get("bidi_component"))
    assert newcomer.faults.hits == []
    app.session_state["overview.example"] = {"coast": "s3://stub-models/coast/bay.jpg"}  # as a click does
    deadline = time.monotonic() + 120
    while len(app.get("bidi_component")) == components:
        assert time.monotonic() < deadline, texts(app)
        app.run()
    assert len(newcomer.faults.hits) == 1
    assert "decode" in texts(app)
    newcomer.faults.clear()


def test_an_example_cancels_no_image_of_the_segment_page(open_overview, newcomer, run_until):
    """A sample image neither cancels images of the Segment page that wait nor forgets those that failed."""
    queue, go_on = SegmentationQueue(), Event()
    requests = [SegmentRequest(name, connection_of(newcomer), "coast", "mask", None) for name in "abcd"]

    def submit(request: SegmentRequest, read: Callable[[], bytes]) -> InferenceTask:
        return queue.submit(InputImage(request.image_id, "a.jpg", read), request, None)

    def unreadable() -> bytes:
        go_on.wait(120)
        return b""

    failed = submit(requests[0], bytes)
    assert failed.future.exception(timeout=120)
    others = [submit(request, unreadable) for request in requests[1:]]
    app = open_overview(newcomer)
    components = len(app.get("bidi_component"))
    app.session_state["segment.queue"] = queue
    app.session_state["overview.example"] = {"coast": "s3://stub-models/coast/bay.jpg"}
    run_until(app.run(), lambda app: len(app.get("bidi_component")) > components)
    go_on.set()
    # All had their turn, and fail as their files are empty; of a canceled one, this raises CancelledError.
    assert all(task.future.exception(timeout=120) for task in others)
    assert [submit(request, bytes) for request in requests] == [failed, *others]


def test_a_failed_example_is_only_sent_again_by_a_click(open_overview, newcomer, run_until):
    """A sample image that failed is shown with its error when it is back; it is sent again by "Try again" alone."""
    newcomer.faults.add("error", operation="InvokeEndpoint", code="OddException", status=400)
    app = open_overview(newcomer)
    for name in ("bay", "cape", "bay"):
        app.session_state["overview.example"] = {"coast": f"s3://stub-models/coast/{name}.jpg"}
        run_until(app.run(), lambda app: len(app.error) == 1)
    assert len(newcomer.faults.hits) == 2
    button(app, "Try again").click()
    run_until(app.run(), lambda app: len(newcomer.faults.hits) == 3 and len(app.error) == 1)
    newcomer.faults.clear()


def test_an_example_that_fails_says_why(open_overview, newcomer):
    """Where the endpoint cannot be read, the reason replaces the sample images, and the rest of the page stays."""
    newcomer.faults.add("error", operation="DescribeEndpoint", code="OddException", status=400)
    app = open_overview(newcomer)
    newcomer.faults.clear()
    assert len(app.error) == 1
    assert figures(app)["Endpoints in service"] == "1"


def test_the_example_gives_way_to_jobs(open_overview, newcomer, make_client):
    """Jobs of the account push the example below the lists; jobs that the sandbox brings along do not."""
    put_data(make_client(newcomer, "s3"))
    sagemaker = make_client(newcomer, "sagemaker")
    for name, tags in (("recorded", {"segdeck:recorded": "true"}), ("own", {})):
        wait_for(sagemaker, start_job(sagemaker, name, tags=tags), ended)
        order = [heading.value for heading in open_overview(newcomer).header]
        assert order.index("Try a model") == {"recorded": 0, "own": len(order) - 1}[name]


def test_a_busy_account_needs_no_example(open_overview):
    """With more endpoints than a new account has, the page is about them alone."""
    app = open_overview()
    assert "Try a model" not in [heading.value for heading in app.header]
    assert "assign a class to every pixel" not in texts(app)


def test_the_first_paint_asks_for_little(open_overview, faults):
    """The first paint takes five calls; unknown configurations and the price list are read in the background."""
    faults.add("delay", seconds=0)
    open_overview()
    behind = ("DescribeEndpointConfig", "GetProducts")
    asked = sorted(operation for _, operation in faults.hits if operation not in behind)
    assert asked == ["GetCallerIdentity", "GetMetricData", "GetMetricData", "Search", "Search"]


def test_a_second_look_asks_for_nothing(open_overview, faults):
    """A refresh within moments, or by another user, makes no call."""
    app = open_overview()
    app.run()
    faults.add("delay", seconds=0, operation="Search|GetMetricData")
    app.run()
    assert faults.hits == []


def test_endpoints_that_may_not_be_listed(open_overview, faults):
    """If endpoints cannot be listed, the jobs are still shown, and the reason is shown once."""
    faults.add("error", operation="ListEndpoints", code="AccessDeniedException", status=400)
    faults.add("error", operation="Search", code="ThrottlingException", status=400)
    app = open_overview()
    assert len(app.error) == 2
    assert not app.exception


def test_what_is_not_known_is_not_called_well(open_overview, faults):
    """Where Search is denied, numbers are lower bounds, a note says why, and no endpoint is reported as called."""
    faults.add("error", operation="Search", code="AccessDeniedException", status=400)
    app = open_overview()
    known = figures(app)
    assert (known["Failed in 24 h"], known["Cost per hour"]) == ("≥ 2", "≥ $0.00")
    assert "Only names, statuses and times of the jobs are shown." in plain_texts(app)
    assert "No known idle endpoints." in texts(app)


def test_without_metrics(open_overview, faults):
    """If CloudWatch cannot be read, no endpoint is reported as called."""
    faults.add("error", operation="GetMetricData", code="AccessDenied", status=403)
    app = priced(open_overview())
    assert "No known idle endpoints." in texts(app)
    assert figures(app)["Cost per hour"] == "$6.24"


def test_aws_fails_later(open_overview, faults):
    """If AWS fails, the last data stays, with the reason; the button reads again, and the reason disappears."""
    app = open_overview()
    faults.add("error", operation="Search", code="ThrottlingException", status=400)
    cached.shelf().expire()
    app.run()
    assert "too many calls" in app.error[0].value
    assert figures(app)["Endpoints in service"] == "3"
    faults.clear()
    button(app, "Try again").click().run()
    assert not app.error


def test_a_cut_change_is_told(open_overview, busy, faults):
    """An interrupted deploy is shown on top, with buttons to finish it, to clean up, and to keep it as it is."""
    assert "Finish" not in [one.label for one in open_overview().button]
    name, role = f"cut-{next(NUMBERS)}", "arn:aws:iam::123456789012:role/Server"
    s3 = busy.loopback.client("s3")
    s3.create_bucket(Bucket="models")
    s3.put_object(Bucket="models", Key="a/model.tar.gz", Body=b"")
    spec = EndpointSpec(name, role, "ml.c5.xlarge", IMAGE, "s3://models/a/model.tar.gz")
    plan = plan_deploy(spec, shipped_prices("us-east-1"))
    faults.add("error", operation="CreateEndpoint", code="AccessDeniedException", status=400)
    with pytest.raises(CoreError):
        execute(clients(connection_of(busy)), plan, journal=backend.journal())
    faults.clear()
    app = open_overview()
    assert f"Interrupted change: deploying endpoint {name}." in plain_texts(app)
    assert {"Finish", "Clean up"} <= {one.label for one in app.button}
    button(app, "Leave as is").click().run()
    assert f"deploy {name}" not in plain_texts(app)
