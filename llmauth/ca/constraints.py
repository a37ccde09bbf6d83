"""Which names a CA may sign: written into its certificate, read from it, and asked of it."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network

from cryptography import x509

from llmauth.addresses import is_ip_literal, normalise_host
from llmauth.ca.errors import CaError

_NO_ADDRESS = (IPv4Network("0.0.0.0/0"), IPv6Network("::/0"))


def constraints(domains: Iterable[str]) -> x509.NameConstraints:
    """These domains and the names below them, and no address at all. Raises CaError where there are no domains."""
    names = sorted({normalise_host(domain) for domain in domains})
    if not names:
        raise CaError("A certificate authority without permitted domains could sign any name; none is made.")
    permitted = [x509.DNSName(name) for name in names if not is_ip_literal(name)]
    return x509.NameConstraints(permitted, [x509.IPAddress(network) for network in _NO_ADDRESS])


def permitted(certificate: x509.Certificate) -> tuple[str, ...]:
    """The domains that a CA's certificate permits. Raises CaError where it permits every name."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.NameConstraints).value.permitted_subtrees
    except (x509.ExtensionNotFound, ValueError):
        found = None
    names = tuple(name.value.lstrip(".").lower() for name in found or () if isinstance(name, x509.DNSName))
    if not names:
        raise CaError(
            "The certificate authority is not limited to names: its key could sign any name, so it is not used."
        )
    return names


def covers(domains: Iterable[str], host: str) -> bool:
    """Whether a normalised host name is one of these domains or lies below one."""
    if is_ip_literal(host):
        return False
    return any(host == domain or host.endswith("." + domain) for domain in domains)
