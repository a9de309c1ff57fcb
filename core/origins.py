"""Web origins (scheme, host, port), compared the way a browser compares them."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443}
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Origin:
    """A web origin.

    scheme: `http` or `https`.
    host:   in lower case; an IPv6 address without its brackets.
    port:   the scheme's default where the text gives none.
    """

    scheme: str
    host: str
    port: int

    @property
    def netloc(self) -> str:
        """Return the value a browser sends as `Host` for this origin."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.netloc}"


def parse_origin(text: str) -> Origin:
    """Parse an origin such as `https://segdeck.example.com:8443`. Raises ValueError."""
    parts = urlsplit(text)  # raises ValueError for unbalanced brackets
    if parts.scheme not in DEFAULT_PORTS:
        raise ValueError("the scheme must be http or https")
    if not parts.hostname or not text.isascii() or any(char.isspace() or char in '"\\' for char in text):
        raise ValueError("the host is missing or has characters that no host name has")
    if "*" in parts.netloc or "@" in parts.netloc:
        raise ValueError("wildcards and user names are not part of an origin")
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise ValueError("an origin has no path")
    port = parts.port  # raises ValueError where it is not a port
    if port == 0:
        raise ValueError("port 0 is not an address")
    return Origin(parts.scheme, parts.hostname.lower(), port or DEFAULT_PORTS[parts.scheme])


def parse_host(text: str, scheme: str) -> Origin:
    """Parse a `Host` header received over this scheme. Raises ValueError."""
    if "/" in text or "?" in text or "#" in text:
        raise ValueError("a Host header has a name and a port only")
    return parse_origin(f"{scheme}://{text}")


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach the host. Names other than `localhost` are not resolved."""
    if host.lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)  # ::ffff:127.0.0.1, as a dual-stack socket reports it
    return bool((mapped or address).is_loopback)
