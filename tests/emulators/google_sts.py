"""Google's token services, as strict as they are: the OAuth endpoint, STS, and the credentials of IAM.

OAuth (`POST /token`): a form without unknown members. A service account's assertion must be signed (RS256) by the key
that its `kid` names, for this endpoint, not ended, of an hour at most, with a scope. A refresh token needs its client.

STS (`POST /v1/token`): the whole form of a token exchange; the audience must be a provider of the pool, and the subject
token one that its issuer signed, for that audience, not ended. Of AWS, it must be a signed GetCallerIdentity with keys
that are good, made for this very audience.

IAM (`POST …:generateAccessToken`): a token of this directory, whose principal may be that account, and a body of JSON
with scopes and a life of an hour at most.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import jwt
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from llmauth.addresses import HostPort
from llmauth.demo import sigv4
from llmauth.demo.certificates import Authority
from llmauth.demo.http1 import Head, Request
from llmauth.outbound import Outbound
from tests.emulators.service import Call, Reply, Service
from tests.emulators.trust import Trust

OAUTH, STS, IAM = "oauth2.googleapis.com", "sts.googleapis.com", "iamcredentials.googleapis.com"
TOKEN_URI = f"https://{OAUTH}/token"
CLOUD = "https://www.googleapis.com/auth/cloud-platform"
AUDIENCE = "//iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/llm/providers/eks"
ISSUER = "https://oidc.eks.eu-west-1.amazonaws.com/id/EXAMPLED539D4633E53DE1B71EXAMPLE"
POOL_SUBJECT = (
    "principal://iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/llm/subject/s"
)
ACCOUNT = "gateway@llm-project.iam.gserviceaccount.com"
TARGET = "vertex@llm-project.iam.gserviceaccount.com"
CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN = "client-1.apps.googleusercontent.com", "client-canary", "1//refresh-canary"
USER = "somebody@example.com"

JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
EXCHANGE_GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
JWT_TYPE = "urn:ietf:params:oauth:token-type:jwt"
AWS_TYPE = "urn:ietf:params:aws:token-type:aws4_request"
_FORM = "application/x-www-form-urlencoded"
_SKEW = 300


@cache
def rsa_key(name: str) -> rsa.RSAPrivateKey:
    """A key by its name, made once in a run: it takes its time."""
    del name
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def signed(claims: Mapping[str, Any], key: rsa.RSAPrivateKey, kid: str) -> str:
    """A JWT."""
    parts = [_encoded(json.dumps(part).encode()) for part in ({"alg": "RS256", "typ": "JWT", "kid": kid}, claims)]
    signature = key.sign(".".join(parts).encode(), padding.PKCS1v15(), hashes.SHA256())
    return ".".join((*parts, _encoded(signature)))


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def verified(token: str, key: rsa.RSAPublicKey, kid: str) -> dict[str, Any] | None:
    """The claims of a JWT that this key signed, `None` of any other."""
    parts = token.split(".")
    try:
        head, body, signature = (
            base64.b64decode(part + "=" * (-len(part) % 4), b"-_", validate=True) for part in parts
        )
        key.verify(signature, ".".join(parts[:2]).encode(), padding.PKCS1v15(), hashes.SHA256())
        told, claims = json.loads(head), json.loads(body)
    except (ValueError, InvalidSignature):
        return None
    good = told == {"alg": "RS256", "typ": "JWT", "kid": kid}
    return claims if good and isinstance(claims, dict) else None


@dataclass
class Directory:
    """Who there is, who may be whom, and which tokens are good. `wall` is its time."""

    wall: Callable[[], float] = time.time
    life: int = 3600
    audiences: set[str] = field(default_factory=lambda: {AUDIENCE})
    impersonators: dict[str, set[str]] = field(default_factory=lambda: {TARGET: {POOL_SUBJECT, ACCOUNT, USER}})
    aws: sigv4.Keys = field(
        default_factory=lambda: sigv4.Keys(
            access_key_id="ASIAGOOGLE", secret_access_key="aws-secret-canary", session_token="aws-session-canary"
        )
    )
    refresh_tokens: set[str] = field(default_factory=lambda: {REFRESH_TOKEN})
    rapt: bool = False
    tokens: dict[str, tuple[str, frozenset[str], float]] = field(default_factory=dict)
    given: int = 0

    def issue(self, principal: str, scopes: str, life: int | None = None) -> tuple[str, int]:
        """A new token of somebody, and its life."""
        self.given += 1
        token = f"ya29.{self.given}-{secrets.token_urlsafe(24)}"
        seconds = self.life if life is None else life
        self.tokens[token] = (principal, frozenset(scopes.split()), self.wall() + seconds)
        return token, seconds

    def principal(self, token: str | None, scope: str = CLOUD) -> str | None:
        """Whose token this is, `None` where it is nobody's, has ended, or lacks the scope."""
        principal, scopes, ends = self.tokens.get(token or "", ("", frozenset(), 0.0))
        return principal if self.wall() < ends and scope in scopes else None

    def subject_token(self, audience: str = f"https:{AUDIENCE}", life: float = 3600, issuer: str = ISSUER) -> str:
        """A token that the cluster's issuer projects into a pod."""
        now = int(self.wall())
        claims = {"iss": issuer, "sub": "system:serviceaccount:llm:gateway", "aud": [audience]}
        return signed(claims | {"iat": now, "exp": int(now + life)}, rsa_key("issuer"), "issuer-1")


def service_account_file(**changed: Any) -> dict[str, Any]:
    """The JSON key of ACCOUNT."""
    key = rsa_key("account").private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return {
        "type": "service_account",
        "project_id": "llm-project",
        "private_key_id": "key-1",
        "private_key": key.decode(),
        "client_email": ACCOUNT,
        "client_id": "100000000000000000001",
        "auth_uri": "https://accounts.google.com/o/oauth2/auth",
        "token_uri": TOKEN_URI,
        "universe_domain": "googleapis.com",
        **changed,
    }


def authorized_user_file(**changed: Any) -> dict[str, Any]:
    """What `gcloud auth application-default login` writes."""
    own = {"type": "authorized_user", "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
    return own | {"refresh_token": REFRESH_TOKEN, "account": "", "universe_domain": "googleapis.com"} | changed


def impersonation_url(account: str = TARGET) -> str:
    """Where a token of an account is asked for."""
    return f"https://{IAM}/v1/projects/-/serviceAccounts/{account}:generateAccessToken"


def external_account_file(source: Mapping[str, Any], **changed: Any) -> dict[str, Any]:
    """What `gcloud iam workload-identity-pools create-cred-config` writes."""
    return {
        "type": "external_account",
        "audience": AUDIENCE,
        "subject_token_type": JWT_TYPE,
        "token_url": f"https://{STS}/v1/token",
        "credential_source": dict(source),
        "universe_domain": "googleapis.com",
        **changed,
    }


def leading(folder: Path, *services: Service, **more: Any) -> Outbound:
    """A way on which the hosts of these services lead to them; one authority signed for all of them."""
    resolve = {name: HostPort("127.0.0.1", service.port) for service in services for name in service._names}
    return Outbound(ca_file=services[0].write_ca(folder), resolve=resolve, **more)


class _Refused(Exception):
    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        super().__init__(status)
        self.reply = Reply(status, body)


def _oauth(error: str, why: str, status: int = 400, **more: str) -> _Refused:
    return _Refused(status, {"error": error, "error_description": f"{why} canary-7f3a", **more})


def _federated(trusts: Trust, token: str, *audiences: str) -> None:
    try:
        trusts.claims(token, *audiences)
    except jwt.InvalidAudienceError:
        raise _oauth("invalid_grant", "The audience in ID Token does not match the expected audience.") from None
    except jwt.PyJWTError:
        raise _oauth("invalid_grant", "The token's issuer or signature is not that of the provider.") from None


def api_error(code: int, status: str, reason: str | None = None) -> Reply:
    """A refusal in the form of Google's APIs."""
    error: dict[str, Any] = {"code": code, "message": "canary-7f3a", "status": status}
    if reason is not None:
        error["details"] = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason}]
    return Reply(code, {"error": error})


class GoogleTokens(Service):
    """All three of them, told apart by host and path. `trusts` is the pool's provider, in the place of the cluster."""

    def __init__(
        self, directory: Directory | None = None, *, authority: Authority | None = None, trusts: Trust | None = None
    ) -> None:
        super().__init__(tls=(OAUTH, STS, IAM), authority=authority)
        self.trusts = trusts
        self.directory = directory or Directory()

    def answer(self, call: Call) -> Reply:
        host = call.headers.get("host", "").partition(":")[0]
        if call.method != "POST":
            return Reply(404, b"not found")
        try:
            if (host, call.target) == (OAUTH, "/token"):
                return Reply(200, self._oauth_token(_form(call)))
            if (host, call.target) == (STS, "/v1/token"):
                return Reply(200, self._exchanged(_form(call)))
            if host == IAM and (
                found := re.fullmatch(r"/v1/projects/-/serviceAccounts/(.+):generateAccessToken", call.path)
            ):
                return self._generated(call, unquote(found[1]))
        except _Refused as refused:
            return refused.reply
        return Reply(404, b"not found")

    def refusal(self, call: Call) -> Reply:
        if call.path.endswith(":generateAccessToken"):
            return api_error(403, "PERMISSION_DENIED", "IAM_PERMISSION_DENIED")
        return _oauth("invalid_grant", "refused").reply

    # ---- OAuth -----------------------------------------------------------------------------------------------------

    def _oauth_token(self, form: Mapping[str, str]) -> Mapping[str, Any]:
        grant = form.get("grant_type")
        if grant == JWT_GRANT and form.keys() == {"grant_type", "assertion"}:
            return self._bearer(*self.directory.issue(ACCOUNT, self._asserted(form["assertion"])))
        if grant == "refresh_token" and form.keys() <= {
            *("grant_type", "client_id", "client_secret"),
            "refresh_token",
            "scope",
        }:
            return self._bearer(*self.directory.issue(USER, self._refreshed(form))) | {"scope": CLOUD}
        raise _oauth("unsupported_grant_type", f"Invalid grant_type: {grant}")

    def _asserted(self, assertion: str) -> str:
        claims, now = verified(assertion, rsa_key("account").public_key(), "key-1"), self.directory.wall()
        if claims is None or claims.get("iss") != ACCOUNT:
            raise _oauth("invalid_grant", "Invalid JWT Signature.")
        if claims.get("aud") != TOKEN_URI:
            raise _oauth("invalid_grant", "Invalid JWT: Failed audience check.")
        begins, ends = claims.get("iat", 0), claims.get("exp", 0)
        if not (begins - _SKEW <= now < ends and 0 < ends - begins <= 3600):
            raise _oauth("invalid_grant", "Invalid JWT: Token must be a short-lived token (60 minutes).")
        if not claims.get("scope"):
            raise _oauth("invalid_scope", "Empty or missing scope not allowed.")
        return str(claims["scope"])

    def _refreshed(self, form: Mapping[str, str]) -> str:
        if (form.get("client_id"), form.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
            raise _oauth("invalid_client", "The OAuth client was not found.", 401)
        if self.directory.rapt:
            raise _oauth("invalid_grant", "reauth related error", error_subtype="invalid_rapt")
        if form.get("refresh_token") not in self.directory.refresh_tokens:
            raise _oauth("invalid_grant", "Token has been expired or revoked.")
        return CLOUD

    def _bearer(self, token: str, life: int) -> dict[str, Any]:
        return {"access_token": token, "expires_in": life, "token_type": "Bearer"}

    # ---- STS -------------------------------------------------------------------------------------------------------

    def _exchanged(self, form: Mapping[str, str]) -> Mapping[str, Any]:
        wanted = {"grant_type": EXCHANGE_GRANT, "requested_token_type": ACCESS_TOKEN}
        members = {"audience", "scope", "subject_token", "subject_token_type", *wanted}
        if form.keys() - {"options"} != members or any(form[name] != value for name, value in wanted.items()):
            raise _oauth("invalid_request", f"Members: {', '.join(sorted(form))}.")
        if form["audience"] not in self.directory.audiences:
            raise _oauth("invalid_target", "The target service indicated by the audience is invalid.")
        checks = {JWT_TYPE: self._check_jwt, AWS_TYPE: self._check_aws}
        check = checks.get(form["subject_token_type"])
        if check is None:
            raise _oauth("invalid_request", "Invalid subject_token_type.")
        check(form["subject_token"], form["audience"])
        return self._bearer(*self.directory.issue(POOL_SUBJECT, form["scope"])) | {"issued_token_type": ACCESS_TOKEN}

    def _check_jwt(self, token: str, audience: str) -> None:
        if self.trusts is not None:
            _federated(self.trusts, token, f"https:{audience}", audience)
            return
        claims, now = verified(token, rsa_key("issuer").public_key(), "issuer-1"), self.directory.wall()
        if claims is None or claims.get("iss") != ISSUER:
            raise _oauth("invalid_grant", "The token's issuer or signature is not that of the provider.")
        told = claims.get("aud", [])
        if {f"https:{audience}", audience}.isdisjoint(told if isinstance(told, list) else [told]):
            raise _oauth("invalid_grant", "The audience in ID Token does not match the expected audience.")
        if not claims.get("iat", 0) - _SKEW <= now < claims.get("exp", 0):
            raise _oauth("invalid_grant", "ID Token is stale to sign-in.")

    def _check_aws(self, token: str, audience: str) -> None:
        try:
            told = json.loads(unquote(token))
            fields = {one["key"].lower(): one["value"] for one in told["headers"]}
            url, method = urlsplit(told["url"]), told["method"]
            found = re.fullmatch(r"sts\.([a-z0-9-]+)\.amazonaws\.com", url.netloc)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise _oauth("invalid_request", "The subject token is no request of AWS.") from None
        if found is None or url.query != "Action=GetCallerIdentity&Version=2011-06-15" or method != "POST":
            raise _oauth("invalid_grant", "The request is none for the caller's identity.")
        if fields.pop("x-goog-cloud-target-resource", None) != audience:
            raise _oauth("invalid_grant", "The request was not made for this audience.")
        try:
            asked = _request(method, f"{url.path or '/'}?{url.query}", fields)
            sigv4.verify(asked, self.directory.aws, region=found[1], service="sts", now=self.directory.wall())
        except sigv4.Rejected as rejected:
            raise _oauth("invalid_grant", f"AWS: {rejected.error}.") from None

    # ---- IAM -------------------------------------------------------------------------------------------------------

    def _generated(self, call: Call, account: str) -> Reply:
        directory = self.directory
        who = directory.principal(call.bearer) or directory.principal(
            call.bearer, "https://www.googleapis.com/auth/iam"
        )
        if who is None:
            return api_error(401, "UNAUTHENTICATED", "ACCESS_TOKEN_TYPE_UNSUPPORTED")
        if who not in directory.impersonators.get(account, set()):
            return api_error(403, "PERMISSION_DENIED", "IAM_PERMISSION_DENIED")
        try:
            body = call.json
            life = int(re.fullmatch(r"([0-9]+)s", body.get("lifetime", "3600s"))[1])  # type: ignore[index]
            scopes = " ".join(body["scope"])
        except (ValueError, KeyError, TypeError, AttributeError):
            return api_error(400, "INVALID_ARGUMENT")
        json_type = call.headers.get("content-type", "").partition(";")[0] == "application/json"
        if not json_type or not scopes or not 0 < life <= 3600 or body.keys() - {"delegates", "scope", "lifetime"}:
            return api_error(400, "INVALID_ARGUMENT")
        token, _ = directory.issue(account, scopes, life)
        ends = datetime.fromtimestamp(int(directory.wall()) + life, UTC)
        return Reply(200, {"accessToken": token, "expireTime": ends.strftime("%Y-%m-%dT%H:%M:%SZ")})


def _form(call: Call) -> dict[str, str]:
    if call.headers.get("content-type", "").partition(";")[0] != _FORM:
        raise _oauth("invalid_request", "Content-Type is no form.")
    pairs = parse_qsl(call.body.decode(), keep_blank_values=True, strict_parsing=True)
    if len(dict(pairs)) != len(pairs):
        raise _oauth("invalid_request", "A member comes twice.")
    return dict(pairs)


def _request(method: str, target: str, fields: Mapping[str, str]) -> Request:
    pairs = tuple((name.encode(), value.encode()) for name, value in fields.items())
    head = Head(b"", method.encode(), target.encode(), pairs, dict(pairs), 0, False, False)
    return Request(head, b"")
