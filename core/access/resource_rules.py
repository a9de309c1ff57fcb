"""Checks of what the account has in this region: bucket, encryption, quotas, container image, prices."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from core.access.check import MAX_REASON, Check, Topic
from core.access.context import AccessContext
from core.access.permissions import BUCKET_ACTIONS, Permission, bucket_grants, document, grants, statement
from core.access.principal import Principal
from core.access.quotas import TRAINS, InstanceNeed, Quota
from core.cost.training import PriceTable
from core.errors import CoreError, DeniedError, NotFoundError

BUCKET = Topic("bucket", "Bucket")
ENCRYPTION = Topic("bucket-encryption", "Bucket encryption")
IMAGE = Topic("image", "Container image")
PRICES = Topic("prices", "Prices")


@dataclass(frozen=True, slots=True)
class Encryption:
    """The default encryption of a bucket.

    algorithm: such as "AES256" or "aws:kms". key: of KMS, as the bucket names it; empty for AWS's own keys.
    """

    algorithm: str
    key: str = ""


@dataclass(frozen=True, slots=True)
class Key:
    """A KMS key. state: such as "Enabled" or "PendingDeletion". aws_managed: it needs no permissions of ours."""

    arn: str
    state: str
    aws_managed: bool = False


def no_bucket_check() -> Check:
    """Return the check without a bucket."""
    return BUCKET.skipped(
        "no bucket was given.",
        "Give the bucket of your data with --bucket, or in the field on the Setup page.",
    )


def bucket_check(
    region: str | CoreError, bucket: str, context: AccessContext, principal: Principal | None
) -> Check:
    """Return whether the bucket exists, in the region of the jobs. region: of the bucket; empty: unknown."""
    topic = BUCKET
    link = context.console(f"s3/buckets/{bucket}?region={context.region}")
    if isinstance(region, NotFoundError):
        return topic.check(
            "problem",
            f"The bucket {bucket} does not exist.",
            f"Check the name, or create it in {context.region}.",
            command=f"{context.cli} s3 mb s3://{bucket}",
        )
    if isinstance(region, DeniedError):
        policy = document(bucket_grants(context.partition, bucket, bucket_actions=BUCKET_ACTIONS))
        return topic.check(
            "problem",
            f"These credentials may not read the bucket {bucket}, or it belongs to another account.",
            "Check the name. If it is yours, allow s3:ListBucket; a bucket policy may deny it as well.",
            link=link,
            command=context.put_policy(principal, topic.id, policy) if principal else "",
            policy=policy,
        )
    if isinstance(region, CoreError):
        return topic.unread(region)
    if region and region != context.region:
        return topic.check(
            "problem",
            f"The bucket {bucket} is in {region}; training jobs run in {context.region}.",
            f"Use a bucket in {context.region}, or set AWS_REGION to {region}.",
            link=link,
        )
    where = f" in {region}" if region else ", its region is unknown"
    return topic.check("ok", f"s3://{bucket} exists{where}.")


def encryption_check(
    encryption: Encryption | CoreError, key: Key | CoreError | None, bucket: str, context: AccessContext
) -> Check:
    """Return how objects of the bucket are encrypted, and whether the key can be used. key: None without one."""
    topic = ENCRYPTION
    if isinstance(encryption, NotFoundError):
        return topic.skipped("the bucket does not exist.")
    if isinstance(encryption, DeniedError):
        policy = document(
            [statement(["s3:GetEncryptionConfiguration"], [f"arn:{context.partition}:s3:::{bucket}"])]
        )
        return topic.check(
            "unknown",
            "The encryption of the bucket cannot be read: s3:GetEncryptionConfiguration is denied.",
            "To have it checked, allow that action. With a KMS key, the role needs access to the key, too.",
            policy=policy,
        )
    if isinstance(encryption, CoreError):
        return topic.unread(encryption)
    if not encryption.algorithm.startswith("aws:kms"):
        return topic.check("ok", f"Keys of S3 ({encryption.algorithm}); no permission is needed.")
    if key is None or (isinstance(key, Key) and key.aws_managed):
        return topic.check("ok", "The KMS key aws/s3 of the account; no permission is needed.")
    link = context.console("kms/home#/kms/keys")
    if isinstance(key, NotFoundError):
        return topic.check(
            "problem",
            f"The KMS key {encryption.key} of the bucket does not exist.",
            "Choose another key in the properties of the bucket.",
            link=context.console(f"s3/buckets/{bucket}?region={context.region}&tab=properties"),
        )
    if isinstance(key, DeniedError):
        policy = document([statement(["kms:DescribeKey"], [key_arn(encryption.key, context)])])
        return topic.check(
            "unknown",
            f"The state of the KMS key {encryption.key} cannot be read: kms:DescribeKey is denied.",
            "To have it checked, allow that action.",
            policy=policy,
        )
    if isinstance(key, CoreError):
        return topic.unread(key)
    if key.state != "Enabled":
        return topic.check(
            "problem",
            f"The KMS key {key.arn} of the bucket is {key.state}: nothing in it can be read or written.",
            "Enable the key, or cancel its deletion.",
            link=link,
        )
    return topic.check("ok",
        f"The KMS key {key.arn}. Its key policy must also allow the role; only its IAM policies are checked here.",
    )  # fmt: skip


def key_arn(key: str, context: AccessContext) -> str:
    """Return the ARN of a key that a bucket names by id, alias or ARN."""
    if key.startswith("arn:"):
        return key
    return context.arn("kms", key if key.startswith("alias/") else f"key/{key}")


def quota_topic(need: InstanceNeed) -> Topic:
    """Return the topic of the quota of an instance type."""
    return Topic(f"quota-{need.use}-{need.instance_type}", f"Quota: {need.instance_type}, {need.use}")


def quota_check(need: InstanceNeed, quotas: Mapping[str, Quota] | CoreError, context: AccessContext) -> Check:
    """Return whether the account may run an instance of this type."""
    topic = quota_topic(need)
    if isinstance(quotas, DeniedError):
        policy = document(
            grants(
                [
                    Permission("servicequotas:ListServiceQuotas", ""),
                    Permission("servicequotas:ListAWSDefaultServiceQuotas", ""),
                ],
                context,
            )
        )
        return topic.check(
            "unknown",
            f"{quotas.what} {quotas.why}".strip(),
            "To have quotas checked, allow servicequotas:ListServiceQuotas.",
            link=context.console("servicequotas/home/services/sagemaker/quotas"),
            policy=policy,
        )
    if isinstance(quotas, CoreError):
        return topic.unread(quotas)
    quota = quotas.get(need.quota)
    if quota is None:
        return topic.skipped(
            f'Service Quotas lists no quota "{need.quota}" in {context.region}.',
            "Check the instance type: it may not be offered in this region.",
        )
    link = context.console(f"servicequotas/home/services/sagemaker/quotas/{quote(quota.code, safe='')}")
    if quota.value >= 1:
        return topic.check("ok", f"{quota.value:g} for {need.use}.", link=link)
    command = (
        f"{context.cli} service-quotas request-service-quota-increase --service-code sagemaker "
        f"--quota-code {shlex.quote(quota.code)} --desired-value 1"
    )
    return topic.check(
        "problem",
        f'The quota "{need.quota}" is {quota.value:g}: AWS refuses to start one.',
        "Request an increase; AWS answers within minutes to days."
        if quota.adjustable
        else "AWS does not raise this quota: choose another instance type.",
        link=link,
        command=command if quota.adjustable else "",
    )


def image_check(image: str | CoreError) -> Check:
    """Return the container image of the algorithm in this region."""
    topic = IMAGE
    if isinstance(image, CoreError):
        return topic.failed("problem", image)
    return topic.check("ok", image)


def prices_check(
    prices: PriceTable | CoreError, notes: Sequence[str], needs: Sequence[InstanceNeed], *, sandbox: bool
) -> Check:
    """Return of which day the prices are, and whether those of the chosen instance types are known.

    notes: why AWS's own price list could not be read.
    """
    topic = PRICES
    if isinstance(prices, CoreError):
        return topic.unread(prices)
    lacking = [
        need.instance_type
        for need in needs
        if need.use != "transform"
        and prices.per_hour(need.instance_type, "training" if need.use in TRAINS else "hosting") is None
    ]
    unknown = f" No price is known for {', '.join(dict.fromkeys(lacking))}." if lacking else ""
    reason = f" {notes[0][:MAX_REASON]}" if notes else ""
    denied = any("pricing:GetProducts" in note for note in notes)
    dated = bool(notes or lacking or prices.note) and not (sandbox and not lacking)
    return topic.check(
        "warning" if dated else "ok",
        f"{prices.attribution}{unknown}{reason}",
        "Allow pricing:GetProducts for the prices of today." if denied else "",
    )
