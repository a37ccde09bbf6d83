"""The proxy of a company, through which the outside is reached: where it stands, for whom, and how it is asked."""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from llmauth.addresses import HostPort, normalise_host, parse_authority
from llmauth.secrets import Secret

HEAD_LIMIT = 16 * 1024
# How every text of an UpstreamProxyError begins.
PROXY_FAILED = "the upstream proxy "
_DEFAULT_PORT = 3128
_URL = re.compile(r"http://(?:(?P<userinfo>[^/@\s]*)@)?(?P<authority>[^/@\s]+)/?")
_ANSWER = re.compile(rb"HTTP/1\.[01] (\d{3})(?: [^\r\n]*)?\r\n")
_AUTHENTICATION_REQUIRED = 407
_FORBIDDEN = 403

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class UpstreamProxyError(OSError):
    """The proxy did not open a way; its text names the proxy and what it did, and nothing that it wrote."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyAddress:
    """Where the proxy stands, and the value of `Proxy-Authorization` where it wants one."""

    place: HostPort
    authorization: Secret | None = None


def parse_proxy_url(url: str) -> ProxyAddress:
    """`http://[user:password@]host[:port]`, 3128 being the port without one; ValueError for anything else."""
    found = _URL.fullmatch(url)
    if found is None:
        raise ValueError("not a proxy's address; write http://user:password@proxy.corp:3128")
    place = parse_authority(found["authority"], _DEFAULT_PORT)
    if found["userinfo"] is None:
        return ProxyAddress(place=place)
    # "The user-id and password MUST NOT contain any control characters" (RFC 7617, 2), and are sent as UTF-8.
    user, _, password = found["userinfo"].partition(":")
    pair = f"{unquote(user)}:{unquote(password)}"
    if any(ord(character) < 32 or ord(character) == 127 for character in pair):
        raise ValueError("user or password of the proxy hold a control character")
    return ProxyAddress(place=place, authorization=Secret("Basic " + base64.b64encode(pair.encode()).decode("ascii")))


class NoProxy:
    """Who is reached without the proxy, as curl reads `NO_PROXY`.

    A name stands for itself and all names below it, with or without a dot before it; an address or a network (CIDR) for
    hosts that are written as addresses, since no name is looked up for this; `*` for everybody. ValueError for an entry
    that is none of these.
    """

    def __init__(self, entries: Sequence[str]) -> None:
        self.everybody = "*" in entries
        self._names: set[str] = set()
        self._networks: list[Network] = []
        for entry in entries:
            if entry != "*":
                self._add(entry)

    def _add(self, entry: str) -> None:
        try:
            self._networks.append(ipaddress.ip_network(entry.removeprefix("[").removesuffix("]"), strict=False))
        except ValueError:
            if "/" in entry or ":" in entry:
                raise ValueError("not a name, an address or a network such as 10.0.0.0/8") from None
            self._names.add(normalise_host(entry.removeprefix("*.").removeprefix(".")))

    def covers(self, host: str) -> bool:
        """Whether a normalised host is reached without the proxy."""
        if self.everybody:
            return True
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return any(host == name or host.endswith(f".{name}") for name in self._names)
        return any(address in network for network in self._networks)


@dataclass(frozen=True, slots=True)
class UpstreamProxy:
    """A proxy, and those that are reached without it."""

    address: ProxyAddress
    exempt: NoProxy

    def serves(self, host: str) -> bool:
        """Whether a normalised host is reached through it."""
        return not self.exempt.covers(host)

    def question(self, target: HostPort) -> bytes:
        """The CONNECT that asks for a way to this place."""
        lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
        if self.address.authorization is not None:
            lines.append(f"Proxy-Authorization: {self.address.authorization.reveal()}")
        return "\r\n".join([*lines, "", ""]).encode("ascii")

    def check(self, head: bytes, target: HostPort) -> None:
        """Judge the head of its answer; UpstreamProxyError unless the way is open."""
        found = _ANSWER.match(head)
        status = int(found[1]) if found else 0
        if 200 <= status < 300:
            return
        name = f"{PROXY_FAILED}{self.address.place}"
        if status == _AUTHENTICATION_REQUIRED:
            raise UpstreamProxyError(f"{name} wants other credentials than upstream.proxy.url has (407)")
        if status == _FORBIDDEN:
            raise UpstreamProxyError(f"{name} does not allow a connection to {target} (403)")
        if status:
            raise UpstreamProxyError(f"{name} opened no way to {target} ({status})")
        raise UpstreamProxyError(f"{name} gave an answer that is not HTTP")
