"""Moments and durations in words, in the visitor's own time zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import streamlit as st

MINUTE, HOUR, DAY = 60, 3600, 86_400


def now() -> datetime:
    """The time, in UTC: the one clock of the pages."""
    return datetime.now(UTC)


def zone() -> tzinfo:
    """Where the visitor's browser says it is; UTC where it does not, or says what nobody knows here."""
    name = st.context.timezone
    if not name:
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return UTC


def moment(at: datetime) -> str:
    """Such as "12:03:20" today, else "22 Nov 12:03"; the year only where it is another one."""
    here, today = at.astimezone(zone()), now().astimezone(zone())
    if here.date() == today.date():
        return f"{here:%H:%M:%S}"
    return f"{here:%d %b %H:%M}" if here.year == today.year else f"{here:%d %b %Y}"


def ago(at: datetime) -> str:
    """Such as "just now", "4 min ago" or "3 d ago"."""
    passed = now() - at
    if passed < timedelta(minutes=1):
        return "just now"
    if passed < timedelta(hours=1):
        return f"{passed.seconds // MINUTE} min ago"
    return f"{passed.seconds // HOUR} h ago" if passed.days < 1 else f"{passed.days} d ago"
