"""A server in place of AWS with one transform job of many images, whose calls are counted."""

from __future__ import annotations

import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.support.batches import jpeg, mask

PAGE = 1000
JOB = "many-1"
CREATED = 1_790_000_000
WRITTEN = "2026-10-01T00:00:00.000Z"


class BatchServer:
    """images: how many the job has. written: how many of them have a mask. running: whether the job is.

    calls: operation -> how often it was called.
    """

    def __init__(self, images: int, *, written: int, running: bool) -> None:
        self.images, self.written, self.running = images, written, running
        self.calls: Counter[str] = Counter()
        self._bodies = {".out": mask(), ".jpg": jpeg()}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                operation = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
                outer.calls[operation] += 1
                status, document = outer._answer(operation)
                outer._send(self, status, json.dumps(document).encode())

            def do_GET(self) -> None:
                address = urlsplit(self.path)
                query = parse_qs(address.query)
                if "list-type" in query:
                    outer.calls["ListObjectsV2"] += 1
                    first = int(query.get("continuation-token", ["0"])[0])
                    outer._send(self, 200, outer._listing(query["prefix"][0], first))
                else:
                    outer.calls["GetObject"] += 1
                    outer._send(self, 200, outer._bodies[unquote(address.path)[-4:]])

            def log_message(self, *args: object) -> None:
                """Keep the test's output clean."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def environ(self) -> dict[str, str]:
        """Return the environment of a dashboard whose AWS this is."""
        return {
            "SEGDECK_MODE": "aws",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self._server.server_address[1]}",
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "us-east-1",
        }

    def stop(self) -> None:
        """Release the port."""
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, operation: str) -> tuple[int, dict[str, Any]]:
        if operation == "DescribeTransformJob":
            source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://many/in/"}}
            return 200, {
                "TransformJobName": JOB,
                "TransformJobArn": f"arn:aws:sagemaker:us-east-1:123456789012:transform-job/{JOB}",
                "TransformJobStatus": "InProgress" if self.running else "Completed",
                "CreationTime": CREATED,
                "TransformStartTime": CREATED + 60,
                "ModelName": "many",
                "TransformInput": {"DataSource": source, "ContentType": "image/jpeg"},
                "TransformOutput": {"S3OutputPath": "s3://many/out/", "Accept": "image/png"},
                "TransformResources": {"InstanceType": "ml.g4dn.xlarge", "InstanceCount": 1},
            }
        return 400, {"__type": "ValidationException", "message": "Could not find what was requested."}

    def _listing(self, prefix: str, first: int) -> bytes:
        count, suffix = (self.images, "") if prefix == "in/" else (self.written, ".out")
        last = min(count, first + PAGE)
        rows = "".join(
            f"<Contents><Key>{prefix}{number:05}.jpg{suffix}</Key><LastModified>{WRITTEN}</LastModified>"
            f"<Size>1000</Size></Contents>"
            for number in range(first, last)
        )
        more = f"<NextContinuationToken>{last}</NextContinuationToken>" if last < count else ""
        truncated = str(last < count).lower()
        return f"<ListBucketResult><IsTruncated>{truncated}</IsTruncated>{more}{rows}</ListBucketResult>".encode()

    @staticmethod
    def _send(handler: BaseHTTPRequestHandler, status: int, body: bytes) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)
