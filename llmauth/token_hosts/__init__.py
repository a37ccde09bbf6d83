"""The hosts at which SDKs ask their vendor for a token first: one file a vendor, one line in this table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from llmauth.addresses import HostPort
from llmauth.context import ProviderType
from llmauth.token_hosts.base import TokenHost
from llmauth.token_hosts.entra import Entra
from llmauth.token_hosts.google import Google
from llmauth.token_hosts.iam import Iam
from llmauth.token_hosts.sts import Sts

VENDORS: Mapping[ProviderType, TokenHost] = {
    "azure": Entra(),
    "bedrock": Sts(),
    "ibm": Iam(),
    "vertex": Google(),
}


Place = tuple[ProviderType, str | None, str]
"""An instance's type, region, and the host that most of its calls go to."""


def served(instances: Iterable[Place]) -> dict[HostPort, TokenHost]:
    """The hosts that we answer for, where there are these instances."""
    found: dict[HostPort, TokenHost] = {}
    for provider, region, host in instances:
        vendor = VENDORS.get(provider)
        if vendor is not None:
            found.update((HostPort(name, 443), vendor) for name in vendor.hosts(region, host))
    return found
