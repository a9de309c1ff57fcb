"""Times as text, in the time zone of the user's browser."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import streamlit as st

MINUTE, HOUR, DAY = 60, 3600, 86_400


def now() -> datetime:
    """Return the current time in UTC. This is the only clock of the pages."""
    return datetime.now(UTC)


def zone() -> tzinfo:
    """Return the time zone that the browser reports; UTC where it reports none or an unknown one."""
    name = st.context.timezone
    if not name:
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return UTC


def moment(at: datetime) -> str:
    """Return a time as "12:03:20" if it is today, else as "Nov 22, 12:03", or as "Nov 22, 2025" in another year."""
    here, today = at.astimezone(zone()), now().astimezone(zone())
    if here.date() == today.date():
        return f"{here:%H:%M:%S}"
    day = f"{here:%b} {here.day}"
    return f"{day}, {here:%H:%M}" if here.year == today.year else f"{day}, {here.year}"


def ago(at: datetime) -> str:
    """Return how long ago a time was: "just now", "4 min ago", "2 h ago" or "3 d ago"."""
    passed = now() - at
    if passed < timedelta(minutes=1):
        return "just now"
    if passed < timedelta(hours=1):
        return f"{passed.seconds // MINUTE} min ago"
    return f"{passed.seconds // HOUR} h ago" if passed.days < 1 else f"{passed.days} d ago"
