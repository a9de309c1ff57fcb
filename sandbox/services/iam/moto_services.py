"""STS and IAM as one WSGI application: moto's unmodified server, made durable.

moto keeps everything in memory: calls that changed something are kept in a journal and made again at the next start
(ids and dates that moto draws are then new). What moto lacks or answers differently is here:
SimulatePrincipalPolicy and GetCallerIdentity. Paths other than "/" are refused, so moto's own control API cannot be
reached.

moto's state belongs to the process: sandboxes that run at the same time in one process share their IAM. One that
starts when no other runs begins with its own journal alone.
"""

from __future__ import annotations

import io
import logging
import os
import threading
import time
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode
from xml.etree import ElementTree as ET

from werkzeug.test import EnvironBuilder, run_wsgi_app

from sandbox.common.disk import Disk, DiskFullError, is_full
from sandbox.http import protocol, sigv4
from sandbox.http.protocol import (
    ApiError,
    Reply,
    bytes_reply,
    dialect,
    error_reply,
    shortened,
    target_operation,
    whole_number,
)
from sandbox.services.iam.journal import Call, IamJournal
from sandbox.services.iam.simulate import simulate

_log = logging.getLogger(__name__)
MOTO_SERVICES = frozenset({"sts", "iam"})
_FORM = "application/x-www-form-urlencoded; charset=utf-8"
_running: set[int] = set()  # ids of the MotoServices open in this process
_running_lock = threading.Lock()
_READS = ("Get", "List", "Describe", "Simulate", "Assume", "Decode", "Generate")
_SCOPE = (
    "AWS4-HMAC-SHA256 Credential=SANDBOX/20260101/{region}/{service}/aws4_request, "
    "SignedHeaders=host, Signature=0"
)


class MotoServices:
    """Safe for many threads. moto is imported in the background, since that takes half a second."""

    def __init__(self, root: Path, region: str, account: str, *, disk: Disk | None = None) -> None:
        """disk: that of `root`; its reserve is for the journal when there is no room left."""
        root.mkdir(parents=True, exist_ok=True)
        self._disk = disk or Disk(root)
        self._region, self._account = region, account
        self._journal = IamJournal(root / "journal.jsonl")
        self._lock = threading.Lock()  # held during a change, so the journal has the calls in their order
        self._moto: Any = None
        self._failure: BaseException | None = None
        with _running_lock:
            self._alone = not _running
            _running.add(id(self))
        self._loading = threading.Thread(target=self._load, name="moto", daemon=True)
        self._loading.start()

    def close(self) -> None:
        """Let go of the files."""
        self._loading.join()
        with _running_lock:
            _running.discard(id(self))
        self._journal.close()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        service = ""
        try:
            service = sigv4.parse(environ).service
            reply = self._reply(service, environ)
        except ApiError as error:
            reply = error_reply(error, dialect(environ, service))
        start_response(reply.status_line(), reply.headers)
        return reply.body

    def _reply(self, service: str, environ: dict[str, Any]) -> Reply:
        if service not in MOTO_SERVICES or environ["PATH_INFO"] != "/":
            raise ApiError(
                "UnknownOperationException", f"The sandbox offers no {service} {environ['PATH_INFO']}."
            )
        body = environ["wsgi.input"].read()
        params = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
        operation = target_operation(environ) or params.get("Action", "")
        _check_numbers(service, operation, params)
        if operation == "GetCallerIdentity":
            return _query_reply(service, operation, self._identity())
        if operation == "SimulatePrincipalPolicy":
            return _query_reply(service, operation, simulate(params, self._call_iam))
        if operation.startswith(_READS):
            return self._call_moto(environ, body)
        with self._lock:
            reply = self._call_moto(environ, body)
            if reply.status < 400:
                self._remember(_call(environ, body))
            return reply

    def _remember(self, call: Call) -> None:
        """Write a call down that moto has carried out. Raises DiskFullError where there is no room."""
        try:
            self._disk.freeing(lambda: self._journal.append(call))
        except OSError as problem:
            if not is_full(problem):
                raise
            kept = "The change is in force, but only until the sandbox is started again."
            raise DiskFullError(self._disk.text(problem, len(call.body), kept)) from problem

    def _identity(self) -> str:
        arn = f"arn:aws:iam::{self._account}:user/sandbox"
        return f"<UserId>AIDASANDBOX</UserId><Account>{self._account}</Account><Arn>{arn}</Arn>"

    # moto

    def _load(self) -> None:
        """Import moto, then make the journal's calls again."""
        os.environ.setdefault("MOTO_DISABLE_GLOBAL_CORS", "true")
        os.environ.setdefault("MOTO_IAM_LOAD_MANAGED_POLICIES", "true")
        os.environ["MOTO_ACCOUNT_ID"] = self._account
        try:
            from moto.moto_server import werkzeug_app  # noqa: PLC0415 - slow

            app = werkzeug_app.DomainDispatcherApplication(werkzeug_app.create_backend_app)
            if self._alone:
                run_wsgi_app(
                    app, EnvironBuilder("/moto-api/reset", method="POST").get_environ(), buffered=True
                )
            for call in self._journal:
                self._replay(app, call)
        except BaseException as error:
            self._failure = error
            raise
        self._moto = app

    def _replay(self, app: Any, call: Call) -> None:
        environ = _environ(call.authorization, call.body, call.content_type, call.target)
        _, status, _ = run_wsgi_app(app, environ, buffered=True)
        if not status.startswith("2"):
            _log.warning("a call of the journal failed with %s: %s", status, call.target or call.body[:80])

    def _call_moto(self, environ: dict[str, Any], body: bytes) -> Reply:
        """moto's answer, whole."""
        self._loading.join()
        if self._failure is not None:
            raise ApiError("InternalFailure", f"moto could not be started: {self._failure}", 500)
        plain = {name: value for name, value in environ.items() if not name.startswith("sandbox.")}
        answer = {**plain, "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
        chunks, status, headers = run_wsgi_app(self._moto, answer, buffered=True)
        kept = [
            (name, value) for name, value in headers if name.lower() not in {"server", "date", "connection"}
        ]
        return Reply(int(status.split()[0]), kept, list(chunks))

    def _call_iam(self, action: str, params: Mapping[str, str]) -> ET.Element:
        """An IAM call of our own. Raises ApiError with IAM's code."""
        body = urlencode({"Action": action, "Version": "2010-05-08", **params})
        authorization = _SCOPE.format(region=self._region, service="iam")
        reply = self._call_moto(_environ(authorization, body, _FORM, ""), body.encode())
        root = ET.fromstring(b"".join(reply.body))  # noqa: S314 - moto wrote it
        for item in root.iter():
            item.tag = item.tag.rpartition("}")[2]
        if reply.status >= 400:
            code, message = root.findtext(".//Code", "InternalFailure"), root.findtext(".//Message", "")
            raise ApiError(code, message, reply.status)
        result = root.find(f"{action}Result")
        return root if result is None else result


def _check_numbers(service: str, operation: str, params: Mapping[str, str]) -> None:
    """Raise ApiError ValidationError for a number that is not one: moto would end the connection over it."""
    if operation not in protocol.service(service).operation_names:
        return
    shape = protocol.service(service).operation_model(operation).input_shape
    for name, member in shape.members.items() if shape is not None else ():
        if name in params and member.type_name in {"integer", "long"}:
            low, high = member.metadata.get("min", 0), member.metadata.get("max", 2**31 - 1)
            if whole_number(params[name], low=low, high=high) is None:
                text = f"{name} must be a whole number from {low} to {high}, not {shortened(params[name])!r}."
                raise ApiError("ValidationError", text)


def _query_reply(service: str, operation: str, result: str) -> Reply:
    """An answer of the query protocol."""
    version = {"sts": "2011-06-15", "iam": "2010-05-08"}[service]
    xml = (
        f'<{operation}Response xmlns="https://{service}.amazonaws.com/doc/{version}/">'
        f"<{operation}Result>{result}</{operation}Result>"
        f"<ResponseMetadata><RequestId>{uuid.uuid4()}</RequestId></ResponseMetadata></{operation}Response>"
    )
    return bytes_reply(xml.encode(), "text/xml")


def _call(environ: Mapping[str, Any], body: bytes) -> Call:
    """What the journal keeps: of the signature only its scope."""
    signature = sigv4.parse(environ)
    return Call(
        at=time.time(),
        authorization=_SCOPE.format(region=signature.region, service=signature.service),
        content_type=environ.get("CONTENT_TYPE", ""),
        target=environ.get("HTTP_X_AMZ_TARGET", ""),
        body=body.decode(),
    )


def _environ(authorization: str, body: str, content_type: str, target: str) -> dict[str, Any]:
    headers = [("Authorization", authorization), ("Content-Type", content_type)]
    headers += [("X-Amz-Target", target)] if target else []
    return EnvironBuilder(method="POST", data=body.encode(), headers=headers).get_environ()
