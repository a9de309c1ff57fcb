"""The retired words, with the better ones, and where a source file has them.

`docs/glossary.md` defines the terms to use; this table has what they replaced, and phrases that no
native speaker would use.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from html.parser import HTMLParser
from pathlib import Path


@dataclass(frozen=True)
class RetiredWord:
    """A row of the table.

    pattern: of the retired word, in any case of letters.
    use:     the better word.
    example: a phrase that has the retired word.
    fine:    phrases that look similar and are good English.
    """

    pattern: str
    use: str
    example: str
    fine: Sequence[str] = ()

    @cached_property
    def regex(self) -> re.Pattern[str]:
        """The compiled pattern."""
        return re.compile(self.pattern, re.IGNORECASE)


_BRITISH = (
    r"colours?|coloured|colouring|recolour\w*|behaviours?|neighbours?|neighbouring|favour\w*|honour\w*"
    r"|labell\w+|cancell(?:ed|ing)|modell(?:ed|ing)|travell\w+|signall(?:ed|ing)|greys?|greyscale|centred?|centres"
    r"|licence[sd]?|catalogues?|metres?|fulfils?|artefacts?|judgement|programmes?"
    r"|(?:normal|recogn|serial|initial|organ|visual|summar|optim|minim|maxim|synchron|quant|vector|token|util"
    r"|memor|emphas|categor|character|general|special|custom|local|final|harmon|author|parallel)is(?:e[sdr]?|ing|ation)"
    r"|analysed?|analysing|whilst|amongst"
)

RETIRED = (
    # What things are called.
    RetiredWord(r"\b(?:photo(?:graph)?|picture)s?\b", "image", "Drop a photograph here", ("photographic",)),
    RetiredWord(r"\bdata sets?\b", "dataset", "Check the data set", ("data settings",)),
    RetiredWord(
        r"\bthe set\b(?![-']| of\b| up\b)",
        "the dataset",
        "where the set tells none",
        ("the set of classes", "the set-up"),
    ),
    RetiredWord(
        r"(?<!ground )(?<!ground-)(?<!source of )\btruth\b|\bknown masks?\b",
        "ground truth",
        "beside the truth",
        ("the ground truth", "a ground-truth mask", "one source of truth"),
    ),
    RetiredWord(r"\btaken for\b", "confused with", "what was taken for what", ("taken from",)),
    RetiredWord(r"\bpixels right\b|\bhow right\b", "pixel accuracy", "shows how right the model is"),
    RetiredWord(
        r"\bfigures\b(?! out)",
        "metrics (CloudWatch), scores (evaluation), numbers",
        "health with its figures",
        ("figures out which", "one figure"),
    ),
    RetiredWord(
        r"\bverdicts?\b|\bjudg(?:e[sd]?|ing|ments?)\b",
        "score, evaluate, health status",
        "endpoints judged by photos",
        ("judicial",),
    ),
    RetiredWord(r"\bchips?\b", "status badge", "a row of chips", ("chipset",)),
    RetiredWord(
        r"\b(?:the|front|error) door\b", "gateway, error boundary", "the one error door", ("indoor",)
    ),
    RetiredWord(r"\berrands?\b|\bservings\b|\bthe (?:bench|desk)\b", "a term of the glossary", "an errand"),
    RetiredWord(
        r"(?-i:\bWhat(?: is|'s) in it\b|\bIt knows\b)|\bwhat it knows\b",
        "class breakdown, classes",
        "It knows grass and water",
        ("look at what is in it",),
    ),
    RetiredWord(
        r"\bthe way (?:back|on)\b", "back link, next step", "the way back", ("turns of each way on AWS",)
    ),
    # Verbs.
    RetiredWord(r"\bmend(?:s|ed|ing)?\b", "fix", "5 to mend before it can start", ("mandatory", "amended")),
    RetiredWord(
        r"\b(?:ask(?:s|ed|ing)?) (?:the|an?|its|this|each|every|which|what) (?:endpoints?|models?)\b",
        "invoke, call",
        "asking the endpoint",
        ("asks for an endpoint name",),
    ),
    RetiredWord(
        r"\blook(?:s|ed|ing)? again\b|\blook(?:s|ed|ing)? (?:into|inside)\b",
        "refresh, check again, inspect",
        "Looks again by itself",
        ("looks like",),
    ),
    RetiredWord(
        r"\b(?:go|goes|went|gone) on\b(?! (?:disk|AWS|the)\b)",
        "continue",
        "A cut upload goes on where it was",
        ("go on the disk",),
    ),
    RetiredWord(
        r"\btak(?:e|es|en|ing) (?:it|them|this) along\b|\btak(?:e|es|en|ing) away\b",
        "download, remove",
        "Take it along",
        ("take a while",),
    ),
    RetiredWord(
        r"\b(?:is|are|was|were|been|got|being) cut\b(?! (?:off|out|short|in two|at every)\b)"
        r"|\bcut (?:changes?|updates?|uploads?|plans?|runs?|repl(?:y|ies)|answers?)\b|\bcut in the middle\b",
        "interrupted, truncated",
        "changes that were cut in the middle",
        ("tiles are cut out of it", "no cell is cut short"),
    ),
    RetiredWord(
        r"\b(?:say|says|said) yes\b|\b(?:a|no|the|on a) yes\b",
        "confirm",
        "shown as a plan, started on a yes",
        ("yes or no",),
    ),
    RetiredWord(
        r"\btells?\b(?!(?: [\w'-]+){0,5} (?:apart|from)\b)(?! (?:you|them|it|us) (?:to|how|what|that|which)\b)"
        r"|\btold\b",
        "shows, reports, says",
        "CloudWatch tells nothing",
        ("tells two networks apart", "tells this task's button from others"),
    ),
    RetiredWord(
        r"\bstands? (?:there|here|in (?:its|the) way|in|on|at|beside)\b(?! for)"
        r"|\bl(?:ies|ie|ay) (?:there|here|in|at|beside|on|with)\b",
        "is, is in",
        "Nothing stands in its way",
        ("stands in for it", "stands for"),
    ),
    RetiredWord(r"\bstumbled?\b|\bunforeseen\b|\bfores(?:ee|aw)\b", "unexpected error", "Segdeck stumbled"),
    # Phrases.
    RetiredWord(
        r"(?<!there )\b(?:is|are|was|were) no "
        r"(?!longer\b|more\b|one\b|such\b|way\b|different\b|less\b|older\b|newer\b|larger\b|smaller\b|better\b"
        r"|worse\b|faster\b|slower\b|need\b|exception\b)[a-z]",
        "is not a",
        "X is no folder",
        ("there is no folder", "it is no longer there"),
    ),
    RetiredWord(
        r"(?:\bcosts?|\bprices?|\bwasted?|\bbills?|\bAWS,|\d) an? (?:hour|month|year|image|call)\b",
        "per hour",
        "$0.20 an hour",
        ("once an hour", "within a month"),
    ),
    RetiredWord(r"\banew\b|\bafresh\b", "again", "started anew", ("a newer one",)),
    RetiredWord(r"\bbeside\b", "next to", "the mask beside the image", ("besides",)),
    RetiredWord(r"\btill\b(?! a\b)", "through, until", "$243.39 till Monday", ("still", "till a field")),
    RetiredWord(r"\bby itself\b|\bby themselves\b", "automatically", "refreshes by itself", ("by it",)),
    RetiredWord(
        r"\bnobody (?:knows|can be asked|said|says|tells)\b|\buntold\b",
        "unknown, no one",
        "whose price nobody knows",
        ("nobody else",),
    ),
    RetiredWord(
        r"\bby heart\b|\b(?:wants|needs) a hand\b|\bat hand\b",
        "say it directly",
        "Nothing at hand?",
        ("by hand", "at handling"),
    ),
    RetiredWord(
        r"\bseveral times over\b|\bfor good\b(?! measure)|\bkept by hand\b",
        "say it directly",
        "gone for good",
        ("for good measure", "good for"),
    ),
    RetiredWord(
        r"\bwherefrom\b|\bwherein\b|\bthereof\b|\bhereby\b|\bwhereupon\b|\bthither\b|\bthereafter\b|\bhenceforth\b"
        r"|\bso far as\b|\bas yet\b",
        "plain words",
        "None as yet",
        ("as far as",),
    ),
    RetiredWord(
        r"\bwish(?:es|ed)?\b|\bdear(?:er|est)\b", "want, expensive", "the dearest first", ("wishlist",)
    ),
    RetiredWord(
        r"\bhis\b|\bher\b|\bwho looks?\b|\bvisitors?\b",
        "the user, they",
        "as its visitor wants",
        ("this", "here"),
    ),
    RetiredWord(
        rf"\b(?:{_BRITISH})\b", "American spelling", "Own colours", ("color", "labeled", "optimistic")
    ),
)
"""Retired word -> better word. The order is that of the report."""

SUFFIXES = (".py", ".js", ".html", ".css", ".md", ".yml", ".yaml")
_CODE = re.compile(r"`[^`\n]+`|https?://\S+|(?<=\])\([^)\n]*\)")
"""Code, addresses and targets of links: names, not prose."""

_JS = re.compile(
    r"""//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`""", re.DOTALL
)
_CSS = re.compile(r"""/\*.*?\*/|(?<=content:)\s*"[^"\n]*\"""", re.DOTALL)
_ATTRIBUTES = {"alt", "aria-label", "content", "placeholder", "title"}

Text = tuple[int, str]
"""The number of its first line, from 1, and the text."""


@dataclass(frozen=True)
class RetiredUse:
    """A retired word in a file. word: as it is written there; line: from 1; use: the better word."""

    path: str
    line: int
    word: str
    use: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.word!r}; use: {self.use}"


def retired_uses(path: str, source: str) -> Iterator[RetiredUse]:
    """Find the retired words in what people read in a file: strings, docstrings, comments, prose.

    path: decides the language by its suffix. Code in backticks, addresses and targets of links are left out.
    """
    for line, text in _texts(Path(path).suffix, source):
        prose = _CODE.sub(lambda match: "·" * len(match[0]), text)
        for row in RETIRED:
            for match in row.regex.finditer(prose):
                yield RetiredUse(path, line + prose.count("\n", 0, match.start()), match[0], row.use)


def _texts(suffix: str, source: str) -> Iterator[Text]:
    if suffix == ".py":
        yield from _python_strings(source)
        yield from _python_comments(source)
    elif suffix == ".js":
        for line, text in _matches(_JS, source):
            if text.startswith(("//", "/*")) or _is_prose(text.strip("\"'`")):
                yield line, text.replace("`", '"')
    elif suffix == ".css":
        yield from _matches(_CSS, source)
    elif suffix == ".html":
        reader = _HtmlText()
        reader.feed(source)
        reader.close()
        yield from reader.texts
    else:
        yield from enumerate(source.split("\n"), 1)


def _python_strings(source: str) -> Iterator[Text]:
    """Yield string literals that are prose, and f-strings as one text with `{}` for their values."""
    tree = ast.parse(source)
    parts: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts.update(id(value) for value in node.values)
            pieces = (value.value if isinstance(value, ast.Constant) else "{}" for value in node.values)
            text = "".join(str(piece) for piece in pieces)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts:
            text = node.value
        else:
            continue
        if _is_prose(text):
            yield node.lineno, text


def _python_comments(source: str) -> Iterator[Text]:
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def _is_prose(text: str) -> bool:
    """Return whether a string is for people: it has a space, or is a single word such as a label."""
    return " " in text.strip() or text.istitle()


def _matches(pattern: re.Pattern[str], source: str) -> Iterator[Text]:
    for match in pattern.finditer(source):
        yield source.count("\n", 0, match.start()) + 1, match[0]


@dataclass(eq=False)
class _HtmlText(HTMLParser):
    """Gathers the texts of an HTML file: between tags, in attributes that are read out, and in comments."""

    texts: list[Text] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.texts += [(self.getpos()[0], text) for name, text in attrs if text and name in _ATTRIBUTES]

    def handle_data(self, data: str) -> None:
        self.texts.append((self.getpos()[0], data))

    def handle_comment(self, data: str) -> None:
        self.texts.append((self.getpos()[0], data))
