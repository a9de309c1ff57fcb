"""All checks of the setup, in order. Nothing is changed.

Each check stands for itself: what cannot be read is `unknown` with the reason, and the others are made. Only where
nothing can be read at all, without credentials or a connection, are the rest skipped.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TypeVar

from core.access import identity_rules, resource_rules, role_rules
from core.access.check import Check, PolicyDocument, Topic
from core.access.context import AccessContext
from core.access.identity_rules import Probe
from core.access.permissions import identity_policy
from core.access.principal import Principal, parse_principal, sagemaker_service
from core.access.resource_rules import Encryption, Key
from core.access.role_rules import Role
from core.access.simulation import (
    ActionRequest,
    Decision,
    bucket_requests,
    identity_requests,
    image_requests,
    log_requests,
    pass_role_requests,
)
from core.access.target import SetupTarget
from core.aws import access
from core.aws.connection import Clients, Connection
from core.aws.identity import Caller, whoami
from core.aws.images import image_uri
from core.aws.prices import prices
from core.cost.training import PriceTable
from core.errors import (
    CoreError,
    CredentialsError,
    InputError,
    NotFoundError,
    TimedOutError,
    UnreachableError,
)
from core.partitions import partition_of
from core.plans.plan import Plan
from core.plans.role import plan_create_role

T = TypeVar("T")

THREADS = 6
"""Reads at the same time."""

BLOCKING = (CredentialsError, TimedOutError, UnreachableError)
"""Errors after which every other read would fail in the same way."""

NO_ROLE, NO_BUCKET = "no role to check.", "no bucket was given."
NO_IDENTITY = "the identity is unknown."


@dataclass(frozen=True, slots=True)
class SetupReport:
    """The checks, in order, and the smallest IAM policy for whoever uses Segdeck.

    role_arn: of the role that was checked; empty without one.
    policy:   for the given role and bucket; None while the account is unknown.
    image:    the container image; empty where the algorithm is not offered.
    bucket:   as far as it could be read; None without one.
    """

    checks: tuple[Check, ...]
    context: AccessContext
    target: SetupTarget
    role_arn: str = ""
    policy: PolicyDocument | None = None
    image: str = ""
    bucket: BucketReading | None = None

    def plan_role(self, name: str) -> Plan:
        """Return the plan that creates an execution role for the bucket. Raises InputError.

        Where the encryption of the bucket could not be read, the plan warns that its KMS key may be missing.
        """
        if not self.context.account:
            raise InputError("No role can be created: the identity is unknown.", todo="Fix that first.")
        key_arn = self.bucket.key_arn if self.bucket is not None else ""
        plan = plan_create_role(name, self.target, self.context, image=self.image, key_arn=key_arn)
        return replace(plan, warnings=(*self._key_warnings(), *plan.warnings))

    def _key_warnings(self) -> tuple[str, ...]:
        if self.bucket is None:
            return ()
        if isinstance(self.bucket.region, NotFoundError):
            return (f"The bucket {self.target.bucket} does not exist.",)
        return tuple(
            f"The policy may lack access to the KMS key of the bucket. {error.what}"
            for error in (self.bucket.encryption, self.bucket.key)
            if isinstance(error, CoreError)
        )


@dataclass(frozen=True, slots=True)
class RoleReading:
    """The execution role as far as it could be read.

    principal:  None where none is to be checked, or its ARN is not one of a role.
    candidates: where none was given: the names of roles that SageMaker may assume.
    """

    arn: str
    principal: Principal | None
    role: Role | CoreError | None
    candidates: list[str] | CoreError | None = None


@dataclass(frozen=True, slots=True)
class BucketReading:
    """A bucket as far as it could be read. key: None where the bucket names none."""

    region: str | CoreError
    encryption: Encryption | CoreError
    key: Key | CoreError | None
    key_arn: str = ""


def check_setup(clients: Clients, target: SetupTarget) -> SetupReport:
    """Make all checks. Never raises CoreError: what cannot be read is part of the report."""
    connection = clients.connection
    caller, skew = access.read_caller(clients)
    credentials = _attempt(lambda: access.read_credentials(clients))
    if isinstance(caller, CredentialsError):
        credentials = caller
    account = caller.account if isinstance(caller, Caller) else ""
    context = context_of(connection, account)
    principal = parse_principal(caller.arn) if isinstance(caller, Caller) else None
    identity: Check
    if isinstance(caller, CredentialsError):
        identity = Topic("identity", "Identity").skipped("the credentials cannot be used.")
    else:
        arn = caller.arn if isinstance(caller, Caller) else caller
        identity = identity_rules.identity_check(arn, principal, account)
    first = (
        identity_rules.credentials_check(credentials, datetime.now(UTC)),
        identity_rules.region_check(context),
        identity,
        identity_rules.clock_check(skew),
    )
    image = _attempt(lambda: image_uri(context.region))
    if isinstance(caller, BLOCKING):
        return SetupReport((*first, *_skipped(target), resource_rules.image_check(image)), context, target)
    with ThreadPoolExecutor(THREADS, thread_name_prefix="setup") as pool:
        return _Examination(clients, target, context, principal, pool, image).report(first)


def plan_role(clients: Clients, name: str, target: SetupTarget) -> Plan:
    """Return the plan that creates an execution role for a bucket. Raises InputError, AwsError."""
    context = context_of(clients.connection, whoami(clients).account)
    image = _attempt(lambda: image_uri(context.region))
    bucket = read_bucket(clients, target.bucket, context) if target.bucket else None
    report = SetupReport(
        (), context, target, image="" if isinstance(image, CoreError) else image, bucket=bucket
    )
    return report.plan_role(name)


def context_of(connection: Connection, account: str) -> AccessContext:
    """Return where the checks are made; the commands in their advice use the same profile and address."""
    words = ["aws", "--region", connection.region]
    words += ["--profile", connection.profile] if connection.profile else []
    words += ["--endpoint-url", connection.aws_url] if connection.aws_url else []
    return AccessContext(
        connection.region,
        partition_of(connection.region),
        account,
        connection.is_sandbox,
        shlex.join(words),
    )


@dataclass(frozen=True, slots=True)
class _Examination:
    """The checks that need an answer of AWS, for the time that they take."""

    clients: Clients
    target: SetupTarget
    context: AccessContext
    principal: Principal | None
    pool: ThreadPoolExecutor
    image: str | CoreError

    @property
    def service(self) -> str:
        return sagemaker_service(self.context.partition)

    def report(self, first: Sequence[Check]) -> SetupReport:
        """Start the reads that depend on nothing, then those that need the role and the bucket; keep the order."""
        target = self.target
        source = self._start(self._source)
        role_reading = self._start(self._role)
        bucket_reading = self._start(self._bucket)
        quotas = self._start(lambda: access.read_quotas(self.clients, [need.quota for need in target.needs]))
        priced = self._start(self._prices)
        arn = _result(source)
        permissions = self._start(lambda: self._simulate(arn, identity_requests(self.context)))
        role, bucket = _value(role_reading), _value(bucket_reading)
        data = self._data_requests(bucket)
        passing = self._start(
            lambda: self._simulate(arn, pass_role_requests(role.arn, self.service) if role.arn else ())
        )
        own_data = self._start(lambda: self._simulate(arn, data))
        of_role = {
            "data": self._start(lambda: self._simulate_role(role, data)),
            "logs": self._start(lambda: self._simulate_role(role, log_requests(self.context))),
            "image": self._start(lambda: self._simulate_role(role, self._image_requests())),
        }
        decisions = _result(permissions)
        passed, own = _result(passing), _result(own_data)
        role_decisions = dict(zip(of_role, map(_result, of_role.values()), strict=True))
        quota_values = _result(quotas)
        probes: tuple[Probe, ...] = ()
        if isinstance(decisions, CoreError):
            probes = _value(self._start(lambda: access.probe_reads(self.clients)))
        table, notes = _value(priced)
        checks = (
            *first,
            self._permissions_check(decisions, probes),
            self._pass_role_check(passed, role),
            self._role_check(role),
            *self._role_permission_checks(role, bucket, role_decisions),
            *self._bucket_checks(bucket, own),
            *(resource_rules.quota_check(need, quota_values, self.context) for need in target.needs),
            resource_rules.image_check(self.image),
            resource_rules.prices_check(table, notes, target.needs, sandbox=self.context.sandbox),
        )
        return SetupReport(
            checks,
            self.context,
            target,
            role.arn,
            self._policy(role, bucket),
            image="" if isinstance(self.image, CoreError) else self.image,
            bucket=bucket,
        )

    def _start(self, read: Callable[[], T]) -> Future[T]:
        return self.pool.submit(read)

    # Reads.

    def _source(self) -> str:
        """Return the ARN to simulate. Raises InputError where this identity cannot be simulated."""
        if self.principal is None or self.principal.kind == "federated-user":
            raise InputError(
                "The permissions of this identity cannot be simulated: it is neither a user nor a role."
            )
        return access.source_arn(self.clients, self.principal)

    def _simulate(self, arn: str | CoreError, requests: Sequence[ActionRequest]) -> tuple[Decision, ...]:
        if isinstance(arn, CoreError):
            raise arn
        if self.principal is not None and self.principal.kind == "root":
            return tuple(Decision(request.action, request.resource, allowed=True) for request in requests)
        return access.simulate(self.clients, arn, requests)

    def _simulate_role(self, role: RoleReading, requests: Sequence[ActionRequest]) -> tuple[Decision, ...]:
        if role.principal is None or not requests:
            return ()
        if isinstance(role.role, NotFoundError):
            raise role.role
        return access.simulate(self.clients, role.arn, requests)

    def _role(self) -> RoleReading:
        """Return the role that was given, or the only one that SageMaker may assume."""
        given = self.target.role
        if given:
            arn = (
                given
                if given.startswith("arn:")
                else self.context.arn("iam", f"role/{given}", regional=False)
            )
            principal = parse_principal(arn)
            if principal is None or principal.kind != "role" or principal.account != self.context.account:
                return RoleReading(arn, principal, None)
            return self._read_role(arn, principal)
        roles = _attempt(lambda: access.list_roles(self.clients))
        if isinstance(roles, CoreError):
            return RoleReading("", None, None, roles)
        usable = [role for role in roles if role_rules.trusts(role, self.service, self.context.account)]
        if len(usable) == 1:
            return RoleReading(usable[0].arn, parse_principal(usable[0].arn), usable[0])
        return RoleReading("", None, None, [role.name for role in usable])

    def _read_role(self, arn: str, principal: Principal) -> RoleReading:
        role = _attempt(lambda: access.read_role(self.clients, principal.name))
        if isinstance(role, Role) and not self.target.role.startswith("arn:"):
            arn = role.arn  # a name does not have the role's path
        return RoleReading(arn, principal, role)

    def _bucket(self) -> BucketReading | None:
        bucket = self.target.bucket
        return read_bucket(self.clients, bucket, self.context) if bucket else None

    def _prices(self) -> tuple[PriceTable | CoreError, list[str]]:
        notes: list[str] = []
        return _attempt(lambda: prices(self.clients, notes=notes)), notes

    def _data_requests(self, bucket: BucketReading | None) -> tuple[ActionRequest, ...]:
        if bucket is None:
            return ()
        target = self.target
        return bucket_requests(self.context.partition, target.bucket, target.prefix, bucket.key_arn)

    def _image_requests(self) -> tuple[ActionRequest, ...]:
        return () if isinstance(self.image, CoreError) else image_requests(self.context, self.image)

    # Checks.

    def _permissions_check(self, decisions: Sequence[Decision] | CoreError, probes: Sequence[Probe]) -> Check:
        return identity_rules.permissions_check(decisions, probes, self.context, self.principal)

    def _pass_role_check(self, decisions: Sequence[Decision] | CoreError, role: RoleReading) -> Check:
        if not role.arn:
            return Topic("pass-role", "Passing the role").skipped(NO_ROLE)
        return identity_rules.pass_role_check(decisions, role.arn, self.service, self.context, self.principal)

    def _role_check(self, role: RoleReading) -> Check:
        if role.candidates is not None:
            return role_rules.no_role_check(role.candidates)
        state = role.role if role.role is not None else InputError("The role was not read.")
        return role_rules.role_check(state, role.arn, self.service, self.context, role.principal)

    def _role_permission_checks(
        self,
        role: RoleReading,
        bucket: BucketReading | None,
        decisions: Mapping[str, Sequence[Decision] | CoreError],
    ) -> tuple[Check, ...]:
        topics = role_rules.DATA, role_rules.LOGS, role_rules.IMAGE
        if role.principal is None or role.role is None:
            return tuple(topic.skipped(NO_ROLE) for topic in topics)
        target, principal = self.target, role.principal
        data = topics[0].skipped(NO_BUCKET)
        if bucket is not None:
            data = role_rules.role_data_check(
                decisions["data"],
                self.context,
                principal,
                bucket=target.bucket,
                prefix=target.prefix,
                key_arn=bucket.key_arn,
            )
        image = topics[2].skipped("AWS does not offer the algorithm in this region.")
        if not isinstance(self.image, CoreError):
            image = role_rules.role_image_check(decisions["image"], self.image, self.context, principal)
        logs = role_rules.role_logs_check(decisions["logs"], self.context, principal)
        return data, logs, image

    def _bucket_checks(
        self, bucket: BucketReading | None, decisions: Sequence[Decision] | CoreError
    ) -> tuple[Check, ...]:
        if bucket is None:
            return (resource_rules.no_bucket_check(),)
        target, context = self.target, self.context
        exists = resource_rules.bucket_check(bucket.region, target.bucket, context, self.principal)
        if isinstance(bucket.region, NotFoundError):
            return (exists,)
        return (
            exists,
            identity_rules.bucket_access_check(
                decisions,
                context,
                self.principal,
                bucket=target.bucket,
                prefix=target.prefix,
                key_arn=bucket.key_arn,
            ),
            resource_rules.encryption_check(bucket.encryption, bucket.key, target.bucket, context),
        )

    def _policy(self, role: RoleReading, bucket: BucketReading | None) -> PolicyDocument | None:
        if not self.context.account:
            return None
        target = self.target
        return identity_policy(
            self.context,
            role_arn=role.arn or self.context.arn("iam", "role/*", regional=False),
            service=self.service,
            bucket=target.bucket,
            prefix=target.prefix,
            key_arn=bucket.key_arn if bucket is not None else "",
        )


def read_bucket(clients: Clients, bucket: str, context: AccessContext) -> BucketReading:
    """Return a bucket with its encryption and key."""
    region = _attempt(lambda: access.bucket_region(clients, bucket))
    if isinstance(region, NotFoundError):
        return BucketReading(region, region, None)
    encryption = _attempt(lambda: access.bucket_encryption(clients, bucket))
    if not isinstance(encryption, Encryption) or not encryption.key:
        return BucketReading(region, encryption, None)
    key = _attempt(lambda: access.read_key(clients, encryption.key))
    key_arn = resource_rules.key_arn(encryption.key, context)
    if isinstance(key, Key):
        key_arn = "" if key.aws_managed else key.arn
    return BucketReading(region, encryption, key, key_arn)


def _skipped(target: SetupTarget) -> tuple[Check, ...]:
    """Return the checks that need AWS, where it cannot be called."""
    topics = [
        identity_rules.PERMISSIONS_TOPIC,
        identity_rules.PASS_ROLE_TOPIC,
        role_rules.ROLE,
        role_rules.DATA,
        role_rules.LOGS,
        role_rules.IMAGE,
        resource_rules.BUCKET,
        *(resource_rules.quota_topic(need) for need in target.needs),
    ]
    return tuple(topic.skipped(NO_IDENTITY) for topic in topics)


def _attempt(read: Callable[[], T]) -> T | CoreError:
    """Return what a read returns, or the error that it raises."""
    try:
        return read()
    except CoreError as error:
        return error


def _result(future: Future[T]) -> T | CoreError:
    """Return what a read in another thread returns, or the error that it raises."""
    return _attempt(future.result)


def _value(future: Future[T]) -> T:
    """Return what a read returns that raises no CoreError."""
    return future.result()
