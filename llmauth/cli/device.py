"""The device flow (RFC 8628): a person agrees in a browser, on whatever machine, and this terminal gets a token."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from llmauth.authenticators.oidc.options import checked_url
from llmauth.authenticators.oidc.provider import DISCOVERY
from llmauth.outbound import Outbound
from llmauth.secrets import Secret
from llmauth.sources import SourceFailed

GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"
# RFC 8628, 3.2: "If no value is provided, clients MUST use 5 as the default."
_INTERVAL = 5.0
# 3.5, of `slow_down`: "the interval MUST be increased by 5 seconds for this and all subsequent requests".
_SLOWER = 5.0
_LONGEST_INTERVAL = 60.0
_LONGEST_LIFE = 3600.0
_FORM = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
_ENDED = "nobody agreed in time; start again with: llmauth login"
_REFUSALS = {
    "access_denied": "it was refused in the browser",
    "expired_token": _ENDED,
    "invalid_client": "the provider does not know this --client-id, or wants a secret of it: register a public client",
    "unauthorized_client": "this --client-id may not use the device flow; allow it at the provider",
    "unsupported_grant_type": "the provider does not know the device flow",
    "invalid_scope": "the provider does not give this --scope",
    "invalid_target": "the provider does not know this --resource",
}


class LoginFailed(Exception):
    """Why there is no token, in a sentence that repeats nothing which was received."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A login that waits for a person. `ends` is monotonic, `interval` the seconds between two questions."""

    device_code: Secret
    user_code: str
    uri: str
    complete_uri: str | None
    interval: float
    ends: float


class DeviceFlow:
    """One login at one issuer. `sleep` and `now` are handed in by tests."""

    def __init__(
        self,
        issuer: str,
        client_id: str,
        outbound: Outbound,
        *,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._issuer = issuer
        self._client_id = client_id
        self._outbound = outbound
        self._sleep = sleep
        self._now = now
        self._token_endpoint = ""

    def begin(self, scope: str, resource: str | None = None) -> Begun:
        """Ask the issuer for a code that a person can agree to; LoginFailed when it gives none."""
        document = self._discovered()
        self._token_endpoint = _endpoint(document, "token_endpoint")
        form = {"client_id": self._client_id, "scope": scope}
        if resource is not None:
            form["resource"] = resource
        status, told = self._post(_endpoint(document, "device_authorization_endpoint"), form)
        if status != 200:
            raise LoginFailed(_refusal(status, told))
        return self._begun(told)

    def finish(self, begun: Begun) -> Secret:
        """Wait until the person has agreed, and return the token; LoginFailed when that will not happen."""
        interval = begun.interval
        form = {"grant_type": GRANT, "device_code": begun.device_code.reveal(), "client_id": self._client_id}
        while self._now() + interval < begun.ends:
            self._sleep(interval)
            try:
                status, told = self._post(self._token_endpoint, form)
            except SourceFailed:
                # 3.5: "On encountering a connection timeout, clients MUST unilaterally reduce their polling frequency".
                interval = min(interval * 2, _LONGEST_INTERVAL)
                continue
            if status == 200:
                return _token(told)
            error = told.get("error")
            if error == "slow_down":
                interval += _SLOWER
            elif error != "authorization_pending" and status < 500:
                raise LoginFailed(_refusal(status, told))
        raise LoginFailed(_ENDED)

    def _discovered(self) -> Mapping[str, Any]:
        url = self._issuer.rstrip("/") + DISCOVERY
        try:
            answer = self._outbound.ask("GET", url, {"Accept": "application/json"})
        except SourceFailed as failure:
            raise LoginFailed(str(failure)) from None
        document = answer.object() or {}
        if answer.status != 200 or document.get("issuer") != self._issuer:
            raise LoginFailed(f"{self._issuer} publishes no OpenID document of this very issuer; is --issuer right?")
        return document

    def _post(self, url: str, form: Mapping[str, str]) -> tuple[int, Mapping[str, Any]]:
        try:
            answer = self._outbound.ask("POST", url, _FORM, urlencode(form).encode("ascii"))
        except SourceFailed as failure:
            if not self._token_endpoint or url != self._token_endpoint:
                raise LoginFailed(str(failure)) from None
            raise
        return answer.status, answer.object() or {}

    def _begun(self, told: Mapping[str, Any]) -> Begun:
        code, user_code, uri = told.get("device_code"), told.get("user_code"), told.get("verification_uri")
        if not isinstance(code, str) or not code or not _shown(user_code) or not _is_page(uri):
            raise LoginFailed("the provider gave no code that could be shown")
        complete = told.get("verification_uri_complete")
        life = _seconds(told.get("expires_in"), 0.0, _LONGEST_LIFE)
        return Begun(
            device_code=Secret(code),
            user_code=str(user_code),
            uri=str(uri),
            complete_uri=complete if isinstance(complete, str) and _is_page(complete) else None,
            interval=_seconds(told.get("interval", _INTERVAL), 1.0, _LONGEST_INTERVAL),
            ends=self._now() + life,
        )


def _endpoint(document: Mapping[str, Any], name: str) -> str:
    try:
        return checked_url(str(document.get(name)))
    except ValueError:
        raise LoginFailed(f"the provider has no https `{name}`, which this login needs") from None


def _token(told: Mapping[str, Any]) -> Secret:
    """The access token where it can be read by others than the provider, else the id token."""
    for name in ("access_token", "id_token"):
        token = told.get(name)
        if isinstance(token, str) and token.count(".") == 2:
            return Secret(token)
    raise LoginFailed("the provider gave no signed token; name the --resource that it should be for, or scope `openid`")


def _refusal(status: int, told: Mapping[str, Any]) -> str:
    error = told.get("error")
    known = _REFUSALS.get(error) if isinstance(error, str) else None
    return known or f"the provider refused with status {status}"


def _shown(text: object) -> bool:
    """Whether a terminal can show it, and takes no orders from it."""
    return isinstance(text, str) and 0 < len(text) <= 64 and text.isascii() and text.isprintable()


def _is_page(uri: object) -> bool:
    if not isinstance(uri, str) or len(uri) > 2048 or not uri.isascii() or not uri.isprintable() or " " in uri:
        return False
    return urlsplit(uri).scheme in ("https", "http")


def _seconds(value: object, least: float, most: float) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return min(max(float(value), least), most) if number else least  # type: ignore[arg-type]
