"""Events are delivered to a real server, each once, and the secret in its URL stays a secret."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from core.errors import JournalError, SettingsError
from core.notifications.events import Delivery, Event, Watch
from core.notifications.store import FILE, WatchStore
from core.notifications.webhook import PAUSES, RefusedError, deliver, poster, shown
from core.settings import Settings
from tests.support.patience import SECONDS

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SECRET = "T0-very-secret"


class Receiver:
    """A webhook on loopback. status: what it responds with; bodies: what it got."""

    def __init__(self) -> None:
        self.status = 200
        self.bodies: list[Any] = []
        self.location = ""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.bodies.append(json.loads(body))
                self.send_response(outer.status)
                if outer.location:
                    self.send_header("Location", outer.location)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                """Do not log requests."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/{SECRET}?token={SECRET}"

    def __enter__(self) -> Receiver:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


def waiting(*names: str) -> Watch:
    events = [Event(name, "training_job.failed", name, NOW, f"Training job {name} failed.") for name in names]
    return Watch(NOW, {}, frozenset(), tuple(Delivery(event, 0, NOW) for event in events))


class Kept:
    """Where a delivery stores what is known, and what it says."""

    def __init__(self) -> None:
        self.watches: list[Watch] = []
        self.said: list[str] = []

    def send(self, watch: Watch, url: str, now: datetime = NOW) -> Watch:
        return deliver(
            watch,
            poster(url, seconds=SECONDS),
            now,
            describe=lambda event: {"name": event.name},
            keep=self.watches.append,
            say=self.said.append,
        )


def test_events_are_sent_oldest_first_and_kept_one_by_one(receiver: Receiver) -> None:
    """Each event is sent once, and what is left is stored after each, so that a restart does not repeat it."""
    kept = Kept()
    assert kept.send(waiting("a", "b"), receiver.url).waiting == ()
    assert [body["name"] for body in receiver.bodies] == ["a", "b"]
    assert [[delivery.event.name for delivery in watch.waiting] for watch in kept.watches] == [["b"], []]


def test_attempts_are_bounded(receiver: Receiver) -> None:
    """A receiver that fails gets the event again after each pause, and at last the event is given up."""
    receiver.status, kept, watch, now = 503, Kept(), waiting("a"), NOW
    for pause in PAUSES:
        watch = kept.send(watch, receiver.url, now)
        assert kept.send(watch, receiver.url, now + pause - timedelta(seconds=1)) == watch
        now += pause
    watch = kept.send(watch, receiver.url, now)
    assert watch.waiting == ()
    assert len(receiver.bodies) == len(PAUSES) + 1
    assert "given up" in kept.said[-1]


@pytest.mark.parametrize("status", [400, 404, 302])
def test_a_refused_event_is_not_sent_again(receiver: Receiver, status: int) -> None:
    """A receiver that does not accept the document gets it once; a redirect is not followed."""
    with Receiver() as other:
        receiver.status, receiver.location = status, other.url if status == 302 else ""
        kept = Kept()
        assert kept.send(waiting("a"), receiver.url).waiting == ()
        assert len(receiver.bodies) == 1
        assert other.bodies == []
        assert str(status) in kept.said[0]


def test_no_message_has_the_secret(receiver: Receiver) -> None:
    """Neither a refusal, nor a dead receiver, nor the settings show more of the URL than its host."""
    receiver.status, kept = 500, Kept()
    kept.send(waiting("a"), receiver.url)
    dead = f"http://127.0.0.1:9/{SECRET}"
    kept.send(waiting("b"), dead)
    settings = Settings.from_environ({"SEGDECK_WEBHOOK_URL": dead})
    texts = [*kept.said, repr(settings), shown(dead), shown(receiver.url)]
    assert len(kept.said) == 2
    assert not [text for text in texts if SECRET in text]
    with pytest.raises(RefusedError) as caught:
        poster(dead)(b"{}")
    assert caught.value.again
    assert caught.value.__cause__ is None
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        f"http://example.com/{SECRET}",
        f"ftp://127.0.0.1/{SECRET}",
        f"https://user:{SECRET}@example.com/",
        f"https:///{SECRET}",
        f"https://example.com:99999/{SECRET}",
        f"https://example.com/a b{SECRET}",
        f"http://[::ffff:8.8.8.8]/{SECRET}",
        SECRET,
    ],
)
def test_an_unusable_url_is_refused_without_showing_it(url: str) -> None:
    """Plain HTTP to another machine, another scheme, a password and a malformed URL are refused; no error has it."""
    with pytest.raises(SettingsError) as caught:
        Settings.from_environ({"SEGDECK_WEBHOOK_URL": url})
    assert "SEGDECK_WEBHOOK_URL" in caught.value.what
    assert caught.value.todo
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["https://hooks.example.com/x?y=z", "http://127.0.0.1:9000/", "http://localhost/", "http://[::1]:80/"],
)
def test_https_and_loopback_are_accepted(url: str) -> None:
    """HTTPS anywhere, and HTTP on this machine, are used as given."""
    assert Settings.from_environ({"SEGDECK_WEBHOOK_URL": url}).webhook_url == url


def test_what_is_known_survives_a_restart(tmp_path: Path) -> None:
    """The file gives back what was written, and nothing but its owner can read it."""
    store, watch = WatchStore(tmp_path / "state"), waiting("a", "b")
    assert store.own()
    assert store.read() == Watch()
    store.write(watch)
    assert WatchStore(tmp_path / "state").read() == watch
    assert (tmp_path / "state" / FILE).stat().st_mode & 0o077 == 0


def test_one_dashboard_sends(tmp_path: Path) -> None:
    """Of two dashboards with the same folder only one owns the file, until it ends."""
    first, second = WatchStore(tmp_path), WatchStore(tmp_path)
    assert (first.own(), second.own()) == (True, False)
    first.close()
    assert second.own()


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"since": 5}', b'{"since": null, "seen": {"a": "b"}}']
)
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    """A file that cannot be read is an error with its path: it is not replaced silently."""
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(JournalError) as caught:
        WatchStore(tmp_path).read()
    assert FILE in caught.value.what
    assert caught.value.todo
