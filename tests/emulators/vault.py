"""HashiCorp Vault: five ways to log in, tokens and leases that end, key-value secrets, keys of AWS that are lent.

It refuses a call without `X-Vault-Request: true` (412), a token that ended or was taken back, a path that the token's
policies do not name (403), an unknown namespace (404), and a body whose fields are others than Vault's. A login shows
what the real one asks for: a role that binds this service account, a secret_id that has uses left, a JWT whose
signature, audience and end are right, a request to STS that is signed with keys of the bound account, and carries the
server's own header where one is set. A lease ends with the token that it was lent to.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import unquote

from jwt import PyJWTError

from llmauth.clock import Clock, SystemClock
from llmauth.demo import sigv4
from llmauth.demo.certificates import Authority
from llmauth.demo.http1 import Head, Request
from tests.emulators.service import Call, Reply, Service
from tests.emulators.trust import Trust

AUDIENCE = "vault"
_KV1_LEASE = 2764800  # 32 days, which mean nothing
_CALLER = "Action=GetCallerIdentity&Version=2011-06-15"
# What the policy `default` lets every token do.
_DEFAULT = {"auth/token/renew-self": "update", "auth/token/lookup-self": "read", "sys/leases/renew": "update"}
_CAPABILITY = {"GET": "read", "POST": "update", "PUT": "update"}
_VERSIONED = (
    "Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate API endpoints to use. "
    "If using the Vault CLI, use 'vault kv get' for this operation."
)


class Refused(Exception):
    """A call that Vault refuses: its status, and what stands in `errors`."""

    def __init__(self, status: int, *errors: str, **more: Any) -> None:
        super().__init__(status)
        self.reply = Reply(status, {"errors": list(errors), **more})


@dataclass(kw_only=True)
class Role:
    """What a login gives: policies, and a token that lives `ttl` seconds and can be renewed up to `max_ttl`.

    `binds` is who may log in: a service account `namespace/name`, the subject of a JWT, an AWS access key id.
    """

    policies: Sequence[str] = ("default",)
    ttl: float = 1200
    max_ttl: float = 86400
    renewable: bool = True
    binds: Sequence[str] = ()


@dataclass(kw_only=True)
class Token:
    """A token that was given out. `ends` is infinite for root's."""

    role: Role
    began: float
    ends: float
    namespace: str = ""


@dataclass(kw_only=True)
class Version:
    """One version of a key-value secret."""

    data: Mapping[str, Any]
    deleted: bool = False
    destroyed: bool = False


@dataclass(kw_only=True)
class Engine:
    """A path that lends: `make` gives the fields, which live `ttl` seconds and can be renewed up to `max_ttl`."""

    make: Callable[[], Mapping[str, Any]]
    ttl: float = 3600
    max_ttl: float = 7200
    renewable: bool = True
    leaseless: bool = False


@dataclass(kw_only=True)
class Lease:
    """What was lent: by whom, from when, until when."""

    engine: Engine
    token: str
    began: float
    ends: float


@dataclass
class AppRole:
    """A role with its id, and the uses that each secret_id has left (`None`: any number)."""

    role: Role
    secret_ids: dict[str, int | None] = field(default_factory=dict)


class VaultEmulator(Service):
    """`clock` is what tokens and leases end by. Mounts are `secret` (version 2), `kv` (version 1) and `aws`."""

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        tls: Sequence[str] = ("127.0.0.1",),
        authority: Authority | None = None,
        namespaces: Sequence[str] = (),
    ) -> None:
        super().__init__(tls=tls, authority=authority)
        self.clock = clock or SystemClock()
        self.namespaces = ("", *namespaces)
        self.sealed = False
        self.limited = False
        self.standby_of: str | None = None
        self.server_id: str | None = None
        self.sts_region = "us-east-1"
        self.policies: dict[str, dict[str, Sequence[str]]] = {"default": {}}
        self.kubernetes: dict[str, Role] = {}
        self.jwt: dict[str, Role] = {}
        self.trusts: Trust | None = None  # of `auth/jwt`; its own issuer (`signed_jwt`) where there is none
        self.aws: dict[str, Role] = {}
        self.approle: dict[str, AppRole] = {}
        self.service_accounts: dict[str, str] = {}
        self.aws_keys: dict[str, sigv4.Keys] = {}
        self.tokens: dict[str, Token] = {}
        self.leases: dict[str, Lease] = {}
        self.engines: dict[str, Engine] = {}
        self._kv2: dict[tuple[str, str], list[Version]] = {}
        self._kv1: dict[tuple[str, str], Mapping[str, Any]] = {}
        self._key = secrets.token_bytes(32)

    # ---- what an administrator does --------------------------------------------------------------------------------

    def allow(self, name: str, *paths: str, capabilities: Sequence[str] = ("read",)) -> None:
        """Let a policy read these paths; a `*` at the end stands for anything."""
        self.policies.setdefault(name, {}).update(dict.fromkeys(paths, capabilities))

    def token(self, role: Role | None = None, *, namespace: str = "") -> str:
        """A token of this role, as an administrator makes one; root's without a role."""
        text = f"hvs.{secrets.token_urlsafe(24)}"
        now = self.clock.wall()
        ends = now + role.ttl if role else float("inf")
        self.tokens[text] = Token(
            role=role or Role(policies=("root",), renewable=False), began=now, ends=ends, namespace=namespace
        )
        return text

    def revoke(self, token: str) -> None:
        """Take a token back, and what was lent to it."""
        del self.tokens[token]
        self.leases = {name: lease for name, lease in self.leases.items() if lease.token != token}

    def put(self, path: str, data: Mapping[str, Any], *, namespace: str = "") -> None:
        """Write `secret/llm/openai` (a new version) or `kv/llm/openai`."""
        mount, _, name = path.partition("/")
        if mount == "kv":
            self._kv1[namespace, name] = data
        else:
            self._kv2.setdefault((namespace, name), []).append(Version(data=data))

    def delete(self, path: str, *, destroy: bool = False) -> None:
        """Delete, or destroy, the newest version of `secret/llm/openai`."""
        versions = self._kv2["", path.partition("/")[2]]
        versions[-1] = replace(versions[-1], deleted=True, destroyed=destroy)

    def sts(self, role: str, *, ttl: float = 3600, leaseless: bool = False) -> None:
        """`aws/sts/{role}`: temporary keys, which nobody can renew; without a lease as version 1.13.0 gave them."""

        def make() -> Mapping[str, Any]:
            return _aws_keys("ASIA", token=f"canary-session-{secrets.token_hex(16)}", ttl=int(ttl))

        self.engines[f"aws/sts/{role}"] = Engine(make=make, ttl=ttl, max_ttl=ttl, renewable=False, leaseless=leaseless)

    def creds(self, role: str, *, ttl: float = 3600, max_ttl: float = 7200) -> None:
        """`aws/creds/{role}`: a user of IAM with keys of its own, deleted when the lease ends."""
        self.engines[f"aws/creds/{role}"] = Engine(make=lambda: _aws_keys("AKIA"), ttl=ttl, max_ttl=max_ttl)

    def service_account(self, name: str) -> str:
        """A projected token of `namespace/name`, which a TokenReview takes until it is taken out."""
        token = f"eyJ.{secrets.token_urlsafe(24)}.sig"
        self.service_accounts[token] = name
        return token

    def signed_jwt(self, subject: str, *, audience: str = AUDIENCE, life: float = 600) -> str:
        """A token of the issuer that `auth/jwt` trusts (the real ones are signed with RS256)."""
        claims = {"sub": subject, "aud": audience, "exp": self.clock.wall() + life}
        signed = f"{_unpadded(b'{"alg":"HS256"}')}.{_unpadded(json.dumps(claims).encode())}"
        return f"{signed}.{self._signature(signed)}"

    # ---- what a client meets ---------------------------------------------------------------------------------------

    def refusal(self, call: Call) -> Reply:
        return Reply(403, {"errors": ["permission denied"]})

    def answer(self, call: Call) -> Reply:
        try:
            return self._answered(call, unquote(call.path.removeprefix("/v1/")))
        except Refused as refused:
            return refused.reply

    def _answered(self, call: Call, path: str) -> Reply:
        if call.headers.get("x-vault-request") != "true":
            raise Refused(412, "missing 'X-Vault-Request' header")
        if path == "sys/health":
            status = 503 if self.sealed else 429 if self.standby_of else 200
            return Reply(status, {"initialized": True, "sealed": self.sealed, "standby": bool(self.standby_of)})
        self._check_state(call)
        if not call.path.startswith("/v1/"):
            raise Refused(404)
        if path.startswith("auth/") and path.endswith("/login"):
            return self._logged_in(path, self._body(call, "POST", "PUT"), self._namespace(call))
        token = self._authorised(call, path)
        return self._told(call, path, token)

    def _check_state(self, call: Call) -> None:
        if self.sealed:
            raise Refused(503, "Vault is sealed")
        if self.limited:
            raise Refused(429, 'request path "x": rate limit quota exceeded')
        if self.standby_of is not None:
            refused = Refused(307)
            refused.reply = Reply(307, b"", {"Location": f"{self.standby_of}{call.target}"})
            raise refused

    def _namespace(self, call: Call) -> str:
        namespace = call.headers.get("x-vault-namespace", "").strip("/")
        if namespace not in self.namespaces:
            raise Refused(404, "namespace not found")
        return namespace

    def _body(self, call: Call, *methods: str) -> Mapping[str, Any]:
        if call.method not in methods:
            raise Refused(405, "1 error occurred:\n\t* unsupported operation\n\n")
        try:
            body = json.loads(call.body or b"{}")
        except ValueError:
            raise Refused(400, "error parsing JSON") from None
        if not isinstance(body, dict):
            raise Refused(400, "error parsing JSON")
        return body

    def _authorised(self, call: Call, path: str) -> str:
        namespace, text = self._namespace(call), call.headers.get("x-vault-token", "")
        token = self._alive(text)
        if token is None or token.namespace != namespace:
            raise Refused(403, "permission denied", "invalid token")
        if not self._may(token, path, _CAPABILITY.get(call.method, "none")):
            raise Refused(403, "1 error occurred:\n\t* permission denied\n\n")
        return text

    def _alive(self, text: str) -> Token | None:
        token = self.tokens.get(text)
        if token is not None and token.ends <= self.clock.wall():
            self.revoke(text)
            return None
        return token

    def _may(self, token: Token, path: str, capability: str) -> bool:
        if "root" in token.role.policies:
            return True
        if "default" in token.role.policies and _DEFAULT.get(path) == capability:
            return True
        rules = [rule for name in token.role.policies for rule in self.policies.get(name, {}).items()]
        return any(fnmatchcase(path, pattern) and capability in allowed for pattern, allowed in rules)

    def _told(self, call: Call, path: str, token: str) -> Reply:
        if path == "auth/token/renew-self":
            self._body(call, "POST", "PUT")
            return self._renewed(token)
        if path == "auth/token/lookup-self":
            return self._about(token)
        if path == "sys/leases/renew":
            return self._lease_renewed(self._body(call, "POST", "PUT"))
        if path in self.engines:
            return self._lent(path, token)
        return self._kept(call, path)

    # ---- logins ----------------------------------------------------------------------------------------------------

    def _logged_in(self, path: str, body: Mapping[str, Any], namespace: str) -> Reply:
        methods = {
            "auth/kubernetes/login": self._by_kubernetes,
            "auth/approle/login": self._by_approle,
            "auth/jwt/login": self._by_jwt,
            "auth/aws/login": self._by_aws,
        }
        if path not in methods:
            raise Refused(403, "permission denied")
        return self._given(self.token(methods[path](body), namespace=namespace))

    def _by_kubernetes(self, body: Mapping[str, Any]) -> Role:
        role, jwt = _strings(body, "role", "jwt")
        if role not in self.kubernetes:
            raise Refused(400, f'invalid role name "{role}"')
        account = self.service_accounts.get(jwt)
        if account is None:
            raise Refused(403, "permission denied")
        if account not in self.kubernetes[role].binds:
            raise Refused(403, "service account name not authorized")
        return self.kubernetes[role]

    def _by_approle(self, body: Mapping[str, Any]) -> Role:
        role_id, secret_id = _strings(body, "role_id", "secret_id")
        found = self.approle.get(role_id)
        if found is None or secret_id not in found.secret_ids:
            raise Refused(400, "invalid role or secret ID")
        uses = found.secret_ids[secret_id]
        if uses is not None:
            found.secret_ids[secret_id] = uses - 1
            if uses == 1:
                del found.secret_ids[secret_id]
        return found.role

    def _by_jwt(self, body: Mapping[str, Any]) -> Role:
        role, jwt = _strings(body, "role", "jwt")
        if role not in self.jwt:
            raise Refused(400, f'role "{role}" could not be found')
        claims = self._own_claims(jwt) if self.trusts is None else _federated(self.trusts, jwt)
        if claims["sub"] not in self.jwt[role].binds:
            raise Refused(400, "error validating token: invalid claims")
        return self.jwt[role]

    def _own_claims(self, jwt: str) -> Mapping[str, Any]:
        signed, _, signature = jwt.rpartition(".")
        if not hmac.compare_digest(signature, self._signature(signed)):
            raise Refused(400, "error validating token: error verifying token signature")
        claims: Mapping[str, Any] = json.loads(base64.urlsafe_b64decode(signed.partition(".")[2] + "=="))
        if claims["exp"] <= self.clock.wall() or claims["aud"] != AUDIENCE:
            raise Refused(400, "error validating token: invalid claims")
        return claims

    def _by_aws(self, body: Mapping[str, Any]) -> Role:
        names = ("iam_http_request_method", "iam_request_url", "iam_request_headers", "iam_request_body", "role")
        method, url, headers, sent, role = _strings(body, *names)
        host = "sts.amazonaws.com" if self.sts_region == "us-east-1" else f"sts.{self.sts_region}.amazonaws.com"
        told = json.loads(_decoded(headers))
        fields = {name.lower(): value[0] if isinstance(value, list) else value for name, value in told.items()}
        if method != "POST" or _decoded(url) != f"https://{host}/" or _decoded(sent) != _CALLER:
            raise Refused(400, "invalid iam_request")
        if fields.get("host") != host:
            raise Refused(400, "error making upstream request: received error code 403 from STS")
        self._check_server_id(fields)
        caller = self._caller(fields)
        if role not in self.aws or caller not in self.aws[role].binds:
            raise Refused(400, f'entry for role "{role}" not found')
        return self.aws[role]

    def _check_server_id(self, fields: Mapping[str, str]) -> None:
        if self.server_id is None:
            return
        signed = fields.get("authorization", "").partition("SignedHeaders=")[2].partition(",")[0].split(";")
        if fields.get("x-vault-aws-iam-server-id") != self.server_id or "x-vault-aws-iam-server-id" not in signed:
            raise Refused(400, "error validating X-Vault-AWS-IAM-Server-ID header")

    def _caller(self, fields: Mapping[str, str]) -> str:
        """Who signed the request, as STS would tell."""
        index = {name.encode(): value.encode() for name, value in fields.items()}
        head = Head(b"", b"POST", b"/", tuple(index.items()), index, len(_CALLER), chunked=False, keep_alive=False)
        named = fields.get("authorization", "").partition("Credential=")[2].partition("/")[0]
        try:
            keys = self.aws_keys[named]
            sent = Request(head, _CALLER.encode())
            sigv4.verify(sent, keys, region=self.sts_region, service="sts", now=time.time())
        except (KeyError, sigv4.Rejected):
            raise Refused(400, "error making upstream request: received error code 403 from STS") from None
        return named

    # ---- tokens and leases -----------------------------------------------------------------------------------------

    def _given(self, text: str) -> Reply:
        token = self.tokens[text]
        auth = {
            "client_token": text,
            "accessor": hashlib.sha256(text.encode()).hexdigest()[:24],
            "policies": list(token.role.policies),
            "token_policies": list(token.role.policies),
            "metadata": {},
            "lease_duration": int(token.ends - self.clock.wall()),
            "renewable": token.role.renewable,
            "entity_id": "",
            "token_type": "service" if token.role.renewable else "batch",
            "orphan": True,
        }
        return Reply(200, _frame(auth=auth))

    def _renewed(self, text: str) -> Reply:
        token = self.tokens[text]
        if not token.role.renewable:
            raise Refused(400, "lease is not renewable")
        token.ends = min(self.clock.wall() + token.role.ttl, token.began + token.role.max_ttl)
        return self._given(text)

    def _about(self, text: str) -> Reply:
        token = self.tokens[text]
        root = token.ends == float("inf")
        ttl = 0 if root else int(token.ends - self.clock.wall())
        return Reply(200, _frame(data={"id": text, "ttl": ttl, "renewable": token.role.renewable and not root}))

    def _lent(self, path: str, token: str) -> Reply:
        engine = self.engines[path]
        data = engine.make()
        if engine.leaseless:
            return Reply(200, _frame(data=data))
        now = self.clock.wall()
        lease_id = f"{path}/{secrets.token_urlsafe(18)}"
        self.leases[lease_id] = Lease(engine=engine, token=token, began=now, ends=now + engine.ttl)
        return Reply(200, _frame(lease_id=lease_id, lease=engine.ttl, renewable=engine.renewable, data=data))

    def _lease_renewed(self, body: Mapping[str, Any]) -> Reply:
        if not set(body) <= {"lease_id", "increment"} or not isinstance(body.get("increment"), int | None):
            raise Refused(400, "error converting input")
        lease_id = str(body.get("lease_id"))
        lease = self.leases.get(lease_id)
        if lease is None or lease.ends <= self.clock.wall():
            raise Refused(400, "lease not found")
        if not lease.engine.renewable:
            raise Refused(400, "lease is not renewable")
        wanted = body.get("increment") or lease.engine.ttl
        lease.ends = min(self.clock.wall() + wanted, lease.began + lease.engine.max_ttl)
        left = lease.ends - self.clock.wall()
        return Reply(200, _frame(lease_id=lease_id, lease=left, renewable=True))

    # ---- key-value -------------------------------------------------------------------------------------------------

    def _kept(self, call: Call, path: str) -> Reply:
        namespace = call.headers.get("x-vault-namespace", "").strip("/")
        mount, _, name = path.partition("/")
        if mount not in ("secret", "kv", "aws"):
            raise Refused(404, f'no handler for route "{path}". route entry not found.')
        if mount == "aws":
            raise Refused(400, f"Role '{name.rpartition('/')[2]}' not found")
        if call.method != "GET":
            raise Refused(405, "unsupported operation")
        if mount == "kv":
            if (namespace, name) not in self._kv1:
                raise Refused(404)
            return Reply(200, _frame(lease=_KV1_LEASE, data=self._kv1[namespace, name]))
        if not name.startswith("data/"):
            raise Refused(404, warnings=[_VERSIONED])
        return self._version(self._kv2.get((namespace, name.removeprefix("data/")), []))

    def _version(self, versions: Sequence[Version]) -> Reply:
        if not versions:
            raise Refused(404)
        newest = versions[-1]
        metadata = {
            "created_time": "2027-01-15T08:00:00.0Z",
            "custom_metadata": None,
            "deletion_time": "2027-01-15T09:00:00.0Z" if newest.deleted else "",
            "destroyed": newest.destroyed,
            "version": len(versions),
        }
        data = None if newest.deleted else newest.data
        return Reply(404 if newest.deleted else 200, _frame(data={"data": data, "metadata": metadata}))

    def _signature(self, signed: str) -> str:
        return _unpadded(hmac.digest(self._key, signed.encode(), hashlib.sha256))


def _aws_keys(prefix: str, token: str | None = None, **more: Any) -> Mapping[str, Any]:
    """Keys as the engine names them; both names of the session token are null for a user's keys."""
    return {
        "access_key": prefix + secrets.token_hex(8).upper(),
        "secret_key": f"canary-secret-{secrets.token_hex(16)}",
        "security_token": token,
        "session_token": token,
        **more,
    }


def _frame(
    *,
    lease_id: str = "",
    lease: float = 0,
    renewable: bool = False,
    data: Any = None,
    auth: Any = None,
) -> Mapping[str, Any]:
    """What every answer of Vault looks like."""
    return {
        "request_id": secrets.token_hex(8),
        "lease_id": lease_id,
        "renewable": renewable,
        "lease_duration": int(lease),
        "data": data,
        "wrap_info": None,
        "warnings": None,
        "auth": auth,
    }


def _federated(trusts: Trust, token: str) -> Mapping[str, Any]:
    try:
        return trusts.claims(token, AUDIENCE)
    except PyJWTError:
        raise Refused(400, "error validating token: invalid claims") from None


def _strings(body: Mapping[str, Any], *names: str) -> list[str]:
    """These fields of a body, which has no others."""
    if set(body) != set(names) or not all(isinstance(value, str) and value for value in body.values()):
        raise Refused(400, f"missing {' or '.join(names)}")
    return [str(body[name]) for name in names]


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise Refused(400, "failed to base64 decode") from None


def _unpadded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
