"""One Secret from the API of Kubernetes, and what the API's refusals mean."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from llmauth.addresses import HostPort
from llmauth.outbound import Answer, Outbound, Trust
from llmauth.secrets import Secret
from llmauth.sources import SourceFailed

# For both attempts together; less than the deadline of a load.
TIME_LIMIT = 3.8
# etcd keeps 1.5 MiB, and base64 makes a third more of it.
_MOST = 2 * 1024 * 1024

_REASON = re.compile(r"[A-Za-z]{1,40}")
_VERSION = re.compile(r"[A-Za-z0-9]{1,64}")
# The message of a 403 names who asked; of it no more is repeated than the name of a service account.
_ACCOUNT = re.compile(r'User "(system:serviceaccount:[a-z0-9-]{1,63}:[a-z0-9.-]{1,253})" cannot ')


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiServer:
    """Which API server is asked, by which certificate it is known, and as whom it is asked.

    `path` goes before the API's own. `token` reads the bearer token anew and may raise SourceFailed; it is `None` where
    a client certificate says who asks. `caller` names whoever that is, `origin` where all this was found, both for
    sentences.
    """

    place: HostPort
    path: str = ""
    namespace: str
    trust: Trust
    token: Callable[[], Secret] | None
    caller: str
    origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptSecret:
    """A Secret as the API tells it: its fields in base64, and the version of the object."""

    data: Mapping[str, str] = field(repr=False)
    version: str | None

    def text(self, name: str) -> str:
        """One field; KeyError where there is none, SourceFailed where it is no text."""
        try:
            return base64.b64decode(self.data[name], validate=True).decode()
        except ValueError:
            raise SourceFailed(f"its field {name} is no text in UTF-8") from None


def read_secret(server: ApiServer, name: str, outbound: Outbound) -> KeptSecret:
    """Ask for a Secret by its name; blocks for TIME_LIMIT at most. SourceFailed wherever it is not given."""
    ends = time.monotonic() + TIME_LIMIT
    _check(server)
    token = server.token() if server.token is not None else None
    answer = _asked(server, name, token, outbound, ends)
    if answer.status == 401 and server.token is not None and (newer := server.token()) != token:
        # Kubelet put a newer token there while we asked with the old one.
        answer = _asked(server, name, newer, outbound, ends)
    if answer.status != 200:
        raise SourceFailed(_refusal(server, name, answer))
    return _kept(server, name, answer)


def _check(server: ApiServer) -> None:
    try:
        server.trust.context()
    except SourceFailed:
        raise SourceFailed(f"{server.origin}: its certificates, or the key to one, cannot be used") from None


def _asked(server: ApiServer, name: str, token: Secret | None, outbound: Outbound, ends: float) -> Answer:
    fields = {"Accept": "application/json"}
    if token is not None:
        fields["Authorization"] = f"Bearer {token.reveal()}"
    url = f"https://{server.place}{server.path}/api/v1/namespaces/{server.namespace}/secrets/{name}"
    left = round(max(ends - time.monotonic(), 0.1), 1)
    return outbound.trusting(server.trust, time_limit=left).ask("GET", url, fields, most=_MOST)


def _refusal(server: ApiServer, name: str, answer: Answer) -> str:
    told = answer.object() or {}
    told = told if told.get("kind") == "Status" else {}
    reason = str(told.get("reason", ""))
    wanted = f"secret {name} in namespace {server.namespace}"
    if answer.status == 401:
        return f"the Kubernetes API at {server.place} does not accept {server.caller} (401 Unauthorized)"
    if answer.status == 403 and reason == "Forbidden":
        return (
            f"{_who(told) or server.caller} may not get {wanted} (403 Forbidden): bind to it a Role with verb get, "
            f"resource secrets and resourceNames [{name}]"
        )
    if answer.status == 404 and reason == "NotFound":
        return f"there is no {wanted} (404 NotFound), says the Kubernetes API at {server.place}"
    code = f" {reason}" if _REASON.fullmatch(reason) else ""
    return f"the Kubernetes API at {server.place} answered {answer.status}{code} to the question for {wanted}"


def _who(told: Mapping[str, Any]) -> str | None:
    found = _ACCOUNT.search(str(told.get("message", "")))
    return found and f"the service account {found[1]}"


def _kept(server: ApiServer, name: str, answer: Answer) -> KeptSecret:
    told = answer.object() or {}
    metadata, data = told.get("metadata"), told.get("data", {})
    if not isinstance(metadata, dict) or (told.get("kind"), metadata.get("name")) != ("Secret", name):
        raise SourceFailed(f"{server.place} answered with no Secret; is it the API server of a Kubernetes cluster?")
    if not isinstance(data, dict):
        raise SourceFailed(f"{server.place} answered with no Secret; its data is no mapping")
    version = metadata.get("resourceVersion")
    return KeptSecret(
        data={key: value for key, value in data.items() if isinstance(value, str)},
        version=version if isinstance(version, str) and _VERSION.fullmatch(version) else None,
    )
