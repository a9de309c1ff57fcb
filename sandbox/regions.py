"""The regions of the sandbox: its home region, and others, each made by the first request that is signed for it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import botocore.session

from sandbox.common.clients import Loopback, service_descriptions
from sandbox.common.limits import SandboxLocation
from sandbox.http.gateway import Services
from sandbox.http.protocol import ApiError
from sandbox.region import Region, SharedServices

FOLDER = "regions"
"""The folder of all regions but the home region, which keeps its files where there was only one region."""

GLOBAL = frozenset({"iam", "sts", "s3"})
"""Services that are the same in all regions."""


class Regions:
    """The regions of one sandbox. loopback: region -> clients of the sandbox for it."""

    def __init__(
        self,
        folder: Path,
        home: SandboxLocation,
        loopback: Callable[[str], Loopback],
        shared: SharedServices,
    ) -> None:
        self._folder, self._loopback, self._shared = folder / FOLDER, loopback, shared
        self._lock = threading.Lock()
        self._started = self._closed = False
        self.home = Region(folder, home, loopback(home.region), shared)
        self._open = {home.region: self.home}

    def start(self) -> None:
        """Start the home region and all others that have been used before."""
        with self._lock:
            self._started = True
            for path in sorted(self._folder.iterdir()) if self._folder.is_dir() else ():
                if path.name in known_regions() and path.name not in self._open:
                    self._make(path.name)
            for region in self._open.values():
                region.start()

    def services(self, name: str, service_name: str) -> Services:
        """Return the services of the region that a request is signed for. Raises ApiError for an unknown region.

        Services that are the same in all regions, and clients with an invented region for them, get the home region.
        """
        if name not in self._open and service_name in GLOBAL:
            return self.home.services
        return self.region(name).services

    def region(self, name: str) -> Region:
        """Return a region, made when first needed. Raises ApiError for an unknown one."""
        region = self._open.get(name)
        if region is not None:
            return region
        if name not in known_regions():
            raise ApiError(
                "UnrecognizedClientException",
                f"The sandbox has no region {name!r}: it has the commercial regions of SageMaker.",
                400,
            )
        with self._lock:
            if self._closed:
                raise ApiError("ServiceUnavailable", "The sandbox is stopping.", 503)
            if name not in self._open:
                region = self._make(name)
                if self._started:
                    region.start()
            return self._open[name]

    def end_programs(self) -> None:
        """End every program of every region."""
        with self._lock:
            self._closed = True
            for region in self._open.values():
                region.end_programs()

    def close(self) -> None:
        """Close the databases."""
        for region in self._open.values():
            region.close()

    def _make(self, name: str) -> Region:
        location = replace(self.home.location, region=name)
        region = self._open[name] = Region(self._folder / name, location, self._loopback(name), self._shared)
        return region


@lru_cache(maxsize=1)
def known_regions() -> frozenset[str]:
    """Return the commercial regions of SageMaker, from botocore's list of endpoints."""
    nothing = {"profile": (None, None, None, None), "config_file": (None, None, os.devnull, None)}
    session = botocore.session.Session(session_vars=nothing)
    session.register_component("data_loader", service_descriptions())
    return frozenset(session.get_available_regions("sagemaker", "aws"))
