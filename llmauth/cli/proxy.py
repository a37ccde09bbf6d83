"""What commands ask of a running proxy over HTTP, and the credential that they show it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from llmauth.outbound import Outbound, Trust
from llmauth.secrets import Secret
from llmauth.sources import SourceFailed

SERVICE = "llmauth"
_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]")


class ProxyFailed(Exception):
    """Why the proxy could not be asked, or what it refused; a sentence. `code` is the refusal's, where it has one."""

    def __init__(self, sentence: str, code: str | None = None) -> None:
        super().__init__(sentence)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyPlace:
    """Where a proxy is, and the password that its URL held."""

    scheme: str
    authority: str
    password: Secret | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """Its address, without a user."""
        return f"{self.scheme}://{self.authority}"

    def with_credential(self, user: str, credential: Secret) -> str:
        """What `HTTPS_PROXY` holds."""
        return f"{self.scheme}://{user}:{credential.reveal()}@{self.authority}"


def place_of(url: str) -> ProxyPlace:
    """The place that a proxy URL names; ValueError, which does not repeat it, for one that is none."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        name = host if host.endswith("]") or ":" not in host else host.rpartition(":")[0]
        port, secret = parts.port, parts.password
    except ValueError:
        raise ValueError("The proxy's URL cannot be read; write http://HOST:PORT.") from None
    if parts.scheme not in ("http", "https") or not _HOST.fullmatch(name) or parts.path not in ("", "/"):
        raise ValueError("The proxy's URL cannot be read; write http://HOST:PORT.")
    authority = name if port is None else f"{name}:{port}"
    return ProxyPlace(scheme=parts.scheme, authority=authority, password=Secret(unquote(secret)) if secret else None)


def ask(
    place: ProxyPlace,
    method: str,
    path: str,
    credential: Secret,
    *,
    ca_file: Path | None = None,
    code: Secret | None = None,
) -> Mapping[str, Any]:
    """What the proxy answers, a JSON object; ProxyFailed for anything else.

    In clear text it is asked at a private address alone: the credential is in the request. `code` is a second factor's.
    """
    outbound = Outbound(trust=Trust(ca_file=ca_file, private=True, plain=place.scheme == "http"))
    fields = {"Authorization": f"Bearer {credential.reveal()}", "Accept": "application/json"}
    if code is not None:
        fields["X-TOTP-Code"] = code.reveal()
    try:
        answer = outbound.ask(method, place.url + path, fields)
    except SourceFailed as failure:
        raise ProxyFailed(str(failure).replace("upstream.ca_file", "--proxy-ca-file")) from None
    told = answer.object()
    if answer.status == 200 and told is not None:
        return told
    raise ProxyFailed(_refusal(answer.status, path, told or {}), _code(told or {}))


def _code(told: Mapping[str, Any]) -> str | None:
    error = told.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, str) else None


def _refusal(status: int, path: str, told: Mapping[str, Any]) -> str:
    error = told.get("error")
    said = error.get("message") if isinstance(error, dict) else None
    sentence = f": {said}" if isinstance(said, str) and said.isprintable() and len(said) < 400 else ""
    match status:
        case 401 | 407:
            return f"the proxy did not take the credential (status {status}){sentence}"
        case 404:
            return f"nothing answers {path} there; is that the address of an llmauth proxy?"
        case _:
            return f"the proxy answered with status {status}{sentence}"
