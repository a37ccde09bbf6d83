"""Google Secret Manager, as strict as it is: `GET /v1/…/versions/VERSION:access` with a token of its directory.

The token must be good, have the scope cloud-platform, and be of somebody who may read the secret. `latest` is the
newest version, also where that one is disabled. A regional secret is known to the host of its region alone, and no
other secret to that host. Each payload comes with its CRC-32C.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import unquote

from llmauth.demo.certificates import Authority
from tests.emulators.google_sts import Directory, api_error
from tests.emulators.service import Call, Reply, Service

HOST = "secretmanager.googleapis.com"
REGION = "europe-west3"
REGIONAL_HOST = f"secretmanager.{REGION}.rep.googleapis.com"
PROJECT, NUMBER = "llm-project", "123456789012"

_PATH = re.compile(
    r"/v1/projects/(?P<project>[^/]+)/(?:locations/(?P<location>[^/]+)/)?secrets/(?P<name>[\w-]{1,255})"
    r"/versions/(?P<version>[^/:]+):access"
)


@dataclass
class Version:
    """One version of a secret."""

    content: bytes
    state: Literal["ENABLED", "DISABLED", "DESTROYED"] = "ENABLED"


@dataclass
class Stored:
    """A secret with its versions, from the first, and who may read it."""

    versions: list[Version]
    readers: set[str]
    location: str | None = None
    aliases: dict[str, int] = field(default_factory=dict)


class SecretManager(Service):
    """The global endpoint and that of one region."""

    def __init__(self, directory: Directory, *, authority: Authority | None = None) -> None:
        super().__init__(tls=(HOST, REGIONAL_HOST), authority=authority)
        self.directory = directory
        self.secrets: dict[str, Stored] = {}
        self.enabled = True
        self.quota: int | None = None
        self.lies = False

    def store(self, name: str, *contents: bytes, reader: str, location: str | None = None) -> Stored:
        """Keep a secret."""
        self.secrets[name] = Stored([Version(content) for content in contents], {reader}, location)
        return self.secrets[name]

    def answer(self, call: Call) -> Reply:
        found = _PATH.fullmatch(unquote(call.path))
        if call.method != "GET" or found is None:
            return api_error(404, "NOT_FOUND")
        who = self.directory.principal(call.bearer)
        if who is None:
            return api_error(401, "UNAUTHENTICATED", "ACCESS_TOKEN_TYPE_UNSUPPORTED")
        if not self.enabled:
            return api_error(403, "PERMISSION_DENIED", "SERVICE_DISABLED")
        if self.quota is not None and len(self.calls) > self.quota:
            return api_error(429, "RESOURCE_EXHAUSTED", "RATE_LIMIT_EXCEEDED")
        host = call.headers.get("host", "").partition(":")[0]
        if host.startswith("secretmanager.") and (host == REGIONAL_HOST) != (found["location"] == REGION):
            return api_error(400, "INVALID_ARGUMENT")
        return self._accessed(found, who)

    def refusal(self, call: Call) -> Reply:
        return api_error(403, "PERMISSION_DENIED", "IAM_PERMISSION_DENIED")

    def _accessed(self, wanted: re.Match[str], who: str) -> Reply:
        if wanted["project"] not in (PROJECT, NUMBER):
            return api_error(403, "PERMISSION_DENIED", "IAM_PERMISSION_DENIED")
        secret = self.secrets.get(wanted["name"])
        if secret is None:
            return api_error(404, "NOT_FOUND")
        if who not in secret.readers or secret.location != wanted["location"]:
            return api_error(403, "PERMISSION_DENIED", "IAM_PERMISSION_DENIED")
        number = self._number(secret, wanted["version"])
        if not 1 <= number <= len(secret.versions):
            return api_error(404, "NOT_FOUND")
        version = secret.versions[number - 1]
        if version.state != "ENABLED":
            return api_error(400, "FAILED_PRECONDITION")
        place = f"/locations/{secret.location}" if secret.location else ""
        told = crc32c(version.content) ^ (1 if self.lies else 0)
        payload = {"data": base64.b64encode(version.content).decode(), "dataCrc32c": str(told)}
        return Reply(
            200, {"name": f"projects/{NUMBER}{place}/secrets/{wanted['name']}/versions/{number}", "payload": payload}
        )

    def _number(self, secret: Stored, version: str) -> int:
        if version == "latest":
            return len(secret.versions)
        return int(version) if version.isdigit() else secret.aliases.get(version, 0)


def crc32c(content: bytes) -> int:
    """Bit by bit, as its definition says, and by no code of ours."""
    value = 0xFFFFFFFF
    for byte in content:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ 0x82F63B78 * (value & 1)
    return value ^ 0xFFFFFFFF
