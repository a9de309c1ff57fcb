"""An account on loopback: STS, IAM, S3, KMS, Service Quotas, SageMaker and prices, from which one thing can be taken.

Made without the project's own code. IAM's simulator allows every action that is not in `denied`.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

ACCOUNT, REGION = "123456789012", "eu-west-1"
USER = f"arn:aws:iam::{ACCOUNT}:user/ada"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/Trainer"
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab"
BUCKET = "road-data"
TRUST: dict[str, Any] = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "sagemaker.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}
QUOTAS = {
    "ml.g4dn.xlarge for training job usage": ("L-TRAIN001", 1.0),
    "ml.g4dn.xlarge for endpoint usage": ("L-HOST0001", 2.0),
    "ml.g4dn.xlarge for transform job usage": ("L-TRANS001", 3.0),
    "ml.c5.xlarge for endpoint usage": ("L-HOST0002", 4.0),
}

PREFIXES = {
    "ListServiceQuotas": "servicequotas",
    "ListAWSDefaultServiceQuotas": "servicequotas",
    "DescribeKey": "kms",
    "GetProducts": "pricing",
}
"""Operation -> prefix of its action; those of SageMaker are left out."""

Reply = tuple[int, bytes, dict[str, str]]


@dataclass
class AccessAws:
    """The account.

    roles:   name -> trust policy. A name may begin with a path, such as "team/Trainer".
    denied:  (ARN of the principal, action) that the simulator denies -> extra members of the result.
    refused: operations that are refused, such as "GetRole".
    """

    caller: str = USER
    denied: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    roles: dict[str, Any] = field(default_factory=lambda: {"Trainer": TRUST})
    buckets: dict[str, str] = field(default_factory=lambda: {BUCKET: REGION})
    key: str = ""
    key_state: str = "Enabled"
    quotas: dict[str, tuple[str, float]] = field(default_factory=lambda: dict(QUOTAS))
    clock_offset: timedelta = timedelta()
    bad_signature: bool = False
    calls: list[str] = field(default_factory=list)
    created: dict[str, dict[str, str]] = field(default_factory=dict)
    url: str = ""

    def answer(self, handler: BaseHTTPRequestHandler, body: bytes) -> Reply:
        """Return the reply to a request."""
        target = handler.headers.get("X-Amz-Target", "").rpartition(".")[2]
        if target:
            return self._json(target, json.loads(body or b"{}"))
        if "/s3/" in handler.headers.get("Authorization", ""):
            return self._s3(handler.command, handler.path)
        values = {name: value[0] for name, value in parse_qs(body.decode()).items()}
        return self._query(values.get("Action", ""), values)

    def _json(self, operation: str, params: dict[str, Any]) -> Reply:
        self.calls.append(operation)
        if operation in self.refused:
            action = f"{PREFIXES.get(operation, 'sagemaker')}:{operation}"
            text = f"User: {self.caller} is not authorized to perform: {action}"
            return 400, json.dumps({"__type": "AccessDeniedException", "message": text}).encode(), {}
        answers: dict[str, Callable[[], Any]] = {
            "ListServiceQuotas": lambda: {"Quotas": self._quota_rows()},
            "ListAWSDefaultServiceQuotas": lambda: {"Quotas": []},
            "DescribeKey": lambda: {
                "KeyMetadata": {
                    "Arn": self.key,
                    "KeyId": "k",
                    "KeyState": self.key_state,
                    "KeyManager": "CUSTOMER",
                }
            },
            "ListEndpoints": lambda: {"Endpoints": []},
            "GetProducts": lambda: {"PriceList": [price(params)]},
        }
        return 200, json.dumps(answers.get(operation, dict)()).encode(), {}

    def _quota_rows(self) -> list[dict[str, Any]]:
        return [
            {
                "QuotaName": name,
                "QuotaCode": code,
                "Value": value,
                "Adjustable": True,
                "ServiceCode": "sagemaker",
            }
            for name, (code, value) in self.quotas.items()
        ]

    def _s3(self, method: str, path: str) -> Reply:
        parts = urlsplit(path)
        bucket = parts.path.strip("/")
        operation = "GetBucketEncryption" if "encryption" in parts.query else "HeadBucket"
        self.calls.append(operation)
        if "list-type" in parts.query:
            return 200, b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>", {}
        if operation in self.refused:
            return 403, xml_error("AccessDenied", "Access Denied"), {}
        if bucket not in self.buckets:
            return 404, xml_error("NoSuchBucket", "The specified bucket does not exist"), {}
        if operation == "HeadBucket":
            return 200, b"", {"x-amz-bucket-region": self.buckets[bucket]}
        kms = f"<KMSMasterKeyID>{self.key}</KMSMasterKeyID>" if self.key else ""
        rule = f"<SSEAlgorithm>{'aws:kms' if self.key else 'AES256'}</SSEAlgorithm>{kms}"
        text = (
            '<ServerSideEncryptionConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Rule>'
            f"<ApplyServerSideEncryptionByDefault>{rule}</ApplyServerSideEncryptionByDefault>"
            "</Rule></ServerSideEncryptionConfiguration>"
        )
        return 200, text.encode(), {}

    def _query(self, action: str, params: dict[str, str]) -> Reply:
        self.calls.append(action)
        if self.bad_signature:
            return 403, query_error("SignatureDoesNotMatch", "Signature expired"), {}
        if action in self.refused:
            text = f"User: {self.caller} is not authorized to perform: iam:{action}"
            return 403, query_error("AccessDenied", text), {}
        if action == "GetCallerIdentity":
            result = f"<Arn>{self.caller}</Arn><UserId>A</UserId><Account>{ACCOUNT}</Account>"
        elif action == "SimulatePrincipalPolicy":
            result = self._simulated(params)
        elif action == "GetRole" and params["RoleName"] in self.roles:
            result = f"<Role>{self._role(params['RoleName'])}</Role>"
        elif action == "ListRoles":
            rows = "".join(f"<member>{self._role(name)}</member>" for name in self.roles)
            result = f"<Roles>{rows}</Roles><IsTruncated>false</IsTruncated>"
        elif action == "CreateRole" and params["RoleName"] in self.roles:
            return 409, query_error("EntityAlreadyExists", f"Role {params['RoleName']} already exists."), {}
        elif action == "CreateRole":
            self.roles[params["RoleName"]] = json.loads(params["AssumeRolePolicyDocument"])
            result = f"<Role>{self._role(params['RoleName'])}</Role>"
        elif action == "PutRolePolicy":
            self.created[params["RoleName"]] = {params["PolicyName"]: params["PolicyDocument"]}
            result = ""
        elif action == "GetRolePolicy" and params["PolicyName"] in self.created.get(params["RoleName"], {}):
            text = quote(self.created[params["RoleName"]][params["PolicyName"]])
            result = (
                f"<RoleName>{params['RoleName']}</RoleName><PolicyName>{params['PolicyName']}</PolicyName>"
                f"<PolicyDocument>{text}</PolicyDocument>"
            )
        else:
            return 404, query_error("NoSuchEntity", f"{action}: it cannot be found."), {}
        return (
            200,
            f"<{action}Response><{action}Result>{result}</{action}Result></{action}Response>".encode(),
            {},
        )

    def _role(self, name: str) -> str:
        trust = quote(json.dumps(self.roles[name]))
        arn = f"arn:aws:iam::{ACCOUNT}:role/{name}"
        return (
            f"<RoleName>{name.rpartition('/')[2]}</RoleName><Arn>{arn}</Arn><Path>/</Path><RoleId>A</RoleId>"
            f"<CreateDate>2026-01-01T00:00:00Z</CreateDate>"
            f"<AssumeRolePolicyDocument>{trust}</AssumeRolePolicyDocument>"
        )

    def _simulated(self, params: dict[str, str]) -> str:
        actions = [value for name, value in params.items() if name.startswith("ActionNames.")]
        resource, arn = params.get("ResourceArns.member.1", "*"), params["PolicySourceArn"]
        rows = "".join(self._decision(arn, action, resource) for action in actions)
        return f"<EvaluationResults>{rows}</EvaluationResults><IsTruncated>false</IsTruncated>"

    def _decision(self, arn: str, action: str, resource: str) -> str:
        more = self.denied.get((arn, action))
        outcome = "allowed" if more is None else more.get("outcome", "implicitDeny")
        extra = "" if more is None else more.get("xml", "")
        return (
            f"<member><EvalActionName>{action}</EvalActionName><EvalResourceName>{resource}</EvalResourceName>"
            f"<EvalDecision>{outcome}</EvalDecision>{extra}</member>"
        )


def price(params: dict[str, Any]) -> str:
    """Return a product of the price list: ml.g4dn.xlarge and ml.c5.xlarge cost a dollar per hour."""
    component = next(row["Value"] for row in params["Filters"] if row["Field"] == "component")
    name = "ml.g4dn.xlarge" if component == "Training" else "ml.c5.xlarge"
    dimensions = {"a": {"unit": "Hrs", "pricePerUnit": {"USD": "1.00"}}}
    return json.dumps(
        {
            "product": {"attributes": {"instanceName": name}},
            "terms": {"OnDemand": {"t": {"priceDimensions": dimensions}}},
        }
    )


def query_error(code: str, message: str) -> bytes:
    """Return an error of the query protocol."""
    error = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>"
    return f"<ErrorResponse>{error}<RequestId>r</RequestId></ErrorResponse>".encode()


def xml_error(code: str, message: str) -> bytes:
    """Return an error of S3."""
    return f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()


@contextmanager
def access_aws() -> Iterator[AccessAws]:
    """The account, while its server runs."""
    aws = AccessAws()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, payload, headers = aws.answer(self, body)
            self.send_response(status)
            for name, value in {"Content-Length": str(len(payload)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(payload)

        do_GET = do_POST = do_HEAD = do_PUT = answer  # noqa: N815

        def date_time_string(self, timestamp: float | None = None) -> str:
            return format_datetime(datetime.now(UTC) - aws.clock_offset, usegmt=True)

        def log_message(self, *_: object) -> None:
            """Keep the test's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    aws.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield aws
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def denial(xml: str = "", outcome: str = "implicitDeny") -> dict[str, Any]:
    """Return what makes the simulator deny an action. xml: more members of the result."""
    return {"outcome": outcome, "xml": re.sub(r"\s+", "", xml)}
