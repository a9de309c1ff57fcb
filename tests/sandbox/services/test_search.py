"""Search over training jobs: every operator, nested names, order, pages, and refusals."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sandbox.common.store import RecordStore
from sandbox.server import Sandbox
from sandbox.services.sagemaker.search import Search

Client = Callable[..., Any]
START = datetime(2026, 11, 1, tzinfo=UTC).timestamp()
IMAGE = "811284229777.dkr.ecr.us-east-1.amazonaws.com/semantic-segmentation:1"


def document(number: int, **members: Any) -> dict[str, Any]:
    """Return job `number`: created at its minute, with a metric and hyperparameters that grow with it."""
    name = f"job-{number}"
    channels = [
        {"ChannelName": channel, "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": uri}}}
        for channel, uri in (("train", f"s3://data/{number}/train"), ("validation", "s3://other/validation"))
    ]
    return {
        "TrainingJobName": name,
        "TrainingJobArn": f"arn:aws:sagemaker:us-east-1:123456789012:training-job/{name}",
        "TrainingJobStatus": "Completed",
        "SecondaryStatus": "Completed",
        "CreationTime": START + 60 * number,
        "LastModifiedTime": START + 6000 - 60 * number,
        "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        "HyperParameters": {
            "epochs": str(10 * number),
            "learning_rate": f"0.{number}",
            "backbone": "resnet-50",
        },
        "InputDataConfig": channels,
        "FinalMetricDataList": [
            {"MetricName": "validation:mIOU", "Value": number / 10, "Timestamp": START},
        ],
        "BillableTimeInSeconds": 100 * number,
        "EnableManagedSpotTraining": number % 2 == 1,
        "Tags": [{"Key": "team:name", "Value": f"team {number}"}],
        "_hidden": "internal",
        **members,
    }


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """Jobs 1 to 5; job 4 has no metric and failed, job 5 runs another image."""
    with Sandbox(tmp_path_factory.mktemp("search")) as sandbox:
        for number in (1, 2, 3):
            sandbox._store.insert("training-job", f"job-{number}", document(number))
        failed = document(4, TrainingJobStatus="Failed", FailureReason="ClientError", FinalMetricDataList=[])
        sandbox._store.insert("training-job", "job-4", failed)
        other = {"TrainingImage": "other:1", "TrainingInputMode": "File"}
        sandbox._store.insert("training-job", "job-5", document(5, AlgorithmSpecification=other))
        yield sandbox


@pytest.fixture
def find(jobs: Sandbox, make_client: Client) -> Callable[..., list[int]]:
    """find(expression, **members) -> the numbers of the matching jobs, sorted unless an order is given."""
    sagemaker = make_client(jobs, "sagemaker")

    def search(expression: dict[str, Any] | None = None, **members: Any) -> list[int]:
        expressions = {} if expression is None else {"SearchExpression": expression}
        answer = sagemaker.search(Resource="TrainingJob", **expressions, **members)
        numbers = [int(item["TrainingJob"]["TrainingJobName"][4:]) for item in answer["Results"]]
        return numbers if "SortBy" in members else sorted(numbers)

    return search


def condition(name: str, operator: str | None = None, value: str | None = None) -> dict[str, Any]:
    """Return an expression of one filter."""
    members = {"Name": name, "Operator": operator, "Value": value}
    return {"Filters": [{member: item for member, item in members.items() if item is not None}]}


@pytest.mark.parametrize(
    ("filters", "numbers"),
    [
        (condition("TrainingJobName", None, "job-2"), [2]),
        (condition("TrainingJobStatus", "Equals", "Failed"), [4]),
        (condition("TrainingJobStatus", "NotEquals", "Failed"), [1, 2, 3, 5]),
        (condition("TrainingJobStatus", "In", "Failed, Stopped"), [4]),
        (condition("TrainingJobName", "Contains", "b-3"), [3]),
        (
            condition("AlgorithmSpecification.TrainingImage", "Contains", "semantic-segmentation"),
            [1, 2, 3, 4],
        ),
        (condition("FailureReason", "Exists"), [4]),
        (condition("FailureReason", "NotExists"), [1, 2, 3, 5]),
        (condition("Metrics.validation:mIOU", "GreaterThan", "0.2"), [3, 5]),
        (condition("Metrics.validation:mIOU", "LessThanOrEqualTo", "0.2"), [1, 2]),
        (condition("Metrics.validation:mIOU", "NotExists"), [4]),
        (condition("HyperParameters.epochs", "GreaterThanOrEqualTo", "40"), [4, 5]),
        (condition("HyperParameters.epochs", "LessThan", "100"), [1, 2, 3, 4, 5]),  # as numbers, not as texts
        (condition("HyperParameters.learning_rate", "LessThan", "0.25"), [1, 2]),
        (condition("HyperParameters.learning_rate", "LessThan", "1"), [1, 2, 3, 4, 5]),
        (condition("HyperParameters.learning_rate", "Equals", "0.30"), [3]),
        (condition("HyperParameters.backbone", "Contains", "net-5"), [1, 2, 3, 4, 5]),
        (condition("HyperParameters.momentum", "Exists"), []),
        (condition("BillableTimeInSeconds", "GreaterThan", "300"), [4, 5]),
        (condition("CreationTime", "GreaterThan", "2026-11-01T00:03:00"), [4, 5]),
        (condition("CreationTime", "LessThanOrEqualTo", "2026-11-01T01:03:00+01:00"), [1, 2, 3]),
        (condition("EnableManagedSpotTraining", "Equals", "true"), [1, 3, 5]),
        (condition("Tags.team:name", "Equals", "team 2"), [2]),
        (condition("Tags.team:name", "Contains", "team"), [1, 2, 3, 4, 5]),
        (condition("InputDataConfig.ChannelName", "Equals", "label_map"), []),
        (condition("InputDataConfig.DataSource.S3DataSource.S3Uri", "Contains", "data/3/"), [3]),
        (condition("InputDataConfig", "Exists"), [1, 2, 3, 4, 5]),
    ],
)
def test_every_operator_and_name(
    find: Callable[..., list[int]], filters: dict[str, Any], numbers: list[int]
) -> None:
    """Text, numbers, times, flags, hyperparameters, metrics, tags and lists are each compared by their type."""
    assert find(filters) == numbers


def test_expressions_are_joined_by_and_or_or(find: Callable[..., list[int]]) -> None:
    """Filters, nested filters and subexpressions of one level are combined by its operator, And by default."""
    failed, third = (
        condition("TrainingJobStatus", None, "Failed"),
        condition("TrainingJobName", None, "job-3"),
    )
    best = condition("Metrics.validation:mIOU", "GreaterThan", "0.25")
    assert find({"Filters": failed["Filters"] + third["Filters"]}) == []
    assert find({"SubExpressions": [failed, third], "Operator": "Or"}) == [3, 4]
    assert find({"SubExpressions": [{"SubExpressions": [failed, third], "Operator": "Or"}, best]}) == [3]
    assert find() == [1, 2, 3, 4, 5]


def test_nested_filters_hold_for_one_object(find: Callable[..., list[int]]) -> None:
    """Name and S3 URI must belong to the same channel."""
    uri = "InputDataConfig.DataSource.S3DataSource.S3Uri"

    def nested(channel: str) -> dict[str, Any]:
        filters = [
            {"Name": "InputDataConfig.ChannelName", "Value": channel},
            {"Name": uri, "Operator": "Contains", "Value": "data/2/"},
        ]
        return {"NestedFilters": [{"NestedPropertyName": "InputDataConfig", "Filters": filters}]}

    assert find(nested("train")) == [2]
    assert find(nested("validation")) == []


@pytest.mark.parametrize(
    ("members", "numbers"),
    [
        ({"SortBy": "CreationTime"}, [5, 4, 3, 2, 1]),
        ({"SortBy": "LastModifiedTime", "SortOrder": "Descending"}, [1, 2, 3, 4, 5]),
        ({"SortBy": "TrainingJobName", "SortOrder": "Ascending"}, [1, 2, 3, 4, 5]),
        ({"SortBy": "Metrics.validation:mIOU", "SortOrder": "Descending"}, [5, 3, 2, 1, 4]),
        ({"SortBy": "Metrics.validation:mIOU", "SortOrder": "Ascending"}, [1, 2, 3, 5, 4]),
        ({"SortBy": "HyperParameters.epochs", "SortOrder": "Ascending"}, [1, 2, 3, 4, 5]),
    ],
)
def test_results_are_in_the_order_asked_for(
    find: Callable[..., list[int]], members: dict[str, Any], numbers: list[int]
) -> None:
    """Any property sorts, descending by default; results without a value come last in either order."""
    assert find(**members) == numbers


def test_without_an_order_the_last_changed_come_first(jobs: Sandbox, make_client: Client) -> None:
    """The default of SortBy is LastModifiedTime."""
    answer = make_client(jobs, "sagemaker").search(Resource="TrainingJob", MaxResults=1)
    assert answer["Results"][0]["TrainingJob"]["TrainingJobName"] == "job-1"


@pytest.mark.parametrize("sort_by", ["CreationTime", "Metrics.validation:mIOU", "TrainingJobStatus"])
def test_pages_hold_everything_once(jobs: Sandbox, make_client: Client, sort_by: str) -> None:
    """Pages of two, in either order, return each job once, with the total number."""
    sagemaker = make_client(jobs, "sagemaker")
    for order in ("Ascending", "Descending"):
        pages = sagemaker.get_paginator("search").paginate(
            Resource="TrainingJob", SortBy=sort_by, SortOrder=order, PaginationConfig={"PageSize": 2}
        )
        answers = list(pages)
        names = [item["TrainingJob"]["TrainingJobName"] for page in answers for item in page["Results"]]
        assert sorted(names) == [f"job-{number}" for number in range(1, 6)]
        assert len(names) == 5
        assert [page["TotalHits"] for page in answers] == [{"Value": 5, "Relation": "EqualTo"}] * 3


def test_a_record_is_the_whole_job(jobs: Sandbox, make_client: Client) -> None:
    """A result has the members of DescribeTrainingJob and the tags, without internal ones."""
    sagemaker = make_client(jobs, "sagemaker")
    answer = sagemaker.search(
        Resource="TrainingJob", SearchExpression=condition("TrainingJobName", None, "job-1")
    )
    record = answer["Results"][0]["TrainingJob"]
    described = sagemaker.describe_training_job(TrainingJobName="job-1")
    described.pop("ResponseMetadata")
    assert record == {**described, "Tags": [{"Key": "team:name", "Value": "team 1"}]}


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"SearchExpression": condition("Nonsense", "Exists")}, "Unknown property name: Nonsense"),
        ({"SearchExpression": condition("TrainingJobName.x", "Exists")}, "Unknown property name"),
        ({"SortBy": "Nonsense"}, "Unknown property name: Nonsense"),
        (
            {"SearchExpression": condition("TrainingJobName", "GreaterThan", "a")},
            "is not supported for the property",
        ),
        ({"SearchExpression": condition("BillableTimeInSeconds", "Contains", "1")}, "is not supported"),
        (
            {"SearchExpression": condition("CreationTime", "GreaterThan", "yesterday")},
            "must be a time such as",
        ),
        ({"SearchExpression": condition("Metrics.loss", "GreaterThan", "low")}, "must be a number"),
        (
            {"SearchExpression": condition("EnableManagedSpotTraining", "Equals", "perhaps")},
            "must be true or false",
        ),
        ({"SearchExpression": condition("TrainingJobName", "Equals")}, "A value is required"),
        (
            {"SearchExpression": condition("InputDataConfig", "Equals", "x")},
            "takes the operators Exists and NotExists",
        ),
        ({"SearchExpression": {"Operator": "And"}}, "needs at least one"),
        (
            {
                "SearchExpression": {
                    "Filters": [
                        {"Name": "TrainingJobName", "Operator": "Contains", "Value": value} for value in "ab"
                    ]
                }
            },
            "'CONTAINS' operator usage limit of 1 exceeded.",
        ),
        ({"NextToken": "bm9uZQ=="}, "Invalid pagination token"),
        (
            {"Resource": "Experiment"},
            "The sandbox supports Search of TrainingJob, Endpoint and ExperimentTrialComponent, not of Experiment.",
        ),
    ],
)
def test_what_aws_refuses_is_refused(
    jobs: Sandbox, make_client: Client, members: dict[str, Any], words: str
) -> None:
    """It is a ValidationException with the reason, never an empty result."""
    with pytest.raises(ClientError, match=words) as caught:
        make_client(jobs, "sagemaker").search(**{"Resource": "TrainingJob", **members})
    assert caught.value.response["Error"]["Code"] == "ValidationException"


def test_endpoints_are_searched_too(client: Client, stub_endpoint: Callable[..., str]) -> None:
    """Endpoints are searched the same way."""
    name = stub_endpoint()
    answer = client("sagemaker").search(
        Resource="Endpoint", SearchExpression=condition("EndpointName", "Equals", name)
    )
    assert answer["Results"][0]["Endpoint"]["EndpointStatus"] == "InService"


def test_a_thousand_jobs_are_searched_in_milliseconds(tmp_path: Path) -> None:
    """Documents are parsed once: the fastest of several searches takes much less than parsing alone."""
    store = RecordStore(tmp_path / "control.sqlite")
    for number in range(1000):
        store.insert("training-job", f"job-{number}", document(number))
    search = Search(store)
    query = {
        "Resource": "TrainingJob",
        "SearchExpression": condition("Metrics.validation:mIOU", "GreaterThan", "50"),
    }
    taken = []
    for _ in range(5):
        began = time.thread_time()  # without the pauses of a busy machine
        answer = search.search({**query, "SortBy": "CreationTime", "MaxResults": 100})
        taken.append(time.thread_time() - began)
    assert answer["TotalHits"]["Value"] == 499
    assert [item["TrainingJob"]["TrainingJobName"] for item in answer["Results"][:2]] == [
        "job-999",
        "job-998",
    ]
    assert min(taken) < 0.05
    store.close()


def test_a_search_sees_every_change(tmp_path: Path) -> None:
    """The next search sees inserted, updated and deleted documents; a reader's copy is unchanged."""
    store = RecordStore(tmp_path / "control.sqlite")
    store.insert("training-job", "job-1", document(1))
    search = Search(store)

    def matches() -> list[tuple[str, str]]:
        results = search.search(
            {"Resource": "TrainingJob", "SortBy": "TrainingJobName", "SortOrder": "Ascending"}
        )
        records = [item["TrainingJob"] for item in results["Results"]]
        return [(record["TrainingJobName"], record["TrainingJobStatus"]) for record in records]

    before = store.view("training-job")[0]
    store.insert("training-job", "job-2", document(2))
    store.update("training-job", "JOB-1", lambda job: job.update(TrainingJobStatus="Stopped"))
    assert matches() == [("job-1", "Stopped"), ("job-2", "Completed")]
    assert before["TrainingJobStatus"] == "Completed"
    store.delete("training-job", "Job-1")
    assert matches() == [("job-2", "Completed")]
    store.close()
