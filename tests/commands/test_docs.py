"""docs/command-line, and every command that a document or a message names, compared with the commands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.core import TyperGroup
from typer.main import get_command

import cli
from tools import command_line_docs

ROOT = Path(__file__).resolve().parents[2]
ROOT_COMMAND = get_command(cli.app)
SOURCES = [ROOT / "app.py", ROOT / "cli.py", ROOT / "README.md", ROOT / "SECURITY.md"]
SOURCES += [
    path
    for folder in ("commands", "core", "pages", "docs", "sandbox")
    for path in sorted((ROOT / folder).rglob("*"))
    if path.suffix in {".py", ".md"} and path.parent != command_line_docs.FOLDER
]
COMMAND = re.compile(r"(?<![\w-])segdeck( +[a-z-][\w-]*(?: +[\w./:{}\[\]=<>*-]+)*)")
"""Prose spells the product Segdeck: in lower case, followed by a word, it is the command."""


def test_the_pages_are_those_of_the_code() -> None:
    """docs/command-line matches the help of the commands."""
    assert command_line_docs.stale() == [], "Run `make docs`, and commit the result."


def test_an_outdated_page_is_noticed(tmp_path: Path) -> None:
    """A page that differs, is missing or belongs to no command is named, and writing again fixes all three."""
    command_line_docs.write(tmp_path)
    assert command_line_docs.stale(tmp_path) == []
    (tmp_path / "jobs.md").write_text("# Jobs\n")
    (tmp_path / "segment.md").unlink()
    (tmp_path / "paint.md").write_text("# Paint\n")
    assert command_line_docs.stale(tmp_path) == ["jobs.md", "paint.md", "segment.md"]
    command_line_docs.write(tmp_path)
    assert command_line_docs.stale(tmp_path) == []


def test_every_command_and_option_has_a_help_text() -> None:
    """Every command, argument and option has a help text."""
    groups = [
        ROOT_COMMAND,
        *(member for member in ROOT_COMMAND.commands.values() if isinstance(member, TyperGroup)),
    ]
    commands = [command for group in groups for command in group.commands.values()]
    assert len(commands) > 20
    assert not [command.name for command in commands if not command.help]
    params = [(command, param) for command in commands for param in command.params]
    assert not [f"{command.name} {param.name}" for command, param in params if not param.help]


def wrong_words(words: list[str]) -> list[str]:
    """Return the words after `segdeck` that are neither a command nor one of its options; arguments are accepted."""
    command = ROOT_COMMAND
    words = [word.strip(".,:;") for word in words]
    while words and isinstance(command, TyperGroup) and not words[0].startswith("-"):
        name = words.pop(0)
        if name not in command.commands:
            return [name]
        command = command.commands[name]
    names = {name for param in command.params for name in (*param.opts, *param.secondary_opts)} | {"--help"}
    return [word for word in words if word.startswith("-") and word not in names]


def commands_in(text: str) -> list[list[str]]:
    return [match[1].split() for match in COMMAND.finditer(text)]


def test_every_command_that_a_text_names_exists() -> None:
    """A command in a message or a document exists, with its options."""
    named = [(path, words) for path in SOURCES for words in commands_in(path.read_text("utf-8"))]
    assert len(named) > 20
    assert not [(path.relative_to(ROOT), words) for path, words in named if wrong_words(words)]


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("Run `segdeck segment a.jpg --out masks`.", []),
        ("To see it: segdeck endpoints show {name}. To delete it: segdeck endpoints delete {name}", []),
        ("segdeck jobs launch --data {order.uri} -p num_classes=3", []),
        ("Run `segdeck paint`.", ["paint"]),
        ("Run `segdeck endpoints paint`.", ["paint"]),
        ("Run `segdeck segment a.jpg --into masks`.", ["--into"]),
        ("Run `.venv/bin/segdeck jobs launch -x 1`.", ["-x"]),
    ],
)
def test_a_command_that_does_not_exist_is_noticed(text: str, wrong: list[str]) -> None:
    """An unknown command or option in a text fails the check above."""
    assert [word for words in commands_in(text) for word in wrong_words(words)] == wrong
