"""The entries of SEGDECK_ACCOUNTS, and the choice of an account and region in a URL or a command."""

from __future__ import annotations

import pytest

from core.accounts import (
    AccountChoice,
    AccountRole,
    check_choice,
    from_query,
    parse_accounts,
    parse_token,
)
from core.errors import SettingsError
from core.settings import Settings

ARN = "arn:aws:iam::123456789012:role/team/Segdeck"


def test_every_option_of_an_entry_is_read() -> None:
    """Entries are separated by spaces or line breaks, and their options by semicolons."""
    text = f"production={ARN};regions=eu-west-1,us-east-1;profile=base;external_id=a:b/c\n  dev={ARN}"
    production, dev = parse_accounts(text)
    assert production == AccountRole("production", ARN, ("eu-west-1", "us-east-1"), "base", "a:b/c")
    assert dev == AccountRole("dev", ARN)
    assert "a:b/c" not in repr(production)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (ARN, ARN),
        ("production=admin", "production=admin"),
        ("bad name=arn", "'bad'"),
        (f"a={ARN};color=red", "color=red"),
        (f"a={ARN};regions=Ireland", "Ireland"),
        (f"a={ARN};profile=x;profile=y", "profile=y"),
        (f"a={ARN};external_id=!!", "external_id of a"),
        (f"a={ARN} a={ARN}", "names a twice"),
    ],
)
def test_an_invalid_entry_is_named(text: str, named: str) -> None:
    """An entry that cannot be used is an error that names it, and what to write instead."""
    with pytest.raises(SettingsError) as raised:
        Settings.from_environ({"SEGDECK_ACCOUNTS": text})
    assert "SEGDECK_ACCOUNTS" in raised.value.what
    assert named in raised.value.what
    assert raised.value.todo


@pytest.mark.parametrize(
    "choice",
    [
        AccountChoice(),
        AccountChoice(region="eu-west-1"),
        AccountChoice(account="production"),
        AccountChoice(account="production", region="eu-west-1"),
        AccountChoice(profile="me@work: dev", region="eu-west-1"),
    ],
)
def test_a_choice_survives_the_url(choice: AccountChoice) -> None:
    """A choice is the same after its way through URL parameters and through its token."""
    assert from_query(choice.query) == choice
    assert parse_token(choice.token) == choice


@pytest.mark.parametrize("text", ["", "production", "role:x@eu-west-1", "account:@eu-west-1"])
def test_another_text_is_no_choice(text: str) -> None:
    """A token that Segdeck did not write is not a choice."""
    assert parse_token(text) is None


def test_a_url_cannot_name_a_role_or_a_profile_that_does_not_exist() -> None:
    """Only a listed role, an existing profile and a well-formed region can be chosen."""
    entries = (AccountRole("production", ARN),)
    assert check_choice(AccountChoice(account="production"), entries, ()) == entries[0]
    assert check_choice(AccountChoice(profile="dev"), entries, ("dev",)) is None
    for choice, profiles, named in (
        (AccountChoice(account=ARN), (), ARN),
        (AccountChoice(profile="root"), ("dev",), "root"),
        (AccountChoice(profile="dev"), None, "sandbox has no profiles"),
        (AccountChoice(region="eu-west-1.evil.example"), (), "evil"),
        (AccountChoice(account="production", profile="dev"), ("dev",), "together"),
    ):
        with pytest.raises(SettingsError, match=named):
            check_choice(choice, entries, profiles)


def test_each_choice_has_a_journal_of_its_own() -> None:
    """Interrupted changes of one account or region are never in the journal of another."""
    settings = Settings()
    choices = [
        AccountChoice(),
        AccountChoice(region="eu-west-1"),
        AccountChoice(account="dev"),
        AccountChoice(account="dev", region="eu-west-1"),
        AccountChoice(profile="dev"),
        AccountChoice(profile="dev@home"),
        AccountChoice(profile="dev_home"),
    ]
    folders = {settings.journal_dir_of(choice) for choice in choices}
    assert len(folders) == len(choices)
    assert settings.journal_dir_of(AccountChoice()) == settings.journal_dir
    assert all(folder.is_relative_to(settings.journal_dir) for folder in folders)
