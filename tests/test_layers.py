"""Which folder may import what, read from each file's source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
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


def offences(relative: str, source: str) -> list[str]:
    forbidden = rule_for(relative)
    return [
        f"{relative}:{line} imports {name}"
        for line, name in imported(ast.parse(source))
        if any(name == banned or name.startswith(f"{banned}.") for banned in forbidden)
    ]


@pytest.mark.parametrize(
    "path", sources("core", "pages", "sandbox", "commands", "app.py", "cli.py"), ids=relative_to_root
)
def test_no_file_imports_what_its_folder_must_not(path: Path) -> None:
    """Each folder imports only what the layers allow it."""
    relative = relative_to_root(path)
    assert not offences(relative, path.read_text("utf-8"))


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
    assert len(offences(relative, source)) >= 1


@pytest.mark.parametrize("path", [p for p in sources("core") if "aws" not in p.parts], ids=relative_to_root)
def test_core_reads_no_clock_and_no_environment(path: Path) -> None:
    """Core gets the time and the environment as arguments; only core.aws may read them."""
    uses = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            pair = (node.value.id, node.attr)
            if pair in CLOCKS or pair in {("os", "environ"), ("os", "getenv")}:
                uses.append(f"{path.name}:{node.lineno} {'.'.join(pair)}")
    assert not uses


@pytest.mark.parametrize("path", sources("pages"), ids=relative_to_root)
def test_session_state_and_caches_have_one_home(path: Path) -> None:
    """`session_state` is used in pages/parts/state.py only, `st.cache_*` in pages/parts/cached.py only."""
    text = path.read_text("utf-8")
    if path.name != "state.py":
        assert "session_state" not in text
    if path.name != "cached.py":
        assert "st.cache_" not in text
