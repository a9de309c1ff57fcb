"""JSON that may come from anyone, read so that there is one kind of error."""

from __future__ import annotations

import json
import re
from typing import Any

ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def parse_json(text: str | bytes) -> Any:
    """Return the value of a JSON text. Raises ValueError, and nothing else, for what cannot be used.

    That is also a text that is nested too deeply, and one with half a character (a lone UTF-16 surrogate), which
    could neither be shown nor written again.
    """
    try:
        if isinstance(text, bytes):
            text = text.decode(json.detect_encoding(text))
        value = json.loads(text)
        if ESCAPED_SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode()
        text.encode()
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    except UnicodeEncodeError as error:
        raise ValueError("a text in it holds half a character (a lone surrogate)") from error
    return value
