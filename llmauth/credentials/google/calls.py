"""How Google's token services are asked: by known addresses alone, once each, and all calls of a load in one limit."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from llmauth.outbound import Answer, Outbound
from llmauth.sources import SourceFailed

_HOST = r"(?:\.[a-z0-9-]{1,40}\.rep|-[a-z0-9-]{1,40}\.p)?\.googleapis\.com"
# Whole addresses: at other paths of the same hosts anybody can have what is sent there written down for himself, as an
# object of a bucket for one.
_SERVICES: Mapping[str, re.Pattern[str]] = {
    "Google's token endpoint": re.compile(
        r"https://(?:oauth2\.googleapis\.com/token|accounts\.google\.com/o/oauth2/token"
        r"|www\.googleapis\.com/oauth2/v[34]/token)"
    ),
    "Google STS": re.compile(rf"https://sts{_HOST}/v1/token"),
    "Google IAM": re.compile(
        rf"https://iamcredentials{_HOST}/v1/projects/-/serviceAccounts/(?P<account>[\w.@-]{{1,254}}):generateAccessToken",
        re.ASCII,
    ),
}
_CODE = re.compile(r"[a-z_]{1,64}|[A-Z_]{1,64}")
_REFUSALS = (400, 401, 403, 404)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer as google-auth reads one; no repr shows its body."""

    status: int
    headers: Mapping[str, str]
    data: bytes = field(repr=False)


class Calls:
    """What google-auth is given to ask with, for one load.

    Its own asks five times, or waits for two minutes. Here an answer that gives nothing is raised as SourceFailed at
    once, which google-auth knows nothing of and cannot try again.
    """

    def __init__(self, outbound: Outbound) -> None:
        self._outbound = outbound
        self._ends = time.monotonic() + outbound.time_limit

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **_: Any,
    ) -> Reply:
        service = service_of(url)
        if service is None:
            raise SourceFailed("a credential file of Google names an address that is none of Google's token services")
        answer = self.ask(self._outbound, method, url, headers, body or b"")
        if answer.status != 200:
            did = "refused" if answer.status in _REFUSALS else "gave no token"
            raise SourceFailed(f"{service} {did}: {code_of(answer)}")
        told = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in answer.headers.fields}
        return Reply(status=answer.status, headers=told, data=answer.body)

    def ask(
        self, outbound: Outbound, method: str, url: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        """One request by a way of the caller's choice, in what is left of the time. Raises SourceFailed."""
        left = self._ends - time.monotonic()
        return outbound.within(max(0.1, round(left, 1))).ask(method, url, headers, body)


def service_of(url: str) -> str | None:
    """Which of Google's token services an address is of, `None` if of none."""
    return next((name for name, address in _SERVICES.items() if address.fullmatch(url)), None)


def impersonated(url: object) -> str:
    """Whose token this address of IAM gives. SourceFailed for any other address."""
    found = _SERVICES["Google IAM"].fullmatch(url) if isinstance(url, str) else None
    if found is None:
        raise SourceFailed("its service_account_impersonation_url is no address of Google IAM")
    return found["account"]


def code_of(answer: Answer) -> str:
    """Google's code for what went wrong, or the status; never its text."""
    told = answer.object() or {}
    inner = told.get("error")
    # OAuth's form is `{"error": "invalid_grant"}`, that of Google's APIs `{"error": {"status": "PERMISSION_DENIED"}}`.
    codes = [inner.get("status")] if isinstance(inner, dict) else [inner, told.get("error_subtype")]
    good = [code for code in codes if isinstance(code, str) and _CODE.fullmatch(code)]
    return ", ".join(good) or f"status {answer.status}"
