"""Training jobs, as read from a server that answers as AWS does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from core import errors
from core.aws.training import all_jobs, describe_job, list_channel_keys, list_channels, search_jobs
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
    """A page of jobs costs one Search call and no other, and tells how many there are."""
    canned_server.says(page(canned_server, "a", "b", token="next"))
    found = search_jobs(canned_server.clients(), JobFilter())
    assert [row.name for row in found.jobs] == ["a", "b"]
    assert (found.next_token, found.total, found.exact) == ("next", 3, True)
    assert canned_server.asked == [("Search", "/")]


def test_all_jobs_goes_through_the_pages_once(canned_server: Any) -> None:
    """All pages make one list; a job that moved from one page to the next stands there once."""
    canned_server.says(page(canned_server, "a", "b", token="t"), page(canned_server, "b", "c"))
    found = all_jobs(canned_server.clients(), JobFilter())
    assert [row.name for row in found.jobs] == ["a", "b", "c"]
    assert (found.total, found.complete) == (3, True)


@pytest.mark.parametrize(("pages", "seconds", "calls"), [(2, 60.0, 2), (10, 0.0, 1)])
def test_a_list_without_an_end_is_bounded(canned_server: Any, pages: int, seconds: float, calls: int) -> None:
    """A list ends after so many pages or seconds, and says that there is more."""
    canned_server.says(page(canned_server, token="again"))
    found = all_jobs(canned_server.clients(), JobFilter(), pages=pages, seconds=seconds)
    assert not found.complete
    assert len(canned_server.asked) == calls


def test_a_cut_answer_is_no_empty_list(canned_server: Any) -> None:
    """An answer that was cut on its way is an error, not a list without jobs."""
    canned_server.says(canned_server.json({}))
    with pytest.raises(errors.UnexpectedAnswerError, match="Results"):
        search_jobs(canned_server.clients(), JobFilter())
    with pytest.raises(errors.UnexpectedAnswerError):
        describe_job(canned_server.clients(), "a")


def test_a_throttled_list_does_not_slow_one_job(canned_server: Any) -> None:
    """Listings have a client of their own: when AWS throttles them, a look at one job still goes out at once."""
    clients = canned_server.clients()
    assert clients.lists is not clients.sagemaker
    assert clients.lists.meta.config.retries["mode"] == "adaptive"
    assert clients.sagemaker.meta.config.retries["mode"] == "standard"


def test_a_throttled_list_is_tried_again(canned_server: Any) -> None:
    """A list that is throttled once comes all the same."""
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
    """A quota that is reached and a name that is taken are said in words, with AWS's code beside them."""
    canned_server.says(canned_server.error(400, code, "The account-level service limit is 0."))
    with pytest.raises(errors.AwsError, match=words) as caught:
        describe_job(canned_server.clients(), "a")
    assert caught.value.code == code


def test_the_keys_of_a_channel_come_from_all_pages(canned_server: Any) -> None:
    """A channel's keys are listed to their end."""
    canned_server.says(
        canned_server.raw(200, listing("d/train/1.jpg", token="t")),
        canned_server.raw(200, listing("d/train/2.jpg")),
    )
    found = list_channel_keys(canned_server.clients(), "s3://bucket/d/train/")
    assert found.complete
    assert found.keys == ("d/train/1.jpg", "d/train/2.jpg")
    assert "prefix=d%2Ftrain%2F" in canned_server.asked[0][1]


def test_too_many_keys_are_not_half_checked(canned_server: Any) -> None:
    """A channel with more objects than are listed is left out with a note, so that no pair is called missing."""
    canned_server.says(canned_server.raw(200, listing("d/train/1.jpg", "d/train/2.jpg", token="t")))
    found = list_channels(canned_server.clients(), data_channels("s3://bucket/d")[:1], cap=2)
    assert found.keys == {}
    assert "more than 2 objects" in found.notes[0]


def test_a_channel_that_cannot_be_listed_does_not_stop_the_others(canned_server: Any) -> None:
    """A channel without permission, and one that reads a manifest, leave a note; the others are listed."""
    denied = canned_server.raw(403, b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>")
    canned_server.says(denied, canned_server.raw(200, listing("d/validation/1.jpg")))
    manifest = replace(Channel("label_map", "s3://b/m"), data_type="ManifestFile")
    found = list_channels(canned_server.clients(), (manifest, *data_channels("s3://bucket/d")[:2]))
    assert found.keys == {"validation": ("d/validation/1.jpg",)}
    assert len(found.notes) == 2


def test_a_channel_address_must_be_in_s3(canned_server: Any) -> None:
    """An address that is none of S3's is refused before any call."""
    with pytest.raises(errors.InputError, match="no address in S3"):
        list_channel_keys(canned_server.clients(), "https://bucket/d")
