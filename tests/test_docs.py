"""The documents say what is true: each test holds one of them against the code."""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Mapping
from functools import cache
from itertools import chain
from pathlib import Path

import pytest
import typer.main
from botocore import xform_name
from botocore.session import get_session

import cli
import core
from core.access.permissions import CHECK_PERMISSIONS, PERMISSIONS, Permission
from core.aws.operations import OPERATIONS
from core.settings import VARIABLES, Variable
from tests.support.documents import broken, code, commands, documents, links, unknown_part

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text("utf-8")
SECURITY = (ROOT / "SECURITY.md").read_text("utf-8")
SETTINGS = (ROOT / "docs" / "settings.md").read_text("utf-8")
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
ACCOUNT = (ROOT / "docs" / "aws-account.md").read_text("utf-8")
GLOSSARY = (ROOT / "docs" / "glossary.md").read_text("utf-8")
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
DOCUMENTS = documents(ROOT)
PROGRAM = typer.main.get_command(cli.app)

WANTED = ("streamlit", "boto3", "sagemaker-core", "numpy", "Pillow", "matplotlib", "mxnet", "pandas")

FOLDERS = ("bench", "commands", "core", "docs", "pages", "sandbox", "tests", "tools", ".github", ".streamlit")
PATH = re.compile(rf"(?:{'|'.join(map(re.escape, FOLDERS))})/[\w./-]*")
VARIABLE = re.compile(r"\bSEGDECK_[A-Z][A-Z_]*[A-Z]\b")
SOURCES = (".py", ".sh", ".toml", ".yml")


def name_of(document: Path) -> str:
    return document.relative_to(ROOT).as_posix()


# Links, commands and paths, in all documents.


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_link_leads_somewhere(document: Path) -> None:
    """A relative link or image of a document leads to a file, and its anchor to a heading."""
    assert [f"line {link.line}: {why}" for link in links(document) if (why := broken(link))] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_command_exists(document: Path) -> None:
    """Each `segdeck ...` in a document is a command of the program, with options that it has."""
    calls = [(claim, unknown_part(claim.text.split(), PROGRAM)) for claim in commands(document)]
    assert [f"line {claim.line}: segdeck {claim.text}: {word}" for claim, word in calls if word] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_make_target_exists(document: Path) -> None:
    """Each `make ...` in a document is a target of the Makefile."""
    called = chain.from_iterable(
        re.findall(r"(?<![\w.])make ([a-z][a-z-]*)", claim.text) for claim in code(document)
    )
    targets = set(re.findall(r"^([a-z][a-z-]*):", MAKEFILE, re.MULTILINE))
    assert [target for target in called if target not in targets] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_path_exists(document: Path) -> None:
    """Each file or folder of the project that a document names exists, and so does each module it runs."""
    spans = [claim.text for claim in code(document)]
    named = [text for text in spans if PATH.fullmatch(text)]
    assert [text for text in named if "NAME" not in text and not (ROOT / text).exists()] == []
    modules = chain.from_iterable(re.findall(r"python -m ((?:bench|sandbox)[\w.]*)", text) for text in spans)
    assert [module for module in modules if importlib.util.find_spec(module) is None] == []


@pytest.mark.parametrize(
    ("text", "check"),
    [
        ("See [the page](nowhere.md).", "link"),
        ("![A picture](nowhere.png)", "link"),
        ("See [the part](#nowhere).", "link"),
        ("See [it](page.md#nowhere).", "link"),
        ("Run `segdeck jobs explode`.", "command"),
        ("Run `segdeck jobs list --explode`.", "command"),
        ("```sh\n.venv/bin/segdeck explode --json\n```", "command"),
        ("```sh\nsegdeck segment images --out masks --explode=1  # comment\n```", "command"),
    ],
)
def test_a_planted_error_is_found(tmp_path: Path, text: str, check: str) -> None:
    """A link, an anchor, a command or an option that does not exist is reported."""
    document = tmp_path / "page.md"
    document.write_text(f"# Title\n\n{text}\n")
    found_links = [why for link in links(document) if (why := broken(link))]
    found_words = [
        word for claim in commands(document) if (word := unknown_part(claim.text.split(), PROGRAM))
    ]
    assert len(found_links) == (check == "link")
    assert len(found_words) == (check == "command")


def test_what_exists_is_not_reported(tmp_path: Path) -> None:
    """Links to files and headings, web addresses, and commands with their options are not reported."""
    document = tmp_path / "page.md"
    document.write_text(
        "# The `first` part\n\n## Again\n\n## Again\n\n"
        "[a](page.md#the-first-part) [b](#again-1) [c](https://example.com/x#y) `[d](code.md)`\n\n"
        "`segdeck`, `segdeck jobs`, `segdeck COMMAND --help`, `segdeck jobs logs NAME --follow`, `s3://segdeck/x`\n\n"
        '```sh\nAWS_REGION=eu-west-1 segdeck dataset check my-folder --json | jq ".problems"  # --explode\n```\n'
    )
    assert [why for link in links(document) if (why := broken(link))] == []
    assert len(list(links(document))) == 2
    calls = [claim.text for claim in commands(document)]
    assert calls == [
        "",
        "jobs",
        "COMMAND --help",
        "jobs logs NAME --follow",
        "dataset check my-folder --json",
    ]
    assert [word for text in calls if (word := unknown_part(text.split(), PROGRAM))] == []


# Settings.


@pytest.mark.parametrize("variable", VARIABLES, ids=lambda variable: variable.name)
def test_every_setting_is_documented(variable: Variable) -> None:
    """docs/settings.md has each environment variable that Segdeck reads, with its meaning and default."""
    assert f"| `{variable.name}` | {variable.meaning} | {variable.default} |" in SETTINGS


def variables_in(*files: Path) -> set[str]:
    """Return the names of Segdeck's own variables in these files."""
    return {name for file in files for name in VARIABLE.findall(file.read_text("utf-8"))}


def source_files() -> list[Path]:
    names = (
        "app.py",
        "cli.py",
        "Makefile",
        *(folder for folder in FOLDERS if folder not in ("docs", "tests")),
    )
    files = [file for name in names for file in (ROOT / name).rglob("*") if file.suffix in SOURCES]
    return [*files, *(ROOT / name for name in names if (ROOT / name).is_file()), *fuzz_files()]


def fuzz_files() -> list[Path]:
    """Return the tests whose length a variable sets."""
    return [ROOT / "tests/core/test_reader_mutations.py"]


def test_settings_in_the_code_and_in_the_docs_are_the_same() -> None:
    """Each SEGDECK_ variable in the code has a row in docs/settings.md, and each row a variable in the code."""
    rows = set(re.findall(r"^\| `(SEGDECK_\w+)` \|", SETTINGS, re.MULTILINE))
    assert rows == variables_in(*source_files())


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_no_document_names_an_unknown_setting(document: Path) -> None:
    """A document names no SEGDECK_ variable that docs/settings.md lacks."""
    assert (
        variables_in(document) - set(re.findall(r"^\| `(SEGDECK_\w+)` \|", SETTINGS, re.MULTILINE)) == set()
    )


def test_a_planted_setting_is_found(tmp_path: Path) -> None:
    """A variable that only the code, or only a document, has is noticed."""
    (tmp_path / "module.py").write_text('LIMIT = os.environ.get("SEGDECK_PLANTED", "1")')
    assert variables_in(tmp_path / "module.py") == {"SEGDECK_PLANTED"}


# Permissions.

CLIENTS = {
    "autoscaling": "application-autoscaling",
    "cloudwatch": "cloudwatch",
    "iam": "iam",
    "kms": "kms",
    "lists": "sagemaker",
    "logs": "logs",
    "metrics": "sagemaker-metrics",
    "pricing": "pricing",
    "runtime": "sagemaker-runtime",
    "s3": "s3",
    "sagemaker": "sagemaker",
    "sts": "sts",
}
"""Property of core.aws.connection.Clients -> service."""

S3_ACTIONS = {
    "GetBucketEncryption": "GetEncryptionConfiguration",
    "HeadBucket": "ListBucket",
    "HeadObject": "GetObject",
    "ListObjectsV2": "ListBucket",
    "PutObjects": "PutObject",
}
"""Operation of S3 -> IAM action, where the names differ."""


def action(service: str, operation: str) -> str:
    """Return the IAM action of an operation."""
    prefix = "sagemaker" if service.startswith("sagemaker") else service
    return f"{prefix}:{S3_ACTIONS.get(operation, operation) if service == 's3' else operation}"


@cache
def operations_of(service: str) -> Mapping[str, str]:
    """Return the operations of a service by the names of boto3's methods; "" has none."""
    names = get_session().get_service_model(service).operation_names if service else []
    return {xform_name(name): name for name in names}


def actions_read_by(tree: ast.AST) -> set[str]:
    """Return the IAM actions of the calls that a module makes as `clients.SERVICE.operation(...)`."""
    actions = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute):
            service = CLIENTS.get(node.value.attr, "")
            if operation := operations_of(service).get(node.attr):
                actions.add(action(service, operation))
    return actions


def test_every_aws_call_is_among_the_permissions() -> None:
    """docs/aws-account.md lists the IAM action of every call that core.aws makes."""
    trees = [ast.parse(path.read_text("utf-8")) for path in sorted((ROOT / "core/aws").glob("*.py"))]
    reads = set().union(*map(actions_read_by, trees))
    changes = {action(service, operation) for service, operation in OPERATIONS}
    assert len(reads) > 15
    assert [name for name in sorted(reads | changes) if f"`{name}`" not in ACCOUNT] == []


def test_a_planted_call_is_found() -> None:
    """A call of another operation is noticed wherever it is in a module."""
    source = "def f(clients):\n    return clients.sagemaker.list_compilation_jobs(MaxResults=1)"
    assert actions_read_by(ast.parse(source)) == {"sagemaker:ListCompilationJobs"}


@pytest.mark.parametrize("permission", [*PERMISSIONS, *CHECK_PERMISSIONS], ids=lambda row: row.action)
def test_every_checked_permission_is_documented(permission: Permission) -> None:
    """docs/aws-account.md lists each action that `segdeck doctor` checks or needs."""
    assert f"`{permission.action}`" in ACCOUNT


# Single documents.


@pytest.mark.parametrize("package", WANTED)
def test_every_package_has_its_reason(package: str) -> None:
    """Each of the eight packages is in requirements.txt, pinned, with the reason for it."""
    text = (ROOT / "requirements.txt").read_text("utf-8")
    block = re.search(rf"((?:^#.*\n)*)^{package}==\S+(.*)$", text, re.MULTILINE)
    assert block is not None
    assert "#" in block.group(1) + block.group(2)


def test_the_readme_is_one_screen() -> None:
    """The README shows the two commands and the screenshot first, and leaves the rest to docs/."""
    first_screen = README[:1500]
    assert "make run" in first_screen
    assert "make test" in first_screen
    assert re.search(r"!\[[^\]]+\]\([^)]+\.(png|jpg|webp)\)", first_screen)
    assert len(README.splitlines()) <= 60


def test_every_page_is_linked_from_another_one() -> None:
    """No document in docs/ can be reached by its name only."""
    targets = {
        (link.document.parent / link.text.partition("#")[0]).resolve()
        for page in DOCUMENTS
        for link in links(page)
    }
    pages = [page for page in DOCUMENTS if page.is_relative_to(ROOT / "docs")]
    assert [name_of(page) for page in pages if page.resolve() not in targets] == []


def test_the_map_of_core_is_complete() -> None:
    """The docstring of core, and the architecture page, have one line for each of its packages and modules."""
    lines = dict(re.findall(r"^(\w+) {2,}(.+)$", core.__doc__ or "", re.MULTILINE))
    modules = {path.stem for path in (ROOT / "core").glob("*.py")} - {"__init__"}
    packages = {path.parent.name for path in (ROOT / "core").glob("*/__init__.py")}
    assert set(lines) == modules | packages
    assert [name for name, text in lines.items() if f"| `{name}` | {text} |" not in ARCHITECTURE] == []


@pytest.mark.parametrize("heading", ["# Glossary", "## Names in the code"])
def test_the_glossary_is_in_order(heading: str) -> None:
    """Each table of the glossary has a term once, in alphabetical order, with its meaning."""
    terms = glossary_terms(heading)
    assert len(terms) > 25
    assert terms == sorted(set(terms), key=str.lower)


def test_the_names_in_the_glossary_are_classes() -> None:
    """Each name of the second table is a class in the code."""
    sources = [
        path for folder in ("core", "pages", "sandbox", "commands") for path in (ROOT / folder).rglob("*.py")
    ]
    classes = {
        name
        for path in sources
        for name in re.findall(r"^class (\w+)", path.read_text("utf-8"), re.MULTILINE)
    }
    assert set(glossary_terms("## Names in the code")) - classes == set()


def glossary_terms(heading: str) -> list[str]:
    """Return the terms of the table below a heading of the glossary."""
    section = GLOSSARY.partition(f"{heading}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (?!Term|Name|---)(.+?) \| .+ \|$", section, re.MULTILINE)
    return [term.strip("`") for term in rows]


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`(tests/[\w/.]+)`", SECURITY))))
def test_every_test_that_a_promise_names_exists(path: str) -> None:
    """Each promise of SECURITY.md names tests that exist."""
    assert (ROOT / path).exists()


def test_every_promise_names_its_test() -> None:
    """Each row of a table of promises has a test or a measurement in its last column."""
    promises = SECURITY.partition("## What is promised")[2].partition("## What is not promised")[0]
    rows = [line for line in promises.splitlines() if line.startswith("| ") and "Tested in" not in line]
    assert rows
    assert all("`" in row.rstrip("| ").rpartition("|")[2] for row in rows)


def test_the_changelog_has_the_released_version() -> None:
    """The version of pyproject.toml has a section with a date in the changelog."""
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    released = re.findall(r"^## (\d+\.\d+\.\d+) - (\d{4}-\d{2}-\d{2})$", text, re.MULTILINE)
    version = re.search(r'^version = "(.+?)"', (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE)
    assert version is not None
    assert released
    assert version[1] == released[0][0]


def test_the_screenshot_is_small() -> None:
    """The screenshot of the README takes at most 300 kB."""
    assert (ROOT / "docs/segment.png").stat().st_size <= 300_000
