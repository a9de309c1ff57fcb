"""Deliver events to a webhook by HTTP POST.

The URL often contains a secret, as those of chat services do. So it is in no error, no log and no `repr`: `shown` is
what may be displayed. Redirects are not followed: they could lead to another host, or to plain HTTP.
"""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from core.escaping import json_bytes
from core.notifications.events import Delivery, Event, Watch, later, without

SECONDS = 10.0
"""Time limit for one attempt."""

PAUSES = (
    timedelta(seconds=30),
    timedelta(minutes=2),
    timedelta(minutes=10),
    timedelta(hours=1),
    timedelta(hours=4),
)
"""Pauses between attempts; after the last one, the event is given up."""

RETRIED = {408, 425, 429}
"""Statuses below 500 that another attempt may change."""

MOST_WAITING = 100
"""Events that wait for a receiver that does not respond; beyond, the oldest are given up."""


class RefusedError(Exception):
    """The receiver does not accept the event. again: whether another attempt may succeed."""

    def __init__(self, text: str, *, again: bool) -> None:
        super().__init__(text)
        self.again = again


Post = Callable[[bytes], None]
"""Sends one JSON body. Raises RefusedError."""


def shown(url: str) -> str:
    """Return the part of a webhook's URL that may be displayed: scheme and host."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def poster(url: str, seconds: float = SECONDS) -> Post:
    """Return a function that sends a body to this URL."""

    def post(body: bytes) -> None:
        headers = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "segdeck"}
        request = urllib.request.Request(url, body, headers, method="POST")  # noqa: S310  # `core.settings` accepts http and https only
        try:
            with _OPENER.open(request, timeout=seconds):
                return
        except urllib.error.HTTPError as error:
            error.close()
            again = error.code >= 500 or error.code in RETRIED
            raise RefusedError(f"It responded with HTTP status {error.code}.", again=again) from None
        except urllib.error.URLError as error:
            raise RefusedError(f"It is unreachable: {_reason(error.reason)}.", again=True) from None
        except (OSError, http.client.HTTPException) as error:
            raise RefusedError(f"It did not respond: {_reason(error)}.", again=True) from None

    return post


def deliver(
    watch: Watch,
    post: Post,
    now: datetime,
    *,
    describe: Callable[[Event], dict[str, Any]],
    keep: Callable[[Watch], None],
    say: Callable[[str], None],
) -> Watch:
    """Send all events that are due, oldest first, and return what is known after that.

    describe: returns an event's JSON document.
    keep:     stores what is known. It is called after each event, so that a restart does not repeat one.
    say:      reports a failed attempt.
    """
    for delivery in watch.waiting[: max(0, len(watch.waiting) - MOST_WAITING)]:
        say(f"Gave up the event {delivery.event.kind} of {delivery.event.name}: too many are waiting.")
        watch = without(watch, delivery.event)
        keep(watch)
    for delivery in watch.waiting:
        if delivery.due > now:
            continue
        try:
            post(json_bytes(describe(delivery.event)))
        except RefusedError as error:
            watch = _failed(watch, delivery, error, now, say)
            keep(watch)
            if error.again:
                break  # the others would meet the same receiver
        else:
            watch = without(watch, delivery.event)
            keep(watch)
    return watch


def _failed(
    watch: Watch, delivery: Delivery, error: RefusedError, now: datetime, say: Callable[[str], None]
) -> Watch:
    event = delivery.event
    what = f"The webhook did not accept the event {event.kind} of {event.name}. {error}"
    if not error.again or delivery.tries >= len(PAUSES):
        say(f"{what} The event is given up.")
        return without(watch, event)
    say(f"{what} Segdeck will try again.")
    return later(watch, event, now + PAUSES[delivery.tries])


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Makes a redirect an error."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Follow no redirect."""
        return


_OPENER = urllib.request.build_opener(_NoRedirect)


def _reason(error: object) -> str:
    """Return why a connection failed, without the URL."""
    text = getattr(error, "strerror", None) or type(error).__name__
    return str(text)
