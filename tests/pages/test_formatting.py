"""Times as people in the US read them."""

from __future__ import annotations

import re
from datetime import timedelta

from pages.parts import formatting


def test_a_date_begins_with_the_month() -> None:
    """A time of another day has the month first; a time of another year has the year and no hour."""
    recent, old = (formatting.now() - timedelta(days=days) for days in (2, 400))
    assert re.fullmatch(r"[A-Z][a-z]{2} [1-9]\d?, (\d\d:\d\d|\d{4})", formatting.moment(recent))
    assert re.fullmatch(r"[A-Z][a-z]{2} [1-9]\d?, \d{4}", formatting.moment(old))
