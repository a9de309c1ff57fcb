"""Boto3 clients of a sandbox."""

from __future__ import annotations

from typing import Any

import boto3
import botocore.session
from botocore.config import Config

from sandbox.common.clients import service_descriptions
from sandbox.launcher import Address


def new_client(address: Address, service: str, **config: Any) -> Any:
    """Return a new client without retries; `config` replaces members of its configuration."""
    botocore_session = botocore.session.Session()
    botocore_session.register_component("data_loader", service_descriptions())  # parsed once for all
    session = boto3.session.Session(
        address.access_key, address.secret_key, region_name=address.region, botocore_session=botocore_session
    )
    settings = Config(**{"retries": {"total_max_attempts": 1}, **config})
    return session.client(service, endpoint_url=address.url, config=settings)
