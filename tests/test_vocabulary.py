"""Segdeck is written in plain American English: a retired word is reported with the better one."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from tests.support.vocabulary import RETIRED, SUFFIXES, RetiredUse, RetiredWord, retired_uses

ROOT = Path(__file__).resolve().parents[1]

CLEANED = (
    ".github",
    ".pre-commit-config.yaml",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "README.md",
    "SECURITY.md",
    "app.py",
    "bench",
    "cli.py",
    "commands",
    "core",
    "docs",
    "pages",
    "sandbox",
    "tools",
)
"""Files and folders held to the vocabulary."""

EXCEPTIONS = {
    ("core/render/figures.py", "Figures"): "Matplotlib's term",
    ("core/training/diagnosis.py", "picture"): "patterns for the text of AWS and of containers",
    ("pages/parts/segment/results.py", "figures"): "the downloadable comparison figure",
}
"""(file, word as written) -> why it may be there."""


def files() -> list[Path]:
    """Return the files that are held to the vocabulary."""
    listed: list[Path] = []
    for name in CLEANED:
        path = ROOT / name
        candidates = [path] if path.is_file() else sorted(path.rglob("*"))
        assert candidates, f"CLEANED names {name}, which does not exist."
        listed += [file for file in candidates if file.suffix in SUFFIXES]
    return listed


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def uses(path: Path) -> list[RetiredUse]:
    """Return the retired words in a file; it is read once for all tests."""
    return list(retired_uses(relative(path), path.read_text("utf-8")))


def test_no_retired_word() -> None:
    """What people read has no retired word, apart from the exceptions with their reasons."""
    problems = [str(use) for path in files() for use in uses(path) if (use.path, use.word) not in EXCEPTIONS]
    assert problems == []


def test_every_exception_is_needed() -> None:
    """An exception for a word that is no longer there is taken off the list."""
    used = {(use.path, use.word) for path in files() for use in uses(path)}
    assert set(EXCEPTIONS) - used == set()


@pytest.mark.parametrize("row", RETIRED, ids=lambda row: row.example)
def test_each_row_matches_its_example_only(row: RetiredWord) -> None:
    """A pattern of the table finds its example, and leaves the similar good phrases alone."""
    assert row.regex.search(row.example)
    assert [phrase for phrase in row.fine if row.regex.search(phrase)] == []


@pytest.mark.parametrize(
    ("name", "source", "line"),
    [
        ("literal.py", 'TITLE = 1\nst.title("Segment photographs here")', 2),
        ("label.py", 'st.button("Picture")', 1),
        ("f_string.py", 'say(f"{count} to mend before it can start")', 1),
        ("over_a_value.py", 'say(f"It is {name} and costs {price} an hour")\nsay(f"the cost an hour")', 2),
        (
            "docstring.py",
            'def f() -> None:\n    """Return a mask.\n\n    It stands beside the image.\n    """',
            4,
        ),
        ("comment.py", "x = 1\n# whoever asks the endpoint\ny = 2", 2),
        ("string.js", 'const word = "x";\nroot.title = "Own colours";', 2),
        ("template.js", "root.title = `The data set ${name}`;", 1),
        ("comment.js", "/* one\n   two: anew */", 2),
        ("text.html", "<p>one</p>\n<p>Your pictures</p>", 2),
        ("attribute.html", '<button\n aria-label="What is in it">x</button>', 1),
        ("comment.css", "a { color: red; }\n/* grey */", 2),
        ("content.css", 'a::after { content: "till Monday"; }', 1),
        ("page.md", "# Title\n\nThe verdict of the run.", 3),
        ("form.yml", "label: What\ndescription: Your data set", 2),
    ],
)
def test_a_planted_word_is_found(name: str, source: str, line: int) -> None:
    """A retired word is reported with file, line and the better word, in each kind of file."""
    planted = list(retired_uses(name, source))
    assert {use.line for use in planted} == {line}
    assert all(str(use).startswith(f"{name}:{line}: ") and use.use for use in planted)


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("code.py", 'def photo(beside: str) -> str:\n    return data["photo_missing"]'),
        ("quoted.py", '"""Read the column `how right` of the file."""'),
        ("code.js", 'const picture = viewer.picture; element.dataset.layout = "beside";'),
        ("rule.css", ".chips { display: flex; }"),
        ("tag.html", '<div class="chips" data-layout="beside"></div>'),
        ("link.md", "See [the page](docs/photo.md) and <https://example.com/colour> and `photo.py`."),
    ],
)
def test_names_in_code_are_left_alone(name: str, source: str) -> None:
    """Identifiers, keys, selectors, addresses and code in backticks are not prose."""
    assert list(retired_uses(name, source)) == []
