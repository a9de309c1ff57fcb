"""A connection to AWS, or to the sandbox in its place, and the clients made from it.

Making a client is slow (about 0.1 s, most of it to parse botocore's description of the service), and boto3 documents
clients as safe to share between threads but Sessions as not. So each Connection has one Session, used under a lock,
its clients are made once, and all Sessions share the parsed descriptions.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from threading import Lock, RLock
from typing import Any

import boto3
from botocore.config import Config
from botocore.loaders import Loader, create_loader
from botocore.session import Session

from core.aws.errors import AwsLocation, Todos, translated
from core.errors import CredentialsError, SettingsError
from core.settings import AWS_SECONDS, Settings

CONNECT_SECONDS = 5
ATTEMPTS = 3
INVOKE_SECONDS = 70
"""AWS ends a model's run after 60 s, and asks for a socket timeout of 70 s (text of botocore's service model)."""

PRICE_SECONDS = 10
LIST_ATTEMPTS = 4
SECONDS_FOR_ATTEMPT = 10
"""Where a call may take less than this for each attempt, it is tried less often."""

UPLOAD_ATTEMPTS = 8
CONNECTIONS = 32
"""Sockets kept by one client: more threads than this wait for each other."""

READS = re.compile(r"(Batch)?(Describe|Get|List|Head|Filter)[A-Z].*|Search|InvokeEndpoint")
"""Operations that change nothing. (Invoking an endpoint runs its model, and changes nothing either.)"""

PRICING_REGION = "us-east-1"
"""The Price List service answers in few regions, and for all of them."""


@dataclass(frozen=True, slots=True)
class Connection:
    """Where to and as whom. A value: the key of every cache.

    region:     such as "eu-west-1".
    aws_url:    the address of the API; None: AWS itself.
    profile:    None: AWS's own chain of credentials.
    access_key: given only for the sandbox, with secret_key; the chain is then not asked.
    seconds:    how long a call may take in all, retries included; a model's run and an upload may take longer.
    """

    region: str
    aws_url: str | None = None
    profile: str | None = None
    access_key: str | None = None
    secret_key: str | None = field(default=None, repr=False)
    seconds: int = AWS_SECONDS

    @property
    def is_sandbox(self) -> bool:
        """Whether this is our own sandbox."""
        return self.access_key is not None

    @property
    def place(self) -> AwsLocation:
        """The same in words, for errors."""
        if self.is_sandbox:
            return AwsLocation(f"the sandbox ({self.aws_url})", sandbox=True)
        return AwsLocation(f"{self.aws_url} ({self.region})" if self.aws_url else f"AWS in {self.region}")


class Clients:
    """boto3 clients of one connection, each made when it is first asked for.

    invoke_seconds: how long an answer of a model may take.
    read_seconds:   the same of any other call's single attempt; None: what the connection's seconds leave for it.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        invoke_seconds: float = INVOKE_SECONDS,
        read_seconds: float | None = None,
    ) -> None:
        self.connection = connection
        self._invoke_seconds = invoke_seconds
        self._read_seconds = read_seconds
        self._lock = RLock()
        self._session: Any = None
        self._made: dict[tuple[str, bool], Any] = {}

    @property
    def runtime(self) -> Any:
        """`sagemaker-runtime`. It never retries: each try runs, and bills, the model."""
        return self._client(
            "sagemaker-runtime", read_timeout=self._invoke_seconds, retries={"total_max_attempts": 1}
        )

    @property
    def sagemaker(self) -> Any:
        """`sagemaker`."""
        return self._client("sagemaker")

    @property
    def lists(self) -> Any:
        """`sagemaker` for listings. AWS throttles those first; this client slows itself then, and no other call."""
        options = self._bounded(LIST_ATTEMPTS, "adaptive")
        return self._client("sagemaker", name="lists", **options)

    def client_for_changes(self, service: str) -> Any:
        """A service for changes. It never retries: `core.aws.execute` looks first at what became of a try."""
        more = self._s3_options() if service == "s3" else {}
        return self._client(service, may_change=True, **self._bounded(1, "standard"), **more)

    @property
    def client_for_uploads(self) -> Any:
        """`s3` for changes that do no harm when they are made twice; S3 may throttle many of them for a while."""
        retries = {"mode": "standard", "total_max_attempts": UPLOAD_ATTEMPTS}
        made = self._client("s3", name="uploads", may_change=True, retries=retries, **self._s3_options())
        made.meta.events.register("before-sign.s3.PutObject", _without_expect, unique_id="without-expect")
        return made

    @property
    def metrics(self) -> Any:
        """`sagemaker-metrics`."""
        return self._client("sagemaker-metrics")

    @property
    def cloudwatch(self) -> Any:
        """`cloudwatch`."""
        return self._client("cloudwatch")

    @property
    def pricing(self) -> Any:
        """`pricing`. Prices are worth a few seconds, no more: there is a table without it."""
        return self._client(
            "pricing",
            region=PRICING_REGION,
            **self._bounded(1, "standard", longest=PRICE_SECONDS),
        )

    @property
    def s3(self) -> Any:
        """`s3`, signing in version 4: in us-east-1 botocore would presign with version 2."""
        return self._client("s3", **self._s3_options())

    @property
    def autoscaling(self) -> Any:
        """`application-autoscaling`."""
        return self._client("application-autoscaling")

    @property
    def sts(self) -> Any:
        """`sts`."""
        return self._client("sts")

    @property
    def logs(self) -> Any:
        """`logs`."""
        return self._client("logs")

    @contextmanager
    def calling(self, doing: str, *, todos: Todos | None = None) -> Iterator[None]:
        """Stands around every use of a client, the making included: errors become ours (see `translated`).

        After a CredentialsError the Session is dropped: it remembers its keys, and a person who signs in again
        should not have to restart us.
        """
        try:
            with translated(doing, self.connection.place, todos=todos):
                yield
        except CredentialsError:
            self._forget()
            raise

    def _s3_options(self) -> dict[str, Any]:
        style = {"addressing_style": "path"} if self.connection.aws_url else {}
        return {"signature_version": "s3v4", "s3": style}

    def _client(
        self, service: str, *, name: str = "", region: str = "", may_change: bool = False, **options: Any
    ) -> Any:
        """Return the client of a service, made at its first use.

        name:       tells apart several clients of one service.
        may_change: without it the client refuses every operation that may change something.
        """
        key = (name or service, may_change)
        with self._lock:
            if key not in self._made:
                made = self._make(service, region or self.connection.region, options)
                if not may_change:
                    made.meta.events.register("before-parameter-build", _refuse_changes)
                self._made[key] = made
            return self._made[key]

    def _make(self, service: str, region: str, options: dict[str, Any]) -> Any:
        connection = self.connection
        self._session = self._session or _session(connection)
        defaults: dict[str, Any] = {
            "max_pool_connections": CONNECTIONS,
            **self._bounded(ATTEMPTS, "standard"),
        }
        if connection.is_sandbox:
            defaults["proxies"] = {}  # HTTP_PROXY is for the world outside, not for this machine
        return self._session.client(
            service,
            region_name=region,
            endpoint_url=connection.aws_url,
            config=Config(**(defaults | options)),
        )

    def _bounded(self, most: int, mode: str, longest: float = math.inf) -> dict[str, Any]:
        """Return how often a call is tried and how long each attempt may take, so that all stay within the bound."""
        attempts, seconds = attempts_within(self.connection.seconds, most)
        seconds = min(seconds, longest, math.inf if self._read_seconds is None else self._read_seconds)
        return {
            "connect_timeout": min(CONNECT_SECONDS, seconds),
            "read_timeout": seconds,
            "retries": {"mode": mode, "total_max_attempts": attempts},
        }

    def _forget(self) -> None:
        with self._lock:
            self._session = None
            self._made.clear()


def attempts_within(seconds: float, most: int) -> tuple[int, float]:
    """Return how many attempts a bound of so many seconds allows, and how long each may wait for its reply.

    botocore pauses before attempt n + 1 for up to 2 ** (n - 1) seconds, so the pauses sum to 2 ** (attempts - 1) - 1.
    """
    attempts = max(1, min(most, int(seconds // SECONDS_FOR_ATTEMPT)))
    return attempts, (seconds - (2 ** (attempts - 1) - 1)) / attempts


def _without_expect(request: Any, **_: Any) -> None:
    """botocore asks S3 whether it may send before each body: a second journey for each small file."""
    if "Expect" in request.headers:
        del request.headers["Expect"]


def clients(connection: Connection) -> Clients:
    """The clients of a connection: always the same ones."""
    with _making:
        return _clients(connection)


def connect(settings: Settings) -> Connection:
    """The connection of mode `aws`, by AWS's own chain. Raises SettingsError without a region, CredentialsError."""
    region = settings.region or _region_of(settings.profile)
    if region is None:
        raise SettingsError(
            "No AWS region is set.",
            why="Neither AWS_REGION nor AWS_DEFAULT_REGION is set, and the profile names none.",
            todo="Set AWS_REGION, for example to eu-west-1.",
        )
    return Connection(region, settings.aws_url, settings.profile, seconds=settings.aws_seconds)


_making = Lock()

NOTHING = (None, None, os.devnull, None)
"""A file name for botocore: in the sandbox a broken AWS_PROFILE or ~/.aws of the person's must not matter."""


def _refuse_changes(model: Any, **_: Any) -> None:
    """botocore calls this before each request, and before it presigns one."""
    if not READS.fullmatch(model.name):
        raise RuntimeError(f"{model.name} may change something: only core.aws.execute does that.")


@lru_cache(maxsize=8)
def _clients(connection: Connection) -> Clients:
    return Clients(connection)


def _session(connection: Connection) -> boto3.Session:
    session = _chain(connection.profile)
    if connection.is_sandbox:
        session = _chain(None, {"config_file": NOTHING, "credentials_file": NOTHING})
        session.set_credentials(connection.access_key, connection.secret_key)
    return boto3.Session(botocore_session=session, region_name=connection.region)


def _chain(profile: str | None, more: Mapping[str, Any] | None = None) -> Session:
    """botocore's session with the profile as AWS_PROFILE would give it.

    Given to boto3 as `profile_name`, it would beat keys in the environment, which the AWS CLI lets win.
    """
    session = Session(session_vars={"profile": (None, None, profile, None), **(more or {})})
    session.lazy_register_component("data_loader", lambda: _loader(session.get_config_variable("data_path")))
    return session


@lru_cache(maxsize=4)
def _loader(data_path: str | None) -> Loader:
    """Return the loader that reads and keeps botocore's service descriptions; the first client parses, others reuse.

    data_path: folders searched before botocore's own, from AWS_DATA_PATH.
    """
    return create_loader(data_path)


def _region_of(profile: str | None) -> str | None:
    with translated("read the AWS configuration", AwsLocation("AWS")):
        region: str | None = _chain(profile).get_config_variable("region")
    return region
