"""The API server of a cluster, as far as secrets and service accounts go: who asks, what they may, and its refusals.

It checks what the real one checks. Connections are TLS by the cluster's own authority, for 127.0.0.1. A bearer token
must be a JWT that this server signed with a key it still has, for its audience, not ended, and of a service account
that exists; any other is 401. A client certificate must be of the cluster's client authority (the real server refuses
an expired one with 401, this one in the handshake); its CN is the user and its O the groups. Who shows neither is
`system:anonymous`. What somebody may is told by rules with verb, resource, namespace and names; all else is 403.
Refusals are `Status` objects with the real messages.

Served: secrets (get, list, create, replace, delete; a stale resourceVersion is a 409), TokenRequest (audiences, at
least 600 s, a bound pod whose uid must fit), TokenReview (audiences, users, groups, pods), the OpenID documents of its
issuer, `/version`; in JSON alone. Time is `now`, so that tokens end when a test says so.
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import re
import secrets
import ssl
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from http.server import BaseHTTPRequestHandler
from typing import Any, Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from llmauth.demo.certificates import Authority
from tests.emulators.service import Call, Reply, Service, _handler

ISSUER = "https://kubernetes.default.svc.cluster.local"
MASTERS = "system:masters"
_SHORTEST = 600  # "may not specify a duration less than 10 minutes"

_SECRET = re.compile(r"/api/v1/namespaces/([^/]+)/secrets(?:/([^/]+))?")
_TOKEN_REQUEST = re.compile(r"/api/v1/namespaces/([^/]+)/serviceaccounts/([^/]+)/token")
_TOKEN_REVIEW = "/apis/authentication.k8s.io/v1/tokenreviews"


@dataclass(frozen=True, slots=True)
class User:
    """Who asks."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rule:
    """What a subject (a user or a group) may; no `names` means all of them, no `namespace` means everywhere."""

    subject: str
    verb: str
    resource: str
    namespace: str | None = None
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Kept:
    """A Secret in the store."""

    data: Mapping[str, bytes]
    version: int
    uid: str


class Refused(Exception):
    """An answer that is a Status."""

    def __init__(self, code: int, reason: str, message: str, details: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        body: dict[str, Any] = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
        body |= {"message": message, "reason": reason, "code": code}
        self.reply = Reply(code, body | ({"details": dict(details)} if details else {}))


ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))


class KubernetesApi(Service):
    """`with KubernetesApi() as api:`, then accounts, tokens, rules and secrets as a test needs them."""

    def __init__(self, *, now: Callable[[], float] = time.time, issuer: str = ISSUER) -> None:
        super().__init__(tls=("127.0.0.1",))
        self.now = now
        self.issuer = issuer
        self.clients = Authority.create()
        self.rules: list[Rule] = []
        # The real server answers reviews without audiences of its own knowledge so; its callers have to mind it.
        self.knows_audiences = True
        self._accounts: dict[tuple[str, str], str] = {}
        self._gone: set[str] = set()
        self._kept: dict[tuple[str, str], Kept] = {}
        self._version = 1000
        self._keys: dict[str, rsa.RSAPrivateKey] = {}
        self._peer = threading.local()
        self._store = threading.Lock()
        self.new_signing_key()

    # ---- what a test arranges --------------------------------------------------------------------------------------

    def account(self, namespace: str, name: str) -> str:
        """A service account, made if it is not there; its user name."""
        self._accounts.setdefault((namespace, name), str(uuid.uuid4()))
        return f"system:serviceaccount:{namespace}:{name}"

    def delete_account(self, namespace: str, name: str) -> None:
        """Its tokens are void from now on."""
        del self._accounts[namespace, name]

    def delete_pod(self, name: str) -> None:
        """Tokens that are bound to it are void from now on."""
        self._gone.add(name)

    def token(
        self,
        namespace: str,
        account: str,
        *,
        life: float = 3600,
        audiences: Sequence[str] | None = None,
        pod: str | None = None,
    ) -> str:
        """A token of a service account, made if it is not there, as kubelet would mount it."""
        user = self.account(namespace, account)
        begins = int(self.now())
        about: dict[str, Any] = {
            "namespace": namespace,
            "serviceaccount": {"name": account, "uid": self._accounts[namespace, account]},
        }
        if pod is not None:
            about["pod"] = {"name": pod, "uid": str(uuid.uuid5(uuid.NAMESPACE_DNS, pod))}
        claims = {
            "aud": list(audiences or [self.issuer]),
            "exp": int(begins + life),
            "iat": begins,
            "nbf": begins,
            "iss": self.issuer,
            "jti": str(uuid.uuid4()),
            "kubernetes.io": about,
            "sub": user,
        }
        return self.signed(claims)

    def signed(self, claims: Mapping[str, Any], **header: str) -> str:
        """Any claims as a token of this cluster, to see what becomes of them."""
        kid, key = next(reversed(self._keys.items()))
        head = {"alg": "RS256", "kid": kid, **header}
        text = f"{_encoded(head)}.{_encoded(claims)}"
        return f"{text}.{_b64(key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))}"

    def new_signing_key(self, *, keep: bool = False) -> None:
        """Sign with a new key; the tokens of the old one are void unless it is kept."""
        if not keep:
            self._keys.clear()
        self._keys[secrets.token_hex(8)] = _signing_key(next(_turn) % _SIGNING_KEYS)

    def certificate(self, user: str, *groups: str, expired: bool = False) -> tuple[str, str]:
        """A client certificate and its key, both PEM, as minikube writes them into a kubeconfig."""
        key = ec.generate_private_key(ec.SECP256R1())
        now, day = datetime.now(UTC), timedelta(days=1)
        name = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([*name, x509.NameAttribute(NameOID.COMMON_NAME, user)]))
            .issuer_name(self.clients.certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 2 * day)
            .not_valid_after(now - day if expired else now + day)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        )
        signed = builder.sign(self.clients.key, hashes.SHA256())
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
        return signed.public_bytes(serialization.Encoding.PEM).decode(), pem.decode()

    def allow(self, subject: str, verb: str, resource: str, namespace: str | None = None, *names: str) -> None:
        """Bind a role with one rule."""
        self.rules.append(Rule(subject, verb, resource, namespace, names))

    def keep(self, namespace: str, name: str, **data: str | bytes) -> str:
        """Put a Secret there, or another in its place; its resourceVersion."""
        with self._store:
            return str(
                self._put(namespace, name, {k: v.encode() if isinstance(v, str) else v for k, v in data.items()})
            )

    def remove(self, namespace: str, name: str) -> None:
        """Delete a Secret."""
        del self._kept[namespace, name]

    # ---- connections ----------------------------------------------------------------------------------------------

    def start(self) -> Self:
        """Listen, and ask who connects for a certificate that nobody has to have."""
        super().start()
        assert self._server is not None
        assert isinstance(self._server.socket, ssl.SSLSocket)
        context = self._server.socket.context
        context.load_verify_locations(cadata=self.clients.pem.decode())
        context.verify_mode = ssl.CERT_OPTIONAL
        self._server.RequestHandlerClass = _remembering(_handler(self), self._peer)
        return self

    def refusal(self, call: Call) -> Reply:
        """As to somebody who has no role."""
        return Refused(403, "Forbidden", 'User "canary-7f3a" cannot get resource "secrets"').reply

    # ---- who may what ----------------------------------------------------------------------------------------------

    def answer(self, call: Call) -> Reply:
        try:
            return self._answered(call, self._user(call))
        except Refused as refused:
            return refused.reply

    def _user(self, call: Call) -> User:
        subject = getattr(self._peer, "subject", None)
        if subject is not None:
            return _with_all(subject)
        if "authorization" not in call.headers:
            return ANONYMOUS
        # Of any case, as RFC 9110, 11.1 has it; the official client writes `bearer`.
        kind, _, token = call.headers["authorization"].partition(" ")
        user, _ = self._token_user(token, [self.issuer]) if kind.lower() == "bearer" else (None, "")
        if user is None:
            raise Refused(401, "Unauthorized", "Unauthorized")
        return user

    def _token_user(self, token: str, audiences: Sequence[str]) -> tuple[User | None, str]:
        """The user of a token that is good for one of these audiences; else the server's reason against it."""
        claims = self._claims(token)
        if claims is None:
            return None, "invalid bearer token"
        if not set(claims["aud"]) & set(audiences):
            return None, "token audiences are invalid for the target audiences"
        if not claims["nbf"] <= self.now() < claims["exp"]:
            return None, "service account token has expired"
        about = claims["kubernetes.io"]
        account = about["serviceaccount"]
        if self._accounts.get((about["namespace"], account["name"])) != account["uid"]:
            return None, "service account has been deleted"
        pod = about.get("pod", {})
        if pod.get("name") in self._gone:
            return None, "service account token has been invalidated"
        extra = {f"authentication.kubernetes.io/pod-{name}": [value] for name, value in pod.items()}
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{about['namespace']}")
        return _with_all(User(claims["sub"], groups, account["uid"], extra)), ""

    def _claims(self, token: str) -> Mapping[str, Any] | None:
        try:
            head, body, signature = token.split(".")
            header, claims = json.loads(_unb64(head)), json.loads(_unb64(body))
            key = self._keys[header["kid"]].public_key()
            key.verify(_unb64(signature), f"{head}.{body}".encode(), padding.PKCS1v15(), hashes.SHA256())
        except (ValueError, KeyError, TypeError, InvalidSignature):
            return None
        known = header["alg"] == "RS256" and isinstance(claims, dict) and claims.get("iss") == self.issuer
        return claims if known and _is_whole(claims) else None

    def _check(
        self, user: User, verb: str, resource: str, namespace: str = "", name: str = "", group: str = ""
    ) -> None:
        subjects = {user.name, *user.groups}
        for rule in self.rules:
            fits = rule.subject in subjects and (rule.verb, rule.resource) == (verb, resource)
            if fits and rule.namespace in (None, namespace) and (not rule.names or name in rule.names):
                return
        if MASTERS in user.groups:
            return
        what = f'{resource} "{name}" is' if name else f"{resource} is"
        where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
        dotted = f"{resource.partition('/')[0]}.{group}" + (f"/{resource.partition('/')[2]}" if "/" in resource else "")
        what = what.replace(resource, dotted) if group else what
        message = (
            f'{what} forbidden: User "{user.name}" cannot {verb} resource "{resource}" in API group "{group}" {where}'
        )
        raise Refused(403, "Forbidden", message, {"name": name, "kind": resource} if name else {"kind": resource})

    # ---- what is served --------------------------------------------------------------------------------------------

    def _answered(self, call: Call, user: User) -> Reply:
        if not re.search(r"application/(json|jwk-set\+json|\*)|\*/\*", call.headers.get("accept", "*/*")):
            raise Refused(406, "NotAcceptable", "only the following media types are accepted: application/json")
        if found := _SECRET.fullmatch(call.path):
            return self._secrets(call, user, found[1], found[2])
        if found := _TOKEN_REQUEST.fullmatch(call.path):
            return self._token_request(call, user, found[1], found[2])
        if call.path == _TOKEN_REVIEW:
            return self._token_review(call, user)
        if call.path.rstrip("/") == "/version":
            version = {"major": "1", "minor": "34", "gitVersion": "v1.34.1", "gitCommit": "0" * 40}
            version |= {"gitTreeState": "clean", "buildDate": "2026-01-01T00:00:00Z", "goVersion": "go1.25"}
            return Reply(200, version | {"compiler": "gc", "platform": "linux/amd64"})
        if call.path in ("/.well-known/openid-configuration", "/openid/v1/jwks"):
            return self._openid(call, user)
        return Reply(404, b"404 page not found\n", {"Content-Type": "text/plain; charset=utf-8"})

    def _secrets(self, call: Call, user: User, namespace: str, name: str | None) -> Reply:
        verbs = {"GET": "get" if name else "list", "POST": "create", "PUT": "update", "DELETE": "delete"}
        verb = verbs.get(call.method)
        if verb is None or bool(name) == (verb in ("list", "create")):
            raise Refused(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
        self._check(user, verb, "secrets", namespace, name or "")
        with self._store:
            if verb == "list":
                names = sorted(kept for where, kept in self._kept if where == namespace)
                items = [self._shown(namespace, one) for one in names]
                metadata = {"resourceVersion": str(self._version)}
                return Reply(200, {"kind": "SecretList", "apiVersion": "v1", "metadata": metadata, "items": items})
            if verb == "create":
                return Reply(201, self._created(call, namespace))
            assert name is not None
            if (namespace, name) not in self._kept:
                details = {"name": name, "kind": "secrets"}
                raise Refused(404, "NotFound", f'secrets "{name}" not found', details)
            if verb == "delete":
                self.remove(namespace, name)
                return Reply(200, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"})
            if verb == "update":
                self._replace(call, namespace, name)
            return Reply(200, self._shown(namespace, name))

    def _created(self, call: Call, namespace: str) -> Mapping[str, Any]:
        told = _body(call, "Secret", "v1")
        name = str(told.get("metadata", {}).get("name"))
        if (namespace, name) in self._kept:
            details = {"name": name, "kind": "secrets"}
            raise Refused(409, "AlreadyExists", f'secrets "{name}" already exists', details)
        self._put(namespace, name, _data(told))
        return self._shown(namespace, name)

    def _replace(self, call: Call, namespace: str, name: str) -> None:
        told = _body(call, "Secret", "v1")
        version = told.get("metadata", {}).get("resourceVersion")
        if version not in (None, str(self._kept[namespace, name].version)):
            again = "the object has been modified; please apply your changes to the latest version and try again"
            message = f'Operation cannot be fulfilled on secrets "{name}": {again}'
            raise Refused(409, "Conflict", message, {"name": name, "kind": "secrets"})
        self._put(namespace, name, _data(told))

    def _put(self, namespace: str, name: str, data: Mapping[str, bytes]) -> int:
        self._version += 1
        before = self._kept.get((namespace, name))
        self._kept[namespace, name] = Kept(data, self._version, before.uid if before else str(uuid.uuid4()))
        return self._version

    def _shown(self, namespace: str, name: str) -> Mapping[str, Any]:
        kept = self._kept[namespace, name]
        metadata = {"name": name, "namespace": namespace, "uid": kept.uid, "resourceVersion": str(kept.version)}
        shown = {"kind": "Secret", "apiVersion": "v1", "metadata": metadata, "type": "Opaque"}
        # The real one leaves the field out where there is nothing in it.
        data = {key: base64.b64encode(value).decode() for key, value in kept.data.items()}
        return shown | ({"data": data} if data else {})

    def _token_request(self, call: Call, user: User, namespace: str, account: str) -> Reply:
        self._check(user, "create", "serviceaccounts/token", namespace, account)
        told = _body(call, "TokenRequest", "authentication.k8s.io/v1")
        if (namespace, account) not in self._accounts:
            details = {"name": account, "kind": "serviceaccounts"}
            raise Refused(404, "NotFound", f'serviceaccounts "{account}" not found', details)
        spec = told.get("spec", {})
        life = spec.get("expirationSeconds") or 3600
        if life < _SHORTEST:
            message = "spec.expirationSeconds: Invalid value: may not specify a duration less than 10 minutes"
            raise Refused(422, "Invalid", f'TokenRequest.authentication.k8s.io "" is invalid: {message}')
        bound = spec.get("boundObjectRef") or {}
        pod = bound.get("name") if bound.get("kind") == "Pod" else None
        if pod is not None and bound.get("uid") not in (None, str(uuid.uuid5(uuid.NAMESPACE_DNS, pod))):
            message = f"the UID in the bound object reference ({bound['uid']}) does not match the UID in record"
            raise Refused(409, "Conflict", f'Operation cannot be fulfilled on Pod "{pod}": {message}')
        token = self.token(namespace, account, life=life, audiences=spec.get("audiences"), pod=pod)
        ends = datetime.fromtimestamp(int(self.now()) + life, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        status = {"token": token, "expirationTimestamp": ends}
        spec = {"audiences": spec.get("audiences") or [self.issuer], "expirationSeconds": life}
        return Reply(
            201, {**told, "metadata": {"name": account, "namespace": namespace}, "spec": spec, "status": status}
        )

    def _token_review(self, call: Call, user: User) -> Reply:
        if call.method != "POST":
            raise Refused(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
        self._check(user, "create", "tokenreviews", group="authentication.k8s.io")
        told = _body(call, "TokenReview", "authentication.k8s.io/v1")
        spec = told.get("spec", {})
        if not spec.get("token"):
            raise Refused(400, "BadRequest", "token is required for TokenReview in authentication")
        wanted = spec.get("audiences") or [self.issuer]
        reviewed, why = self._token_user(spec["token"], wanted if self.knows_audiences else [self.issuer])
        status: dict[str, Any]
        if reviewed is None:
            status = {"user": {}, "error": f"[{why}]"}
        else:
            who = {"username": reviewed.name, "uid": reviewed.uid, "groups": list(reviewed.groups)}
            status = {"authenticated": True, "user": who | ({"extra": dict(reviewed.extra)} if reviewed.extra else {})}
            if self.knows_audiences:
                meant = (self._claims(spec["token"]) or {})["aud"]
                status["audiences"] = [audience for audience in wanted if audience in meant]
        return Reply(201, {**told, "metadata": {}, "status": status})

    def _openid(self, call: Call, user: User) -> Reply:
        if "system:authenticated" not in user.groups:  # as system:service-account-issuer-discovery binds it
            raise Refused(403, "Forbidden", f'forbidden: User "{user.name}" cannot get path "{call.path}"')
        if call.path == "/openid/v1/jwks":
            keys = [_jwk(kid, key) for kid, key in self._keys.items()]
            return Reply(200, {"keys": keys}, {"Content-Type": "application/jwk-set+json"})
        document: dict[str, Any] = {"issuer": self.issuer, "jwks_uri": f"{self.url}/openid/v1/jwks"}
        document |= {"response_types_supported": ["id_token"], "subject_types_supported": ["public"]}
        return Reply(200, document | {"id_token_signing_alg_values_supported": ["RS256"]})


# To make one takes a tenth of a second, and most tests have a cluster of their own. They are taken in turn, so that
# clusters that stand side by side, and the keys before and after a rotation, are different ones.
_SIGNING_KEYS = 8
_turn = itertools.count()


@cache
def _signing_key(number: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _is_whole(claims: Mapping[str, Any]) -> bool:
    """Whether the claims are of the types that the real server reads them into."""
    numbers = all(type(claims.get(name)) in (int, float) and abs(claims[name]) < 2**63 for name in ("nbf", "exp"))
    aud, about = claims.get("aud"), claims.get("kubernetes.io")
    account = about.get("serviceaccount") if isinstance(about, dict) else None
    texts = isinstance(aud, list) and all(isinstance(each, str) for each in aud) and isinstance(claims.get("sub"), str)
    if not (numbers and texts and isinstance(about, dict) and isinstance(account, dict)):
        return False
    whole = {"name", "uid"} <= account.keys() and "namespace" in about
    return whole and claims["sub"] == f"system:serviceaccount:{about['namespace']}:{account['name']}"


def _with_all(user: User) -> User:
    return User(user.name, (*user.groups, "system:authenticated"), user.uid, user.extra)


def _remembering(handler: type[BaseHTTPRequestHandler], peer: threading.local) -> type[BaseHTTPRequestHandler]:
    """The same, which notes in its thread whose certificate its connection has."""

    class Remembering(handler):  # type: ignore[misc, valid-type]
        def handle(self) -> None:
            with contextlib.suppress(OSError):
                self.connection.do_handshake()
                peer.subject = _subject(self.connection.getpeercert() or {})
                super().handle()

    return Remembering


def _subject(certificate: Mapping[str, Any]) -> User | None:
    pairs = [pair for group in certificate.get("subject", ()) for pair in group]
    names = [value for name, value in pairs if name == "commonName"]
    groups = tuple(value for name, value in pairs if name == "organizationName")
    return User(names[0], groups) if names else None


def _body(call: Call, kind: str, version: str) -> dict[str, Any]:
    """The object that was sent: JSON, as it is taken for where no media type is told; of the path's own kind."""
    if call.headers.get("content-type", "application/json").partition(";")[0] != "application/json":
        raise Refused(415, "UnsupportedMediaType", "the body of the request was in an unknown format")
    try:
        told = call.json
    except ValueError:
        raise Refused(400, "BadRequest", "the object provided is unrecognized") from None
    # A typed endpoint fills in what is left out, and refuses what is another.
    if not isinstance(told, dict) or told.get("kind", kind) != kind or told.get("apiVersion", version) != version:
        raise Refused(400, "BadRequest", f"the object provided is no {kind} of {version}")
    return {"kind": kind, "apiVersion": version, **told}


def _data(told: Mapping[str, Any]) -> Mapping[str, bytes]:
    try:
        data = {key: base64.b64decode(value, validate=True) for key, value in (told.get("data") or {}).items()}
    except (ValueError, TypeError):
        raise Refused(400, "BadRequest", "illegal base64 data in a field of data") from None
    return data | {key: value.encode() for key, value in (told.get("stringData") or {}).items()}


def _jwk(kid: str, key: rsa.RSAPrivateKey) -> Mapping[str, str]:
    numbers = key.public_key().public_numbers()
    n = _b64(numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8))
    return {"use": "sig", "kty": "RSA", "kid": kid, "alg": "RS256", "n": n, "e": "AQAB"}


def _encoded(value: Mapping[str, Any]) -> str:
    return _b64(json.dumps(value).encode())


def _b64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
