"""The page `training_jobs`, against a server that describes jobs as AWS does and counts its calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from streamlit.proto.Common_pb2 import StringTriggerValue
from streamlit.proto.WidgetStates_pb2 import WidgetState, WidgetStates
from streamlit.testing.v1 import AppTest

from bench.support.jobs_server import JobsServer, many, record
from pages.parts import cached
from tests.support.apps import app_from_file
from tests.support.dashboard import ONE_ATTEMPT, fresh_caches

SHELL = Path(__file__).parents[2] / "pages" / "parts" / "shell.py"

OpenJobs = Callable[..., AppTest]


@pytest.fixture
def server() -> Iterator[JobsServer]:
    """A thousand jobs, the two newest running."""
    with JobsServer(many(1000)) as running:
        yield running


@pytest.fixture
def open_jobs(server: JobsServer, monkeypatch: pytest.MonkeyPatch) -> OpenJobs:
    """open_jobs(status="Failed", ...) -> the page with these URL parameters, after its first run."""

    def start(**query: str) -> AppTest:
        app = app_from_file(SHELL, default_timeout=60).switch_page("../training_jobs.py")
        for key, value in query.items():
            app.query_params[key] = value
        return app.run()

    for name, value in {**server.environ(), **ONE_ATTEMPT}.items():
        monkeypatch.setenv(name, value)
    fresh_caches()
    return start


def texts(app: AppTest) -> str:
    kinds = ("title", "markdown", "caption", "error", "warning", "info", "subheader")
    return "\n".join(str(element.value) for kind in kinds for element in app.get(kind))


def names(app: AppTest) -> list[str]:
    return list(app.dataframe[0].value["name"])


def metrics(app: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in app.metric}


def button(app: AppTest, label: str) -> object:
    return next(button for button in app.button if label in button.label)


def fail(server: JobsServer, code: str = "AccessDeniedException") -> None:
    """Make Search fail from now on, and expire what was read before."""
    server.failing = (400, code)
    cached.shelf().expire()


def test_the_first_paint_makes_one_search(server, open_jobs):
    """With a thousand jobs the page is drawn after one Search call for the newest hundred, and says so."""
    app = open_jobs()
    assert server.calls["Search"] == 1
    assert names(app) == [f"aerial-{n:04d}" for n in range(1000, 900, -1)]
    assert "Showing the newest 100 of 1,000 jobs" in texts(app)
    assert not app.exception


def test_many_users_make_no_more_calls_than_one(server, open_jobs):
    """Four users who run the page twice each make one Search call in total, and no Describe call."""
    users = [open_jobs() for _ in range(4)]
    for user in users:
        user.run()
    assert server.calls["Search"] == 1
    assert server.calls["DescribeTrainingJob"] == 0


def test_only_this_algorithm_by_default(server, open_jobs):
    """Search filters by the algorithm's image; the switch, which sets `all=1` in the URL, lists every job."""
    app = open_jobs()
    assert [row["Name"] for row in server.searches[0]["SearchExpression"]["Filters"]] == [
        "AlgorithmSpecification.TrainingImage"
    ]
    app.toggle(key="jobs_all").set_value(True).run()
    assert app.query_params["all"] == "1"
    assert "SearchExpression" not in server.searches[-1]


def test_filters_come_from_the_url(open_jobs):
    """A link with filters shows only those jobs, with the widgets set; the metrics row counts all that are read."""
    app = open_jobs(status="Failed", text="aerial-09")
    assert set(app.dataframe[0].value["status"].map(tuple)) == {("failed",)}
    assert all(name.startswith("aerial-09") for name in names(app))
    assert app.text_input(key="jobs_text").value == "aerial-09"
    assert app.session_state["jobs_status"] == ["Failed"]
    assert metrics(app)["Running"] == "≥ 2"


def test_filters_go_into_the_url(server, open_jobs):
    """A filter that the user sets is written to the URL and sent to Search."""
    app = open_jobs()
    app.text_input(key="jobs_text").set_value("0042").run()
    assert app.query_params["text"] == "0042"
    assert names(app) == ["aerial-0042"]
    assert {"Name": "TrainingJobName", "Operator": "Contains", "Value": "0042"} in server.searches[-1][
        "SearchExpression"
    ]["Filters"]


def test_days_go_into_the_url(open_jobs):
    """A selected range of days is written to the URL, and a link with one fills the field."""
    app = open_jobs(**{"from": "2026-11-01"})
    field = app.date_input(key="jobs_created")
    assert [day.isoformat() for day in field.value] == ["2026-11-01"]
    days = (datetime(2026, 11, 2, tzinfo=UTC).date(), datetime(2026, 11, 3, tzinfo=UTC).date())
    field.set_value(days).run()
    assert (app.query_params["from"], app.query_params["to"]) == ("2026-11-02", "2026-11-03")


def test_a_bad_url_is_reported(open_jobs):
    """URL parameters that cannot be used are reported, and the others are used."""
    app = open_jobs(status="Failed,Lost", text="no_such")
    assert "Unknown status" in texts(app)
    assert "letters, digits and hyphens" in texts(app)
    assert app.session_state["jobs_status"] == ["Failed"]


def test_more_jobs(server, open_jobs):
    """Each click on the button shows a hundred more; the newest page is not read again."""
    app = open_jobs()
    button(app, "Show 100 more").click().run()
    assert len(names(app)) == len(set(names(app))) == 200
    assert server.calls["Search"] == 3


def test_cost_of_more_jobs_than_are_listed(open_jobs):
    """Where jobs of this month may be missing from the sum, it is marked as a lower bound."""
    app = open_jobs()
    newest, now = names(app)[-1], datetime.now(UTC)
    oldest = now - timedelta(hours=1000 - int(newest.removeprefix("aerial-")) + 1)
    incomplete = (oldest.year, oldest.month) == (now.year, now.month)
    assert metrics(app)["Month to date"].startswith("≥ ") is incomplete


def test_comparison_of_a_link(server, open_jobs):
    """Two jobs in the URL are compared: their curves in one chart, their results, and the settings that differ."""
    now = datetime.now(UTC)
    server.jobs = [
        record("one", created=now - timedelta(hours=3), hyperparameters={"learning_rate": "0.01"}),
        record("two", created=now - timedelta(hours=5), hyperparameters={"backbone": "resnet-101"}),
    ]
    app = open_jobs(compare="one,two")
    assert [chart.proto.alt for chart in app.get("vega_lite_chart")] == [
        "Validation mean IoU by epoch of 2 training jobs",
        "Training loss by epoch of 2 training jobs",
    ]
    results, settings = app.dataframe[1].value, app.dataframe[2].value
    assert list(results["Job"]) == ["one", "two"]
    assert results["Best mean IoU"].between(0.5, 0.8).all()
    assert list(settings.index) == ["backbone", "learning_rate"]
    assert list(settings.loc["learning_rate"]) == ["0.01", "0.001"]
    app.toggle(key="compare_everything").set_value(True).run()
    assert "num_classes" in app.dataframe[2].value.index


def test_comparison_of_a_job_that_is_not_listed(server, open_jobs):
    """A link may name jobs that the table does not list; one that does not exist is reported."""
    app = open_jobs(compare="aerial-1000,aerial-0007,nowhere")
    assert list(app.dataframe[1].value["Job"]) == ["aerial-1000", "aerial-0007"]
    assert server.calls["DescribeTrainingJob"] == 2
    assert "nowhere" in texts(app)


def test_how_to_compare_is_explained(server, open_jobs):
    """The page explains how to compare jobs where there are two or more and none is selected."""
    server.jobs = server.jobs[:1]
    app = open_jobs()
    assert "to compare" not in texts(app)
    server.jobs = many(2)
    button(app, "Refresh").click().run()
    assert "Select 2-6 jobs to compare." in texts(app)


def test_a_single_job_is_not_compared(open_jobs):
    """With a single job selected, the page asks for a second one."""
    assert "Select a second job to compare." in texts(open_jobs(compare="aerial-1000"))


def test_clearing_the_comparison(open_jobs):
    """The Clear button removes the comparison from the page and from the URL."""
    app = open_jobs(compare="aerial-1000,aerial-0999")
    button(app, "Clear").click().run()
    assert "compare" not in app.query_params
    assert len(app.dataframe) == 1


def test_the_last_good_table_stays_when_aws_fails(server, open_jobs):
    """When Search fails, the table stays, with its time and the reason; once Search works again, both are gone."""
    app = open_jobs()
    before = names(app)
    fail(server)
    app.run()
    assert names(app) == before
    assert "Rate exceeded" in texts(app)
    assert "Last updated " in texts(app)
    server.failing = None
    button(app, "Refresh").click().run()
    assert not app.warning


def test_a_failing_aws_is_not_called_more_often(server, open_jobs):
    """While Search fails, five runs of the page make one call, not five."""
    app = open_jobs()
    fail(server)
    for _ in range(5):
        app.run()
    assert server.calls["Search"] == 2


def test_failure_from_the_start(server, open_jobs):
    """When AWS fails from the start, the reason is shown in place of the table, with a button to try again."""
    server.failing = (400, "AccessDeniedException")
    app = open_jobs()
    assert "Rate exceeded" in texts(app)
    assert not app.dataframe
    assert app.text_input(key="jobs_text")
    server.failing = None
    button(app, "Try again").click().run()
    assert len(names(app)) == 100


def test_a_table_without_curves(server, open_jobs):
    """When the metrics cannot be read, the table is shown without them, with the reason."""
    server.refused.add("BatchGetMetrics")
    app = open_jobs()
    assert len(names(app)) == 100
    assert app.dataframe[0].value["line"].isna().all()
    assert "BatchGetMetrics is not supported" in texts(app)


def test_curves_outlast_a_failure(server, open_jobs):
    """Curves stay in the table while they cannot be read again, with the time of their last update."""
    app = open_jobs()
    server.refused.add("BatchGetMetrics")
    cached.shelf().expire()
    app.run()
    assert app.dataframe[0].value["line"].notna().any()
    assert "Curves last updated" in texts(app)


def test_no_job_yet(server, open_jobs):
    """In an account without jobs, the page shows how to launch the first."""
    server.jobs = []
    app = open_jobs()
    assert "No training jobs yet." in texts(app)
    assert "launch_training" in [link.proto.page for link in app.get("page_link")]
    assert metrics(app) == {"Running": "0", "Failed today": "0", "Month to date": "$0.00"}


def test_no_job_matches(open_jobs):
    """Where no job matches the filters, the page says so, and one click clears them."""
    app = open_jobs(text="nothing-like-it")
    assert "No jobs match these filters." in texts(app)
    button(app, "Clear filters").click().run()
    assert len(names(app)) == 100


def test_an_unknown_status(server, open_jobs):
    """A status that Segdeck does not know is shown as it is."""
    server.jobs = [record("new", "Hibernating", secondary="Sleeping", created=datetime.now(UTC))]
    assert open_jobs().dataframe[0].value["status"].tolist() == [["Hibernating"]]


def test_the_back_link_keeps_the_filters(open_jobs):
    """The back link on a job's page leads to the list with the filters that it had."""
    app = open_jobs(status="Failed", text="train")
    for name in ("status", "text"):
        del app.query_params[name]
    app.query_params["job"] = "train-0001"
    app.switch_page("../training_job.py").run()
    back = next(link.proto for link in app.get("page_link") if link.proto.label == "Training jobs")
    assert (back.page, sorted(back.query_string.split("&"))) == (
        "training_jobs",
        ["status=Failed", "text=train"],
    )


def test_a_string_in_a_page_is_not_drawn():
    """A page draws only what it calls: a string in its source, such as the docstring of a constant, is not shown."""
    app = AppTest.from_string('HEIGHT = 100\n"""Height in pixels."""\n').run()
    assert not app.exception
    assert not app.markdown


def test_a_click_on_a_row_that_a_refresh_moves_opens_the_job_of_that_row(server, open_jobs):
    """A click opens the job that the user saw in the row, also where the same run finds a new job above it."""
    app = open_jobs()
    opener = app.dataframe[0].proto.button_click_widgets["name"]
    server.jobs.insert(0, record("newcomer", "InProgress", created=datetime.now(UTC)))
    cached.shelf().expire()
    click = StringTriggerValue(data='{"row": 1, "label": "aerial-0999"}')
    app._run(WidgetStates(widgets=[WidgetState(id=opener, string_trigger_value=click)]))
    assert app.title[0].value.replace("\\", "") == "aerial-0999"
    assert app.query_params["job"] == "aerial-0999"
