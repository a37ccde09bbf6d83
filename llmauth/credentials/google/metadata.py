"""Google's metadata server: which service account it speaks for, whose that is, and a token of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llmauth.addresses import parse_authority
from llmauth.credentials import bearers
from llmauth.credentials.google.calls import Calls
from llmauth.credentials.google.grants import SCOPE, SERVICE
from llmauth.outbound import METADATA, Answer, Outbound
from llmauth.secrets import Secret
from llmauth.sources import SourceFailed, SourceUnavailable

ENDPOINT = "GCE_METADATA_HOST"
# Its name is metadata.google.internal; nothing bounds how long a resolver elsewhere takes to not know that.
_ADDRESS = "169.254.169.254"
_ACCOUNT = "/computeMetadata/v1/instance/service-accounts/default/"
_FLAVOR = {"Metadata-Flavor": "Google"}

_EMAIL = re.compile(r"[\w.@-]{1,254}", re.ASCII)
_POOL = re.compile(r"[\w.:-]+\.svc\.id\.goog", re.ASCII)
_DEFAULT_OF_NODES = re.compile(r"[0-9]+-compute@developer\.gserviceaccount\.com")
# What the server of GKE calls itself, which stands before a machine's own and speaks for pods. Where a pod reaches any
# other, whatever account that speaks for is taken for the node's.
_OF_PODS = "GKE Metadata Server"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Whom the server speaks for. `nodes` says that in a pod this is the node and not the pod."""

    email: str
    scopes: tuple[str, ...]
    nodes: bool


class MetadataServer:
    """The server of this machine, or the one that GCE_METADATA_HOST names, for one load."""

    def __init__(self, environ: Mapping[str, str], outbound: Outbound) -> None:
        self._outbound = outbound.trusting(METADATA)
        self._calls = Calls(self._outbound)
        self._place = _place(environ.get(ENDPOINT) or _ADDRESS)

    def account(self) -> Account:
        """Raises SourceUnavailable where there is no account, or another server; SourceFailed where none answers."""
        answer = self._asked("?recursive=true")
        if answer.status == 404:
            raise SourceUnavailable("the metadata server of this machine knows no service account")
        told = _told(answer, "account")
        email, scopes = told.get("email"), told.get("scopes")
        if not isinstance(email, str) or not _EMAIL.fullmatch(email):
            raise SourceFailed("the metadata server names no account")
        listed = tuple(scope for scope in scopes if isinstance(scope, str)) if isinstance(scopes, list) else ()
        return Account(email=email, scopes=listed, nodes=_of_the_node(email, answer.headers.get("server")))

    def token(self) -> tuple[Secret, float]:
        """A token and its life in seconds. Raises SourceFailed."""
        return bearers.granted(_told(self._asked(f"token?scopes={SCOPE}"), "token"), SERVICE)

    def _asked(self, path: str) -> Answer:
        answer = self._calls.ask(self._outbound, "GET", f"http://{self._place}{_ACCOUNT}{path}", _FLAVOR)
        # "The response includes Metadata-Flavor: Google": what answers without it is another cloud's, or nobody's.
        if answer.headers.get("metadata-flavor") != "Google":
            raise SourceUnavailable("what answers as metadata server is none of Google's")
        return answer


def _place(written: str) -> str:
    try:
        return str(parse_authority(written, 80))
    except ValueError:
        raise SourceFailed(f"{ENDPOINT} is no host, and no host with a port") from None


def _told(answer: Answer, what: str) -> dict[str, Any]:
    if answer.status != 200:
        raise SourceFailed(f"the metadata server gave no {what}: status {answer.status}")
    told = answer.object()
    if told is None:
        raise SourceFailed(f"the metadata server gave no {what}, but something that is no JSON object")
    return told


def _of_the_node(email: str, server: str | None) -> bool:
    if _POOL.fullmatch(email):
        return False
    return _DEFAULT_OF_NODES.fullmatch(email) is not None or server != _OF_PODS
