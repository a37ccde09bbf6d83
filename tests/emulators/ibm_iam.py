"""IBM's token service and the metadata service of its virtual servers, as strict as they are.

IAM (`POST /identity/token`): only a form, no member twice or unknown, the grants of an API key and of a compute
resource token; such a token must be one that this cluster gave, for the audience `iam`, not ended, and linked to the
profile that is named, by id or by name and not by both. `Authorization` is `bx:bx` or absent.

The metadata service (`PUT …/token`, then `POST …/iam_token`): `Metadata-Flavor: ibm`, a `version` that is a known date,
no `X-Forwarded-For`, a life between 5 s and an hour, and the token of the first call in the second, before it ends.
"""

from __future__ import annotations

import base64
import json
import secrets
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from tests.emulators.service import Call, Reply, Service

HOST = "iam.cloud.ibm.com"
API_KEY = "urn:ibm:params:oauth:grant-type:apikey"
COMPUTE = "urn:ibm:params:oauth:grant-type:cr-token"
VERSIONS = frozenset({"2022-03-01", "2025-08-26"})
PROFILE_ID = "Profile-9fd84246-7df4-4667-94e4-8ecde51d5ac5"

_EVERYBODY = "Basic Yng6Yng="
_MEMBERS = {
    API_KEY: {"grant_type", "apikey", "response_type"},
    COMPUTE: {"grant_type", "cr_token", "profile_id", "profile_name"},
}


def jwt(claims: Mapping[str, Any]) -> str:
    """A token of the usual form; nobody here looks at its signature."""
    parts = (json.dumps({"alg": "RS256", "kid": "emulated"}).encode(), json.dumps(claims).encode())
    encoded = [base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in (*parts, secrets.token_bytes(64))]
    return ".".join(encoded)


@dataclass
class Account:
    """What an account of IBM's knows: its API key, a trusted profile, the tokens that are good, and the time."""

    api_key: str = "ibm-key-canary-5d1e"
    profile_id: str = PROFILE_ID
    profile_name: str = "llm gateway"
    life: int = 3600
    wall: Callable[[], float] = time.time
    linked: bool = True
    compute_tokens: dict[str, tuple[str, float]] = field(default_factory=dict)
    issued: dict[str, float] = field(default_factory=dict)

    def compute_token(self, audience: str = "iam", life: float = 3600) -> str:
        """A token of a service account of the cluster, as it is projected into a pod."""
        ends = self.wall() + life
        token = jwt({"aud": [audience], "exp": int(ends), "sub": "system:serviceaccount:llm:gateway"})
        self.compute_tokens[token] = (audience, ends)
        return token

    def token(self) -> dict[str, Any]:
        """What IAM answers with."""
        now = self.wall()
        claims = {"iam_id": "iam-Profile-emulated", "iss": f"https://{HOST}/identity", "iat": int(now)}
        token = jwt(claims | {"exp": int(now + self.life), "jti": uuid.uuid4().hex})
        self.issued[token] = now + self.life
        return {"access_token": token, "token_type": "Bearer", "expires_in": self.life}

    def is_good(self, token: str) -> bool:
        """Whether this one was given and has not ended."""
        return self.wall() < self.issued.get(token, 0.0)


class IbmIamEmulator(Service):
    """`iam.cloud.ibm.com`."""

    def __init__(self, account: Account | None = None) -> None:
        super().__init__(tls=(HOST, "localhost"))
        self.account = account or Account()

    def refusal(self, call: Call) -> Reply:
        return self._refused(400, "BXNIM0109E", "canary-7f3a")

    def answer(self, call: Call) -> Reply:
        if (call.method, call.target) != ("POST", "/identity/token"):
            return self._refused(404, "BXNIM0114E", "There is nothing here.")
        if call.headers.get("authorization", _EVERYBODY) != _EVERYBODY:
            return self._refused(401, "BXNIM0410E", "The client could not be authenticated.")
        if call.headers.get("content-type", "").partition(";")[0] != "application/x-www-form-urlencoded":
            return self._refused(415, "BXNIM0115E", "The body is no form.")
        pairs = parse_qsl(call.body.decode(), keep_blank_values=True)
        form = dict(pairs)
        grant = form.get("grant_type", "")
        if grant not in _MEMBERS:
            return self._refused(400, "BXNIM0108E", "The grant type is not supported.")
        if len(form) != len(pairs) or form.keys() - _MEMBERS[grant] or not all(form.values()):
            return self._refused(400, "BXNIM0109E", "A property of the form is missing, repeated or not known.")
        return self._by_key(form) if grant == API_KEY else self._by_compute_token(form)

    def _by_key(self, form: Mapping[str, str]) -> Reply:
        if form.get("apikey") != self.account.api_key:
            return self._refused(400, "BXNIM0415E", "Provided API key could not be found.")
        return self._given()

    def _by_compute_token(self, form: Mapping[str, str]) -> Reply:
        account = self.account
        named = [form[name] for name in ("profile_id", "profile_name") if name in form]
        if "cr_token" not in form or len(named) != 1:
            return self._refused(400, "BXNIM0109E", "One of profile_id and profile_name must be given, and cr_token.")
        audience, ends = account.compute_tokens.get(form["cr_token"], ("", 0.0))
        if audience != "iam" or ends <= account.wall():
            return self._refused(400, "BXNIM0444E", "The compute resource token is not valid.")
        known = account.profile_id if "profile_id" in form else account.profile_name
        if named[0] != known or not account.linked:
            return self._refused(400, "BXNIM0466E", "The profile is not linked to this compute resource.")
        return self._given()

    def _given(self) -> Reply:
        told = self.account.token()
        more = {"refresh_token": "not_supported", "expiration": int(self.account.wall()) + self.account.life}
        return Reply(200, told | more | {"scope": "ibm openid"}, {"Transaction-Id": uuid.uuid4().hex})

    def _refused(self, status: int, code: str, message: str) -> Reply:
        context = {"requestId": uuid.uuid4().hex, "host": "iamid-emulated", "locale": "en_US"}
        return Reply(status, {"errorCode": code, "errorMessage": message, "context": context})


class IbmMetadataEmulator(Service):
    """The metadata service of a virtual server; `default` says whether a profile is linked that needs no name."""

    def __init__(self, account: Account | None = None, *, default: bool = True) -> None:
        super().__init__()
        self.account = account or Account()
        self.default = default
        self._identities: dict[str, float] = {}

    def refusal(self, call: Call) -> Reply:
        return self._refused(403, "not_authorized")

    def answer(self, call: Call) -> Reply:
        perform = {
            ("PUT", "/instance_identity/v1/token"): self._identity,
            ("POST", "/instance_identity/v1/iam_token"): self._token,
        }.get((call.method, call.path))
        if perform is None:
            return self._refused(404, "not_found")
        if call.headers.get("metadata-flavor") != "ibm" or "x-forwarded-for" in call.headers:
            return self._refused(400, "invalid_header")
        if call.query.keys() != {"version"} or call.query["version"] not in VERSIONS:
            return self._refused(400, "invalid_version")
        if call.body and call.headers.get("content-type") != "application/json":
            return self._refused(415, "unsupported_media_type")
        return perform(call)

    def _identity(self, call: Call) -> Reply:
        life = call.json.get("expires_in", 300) if call.body else 300
        if type(life) is not int or not 5 <= life <= 3600 or "authorization" in call.headers:
            return self._refused(400, "invalid_request")
        token = jwt({"sub": "instance", "exp": int(self.account.wall() + life)})
        self._identities[token] = self.account.wall() + life
        return Reply(200, {"access_token": token, "expires_in": life})

    def _token(self, call: Call) -> Reply:
        if self._identities.get(call.bearer or "", 0.0) <= self.account.wall():
            return self._refused(401, "not_authenticated")
        profile = call.json.get("trusted_profile") if call.body else None
        linked = ({"id": self.account.profile_id}, {"name": self.account.profile_name})
        if profile is None and not self.default:
            return self._refused(400, "missing_profile")
        if profile is not None and (profile not in linked or not self.account.linked):
            return self._refused(403, "profile_not_linked")
        return Reply(200, self.account.token())

    def _refused(self, status: int, code: str) -> Reply:
        return Reply(status, {"errors": [{"code": code, "message": "canary-7f3a"}], "trace": uuid.uuid4().hex})
