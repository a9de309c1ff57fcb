"""Authorize requests of assumed-role sessions by the role's policies, its boundary and the session's own policies.

The sandbox's own key may do everything. Source: IAM user guide, "Policy evaluation logic", and for the texts
"Troubleshoot access denied error messages".
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from sandbox.common.limits import SandboxLocation
from sandbox.http.protocol import ApiError
from sandbox.http.sessions import Caller
from sandbox.services.iam.actions import Action, actions_of
from sandbox.services.iam.policies import ALLOWED, EXPLICIT, Statement, decide

PolicySets = Mapping[str, list[Statement]]
"""The policies of a session by kind, each of which must allow an action. The kind is a word of AWS's texts."""
_QUERY_SERVICES = frozenset({"iam", "sts", "monitoring"})


class Authorizer:
    """Checks requests. policies: the policy sets of an assumed-role session."""

    def __init__(self, location: SandboxLocation, policies: Callable[[Caller], PolicySets]) -> None:
        self._location, self._policies = location, policies

    def check(
        self, caller: Caller, service: str, operation: str, environ: Mapping[str, Any], body: bytes
    ) -> None:
        """Raise ApiError, in the service's words, unless the caller may make the request."""
        if not caller.role:
            return
        sets = self._policies(caller)
        location = replace(self._location, region=environ.get("sandbox.region") or self._location.region)
        for action in actions_of(location, service, operation, environ, body):
            why = refusal(sets, action, self._context(caller, location))
            if why:
                raise _denied(caller, service, action, why)

    def _context(self, caller: Caller, location: SandboxLocation) -> dict[str, list[str]]:
        """Return the global condition keys of every request."""
        now = time.time()
        return {
            "aws:principalarn": [caller.role],
            "aws:principalaccount": [location.account],
            "aws:principaltype": ["AssumedRole"],
            "aws:userid": [caller.user_id],
            "aws:requestedregion": [location.region],
            "aws:sourceip": ["127.0.0.1"],
            "aws:securetransport": ["false"],
            "aws:currenttime": [time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))],
            "aws:epochtime": [str(int(now))],
        }


def refusal(sets: PolicySets, action: Action, context: Mapping[str, list[str]]) -> str:
    """Return why an action is denied, as the end of AWS's text; empty when it is allowed."""
    known = {**context, **action.context}
    outcomes = {
        kind: decide(statements, action.name, action.resource, known).outcome
        for kind, statements in sets.items()
    }
    for kind, outcome in outcomes.items():
        if outcome == EXPLICIT:
            article = "an" if kind[0] in "aeiou" else "a"
            return f"with an explicit deny in {article} {kind}"
    for kind, outcome in outcomes.items():
        if outcome != ALLOWED:
            return f"because no {kind} allows the {action.name} action"
    return ""


def _denied(caller: Caller, service: str, action: Action, why: str) -> ApiError:
    """Return the service's error for a request that is not allowed."""
    shown = f'"{action.resource}"' if service == "s3" else action.resource
    text = f"User: {caller.arn} is not authorized to perform: {action.name} on resource: {shown} {why}"
    if service == "s3" or service in _QUERY_SERVICES:
        return ApiError("AccessDenied", text, 403)
    return ApiError("AccessDeniedException", text, 400)
