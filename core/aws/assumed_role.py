"""Credentials of a role that Segdeck itself assumes: an entry of SEGDECK_ACCOUNTS."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from botocore.credentials import (
    AssumeRoleCredentialFetcher,
    CredentialProvider,
    DeferredRefreshableCredentials,
)
from botocore.exceptions import NoCredentialsError
from botocore.session import Session

SESSION_NAME = "segdeck"
"""How CloudTrail names the sessions of the role."""


class RoleProvider(CredentialProvider):  # type: ignore[misc]  # botocore has no types
    """Assumes a role when its credentials are first needed, and again before they expire.

    source: whose credentials assume it. client: creates an STS client with the keys it is given.
    """

    METHOD = "assume-role"

    def __init__(
        self, source: Session, client: Callable[..., Any], role_arn: str, external_id: str = ""
    ) -> None:
        super().__init__(source)
        self._source, self._create_client = source, client
        self._role_arn, self._external_id = role_arn, external_id

    def load(self) -> DeferredRefreshableCredentials:
        """Return the credentials. Raises NoCredentialsError where there are none to assume the role with."""
        credentials = self._source.get_credentials()
        if credentials is None:
            raise NoCredentialsError
        more = {"ExternalId": self._external_id} if self._external_id else {}
        fetcher = AssumeRoleCredentialFetcher(
            self._create_client,
            credentials,
            self._role_arn,
            extra_args={"RoleSessionName": SESSION_NAME, **more},
        )
        return DeferredRefreshableCredentials(
            refresh_using=fetcher.fetch_credentials,
            method=self.METHOD,
            time_fetcher=lambda: datetime.now().astimezone(),
        )
