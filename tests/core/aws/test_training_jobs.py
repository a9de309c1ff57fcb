"""Training jobs, read from a server that responds like AWS."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core import errors
from core.aws.training import (
    all_jobs,
    check_buckets,
    describe_job,
    list_channel_keys,
    list_channels,
    search_jobs,
)
from core.training.channels import Channel, data_channels
from core.training.filters import JobFilter

IMAGE = "811284229777.dkr.ecr.us-east-1.amazonaws.com/semantic-segmentation:1"


def job(name: str, **more: Any) -> dict[str, Any]:
    return {
        "TrainingJobName": name,
        "TrainingJobArn": f"arn:aws:sagemaker:us-east-1:123456789012:training-job/{name}",
        "TrainingJobStatus": "Completed",
        "SecondaryStatus": "Completed",
        "CreationTime": 1_790_000_000,
        "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        **more,
    }


def page(server: Any, *names: str, token: str = "", total: int = 3) -> Any:
    answer: dict[str, Any] = {"Results": [{"TrainingJob": job(name)} for name in names]}
    answer["TotalHits"] = {"Value": total, "Relation": "EqualTo"}
    return server.json(answer | ({"NextToken": token} if token else {}))


def listing(*keys: str, token: str = "") -> bytes:
    rows = "".join(f"<Contents><Key>{key}</Key><Size>1</Size></Contents>" for key in keys)
    more = f"<NextContinuationToken>{token}</NextContinuationToken>" if token else ""
    cut = "true" if token else "false"
    return f"<ListBucketResult><IsTruncated>{cut}</IsTruncated>{more}{rows}</ListBucketResult>".encode()


def test_a_page_of_jobs_is_one_call(canned_server: Any) -> None:
    """A page of jobs takes one Search call, and has the total number."""
    canned_server.says(page(canned_server, "a", "b", token="next"))
    found = search_jobs(canned_server.clients(), JobFilter())
    assert [row.name for row in found.jobs] == ["a", "b"]
    assert (found.next_token, found.total, found.exact) == ("next", 3, True)
    assert canned_server.asked == [("Search", "/")]


def test_all_jobs_goes_through_the_pages_once(canned_server: Any) -> None:
    """All pages make one list; a job that moved between two pages is listed once."""
    canned_server.says(page(canned_server, "a", "b", token="t"), page(canned_server, "b", "c"))
    found = all_jobs(canned_server.clients(), JobFilter())
    assert [row.name for row in found.jobs] == ["a", "b", "c"]
    assert (found.total, found.complete) == (3, True)


@pytest.mark.parametrize(("pages", "seconds", "calls"), [(2, 60.0, 2), (10, 0.0, 1)])
def test_a_list_without_an_end_is_bounded(canned_server: Any, pages: int, seconds: float, calls: int) -> None:
    """A list ends after a number of pages or seconds, and is marked as incomplete."""
    canned_server.says(page(canned_server, token="again"))
    found = all_jobs(canned_server.clients(), JobFilter(), pages=pages, seconds=seconds)
    assert not found.complete
    assert len(canned_server.asked) == calls


def test_a_cut_answer_is_no_empty_list(canned_server: Any) -> None:
    """A truncated response is an error, not an empty list."""
    canned_server.says(canned_server.json({}))
    with pytest.raises(errors.UnexpectedAnswerError, match="Results"):
        search_jobs(canned_server.clients(), JobFilter())
    with pytest.raises(errors.UnexpectedAnswerError):
        describe_job(canned_server.clients(), "a")


def test_a_throttled_list_does_not_slow_one_job(canned_server: Any) -> None:
    """Listings have a separate client: while AWS throttles them, reading one job is not delayed."""
    clients = canned_server.clients()
    assert clients.lists is not clients.sagemaker
    assert clients.lists.meta.config.retries["mode"] == "adaptive"
    assert clients.sagemaker.meta.config.retries["mode"] == "standard"


def test_a_throttled_list_is_tried_again(canned_server: Any) -> None:
    """A list that is throttled once is retried."""
    canned_server.says(
        canned_server.error(400, "ThrottlingException", "Rate exceeded"), page(canned_server, "a")
    )
    assert len(search_jobs(canned_server.clients(), JobFilter()).jobs) == 1


def test_a_job_that_is_not_there(canned_server: Any) -> None:
    """SageMaker's "Requested resource not found." is NotFoundError."""
    canned_server.says(canned_server.error(400, "ValidationException", "Requested resource not found."))
    with pytest.raises(errors.NotFoundError):
        describe_job(canned_server.clients(), "nowhere")


@pytest.mark.parametrize(
    ("code", "words"), [("ResourceLimitExceeded", "quota"), ("ResourceInUse", "name is taken")]
)
def test_quota_and_taken_name_have_words(canned_server: Any, code: str, words: str) -> None:
    """A reached quota and a taken name are explained, with AWS's code."""
    canned_server.says(canned_server.error(400, code, "The account-level service limit is 0."))
    with pytest.raises(errors.AwsError, match=words) as caught:
        describe_job(canned_server.clients(), "a")
    assert caught.value.code == code


def test_the_keys_of_a_channel_come_from_all_pages(canned_server: Any) -> None:
    """All keys of a channel are listed, over all pages."""
    canned_server.says(
        canned_server.raw(200, listing("d/train/1.jpg", token="t")),
        canned_server.raw(200, listing("d/train/2.jpg")),
    )
    found = list_channel_keys(canned_server.clients(), "s3://bucket/d/train/")
    assert found.complete
    assert found.keys == ("d/train/1.jpg", "d/train/2.jpg")
    assert "prefix=d%2Ftrain%2F" in canned_server.asked[0][1]


def test_too_many_keys_are_not_half_checked(canned_server: Any) -> None:
    """A channel with too many objects is left out with a note, so that no pair is reported missing."""
    canned_server.says(canned_server.raw(200, listing("d/train/1.jpg", "d/train/2.jpg", token="t")))
    found = list_channels(canned_server.clients(), data_channels("s3://bucket/d")[:1], cap=2)
    assert found.keys == {}
    assert "more than 2 objects" in found.notes[0]


def test_a_channel_that_cannot_be_listed_does_not_stop_the_others(canned_server: Any) -> None:
    """A channel without permission, and one that reads a manifest, get a note; the others are listed."""
    denied = canned_server.raw(403, b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>")
    canned_server.says(denied, canned_server.raw(200, listing("d/validation/1.jpg")))
    manifest = replace(Channel("label_map", "s3://b/m"), data_type="ManifestFile")
    found = list_channels(canned_server.clients(), (manifest, *data_channels("s3://bucket/d")[:2]))
    assert found.keys == {"validation": ("d/validation/1.jpg",)}
    assert len(found.notes) == 2


def test_a_channel_address_must_be_in_s3(canned_server: Any) -> None:
    """A URI that is not in S3 is rejected before any call."""
    with pytest.raises(errors.InputError, match="not an S3 URI"):
        list_channel_keys(canned_server.clients(), "https://bucket/d")


def summary(name: str, status: str = "Completed", created: int = 1_790_000_000) -> dict[str, Any]:
    return {"TrainingJobName": name, "TrainingJobStatus": status, "CreationTime": created}


DENIED = (403, "AccessDeniedException", "User is not authorized to perform: sagemaker:Search")
REJECTED = (400, "ValidationException", "Unknown property name: AlgorithmSpecification.TrainingImage")
UNSUPPORTED = (400, "UnknownOperationException", "")


@pytest.mark.parametrize("refusal", [DENIED, REJECTED, UNSUPPORTED])
def test_without_search_the_jobs_are_listed(canned_server: Any, refusal: tuple[int, str, str]) -> None:
    """Where Search is denied, unsupported or rejects a filter, one ListTrainingJobs call per page lists the jobs."""
    canned_server.says(
        canned_server.error(*refusal),
        canned_server.json({"TrainingJobSummaries": [summary("a")], "NextToken": "t"}),
        canned_server.json({"TrainingJobSummaries": [summary("b", "Failed")]}),
    )
    listing = all_jobs(canned_server.clients(), JobFilter())
    assert [(row.name, row.status, row.summary) for row in listing.jobs] == [
        ("a", "Completed", True),
        ("b", "Failed", True),
    ]
    assert (listing.total, listing.complete) == (None, True)
    assert [operation for operation, _ in canned_server.asked] == ["Search", *["ListTrainingJobs"] * 2]
    assert "Only names, statuses and times" in listing.notes[0]
    assert "other algorithms are included" in listing.notes[1]


def test_a_list_keeps_to_the_filter(canned_server: Any) -> None:
    """ListTrainingJobs takes one status and no end of a period, so its rows are filtered once more."""
    at = datetime(2026, 9, 21, tzinfo=UTC)
    rows = [summary(str(days), "Failed", int((at + timedelta(days=days)).timestamp())) for days in range(3)]
    rows.append(summary("done", "Completed", int(at.timestamp())))
    canned_server.says(canned_server.error(*DENIED), canned_server.json({"TrainingJobSummaries": rows}))
    job_filter = JobFilter(statuses=("Failed", "Stopped"), created_to=at + timedelta(days=1))
    listing = all_jobs(canned_server.clients(), job_filter)
    assert [row.name for row in listing.jobs] == ["0", "1"]


def test_a_denied_description_is_searched_for(canned_server: Any) -> None:
    """A job that may not be described comes from Search, with a note; if that fails too, the first error counts."""
    message = "not authorized to perform: sagemaker:DescribeTrainingJob"
    denied = canned_server.error(403, "AccessDeniedException", message)
    canned_server.says(denied, page(canned_server, "a"))
    found = describe_job(canned_server.clients(), "a")
    assert found.name == "a"
    assert "DescribeTrainingJob" in found.notes[0]
    canned_server.says(denied, canned_server.error(*DENIED))
    with pytest.raises(errors.DeniedError, match="DescribeTrainingJob"):
        describe_job(canned_server.clients(), "a")


NO_BUCKET = b"<Error><Code>NoSuchBucket</Code><Message>The specified bucket does not exist</Message></Error>"


def test_a_missing_bucket_is_an_empty_channel(canned_server: Any) -> None:
    """A channel whose bucket does not exist has no objects, which fails the checks; a note names the bucket."""
    canned_server.says(canned_server.raw(404, NO_BUCKET))
    found = list_channels(canned_server.clients(), data_channels("s3://nowhere/d")[:1])
    assert found.keys == {"train": ()}
    assert "Could not find the bucket nowhere." in found.notes[0]


def test_a_missing_destination_is_an_error(canned_server: Any) -> None:
    """A bucket that a job would write to and that does not exist is an error; one that may not be read, a note."""
    denied = canned_server.raw(403, b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>")
    canned_server.says(canned_server.raw(404, NO_BUCKET), denied)
    uris = {"output_uri": "s3://nowhere/out/", "checkpoint_uri": "s3://closed/c/", "other": ""}
    problems, notes = check_buckets(canned_server.clients(), uris)
    assert [(problem.name, problem.severity) for problem in problems] == [("output_uri", "error")]
    assert "Could not find the bucket nowhere." in problems[0].message
    assert len(notes) == 1
    assert "s3://closed/c/" in notes[0]
