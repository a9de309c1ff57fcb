"""Data capture: the sampled requests and responses of an endpoint, one JSON line per object in S3.

Source: SageMaker developer guide, "Capture data from real-time endpoint". AWS collects several records in an object;
the sandbox writes each record when its response has ended.
"""

from __future__ import annotations

import base64
import json
import random
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError

from sandbox.common.clients import Loopback
from sandbox.common.store import Document

_MODES = {"Input": ("Input",), "Output": ("Output",), "InputAndOutput": ("Input", "Output")}


@dataclass(slots=True)
class CapturedInvocation:
    """One sampled invocation. config: the DataCaptureConfig; response: the pieces of its body."""

    config: Document
    endpoint: str
    variant: str
    request: bytes
    request_type: str
    inference_id: str
    response_type: str = ""
    response: list[bytes] = field(default_factory=list)

    def record(self, now: datetime) -> dict[str, Any]:
        """Return the record of this invocation."""
        modes = {
            mode for option in self.config["CaptureOptions"] for mode in _MODES.get(option["CaptureMode"], ())
        }
        data = {}
        if "Input" in modes:
            data["endpointInput"] = self._data("INPUT", self.request_type, self.request)
        if "Output" in modes:
            data["endpointOutput"] = self._data("OUTPUT", self.response_type, b"".join(self.response))
        metadata = {"eventId": str(uuid.uuid4()), "inferenceTime": f"{now:%Y-%m-%dT%H:%M:%SZ}"}
        if self.inference_id:
            metadata["inferenceId"] = self.inference_id
        return {"captureData": data, "eventMetadata": metadata, "eventVersion": "0"}

    def _data(self, mode: str, content_type: str, body: bytes) -> dict[str, str]:
        """Return one side: as text for the content types that the configuration names, else as Base64."""
        headers: Mapping[str, list[str]] = self.config.get("CaptureContentTypeHeader") or {}
        kind = content_type.partition(";")[0].strip().lower()
        encoding = "BASE64"
        for name, member in (("CSV", "CsvContentTypes"), ("JSON", "JsonContentTypes")):
            if kind in {value.lower() for value in headers.get(member, ())}:
                encoding = name
        text = base64.b64encode(body).decode() if encoding == "BASE64" else body.decode("utf-8", "replace")
        return {"observedContentType": content_type, "mode": mode, "data": text, "encoding": encoding}


class DataCapture:
    """Samples invocations and writes their records."""

    def __init__(self, loopback: Loopback) -> None:
        self._loopback = loopback

    def sample(
        self, config: Document | None, endpoint: str, variant: str, headers: Mapping[str, str], body: bytes
    ) -> CapturedInvocation | None:
        """Return the invocation when it is to be captured. config: None without data capture."""
        if config is None or not config.get("EnableCapture", True):
            return None
        if random.uniform(0, 100) >= config["InitialSamplingPercentage"]:
            return None
        inference_id = headers.get("X-Amzn-SageMaker-Inference-Id", "")
        return CapturedInvocation(
            config, endpoint, variant, body, headers.get("Content-Type", ""), inference_id
        )

    def write(self, invocation: CapturedInvocation) -> None:
        """Write one record; a failure is printed, as the invocation itself has succeeded."""
        now = datetime.now(UTC)
        record = invocation.record(now)
        bucket, _, prefix = invocation.config["DestinationS3Uri"].partition("://")[2].partition("/")
        name = f"{now:%Y/%m/%d/%H/%M-%S-%f}-{record['eventMetadata']['eventId']}.jsonl"
        parts = [prefix.strip("/"), invocation.endpoint, invocation.variant, name]
        key_id = invocation.config.get("KmsKeyId")
        encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key_id} if key_id else {}
        try:
            self._loopback.client("s3").put_object(
                Bucket=bucket,
                Key="/".join(part for part in parts if part),
                Body=f"{json.dumps(record)}\n".encode(),
                **encryption,
            )
        except (ClientError, BotoCoreError, Boto3Error) as problem:
            print(f"sandbox: data capture of {invocation.endpoint} failed: {problem}", file=sys.stderr)
