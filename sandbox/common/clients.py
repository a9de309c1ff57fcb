"""boto3 clients of the sandbox itself: what runs inside it calls it as any client does."""

from __future__ import annotations

import os
import threading
from functools import lru_cache
from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.loaders import Loader, create_loader


class Loopback:
    """One client a service, made when first asked for; safe to share between threads."""

    def __init__(self, url: str, region: str, access_key: str, secret_key: str) -> None:
        self._url = url
        # The person's own AWS files, profile, proxy and retry settings must not reach in here.
        nothing = {
            "profile": (None, None, None, None),
            "config_file": (None, None, os.devnull, None),
            "credentials_file": (None, None, os.devnull, None),
        }
        session = botocore.session.Session(session_vars=nothing)
        session.register_component("data_loader", service_descriptions())
        session.set_credentials(access_key, secret_key)
        self._session = boto3.session.Session(botocore_session=session, region_name=region)
        self._config = Config(
            proxies={},
            connect_timeout=5,
            max_pool_connections=32,
            retries={"mode": "standard", "total_max_attempts": 4},
            s3={"addressing_style": "path"},
        )
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()

    def client(self, service: str) -> Any:
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self._session.client(
                    service, endpoint_url=self._url, config=self._config
                )
            return self._clients[service]


@lru_cache(maxsize=1)
def service_descriptions() -> Loader:
    """Return the loader of botocore's service descriptions: parsing them takes most of the time to make a client."""
    return create_loader()
