"""AWS's Security Token Service: roles by a web identity, roles by keys, and who somebody is.

It refuses a web identity whose signature, issuer, audience (`sts.amazonaws.com`) or end is wrong, a role that does not
trust the subject, a call with keys whose signature is not right for this region (by the bytes on the wire), an external
id that is not the role's, and every parameter whose form is. A presigned GET is verified by the same bytes: each of its
parameters once, 15 minutes at most, every `x-amz-` field signed, and every signed field sent. Who asks for JSON is
answered in JSON.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import jwt

from llmauth.demo import sigv4
from llmauth.demo.certificates import Authority
from llmauth.demo.http1 import Head, Request
from tests.emulators.service import Call, Reply, Service
from tests.emulators.trust import Trust

ISSUER = "https://oidc.eks.eu-west-1.amazonaws.com/id/0123456789ABCDEF"
AUDIENCE = "sts.amazonaws.com"
VERSION = "2011-06-15"
_SESSION = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)
_KEY_ID = re.compile(r"Credential=([^/]+)/")
_XML = {"Content-Type": "text/xml"}


@dataclass(frozen=True, kw_only=True)
class Role:
    """`subjects` are the service accounts that may have it, `roles` the roles, which have to show `external_id`."""

    subjects: Sequence[str] = ()
    roles: Sequence[str] = ()
    external_id: str | None = None


class Refused(Exception):
    """A call that STS refuses: its status, and its code."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code


class Sts(Service):
    """`roles` are those that there are, by ARN; `region` is whose endpoint it is; `life` what its keys live.

    `trusts` is the provider of identities, which is a cluster of its own (`token`) where none is named.
    """

    def __init__(
        self,
        roles: Mapping[str, Role],
        *,
        region: str = "us-east-1",
        life: float = 3600,
        tls: Sequence[str] = (),
        authority: Authority | None = None,
        trusts: Trust | None = None,
    ) -> None:
        super().__init__(tls=tls, authority=authority)
        self.trusts = trusts
        self.roles = dict(roles)
        self.region = region
        self.life = life
        self.ends = 0.0
        self.issued: dict[str, tuple[sigv4.Keys, str]] = {}
        self._key = secrets.token_bytes(32)

    def token(self, subject: str, *, audience: str = AUDIENCE, issuer: str = ISSUER, life: float = 3600) -> str:
        """A web identity, as a cluster projects it into a pod (the real ones are signed with RS256)."""
        now = time.time()
        claims = {"sub": subject, "aud": [audience], "iss": issuer, "iat": now, "exp": now + life}
        signed = f"{_base64({'alg': 'HS256', 'typ': 'JWT'})}.{_base64(claims)}"
        return f"{signed}.{self._signature(signed)}"

    def keys_for(self, role: str) -> sigv4.Keys:
        """Keys of a role, as an agent or an earlier call would have given them."""
        number = len(self.issued)
        keys = sigv4.Keys(
            access_key_id=f"ASIASTS{number:09d}",
            secret_access_key=f"canary-secret-{secrets.token_hex(8)}",
            session_token=f"canary-token/{secrets.token_hex(32)}==",
        )
        self.issued[keys.access_key_id] = (keys, role)
        return keys

    def refusal(self, call: Call) -> Reply:
        return _error(403, "AccessDenied", call)

    def answer(self, call: Call) -> Reply:
        try:
            return self._answered(call)
        except Refused as refused:
            return _error(refused.status, refused.code, call)
        except sigv4.Rejected as rejected:
            code = "SignatureDoesNotMatch" if "Signature" in rejected.error else "InvalidClientTokenId"
            return _error(403, code, call)

    def _answered(self, call: Call) -> Reply:
        form = call.form if call.method == "POST" else call.query
        if call.path != "/" or form.get("Version") != VERSION:
            raise Refused(400, "InvalidAction")
        action = form.get("Action", "")
        if action == "AssumeRoleWithWebIdentity":
            return self._given(action, self._by_web_identity(form))
        if action == "AssumeRole":
            return self._given(action, self._by_role(form, self._caller(call)))
        if action == "GetCallerIdentity":
            return _identity(self._caller(call), call)
        raise Refused(400, "InvalidAction")

    def _by_web_identity(self, form: Mapping[str, str]) -> str:
        claims = self._claims(form.get("WebIdentityToken", ""))
        role = self._role(form)
        if claims["sub"] not in self.roles[role].subjects:
            raise Refused(403, "AccessDenied")
        return role

    def _claims(self, token: str) -> Mapping[str, Any]:
        if self.trusts is not None:
            return _federated(self.trusts, token)
        signed, _, signature = token.rpartition(".")
        if signed.count(".") != 1 or not hmac.compare_digest(signature, self._signature(signed)):
            raise Refused(400, "InvalidIdentityToken")
        payload = signed.partition(".")[2]
        claims: Mapping[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=="))
        if claims["iss"] != ISSUER or AUDIENCE not in claims["aud"]:
            raise Refused(400, "InvalidIdentityToken")
        if claims["exp"] <= time.time():
            raise Refused(400, "ExpiredTokenException")
        return claims

    def _by_role(self, form: Mapping[str, str], caller: str) -> str:
        role = self._role(form)
        if caller not in self.roles[role].roles or form.get("ExternalId") != self.roles[role].external_id:
            raise Refused(403, "AccessDenied")
        return role

    def _role(self, form: Mapping[str, str]) -> str:
        role = form.get("RoleArn", "")
        if not role.startswith("arn:aws") or not _SESSION.fullmatch(form.get("RoleSessionName", "")):
            raise Refused(400, "ValidationError")
        # Whether a role exists is nobody's business who may not have it.
        if role not in self.roles:
            raise Refused(403, "AccessDenied")
        return role

    def _caller(self, call: Call) -> str:
        if "X-Amz-Signature" in call.query:
            return self._presigner(call)
        named = _KEY_ID.search(call.headers.get("authorization", ""))
        if named is None:
            raise Refused(403, "MissingAuthenticationToken")
        if named[1] not in self.issued:
            raise Refused(403, "InvalidClientTokenId")
        keys, role = self.issued[named[1]]
        sigv4.verify(_request(call), keys, region=self.region, service="sts", now=time.time())
        return role

    def _presigner(self, call: Call) -> str:
        query = call.query
        if len(query) != call.target.count("=") or query.get("X-Amz-Algorithm") != "AWS4-HMAC-SHA256":
            raise Refused(400, "IncompleteSignature")
        key, _, scope = query.get("X-Amz-Credential", "").partition("/")
        if key not in self.issued:
            raise Refused(403, "InvalidClientTokenId")
        keys, role = self.issued[key]
        stamp, signed = query.get("X-Amz-Date", ""), query.get("X-Amz-SignedHeaders", "")
        if query.get("X-Amz-Security-Token") != keys.session_token:
            raise Refused(403, "InvalidClientTokenId")
        if scope != f"{stamp[:8]}/{self.region}/sts/aws4_request" or not _covers(call, signed.split(";")):
            raise Refused(403, "SignatureDoesNotMatch")
        begins = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
        if not begins - 300 <= time.time() < begins + min(900, int(query.get("X-Amz-Expires", "0"))):
            raise Refused(403, "SignatureDoesNotMatch")
        path, _, text = call.target.partition("?")
        unsigned = "&".join(pair for pair in text.split("&") if not pair.startswith("X-Amz-Signature="))
        canonical = sigv4.canonical_request(
            _request(replace(call, target=f"{path}?{unsigned}")), signed, hashlib.sha256(call.body).hexdigest()
        )
        wanted = sigv4.signature(keys.secret_access_key, scope, stamp, canonical)
        if not hmac.compare_digest(wanted, query["X-Amz-Signature"]):
            raise Refused(403, "SignatureDoesNotMatch")
        return role

    def _given(self, action: str, role: str) -> Reply:
        keys = self.keys_for(role)
        self.ends = float(int(time.time() + self.life))
        ends = datetime.fromtimestamp(self.ends, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        inside = (
            f"<Credentials><AccessKeyId>{keys.access_key_id}</AccessKeyId>"
            f"<SecretAccessKey>{keys.secret_access_key}</SecretAccessKey>"
            f"<SessionToken>{keys.session_token}</SessionToken><Expiration>{ends}</Expiration></Credentials>"
        )
        return Reply(200, _document(action, inside), _XML)

    def _signature(self, signed: str) -> str:
        return _unpadded(hmac.digest(self._key, signed.encode(), hashlib.sha256))


def _federated(trusts: Trust, token: str) -> Mapping[str, Any]:
    try:
        return trusts.claims(token, AUDIENCE)
    except jwt.ExpiredSignatureError:
        raise Refused(400, "ExpiredTokenException") from None
    except jwt.PyJWTError:
        raise Refused(400, "InvalidIdentityToken") from None


def _request(call: Call) -> Request:
    index = {name.encode(): value.encode("latin-1") for name, value in call.headers.items()}
    head = Head(
        raw=b"",
        method=call.method.encode(),
        target=call.target.encode(),
        fields=tuple(index.items()),
        index=index,
        length=len(call.body),
        chunked=False,
        keep_alive=False,
    )
    return Request(head, call.body)


def _document(action: str, inside: str) -> bytes:
    namespace = f"https://sts.amazonaws.com/doc/{VERSION}/"
    return (
        f'<{action}Response xmlns="{namespace}"><{action}Result>{inside}</{action}Result></{action}Response>'
    ).encode()


def _covers(call: Call, signed: Sequence[str]) -> bool:
    must = {"host"} | {name for name in call.headers if name.startswith("x-amz-")}
    return signed == sorted(set(signed)) and must <= set(signed) <= call.headers.keys()


def _identity(arn: str, call: Call) -> Reply:
    facts = {"Arn": arn, "UserId": "AROACANARY7F3A:session", "Account": arn.split(":")[4]}
    if _wants_json(call):
        told = {"GetCallerIdentityResult": facts, "ResponseMetadata": {"RequestId": "0"}}
        return Reply(200, {"GetCallerIdentityResponse": told})
    inside = "".join(f"<{name}>{value}</{name}>" for name, value in facts.items())
    return Reply(200, _document("GetCallerIdentity", inside), _XML)


def _wants_json(call: Call | None) -> bool:
    return call is not None and call.headers.get("accept", "").startswith("application/json")


def _error(status: int, code: str, call: Call | None = None) -> Reply:
    if _wants_json(call):
        told = {"Error": {"Type": "Sender", "Code": code, "Message": "canary-7f3a"}, "RequestId": "0"}
        return Reply(status, told)
    text = f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>canary-7f3a</Message></Error>"
    return Reply(status, f"{text}<RequestId>0</RequestId></ErrorResponse>".encode(), _XML)


def _base64(claims: Mapping[str, Any]) -> str:
    return _unpadded(json.dumps(claims).encode())


def _unpadded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
