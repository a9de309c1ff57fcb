"""Filter, sort and page the List operations: by name, time and status.

A page token holds the sort key of the last item returned, so that nothing is skipped or repeated when items are
added or deleted between two pages.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sandbox.common.store import Document
from sandbox.http.protocol import ApiError, Params, shortened

DEFAULT_PAGE = 10
_TIMES = ("CreationTime", "LastModifiedTime")
SortKey = tuple[Any, str]


@dataclass(frozen=True, slots=True)
class Listing:
    """How one kind of document is listed. status: the name of its status member, if it has one."""

    name: str
    status: str | None = None

    def page(self, documents: Iterable[Document], params: Params) -> tuple[list[Document], str | None]:
        """Return one page and the token of the next; None at the end. Raises ApiError for an invalid token."""
        sort_by = params.get("SortBy", "CreationTime")
        descending = params.get("SortOrder", "Descending") == "Descending"
        field = {"Name": self.name, "Status": self.status}.get(sort_by, sort_by) or sort_by

        def key(document: Document) -> SortKey:
            return document.get(field) or "", document[self.name]

        matching = sorted((d for d in documents if self._matches(d, params)), key=key, reverse=descending)
        query = [sort_by, descending]
        if params.get("NextToken"):
            last = _read_token(params["NextToken"], query)
            matching = [d for d in matching if (key(d) < last if descending else key(d) > last)]
        size = params.get("MaxResults", DEFAULT_PAGE)
        page = matching[:size]
        token = _write_token(key(page[-1]), query) if len(matching) > size else None
        return page, token

    def _matches(self, document: Document, params: Params) -> bool:
        """Return whether a document passes the request's filters."""
        if params.get("NameContains", "") not in document[self.name]:
            return False
        if self.status and params.get("StatusEquals") not in {None, document[self.status]}:
            return False
        # AWS: "after" includes the moment itself, "before" does not.
        after = all(document.get(time, 0) >= params.get(f"{time}After", 0) for time in _TIMES)
        return after and all(
            document.get(time, 0) < params.get(f"{time}Before", float("inf")) for time in _TIMES
        )


def _write_token(last: SortKey, query: list[Any]) -> str:
    """Return the token of a page that ends with this sort key."""
    return base64.urlsafe_b64encode(json.dumps([*query, *last]).encode()).decode()


def _read_token(token: str, query: list[Any]) -> SortKey:
    """Return the sort key in a token. Raises ApiError for an invalid token or one of another query."""
    try:
        sort_by, descending, value, name = json.loads(base64.urlsafe_b64decode(token))
        wanted = str if sort_by in {"Name", "Status"} else (int, float)
        good = [sort_by, descending] == query and isinstance(value, wanted) and isinstance(name, str)
    except (ValueError, binascii.Error, TypeError, RecursionError) as problem:
        raise ApiError("ValidationException", f"Invalid pagination token: {shortened(token)}") from problem
    if not good:
        raise ApiError("ValidationException", f"Invalid pagination token: {shortened(token)}")
    return value, name
