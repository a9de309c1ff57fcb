"""Settings come from the given environment, and from nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import SettingsError
from core.settings import PROJECT, VARIABLES, AccessSettings, Settings


def test_an_empty_environment_means_the_sandbox_with_its_defaults() -> None:
    """With nothing set, the sandbox runs and keeps its state in the project."""
    settings = Settings.from_environ({})
    assert settings == Settings()
    assert (settings.mode, settings.sandbox_dir, settings.max_upload_bytes) == (
        "sandbox",
        PROJECT / ".sandbox",
        25_000_000,
    )


@pytest.mark.parametrize(
    ("environ", "field", "expected"),
    [
        ({"SEGDECK_MODE": "aws"}, "mode", "aws"),
        ({"SEGDECK_MODE": "AWS "}, "mode", "aws"),
        ({"SEGDECK_MODE": ""}, "mode", "sandbox"),
        ({"AWS_REGION": "eu-west-1"}, "region", "eu-west-1"),
        ({"AWS_DEFAULT_REGION": "us-gov-west-1"}, "region", "us-gov-west-1"),
        ({"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "us-east-1"}, "region", "eu-west-1"),
        ({"AWS_PROFILE": "work"}, "profile", "work"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:4566/"}, "aws_url", "http://127.0.0.1:4566"),
        ({"SEGDECK_SANDBOX_DIR": "/var/lib/segdeck"}, "sandbox_dir", Path("/var/lib/segdeck")),
        ({"SEGDECK_SANDBOX_DIR": "elsewhere"}, "sandbox_dir", PROJECT / "elsewhere"),
        ({}, "state_dir", PROJECT / ".segdeck"),
        ({"SEGDECK_STATE_DIR": "/var/lib/state"}, "state_dir", Path("/var/lib/state")),
        ({"SEGDECK_MAX_UPLOAD_MB": "3"}, "max_upload_bytes", 3_000_000),
        ({}, "image_memory_bytes", 1_500_000_000),
        ({"SEGDECK_IMAGE_MEMORY_MB": "200"}, "image_memory_bytes", 200_000_000),
        ({}, "aws_seconds", 45),
        ({"SEGDECK_AWS_SECONDS": "90"}, "aws_seconds", 90),
    ],
)
def test_each_variable_sets_its_field(environ: dict[str, str], field: str, expected: object) -> None:
    """Each variable sets one field, and an empty one counts as not set."""
    assert getattr(Settings.from_environ(environ), field) == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SEGDECK_MODE", "amazon"),
        ("AWS_REGION", "Europe"),
        ("AWS_DEFAULT_REGION", "us-east"),
        ("AWS_ENDPOINT_URL", "127.0.0.1:4566"),
        ("AWS_ENDPOINT_URL", "http://"),
        ("AWS_ENDPOINT_URL", "http://[broken"),
        ("AWS_ENDPOINT_URL", "http://host:99999"),
        ("SEGDECK_MAX_UPLOAD_MB", "0"),
        ("SEGDECK_AWS_SECONDS", "0"),
        ("SEGDECK_AWS_SECONDS", "601"),
        ("SEGDECK_AWS_SECONDS", "9" * 5000),
        ("SEGDECK_MAX_UPLOAD_MB", "-5"),
        ("SEGDECK_MAX_UPLOAD_MB", "2.5"),
        ("SEGDECK_MAX_UPLOAD_MB", "²"),
        ("SEGDECK_IMAGE_MEMORY_MB", "63"),
        ("SEGDECK_IMAGE_MEMORY_MB", "9" * 5_000),
    ],
)
def test_a_bad_value_is_named_with_what_to_set(name: str, value: str) -> None:
    """An invalid value is an error with the variable, the value and what to set instead."""
    with pytest.raises(SettingsError) as caught:
        Settings.from_environ({name: value})
    assert name in caught.value.what
    assert repr(value) in caught.value.what
    assert caught.value.todo


def test_nothing_outside_the_table_is_read() -> None:
    """Settings read exactly the variables in the documented table."""

    asked: set[str] = set()

    class Watched(dict[str, str]):
        def get(self, key: str, default: str = "") -> str:  # type: ignore[override]
            asked.add(key)
            return default

    Settings.from_environ(Watched())
    assert asked == {variable.name for variable in VARIABLES}
    assert all(variable.meaning and variable.default for variable in VARIABLES)


def test_each_account_has_its_own_journal() -> None:
    """A change interrupted in the sandbox is never offered on AWS, nor one of another region or profile."""
    places = [
        {},
        {"SEGDECK_MODE": "aws", "AWS_REGION": "eu-west-1"},
        {"SEGDECK_MODE": "aws", "AWS_REGION": "us-east-1"},
        {"SEGDECK_MODE": "aws", "AWS_REGION": "us-east-1", "AWS_PROFILE": "../other team"},
        {"SEGDECK_MODE": "aws", "AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL": "http://127.0.0.1:4566"},
    ]
    found = [Settings.from_environ(place).journal_dir for place in places]
    assert len(set(found)) == len(places)
    assert {folder.parent for folder in found} == {Settings().state_dir}


def test_access_settings_open_nothing_by_default() -> None:
    """Without the two variables no other origin is allowed, and the dashboard listens on this machine only."""
    assert (
        AccessSettings.from_environ({"SEGDECK_ALLOWED_ORIGINS": " ", "SEGDECK_ALLOW_ANONYMOUS": ""})
        == AccessSettings()
    )
    assert AccessSettings() == AccessSettings((), allow_anonymous=False)


def test_allowed_origins_are_a_list() -> None:
    """Origins are separated by commas or blanks, and a repeated one counts once."""
    text = "https://segdeck.example.com, https://SEGDECK.example.com:443 http://10.0.0.7:8501"
    access = AccessSettings.from_environ({"SEGDECK_ALLOWED_ORIGINS": text, "SEGDECK_ALLOW_ANONYMOUS": "1"})
    assert [str(origin) for origin in access.allowed_origins] == [
        "https://segdeck.example.com",
        "http://10.0.0.7:8501",
    ]
    assert access.allow_anonymous


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SEGDECK_ALLOWED_ORIGINS", "*"),
        ("SEGDECK_ALLOWED_ORIGINS", "segdeck.example.com"),
        ("SEGDECK_ALLOWED_ORIGINS", "https://segdeck.example.com/tools"),
        ("SEGDECK_ALLOW_ANONYMOUS", "yes"),
        ("SEGDECK_ALLOW_ANONYMOUS", "true"),
    ],
)
def test_a_bad_access_setting_is_an_error(name: str, value: str) -> None:
    """An ambiguous access setting is an error, never a guess."""
    with pytest.raises(SettingsError) as caught:
        AccessSettings.from_environ({name: value})
    assert name in caught.value.what
    assert repr(value) in caught.value.what
    assert caught.value.todo
