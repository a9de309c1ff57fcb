"""Endpoints, read from a server that responds like AWS."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from core import errors
from core.aws.endpoints import endpoint_info, in_service, list_endpoints
from core.aws.identity import whoami
from core.aws.storage import download, get_bytes

ARN = "arn:aws:sagemaker:us-east-1:123456789012:endpoint/coastlines"
IMAGE = "811284229777.dkr.ecr.us-east-1.amazonaws.com/semantic-segmentation:1"
NAMES = json.dumps({"classes": [{"name": "water"}, {"name": "land"}]}).encode()
DENIED = (400, "AccessDeniedException", "not authorized to perform: sagemaker:Some")


def row(name: str, status: str = "InService") -> dict[str, Any]:
    return {
        "EndpointName": name,
        "EndpointArn": ARN,
        "EndpointStatus": status,
        "CreationTime": 1_790_000_000,
        "LastModifiedTime": 1_790_000_060,
    }


@pytest.fixture
def replies(canned_server: Any) -> list[Any]:
    """Return the valid responses for endpoint_info, call by call."""
    variant = {"VariantName": "all", "ModelName": "m", "InstanceType": "ml.g4dn.xlarge"}
    return [
        canned_server.json(
            row("coastlines")
            | {
                "EndpointConfigName": "c",
                "ProductionVariants": [{"VariantName": "all", "CurrentInstanceCount": 2}],
            }
        ),
        canned_server.json({"EndpointConfigName": "c", "ProductionVariants": [variant]}),
        canned_server.json(
            {"PrimaryContainer": {"Image": IMAGE, "ModelDataUrl": "s3://b/models/x/model.tar.gz"}}
        ),
        canned_server.json(
            {
                "Tags": [
                    {"Key": "segdeck:classes", "Value": "s3://b/tagged.json"},
                    {"Key": "segdeck:examples", "Value": "s3://b/examples.json"},
                ]
            }
        ),
        canned_server.mask(NAMES),
    ]


def test_the_list_goes_through_all_pages(canned_server: Any) -> None:
    """The list has every page, even after an empty one, with aware times."""
    canned_server.says(
        canned_server.json({"Endpoints": [row("b")], "NextToken": "1"}),
        canned_server.json({"Endpoints": [], "NextToken": "2"}),
        canned_server.json({"Endpoints": [row("a", "Creating")]}),
    )
    found = list_endpoints(canned_server.clients())
    assert [endpoint.name for endpoint in found.endpoints] == ["b", "a"]
    assert [endpoint.in_service for endpoint in found.endpoints] == [True, False]
    assert found.complete
    assert found.endpoints[0].created_at.tzinfo is not None


@pytest.mark.parametrize("bound", [{"max_pages": 2}, {"max_seconds": 0.0}])
def test_the_list_ends_by_pages_and_by_time(canned_server: Any, bound: dict[str, Any]) -> None:
    """An endless list is limited, and marked as incomplete."""
    canned_server.says(canned_server.json({"Endpoints": [row("a")], "NextToken": "again"}))
    found = list_endpoints(canned_server.clients(), **bound)
    assert not found.complete
    assert 1 <= len(canned_server.asked) <= 2


def test_an_empty_success_is_not_an_empty_list(canned_server: Any) -> None:
    """A lost response body is an error, not "no endpoints"."""
    canned_server.says(canned_server.json({}))
    with pytest.raises(errors.UnexpectedAnswerError, match="no Endpoints"):
        in_service(canned_server.clients())


def test_one_endpoint_with_all_that_belongs_to_it(canned_server: Any, replies: list[Any]) -> None:
    """A description has the variants, the model, the class names from the tag and the examples' URI."""
    canned_server.says(*replies)
    found = endpoint_info(canned_server.clients(), "coastlines")
    assert found.in_service
    assert [(v.name, v.instance_type, v.count, v.model) for v in found.variants] == [
        ("all", "ml.g4dn.xlarge", 2, "m")
    ]
    assert found.classes is not None
    assert found.classes.names == ("water", "land")
    assert (found.model_uri, found.examples_uri) == ("s3://b/models/x/model.tar.gz", "s3://b/examples.json")
    assert found.aws_algorithm is True
    assert found.notes == ()
    assert canned_server.asked[-1] == ("GET", "/b/tagged.json")


def test_names_lie_beside_the_model_when_no_tag_says_where(canned_server: Any, replies: list[Any]) -> None:
    """Without a tag, class names are read next to the model; if there are none, there is no note."""
    canned_server.says(*replies[:3], canned_server.json({"Tags": []}), replies[4])
    found = endpoint_info(canned_server.clients(), "coastlines")
    assert found.classes is not None
    assert canned_server.asked[-1] == ("GET", "/b/models/x/classes.json")
    absent = canned_server.raw(404, b"<Error><Code>NoSuchKey</Code><Message>None.</Message></Error>")
    canned_server.says(*replies[:3], canned_server.json({"Tags": []}), absent)
    found = endpoint_info(canned_server.clients(), "coastlines")
    assert (found.classes, found.notes) == (None, ())


def test_what_may_not_be_read_is_a_note(canned_server: Any, replies: list[Any]) -> None:
    """Class names, tags, model and configuration that may not be read are left out with a note each."""
    canned_server.says(replies[0], canned_server.error(*DENIED))
    found = endpoint_info(canned_server.clients(), "coastlines")
    assert (found.variants, found.model_uri, found.classes) == ((), "", None)
    assert found.aws_algorithm is None
    assert len(found.notes) == 2
    assert all("not allowed" in note for note in found.notes)


@pytest.mark.parametrize("body", [b'{"classes": 5}', b"\xff\xfe", b"{}", b"x" * 1_000_001])
def test_names_that_cannot_be_read_are_a_note(canned_server: Any, replies: list[Any], body: bytes) -> None:
    """An invalid or huge class names file does not prevent reading the endpoint."""
    canned_server.says(*replies[:4], canned_server.mask(body))
    found = endpoint_info(canned_server.clients(), "coastlines")
    assert found.classes is None
    assert len(found.notes) == 1


def test_an_endpoint_that_does_not_exist(canned_server: Any) -> None:
    """A missing endpoint is an error with its name."""
    canned_server.says(canned_server.error(400, "ValidationException", f'Could not find endpoint "{ARN}".'))
    with pytest.raises(errors.NotFoundError, match="coastlines"):
        endpoint_info(canned_server.clients(), "coastlines")


def test_an_object_is_read_whole_or_not_at_all(canned_server: Any) -> None:
    """An object above the limit, and a truncated one, are errors."""
    made = canned_server.clients()
    canned_server.says(canned_server.mask(b"x" * 100))
    assert get_bytes(made, "s3://b/k", max_bytes=100) == b"x" * 100
    with pytest.raises(errors.TooLargeError, match="limit is 99"):
        get_bytes(made, "s3://b/k", max_bytes=99)
    canned_server.says(canned_server.mask(b"x" * 100, length=200))
    with pytest.raises(errors.CutOffError):
        get_bytes(made, "s3://b/k")


def test_an_object_is_downloaded_in_pieces(canned_server: Any, tmp_path: Path) -> None:
    """An object is written to a file and its progress reported; one above the limit or truncated is an error."""
    made, counts = canned_server.clients(), []
    canned_server.says(canned_server.mask(b"x" * 100))
    download(made, "s3://b/k", tmp_path / "a", max_bytes=100, on_bytes=lambda *count: counts.append(count))
    assert (tmp_path / "a").read_bytes() == b"x" * 100
    assert counts[-1] == (100, 100)
    with pytest.raises(errors.TooLargeError, match="limit is 99"):
        download(made, "s3://b/k", tmp_path / "b", max_bytes=99, on_bytes=lambda *_: None)
    canned_server.says(canned_server.mask(b"x" * 100, length=200))
    with pytest.raises(errors.CutOffError):
        download(made, "s3://b/k", tmp_path / "c", max_bytes=200, on_bytes=lambda *_: None)


def test_who_we_are(canned_server: Any) -> None:
    """The caller is an account and an ARN."""
    canned_server.says(
        canned_server.raw(
            200,
            b"<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:iam::123456789012:user/me</Arn>"
            b"<UserId>U</UserId><Account>123456789012</Account></GetCallerIdentityResult>"
            b"</GetCallerIdentityResponse>",
        )
    )
    caller = whoami(canned_server.clients())
    assert (caller.account, caller.arn) == ("123456789012", "arn:aws:iam::123456789012:user/me")
