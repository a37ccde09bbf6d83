"""What a caller's programs need to know of a proxy: where it stands, and which providers it serves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import quote

from llmauth.addresses import HostPort, parse_authority
from llmauth.secrets import Secret

USUAL = ("openai", "anthropic", "bedrock")
"""The types that are taken to be served by a proxy that does not tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedInstance:
    """One instance: the type of its provider, the hosts that it owns, and what its SDK wants to know besides.

    `variables` are those in which the proxy finds its credential, by the configuration's own words.
    """

    name: str
    provider: str
    hosts: tuple[str, ...]
    default: bool = False
    region: str | None = None
    project: str | None = None
    variables: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedProxy:
    """A proxy; `url` is without a user, `user` the label in front of a credential.

    `instances` is None where it does not tell. `authenticates` says whether callers must prove who they are.
    """

    url: str
    user: str = "llmauth"
    instances: tuple[ServedInstance, ...] | None = None
    authenticates: bool = True

    @classmethod
    def of(cls, url: str, user: str, told: Mapping[str, Any]) -> Self:
        """By what a running proxy tells of itself over its control socket."""
        instances = tuple(_instance(one) for one in told["instances"])
        return cls(url=url, user=user, instances=instances, authenticates=bool(told["authenticates"]))

    @property
    def scheme(self) -> str:
        return self.url.partition("://")[0]

    @property
    def address(self) -> HostPort:
        """Host and port, the usual port where the URL names none."""
        return parse_authority(self.url.partition("://")[2], 443 if self.scheme == "https" else 80)

    def with_credential(self, credential: Secret | None) -> str:
        """What `HTTPS_PROXY` holds: RFC 3986 has user and password in it percent-encoded."""
        if credential is None:
            return self.url
        scheme, _, authority = self.url.partition("://")
        return f"{scheme}://{quote(self.user, safe='')}:{quote(credential.reveal(), safe='')}@{authority}"

    def instance(self, provider: str) -> ServedInstance | None:
        """The instance that a type's native host leads to: the default one, or the only one."""
        of_it = [one for one in self.instances or () if one.provider == provider]
        marked = [one for one in of_it if one.default]
        return marked[0] if len(marked) == 1 else of_it[0] if len(of_it) == 1 else None

    def serves(self, provider: str) -> bool:
        """Whether it has an instance of this type, or may have one."""
        if self.instances is None:
            return provider in USUAL
        return any(one.provider == provider for one in self.instances)

    def variables(self) -> frozenset[str]:
        """The variables that hold credentials of the proxy, and none that a program needs."""
        return frozenset(name for one in self.instances or () for name in one.variables)

    def hosts(self) -> frozenset[str]:
        """The hosts that must not be reached without it."""
        if self.instances is None:
            return frozenset({"api.openai.com", "api.anthropic.com", "bedrock-runtime.us-east-1.amazonaws.com"})
        return frozenset(host for one in self.instances for host in one.hosts)


def _instance(told: Mapping[str, Any]) -> ServedInstance:
    return ServedInstance(
        name=str(told["name"]),
        provider=str(told["provider"]),
        hosts=tuple(str(host) for host in told["hosts"]),
        default=bool(told["default"]),
        region=None if told["region"] is None else str(told["region"]),
        project=None if told["project"] is None else str(told["project"]),
        variables=tuple(str(name) for name in told["variables"]),
    )
