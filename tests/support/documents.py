"""What the Markdown documents claim: links, commands, paths and settings, each with its file and line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_LINK = re.compile(r"(?<!`)\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^()\s]+)\)")
_FENCE = re.compile(r"^(```|~~~)")
_HEADING = re.compile(r"^#{1,6} +(.+?) *#*$")
_SPAN = re.compile(r"`([^`]+)`")
_COMMAND = re.compile(r"(?<![\w./@:-])(?:\.venv/bin/)?segdeck(?![\w./:-])((?: +[^\s|;&<>()\"'`\\]+)*)")
_PLACEHOLDER = re.compile(r"[A-Z][A-Z_]*|\.\.\.")
GENERAL_OPTIONS = {"--help", "--install-completion", "--show-completion"}
"""What Typer adds to every command, or to the program."""


@dataclass(frozen=True)
class Claim:
    """A text in a document, with the number of its line, from 1."""

    document: Path
    line: int
    text: str


def documents(root: Path) -> list[Path]:
    """Return the Markdown files of the project."""
    folders = [root / name for name in ("docs", ".github", "sandbox", "tests")]
    return [
        *sorted(root.glob("*.md")),
        *(path for folder in folders for path in sorted(folder.rglob("*.md"))),
    ]


def _lines(document: Path) -> Iterator[tuple[int, str, bool]]:
    """Yield number, text, and whether it is in a code block, of each line."""
    in_code = False
    for number, text in enumerate(document.read_text("utf-8").splitlines(), 1):
        if _FENCE.match(text):
            in_code = not in_code
        else:
            yield number, text, in_code


def links(document: Path) -> Iterator[Claim]:
    """Yield the targets of links and images that lead into the project."""
    for number, text, in_code in _lines(document):
        for match in () if in_code else _LINK.finditer(text):
            if not re.match(r"[a-z]+:", match[1]):
                yield Claim(document, number, match[1])


def broken(link: Claim) -> str:
    """Return why a link leads nowhere; empty where it leads somewhere."""
    name, _, anchor = link.text.partition("#")
    target = link.document.parent / name if name else link.document
    if not target.exists():
        return f"{link.text}: there is no such file"
    if anchor and anchor not in anchors(target):
        return f"{link.text}: {target.name} has no such heading"
    return ""


def anchors(document: Path) -> set[str]:
    """Return the anchors that GitHub gives the headings of a document."""
    names: list[str] = []
    for _, text, in_code in _lines(document):
        if not in_code and (match := _HEADING.match(text)):
            plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", match[1]).replace("`", "")
            slug = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
            count = names.count(slug)
            names.append(slug)
            if count:
                names.append(f"{slug}-{count}")
    return set(names)


def code(document: Path) -> Iterator[Claim]:
    """Yield the lines of code blocks, and the code in backticks."""
    for number, text, in_code in _lines(document):
        if in_code:
            yield Claim(document, number, text.partition(" #")[0])
        else:
            yield from (Claim(document, number, match[1]) for match in _SPAN.finditer(text))


def commands(document: Path) -> Iterator[Claim]:
    """Yield the calls of `segdeck`, each without the name itself."""
    for claim in code(document):
        for match in _COMMAND.finditer(claim.text):
            yield Claim(document, claim.line, match[1].strip())


def unknown_part(words: Sequence[str], command: Any) -> str:
    """Return the first word of a call that is neither a command nor an option; empty if all are known.

    command: as Typer builds it; the program itself is one. Arguments are not checked, nor is what follows a
    placeholder such as NAME.
    """
    for word in words:
        options = {
            name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)
        }
        if word.startswith("-"):
            if word.partition("=")[0] not in options | GENERAL_OPTIONS:
                return word
        elif hasattr(command, "commands"):
            if _PLACEHOLDER.fullmatch(word):
                return ""
            if word not in command.commands:
                return word
            command = command.commands[word]
    return ""
