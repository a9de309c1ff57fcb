"""The accounts and regions that can be chosen, and the connection of a choice."""

from __future__ import annotations

from dataclasses import dataclass, replace

from core.accounts import AccountChoice, AccountRole, check_choice
from core.aws.connection import Connection, connect, no_region, profile_names, region_of
from core.aws.images import regions as algorithm_regions
from core.errors import SettingsError
from core.partitions import partition_of
from core.settings import Settings


@dataclass(frozen=True, slots=True)
class ChosenAccount:
    """A valid choice and its connection.

    choice: normalized: its region is empty where it is the one that is used without it. Two links to one account and
            region therefore share everything that is kept for a choice.
    """

    choice: AccountChoice
    connection: Connection


def choose(
    settings: Settings, choice: AccountChoice, *, sandbox: Connection | None = None, interactive: bool = False
) -> ChosenAccount:
    """Return the connection of a choice. Raises SettingsError.

    sandbox:     the connection to the sandbox, in its mode.
    interactive: whether an MFA code can be asked for in the terminal.
    """
    profiles = None if sandbox is not None else profile_names() if choice.profile else ()
    role = check_choice(choice, settings.accounts, profiles)
    try:
        usual = _connection(settings, replace(choice, region=""), role, sandbox)
    except SettingsError:
        if not choice.region:
            raise
        usual = None
    if choice.region and (usual is None or choice.region != usual.region):
        connection = _connection(settings, choice, role, sandbox)
    else:
        assert usual is not None  # noqa: S101  # raised above
        choice, connection = replace(choice, region=""), usual
    if sandbox is not None and partition_of(connection.region) != partition_of(sandbox.region):
        raise SettingsError(
            f"The sandbox has no region {connection.region}.",
            todo="Choose a commercial region such as eu-west-1: the sandbox is in the partition aws.",
        )
    other = usual is not None and partition_of(connection.region) != partition_of(usual.region)
    if sandbox is None and usual is not None and other:
        raise SettingsError(
            f"The region {connection.region} belongs to another partition of AWS than {usual.region}.",
            todo="Choose a profile or an account of that partition, or another region.",
        )
    return ChosenAccount(choice, replace(connection, interactive=interactive))


def _connection(
    settings: Settings, choice: AccountChoice, role: AccountRole | None, sandbox: Connection | None
) -> Connection:
    """Return the connection of a choice that names existing things. Raises SettingsError without a region."""
    region = choice.region or (role.regions[0] if role is not None and role.regions else "")
    profile = choice.profile or (role.profile if role is not None else "")
    if sandbox is not None:
        region = region or sandbox.region
        base = replace(sandbox, region=region, home=region == sandbox.region)
    elif profile:
        region = region or region_of(profile) or settings.region or ""
        if not region:
            raise no_region()
        base = Connection(
            region, settings.aws_url, profile, seconds=settings.aws_seconds, profile_chosen=True
        )
    else:
        base = connect(replace(settings, region=region) if region else settings)
    if role is None:
        return base
    return replace(base, role_arn=role.arn, external_id=role.external_id, account_name=role.name)


def choices(settings: Settings, *, sandbox: bool) -> tuple[AccountChoice, ...]:
    """Return the accounts that can be chosen, without regions: the default first. Raises SettingsError."""
    profiles = () if sandbox else tuple(name for name in profile_names() if name != settings.profile)
    return (
        AccountChoice(),
        *(AccountChoice(account=entry.name) for entry in settings.accounts),
        *(AccountChoice(profile=name) for name in profiles),
    )


def region_choices(settings: Settings, choice: AccountChoice, usual: str) -> tuple[str, ...]:
    """Return the regions to offer for an account, sorted: all of its partition that have the algorithm.

    usual: the region that it has without a choice; empty where it has none.
    """
    partition = partition_of(usual)
    offered = {name for name in algorithm_regions() if partition_of(name) == partition}
    named = {name for entry in settings.accounts if entry.name == choice.account for name in entry.regions}
    return tuple(sorted(offered | named | ({usual} if usual else set())))
