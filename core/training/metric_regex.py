"""Run a job's own metric regular expressions safely.

They are stored with the job (`AlgorithmSpecification.MetricDefinitions`); anyone who may create a job can write one.
Python's `re` cannot be interrupted, so expressions that could run practically forever are rejected, and the others
are given only as much of a line as keeps them fast.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from core.errors import InputError

MAX_REGEX = 500
"""The maximum length of MetricDefinition.Regex (botocore 1.44)."""

LINE_LIMITS = (4_000, 4_000, 600, 200, 120)
"""How many characters of a line to search, by the number of wide repeats such as `.*` in the expression."""

ESCAPED = re.compile(r"\\(.)", re.DOTALL)
CLASS = re.compile(r"\[\^?\]?[^\]]*\]")
GROUP = re.compile(r"\((?:\?(?:P?<[=!]?\w*>?|[:=!]|[aiLmsux-]+:?))?(?P<inside>[^()]*)\)")
OPEN_REPEAT = re.compile(r"[*+]|\{\d*,\}")
WIDE_REPEAT = re.compile(r"[.W](?:[*+]|\{\d*,\})")
WIDE_TAIL = re.compile(r"[.W](?:[*+]|\{\d*,\})$")
"""A wide repeat at the very end never backtracks."""

NARROW_RUN = re.compile(r"(?:a(?:[*+]|\{\d*,\})){3}")
NESTED = "\0"
WIDE_ESCAPES = "SDWsw"
NUMBER = re.compile(r"[-+]?(?:nan|inf(?:inity)?|(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, slots=True)
class Matcher:
    """A compiled expression, and how many characters of a line it may search."""

    name: str
    pattern: re.Pattern[str]
    limit: int

    def value(self, line: str) -> float | None:
        """Return the number matched by the first group; None if there is none."""
        match = self.pattern.search(line[: self.limit])
        return None if match is None else number(match[1] or "")


def compile_regex(name: str, regex: str) -> Matcher:
    """Check and compile an expression. Raises InputError with the reason if it is rejected."""
    regex = _without_tail(regex)
    try:
        pattern = re.compile(regex)
    except (re.error, OverflowError, RecursionError) as error:
        raise _refused(name, regex, f"It is not a valid regular expression: {error}.") from error
    if pattern.groups < 1:
        raise _refused(name, regex, "It has no group ( ) to capture the value.")
    skeleton = _skeleton(regex)
    wide = len(WIDE_REPEAT.findall(WIDE_TAIL.sub("", skeleton)))
    nested = NESTED in skeleton or NARROW_RUN.search(skeleton) is not None
    if len(regex) > MAX_REGEX or nested or wide >= len(LINE_LIMITS):
        raise _refused(name, regex, "Its nested or repeated quantifiers could run practically forever.")
    return Matcher(name, pattern, LINE_LIMITS[wide])


def number(text: str) -> float | None:
    """Parse a number as containers print it: with or without parentheses, `nan` and `inf` included; else None."""
    bare = text.strip().strip("()[],;").strip()
    return float(bare) if NUMBER.fullmatch(bare) else None


def _without_tail(regex: str) -> str:
    """Remove a trailing `.*`, which captures nothing and only makes it slower."""
    while regex.endswith(".*") and not regex.endswith("\\.*"):
        regex = regex[:-2]
    return regex


def _skeleton(regex: str) -> str:
    """Reduce an expression to its repeats: `.` and `W` are wide character sets, `NESTED` is a nested repeat."""
    text = ESCAPED.sub(lambda match: "W" if match[1] in WIDE_ESCAPES else "a", regex)
    text = CLASS.sub(lambda match: "W" if match[0].startswith("[^") or "W" in match[0] else "a", text)
    while (group := GROUP.search(text)) is not None:
        inside = group["inside"]
        risky = OPEN_REPEAT.search(inside) is not None or "|" in inside
        repeated = text[group.end() : group.end() + 1] in ("*", "+", "{")
        text = text[: group.start()] + (NESTED if risky and repeated else inside) + text[group.end() :]
    return text


def _refused(name: str, regex: str, why: str) -> InputError:
    return InputError(f"The metric {name} cannot be read from the log with {regex[:80]!r}.", why=why)
