"""Google Secret Manager: the latest version of a secret, asked for with a token."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field

from llmauth.addresses import parse_authority
from llmauth.outbound import Answer, Outbound, Trust
from llmauth.secrets import Secret
from llmauth.sources import SourceFailed, SourceUnavailable
from llmauth.vaults.base import VaultOptions, VaultSecret, VaultSurroundings
from llmauth.vaults.crc32c import crc32c

PROJECT_VARIABLE = "GOOGLE_CLOUD_PROJECT"

_PROJECT = r"(?:(?:[a-z0-9-]+\.)+[a-z]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]|[0-9]{1,19}"
_LOCATION = r"[a-z]+(?:-[a-z]+[0-9]{1,2})?"
# `name`, `name/5`, or the resource's whole name.
_REFERENCE = re.compile(
    rf"(?:projects/(?P<project>{_PROJECT})/(?:locations/(?P<location>{_LOCATION})/)?secrets/)?"
    r"(?P<name>[A-Za-z0-9_-]{1,255})(?:/(?:versions/)?(?P<version>latest|[1-9][0-9]{0,18}|[A-Za-z][A-Za-z0-9_-]{0,62}))?"
)
_VERSION = re.compile(r"projects/.+/versions/([0-9]{1,19})")
_CODE = re.compile(r"[A-Z_]{1,64}")
# 64 KiB in base64, and room for the rest.
_MOST = 128 * 1024
_THIS_MACHINE = ("127.0.0.1", "::1", "localhost")


class GcpSecretManagerOptions(VaultOptions):
    """`vaults.gcp_secret_manager`."""

    project: Annotated[str, Field(pattern=rf"^(?:{_PROJECT})$")] | None = None
    location: Annotated[str, Field(pattern=rf"^{_LOCATION}$")] | None = None
    endpoint: Annotated[str, Field(pattern=r"^(https?://)?[A-Za-z0-9.:\[\]_-]+/?$")] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Version:
    """One version of one secret, as its resource is named."""

    project: str
    location: str | None
    name: str
    version: str

    @property
    def path(self) -> str:
        place = f"/locations/{self.location}" if self.location else ""
        return f"projects/{self.project}{place}/secrets/{self.name}/versions/{self.version}"


class GcpSecretManager:
    """One GET for each read, with the token of this process."""

    def __init__(self, options: GcpSecretManagerOptions, surroundings: VaultSurroundings) -> None:
        self._options = options
        self._identities = surroundings.identities
        self._outbound = surroundings.outbound
        self._project = options.project or surroundings.machine.environ.get(PROJECT_VARIABLE)

    def unavailable(self) -> str | None:
        # Not the project: a secret that is named in full brings its own.
        return self._identities.no_gcp()

    def forget(self, path: str) -> None:
        """Every read asks anew."""

    def read(self, path: str) -> VaultSecret:
        wanted = self._wanted(path)
        base, outbound = self._endpoint(wanted.location)
        fields = {"Authorization": f"Bearer {self._identities.gcp().value.reveal()}", "Accept": "application/json"}
        answer = outbound.ask("GET", f"{base}/v1/{wanted.path}:access", fields, most=_MOST)
        if answer.status == 401:
            self._identities.forget_gcp()
        if answer.status != 200:
            raise SourceFailed(_refusal(answer, wanted))
        told = answer.object()
        if told is None:
            raise SourceFailed("Google Secret Manager answered something that is no JSON object")
        return VaultSecret(content=Secret(_text(told.get("payload"), wanted)), version=_number(told.get("name")))

    def _wanted(self, path: str) -> _Version:
        found = _REFERENCE.fullmatch(path)
        if found is None:
            raise SourceFailed(
                "secret_name is no name of a secret: `NAME`, `NAME/VERSION` or `projects/PROJECT/secrets/NAME`"
            )
        project = found["project"] or self._project
        if not project:
            raise SourceUnavailable(
                "vault (gcp_secret_manager) knows no project: set vaults.gcp_secret_manager.project or "
                f"{PROJECT_VARIABLE}"
            )
        if not re.fullmatch(_PROJECT, project):
            raise SourceFailed(f"{PROJECT_VARIABLE} is no id of a project")
        # A resource's whole name says by itself whether it is regional.
        location = found["location"] if found["project"] else self._options.location
        return _Version(project=project, location=location, name=found["name"], version=found["version"] or "latest")

    def _endpoint(self, location: str | None) -> tuple[str, Outbound]:
        """Where it is asked, and how that is reached."""
        written = self._options.endpoint
        if written is None:
            host = f"secretmanager.{location}.rep.googleapis.com" if location else "secretmanager.googleapis.com"
            return f"https://{host}", self._outbound
        base = (written if "://" in written else f"https://{written}").rstrip("/")
        host = _host(base)
        if base.startswith("http://"):
            if host not in _THIS_MACHINE:
                raise SourceFailed("vaults.gcp_secret_manager.endpoint must begin with https://")
            return base, self._outbound.trusting(Trust(private=True, plain=True))
        # The configuration names it, so it may be one inside: Private Service Connect leads to such addresses.
        return base, self._outbound.allowing(host)


def _host(base: str) -> str:
    try:
        return parse_authority(urlsplit(base).netloc, 443).host
    except ValueError:
        raise SourceFailed("vaults.gcp_secret_manager.endpoint is no host, and no URL of one") from None


def _text(payload: object, wanted: _Version) -> str:
    """The secret itself, checked against its sum."""
    data = payload.get("data") if isinstance(payload, dict) else None
    if not isinstance(payload, dict) or not isinstance(data, str):
        raise SourceFailed("Google Secret Manager answered without a payload")
    try:
        content = base64.b64decode(data, validate=True)
    except ValueError:
        raise SourceFailed("Google Secret Manager answered with a payload that is no base64") from None
    # A number of 64 bits, and so a string in JSON.
    if "dataCrc32c" in payload and str(payload["dataCrc32c"]) != str(crc32c(content)):
        raise SourceFailed(f"the payload of {wanted.name} does not have the checksum that came with it")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise SourceFailed(f"the secret {wanted.name} holds bytes that are no text") from None


def _number(name: object) -> str | None:
    found = _VERSION.fullmatch(name) if isinstance(name, str) else None
    return found[1] if found else None


def _refusal(answer: Answer, wanted: _Version) -> str:
    error = (answer.object() or {}).get("error")
    told: Mapping[str, Any] = error if isinstance(error, dict) else {}
    status, secret = told.get("status"), f"the secret {wanted.name}"
    if status == "PERMISSION_DENIED" and "SERVICE_DISABLED" in _reasons(told):
        return f"the Secret Manager API is not enabled in the project {wanted.project}"
    match status:
        case "NOT_FOUND":
            return f"Google Secret Manager has no version {wanted.version} of {secret} in {wanted.project}"
        case "PERMISSION_DENIED":
            return f"this identity may not read {secret}: it needs roles/secretmanager.secretAccessor"
        case "FAILED_PRECONDITION":
            return f"the version {wanted.version} of {secret} is disabled or destroyed"
        case "UNAUTHENTICATED":
            return "Google Secret Manager refused the token of this identity: UNAUTHENTICATED"
        case "RESOURCE_EXHAUSTED":
            return "Google Secret Manager was asked more often than the project's quota allows"
    code = status if isinstance(status, str) and _CODE.fullmatch(status) else f"status {answer.status}"
    return f"Google Secret Manager did not give {secret}: {code}"


def _reasons(told: Mapping[str, Any]) -> list[object]:
    details = told.get("details")
    listed = details if isinstance(details, list) else []
    return [detail.get("reason") for detail in listed if isinstance(detail, dict)]
