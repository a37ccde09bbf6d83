"""Azure Key Vault: secrets and their versions over https, for the bearer of a token of Entra.

It checks the version of the API, that the token is Entra's, for Key Vault, of the vault's tenant and within its time,
and that names are what Key Vault takes. A call without a token gets the challenge that libraries wait for. `forbids` is
the kind of 403 that everybody gets: `ForbiddenByRbac`, `ForbiddenByPolicy`, `ForbiddenByFirewall`,
`ForbiddenByConnection`; `throttled` answers 429.
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

import jwt

from llmauth.demo.certificates import Authority
from tests.emulators.entra import HOST as ENTRA
from tests.emulators.entra import TENANT, opened
from tests.emulators.service import Call, Reply, Service

HOST = "house.vault.azure.net"
RESOURCE = "https://vault.azure.net"

_PATH = re.compile(r"/secrets/([0-9A-Za-z-]{1,127})(?:/([0-9a-f]{32}))?/?")
_VERSIONS = ("7.0", "7.1", "7.2", "7.3", "7.4", "7.5", "7.6", "2025-07-01", "2026-04-01")


@dataclass(kw_only=True)
class Version:
    """One version of a secret; `ends` is its `exp`, which does not keep it from being given out."""

    value: str
    enabled: bool = True
    ends: int | None = None
    id: str = field(default_factory=lambda: uuid.uuid4().hex)


class KeyVaultEmulator(Service):
    """`put` adds the newest version of a secret, and returns it; `tenant` is the one whose tokens are taken."""

    def __init__(self, *, tls: Sequence[str] = (HOST,), authority: Authority | None = None) -> None:
        super().__init__(tls=tls, authority=authority)
        self.secrets: dict[str, list[Version]] = {}
        self.tenant = TENANT
        self.forbids: str | None = None
        self.throttled = False

    def put(self, name: str, value: str, *, enabled: bool = True, ends: int | None = None) -> Version:
        """A new version of a secret."""
        version = Version(value=value, enabled=enabled, ends=ends)
        self.secrets.setdefault(name, []).append(version)
        return version

    def answer(self, call: Call) -> Reply:
        if call.query.get("api-version") not in _VERSIONS:
            return _error(400, "BadParameter", "The api-version is not known")
        refused = self._unauthenticated(call)
        if refused is not None:
            return refused
        if self.throttled:
            return Reply(429, _error(429, "Throttled", "Too many requests").body, {"Retry-After": "10"})
        if self.forbids is not None:
            return _error(403, "Forbidden", "Caller is not authorized", self.forbids)
        found = _PATH.fullmatch(call.path)
        if found is None or call.method != "GET":
            return _error(400, "BadParameter", "The request URI contains an invalid name")
        return self._secret(*found.groups())

    def refusal(self, call: Call) -> Reply:
        return _error(403, "Forbidden", "Caller is not authorized", "ForbiddenByRbac")

    def _unauthenticated(self, call: Call) -> Reply | None:
        if call.bearer is None:
            return self._challenge("AKV10000: Request is missing a Bearer or PoP token.")
        try:
            claims = opened(call.bearer, RESOURCE)
        except jwt.InvalidAudienceError:
            return self._challenge("AKV10022: Invalid audience.")
        except jwt.InvalidTokenError:
            return self._challenge("AKV10046: Unable to resolve the key used for signature validation.")
        return None if claims["tid"] == self.tenant else self._challenge("AKV10032: Invalid issuer.")

    def _challenge(self, message: str) -> Reply:
        challenge = f'Bearer authorization="https://{ENTRA}/{self.tenant}", resource="{RESOURCE}"'
        return Reply(401, _error(401, "Unauthorized", message).body, {"WWW-Authenticate": challenge})

    def _secret(self, name: str, version: str | None) -> Reply:
        versions = self.secrets.get(name, [])
        found = [one for one in versions if version is None or one.id == version]
        if not found:
            return _error(404, "SecretNotFound", f"A secret with (name/id) {name} was not found in this key vault.")
        newest = found[-1]
        if not newest.enabled:
            return _error(403, "Forbidden", "Operation get is not allowed on a disabled secret.", "SecretDisabled")
        now = int(time.time())
        about = {"enabled": True, "created": now, "updated": now, "recoveryLevel": "Recoverable+Purgeable"}
        if newest.ends is not None:
            about["exp"] = newest.ends
        name_of = f"https://{self._names[0]}/secrets/{name}/{newest.id}"
        return Reply(200, {"value": newest.value, "id": name_of, "attributes": about, "tags": {}})


def _error(status: int, code: str, message: str, inner: str | None = None) -> Reply:
    error: dict[str, object] = {"code": code, "message": f"{message} canary-7f3a"}
    if inner is not None:
        error["innererror"] = {"code": inner}
    return Reply(status, {"error": error})
