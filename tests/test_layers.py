"""Which folder may import what, read from each file's source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
AWS_SDKS = {"boto3", "botocore", "s3transfer", "sagemaker"}
OURS = {"app", "cli", "commands", "core", "pages", "sandbox"}

# folder -> modules it must not import (a name covers what lies below it); the longest matching folder counts
FORBIDDEN = {
    "core": AWS_SDKS
    | {
        "streamlit",
        "core.aws",
        "pages",
        "sandbox",
        "app",
        "cli",
        "commands",
        "matplotlib",
        "mxnet",
        "moto",
        "pandas",
    },
    "core/render/figures.py": AWS_SDKS
    | {"streamlit", "core.aws", "pages", "sandbox", "app", "cli", "commands", "mxnet", "moto"},
    "core/aws": {"streamlit", "pages", "sandbox", "app", "cli", "commands", "mxnet", "moto"},
    "pages": AWS_SDKS | {"sandbox", "moto", "mxnet", "app", "cli", "commands"},
    "sandbox": {"core", "pages", "app", "cli", "commands", "streamlit", "mxnet"},
    "sandbox/algorithm": {"core", "pages", "app", "cli", "commands", "streamlit", "moto"},
    "sandbox/demo": {"core", "pages", "app", "cli", "commands", "streamlit", "moto"},
    "app.py": AWS_SDKS | {"mxnet", "moto", "cli", "commands"},
    "cli.py": AWS_SDKS | {"mxnet", "moto", "streamlit", "app", "pages"},
    "commands": AWS_SDKS | {"mxnet", "moto", "streamlit", "app", "pages", "cli"},
}
CLOCKS = {
    ("time", "time"),
    ("time", "monotonic"),
    ("datetime", "now"),
    ("datetime", "utcnow"),
    ("date", "today"),
}


def sources(*folders: str) -> list[Path]:
    files = [ROOT / folder for folder in folders if folder.endswith(".py")]
    for folder in folders:
        files += sorted((ROOT / folder).rglob("*.py")) if not folder.endswith(".py") else []
    return files


def relative_to_root(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def tree_of(path: Path) -> ast.Module:
    """Return a file's syntax tree; it is parsed once for all tests."""
    return ast.parse(path.read_text("utf-8"))


def imported(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.lineno, node.module
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def rule_for(relative: str) -> set[str]:
    folder = max(
        (key for key in FORBIDDEN if relative == key or relative.startswith(f"{key}/")), key=len, default=""
    )
    return FORBIDDEN.get(folder, set())


def offences(relative: str, tree: ast.AST) -> list[str]:
    forbidden = rule_for(relative)
    return [
        f"{relative}:{line} imports {name}"
        for line, name in imported(tree)
        if any(name == banned or name.startswith(f"{banned}.") for banned in forbidden)
    ]


def test_no_file_imports_what_its_folder_must_not() -> None:
    """Each folder imports only what the layers allow it."""
    files = sources("core", "pages", "sandbox", "commands", "app.py", "cli.py")
    assert [line for path in files for line in offences(relative_to_root(path), tree_of(path))] == []


@pytest.mark.parametrize(
    ("relative", "source"),
    [
        ("core/imaging/image.py", "import boto3"),
        ("core/imaging/image.py", "def f():\n    from core.aws import runtime"),
        ("pages/segment.py", "import botocore.config"),
        ("pages/parts/shell.py", "from sandbox.launcher import ensure"),
        ("sandbox/server.py", "from core import errors"),
        ("sandbox/server.py", "import mxnet as mx"),
    ],
)
def test_the_rule_sees_a_forbidden_import(relative: str, source: str) -> None:
    """The check above finds an import anywhere in a file."""
    assert len(offences(relative, ast.parse(source))) >= 1


def test_core_reads_no_clock_and_no_environment() -> None:
    """Core gets the time and the environment as arguments; only core.aws may read them."""
    uses = []
    for path in sources("core"):
        for node in () if "aws" in path.parts else ast.walk(tree_of(path)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                pair = (node.value.id, node.attr)
                if pair in CLOCKS or pair in {("os", "environ"), ("os", "getenv")}:
                    uses.append(f"{relative_to_root(path)}:{node.lineno} {'.'.join(pair)}")
    assert uses == []


def test_session_state_and_caches_have_one_home() -> None:
    """`session_state` is used in pages/parts/state.py only, `st.cache_*` in pages/parts/cached.py only."""
    homes = {"session_state": "state.py", "st.cache_": "cached.py"}
    uses = [
        f"{relative_to_root(path)}: {word}"
        for path in sources("pages")
        for word, home in homes.items()
        if path.name != home and word in path.read_text("utf-8")
    ]
    assert uses == []
