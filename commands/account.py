"""The options --profile, --account and --region of every command that uses an account, and what they choose."""

# ruff: noqa: PLC0415 - each function imports what it needs, so that --help is fast

from __future__ import annotations

import inspect
import os
import shlex
import sys
from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.accounts import AccountChoice
from core.settings import Settings

if TYPE_CHECKING:
    from core.aws.accounts import ChosenAccount
    from core.aws.connection import Connection

Profile = Annotated[
    str, typer.Option(metavar="NAME", help="Profile of ~/.aws, in mode aws. Default: AWS_PROFILE.")
]
Account = Annotated[
    str, typer.Option(metavar="NAME", help="Role to assume, by its name in SEGDECK_ACCOUNTS.")
]
Region = Annotated[
    str,
    typer.Option(metavar="REGION", help="Default: that of the profile or account, then AWS_REGION."),
]
OPTIONS: dict[str, Any] = {"profile": Profile, "account": Account, "region": Region}

LAST = ("as_json", "debug")
"""Options that the help lists last."""

_CHOICE: ContextVar[AccountChoice] = ContextVar("account choice")


def with_account(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a command with the three options, which hold for whatever it opens."""

    @wraps(function)
    def command(*arguments: Any, **options: Any) -> Any:
        _CHOICE.set(AccountChoice(**{name: options.pop(name) for name in OPTIONS}))
        return function(*arguments, **options)

    signature = inspect.signature(function, eval_str=True)
    own = list(signature.parameters.values())
    at = next((number for number, param in enumerate(own) if param.name in LAST), len(own))
    kind = own[at].kind if at < len(own) else inspect.Parameter.KEYWORD_ONLY
    more = [inspect.Parameter(name, kind, default="", annotation=OPTIONS[name]) for name in OPTIONS]
    command.__signature__ = signature.replace(parameters=[*own[:at], *more, *own[at:]])  # type: ignore[attr-defined]
    command.__annotations__ = {**function.__annotations__, **OPTIONS}
    return command


def account_choice() -> AccountChoice:
    """Return what the options of this command choose, not validated."""
    return _CHOICE.get(AccountChoice())


def chosen_account(sandbox: Connection | None = None) -> ChosenAccount:
    """Return the chosen account and region with its connection. Raises SettingsError.

    sandbox: the connection to the sandbox, in its mode.
    """
    from core.aws.accounts import choose

    settings = Settings.from_environ(os.environ)
    return choose(settings, account_choice(), sandbox=sandbox, interactive=sys.stdin.isatty())


def account_options() -> str:
    """Return the options as they were given, to repeat them in advice, such as " --region eu-west-1"."""
    given = account_choice()
    values = {"profile": given.profile, "account": given.account, "region": given.region}
    return "".join(f" --{name} {shlex.quote(text)}" for name, text in values.items() if text)
