"""Web origins."""

from __future__ import annotations

import pytest

from core.origins import Origin, is_loopback, parse_host, parse_origin


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("http://localhost:8501", Origin("http", "localhost", 8501)),
        ("https://Segdeck.Example.com", Origin("https", "segdeck.example.com", 443)),
        ("http://[::1]:8501/", Origin("http", "::1", 8501)),
        ("http://127.0.0.1", Origin("http", "127.0.0.1", 80)),
    ],
)
def test_an_origin_is_compared_as_a_browser_does(text, origin):
    """Case and the default port make no difference, and the text is what a browser sends."""
    assert parse_origin(text) == origin
    assert str(origin) == text.lower().rstrip("/")


@pytest.mark.parametrize(
    "text",
    ["", "null", "localhost:8501", "ftp://a", "http://", "http://u@a", "http://a/b", "http://a?b", "http://a#b",
     "http://a:99999", "http://a:0", "http://a:x", "http://[::1", "http://*.a", "http://a b", 'http://a"', "http://ä"],
)  # fmt: skip
def test_what_is_not_an_origin_is_refused(text):
    """Anything but scheme, host and port raises ValueError."""
    with pytest.raises(ValueError):  # noqa: PT011  # urlsplit's own messages are among them
        parse_origin(text)


def test_a_host_header_has_no_path():
    """A path in a Host header cannot pass for a host."""
    assert parse_host("a:1", "http") == Origin("http", "a", 1)
    for text in ("a/", "a:1/b", "a?b", "a#b", "u@a", ""):
        with pytest.raises(ValueError):  # noqa: PT011
            parse_host(text, "http")


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.0.0.2", True), ("localhost", True), ("LOCALHOST", True), ("::1", True),
     ("[::1]", True), ("::ffff:127.0.0.1", True), ("0.0.0.0", False), ("::", False), ("", False),
     ("192.168.1.5", False), ("::ffff:192.168.1.5", False), ("localhost.example.com", False), ("127.0.0.1.a", False)],
)  # fmt: skip
def test_loopback_is_what_only_this_machine_reaches(host, loopback):
    """Names other than localhost are never treated as loopback."""
    assert is_loopback(host) is loopback
