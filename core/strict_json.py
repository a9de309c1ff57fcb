"""Parse untrusted JSON with a single kind of error."""

from __future__ import annotations

import json
import re
from typing import Any

ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def parse_json(text: str | bytes) -> Any:
    """Return the value of a JSON text. Raises ValueError, and nothing else, for invalid JSON.

    That includes JSON that is nested too deeply, and text with a lone UTF-16 surrogate, which can be neither shown
    nor written.
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
        raise ValueError("it contains a lone surrogate (half a character)") from error
    return value
