"""Names, ports and addresses: normalised once, compared by equality, and judged private or public."""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple

# RFC 1123 labels after IDNA; the underscore is met in internal names and is harmless in a comparison.
_HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*")
_LONGEST = 254  # of a name, its trailing dot included
_NUMERIC = re.compile(r"(0x[0-9a-f]*|[0-9]+)(\.(0x[0-9a-f]*|[0-9]+)){0,3}")


class HostPort(NamedTuple):
    """A normalised host name and a port; equality is the only comparison anybody needs."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def normalise_host(host: str) -> str:
    """Lower case, at most one trailing dot removed, IDNA to ASCII.

    Raises ValueError for whatever is no host name: blanks, control characters, user-info, `%`, empty labels. An IP
    literal is returned in its canonical spelling (without brackets).
    """
    # Strangers send this, and IDNA takes a fifth of a second for what fits into a request head.
    if len(host) > _LONGEST:
        raise ValueError("not a host name")
    literal = _literal(host)
    if literal is not None:
        return literal
    name = host.removesuffix(".")
    if not name.isascii():
        try:
            name = name.encode("idna").decode("ascii")
        except UnicodeError:
            raise ValueError("not a host name") from None
    name = name.lower()
    if not _HOST.fullmatch(name):
        raise ValueError("not a host name")
    return name


def _literal(host: str) -> str | None:
    bracketed = host.startswith("[") and host.endswith("]")
    try:
        address = ipaddress.ip_address(host[1:-1] if bracketed else host)
    except ValueError:
        return None
    # Python takes any text behind the `%` of a zone; only IPv6 addresses stand in brackets (RFC 3986, 3.2.2).
    return None if "%" in host or (bracketed and address.version == 4) else str(address)


def is_ip_literal(host: str) -> bool:
    """Whether a normalised host is an address in any spelling that resolvers take (`127.1`, `0x7f000001`)."""
    return ":" in host or _NUMERIC.fullmatch(host) is not None


def parse_authority(authority: str, default_port: int | None) -> HostPort:
    """`host[:port]` to a normalised HostPort; ValueError when it is malformed, or has no port and no default."""
    host, separator, port = authority.rpartition(":")
    if not separator or authority.endswith("]"):
        host, port = authority, ""
    elif not port.isascii() or not port.isdigit() or len(port) > 5 or not 0 < int(port) < 65536:
        raise ValueError("not a port")
    if ":" in host and not host.startswith("["):
        raise ValueError("an IPv6 address must stand in brackets")
    if port:
        return HostPort(normalise_host(host), int(port))
    if default_port is None:
        raise ValueError("the port is missing")
    return HostPort(normalise_host(host), default_port)


def is_loopback(host: str) -> bool:
    """Whether a host, a name or an address, is this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_private(address: str) -> bool:
    """Whether an IP address is one that a client may not make us dial: not global, multicast, or a metadata service.

    IPv4 addresses inside IPv6 (mapped, 6to4, NAT64) are judged by the IPv4 address they carry. What cannot be parsed is
    private.
    """
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return True
    if isinstance(ip, ipaddress.IPv6Address):
        carried = ip.ipv4_mapped or ip.sixtofour or _nat64(ip)
        if carried is not None:
            ip = carried
    return not ip.is_global or ip.is_multicast or ip.is_reserved or any(ip in network for network in _NOT_PUBLIC)


# What Python, or an early 3.12, takes for global.
_NOT_PUBLIC = (
    ipaddress.ip_network("168.63.129.16/32"),  # Azure's wire server
    ipaddress.ip_network("192.0.0.0/24"),  # protocol assignments; Oracle's metadata service is 192.0.0.192
    ipaddress.ip_network("192.88.99.0/24"),  # relays of 6to4, which are no more (RFC 7526)
    ipaddress.ip_network("3fff::/20"),  # documentation (RFC 9637)
    ipaddress.ip_network("fec0::/10"),  # site-local, deprecated and still routed inside sites (RFC 3879)
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


# Names that only ever lead inside: `.localhost` to loopback (RFC 6761, 6.3), `.local` to the link (RFC 6762, 3),
# `.home.arpa` to the home (RFC 8375), and `.internal`, which the root never delegates, to whatever a network or a cloud
# has there (metadata.google.internal). A single label is completed by a search list.
_INSIDE = (".localhost", ".local", ".internal", ".home.arpa")


def is_inner_name(host: str) -> bool:
    """Whether a normalised name leads inside wherever it is looked up; of any other name, only its addresses tell."""
    return not is_ip_literal(host) and ("." not in host or host.endswith(_INSIDE))


def _nat64(ip: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF) if ip in _NAT64 else None
