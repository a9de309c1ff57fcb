r"""Escape untrusted text (names, tags, reasons, keys, log lines), with one function per output format.

Class names, job and endpoint names, failure reasons, tags, file names, S3 keys and log lines come from other people.
On a screen or in a file such text must have no effect: it must not move the cursor, reorder text, break lines, or act
as a link, markup or a formula. Characters that cannot be shown safely become readable escape codes (`\x1b`, `\n`,
`\u202e`); no character is dropped. The rule for each format:

terminal    `terminal`, one line. Control characters, line breaks, bidirectional controls, invisible characters
            and lone surrogates become codes. Rich never reads markup in it: print through `commands.common`.
            `terminal_block` is for text that Segdeck formats itself, such as indented JSON.
log line    `log_line`, one line as well, but tabs are kept. `LogFilter` applies it to Segdeck's loggers.
Markdown    `markdown` (and `code`, `markdown_link`), one line for Streamlit's dialect: as in the terminal, with all
            markup escaped. Addresses (`https://`, `www.`, mail) and shortcodes (`:fire:`) become code, because
            Streamlit looks for them after the escapes are gone.
HTML        `html`, for element text and for quoted attributes.
CSV         `csv_bytes` for a file and `csv_cell` for a cell. Text that a spreadsheet would read as a formula begins
            with an apostrophe; numbers stay numbers. `csv_cell` also holds for tables that the browser exports.
figure      `terminal`; mathematical notation is off in `core.render.figures`.
file name   `file_name`, one component. It keeps a name wherever file systems allow it: only separators, control and
            invisible characters become `_x1b`, `_u202e`.
JSON        `json_text` and `json_bytes`, exact: a program reads back the same strings. `--json` is ASCII; files are
            UTF-8, with escapes for what could act on a terminal.

Joiners (U+200C, U+200D) stay where scripts and emoji need them: between two characters that are not Latin. So do the
tags of a flag such as Scotland's.
"""

from __future__ import annotations

import csv
import html as html_module
import io
import json
import logging
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

JOINERS = "\u200c\u200d"
LATIN_END = "\u02ff"
"""The last character of the Latin blocks: no joiner has a meaning before or after one of them."""

PREPENDED = frozenset(
    "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"
)
"""Visible signs of Arabic, Syriac and Kaithi that Unicode lists as format characters (Cf)."""

BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0")
"""Invisible letters and marks (Default_Ignorable_Code_Point) outside category Cf."""

FLAG = re.compile("\U0001f3f4[\U000e0020-\U000e007e]+\U000e007f")
"""A regional flag: a black flag, its region in tag characters, and their end."""

SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
FORMULA = re.compile(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20]")
"""How a formula begins; East Asian versions of Excel also accept the full-width signs."""

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")

MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|~$:<>&])")
WORD = r"[^\s`()\[\]<>{}\"',;]"
CODE = re.compile(
    r"`(?P<quoted>[^`]+)`"
    r"|(?P<address>https?://[^\s`\"'<>]*[^\s`\"'<>.,;:!?)])"
    rf"|(?P<bare>{WORD}*(?:www\.|[-.\w+]@[-\w]+\.[-\w]|:(?!material/)(?!\d\d:)[-+\w]+:){WORD}*)",
    re.IGNORECASE,
)
"""What is shown as code: text already in backticks, URLs, words with an email address or a shortcode."""

SAFE = "!#$%&'*+,/:;=?@_~.-"
"""Characters kept as they are in a link's URL."""

ICON = ":material/"
"""Streamlit replaces this even within code, so a text with it is escaped instead."""


def visible(text: str, *, keep: str = "") -> str:
    r"""Return the text with control and invisible characters replaced by codes such as `\x1b` or `\u202e`.

    keep: characters that stay as they are.
    """
    if text.isascii() and text.isprintable():
        return text
    return _with_codes(text, lambda sign: sign if sign in keep else SHORT.get(sign) or f"\\{_number(sign)}")


def terminal(text: object) -> str:
    """Return one line for a terminal, a table cell or a figure."""
    return visible(str(text))


def terminal_block(text: str) -> str:
    """Return several lines that Segdeck formatted, such as indented JSON; line breaks and tabs are kept."""
    return visible(text, keep="\n\t")


def log_line(text: str) -> str:
    """Return one line of a log: tabs are kept, line breaks become codes, so that text cannot forge a second entry."""
    return visible(text, keep="\t")


def markdown(text: str) -> str:
    """Return text that Streamlit's Markdown shows literally, without links, icons, emoji codes, formulas or HTML."""
    shown, place, text = [], 0, visible(text)
    for match in CODE.finditer(text):
        literal = match["quoted"] or match["address"] or match["bare"]
        shown += [_escaped(text[place : match.start()]), code(literal)]
        place = match.end()
    return "".join([*shown, _escaped(text[place:])])


def code(text: str) -> str:
    """Return text as code in Markdown, where Streamlit replaces only icons; icon names are escaped."""
    return _escaped(ICON).join(map(_code_span, visible(text).split(ICON)))


def markdown_link(label: str, address: str) -> str:
    """Return a Markdown link. label: trusted text; address: percent-encoded where it would end the link."""
    return f"[{label}]({quote(address, safe=SAFE, errors='backslashreplace').replace(ICON, '%3Amaterial/')})"


def html(text: str) -> str:
    """Return text for HTML, in an element or a quoted attribute."""
    return html_module.escape(visible(text))


def csv_cell(value: Any) -> Any:
    """Return a cell that a spreadsheet shows and never evaluates: text is guarded, anything else is unchanged."""
    if not isinstance(value, str):
        return value
    shown = visible(value)
    # Check the raw text: some programs skip a leading tab or line break.
    acts = FORMULA.match(shown) or value[:1] in ("\t", "\r", "\n")
    return f"'{shown}" if acts and not NUMBER.fullmatch(shown) else shown


def csv_bytes(rows: Iterable[Mapping[str, Any]], columns: Sequence[str] = ()) -> bytes:
    """Return a UTF-8 table with a header row; None is an empty cell. columns: by default those of the first row."""
    rows = list(rows)
    names = list(columns) or (list(rows[0]) if rows else [])
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow([csv_cell(name) for name in names])
    writer.writerows([csv_cell(row.get(name)) for name in names] for row in rows)
    return text.getvalue().encode()


def file_name(name: str) -> str:
    """Return one component of a path: separators and what `visible` shows as a code become `_`, `_x1b`, `_u202e`."""
    return _with_codes(name.replace("/", "_"), lambda sign: f"_{_number(sign)}")


def json_text(
    document: Any,
    *,
    indent: int | None = 1,
    ascii_only: bool = True,
    default: Callable[[Any], Any] | None = None,
) -> str:
    r"""Return JSON that holds the exact strings. NaN is refused.

    ascii_only: write all non-ASCII characters as `\uXXXX`; otherwise only control and invisible characters.
    default:    passed to `json.dumps`: converts values that JSON does not have.
    """
    text = json.dumps(document, indent=indent, ensure_ascii=ascii_only, allow_nan=False, default=default)
    text = text if ascii_only else "".join(map(_json_sign, text)) if _acts(text) else text
    return text.replace("\x7f", "\\u007f")  # JSON allows it raw


def json_bytes(document: Any, *, indent: int | None = 1) -> bytes:
    """Return JSON for a file in UTF-8: readable in any script, and exact."""
    return json_text(document, indent=indent, ascii_only=False).encode()


class LogFilter(logging.Filter):
    """A logging filter that keeps each message on one line and removes control characters from tracebacks."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Escape the record; every record is kept."""
        if isinstance(record.args, tuple):
            record.args = tuple(log_line(value) if isinstance(value, str) else value for value in record.args)
        if record.exc_info and not record.exc_text:  # formatters use this text if it is set
            record.exc_text = terminal_block(logging.Formatter().formatException(record.exc_info))
        return True


def _with_codes(text: str, code_of: Callable[[str], str]) -> str:
    """Return the text with a code for each control or invisible character; flag emoji are kept."""
    shown, place = [], 0
    for flag in FLAG.finditer(text):
        shown += [_coded(text, place, flag.start(), code_of), flag[0]]
        place = flag.end()
    return "".join([*shown, _coded(text, place, len(text), code_of)])


def _coded(text: str, start: int, end: int, code_of: Callable[[str], str]) -> str:
    places = range(start, end)
    return "".join(code_of(text[place]) if _is_coded(text, place) else text[place] for place in places)


def _is_coded(text: str, place: int) -> bool:
    """Return whether the character at this position becomes a code; a meaningful joiner does not."""
    sign = text[place]
    if " " <= sign <= "~" or not _hidden(sign):
        return False
    inside = 0 < place < len(text) - 1
    return not (sign in JOINERS and inside and _joins(text[place - 1]) and _joins(text[place + 1]))


def _number(sign: str) -> str:
    """Return a character's number as in Python's escapes, without the backslash."""
    number = ord(sign)
    return f"x{number:02x}" if number < 0x100 else f"u{number:04x}" if number < 0x10000 else f"U{number:08x}"


def _hidden(sign: str) -> bool:
    """Return whether a character is a control, invisible, a format character, a surrogate or a line separator."""
    if sign in BLANK:
        return True
    return unicodedata.category(sign) in ("Cc", "Cf", "Cs", "Zl", "Zp") and sign not in PREPENDED


def _joins(sign: str) -> bool:
    """Return whether a joiner next to this character can have a meaning."""
    return sign > LATIN_END and unicodedata.category(sign)[0] in "LMS"


def _acts(text: str) -> bool:
    return not text.isascii() and any(_hidden(sign) for sign in text)


def _json_sign(sign: str) -> str:
    if sign < "\x7f" or sign in JOINERS or not _hidden(sign):
        return sign
    number = ord(sign)
    if number < 0x10000:
        return f"\\u{number:04x}"
    number -= 0x10000
    return f"\\u{0xD800 + (number >> 10):04x}\\u{0xDC00 + (number & 0x3FF):04x}"


def _code_span(text: str) -> str:
    """Wrap the text in more backticks than it has in a row; blank text needs none."""
    if not text.strip():
        return text
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    pad = " " if "`" in text else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def _escaped(text: str) -> str:
    return MARKDOWN.sub(r"\\\1", text).replace("material/", r"material\/")
