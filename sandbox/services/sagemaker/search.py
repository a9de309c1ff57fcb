"""Search: stored resources by any of their properties, in any order, page by page.

A page token holds the sort key of the last result, so nothing is skipped or repeated when results change in between.
Source: SageMaker API reference, "Search".
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from botocore.model import Shape

from sandbox.common.store import Document, RecordStore
from sandbox.http.protocol import Params, service
from sandbox.services.sagemaker.resources import Operation
from sandbox.services.sagemaker.search_filters import Property, build, find_property, invalid, number_of
from sandbox.services.sagemaker.trial_components import trial_components

DEFAULT_PAGE = 10
SortKey = tuple[int, Any, str]  # rank of the value's kind, value, name


@dataclass(frozen=True, slots=True)
class Resource:
    """A searchable resource. member: of a SearchRecord; name: the property with its name; documents: all of them."""

    member: str
    name: str
    documents: Callable[[RecordStore], list[Document]]

    @property
    def shape(self) -> Shape:
        """Return botocore's shape of the resource."""
        return service("sagemaker").shape_for("SearchRecord").members[self.member]


RESOURCES = {
    "TrainingJob": Resource("TrainingJob", "TrainingJobName", lambda store: store.view("training-job")),
    "Endpoint": Resource("Endpoint", "EndpointName", lambda store: store.view("endpoint")),
    "ExperimentTrialComponent": Resource("TrialComponent", "TrialComponentName", trial_components),
}


class Search:
    """The operation Search."""

    def __init__(self, store: RecordStore) -> None:
        self._store = store

    def operations(self) -> dict[str, Operation]:
        """Return the operations by name."""
        return {"Search": self.search}

    def search(self, params: Params) -> Params:
        """Answer Search. Raises ApiError for an unsupported resource, and an invalid expression or token."""
        resource = RESOURCES.get(params["Resource"])
        if resource is None:
            *names, last = RESOURCES
            known = f"{', '.join(names)} and {last}"
            raise invalid(f"The sandbox supports Search of {known}, not of {params['Resource']}.")
        documents = resource.documents(self._store)
        if params.get("SearchExpression") is not None:
            test = build(resource.shape, params["SearchExpression"])
            documents = [document for document in documents if test(document)]
        page, token = _page(documents, resource, params)
        return {
            "Results": [{resource.member: document} for document in page],
            "NextToken": token,
            "TotalHits": {"Value": len(documents), "Relation": "EqualTo"},
        }


def _page(documents: list[Document], resource: Resource, params: Params) -> tuple[list[Document], str | None]:
    """Return one page of documents and the token of the next. Raises ApiError."""
    by = find_property(resource.shape, params.get("SortBy", "LastModifiedTime"))
    descending = params.get("SortOrder", "Descending") == "Descending"
    keyed = [(_key(document, by, resource, descending), document) for document in documents]
    keyed.sort(key=lambda pair: pair[0], reverse=descending)
    query = [by.name, descending]
    if params.get("NextToken"):
        last = _read_token(params["NextToken"], query)
        keyed = [pair for pair in keyed if (pair[0] < last if descending else pair[0] > last)]
    size = params.get("MaxResults", DEFAULT_PAGE)
    token = _write_token(keyed[size - 1][0], query) if len(keyed) > size else None
    return [document for _, document in keyed[:size]], token


def _key(document: Document, by: Property, resource: Resource, descending: bool) -> SortKey:
    """Return a sort key: numbers before text; documents without a value come last in either order."""
    value, name = by.first(document), document[resource.name]
    if by.kind == "map" and (number := number_of(value)) is not None:
        value = number
    if isinstance(value, (bool, int, float)):
        return 1, value, name
    if isinstance(value, str):
        return 2, value, name
    return (0 if descending else 3), "", name


def _write_token(last: SortKey, query: list[Any]) -> str:
    """Return the token of a page that ends with this sort key."""
    return base64.urlsafe_b64encode(json.dumps([query, last]).encode()).decode()


def _read_token(token: str, query: list[Any]) -> SortKey:
    """Return the sort key in a token. Raises ApiError for an invalid token or one of another search."""
    try:
        token_query, (rank, value, name) = json.loads(base64.urlsafe_b64decode(token))
        wanted = (int, float) if rank == 1 else str
        good = (
            token_query == query
            and rank in {0, 1, 2, 3}
            and isinstance(value, wanted)
            and isinstance(name, str)
        )
    except (ValueError, binascii.Error, TypeError, RecursionError) as problem:
        raise invalid(f"Invalid pagination token: {token}") from problem
    if not good:
        raise invalid(f"Invalid pagination token: {token}")
    return rank, value, name
