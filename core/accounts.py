"""Which account and region to use: the roles of SEGDECK_ACCOUNTS, and the choice that a URL or a command makes.

A choice only ever selects: a role by its name in SEGDECK_ACCOUNTS, a profile by its name in ~/.aws, a region. A URL
can therefore never make Segdeck assume a role that whoever runs it has not listed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from core.errors import SettingsError

REGION = re.compile(r"[a-z]{2,4}(-[a-z]+)+-\d{1,2}")
NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,63}", re.ASCII)
ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+", re.ASCII)
EXTERNAL_ID = re.compile(r"[\w+=,.@:/-]{2,1224}", re.ASCII)
"""As sts:AssumeRole accepts it (botocore's service model)."""

ACCOUNT, PROFILE, REGION_NAME = "account", "profile", "region"
"""Names in the URL."""

OPTIONS = ("regions", "profile", "external_id")
"""Options of an entry of SEGDECK_ACCOUNTS."""

EXAMPLE = "production=arn:aws:iam::123456789012:role/Segdeck;regions=eu-west-1,us-east-1"


@dataclass(frozen=True, slots=True)
class AccountRole:
    """An entry of SEGDECK_ACCOUNTS: a role to assume, in this account or another.

    name:        unique among the entries.
    arn:         of the role.
    regions:     those to show; the first is the default. Empty: the default region.
    profile:     whose credentials assume the role; empty: the default credentials.
    external_id: as the role's trust policy may require; empty: none.
    """

    name: str
    arn: str
    regions: tuple[str, ...] = ()
    profile: str = ""
    external_id: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class AccountChoice:
    """A chosen account and region. An empty field: the default. At most one of account and profile is set.

    account: the name of an entry of SEGDECK_ACCOUNTS.
    profile: of ~/.aws.
    region:  such as "eu-west-1".
    """

    account: str = ""
    profile: str = ""
    region: str = ""

    @property
    def query(self) -> dict[str, str]:
        """Return it as URL parameters; the default has none."""
        values = {ACCOUNT: self.account, PROFILE: self.profile, REGION_NAME: self.region}
        return {name: text for name, text in values.items() if text}

    @property
    def token(self) -> str:
        """Return it as one text, such as "account:production@eu-west-1"; see `parse_token`."""
        kind = (
            f"account:{self.account}" if self.account else f"profile:{self.profile}" if self.profile else ""
        )
        return f"{kind}@{self.region}"

    def __str__(self) -> str:
        """Return it for people, such as "production, eu-west-1"."""
        who = self.account or (f"profile {self.profile}" if self.profile else "default")
        return f"{who}, {self.region}" if self.region else who


def from_query(query: Mapping[str, str]) -> AccountChoice:
    """Return the choice in URL parameters, not validated yet; an account wins over a profile."""
    account, region = query.get(ACCOUNT, "").strip(), query.get(REGION_NAME, "").strip()
    return AccountChoice(account, "" if account else query.get(PROFILE, "").strip(), region)


def parse_token(text: str) -> AccountChoice | None:
    """Return the choice that `AccountChoice.token` wrote; None for another text."""
    who, at, region = text.rpartition("@")
    kind, _, name = who.partition(":")
    if not at or (who and (kind not in ("account", "profile") or not name)):
        return None
    return AccountChoice(**{kind: name}, region=region) if who else AccountChoice(region=region)


def check_choice(
    choice: AccountChoice, accounts: Iterable[AccountRole], profiles: Iterable[str] | None
) -> AccountRole | None:
    """Return the entry of SEGDECK_ACCOUNTS that is chosen; None where none is. Raises SettingsError.

    profiles: of ~/.aws; None in the sandbox, which has none.
    """
    known = {entry.name: entry for entry in accounts}
    if choice.account and choice.profile:
        raise SettingsError(
            f"The account {choice.account} and the profile {choice.profile} are chosen together.",
            todo="Choose one of them: an entry of SEGDECK_ACCOUNTS names its own profile.",
        )
    if choice.account and choice.account not in known:
        names = ", ".join(known)
        raise SettingsError(
            f"The account {choice.account!r} is not in SEGDECK_ACCOUNTS.",
            why=f"It lists {names}." if names else "It is not set.",
            todo=f"Choose one of {names}." if names else "Set it, or choose a profile.",
        )
    if choice.profile and profiles is None:
        raise SettingsError(
            f"The sandbox has no profiles, so {choice.profile!r} cannot be chosen.",
            todo="Set SEGDECK_MODE=aws to use a profile, or choose no profile.",
        )
    if choice.profile and choice.profile not in (listed := tuple(profiles or ())):
        raise SettingsError(
            f"The AWS profile {choice.profile!r} does not exist.",
            why=f"~/.aws has {', '.join(listed)}." if listed else "~/.aws has no profiles.",
            todo="Choose another, or add it with `aws configure --profile NAME`.",
        )
    if choice.region and not REGION.fullmatch(choice.region):
        raise SettingsError(
            f"{choice.region!r} is not a region.", todo="Choose a region code such as eu-west-1."
        )
    return known.get(choice.account)


def parse_accounts(text: str) -> tuple[AccountRole, ...]:
    """Read SEGDECK_ACCOUNTS: entries separated by spaces or line breaks. Raises SettingsError.

    An entry is NAME=ROLE_ARN, followed by options: `;regions=R1,R2`, `;profile=P`, `;external_id=X`. None of these
    characters can be part of a role's ARN or of an external id.
    """
    entries = tuple(_entry(part) for part in text.split())
    names = [entry.name for entry in entries]
    if repeated := {name for name in names if names.count(name) > 1}:
        raise _bad(f"names {sorted(repeated)[0]} twice", "Give each entry its own name.")
    return entries


def _entry(text: str) -> AccountRole:
    first, *options = text.split(";")
    name, _, arn = first.partition("=")
    if not NAME.fullmatch(name) or not ROLE.fullmatch(arn):
        raise _bad(f"has the entry {first!r}", f"Write NAME=ROLE_ARN, for example {EXAMPLE}.")
    values: dict[str, str] = {}
    for option in filter(None, options):
        key, _, value = option.partition("=")
        if key not in OPTIONS or not value or key in values:
            raise _bad(
                f"has the option {option!r} of {name}",
                f"Use each of {', '.join(OPTIONS)} at most once, for example {EXAMPLE}.",
            )
        values[key] = value
    regions = tuple(filter(None, values.get("regions", "").split(",")))
    for region in regions:
        if not REGION.fullmatch(region):
            raise _bad(
                f"has the region {region!r} of {name}", "Use region codes such as eu-west-1, with commas."
            )
    external_id = values.get("external_id", "")
    if external_id and not EXTERNAL_ID.fullmatch(external_id):
        raise _bad(f"has an invalid external_id of {name}", "Use 2 to 1,224 letters, digits and +=,.@:/-_.")
    return AccountRole(name, arn, tuple(dict.fromkeys(regions)), values.get("profile", ""), external_id)


def _bad(problem: str, todo: str) -> SettingsError:
    return SettingsError(
        f"The environment variable SEGDECK_ACCOUNTS {problem}, which cannot be used.", todo=todo
    )
