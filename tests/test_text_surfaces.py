"""Hostile text in every field, on every surface: terminal, pages, files."""

from __future__ import annotations

import csv
import io
import json
import re
import struct
import unicodedata
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import Result
from markdown_it import MarkdownIt
from PIL import Image
from streamlit.testing.v1 import AppTest

import cli
from core.accounts import AccountChoice
from core.errors import InputError
from core.escaping import csv_bytes
from core.evaluation.html_report import to_html
from core.evaluation.report import class_rows, confusion_rows, image_rows
from core.evaluation.results import score_outcomes
from core.evaluation.run import EvaluatedEndpoint, EvaluationFailure, EvaluationTask, ImageOutcome
from core.evaluation.store import ImageScore
from core.imaging.classes import Classes
from core.imaging.image import encode, open_image
from core.imaging.segmentation import Segmentation
from core.inference import export
from core.inference.invoke import EndpointResponse, Inference
from core.runs.evaluation import to_bytes as stored_scores
from core.runs.run import Run as StoredRun
from core.runs.run import RunEndpoint, RunImage
from core.runs.store import RunStore
from core.settings import Settings
from pages.parts.viewer.frame import build
from tests.support.apps import app_from_file
from tests.support.command_line import CliRunner
from tests.support.dashboard import SHELL, fresh_caches
from tests.support.hostile_aws import HOSTILE, MARK, HostileAws, hostile_aws

Run = Callable[..., Result]
OpenPage = Callable[..., AppTest]

HIDDEN = frozenset(
    ("id", "key", "element_id", "query_string", "user_key", "form_id", "page_script_hash", "value")
)
"""Fields that no person sees. value: what a widget holds, which must come back as it is."""

COMMONMARK = MarkdownIt("commonmark")
"""Created once: that takes longer than to parse a text of a page."""
ADDRESS = re.compile(r"www\.|a@evil|:fire:")


@pytest.fixture(scope="module")
def aws() -> Iterator[HostileAws]:
    with hostile_aws() as server:
        yield server


@pytest.fixture
def environ(aws: HostileAws, tmp_path: Path) -> dict[str, str]:
    """Mode aws at the hostile address."""
    aws.endpoint_status = "Failed"
    return {
        "SEGDECK_MODE": "aws",
        "AWS_ENDPOINT_URL": aws.url,
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "SEGDECK_STATE_DIR": str(tmp_path / "state"),
    }


@pytest.fixture
def run(environ: dict[str, str]) -> Run:
    """run("jobs", "list", ...) -> the command's result, at the hostile address."""
    return lambda *arguments: CliRunner().invoke(cli.app, list(map(str, arguments)), env=environ)


@pytest.fixture
def open_hostile(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> OpenPage:
    """open_hostile(page, **query) -> the page after its first run, at the hostile address."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    fresh_caches()

    def start(page: str, **query: str) -> AppTest:
        app = app_from_file(SHELL, default_timeout=60)
        for key, value in query.items():
            app.query_params[key] = value
        return (app if page == "overview" else app.switch_page(f"../{page}.py")).run()

    return start


def steers(text: str) -> list[str]:
    """Return the characters that control a terminal or reorder its text."""
    hidden = ("Cc", "Cf", "Cs", "Zl", "Zp")
    return [sign for sign in text if unicodedata.category(sign) in hidden and sign not in "\n\u200c\u200d"]


def forged(text: str) -> list[str]:
    """Return the lines that only an injected line break can have started."""
    return [line for line in text.splitlines() if line.strip(" │┃|").startswith("FORGED")]


COMMANDS = [
    ("jobs", "list"),
    ("jobs", "show", "roads"),
    ("jobs", "logs", "roads"),
    ("jobs", "curves", "roads"),
    ("jobs", "stop", "roads", "--dry-run"),
    ("jobs", "clone", "roads", "--dry-run"),
    ("endpoints", "list"),
    ("endpoints", "show", "roads"),
    ("endpoints", "delete", "roads", "--dry-run"),
    ("endpoints", "scale", "roads", "--count", "2", "--dry-run"),
    ("endpoints", "update", "roads", "--from-job", "roads", "--dry-run"),
    ("endpoints", "deploy", "--name", "roads-2", "--from-job", "roads", "--dry-run"),
    ("dataset", "check", "s3://planted/data/"),
    ("doctor", "--role", "Trainer", "--bucket", "planted"),
]


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_no_answer_of_aws_steers_the_terminal(run: Run, arguments: tuple[str, ...]) -> None:
    """A command prints AWS's text with codes in place of control characters, whatever the field."""
    done = run(*arguments)
    assert isinstance(done.exception, SystemExit | None), done.exception
    assert steers(done.output.replace("\t", "") if "logs" in arguments else done.output) == []
    assert forged(done.output) == []
    assert MARK in done.output, done.output
    assert "\N{FIRE}" not in done.output


@pytest.mark.parametrize(
    "arguments", [command for command in COMMANDS if command[1] in ("list", "show", "logs")], ids=" ".join
)
def test_json_of_a_command_is_exact(run: Run, arguments: tuple[str, ...]) -> None:
    """With --json the same text is printed exactly, in ASCII."""
    done = run(*arguments, "--json")
    assert done.stdout.isascii()
    assert steers(done.stdout) == []
    documents = (
        [json.loads(line) for line in done.stdout.splitlines()]
        if "logs" in arguments
        else [json.loads(done.stdout)]
    )
    assert any("\x1b[2J" in text for document in documents for text in from_json(json.dumps(document)))


def elements_of(app: AppTest) -> list[Any]:
    """Return every element of a page and every enclosing block, such as a tab or an expander, with the sidebar."""
    elements, waiting = [], [app._tree]
    while waiting:
        element = waiting.pop()
        elements.append(element)
        waiting += getattr(element, "children", {}).values()
    return [element.proto for element in elements if getattr(element, "proto", None) is not None]


def strings_of(message: Any) -> Iterator[str]:
    """Return every visible string of a protocol message; JSON is parsed as the browser does."""
    if isinstance(message, str):
        yield from from_json(message)
    elif hasattr(message, "ListFields"):
        for field, value in message.ListFields():
            if field.name == "code_text":  # shown as it is, where a log's tabs do no harm
                yield value.replace("\t", " ")
            elif field.name not in HIDDEN:
                yield from strings_of(value)
    elif isinstance(message, Iterable) and not isinstance(message, bytes):
        for part in message:
            yield from strings_of(part)


def from_json(text: str) -> Iterator[str]:
    """Return the strings of a JSON document; a text that is not JSON itself."""
    try:
        waiting = [json.loads(text)] if text[:1] in ("{", "[") else [text]
    except ValueError:
        waiting = [text]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value


def markdown_of(app: AppTest) -> list[str]:
    """Return all text that Streamlit reads as Markdown, including labels and help of widgets."""
    sources: list[str] = []
    for proto in elements_of(app):
        kind = type(proto).__name__
        if kind in ("Code", "Json") or (kind == "Html" and MARK not in proto.body):  # our own style rules
            continue
        values = [getattr(proto, name, "") for name in ("body", "label", "help", "delta", "caption")]
        if kind in ("ButtonGroup", "Radio"):
            values += [getattr(option, "content", option) for option in proto.options]
        sources += [value for value in values if isinstance(value, str)]
    return sources


def acting_in(source: str) -> list[str]:
    """Return the parts of the injected text that Markdown would interpret."""
    acting = [word for word in (":material/bomb", ":material_bomb") if word in source]
    for block in COMMONMARK.parse(source):
        acting += [block.content] if block.type == "html_block" else []
        for token in block.children or ():
            if token.type == "html_inline" or (token.type == "text" and ADDRESS.search(token.content)):
                acting.append(token.content)
            if token.type == "link_open" and "://www.evil" in str(token.attrs["href"]):
                acting.append(str(token.attrs["href"]))
    return acting


def unguarded(frame: pd.DataFrame) -> list[str]:
    """Return the cells and headers that a spreadsheet would compute, or that contain control characters."""
    cells = [*frame.columns, *frame.index, *frame.to_numpy().ravel()]
    parts = [part for cell in cells for part in (cell if isinstance(cell, list) else [cell])]
    return [
        text
        for text in parts
        if isinstance(text, str) and (text[:1] in ("=", "@", "\t", "\r") or steers(text))
    ]


PAGES: list[tuple[str, dict[str, str], str]] = [
    ("overview", {}, "Failed"),
    ("setup", {}, "InService"),
    ("segment", {}, "InService"),
    ("evaluate", {}, "InService"),
    ("datasets", {"dataset": "s3://planted/data/"}, "InService"),
    ("training_jobs", {"compare": "roads,fields"}, "Failed"),
    ("training_job", {"job": "roads"}, "Failed"),
    ("launch_training", {"clone": "roads"}, "Failed"),
    ("endpoints", {}, "Failed"),
    ("endpoint", {"endpoint": "roads"}, "Failed"),
    ("endpoint", {"endpoint": "roads", "part": "Test call"}, "InService"),
    ("endpoint", {"endpoint": "roads", "part": "Scale"}, "InService"),
    ("endpoint", {"endpoint": "roads", "part": "Log"}, "Failed"),
    ("endpoint", {"endpoint": "roads", "part": "Configuration"}, "Updating"),
    ("endpoint", {"endpoint": "roads", "part": "Lineage"}, "InService"),
    ("deploy", {"job": "roads"}, "InService"),
    ("batches", {}, "InService"),
    ("batch", {"job": "roads"}, "InService"),
    ("batch", {"job": "roads", "tab": "Failed images"}, "InService"),
    ("batch", {"job": "roads", "tab": "Log"}, "InService"),
    ("batch", {"job": "roads", "tab": "Settings"}, "InService"),
    ("launch_batch", {"clone": "roads"}, "InService"),
]


@pytest.mark.parametrize(("screen", "query", "status"), PAGES, ids=str)
def test_no_answer_of_aws_acts_on_a_page(
    screen: str, query: dict[str, str], status: str, aws: HostileAws, open_hostile: OpenPage
) -> None:
    """A page shows AWS's text as text, whatever the field: no markup, link, icon, formula or control."""
    aws.endpoint_status = status
    app = open_hostile(screen, **query)
    if screen == "datasets":
        next(button for button in app.button if button.label == "Validate").click().run()
    assert not app.exception
    texts = [text for element in elements_of(app) for text in strings_of(element)]
    planted = [text for text in texts if MARK in text]
    assert [text for text in planted if steers(text) or forged(text)] == []
    assert [acting for source in markdown_of(app) for acting in acting_in(source)] == []
    assert [cell for table in app.dataframe for cell in unguarded(table.value)] == []
    assert planted or app.dataframe


@pytest.fixture
def planted_runs(environ: dict[str, str]) -> tuple[str, str]:
    """The ids of a stored segmentation and a stored evaluation with hostile text in every field."""
    settings = Settings.from_environ(environ)
    store = RunStore(settings.runs_dir_of(AccountChoice()), settings.results_bytes, lambda: datetime.now(UTC))
    classes = Classes((HOSTILE, f"-{HOSTILE}"), ((0, 0, 255), (0, 170, 0)))
    endpoint = RunEndpoint(HOSTILE, HOSTILE, HOSTILE, HOSTILE)
    content = store.add_content(png(Image.new("RGB", (4, 2))))
    images = (
        RunImage(content, HOSTILE, content, "", "", "", "done", 0.1, ((HOSTILE, 1.0),), None, ""),
        RunImage("2", HOSTILE, "", "", "", HOSTILE, "failed", None, (), None, HOSTILE),
    )
    at = datetime(2026, 11, 30, tzinfo=UTC)
    first = StoredRun(
        "a" * 32, "segmentation", at, HOSTILE, HOSTILE, (endpoint,), images=images, classes=classes
    )
    error = InputError(HOSTILE, why=HOSTILE, todo=HOSTILE)
    score = ImageScore(
        "b" * 32, HOSTILE, "bay", HOSTILE, HOSTILE, 4, 2, ((0, 0, 5), (1, 0, 1)), (), 1, 0.5, (HOSTILE,)
    )  # fmt: skip
    outcome = ImageOutcome("bay", (score,), (EvaluationFailure(HOSTILE, HOSTILE, error),), 1)
    task = EvaluationTask(
        (), [EvaluatedEndpoint(HOSTILE, "one", "", classes, unasked)], classes, notes=(HOSTILE,)
    )
    evaluation = score_outcomes([outcome], task)
    second = replace(
        first, id="c" * 32, kind="evaluation", images=(), title=HOSTILE, names=(HOSTILE,), image_count=1, failed=1,
        scores=store.add_content(stored_scores(evaluation, 1.0, {})), form={},
    )  # fmt: skip
    for each in (first, second):
        store.add(each)
    return first.id, second.id


def test_no_text_of_a_stored_run_acts(
    planted_runs: tuple[str, str], open_hostile: OpenPage, run: Run
) -> None:
    """The list of runs, the page of each, and the commands show the text in them as text."""
    for query in ({}, *({"run": run_id} for run_id in planted_runs)):
        app = open_hostile("runs", **query)
        assert not app.exception
        texts = [text for element in elements_of(app) for text in strings_of(element)]
        planted = [text for text in texts if MARK in text]
        assert planted or app.dataframe
        assert [text for text in planted if steers(text) or forged(text)] == []
        assert [acting for source in markdown_of(app) for acting in acting_in(source)] == []
        assert [cell for table in app.dataframe for cell in unguarded(table.value)] == []
    for arguments in (("list",), ("show", "aaaa"), ("show", "cccc"), ("delete", "aaaa", "--yes")):
        done = run("runs", *arguments)
        assert done.exit_code == 0, done.output
        assert steers(done.output) == [], arguments
        assert forged(done.output) == [], arguments


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A folder with an image under a hostile name."""
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.new("RGB", (8, 6)).save(folder / "x.png")
    (folder / "x.png").rename(folder / f"{HOSTILE.replace('/', '')[:60]}.png")
    return folder


def test_no_file_name_steers_the_terminal(run: Run, photo: Path, aws: HostileAws, tmp_path: Path) -> None:
    """A container's message and the name of its file are shown with codes."""
    aws.endpoint_status = "InService"
    for command in (
        ("segment", photo, "--endpoint", "roads", "--out", tmp_path / "out"),
        ("dataset", "check", photo),
        ("dataset", "convert", photo, "--dry-run"),
        ("evaluate", photo, "--endpoint", "roads"),
    ):
        done = run(*command)
        assert isinstance(done.exception, SystemExit | None), done.exception
        assert steers(done.output) == [], command
        assert forged(done.output) == [], command
        assert MARK in done.output or command[0] == "evaluate", done.output


def exported() -> export.ExportResult:
    """A response whose image and names are hostile."""
    classes = Classes((HOSTILE, f"@{HOSTILE}"), ((0, 0, 255), (0, 170, 0)))
    labels = np.array([[0, 1], [1, 1]], np.uint8)
    segmentation = Segmentation(labels, None, None, classes, (HOSTILE,))
    picture = open_image(png(Image.new("RGB", (2, 2))), HOSTILE)
    image = encode(picture, fit=None, max_bytes=1_000_000)
    answer = EndpointResponse(b"", HOSTILE, 0.1)
    inference = Inference(segmentation, answer, image, HOSTILE, "image/png", 0.1, 0.1)
    return export.result(picture, inference, stem=export.unique_stems([HOSTILE.replace("/", "")])[0])


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def test_no_name_acts_in_a_file() -> None:
    """Names of classes and images are data in CSV, JSON, plots and ZIP files, and in file names."""
    result = exported()
    files = {item.name.removeprefix(result.stem): item for item in export.files(result)}
    with zipfile.ZipFile(io.BytesIO(export.zip_files(files.values()))) as archive:
        assert steers("".join(archive.namelist())) == []
        assert all(name.startswith("=PLANTED_x1b") for name in archive.namelist())
    table = list(csv.DictReader(io.StringIO(files["_areas.csv"].data.decode(), newline="")))
    assert [row["name"][:2] for row in table] == ["'@", "'="]
    assert steers(files["_areas.csv"].data.decode().replace("\r\n", "")) == []
    written = files[".json"].data.decode()
    assert steers(written) == []
    assert HOSTILE in json.loads(written)["class_names"]
    assert files["_figure.png"].data.startswith(b"\x89PNG")


def test_no_name_acts_in_the_viewer() -> None:
    """The header that the viewer reads has class names with codes in place of control characters."""
    result = exported()
    frame = build(b"jpeg", (2, 2), result.inference.segmentation, title=HOSTILE)
    header = json.loads(frame[4 : 4 + struct.unpack("<I", frame[:4])[0]])
    texts = list(from_json(json.dumps(header)))
    assert any(MARK in text for text in texts)
    assert steers("".join(texts)) == []
    assert not any("\n" in text for text in texts)


def test_no_name_acts_in_a_report() -> None:
    """Names of images, classes, endpoints and reasons are text in the HTML report, and guarded in its tables."""
    classes = Classes((HOSTILE, f"-{HOSTILE}"), ((0, 0, 255), (0, 170, 0)))
    judged = ImageScore(HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE, 4, 2, ((0, 0, 5), (1, 0, 1)), (), 1, 0.5)
    error = InputError(HOSTILE, why=HOSTILE, todo=HOSTILE)
    outcome = ImageOutcome(HOSTILE, (judged,), (EvaluationFailure(HOSTILE, HOSTILE, error),), 1)
    evaluation = score_outcomes(
        [outcome], EvaluationTask((), [EvaluatedEndpoint(HOSTILE, "one", "", classes, unasked)], classes)
    )
    page = to_html(evaluation, [], datetime(2026, 11, 30, tzinfo=UTC)).decode()
    assert MARK in page
    assert steers(page) == []
    assert "<script" not in page
    for rows in (class_rows(evaluation), image_rows(evaluation), confusion_rows(evaluation)):
        cells = [
            cell for row in csv.reader(io.StringIO(csv_bytes(rows).decode(), newline="")) for cell in row
        ]
        assert [cell for cell in cells if cell[:1] in ("=", "@", "-") and MARK in cell] == []
        assert steers("".join(cells)) == []


def unasked(body: bytes, content_type: str, accept: str) -> EndpointResponse:
    raise AssertionError("nothing is asked here")
