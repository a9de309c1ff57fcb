"""A server in place of AWS that puts hostile text into every text field, generated from botocore's models."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import escape

import botocore.session
from botocore.model import ServiceModel

MARK = "PLANTED"
HOSTILE = (
    f"={MARK}\x1b[2J\x9b\u202e\u2066\nFORGED\r\t[red]x[/red]<script>$y$**b** "
    "www.evil.example a@evil.example :fire: :material/bomb:"
)
"""Steers a terminal, reorders text, forges a line; is a formula, markup of Rich, HTML and Markdown, an address."""

HOSTILE_XML = HOSTILE.replace("\x1b", "").replace("\x9b", "\u202a")
"""The same without what XML cannot hold."""

SERVICES = {
    "SageMaker": "sagemaker",
    "Logs_20140328": "logs",
    "AnyScaleFrontendService": "application-autoscaling",
    "AWSPriceListService": "pricing",
}
ENUMS = {
    "TrainingJobStatus": "Failed",
    "SecondaryStatus": "Failed",
    "EndpointStatus": "Failed",
    "Status": HOSTILE,
}
PREFIXES = {
    "Arn": "arn:aws:sagemaker:us-east-1:123456789012:thing/",
    "Uri": "s3://planted/",
    "Url": "s3://planted/",
}
SKIPPED = ("NextToken", "nextToken", "nextBackwardToken")
"""Without these a list has one page."""

NAMES = {"classes": [{"name": f"{HOSTILE}{number}", "color": "#102030"} for number in range(3)]}


class HostileAws:
    """operations: every called operation. endpoint_status: the status of all endpoints."""

    def __init__(self) -> None:
        self.operations: set[str] = set()
        self.endpoint_status = "Failed"
        self.url = ""

    def answer(self, target: str) -> dict[str, Any] | None:
        """Return the body of a JSON response; None for an unsupported service."""
        name, _, operation = target.partition(".")
        if name not in SERVICES:
            return None
        self.operations.add(operation)
        shape = service_model(SERVICES[name]).operation_model(operation).output_shape
        return {} if shape is None else self._value(shape, "", 0)

    def _value(self, shape: Any, name: str, depth: int) -> Any:
        kind = shape.type_name
        if kind == "structure":
            members = {key: part for key, part in shape.members.items() if key not in SKIPPED}
            return (
                {key: self._value(part, key, depth + 1) for key, part in members.items()} if depth < 8 else {}
            )
        if kind == "list":
            return [self._value(shape.member, name, depth + 1)] if depth < 8 else []
        if kind == "map":
            return {HOSTILE: self._value(shape.value, name, depth + 1)}
        if kind == "string":
            return self._text(shape, name)
        if kind == "timestamp":
            return 1_790_000_000
        if kind == "boolean":
            return False
        return 1_790_000_000_000 if name in ("timestamp", "ingestionTime") else 1

    def _text(self, shape: Any, name: str) -> str:
        if name == "EndpointStatus":
            return self.endpoint_status
        if name in ENUMS:
            return ENUMS[name]
        if shape.enum:
            return str(shape.enum[0])
        if name == "Key":  # of a tag
            return "segdeck:classes"
        if name == "Value":
            return "s3://planted/classes.json"
        ending = next((prefix for end, prefix in PREFIXES.items() if name.endswith(end)), "")
        return ending + HOSTILE


@cache
def service_model(service: str) -> ServiceModel:
    """Return botocore's description of a service: to parse it takes longer than a request."""
    return botocore.session.get_session().get_service_model(service)


@contextmanager
def hostile_aws() -> Iterator[HostileAws]:
    """Run a server until the end of the block."""
    aws = HostileAws()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.path.endswith("/invocations"):
                aws.operations.add("InvokeEndpoint")
                body = {
                    "Message": HOSTILE,
                    "OriginalMessage": HOSTILE,
                    "OriginalStatusCode": 400,
                    "LogStreamArn": HOSTILE,
                }
                self.send(
                    424, json.dumps(body).encode(), "application/json", {"x-amzn-errortype": "ModelError"}
                )
                return
            body_or_none = aws.answer(self.headers.get("X-Amz-Target", ""))
            if body_or_none is None:
                self.send_xml_error()
                return
            self.send(200, json.dumps(body_or_none).encode(), "application/x-amz-json-1.1")

        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            if path.endswith("classes.json"):
                self.send(200, json.dumps(NAMES).encode(), "application/json")
            elif "list-type=2" in query:
                aws.operations.add("ListObjectsV2")
                self.send(200, listing(query).encode(), "application/xml")
            else:
                self.send_xml_error()

        do_PUT = do_HEAD = do_DELETE = do_GET  # noqa: N815 - names of the base class

        def send_xml_error(self) -> None:
            error = f"<Code>AccessDenied</Code><Message>{escape(HOSTILE_XML)}</Message>"
            body = f"<ErrorResponse><Error>{error}</Error><RequestId>r</RequestId></ErrorResponse>"
            if self.command == "GET":
                body = f"<Error>{error}<RequestId>r</RequestId></Error>"
            self.send(403, body.encode(), "text/xml")

        def send(self, status: int, body: bytes, kind: str, headers: Mapping[str, str] = {}) -> None:
            self.send_response(status)
            for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Do nothing: pytest's output is for tests."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    aws.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield aws
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def listing(query: str) -> str:
    """Return a page of ListObjectsV2 with hostile keys, percent-encoded on request as S3 does."""
    name = HOSTILE.replace("/", "")
    sides = ("train", "validation")
    keys = [f"data/{side}{end}" for side in sides for end in (f"/{name}.jpg", f"_annotation/{name}.png")]
    rows = "".join(
        f"<Contents><Key>{quote(key)}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
        f"<ETag>&quot;e&quot;</ETag><Size>9</Size><StorageClass>STANDARD</StorageClass></Contents>"
        for key in keys
    )
    return (
        '<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>planted</Name>'
        f"<Prefix>data/</Prefix><KeyCount>4</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated>"
        f"<EncodingType>url</EncodingType>{rows}</ListBucketResult>"
    )
