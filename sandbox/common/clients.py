"""boto3 clients of the sandbox's own API: its parts call each other as any AWS client would."""

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
    """One boto3 client per service, created on first use; safe to share between threads."""

    def __init__(self, url: str, region: str, access_key: str, secret_key: str) -> None:
        self._url = url
        # The user's own AWS files, profile, proxy and retry settings must not apply here.
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
        """Return the client of a service, e.g. "s3"."""
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self._session.client(
                    service, endpoint_url=self._url, config=self._config
                )
            return self._clients[service]

    def client_as(self, service: str, access_key: str, secret_key: str, token: str) -> Any:
        """Return a new client of a service with temporary credentials."""
        with self._lock:
            return self._session.client(
                service,
                endpoint_url=self._url,
                config=self._config,
                aws_access_key_id=access_key,
                aws_secret_access_key=secret_key,
                aws_session_token=token,
            )


@lru_cache(maxsize=1)
def service_descriptions() -> Loader:
    """Return the shared loader of botocore's service descriptions: parsing them is slow."""
    return create_loader()
