"""Which hosts are reached without the proxy, and whether a URL leads to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol
from urllib.parse import urlsplit

from llmauth.addresses import HostPort, is_loopback
from llmauth.clients.served import ServedProxy
from llmauth.upstream_proxy import NoProxy

# The metadata services of AWS (machines, ECS, EKS), Azure, Google and Oracle tell a program who its machine is: asked
# by the proxy, they would tell who that one's is. Written as single addresses, since few programs read networks; and
# without the IPv6 ones, over which httpx before 0.26 does not start.
_ALWAYS = (
    "localhost",
    "127.0.0.1",
    "169.254.169.254",
    "169.254.170.2",
    "169.254.170.23",
    "metadata.google.internal",
)
NAMES = ("NO_PROXY", "no_proxy")


class Asked(Protocol):
    """What is known where a value is made."""

    @property
    def proxy(self) -> ServedProxy: ...
    @property
    def environ(self) -> Mapping[str, str]: ...


def no_proxy(asked: Asked) -> str:
    """The user's exceptions but for those that would lead a provider's host around the proxy, and our own."""
    host = asked.proxy.address.host
    kept = [entry for entry in entries(asked.environ) if not leads_around(entry, asked.proxy)]
    return ",".join(dict.fromkeys((*_ALWAYS, *([] if is_loopback(host) else [host]), *kept)))


def entries(environ: Mapping[str, str]) -> Iterator[str]:
    """What the user has excepted."""
    for name in NAMES:
        yield from (entry for entry in environ.get(name, "").replace(",", " ").split() if entry)


def leads_around(entry: str, proxy: ServedProxy) -> bool:
    """Whether an exception covers the host of a provider that is served."""
    host = entry.rpartition(":")[0] if entry.count(":") == 1 else entry
    try:
        exempt = NoProxy([host])
    except ValueError:
        return False
    return any(exempt.covers(each) for each in proxy.hosts())


def leads_to(url: str, proxy: ServedProxy) -> bool:
    """Whether a base URL is one of this proxy's own."""
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        place = HostPort(parts.hostname or "", port)
    except ValueError:
        return False
    same = place == proxy.address
    return same or (is_loopback(place.host) and is_loopback(proxy.address.host) and place.port == proxy.address.port)
