"""The emulated IAM of IBM Cloud: it gives tokens for an API key, and remembers which ones it gave."""

from __future__ import annotations

import base64
import secrets
import uuid
from collections.abc import Callable
from urllib.parse import parse_qsl

from llmauth.demo import words
from llmauth.demo.emulator import JSON, Answer, Call, Emulator, Refusal, Setting, refuse_gateway_keys
from llmauth.demo.http1 import Field

HOST = "iam.cloud.ibm.com"
LIFE = 3600

_GRANT = "urn:ibm:params:oauth:grant-type:apikey"
# IBM's SDK presents itself with this, for a client `bx` that everybody may be.
_EVERYBODY = "Basic Yng6Yng="


class Tokens:
    """The tokens that were given and are good. Any thread may ask."""

    def __init__(self, wall: Callable[[], float]) -> None:
        self._wall = wall
        self._ends: dict[str, float] = {}

    def issue(self, life: float = LIFE) -> str:
        """A new token, in the form of a JWT, as IBM's are."""
        now = self._wall()
        claims = {
            "iam_id": "IBMid-emulated",
            "iss": f"https://{HOST}/identity",
            "iat": int(now),
            "exp": int(now + life),
        }
        parts = (words.dumps({"alg": "RS256", "kid": "emulated"}), words.dumps(claims), secrets.token_bytes(64))
        token = ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode("ascii") for part in parts)
        self._ends[token] = now + life
        return token

    def are_good(self, token: str) -> bool:
        """Whether this one was given and has not ended."""
        return self._wall() < self._ends.get(token, 0.0)

    def revoke(self, token: str) -> None:
        """This one is not good any more."""
        self._ends.pop(token, None)


class Iam(Emulator):
    """`iam.cloud.ibm.com`: `POST /identity/token` with an API key."""

    hosts = frozenset({HOST})

    def __init__(self, setting: Setting, tokens: Tokens) -> None:
        super().__init__(setting)
        self._tokens = tokens

    def authenticate(self, call: Call) -> None:
        refuse_gateway_keys(call, self)
        if call.header(b"authorization") not in (None, _EVERYBODY):
            raise Refusal(401, "BXNIM0410E", "The client could not be authenticated.")

    def route(self, call: Call) -> Answer:
        if (call.method, call.path, call.query) != ("POST", "/identity/token", ""):
            raise Refusal(404, "BXNIM0114E", "There is nothing here.")
        content_type = (call.header(b"content-type") or "").partition(";")[0].strip().lower()
        if content_type != "application/x-www-form-urlencoded":
            raise Refusal(415, "BXNIM0115E", "The body is no form.")
        self._check(parse_qsl(call.request.body.decode("utf-8", "replace"), keep_blank_values=True))
        token, now = self._tokens.issue(), int(self.setting.wall())
        told = {
            "access_token": token,
            "refresh_token": "not_supported",
            "token_type": "Bearer",
            "expires_in": LIFE,
            "expiration": now + LIFE,
            "scope": "ibm openid",
        }
        return self.json(call, told)

    def _check(self, pairs: list[tuple[str, str]]) -> None:
        form = dict(pairs)
        if len(form) != len(pairs):
            raise Refusal(400, "BXNIM0109E", "A property of the form is repeated.")
        if form.get("grant_type") != _GRANT:
            raise Refusal(400, "BXNIM0108E", "The grant type is not supported.")
        if form.keys() - {"grant_type", "apikey", "response_type", "cloud_iam"}:
            raise Refusal(400, "BXNIM0109E", "A property of the form is not known here.")
        if form.get("apikey") != self.setting.credentials.ibm_api_key:
            raise Refusal(400, "BXNIM0415E", "Provided API key could not be found.")

    def failure(self, status: int, error: str | None) -> Refusal:
        return Refusal(status, error or ("BXNIM0001E" if status >= 500 else "BXNIM0109E"), "The request failed.")

    def render(self, refusal: Refusal) -> Answer:
        context = {"requestId": uuid.uuid4().hex, "host": "iamid-emulated", "locale": "en_US"}
        told = {"errorCode": refusal.kind, "errorMessage": refusal.message, "context": context}
        return Answer(refusal.status, [JSON, *refusal.fields], words.dumps(told))

    def fields(self, call: Call) -> list[Field]:
        return [(b"transaction-id", uuid.uuid4().hex.encode("ascii"))]
