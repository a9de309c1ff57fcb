"""The training job filter."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import botocore.loaders
import botocore.model
import botocore.validate
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.training.filters import SORTS, STATUSES, JobFilter

SAGEMAKER = botocore.model.ServiceModel(
    botocore.loaders.Loader().load_service_model("sagemaker", "service-2")
)
SEARCH = SAGEMAKER.operation_model("Search").input_shape
FILTERS = st.builds(
    JobFilter,
    statuses=st.sets(st.sampled_from(STATUSES)).map(lambda some: tuple(s for s in STATUSES if s in some)),
    text=st.from_regex(r"[a-zA-Z0-9-]{0,63}", fullmatch=True),
    created_from=st.none() | st.datetimes(timezones=st.just(UTC)).map(lambda at: at.replace(microsecond=0)),
    created_to=st.none() | st.datetimes(timezones=st.just(UTC)).map(lambda at: at.replace(microsecond=0)),
    only_segmentation=st.booleans(),
    sort=st.sampled_from(list(SORTS)),
    descending=st.booleans(),
)


@settings(deadline=None)
@given(FILTERS)
def test_a_filter_survives_url_parameters(wanted: JobFilter) -> None:
    """Any filter is the same after conversion to URL parameters and back."""
    found = JobFilter.from_query(wanted.to_query())
    assert found == wanted
    assert found.notes == ()


@settings(deadline=None)
@given(FILTERS)
def test_botocore_accepts_the_search(wanted: JobFilter) -> None:
    """Any filter makes a Search request that passes botocore's validation."""
    request = wanted.to_search(next_token="t")
    assert botocore.validate.ParamValidator().validate(request, SEARCH).generate_report() == ""


def test_the_default_filter_has_no_url_parameters() -> None:
    """The default filter has no URL parameters: this algorithm's jobs, newest first."""
    assert JobFilter().to_query() == {}
    assert JobFilter.from_query({}) == JobFilter()
    assert JobFilter().to_search() == {
        "Resource": "TrainingJob",
        "SearchExpression": {
            "Filters": [
                {
                    "Name": "AlgorithmSpecification.TrainingImage",
                    "Operator": "Contains",
                    "Value": "semantic-segmentation",
                }
            ],
            "Operator": "And",
        },
        "SortBy": "CreationTime",
        "SortOrder": "Descending",
        "MaxResults": 100,
    }


def test_every_part_becomes_a_filter_of_search() -> None:
    """Statuses, text and times become Search filters; times are in UTC without a zone."""
    query = {
        "status": "Failed,Stopped",
        "text": "roads",
        "from": "2026-11-01",
        "to": "2026-11-02",
        "all": "1",
    }
    request = JobFilter.from_query(query).to_search(limit=7)
    assert [tuple(row.values()) for row in request["SearchExpression"]["Filters"]] == [
        ("TrainingJobName", "Contains", "roads"),
        ("TrainingJobStatus", "In", "Failed,Stopped"),
        ("CreationTime", "GreaterThanOrEqualTo", "2026-11-01T00:00:00"),
        ("CreationTime", "LessThanOrEqualTo", "2026-11-02T23:59:59"),
    ]
    assert (request["MaxResults"], "NextToken" in request) == (7, False)
    one = JobFilter(statuses=("Failed",), only_segmentation=False).to_search()
    assert one["SearchExpression"]["Filters"][0]["Operator"] == "Equals"
    assert "SearchExpression" not in JobFilter(only_segmentation=False).to_search()


def test_a_time_of_another_zone_is_the_same_moment() -> None:
    """A time may have a time zone; it is converted to UTC."""
    found = JobFilter.from_query({"from": "2026-11-01T09:00:00+09:00"})
    assert found.created_from == datetime(2026, 11, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"status": "Failing"}, "Failing"), ({"text": "a b"}, "'a b'"), ({"from": "yesterday"}, "yesterday"),
        ({"to": "2026-13-01"}, "2026-13-01"), ({"all": "perhaps"}, "perhaps"), ({"sort": "price"}, "price"),
        ({"desc": "up"}, "up"), ({"text": "x" * 64}, "xxx"), ({"from": "0001-01-01T00:00:00+23:00"}, "0001"),
    ],
)  # fmt: skip
def test_a_bad_value_is_left_out_with_a_note(query: dict[str, str], words: str) -> None:
    """An invalid value is ignored, with a note."""
    found = JobFilter.from_query(query)
    assert found == JobFilter()
    assert len(found.notes) == 1
    assert words in found.notes[0]


def test_unknown_keys_are_ignored() -> None:
    """Unknown URL parameters are ignored."""
    assert JobFilter.from_query({"job": "a", "utm": "b"}) == JobFilter()


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["status", "text", "from", "to", "all", "sort", "desc"]), st.text()))
def test_any_url_parameters_are_a_filter(query: dict[str, str]) -> None:
    """Any URL parameters make a filter that converts back to URL parameters."""
    found = JobFilter.from_query(query)
    assert JobFilter.from_query(found.to_query()) == found


def test_a_list_filters_by_what_it_can() -> None:
    """ListTrainingJobs gets the filters it has, a period with both ends inside, and the others are named."""
    at = datetime(2026, 11, 22, tzinfo=UTC)
    params = JobFilter(
        statuses=("Failed",), text="roads", created_from=at, created_to=at, sort="modified"
    ).to_list(next_token="t")
    second = timedelta(seconds=1)
    assert params == {
        "NameContains": "roads",
        "StatusEquals": "Failed",
        "CreationTimeAfter": at - second,
        "CreationTimeBefore": at + second,
        "SortBy": "CreationTime",
        "SortOrder": "Descending",
        "MaxResults": 100,
        "NextToken": "t",
    }
    assert "StatusEquals" not in JobFilter(statuses=("Failed", "Stopped")).to_list()
    assert len(JobFilter(sort="modified").not_listed()) == 2
    assert JobFilter(only_segmentation=False).not_listed() == ()
