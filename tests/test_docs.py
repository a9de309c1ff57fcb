"""The documents, compared with the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from core.settings import VARIABLES, Variable

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text("utf-8")
SECURITY = (ROOT / "SECURITY.md").read_text("utf-8")
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
WANTED = ("streamlit", "boto3", "sagemaker-core", "numpy", "Pillow", "matplotlib", "mxnet", "pandas")


@pytest.mark.parametrize("variable", VARIABLES, ids=lambda variable: variable.name)
def test_the_readme_names_every_setting(variable: Variable) -> None:
    """Each environment variable that Segdeck reads is in the README with its meaning."""
    assert f"| `{variable.name}` | {variable.meaning} |" in README


@pytest.mark.parametrize("target", re.findall(r"`make ([a-z-]+)", README))
def test_every_make_command_of_the_readme_exists(target: str) -> None:
    """Every make command in the README is a target of the Makefile."""
    assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE)


@pytest.mark.parametrize("link", re.findall(r"\]\(((?!http|#)[^)]+)\)", README))
def test_every_file_the_readme_points_to_exists(link: str) -> None:
    """A relative link or an image of the README exists."""
    assert (ROOT / link.split("#", maxsplit=1)[0]).exists()


@pytest.mark.parametrize("package", WANTED)
def test_every_package_has_its_reason(package: str) -> None:
    """Each of the eight packages is in requirements.txt, pinned, with its reason."""
    text = (ROOT / "requirements.txt").read_text("utf-8")
    block = re.search(rf"((?:^#.*\n)*)^{package}==\S+(.*)$", text, re.MULTILINE)
    assert block is not None
    assert "#" in block.group(1) + block.group(2)


def test_the_readme_shows_the_two_commands_first() -> None:
    """The first screen of the README has an image next to both commands."""
    first_screen = README[:2500]
    assert "make run" in first_screen
    assert "make test" in first_screen
    assert re.search(r"!\[[^\]]+\]\([^)]+\.(png|jpg|webp)\)", first_screen)


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`(tests/[\w/.]+)`", SECURITY))))
def test_every_test_that_a_promise_names_exists(path: str) -> None:
    """Each test that SECURITY.md names exists."""
    assert (ROOT / path).exists()


def test_every_promise_names_its_test() -> None:
    """Each row of a table of promises has a test or a measurement in its last column."""
    promises = SECURITY.partition("## What is promised")[2].partition("## What is not promised")[0]
    rows = [line for line in promises.splitlines() if line.startswith("| ") and "Tested in" not in line]
    assert rows
    assert all("`" in row.rstrip("| ").rpartition("|")[2] for row in rows)
