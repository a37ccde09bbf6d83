"""The identity that a mesh's sidecar forwards: Envoy's `x-forwarded-client-cert`, from configured peers alone.

Envoy: "A proxy can append the current client certificate information as an XFCC element, to the end of the request's
XFCC header after a comma." So what stands last was written by the proxy that is connected to us, about the client whose
certificate it checked itself; what stands before it, others wrote, and it is not looked at. That holds where this proxy
has APPEND_FORWARD (a sidecar of Istio) or SANITIZE_SET; with FORWARD_ONLY it writes nothing, and must not be trusted.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from llmauth.authenticators.service_account.accounts import PREFIX, account_of

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

LONGEST = 16 * 1024
# "If "," ";" or "=" appear in a value, the value should be double-quoted. Double-quotes in the value should be replaced
# by backslash-double-quote."
_PAIR = re.compile(r'(?P<key>[A-Za-z]{1,16})=(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>[^",;=\s]*))(?P<end>;|,|$)')


def _network(value: object) -> Network:
    try:
        network = ipaddress.ip_network(str(value))
    except ValueError:
        raise ValueError("wanted a network of peers as 127.0.0.6/32 or 10.0.0.0/8") from None
    if network.prefixlen == 0:
        raise ValueError("every address would be believed; wanted the addresses of your own sidecars")
    return network


class MeshOptions(BaseModel):
    """`{trusted_peers: [127.0.0.6/32], trust_domain: cluster.local}`."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, arbitrary_types_allowed=True)

    trusted_peers: Annotated[tuple[Annotated[Network, BeforeValidator(_network)], ...], Field(min_length=1)]
    trust_domain: Annotated[str, Field(pattern=r"^[a-z0-9._-]{1,255}$")] = "cluster.local"


def is_trusted(source: str, peers: Sequence[Network]) -> bool:
    """Whether an address of a peer is one of those that are believed."""
    try:
        address = ipaddress.ip_address(source)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return any(address.version == network.version and address in network for network in peers)


def last_uris(text: str) -> tuple[str, ...]:
    """The URIs that the last element names; ValueError for what is not in Envoy's grammar."""
    if not text or len(text) > LONGEST or not text.isascii() or not text.isprintable():
        raise ValueError("no list of elements")
    uris: list[str] = []
    for key, value, begins in _pairs(text):
        if begins:
            uris = []
        if key.lower() == "uri":
            uris.append(value)
    return tuple(uris)


def _pairs(text: str) -> Iterator[tuple[str, str, bool]]:
    """Each key and value, and whether an element begins with it."""
    at, begins = 0, True
    while True:
        match = _PAIR.match(text, at)
        if match is None:
            raise ValueError("no element of keys and values")
        quoted = match["quoted"]
        value = match["plain"] if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
        yield match["key"], value, begins
        if not match["end"]:
            return
        begins = match["end"] == ","
        at = match.end()


def account_in(uri: str, trust_domain: str) -> str | None:
    """`NAMESPACE/NAME` of a SPIFFE id of this trust domain; `None` for any other."""
    path = uri.removeprefix(f"spiffe://{trust_domain}/ns/")
    if path == uri:
        return None
    namespace, mark, name = path.partition("/sa/")
    return account_of(f"{PREFIX}{namespace}:{name}") if mark else None
