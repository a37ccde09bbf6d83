"""Azure Key Vault: the newest version of a secret, or the one that is named, asked for with a token of Entra."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from pydantic import model_validator

from llmauth.outbound import Answer, Outbound, Trust
from llmauth.secrets import Secret
from llmauth.sources import SourceFailed, SourceUnavailable
from llmauth.vaults.base import VaultOptions, VaultSecret, VaultSurroundings

API_VERSION = "7.4"
# Microsoft's own samples read the first, what its developer tool (azd) sets up gets the second.
VARIABLES = ("AZURE_KEYVAULT_URL", "AZURE_KEY_VAULT_ENDPOINT")
# The domains of vaults in each cloud: the rest of the name is also what a token has to be for.
DOMAINS = ("vault.azure.net", "vault.usgovcloudapi.net", "vault.azure.cn")

# Of a private endpoint too: its name stays, and leads to another address.
_VAULT = re.compile(rf"[a-z0-9][a-z0-9-]{{1,22}}[a-z0-9]\.({'|'.join(map(re.escape, DOMAINS))})")
_HOST = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?")
_NAME = re.compile(r"[0-9A-Za-z-]{1,127}")
_VERSION = re.compile(r"[0-9A-Za-z]{1,64}")
_TENANT_IN_CHALLENGE = re.compile(r'authorization="?https://[A-Za-z0-9.-]{1,200}/([0-9A-Fa-f-]{36})(?=["/, ]|\Z)')
_CODE = re.compile(r"[A-Za-z]{1,64}")
# Of what it says about a token: AKV10032 is a token of another tenant, AKV10022 one for another service.
_OWN_CODE = re.compile(r"AKV\d{4,6}(?!\d)")
# A secret holds 25 kB at most.
_MOST = 256 * 1024

_FORBIDDEN = {
    "ForbiddenByRbac": "the identity may not read secrets there; give it the role Key Vault Secrets User",
    "ForbiddenByPolicy": "no access policy of the vault lets the identity get secrets",
    "AccessDenied": "no access policy of the vault lets the identity get secrets",
    "ForbiddenByFirewall": "the vault's firewall does not let this network in",
    "ForbiddenByConnection": "the vault is reached by its private endpoint alone",
    "SecretDisabled": "this version of the secret is disabled",
}


class AzureKeyVaultOptions(VaultOptions):
    """`vaults.azure_key_vault`.

    A `private_endpoint` is reached directly, at whatever address its name leads to; only there may the name be none of
    Key Vault's domains. `ca_file` is believed there beside the public roots.
    """

    vault_url: str = ""
    private_endpoint: bool = False
    ca_file: Path | None = None

    @model_validator(mode="after")
    def _can_be_reached(self) -> Self:
        if self.ca_file is not None and not self.private_endpoint:
            raise ValueError("`ca_file` is for a `private_endpoint`; the public service has a public certificate")
        if self.vault_url:
            checked_host(self.vault_url, private=self.private_endpoint)
        return self


class AzureKeyVault:
    """Every read asks. The token, which lives for an hour, is kept by whoever gives it."""

    def __init__(self, options: AzureKeyVaultOptions, surroundings: VaultSurroundings) -> None:
        self._options = options
        self._environ = surroundings.machine.environ
        self._identities = surroundings.identities
        self._clock = surroundings.clock
        self._outbound = _way(options, surroundings.outbound)

    def unavailable(self) -> str | None:
        if self._address() is None:
            first, second = VARIABLES
            return (
                "vault (azure_key_vault) has no address: set vaults.azure_key_vault.vault_url, or the variable "
                f"{first} or {second}"
            )
        return self._identities.no_azure()

    def forget(self, path: str) -> None:
        """Every read asks anew."""

    def read(self, path: str) -> VaultSecret:
        reason = self.unavailable()
        if reason is not None:
            raise SourceUnavailable(reason)
        host, scope = self._place()
        target = _target(path)
        token = self._identities.azure(scope)
        fields = {"Authorization": f"Bearer {token.value.reveal()}", "Accept": "application/json"}
        url = f"https://{host}/secrets/{target}?api-version={API_VERSION}"
        answer = self._outbound.ask("GET", url, fields, most=_MOST)
        if answer.status == 401:
            self._identities.forget_azure()
        if answer.status != 200:
            raise SourceFailed(f"Key Vault {host}: {_refusal(answer, target)}")
        return self._secret(host, (answer.object() or {}))

    def _address(self) -> tuple[str, str] | None:
        """What is configured, and where that stands."""
        if self._options.vault_url:
            return "vaults.azure_key_vault.vault_url", self._options.vault_url
        return next(((name, self._environ[name]) for name in VARIABLES if self._environ.get(name)), None)

    def _place(self) -> tuple[str, str]:
        """The host, with its port where it has one, and the scope of tokens for it."""
        address = self._address()
        assert address is not None
        where, url = address
        try:
            host = checked_host(url, private=self._options.private_endpoint)
        except ValueError as wrong:
            raise SourceFailed(f"{where} {wrong}") from None
        known = _VAULT.fullmatch(host)
        return urlsplit(url).netloc.lower(), f"https://{known[1] if known else DOMAINS[0]}/.default"

    def _secret(self, host: str, told: Mapping[str, Any]) -> VaultSecret:
        value, about = told.get("value"), told.get("attributes")
        if not isinstance(value, str) or not isinstance(about, dict):
            raise SourceFailed(f"Key Vault {host} answered without a secret")
        # It is given out after its end as well, which is only written beside it.
        ends = about.get("exp")
        if isinstance(ends, int | float) and ends <= self._clock.wall():
            raise SourceFailed(f"Key Vault {host}: this version of the secret has ended")
        if about.get("enabled") is not True:
            raise SourceFailed(f"Key Vault {host}: {_FORBIDDEN['SecretDisabled']}")
        version = str(told.get("id", "")).rpartition("/")[2]
        return VaultSecret(content=Secret(value), version=version if _VERSION.fullmatch(version) else None)


def checked_host(url: str, *, private: bool) -> str:
    """The host of a vault's address; ValueError, whose text follows the name of the setting, for any other address."""
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    more = parts.path.strip("/") or parts.query or parts.fragment or parts.username is not None
    if parts.scheme != "https" or more or not _HOST.fullmatch(host):
        raise ValueError("is no address like https://NAME.vault.azure.net")
    if not private and _VAULT.fullmatch(host) is None:
        raise ValueError(
            f"leads to {host}, which is no Key Vault; one behind a name of your own needs "
            "vaults.azure_key_vault.private_endpoint: true"
        )
    return host


def _way(options: AzureKeyVaultOptions, outbound: Outbound) -> Outbound:
    """To the public service by the way to all of them; what is configured as private is reached directly."""
    if not options.private_endpoint:
        return outbound
    return outbound.trusting(Trust(ca_file=options.ca_file, private=True))


def _target(path: str) -> str:
    """`name` or `name/version`; a `_` in the name stands for the `-` that Key Vault has in its place."""
    written, slash, version = path.partition("/")
    name = written.replace("_", "-")
    if not _NAME.fullmatch(name) or (slash and not _VERSION.fullmatch(version)):
        raise SourceFailed("a secret's name in Key Vault is made of letters, digits and -, with /VERSION behind it")
    return f"{name}/{version}" if slash else name


def _refusal(answer: Answer, target: str) -> str:
    """Why it gave nothing, in our own words: its own name applications, addresses and objects."""
    if answer.status == 401:
        return _unauthenticated(answer)
    codes = _codes((answer.object() or {}).get("error"))
    if answer.status == 404:
        return f"it holds no secret {target}" + (f" ({codes[0]})" if codes else "")
    if answer.status == 403:
        known = next((_FORBIDDEN[code] for code in reversed(codes) if code in _FORBIDDEN), "it refuses the identity")
        return f"{known} ({codes[-1]})" if codes else known
    if answer.status == 429:
        return "it is asked too often (status 429); raise refresh_interval"
    return f"it gave no secret: status {answer.status}" + (f", {codes[-1]}" if codes else "")


def _codes(error: object, depth: int = 4) -> list[str]:
    """The codes of an error from the outermost to the innermost, which tells most."""
    if not isinstance(error, dict) or depth == 0:
        return []
    code = error.get("code")
    own = [code] if isinstance(code, str) and _CODE.fullmatch(code) else []
    return own + _codes(error.get("innererror"), depth - 1)


def _unauthenticated(answer: Answer) -> str:
    error = (answer.object() or {}).get("error")
    code = _OWN_CODE.match(str(error.get("message"))) if isinstance(error, dict) else None
    refused = "it refused the token (status 401" + (f", {code[0]})" if code else ")")
    tenant = _TENANT_IN_CHALLENGE.search(answer.headers.get("www-authenticate") or "")
    if tenant is None:
        return refused
    return f"{refused}; it takes those of tenant {tenant[1]}, where the identity has to be"
