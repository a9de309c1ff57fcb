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


START_SECONDS = 60.0
"""Seconds for which a request waits until its region serves."""


class _Entry:
    """A region that is being started, or serves. region: set once it serves. settled: set then, or when it failed."""

    def __init__(self) -> None:
        self.region: Region | None = None
        self.settled = threading.Event()


class Regions:
    """The regions of one sandbox. A request for one that is being started waits until it serves.

    loopback: region -> clients of the sandbox for it. make: opens a region in its folder.
    """

    def __init__(
        self,
        folder: Path,
        home: SandboxLocation,
        loopback: Callable[[str], Loopback],
        shared: SharedServices,
        make: Callable[[Path, SandboxLocation, Loopback, SharedServices], Region] = Region,
    ) -> None:
        self._folder, self._loopback, self._shared, self._make = folder / FOLDER, loopback, shared, make
        self._lock = threading.Lock()
        self._started = self._closed = False
        self.home = make(folder, home, loopback(home.region), shared)
        self._entries = {home.region: _Entry()}

    def start(self) -> None:
        """Start the home region and all others that have been used before."""
        self._started = True
        entry = self._entries[self.home.location.region]
        try:
            self.home.start()
            entry.region = self.home
        finally:
            entry.settled.set()
        for path in sorted(self._folder.iterdir()) if self._folder.is_dir() else ():
            if path.name in known_regions():
                self.region(path.name)

    def services(self, name: str, service_name: str) -> Services:
        """Return the services of the region that a request is signed for. Raises ApiError for an unknown region.

        Services that are the same in all regions, and clients with an invented region for them, get the home region.
        """
        return self.home.services if service_name in GLOBAL else self.region(name).services

    def region(self, name: str) -> Region:
        """Return a region that serves; the first request starts it. Raises ApiError for an unknown one."""
        entry = self._entries.get(name)
        if entry is not None and entry.region is not None:
            return entry.region
        if name not in known_regions() and entry is None:
            raise ApiError(
                "UnrecognizedClientException",
                f"The sandbox has no region {name!r}: it has the commercial regions of SageMaker.",
                400,
            )
        with self._lock:
            if self._closed:
                raise ApiError("ServiceUnavailable", "The sandbox is stopping.", 503)
            entry = self._entries.get(name)
            first = entry is None
            if entry is None:
                entry = self._entries[name] = _Entry()
        if first:
            return self._open(name, entry)
        entry.settled.wait(START_SECONDS)
        if entry.region is None:
            text = f"The region {name} could not be started, or takes longer than {START_SECONDS:.0f} s."
            raise ApiError("ServiceUnavailable", f"{text} Try again.", 503)
        return entry.region

    def end_programs(self) -> None:
        """End every program of every region."""
        with self._lock:
            self._closed = True
        if not self._started:
            self._entries[self.home.location.region].settled.set()
        for region in self._opened():
            region.end_programs()

    def close(self) -> None:
        """Close the databases."""
        for region in self._opened():
            region.close()

    def _open(self, name: str, entry: _Entry) -> Region:
        """Start a region, and only then let requests reach it. If it fails, the next request tries again."""
        try:
            location = replace(self.home.location, region=name)
            region = self._make(self._folder / name, location, self._loopback(name), self._shared)
            try:
                region.start()
            except BaseException:
                entry.settled.set()  # what it has started may be waiting for it
                region.end_programs()
                region.close()
                raise
        except BaseException:
            entry.settled.set()
            with self._lock:
                del self._entries[name]
            raise
        entry.region = region
        entry.settled.set()
        return region

    def _opened(self) -> list[Region]:
        """Return the home region and all others that serve, once none is being started."""
        with self._lock:
            entries = list(self._entries.values())
        for entry in entries:
            entry.settled.wait(START_SECONDS)
        others = [entry.region for entry in entries if entry.region not in (None, self.home)]
        return [self.home, *(region for region in others if region is not None)]


@lru_cache(maxsize=1)
def known_regions() -> frozenset[str]:
    """Return the commercial regions of SageMaker, from botocore's list of endpoints."""
    nothing = {"profile": (None, None, None, None), "config_file": (None, None, os.devnull, None)}
    session = botocore.session.Session(session_vars=nothing)
    session.register_component("data_loader", service_descriptions())
    return frozenset(session.get_available_regions("sagemaker", "aws"))
