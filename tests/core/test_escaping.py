"""Untrusted text in each output format: it has no effect, and nothing of it is lost."""

from __future__ import annotations

import csv
import html.parser
import io
import json
import logging
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from core import escaping

TEXTS = st.text(
    st.one_of(
        st.characters(),
        st.sampled_from("\x1b\x9b\u202e\u2066\u200b\u200d\u2028\n\r\t=+-@`*_[]()<>&$:|#~\\/.w"),
    ),
    max_size=40,
)


def acts(text: str, allowed: str = "") -> list[str]:
    """Return the characters that control a terminal or reorder text; a joiner is not one of them."""
    return [
        sign
        for sign in text
        if sign not in allowed
        and (
            unicodedata.category(sign) in ("Cc", "Cs", "Zl", "Zp") or sign in "\u202a\u202b\u202c\u202d\u202e"
            or sign in "\u2066\u2067\u2068\u2069\u200e\u200f\u061c\u200b\ufeff"
        )
    ]  # fmt: skip


@given(TEXTS)
def test_no_format_lets_a_control_character_through(text):
    """No function for people lets a control character, a line break or a bidirectional control through."""
    for shown in (
        escaping.terminal(text),
        escaping.markdown(text),
        escaping.html(text),
        escaping.file_name(text),
    ):
        assert not acts(shown)
    assert not acts(escaping.code(text))
    assert not acts(escaping.log_line(text), "\t")
    assert not acts(escaping.terminal_block(text), "\n\t")
    assert not acts(str(escaping.csv_cell(text)))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[2J", r"a\x1b[2J"), ("a\nb\r\tc", r"a\nb\r\tc"), ("\x9b\x7f", r"\x9b\x7f"),
        ("photo\u202egpj.exe", r"photo\u202egpj.exe"), ("\u2066x\u2069", r"\u2066x\u2069"),
        ("a\u200bb\ufeff\u3164", r"a\u200bb\ufeff\u3164"), ("\udcff", r"\udcff"), ("\U000e0041", r"\U000e0041"),
        ("a\u2028b", r"a\u2028b"), ("roads\u200d7", r"roads\u200d7"),
    ],
)  # fmt: skip
def test_control_characters_become_codes(text, shown):
    """A control or invisible character is shown as a code, and the rest is kept."""
    assert escaping.terminal(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "می\u200cخواهم", "क्\u200dष", "👨\u200d👩\u200d👧", "🏳️\u200d🌈",
        "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
        "Straße 空 é שלום", "C:\\photos\\[red].jpg", "\u0600١٢",
    ],
)  # fmt: skip
def test_real_scripts_stay_readable(text):
    """Joiners of Persian and Hindi, emoji sequences, right-to-left words and backslashes are shown as they are."""
    assert escaping.terminal(text) == text
    assert escaping.file_name(text) == text


def shown_by(source: str) -> str:
    """Return all that a reader sees of a paragraph, code included."""
    [_, inline, _] = MarkdownIt("commonmark").parse(f"x {source} x")
    return "".join(token.content for token in inline.children)


def words_of(source: str) -> tuple[str, str, set[str]]:
    """Return the text and the code of a paragraph as CommonMark parses them, and the kinds of all its tokens."""
    [_, inline, _] = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(f"x{source}x")
    text = "".join(token.content for token in inline.children if token.type == "text")
    code = "".join(token.content for token in inline.children if token.type == "code_inline")
    return text, code, {token.type for token in inline.children}


@given(TEXTS)
def test_markdown_is_only_text(text):
    """In Markdown any text is text or code: it makes no link, emphasis, HTML or line break."""
    assert words_of(escaping.markdown(text))[2] <= {"text", "code_inline"}
    assert words_of(escaping.code(text))[2] <= {"text", "code_inline"}


@pytest.mark.parametrize(
    "text",
    [
        "see www.evil.example now", "WWW.evil.example", "write to boss@evil.example!", "(http://evil.example/a?b)",
        "HTTPS://EVIL.example", ":fire: :+1: a:smile:b", "mailto:a@evil.example", "[x](www.evil.example)",
    ],
)  # fmt: skip
def test_no_address_or_shortcode_is_left_in_the_text(text):
    """Web and email addresses and emoji codes become code, because Streamlit replaces them after parsing."""
    shown, code, _ = words_of(escaping.markdown(text))
    for sign in ("evil", "EVIL", "www.", "fire", "smile", "+1"):
        assert sign not in shown
    assert code


def test_no_icon_is_drawn():
    """The name of an icon is shown, in text and in code: the Markdown never contains what Streamlit replaces."""
    for source in (escaping.markdown("x :material/delete: y"), escaping.code(":material/delete:")):
        assert ":material/" not in source
        assert ":material/delete:" in shown_by(source)


def test_a_link_leads_to_its_url():
    """An untrusted URL cannot end a link early, nor name an icon, and stays the same URL."""
    assert escaping.markdown_link("Log", "https://a.example/#x:y$2f(z) <b>:material/w") == (
        "[Log](https://a.example/#x:y$2f%28z%29%20%3Cb%3E%3Amaterial/w)"
    )
    assert escaping.markdown_link("Log", "https://a.example/\udcff") == "[Log](https://a.example/%5Cudcff)"


def test_times_and_resource_names_stay_readable():
    """A time of day is not an emoji code, and the name of a resource is shown completely, as code."""
    assert escaping.markdown("at 12:30:45") == r"at 12\:30\:45"
    assert escaping.markdown("arn:aws:s3:::b/k") == "`arn:aws:s3:::b/k`"


@given(TEXTS)
def test_code_holds_the_whole_text(text):
    """A code span shows its complete text, whatever backticks it contains."""
    shown = escaping.terminal(text).replace(" ", "")
    assert shown_by(escaping.code(text)).replace(" ", "") == f"x{shown}x"


@given(TEXTS)
def test_html_is_only_text(text):
    """In HTML any text is text: a parser finds no tag in an element, and one attribute between quotes."""
    tags: list[tuple[str, list[tuple[str, str | None]]]] = []
    parser = html.parser.HTMLParser()
    parser.handle_starttag = lambda tag, attributes: tags.append((tag, attributes))  # type: ignore[method-assign]
    parser.feed(f'<p title="{escaping.html(text)}">{escaping.html(text)}</p>')
    assert tags == [("p", [("title", escaping.terminal(text))])]


@pytest.mark.parametrize(
    "name", ["=1+1", "+1-2", "-2+3+cmd|' /C calc'!A0", "@SUM(1)", "\t=1", "\r=1", "  =1", "＝1"]
)
def test_no_cell_is_a_formula(name):
    """Text that a spreadsheet would evaluate begins with an apostrophe, in cells and in column names."""
    rows = list(csv.reader(io.StringIO(escaping.csv_bytes([{name: name}]).decode(), newline="")))
    assert [cell[:1] for row in rows for cell in row] == ["'", "'"]


def test_numbers_in_a_table_stay_numbers():
    """Negative numbers, also as text, are written as they are; None is empty, and columns can be chosen."""
    rows = [{"a": -1.5, "b": -3, "c": "-0.5e-3", "d": None, "e": "road, wet"}]
    assert escaping.csv_bytes(rows) == b'a,b,c,d,e\r\n-1.5,-3,-0.5e-3,,"road, wet"\r\n'
    assert escaping.csv_bytes([], ["a", "b"]) == b"a,b\r\n"
    assert escaping.csv_bytes(rows, ["b"]) == b"b\r\n-3\r\n"


@given(TEXTS)
def test_json_is_exact(text):
    """A program reads back the same string; standard output is ASCII, and a file contains no control characters."""
    document = {text: [text, 1.5, None]}
    printed, written = escaping.json_text(document), escaping.json_bytes(document).decode()
    assert json.loads(printed) == json.loads(written) == document
    assert printed.isascii()
    assert not acts(printed, "\n")
    assert not acts(written, "\n")


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("=a b.png", "=a b.png"),
        ("a/b", "a_b"),
        ("a\x1b[2J", "a_x1b[2J"),
        ("\u202ex", "_u202ex"),
        ("空.jpg", "空.jpg"),
    ],
)
def test_a_file_keeps_its_name(name, file):
    """A file name changes only where it contains a separator or an invisible character."""
    assert escaping.file_name(name) == file


def test_a_record_of_a_log_is_one_line():
    """A logger with the filter writes untrusted messages on one line, and tracebacks without control characters."""
    stream = io.StringIO()
    log = logging.Logger("test")
    log.addHandler(logging.StreamHandler(stream))
    log.addFilter(escaping.LogFilter())
    log.error("job %s failed after %d s", "a\n2026 INFO all is well\x1b[2J", 3)
    assert stream.getvalue() == "job a\\n2026 INFO all is well\\x1b[2J failed after 3 s\n"
    try:
        int("\x1b[2J\u202e")
    except ValueError:
        log.exception("it fell")
    assert not acts(stream.getvalue(), "\n\t")
