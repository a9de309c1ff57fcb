"""What the checks of the setup read: identity, policies, roles, buckets, keys, quotas."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from core.access.identity_rules import Credentials, Probe
from core.access.principal import Principal
from core.access.quotas import Quota
from core.access.resource_rules import Encryption, Key
from core.access.role_rules import Role
from core.access.simulation import ActionRequest, Decision, batches, parse_decision
from core.aws.connection import Clients
from core.aws.errors import required
from core.aws.identity import Caller
from core.errors import AwsError, CoreError, CredentialsError, NotFoundError, UnexpectedAnswerError

Operation = Callable[[Clients], Callable[..., Any]]
"""The call of an operation, from clients that are made only when it is called."""

MAX_PAGES = 40
"""Pages of a list that are read at most; Service Quotas has about 20 for SageMaker."""

NO_ENCRYPTION = "ServerSideEncryptionConfigurationNotFoundError"
DEFAULT_ENCRYPTION = Encryption("AES256")
"""What S3 does since 2023 where a bucket says nothing."""

LOG_GROUP = "/aws/sagemaker/TrainingJobs"


def read_caller(clients: Clients) -> tuple[Caller | CoreError, timedelta | None]:
    """Return who we are, or why that is unknown; and how far this machine's clock is ahead of AWS's, where known."""
    doing = "read the identity"
    try:
        with clients.calling(doing):
            answer = clients.sts.get_caller_identity()
        skew = _skew(answer)
        return Caller(required(answer, "Account", doing), required(answer, "Arn", doing)), skew
    except CoreError as error:
        return error, _skew(_response(error))


def read_credentials(clients: Clients) -> Credentials:
    """Return where the credentials come from. Raises CredentialsError, SettingsError."""
    with clients.calling("find AWS credentials"):
        credentials, profile = clients.credentials()
    if credentials is None:
        raise CredentialsError(
            "There are no AWS credentials.",
            todo="Set AWS_PROFILE, or run `aws configure` or `aws sso login`.",
        )
    source = str(credentials.method)  # botocore's refreshable ones would be refreshed by reading their token
    return Credentials(
        source=source,
        temporary=hasattr(credentials, "_expiry_time") or bool(credentials.token),
        expires_at=getattr(credentials, "_expiry_time", None),
        profile="" if source in ("env", "explicit") else clients.connection.profile or "",
        mfa_serial=str(profile.get("mfa_serial", "")) if source == "assume-role" else "",
    )


def simulate(clients: Clients, arn: str, requests: Sequence[ActionRequest]) -> tuple[Decision, ...]:
    """Return what the policies of a user or role allow. It changes nothing. Raises AwsError."""
    doing = f"simulate the permissions of {arn}"
    decisions: list[Decision] = []
    for context, resource, actions in batches(requests):
        keys = (("aws:RequestedRegion", clients.connection.region), *context)
        query: dict[str, Any] = {
            "PolicySourceArn": arn,
            "ActionNames": list(actions),
            "ResourceArns": [resource],
            "ContextEntries": [
                {"ContextKeyName": key, "ContextKeyValues": [value], "ContextKeyType": "string"}
                for key, value in keys
            ],
        }
        for answer in _marked_pages(
            clients, lambda clients: clients.iam.simulate_principal_policy, query, doing
        ):
            decisions += [_decision(row, doing) for row in required(answer, "EvaluationResults", doing)]
    return tuple(decisions)


def _decision(row: Any, doing: str) -> Decision:
    try:
        return parse_decision(row)
    except KeyError as error:
        raise UnexpectedAnswerError(
            f"Could not {doing}: a result has no {error}.", todo="Try again."
        ) from error


def read_role(clients: Clients, name: str) -> Role:
    """Return a role with its trust policy. Raises NotFoundError, AwsError."""
    doing = f"read the role {name}"
    with clients.calling(doing):
        answer = clients.iam.get_role(RoleName=name)
    return _role(required(answer, "Role", doing), doing)


def list_roles(clients: Clients) -> list[Role]:
    """Return all roles of the account with their trust policies, up to 4,000. Raises AwsError."""
    doing = "list the roles"
    pages = _marked_pages(clients, lambda clients: clients.iam.list_roles, {"MaxItems": 100}, doing)
    return [_role(row, doing) for answer in pages for row in required(answer, "Roles", doing)]


def _role(row: Any, doing: str) -> Role:
    return Role(
        required(row, "RoleName", doing), required(row, "Arn", doing), row.get("AssumeRolePolicyDocument", {})
    )


def source_arn(clients: Clients, principal: Principal) -> str:
    """Return the ARN of a user or role for the simulation: the ARN of a session does not have the role's path."""
    if principal.kind != "role":
        return principal.arn
    try:
        return read_role(clients, principal.name).arn
    except AwsError:  # without iam:GetRole, the ARN without a path is right for most roles
        return principal.arn


def probe_reads(clients: Clients) -> tuple[Probe, ...]:
    """Try a few cheap reads, and return which of them are allowed."""
    reads: dict[str, Callable[[], Any]] = {
        "sagemaker:Search": lambda: clients.sagemaker.search(Resource="TrainingJob", MaxResults=1),
        "sagemaker:ListTrainingJobs": lambda: clients.sagemaker.list_training_jobs(MaxResults=1),
        "sagemaker:ListEndpoints": lambda: clients.sagemaker.list_endpoints(MaxResults=1),
        "sagemaker:ListEndpointConfigs": lambda: clients.sagemaker.list_endpoint_configs(MaxResults=1),
        "sagemaker:ListModels": lambda: clients.sagemaker.list_models(MaxResults=1),
        "logs:DescribeLogStreams": lambda: clients.logs.describe_log_streams(logGroupName=LOG_GROUP, limit=1),
    }
    return tuple(_probe(clients, action, read) for action, read in reads.items())


def _probe(clients: Clients, action: str, read: Callable[[], Any]) -> Probe:
    try:
        with clients.calling(f"call {action}"):
            read()
    except NotFoundError:
        return Probe(action)  # such as a log group that no job has made yet
    except CoreError as error:
        return Probe(action, error)
    return Probe(action)


def bucket_region(clients: Clients, bucket: str) -> str:
    """Return the region of a bucket; empty where S3 does not name it. Raises NotFoundError, DeniedError, AwsError."""
    try:
        with clients.calling(f"read the bucket {bucket}"):
            answer = clients.s3.head_bucket(Bucket=bucket)
    except AwsError as error:
        region = _headers(_response(error)).get("x-amz-bucket-region", "")
        if error.http_status == 301 and region:  # it is elsewhere, and no redirect was followed
            return str(region)
        raise
    return str(answer.get("BucketRegion") or _headers(answer).get("x-amz-bucket-region", ""))


def bucket_encryption(clients: Clients, bucket: str) -> Encryption:
    """Return the default encryption of a bucket. Raises NotFoundError without that bucket, AwsError."""
    doing = f"read the encryption of the bucket {bucket}"
    try:
        with clients.calling(doing):
            answer = clients.s3.get_bucket_encryption(Bucket=bucket)
    except AwsError as error:
        if error.code == NO_ENCRYPTION:
            return DEFAULT_ENCRYPTION
        raise
    rules = required(answer, "ServerSideEncryptionConfiguration", doing).get("Rules", [])
    rule = rules[0].get("ApplyServerSideEncryptionByDefault", {}) if rules else {}
    return Encryption(rule.get("SSEAlgorithm", DEFAULT_ENCRYPTION.algorithm), rule.get("KMSMasterKeyID", ""))


def read_key(clients: Clients, key: str) -> Key:
    """Return a KMS key, by id, alias or ARN. Raises NotFoundError, AwsError."""
    doing = f"read the KMS key {key}"
    with clients.calling(doing):
        answer = clients.kms.describe_key(KeyId=key)
    metadata = required(answer, "KeyMetadata", doing)
    return Key(
        required(metadata, "Arn", doing),
        required(metadata, "KeyState", doing),
        metadata.get("KeyManager") == "AWS",
    )


def read_quotas(clients: Clients, names: Sequence[str]) -> dict[str, Quota]:
    """Return SageMaker's quotas of these names, those that are known. Raises AwsError.

    A quota that was never changed may be missing in the account's list; AWS's default then holds.
    """
    quotas: dict[str, Quota] = {}
    lists: tuple[Operation, ...] = (
        lambda clients: clients.quotas.list_service_quotas,
        lambda clients: clients.quotas.list_aws_default_service_quotas,
    )
    for listing in lists:
        wanted = set(names) - set(quotas)
        for row in _quota_rows(clients, listing) if wanted else ():
            if row.get("QuotaName") in wanted and row["QuotaName"] not in quotas:
                quotas[row["QuotaName"]] = Quota(
                    row["QuotaName"],
                    float(row.get("Value", 0)),
                    row.get("QuotaCode", ""),
                    bool(row.get("Adjustable", True)),
                )
            if wanted <= set(quotas):
                break
    return quotas


def _quota_rows(clients: Clients, operation: Operation) -> Iterator[dict[str, Any]]:
    doing = "read the quotas of SageMaker"
    query: dict[str, Any] = {"ServiceCode": "sagemaker", "MaxResults": 100}
    for _ in range(MAX_PAGES):
        with clients.calling(doing):
            answer = operation(clients)(**query)
        yield from required(answer, "Quotas", doing)
        if not answer.get("NextToken"):
            return
        query["NextToken"] = answer["NextToken"]


def _marked_pages(
    clients: Clients, operation: Operation, query: dict[str, Any], doing: str
) -> Iterator[dict[str, Any]]:
    """Yield the pages of an operation of IAM, which are chained by markers."""
    for _ in range(MAX_PAGES):
        with clients.calling(doing):
            answer = operation(clients)(**query)
        yield answer
        if not answer.get("IsTruncated") or not answer.get("Marker"):
            return
        query = {**query, "Marker": answer["Marker"]}


def _response(error: CoreError) -> dict[str, Any]:
    """Return the response behind an error; empty where none came."""
    response: dict[str, Any] = getattr(error.__cause__, "response", None) or {}
    return response


def _headers(answer: dict[str, Any]) -> dict[str, str]:
    headers: dict[str, str] = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return headers


def _skew(answer: dict[str, Any]) -> timedelta | None:
    """Return how far this machine's clock is ahead of the date of a response; None without a date."""
    try:
        date = parsedate_to_datetime(_headers(answer)["date"])
    except (KeyError, ValueError):
        return None
    return datetime.now(UTC) - (date if date.tzinfo else date.replace(tzinfo=UTC))
