"""Temporary credentials: a session token holds who the caller is, signed with the sandbox's own secret key.

Nothing is stored, so sessions remain valid across restarts, until they expire or the sandbox's key is replaced.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Caller:
    """The identity behind a request.

    role:     the role's ARN of an assumed-role session; empty for the sandbox's own user, which may do everything.
    policies: the session policies, as JSON texts, and `policy_arns` those given by ARN.
    expires:  seconds since 1970; 0 for the user's own key.
    """

    arn: str
    user_id: str
    role: str = ""
    policies: tuple[str, ...] = ()
    policy_arns: tuple[str, ...] = ()
    expires: float = 0

    @property
    def role_name(self) -> str:
        """Return the name of the role, without its path."""
        return self.role.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Credentials:
    """Temporary credentials. expires: seconds since 1970."""

    access_key: str
    secret_key: str = field(repr=False)
    token: str = field(repr=False)
    expires: float


class InvalidTokenError(Exception):
    """A session token that is missing, changed, of another key or of another sandbox."""


class Sessions:
    """Issues and reads temporary credentials. secret: the sandbox's own secret key."""

    def __init__(self, secret: str) -> None:
        self._secret = hashlib.sha256(f"sessions:{secret}".encode()).digest()

    def issue(self, caller: Caller) -> Credentials:
        """Return credentials with which a client is this caller."""
        number = base64.b32encode(secrets.token_bytes(10)).decode()
        key = f"ASIA{number}"
        payload = json.dumps({"key": key, **asdict(caller)}, separators=(",", ":")).encode()
        token = f"{_text(payload)}.{_text(self._sign(b'token', payload))}"
        return Credentials(key, self._secret_key(key), token, caller.expires)

    def read(self, access_key: str, token: str) -> tuple[Caller, str]:
        """Return the caller and the secret key of an access key. Raises InvalidTokenError."""
        try:
            text, _, signature = token.partition(".")
            payload = base64.urlsafe_b64decode(text)
            good = hmac.compare_digest(_text(self._sign(b"token", payload)).encode(), signature.encode())
            values: dict[str, Any] = json.loads(payload) if good else {}
        except ValueError as problem:
            raise InvalidTokenError(str(problem)) from problem
        if values.pop("key", None) != access_key:
            raise InvalidTokenError("The token is not one of this key.")
        for name in ("policies", "policy_arns"):
            values[name] = tuple(values[name])
        return Caller(**values), self._secret_key(access_key)

    def _secret_key(self, access_key: str) -> str:
        """Return the secret key that belongs to an access key."""
        return _text(self._sign(b"key", access_key.encode()))[:40]

    def _sign(self, purpose: bytes, data: bytes) -> bytes:
        return hmac.new(self._secret, purpose + b":" + data, hashlib.sha256).digest()


def _text(data: bytes) -> str:
    """Return bytes as text that needs no escaping in a URL."""
    return base64.urlsafe_b64encode(data).decode()
