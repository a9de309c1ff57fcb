"""CloudWatch Logs filter patterns for plain text, as a condition in SQL.

Supports the unstructured form: terms that must all occur, in any order, case-sensitive; "quoted phrases"; `-term`
that must not occur; `?a ?b` of which one must. As in AWS, `?` terms next to others are ignored. The forms for JSON
`{ $.a = 1 }`, columns `[a, b]` and regular expressions `%...%` are refused. Source: CloudWatch Logs user guide,
"Filter pattern syntax".
"""

from __future__ import annotations

import re

from sandbox.http.protocol import ApiError

_TERM = re.compile(r'(?P<sign>[-?]?)(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<bare>[^\s"]+))(?=\s|$)\s*')
_PLAIN = re.compile(r"\w[\w.-]*")
_STRUCTURED = {"{": "JSON", "[": "column", "%": "regular expression"}


def condition(pattern: str) -> tuple[str, list[str]]:
    """Return a condition on a column `message` and its values. Raises ApiError InvalidParameterException."""
    terms = _terms(pattern)
    plain = [(sign, term) for sign, term in terms if sign != "?"]
    if plain:
        tests = ["instr(message, ?) = 0" if sign else "instr(message, ?) > 0" for sign, _ in plain]
        return " and ".join(tests), [term for _, term in plain]
    if terms:
        return f"({' or '.join(['instr(message, ?) > 0'] * len(terms))})", [term for _, term in terms]
    return "1", []


def _terms(pattern: str) -> list[tuple[str, str]]:
    """Return (sign, text) of every term; sign is "", "-" or "?". Raises ApiError."""
    text = pattern.strip()
    if text[:1] in _STRUCTURED:
        raise _refused(
            f"The sandbox does not support {_STRUCTURED[text[:1]]} filter patterns, such as {pattern!r}. "
            'Use terms: word "a phrase" -without ?either ?or'
        )
    terms, at = [], 0
    while at < len(text):
        match = _TERM.match(text, at)
        if match is None:
            raise _refused(f"Invalid filter pattern: an unclosed quote or an empty term at {text[at:]!r}")
        bare, quoted = match["bare"], match["quoted"]
        if bare is not None and not _PLAIN.fullmatch(bare):
            raise _refused(f"Invalid character(s) in term '{bare}'")
        terms.append((match["sign"], bare if bare is not None else re.sub(r"\\(.)", r"\1", quoted)))
        at = match.end()
    return terms


def _refused(message: str) -> ApiError:
    return ApiError("InvalidParameterException", message)
