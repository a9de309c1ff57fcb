"""A connection to AWS, or to the sandbox in its place, and its clients.

Creating a client is slow (about 0.1 s, mostly to parse botocore's service description), and boto3 documents clients
as thread-safe but Sessions as not. So each Connection has one Session, used under a lock, its clients are created
once, and all Sessions share the parsed descriptions.
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
from botocore.credentials import CredentialResolver
from botocore.loaders import Loader, create_loader
from botocore.session import Session

from core.aws import prompts
from core.aws.assumed_role import RoleProvider
from core.aws.errors import AwsLocation, Todos, translated
from core.errors import CredentialsError, SettingsError
from core.settings import AWS_SECONDS, Settings

CONNECT_SECONDS = 5
ATTEMPTS = 3
INVOKE_SECONDS = 70
"""AWS ends a model's run after 60 s, and recommends a socket timeout of 70 s (botocore's service model)."""

PRICE_SECONDS = 10
LIST_ATTEMPTS = 4
SECONDS_FOR_ATTEMPT = 10
"""If a call has less time than this per attempt, it has fewer attempts."""

UPLOAD_ATTEMPTS = 8
CONNECTIONS = 32
"""Connection pool size of a client: more threads than this wait for each other."""

READS = re.compile(r"(Batch)?(Describe|Get|List|Head|Filter|Simulate)[A-Z].*|Search|InvokeEndpoint")
"""Operations that change nothing. (Invoking an endpoint runs its model, and changes nothing either.)"""

PRICING_REGION = "us-east-1"
"""The Price List service is available in few regions, and covers all of them."""


@dataclass(frozen=True, slots=True)
class Connection:
    """The region, URL and credentials to use. A value: the key of every cache.

    region:     such as "eu-west-1".
    aws_url:    the URL of the API; None: AWS itself.
    profile:    None: the AWS credential chain.
    access_key: set only for the sandbox, with secret_key; the credential chain is then not used.
    seconds:    time limit of a call, retries included; invocations and uploads may take longer.

    profile_chosen: whether the profile was chosen by name, so that keys in the environment are ignored, as with
                    `--profile` of the AWS CLI. With AWS_PROFILE alone, they win.
    role_arn:       a role to assume with these credentials; empty: none. external_id: for it; empty: none.
    account_name:   what the account is called in SEGDECK_ACCOUNTS; empty for any other.
    interactive:    whether an MFA code can be asked for in the terminal. A server never asks.
    home:           of the sandbox: whether this is the region that has its demo models.
    """

    region: str
    aws_url: str | None = None
    profile: str | None = None
    access_key: str | None = None
    secret_key: str | None = field(default=None, repr=False)
    seconds: int = AWS_SECONDS
    profile_chosen: bool = False
    role_arn: str = ""
    external_id: str = field(default="", repr=False)
    account_name: str = ""
    interactive: bool = False
    home: bool = True

    @property
    def has_demo(self) -> bool:
        """Return whether the demo models of the sandbox are, or will soon be, in this region."""
        return self.is_sandbox and self.home

    @property
    def origin(self) -> str:
        """Return what tells accounts and regions apart in files that several of them may be written into."""
        profile = f"profile {self.profile}" if self.profile_chosen else ""
        return ", ".join(filter(None, (self.region, profile, self.role_arn)))

    @property
    def is_sandbox(self) -> bool:
        """Return whether this is the sandbox."""
        return self.access_key is not None

    @property
    def location(self) -> AwsLocation:
        """Return its description for messages."""
        account = f", account {self.account_name}" if self.account_name else ""
        if self.is_sandbox:
            return AwsLocation(f"the sandbox ({self.aws_url}{account})", sandbox=True)
        name = f"{self.aws_url or 'AWS'} ({self.region}{account})"
        return AwsLocation(name, profile=self.profile or "")


class Clients:
    """The boto3 clients of one connection, each created at its first use.

    invoke_seconds: read timeout of an invocation.
    read_seconds:   read timeout of any other call's single attempt; None: derived from the connection's seconds.
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
        """Return `sagemaker-runtime`. It never retries: each attempt runs the model and is billed."""
        return self._client(
            "sagemaker-runtime", read_timeout=self._invoke_seconds, retries={"total_max_attempts": 1}
        )

    @property
    def sagemaker(self) -> Any:
        """Return `sagemaker`."""
        return self._client("sagemaker")

    @property
    def lists(self) -> Any:
        """Return `sagemaker` for listings. AWS throttles those first; then this client slows down, and no other."""
        options = self._bounded(LIST_ATTEMPTS, "adaptive")
        return self._client("sagemaker", name="lists", **options)

    def client_for_changes(self, service: str) -> Any:
        """Return a client for changes. It never retries: `core.aws.execute` first checks what an attempt did."""
        more = self._s3_options() if service == "s3" else {}
        return self._client(service, may_change=True, **self._bounded(1, "standard"), **more)

    @property
    def client_for_uploads(self) -> Any:
        """Return `s3` for idempotent changes, with more attempts: S3 may throttle them for a while."""
        retries = {"mode": "standard", "total_max_attempts": UPLOAD_ATTEMPTS}
        made = self._client("s3", name="uploads", may_change=True, retries=retries, **self._s3_options())
        made.meta.events.register("before-sign.s3.PutObject", _without_expect, unique_id="without-expect")
        return made

    @property
    def metrics(self) -> Any:
        """Return `sagemaker-metrics`."""
        return self._client("sagemaker-metrics")

    @property
    def cloudwatch(self) -> Any:
        """Return `cloudwatch`."""
        return self._client("cloudwatch")

    @property
    def pricing(self) -> Any:
        """Return `pricing`, with a short timeout: there is a fallback table."""
        return self._client(
            "pricing",
            region=PRICING_REGION,
            **self._bounded(1, "standard", longest=PRICE_SECONDS),
        )

    @property
    def s3(self) -> Any:
        """Return `s3` with signature version 4: in us-east-1 botocore would presign with version 2."""
        return self._client("s3", **self._s3_options())

    @property
    def autoscaling(self) -> Any:
        """Return `application-autoscaling`."""
        return self._client("application-autoscaling")

    @property
    def sts(self) -> Any:
        """Return `sts`."""
        return self._client("sts")

    @property
    def logs(self) -> Any:
        """Return `logs`."""
        return self._client("logs")

    @property
    def iam(self) -> Any:
        """`iam`."""
        return self._client("iam")

    @property
    def quotas(self) -> Any:
        """`service-quotas`."""
        return self._client("service-quotas")

    @property
    def kms(self) -> Any:
        """`kms`."""
        return self._client("kms")

    def credentials(self) -> tuple[Any, Mapping[str, str]]:
        """Return botocore's credentials, without refreshing them, and the settings of the profile.

        The credentials are None where there are none. Raises botocore's errors: use it within `calling`.
        """
        with self._lock:
            self._session = self._session or _session(self.connection)
            settings: Mapping[str, str] = self._session._session.get_scoped_config()
            return self._session.get_credentials(), settings

    @contextmanager
    def calling(self, doing: str, *, todos: Todos | None = None) -> Iterator[None]:
        """Wrap every use of a client, including its creation: translate its errors (see `translated`).

        After a CredentialsError the Session is dropped: it caches its keys, and signing in again must not require a
        restart.
        """
        try:
            with translated(doing, self.connection.location, todos=todos):
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
        """Return the client of a service, created at its first use.

        name:       distinguishes several clients of one service.
        may_change: if False, the client refuses every operation that may change something.
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
            defaults["proxies"] = {}  # HTTP_PROXY is for external hosts, not for this machine
        return self._session.client(
            service,
            region_name=region,
            endpoint_url=connection.aws_url,
            config=Config(**(defaults | options)),
        )

    def _bounded(self, most: int, mode: str, longest: float = math.inf) -> dict[str, Any]:
        """Return the attempts and timeouts of a call that keep it within the time limit."""
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
    """Return how many attempts a time limit allows, and how long each may wait for its response.

    botocore pauses before attempt n + 1 for up to 2 ** (n - 1) seconds, so the pauses sum to 2 ** (attempts - 1) - 1.
    """
    attempts = max(1, min(most, int(seconds // SECONDS_FOR_ATTEMPT)))
    return attempts, (seconds - (2 ** (attempts - 1) - 1)) / attempts


def _without_expect(request: Any, **_: Any) -> None:
    """Remove the `Expect` header, which costs a second round trip for each small file."""
    if "Expect" in request.headers:
        del request.headers["Expect"]


def clients(connection: Connection) -> Clients:
    """Return the clients of a connection, always the same ones."""
    with _making:
        return _clients(connection)


def connect(settings: Settings) -> Connection:
    """Return the default connection of mode `aws`. Raises SettingsError without a region, CredentialsError."""
    region = settings.region or region_of(settings.profile)
    if region is None:
        raise no_region()
    return Connection(region, settings.aws_url, settings.profile, seconds=settings.aws_seconds)


def no_region() -> SettingsError:
    """Return the error for a missing region."""
    return SettingsError(
        "No AWS region is set.",
        why="Neither AWS_REGION nor AWS_DEFAULT_REGION is set, and the profile has none.",
        todo="Set AWS_REGION, for example to eu-west-1. On the command line, --region chooses one, too.",
    )


def region_of(profile: str | None) -> str | None:
    """Return the region of a profile, or of the default one; None where it has none. Raises SettingsError."""
    with translated("read the AWS configuration", AwsLocation("AWS")):
        # Without the environment: AWS_DEFAULT_REGION is already in the settings, and belongs to no profile.
        region: str | None = _chain(profile, {"region": ("region", None, None, None)}).get_config_variable(
            "region"
        )
    return region


def profile_names() -> tuple[str, ...]:
    """Return the names of the profiles in ~/.aws (config and credentials), sorted. Raises SettingsError."""
    with translated("read the AWS configuration", AwsLocation("AWS")):
        session = Session(
            session_vars={"profile": NO_PROFILE}, include_builtin_handlers=False
        )  # 40 times faster
        return tuple(sorted(session.available_profiles))


_making = Lock()

NO_PROFILE = (None, None, None, None)
"""Profile override for botocore: AWS_PROFILE is not read."""

NOTHING = (None, None, os.devnull, None)
"""Config file override for botocore: in the sandbox, a broken AWS_PROFILE or ~/.aws must not matter."""


def _refuse_changes(model: Any, **_: Any) -> None:
    """Raise RuntimeError for an operation that changes something; botocore calls this before each request."""
    if not READS.fullmatch(model.name):
        raise RuntimeError(f"{model.name} may change something: only core.aws.execute does that.")


@lru_cache(maxsize=32)
def _clients(connection: Connection) -> Clients:
    return Clients(connection)


def _session(connection: Connection) -> boto3.Session:
    session = _configured(connection)
    if connection.is_sandbox:
        session.set_credentials(connection.access_key, connection.secret_key)
    else:
        prompts.prepare(session, interactive=connection.interactive)
    session.set_config_variable("region", connection.region)  # for STS, where a profile assumes a role
    if connection.role_arn:
        session = _with_role(session, connection)
    return boto3.Session(botocore_session=session, region_name=connection.region)


def _configured(connection: Connection) -> Session:
    """Return a session with the configuration of the connection, such as its certificates, and no credentials yet."""
    if connection.is_sandbox:
        return _chain(None, {"config_file": NOTHING, "credentials_file": NOTHING})
    return _chain(connection.profile, chosen=connection.profile_chosen)


def _with_role(source: Session, connection: Connection) -> Session:
    """Return a session with the credentials of the connection's role, which `source` assumes when first needed."""

    def client(service: str, **keys: Any) -> Any:
        _, seconds = attempts_within(connection.seconds, ATTEMPTS)
        config = Config(
            connect_timeout=min(CONNECT_SECONDS, seconds),
            read_timeout=seconds,
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            **({"proxies": {}} if connection.is_sandbox else {}),
        )
        return source.create_client(
            service,
            region_name=connection.region,
            endpoint_url=connection.aws_url,
            config=config,
            **keys,
        )

    session = _configured(connection)
    provider = RoleProvider(source, client, connection.role_arn, connection.external_id)
    session.register_component("credential_provider", CredentialResolver(providers=[provider]))
    return session


def _chain(profile: str | None, more: Mapping[str, Any] | None = None, *, chosen: bool = False) -> Session:
    """Return botocore's session with the profile set as by AWS_PROFILE.

    As boto3's `profile_name` it would override keys in the environment, as `--profile` of the AWS CLI does, and
    AWS_PROFILE does not.

    chosen: whether it should override them.
    """
    session = Session(session_vars={"profile": (None, None, profile, None), **(more or {})})
    if chosen:
        session.set_config_variable("profile", profile)
    session.lazy_register_component("data_loader", lambda: _loader(session.get_config_variable("data_path")))
    return session


@lru_cache(maxsize=4)
def _loader(data_path: str | None) -> Loader:
    """Return the loader that caches botocore's service descriptions.

    data_path: folders searched before botocore's own, from AWS_DATA_PATH.
    """
    return create_loader(data_path)
