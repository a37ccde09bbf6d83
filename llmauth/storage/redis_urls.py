"""The URLs by which keys are kept in Redis: told apart, read, and shown without credentials."""

from __future__ import annotations

from urllib.parse import SplitResult, parse_qsl, urlsplit

from llmauth.addresses import is_loopback

_SCHEMES = ("redis", "rediss")
_PORT = 6379
# What else the client library takes would turn off the verification of TLS, the bounds of time, or the protocol.
_PARAMETERS = {"ssl_ca_certs", "ssl_certfile", "ssl_keyfile"}
_WANTED = "not the URL of a Redis; write redis://user:password@host:6379/0, or rediss://… for TLS"


def is_redis(location: str) -> bool:
    """Whether a location means a Redis, readable or not."""
    return location.startswith(tuple(f"{scheme}://" for scheme in _SCHEMES))


def require_readable(location: str) -> None:
    """ValueError, which repeats nothing of the URL, for one that cannot be meant."""
    url, _ = _parsed(location)
    if not url.hostname or url.fragment or url.scheme not in _SCHEMES:
        raise ValueError(_WANTED)
    database = url.path.strip("/")
    if database and not (database.isascii() and database.isdigit()):
        raise ValueError("the path of a Redis URL is the number of its database, such as /0")
    if any(name not in _PARAMETERS for name, _ in parse_qsl(url.query, keep_blank_values=True)):
        known = ", ".join(sorted(_PARAMETERS))
        raise ValueError(f"the URL has a parameter that is not taken here; known for Redis are {known}")


def where(location: str) -> str:
    """Host, port and database; ValueError as above."""
    require_readable(location)
    url, port = _parsed(location)
    host, database = url.hostname or "", url.path.strip("/")
    shown = f"[{host}]" if ":" in host else host
    return f"{shown}:{port}" + (f"/{database}" if database else "")


def may_be_read(location: str) -> bool:
    """Whether a Redis on another machine is spoken to without TLS."""
    url = urlsplit(location)
    return url.scheme == "redis" and not is_loopback(url.hostname or "")


def _parsed(location: str) -> tuple[SplitResult, int]:
    try:
        url = urlsplit(location)
        return url, url.port or _PORT
    except ValueError:
        raise ValueError(_WANTED) from None
