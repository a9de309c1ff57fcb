"""All text of others passes the functions of core/escaping.py, read from each file's source."""

from __future__ import annotations

import ast

import pytest

from tests.test_layers import ROOT, relative_to_root, sources, tree_of

COMMANDS = ("cli.py", "commands")
ALL = ("app.py", "cli.py", "commands", "core", "pages")

EXCEPTIONS = {
    ("commands/common.py", "print"): "makes every line that a command prints",
    ("commands/common.py", "rich"): "makes every table and bar",
    ("app.py", "print"): "its one line goes through terminal()",
    ("pages/parts/elements.py", "st.dataframe"): "guards the cells",
    ("pages/parts/elements.py", "st.code"): "shows codes",
    ("pages/parts/switcher.py", "unsafe_allow_html"): "a link in the same tab, its label and address escaped",
    ("pages/parts/elements.py", "st.html"): "draws constant style rules",
    ("commands/memory.py", "rich"): "shows a notice of our own",
    ("core/strict_json.py", "json.dumps"): "checks that a value can be written",
    ("core/escaping.py", "csv"): "writes every CSV",
    ("core/escaping.py", "html"): "escapes all HTML",
    ("core/escaping.py", "json.dumps"): "writes all JSON",
    ("core/artifacts/artifact.py", "json.dumps"): "a setting that is compared, and shown by others",
    ("core/endpoints/spec.py", "json.dumps"): "is hashed",
    ("pages/parts/viewer/frame.py", "json.dumps"): "is hashed",
    ("pages/parts/deploy/check.py", "json.dumps"): "is read back at once",
}
"""(file, what) -> why it may."""

PRINTS = {"print", "pprint"}
WRITES = {"echo", "secho", "print_exc", "print_exception", "print_tb"}
TABLES = {"dataframe", "data_editor", "table", "code", "json", "html", "latex"}


def bypasses(relative: str, tree: ast.AST) -> list[str]:
    """Return what in a file bypasses the functions, as "file:line: what"."""
    lines = [(node.lineno, what) for node in ast.walk(tree) for what in _bypass(node, relative)]
    return [f"{relative}:{line}: {what}" for line, what in lines if (relative, what) not in EXCEPTIONS]


PLACES = ("st.", "box.", "place.", "left.", "right.")
"""Streamlit, and what the pages call its containers."""


def _bypass(node: ast.AST, relative: str) -> list[str]:
    in_terminal = relative in ("cli.py", "app.py") or relative.startswith("commands/")
    if isinstance(node, ast.Import | ast.ImportFrom):
        return _imports(node, in_terminal=in_terminal)
    if isinstance(node, ast.keyword) and node.arg == "unsafe_allow_html":
        return ["unsafe_allow_html"]
    if not isinstance(node, ast.Call):
        return []
    name = ast.unparse(node.func)
    last = name.rpartition(".")[2]
    if in_terminal and (
        name in PRINTS or last in WRITES or name.endswith((".print", "stdout.write", "stderr.write"))
    ):
        return ["print"]
    if (
        in_terminal
        and last in ("confirm", "prompt")
        and not all(isinstance(argument, ast.Constant) for argument in node.args)
    ):
        return ["print"]
    if name == "json.dumps":
        return ["json.dumps"]
    if isinstance(node.func, ast.Attribute) and last in ("to_csv", "to_excel", "to_html", "to_clipboard"):
        return ["csv"]
    if relative.startswith("pages/") and last in TABLES and name.startswith(PLACES):
        return [f"st.{last}"]
    return []


def _imports(node: ast.Import | ast.ImportFrom, *, in_terminal: bool) -> list[str]:
    names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
    roots = {name.partition(".")[0] for name in names}
    barred = {"csv", "html"} | ({"rich", "pprint"} if in_terminal else set())
    return sorted(roots & barred)


def test_text_of_others_goes_through_its_function() -> None:
    """Commands print, and files write CSV, HTML, JSON or tables, only through core/escaping.py."""
    assert [line for path in sources(*ALL) for line in bypasses(relative_to_root(path), tree_of(path))] == []


@pytest.mark.parametrize(
    ("relative", "source"),
    [
        ("commands/jobs.py", "print(job.failure_reason)"),
        ("commands/jobs.py", "console().print(name)"),
        ("commands/jobs.py", "typer.echo(name)"),
        ("commands/jobs.py", "sys.stdout.write(name)"),
        ("commands/jobs.py", "def show():\n    from rich.table import Table"),
        ("commands/jobs.py", "traceback.print_exc()"),
        ("commands/plans.py", "typer.confirm(f'Delete {name}?')"),
        ("cli.py", "print(json.dumps(row))"),
        ("core/inference/export.py", "import csv"),
        ("core/evaluation/report.py", "from csv import DictWriter"),
        ("core/evaluation/html_report.py", "from html import escape"),
        ("core/plans/plan.py", "json.dumps(params, ensure_ascii=False)"),
        ("pages/segment.py", "frame.to_csv()"),
        ("pages/segment.py", "st.dataframe(frame)"),
        ("pages/segment.py", "left.code(uri)"),
        ("pages/segment.py", "st.markdown(name, unsafe_allow_html=True)"),
    ],
)
def test_a_way_around_is_noticed(relative: str, source: str) -> None:
    """Each way to show or write text of others without its function fails the rule above."""
    assert bypasses(relative, ast.parse(source))


def test_every_exception_is_needed() -> None:
    """An exception that no file needs is an error."""
    used = set()
    for relative, what in EXCEPTIONS:
        tree = tree_of(ROOT / relative)
        if any(what in _bypass(node, relative) for node in ast.walk(tree)):
            used.add((relative, what))
    assert used == set(EXCEPTIONS)
