"""Keep botocore from prompting where no one can answer: for an MFA code, or for what a program asks.

botocore asks for an MFA code on the terminal of the process. For a server, that terminal is not the user's: the page
would wait forever. So a server never asks. It uses the session that the AWS CLI keeps in ~/.aws/cli/cache after it
has asked for a code, and without one, says how to start one.
"""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Callable
from getpass import getpass
from pathlib import Path
from typing import Any

from botocore.credentials import ProcessProvider
from botocore.exceptions import BotoCoreError, CredentialRetrievalError, RefreshWithMFAUnsupportedError
from botocore.session import Session
from botocore.utils import JSONFileCache

PROCESS_SECONDS = 60
"""How long a credential_process may take on a server."""


class MfaMissingError(BotoCoreError):  # type: ignore[misc]  # botocore has no types
    """The profile needs an MFA code, and there is no session that a code has started."""

    fmt = "The MFA device is {serial}"


class MfaExpiredError(BotoCoreError):  # type: ignore[misc]  # as above
    """The session that an MFA code has started has expired."""

    fmt = "The MFA device is {serial}"


class MfaSessions(JSONFileCache):  # type: ignore[misc]  # as above
    """The AWS CLI's sessions of roles, in ~/.aws/cli/cache. New ones are only written after a code was entered.

    interactive: whether a code can be asked for in the terminal.
    """

    def __init__(self, folder: Path, *, interactive: bool) -> None:
        super().__init__(str(folder))
        self._interactive = interactive
        self._asked = self._present = False
        self._memory: dict[str, Any] = {}
        self._serial = "unknown"
        self._refusal: BotoCoreError | None = None

    def __contains__(self, key: str) -> bool:
        if key in self._memory:
            return True
        try:
            self._present = isinstance(super().__getitem__(key)["Credentials"]["Expiration"], str)
        except (KeyError, TypeError, ValueError, OSError):  # none, or a damaged one: the AWS CLI replaces it
            self._present = False
        return self._present

    def __getitem__(self, key: str) -> Any:
        return self._memory[key] if key in self._memory else super().__getitem__(key)

    def __setitem__(self, key: str, session: Any) -> None:
        if not self._asked:
            self._memory[key] = session
            return
        self._asked = False
        super().__setitem__(key, session)

    def ask(self, prompt: str) -> str:
        """Return the MFA code. Raises MfaMissingError or MfaExpiredError where no one can be asked."""
        self._serial = prompt.removeprefix("Enter MFA code for ").removesuffix(": ")
        if self._interactive:
            self._asked = True
            return getpass(prompt)
        kind = MfaExpiredError if self._present else MfaMissingError
        self._refusal = kind(serial=self._serial)
        raise self._refusal

    def repeatable(self, refresh: Callable[[], Any]) -> Callable[[], Any]:
        """Return `refresh`, which botocore lets run only once, with the reason of the first failure for the next.

        Reads run in parallel: without this, all but the first would report another reason.
        """

        def refresh_again() -> Any:
            try:
                return refresh()
            except RefreshWithMFAUnsupportedError:
                raise (self._refusal or MfaExpiredError(serial=self._serial)) from None

        return refresh_again


class _OnlyUnreported(logging.Filter):
    """Drops failures that are raised anyway, of mandatory refreshes, and the traceback of the others."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to log the record."""
        if not str(record.msg).startswith("Refreshing temporary credentials failed"):
            return True
        record.exc_info = None
        return "mandatory" not in (record.args or ())


logging.getLogger("botocore.credentials").addFilter(_OnlyUnreported())


def prepare(session: Session, *, interactive: bool) -> None:
    """Set what a session does where it would ask. Raises botocore's errors for an invalid configuration."""
    sessions = MfaSessions(Path.home() / ".aws" / "cli" / "cache", interactive=interactive)
    resolver = session.get_component("credential_provider")
    roles = resolver.get_provider("assume-role")
    roles.cache, roles._prompter = sessions, sessions.ask
    load = roles._load_creds_via_assume_role

    def load_repeatable(profile_name: str) -> Any:
        credentials = load(profile_name)
        credentials._refresh_using = sessions.repeatable(credentials._refresh_using)
        return credentials

    roles._load_creds_via_assume_role = load_repeatable
    if not interactive:
        resolver.get_provider("custom-process")._popen = _without_terminal
        roles._profile_provider_builder._create_process_provider = lambda profile_name: ProcessProvider(
            profile_name, lambda: session.full_config, popen=_without_terminal
        )


class _Program(subprocess.Popen[bytes]):
    """A credential_process that cannot ask on a terminal, and must end in time."""

    def communicate(self, input: bytes | None = None, timeout: float | None = None) -> tuple[bytes, bytes]:  # noqa: A002
        try:
            return super().communicate(input, timeout or PROCESS_SECONDS)
        except subprocess.TimeoutExpired as error:
            self.kill()
            super().communicate()
            raise CredentialRetrievalError(
                provider="custom-process",
                error_msg=f"It did not end within {PROCESS_SECONDS} s; it may have asked for something",
            ) from error


def _without_terminal(command: list[str], **options: Any) -> _Program:
    return _Program(command, stdin=subprocess.DEVNULL, start_new_session=True, **options)
