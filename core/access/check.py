"""One check of the setup: what was found, whether that is good enough, and what to do where it is not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from core.errors import CoreError
from core.escaping import json_text

Status = Literal["ok", "warning", "problem", "unknown"]
"""problem: something will fail. unknown: it could not be checked, and `found` says why."""

MAX_REASON = 200
"""Characters of another server's reason that are shown: it may be a whole page of HTML."""

PolicyDocument = Mapping[str, Any]
"""An IAM policy as a JSON object."""


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check.

    id:      the same in every run, for scripts, such as "role-data".
    title:   a noun, such as "Execution role".
    found:   what was found, in one or two sentences.
    todo:    what to do; empty where nothing is.
    link:    the page of the AWS console where it is done; empty without one.
    command: a command of the AWS CLI that does it; empty without one.
    policy:  an IAM policy that grants what is missing; None where none would help.
    """

    id: str
    title: str
    status: Status
    found: str
    todo: str = ""
    link: str = ""
    command: str = ""
    policy: PolicyDocument | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the check for JSON."""
        return {
            "id": self.id,
            "title": self.title,
            "status": self.status,
            "found": self.found,
            "todo": self.todo,
            "link": self.link,
            "command": self.command,
            "policy": self.policy,
        }


@dataclass(frozen=True, slots=True)
class Topic:
    """What a check is about: its id and title, before anything was found."""

    id: str
    title: str

    def check(
        self,
        status: Status,
        found: str,
        todo: str = "",
        *,
        link: str = "",
        command: str = "",
        policy: PolicyDocument | None = None,
    ) -> Check:
        """Return the check with a result."""
        return Check(self.id, self.title, status, found, todo, link, command, policy)

    def failed(self, status: Status, error: CoreError) -> Check:
        """Return the check whose result is an error."""
        why = error.why if len(error.why) <= MAX_REASON else f"{error.why[:MAX_REASON]} …"
        return self.check(status, f"{error.what} {why}".strip(), error.todo)

    def unread(self, error: CoreError) -> Check:
        """Return the check of something that could not be read, with the reason."""
        return self.failed("unknown", error)

    def skipped(self, reason: str, todo: str = "") -> Check:
        """Return a check that was not made. reason: a clause that ends with a period."""
        return self.check("unknown", f"Not checked: {reason}", todo)


def has_problem(checks: Iterable[Check]) -> bool:
    """Return whether any check is a problem."""
    return any(check.status == "problem" for check in checks)


def policy_text(policy: PolicyDocument) -> str:
    """Return a policy as indented JSON, to paste."""
    return json_text(policy, indent=2)
