"""SageMaker's stored resources by name and ARN, with AWS's error texts."""

from __future__ import annotations

import time
from collections.abc import Callable

from sandbox.common.limits import SandboxLocation
from sandbox.common.store import Document, RecordStore
from sandbox.http.protocol import ApiError, Params
from sandbox.services.sagemaker.listing import Listing

Operation = Callable[[Params], Params | None]
# Kind, as in ARNs and in the store -> the prefix of its members, and its name in error messages.
_PREFIX = {
    "model": "Model",
    "endpoint-config": "EndpointConfig",
    "endpoint": "Endpoint",
    "training-job": "TrainingJob",
    "transform-job": "TransformJob",
}
_WORDS = {
    "model": "model",
    "endpoint-config": "endpoint configuration",
    "endpoint": "endpoint",
    "training-job": "training job",
    "transform-job": "transform job",
}


class Resources:
    """The stored documents under SageMaker's names and with its errors."""

    def __init__(
        self, store: RecordStore, location: SandboxLocation, clock: Callable[[], float] = time.time
    ) -> None:
        self.store, self._clock = store, clock
        self._arn = f"arn:aws:sagemaker:{location.region}:{location.account}"

    def clock(self) -> float:
        """Return the time now, rounded to milliseconds: clients send back no finer times."""
        return round(self._clock(), 3)

    def arn(self, kind: str, name: str) -> str:
        """Return a resource's ARN, its name in lower case as in AWS."""
        return f"{self._arn}:{kind}/{name.lower()}"

    def get(self, kind: str, name: str) -> Document:
        """Return a resource. Raises ApiError ValidationException when it does not exist."""
        document = self.store.get(kind, name)
        if document is None:
            raise ApiError("ValidationException", f'Could not find {_WORDS[kind]} "{self.arn(kind, name)}".')
        return document

    def create(self, kind: str, name: str, members: Params) -> Params:
        """Store a new document with its ARN and times; return the Create operation's response. Raises ApiError."""
        now, member = self.clock(), f"{_PREFIX[kind]}Arn"
        document = {**members, member: self.arn(kind, name), "CreationTime": now, "LastModifiedTime": now}
        if not self.store.insert(kind, name, document):
            text = f'Cannot create already existing {_WORDS[kind]} "{document[member]}".'
            raise ApiError("ValidationException", text)
        return {member: document[member]}

    def delete(self, kind: str, name: str) -> None:
        """Delete a resource. Raises ApiError when it does not exist."""
        self.get(kind, name)
        self.store.delete(kind, name)

    def page(self, kind: str, member: str, params: Params, *, status: str | None = None) -> Params:
        """Return the response of a List operation: one page under `member`."""
        listing = Listing(f"{_PREFIX[kind]}Name", status)
        documents, token = listing.page(self.store.view(kind), params)
        return {member: documents, "NextToken": token}

    def by_arn(self, arn: str) -> tuple[str, str]:
        """Return kind and name of the resource with an ARN. Raises ApiError when it does not exist."""
        kind, _, name = arn.split(":", 5)[-1].partition("/")
        if kind not in _PREFIX or self.arn(kind, name) != arn.lower():
            raise ApiError("ValidationException", f'Could not find resource "{arn}".')
        self.get(kind, name)
        return kind, name

    def is_training_job(self, arn: str) -> bool:
        """Return whether an ARN is that of an existing training job."""
        kind, _, name = arn.split(":", 5)[-1].partition("/")
        known = kind == "training-job" and self.arn(kind, name) == arn.lower()
        return known and self.store.get(kind, name) is not None
