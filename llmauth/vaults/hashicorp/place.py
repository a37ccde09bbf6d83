"""Where Vault is: an address that no secret travels to in clear text, a namespace, and a certificate authority."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from llmauth.addresses import is_loopback, normalise_host
from llmauth.sources import SourceFailed

NOT_CONFIGURED = "vault (hashicorp) is not configured: set vaults.hashicorp.address or VAULT_ADDR"

_NAMESPACE = re.compile(r"[\w.@:+=/-]{1,256}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where Vault is reached, and by whom its certificate is signed beside the public authorities."""

    url: str
    namespace: str | None = None
    ca_file: Path | None = None

    @property
    def host(self) -> str:
        """How sentences name it."""
        return urlsplit(self.url).hostname or ""

    @property
    def plain(self) -> bool:
        """Whether it speaks clear text, as a Vault or an agent on this very machine may."""
        return self.url.startswith("http://")


class PlaceOptions(Protocol):
    """What the configuration says of it."""

    @property
    def address(self) -> str: ...
    @property
    def namespace(self) -> str | None: ...
    @property
    def ca_file(self) -> Path | None: ...


def checked_address(text: str) -> str:
    """The address without a slash at its end; ValueError, which does not repeat it, where it cannot be used."""
    parts = urlsplit(text.strip())
    try:
        host, port = normalise_host(parts.hostname or ""), parts.port
    except ValueError:
        host, port = "", None
    if parts.scheme not in ("https", "http") or not host or port == 0:
        raise ValueError("the address of Vault is no URL; write https://vault.example.com:8200")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError(
            "the address of Vault holds more than host, port and path; write https://vault.example.com:8200"
        )
    if parts.scheme == "http" and not is_loopback(host):
        raise ValueError("the address of Vault must begin with https://; http:// is for a Vault on this machine alone")
    return text.strip().rstrip("/")


def place_of(options: PlaceOptions, environ: Mapping[str, str]) -> Place | None:
    """Where it is, `None` where nobody said so. SourceFailed for a variable of the environment that is none."""
    address = options.address or _address_in(environ)
    if not address:
        return None
    ca_file = options.ca_file or (Path(environ["VAULT_CACERT"]) if environ.get("VAULT_CACERT") else None)
    return Place(url=address, namespace=options.namespace or _namespace_in(environ), ca_file=ca_file)


def _address_in(environ: Mapping[str, str]) -> str:
    try:
        return checked_address(environ["VAULT_ADDR"]) if environ.get("VAULT_ADDR") else ""
    except ValueError as wrong:
        raise SourceFailed(f"VAULT_ADDR: {wrong}") from None


def _namespace_in(environ: Mapping[str, str]) -> str | None:
    namespace = environ.get("VAULT_NAMESPACE") or None
    if namespace is not None and not _NAMESPACE.fullmatch(namespace):
        raise SourceFailed("VAULT_NAMESPACE is no namespace of Vault; it looks like team or team/sub")
    return namespace
