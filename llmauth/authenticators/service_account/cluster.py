"""The API server of the cluster, and we ourselves as its client: our token and its CA are read anew, as both rotate."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from llmauth.authenticators.compact import read
from llmauth.authenticators.reach import NotReached
from llmauth.outbound import Answer, Outbound, Trust
from llmauth.sources import SourceFailed

FOLDER: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
IN_CLUSTER: Final = "https://kubernetes.default.svc"
TIME_LIMIT = 3.0
_MOST = 256 * 1024
_SENDABLE = re.compile(r"[!-~]{1,16384}")
_FILE_LIMIT = 1024 * 1024


def default_server(environ: Mapping[str, str]) -> str:
    """The API server as a pod is told of it, else by the name that it has in every cluster."""
    host, port = environ.get("KUBERNETES_SERVICE_HOST", ""), environ.get("KUBERNETES_SERVICE_PORT") or "443"
    if not host:
        return IN_CLUSTER
    return f"https://{f'[{host}]' if ':' in host else host}:{port}"


class Cluster:
    """One API server. Everything that keeps it from being asked is NotReached, with a sentence for the operator."""

    def __init__(self, outbound: Outbound, *, server: str, ca_file: Path | None, token_file: Path | None) -> None:
        self._outbound = outbound
        self._server = server.rstrip("/")
        self._ca_file = ca_file
        self._token_file = token_file or FOLDER / "token"
        self._ca: str | None = None
        self._way: Outbound | None = None

    @property
    def server(self) -> str:
        """Its address."""
        return self._server

    def own_issuer(self) -> str | None:
        """Who issued our own token, which is whoever issues those of all accounts; `None` where that cannot be told."""
        try:
            issuer = read(self._token()).payload.get("iss")
        except (NotReached, ValueError):
            return None
        return issuer if isinstance(issuer, str) else None

    def ask(self, method: str, path: str, told: Mapping[str, Any] | None = None) -> Answer:
        """One call as ourselves, once more where our token was changed meanwhile. 401 and 403 are NotReached."""
        token = self._token()
        answer = self._asked(method, path, told, token)
        if answer.status == 401 and (newer := self._token()) != token:
            answer = self._asked(method, path, told, newer)
        if answer.status == 401:
            raise NotReached(f"{self._server} does not take the token in {self._token_file} (401 Unauthorized)")
        return answer

    def _asked(self, method: str, path: str, told: Mapping[str, Any] | None, token: str) -> Answer:
        fields = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        body = b""
        if told is not None:
            fields["Content-Type"] = "application/json"
            body = json.dumps(told).encode("ascii")
        try:
            return self._trusting().ask(method, self._server + path, fields, body, most=_MOST)
        except SourceFailed as failure:
            raise NotReached(failure.reason) from None

    def _trusting(self) -> Outbound:
        """By the cluster's own authority alone: that a public one vouches for a name inside proves nothing."""
        ca = self._authority()
        if self._way is None or ca != self._ca:
            trust = Trust(ca_data=ca, roots=ca is None, private=True)
            self._ca, self._way = ca, self._outbound.trusting(trust, time_limit=TIME_LIMIT)
        return self._way

    def _authority(self) -> str | None:
        file = self._ca_file or FOLDER / "ca.crt"
        if self._ca_file is None and not file.exists():
            return None
        return _text(file, "the cluster's CA")

    def _token(self) -> str:
        token = _text(self._token_file, "our own token").strip()
        if not _SENDABLE.fullmatch(token):
            raise NotReached(f"{self._token_file} holds no token")
        return token


def _text(file: Path, what: str) -> str:
    try:
        with file.open(encoding="ascii") as opened:
            return opened.read(_FILE_LIMIT)
    except (OSError, ValueError) as error:
        raise NotReached(f"{what}, {file}, cannot be read: {type(error).__name__}") from None
