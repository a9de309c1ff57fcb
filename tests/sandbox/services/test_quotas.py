"""Service Quotas of the sandbox, and its refusal of prices."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sandbox.common.limits import SandboxLocation
from sandbox.http.protocol import ApiError
from sandbox.server import Sandbox
from sandbox.services.quotas.service import Quotas

Client = Callable[..., Any]
TRAINING = "ml.g4dn.xlarge for training job usage"
LIST = {"ServiceCode": "sagemaker"}


@pytest.fixture
def quotas(client: Client) -> Any:
    return client("service-quotas")


@pytest.fixture
def values(tmp_path: Path) -> Callable[[str], Quotas]:
    """values(text) -> the service with this text in its file."""

    def make(text: str) -> Quotas:
        (tmp_path / "quotas.json").write_text(text)
        return Quotas(tmp_path, SandboxLocation())

    return make


def _listed(quotas: Any) -> Iterator[dict[str, Any]]:
    for page in quotas.get_paginator("list_service_quotas").paginate(ServiceCode="sagemaker"):
        yield from page["Quotas"]


def test_names_and_values(quotas: Any) -> None:
    """Each instance type has quotas for training, endpoints and transform jobs under AWS's names, above zero."""
    listed = {quota["QuotaName"]: quota for quota in _listed(quotas)}
    for usage in ("training job usage", "spot training job usage", "endpoint usage", "transform job usage"):
        assert listed[f"ml.g4dn.xlarge for {usage}"]["Value"] > 0
    one = listed[TRAINING]
    assert one["Adjustable"]
    assert quotas.get_service_quota(ServiceCode="sagemaker", QuotaCode=one["QuotaCode"])["Quota"] == one
    assert len({quota["QuotaCode"] for quota in listed.values()}) == len(listed)


def test_values_of_the_file(values: Callable[[str], Quotas]) -> None:
    """The file sets values and adds quotas; AWS's default stays what it was."""
    service = values(json.dumps({TRAINING: 0, "ml.x.large for endpoint usage": 7}))
    sizes = {**LIST, "MaxResults": 100_000}
    listed = {
        quota["QuotaName"]: quota["Value"] for quota in service.call("ListServiceQuotas", sizes)["Quotas"]
    }
    assert (listed[TRAINING], listed["ml.x.large for endpoint usage"]) == (0, 7)
    defaults = service.call("ListAWSDefaultServiceQuotas", sizes)["Quotas"]
    assert next(quota["Value"] for quota in defaults if quota["QuotaName"] == TRAINING) > 0


@pytest.mark.parametrize("text", ["{", "[]", '{"a": "1"}', '{"a": true}', '{"a": -1}'])
def test_invalid_file(values: Callable[[str], Quotas], text: str) -> None:
    """An invalid file is an error that names it."""
    with pytest.raises(ApiError, match=r"quotas\.json"):
        values(text).call("ListServiceQuotas", LIST)


def test_unknown_service_quota_and_token(quotas: Any) -> None:
    """Another service, an unknown quota and a forged token are refused."""
    for call, members, code in (
        (quotas.list_service_quotas, {"ServiceCode": "ec2"}, "NoSuchResourceException"),
        (quotas.get_service_quota, {**LIST, "QuotaCode": "L-0"}, "NoSuchResourceException"),
        (quotas.list_service_quotas, {**LIST, "NextToken": "junk"}, "InvalidPaginationTokenException"),
    ):
        with pytest.raises(ClientError) as caught:
            call(**members)
        assert caught.value.response["Error"]["Code"] == code


def test_prices_are_refused(sandbox: Sandbox, client: Client) -> None:
    """GetProducts says that the sandbox bills nothing."""
    with pytest.raises(ClientError, match="it bills nothing and publishes no prices"):
        client("pricing").get_products(ServiceCode="AmazonSageMaker")
