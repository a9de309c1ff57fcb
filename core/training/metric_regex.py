"""A job's own regular expressions for its metrics, made safe to run.

AWS keeps them with the job (`AlgorithmSpecification.MetricDefinitions`); anybody who may create a job may write one.
Python's `re` cannot be stopped once it runs, so an expression that can take for ever is refused before, and the
others see only as much of a line as keeps them quick.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from core.errors import InputError

MAX_REGEX = 500
"""MetricDefinition.Regex is no longer (botocore 1.44)."""

LINE_LIMITS = (4_000, 4_000, 600, 200, 120)
"""Characters of a line to look at, by how many times the expression says `.*` or the like."""

ESCAPED = re.compile(r"\\(.)", re.DOTALL)
CLASS = re.compile(r"\[\^?\]?[^\]]*\]")
GROUP = re.compile(r"\((?:\?(?:P?<[=!]?\w*>?|[:=!]|[aiLmsux-]+:?))?(?P<inside>[^()]*)\)")
OPEN_REPEAT = re.compile(r"[*+]|\{\d*,\}")
WIDE_REPEAT = re.compile(r"[.W](?:[*+]|\{\d*,\})")
WIDE_TAIL = re.compile(r"[.W](?:[*+]|\{\d*,\})$")
"""A wide repeat at the very end is never tried again."""

NARROW_RUN = re.compile(r"(?:a(?:[*+]|\{\d*,\})){3}")
NESTED = "\0"
WIDE_ESCAPES = "SDWsw"
NUMBER = re.compile(r"[-+]?(?:nan|inf(?:inity)?|(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, slots=True)
class Matcher:
    """A compiled expression, and how many characters of a line it may see."""

    name: str
    pattern: re.Pattern[str]
    limit: int

    def value(self, line: str) -> float | None:
        """The number that its first group finds in a line; None where it finds none."""
        match = self.pattern.search(line[: self.limit])
        return None if match is None else number(match[1] or "")


def compile_regex(name: str, regex: str) -> Matcher:
    """Check and compile an expression. Raises InputError, saying what is wrong with it."""
    regex = _without_tail(regex)
    try:
        pattern = re.compile(regex)
    except (re.error, OverflowError, RecursionError) as error:
        raise _refused(name, regex, f"It is no regular expression: {error}.") from error
    if pattern.groups < 1:
        raise _refused(name, regex, "It has no group ( ) that would hold the value.")
    skeleton = _skeleton(regex)
    wide = len(WIDE_REPEAT.findall(WIDE_TAIL.sub("", skeleton)))
    nested = NESTED in skeleton or NARROW_RUN.search(skeleton) is not None
    if len(regex) > MAX_REGEX or nested or wide >= len(LINE_LIMITS):
        raise _refused(name, regex, "It repeats what is repeated already, which can take for ever.")
    return Matcher(name, pattern, LINE_LIMITS[wide])


def number(text: str) -> float | None:
    """A number as containers print it: in parentheses or not, `nan` and `inf` too; None for anything else."""
    bare = text.strip().strip("()[],;").strip()
    return float(bare) if NUMBER.fullmatch(bare) else None


def _without_tail(regex: str) -> str:
    """Without a `.*` at its end, which finds nothing and only makes it slower."""
    while regex.endswith(".*") and not regex.endswith("\\.*"):
        regex = regex[:-2]
    return regex


def _skeleton(regex: str) -> str:
    """What repeats in an expression: `.` and `W` stand for wide sets, `NESTED` for a repeat of a repeat."""
    text = ESCAPED.sub(lambda match: "W" if match[1] in WIDE_ESCAPES else "a", regex)
    text = CLASS.sub(lambda match: "W" if match[0].startswith("[^") or "W" in match[0] else "a", text)
    while (group := GROUP.search(text)) is not None:
        inside = group["inside"]
        risky = OPEN_REPEAT.search(inside) is not None or "|" in inside
        repeated = text[group.end() : group.end() + 1] in ("*", "+", "{")
        text = text[: group.start()] + (NESTED if risky and repeated else inside) + text[group.end() :]
    return text


def _refused(name: str, regex: str, why: str) -> InputError:
    return InputError(f"The metric {name} cannot be read from the log by {regex[:80]!r}.", why=why)
