"""Where Oracle's cloud gives identities: metadata service, federation endpoint, and the token service of OKE.

The metadata service: `Authorization: Bearer Oracle`, no `X-Forwarded-For`. Federation (`POST /v1/x509`): the chain up
to our own CA and its dates, the signature by the leaf's key, its coverage, key id, date (five minutes) and digest, the
tenancy. OKE (`POST /resourcePrincipalSessionTokens`): a pod's token that this cluster gave and that has not ended, and
a public key of the right size. The tokens they give name the session's key; `check` verifies what is signed with it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_public_key,
)
from cryptography.x509.oid import NameOID

from tests.emulators.service import Call, Reply, Service

REGION = "eu-frankfurt-1"
DOMAIN = "oraclecloud.com"
TENANCY = "ocid1.tenancy.oc1..aaaaaaaaemulated"
OKE_HOST = "10.96.0.1"

_PARAMETERS = re.compile(r'([A-Za-z]+)="([^"]*)"')
_FEDERATION = ("date", "(request-target)", "content-length", "content-type", "x-content-sha256")
_ALWAYS = ("date", "(request-target)", "host")
_KEY_ID = re.compile(r"[0-9a-f]{32}(/[0-9a-f]{32}){2}")
_SKEW = 300


class Rejected(Exception):
    """A call that Oracle would refuse, and why."""


def wide_key() -> rsa.RSAPrivateKey:
    """A key of the size that Oracle uses."""
    return rsa.generate_private_key(65537, 2048)


@dataclass
class Realm:
    """What Oracle's identity services share: their CA, the key that signs tokens, what they gave, and the time.

    `life` is how long a session token is good, in seconds.
    """

    tenancy: str = TENANCY
    life: int = 1200
    wall: Callable[[], float] = time.time
    root: Issued = field(init=False)
    intermediate: Issued = field(init=False)
    leaf: Issued = field(init=False)
    signing: rsa.RSAPrivateKey = field(default_factory=wide_key)
    pod_tokens: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.root = Issued.under(None, "Emulated PKISVC CA")
        self.intermediate = Issued.under(self.root, "Emulated PKISVC Intermediate")
        self.rotate()

    def rotate(self, *, subject: str | None = None, expired: bool = False) -> None:
        """Give the instance another certificate, with another key."""
        subject = f"opc-tenant:{self.tenancy}" if subject is None else subject
        self.leaf = Issued.under(self.intermediate, "ocid1.instance.emulated", unit=subject, expired=expired)

    def pod_token(self, life: float = 3600) -> str:
        """A token of a service account, as it is mounted into a pod."""
        ends = self.wall() + life
        claims = {"sub": "system:serviceaccount:llm:gateway", "exp": int(ends), "jti": len(self.pod_tokens)}
        token = self._signed(claims)
        self.pod_tokens[token] = ends
        return token

    def session_token(self, public: rsa.RSAPublicKey, kind: str = "instance") -> str:
        """A token for the session of this key."""
        now, numbers = self.wall(), public.public_numbers()
        jwk = {"kid": "session", "n": _url(numbers.n.to_bytes(256)), "e": "AQAB", "kty": "RSA", "alg": "RS256"}
        claims = {"sub": f"ocid1.{kind}.emulated", "iss": "authService.oracle.com", "iat": int(now), "ptype": kind}
        claims |= {"exp": int(now) + self.life, "tenant": self.tenancy, "res_tenant": self.tenancy}
        return self._signed(claims | {"jwk": json.dumps(jwk)})

    def check(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
        """The claims of the token that a request to one of Oracle's services is signed with; Rejected where it is not.

        Header names in lower case.
        """
        claims = _signature(headers)
        if not claims["keyId"].startswith("ST$"):
            raise Rejected("the key is none of a session")
        token = self._opened(claims["keyId"].removeprefix("ST$"))
        if token["exp"] <= self.wall():
            raise Rejected("the token has ended")
        numbers = json.loads(token["jwk"])
        modulus = int.from_bytes(base64.urlsafe_b64decode(numbers["n"] + "=="))
        public = rsa.RSAPublicNumbers(65537, modulus).public_key()
        with_body = ("content-length", "content-type", "x-content-sha256") if method in ("POST", "PUT", "PATCH") else ()
        verify(method, target, headers, body, public, (*_ALWAYS, *with_body), self.wall())
        return token

    def _signed(self, claims: Mapping[str, Any]) -> str:
        parts = (json.dumps({"alg": "RS256", "kid": "emulated"}).encode(), json.dumps(claims).encode())
        text = ".".join(_url(part) for part in parts)
        return f"{text}.{_url(self.signing.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))}"

    def _opened(self, token: str) -> dict[str, Any]:
        text, _, signature = token.rpartition(".")
        try:
            decoded = base64.urlsafe_b64decode(signature + "==")
            self.signing.public_key().verify(decoded, text.encode(), padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            raise Rejected("the token is none of ours") from None
        claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(text.split(".")[1] + "=="))
        return claims


@dataclass(frozen=True)
class Issued:
    """A certificate with its key."""

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey

    @classmethod
    def under(cls, issuer: Issued | None, name: str, *, unit: str = "", expired: bool = False) -> Issued:
        """One that this issuer signs; without an issuer it signs itself."""
        key, now = wide_key(), datetime.now(UTC)
        attributes = [x509.NameAttribute(NameOID.COMMON_NAME, name)]
        if unit:
            attributes.append(x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit))
        subject = x509.Name(attributes)
        signer = issuer.key if issuer else key
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer.certificate.subject if issuer else subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=3))
            .not_valid_after(now + timedelta(hours=-1 if expired else 2))
            .add_extension(x509.BasicConstraints(ca=not unit, path_length=None), critical=True)
        )
        return cls(builder.sign(signer, hashes.SHA256()), key)

    @property
    def pem(self) -> bytes:
        """The certificate."""
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """Its key, in the older form that Oracle gives."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())


class OciMetadata(Service):
    """`http://169.254.169.254/opc/v2`."""

    def __init__(self, realm: Realm, *, region: str = REGION, domain: str = DOMAIN) -> None:
        super().__init__()
        self.realm = realm
        self.info = {
            "realmDomainComponent": domain,
            "realmKey": "oc1",
            "regionIdentifier": region,
            "regionKey": "FRA",
        }

    @property
    def base_url(self) -> str:
        """As it is written in OCI_METADATA_BASE_URL."""
        return f"{self.url}/opc/v2"

    def answer(self, call: Call) -> Reply:
        if call.headers.get("authorization") != "Bearer Oracle" or "x-forwarded-for" in call.headers:
            return Reply(403, b"forbidden")
        leaf = self.realm.leaf
        files = {
            "/opc/v2/instance/region": b"fra",
            "/opc/v2/instance/regionInfo": self.info,
            "/opc/v2/identity/cert.pem": leaf.pem,
            "/opc/v2/identity/key.pem": leaf.key_pem,
            "/opc/v2/identity/intermediate.pem": self.realm.intermediate.pem,
        }
        found = files.get(call.target) if call.method == "GET" else None
        return Reply(404, b"not found") if found is None else Reply(200, found)


class OciFederation(Service):
    """`https://auth.{region}.{domain}/v1/x509`."""

    def __init__(self, realm: Realm, *, region: str = REGION, domain: str = DOMAIN) -> None:
        super().__init__(tls=(f"auth.{region}.{domain}", "localhost"))
        self.realm = realm

    def refusal(self, call: Call) -> Reply:
        return Reply(401, {"code": "NotAuthenticated", "message": "canary-7f3a"})

    def answer(self, call: Call) -> Reply:
        if (call.method, call.target) != ("POST", "/v1/x509"):
            return Reply(404, {"code": "NotAuthorizedOrNotFound", "message": "canary-7f3a"})
        try:
            return Reply(200, {"token": self.realm.session_token(self._admitted(call))})
        except Rejected as rejected:
            return Reply(401, {"code": "NotAuthenticated", "message": str(rejected)})

    def _admitted(self, call: Call) -> rsa.RSAPublicKey:
        """The key of the session, for whom it is asked rightly."""
        body = call.json
        if body.keys() != {"certificate", "publicKey", "intermediateCertificates"}:
            raise Rejected(f"the body has {sorted(body)}")
        leaf = self._trusted(body["certificate"], body["intermediateCertificates"])
        fingerprint = ":".join(f"{byte:02X}" for byte in leaf.fingerprint(hashes.SHA1()))
        if _signature(call.headers)["keyId"] != f"{self.realm.tenancy}/fed-x509/{fingerprint}":
            raise Rejected("the key id is not that of the certificate")
        verify(call.method, call.target, call.headers, call.body, leaf.public_key(), _FEDERATION, self.realm.wall())
        return session_key(body["publicKey"])

    def _trusted(self, leaf: str, above: list[str]) -> x509.Certificate:
        chain = [x509.load_der_x509_certificate(base64.b64decode(one, validate=True)) for one in (leaf, *above)]
        now = datetime.now(UTC)
        for certificate, issuer in zip(chain, [*chain[1:], self.realm.root.certificate], strict=True):
            if not certificate.not_valid_before_utc < now < certificate.not_valid_after_utc:
                raise Rejected("a certificate has ended")
            try:
                certificate.verify_directly_issued_by(issuer)
            except (InvalidSignature, ValueError, TypeError):
                raise Rejected("the chain does not lead to our CA") from None
        units = chain[0].subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
        if [unit.value for unit in units] != [f"opc-tenant:{self.realm.tenancy}"]:
            raise Rejected("the certificate names another tenancy")
        return chain[0]


class OkeTokens(Service):
    """The token service of a cluster, on its API's address; `enhanced` says whether it serves anybody at all."""

    def __init__(self, realm: Realm, *, enhanced: bool = True) -> None:
        super().__init__(tls=(OKE_HOST, "127.0.0.1"))
        self.realm = realm
        self.enhanced = enhanced

    def answer(self, call: Call) -> Reply:
        if (call.method, call.target) != ("POST", "/resourcePrincipalSessionTokens"):
            return Reply(404, b"")
        if not self.enhanced:
            return Reply(403, {"code": "Forbidden", "message": "canary-7f3a"})
        if self.realm.pod_tokens.get(call.bearer or "", 0.0) <= self.realm.wall():
            return Reply(401, {"code": "Unauthorized", "message": "canary-7f3a"})
        if not _KEY_ID.fullmatch(call.headers.get("opc-request-id", "")) or call.json.keys() != {"podKey"}:
            return Reply(400, {"code": "InvalidParameter", "message": "canary-7f3a"})
        if call.headers.get("content-type") != "application/json" or not call.headers["host"].endswith(":12250"):
            return Reply(400, {"code": "InvalidParameter", "message": "canary-7f3a"})
        try:
            token = self.realm.session_token(session_key(call.json["podKey"]), "workload")
        except Rejected as rejected:
            return Reply(400, {"code": "InvalidParameter", "message": str(rejected)})
        return Reply(200, base64.b64encode(json.dumps({"token": f"ST${token}"}).encode()))


def session_key(text: str) -> rsa.RSAPublicKey:
    """The public key of a session, out of PEM without its armour and line breaks."""
    try:
        key = load_der_public_key(base64.b64decode(text, validate=True))
    except ValueError:
        raise Rejected("the public key cannot be read") from None
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size != 2048:
        raise Rejected("the public key is no RSA key of 2048 bits")
    assert base64.b64encode(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode() == text
    return key


def verify(
    method: str,
    target: str,
    headers: Mapping[str, str],
    body: bytes,
    key: Any,
    wanted: tuple[str, ...],
    now: float,
) -> None:
    """Raise Rejected unless a request is signed with this key, just now, over these names in this order, and whole."""
    claims = _signature(headers)
    if claims["headers"].split(" ") != list(wanted):
        raise Rejected(f"the signature covers {claims['headers']}")
    moment = datetime.strptime(headers["date"], "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC).timestamp()
    if abs(now - moment) > _SKEW:
        raise Rejected("the date is more than five minutes away")
    if "x-content-sha256" in wanted:
        digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
        if headers.get("x-content-sha256") != digest or headers.get("content-length") != str(len(body)):
            raise Rejected("the digest or the length is of another body")
    values = {**headers, "(request-target)": f"{method.lower()} {target}"}
    text = "\n".join(f"{name}: {values.get(name, '')}" for name in wanted)
    try:
        signature = base64.b64decode(claims["signature"], validate=True)
        key.verify(signature, text.encode(), padding.PKCS1v15(), hashes.SHA256())
    except (InvalidSignature, ValueError):
        raise Rejected("the signature is of another request, or made with another key") from None


def _signature(headers: Mapping[str, str]) -> dict[str, str]:
    scheme, _, rest = headers.get("authorization", "").partition(" ")
    claims = dict(_PARAMETERS.findall(rest))
    if scheme != "Signature" or claims.keys() != {"algorithm", "headers", "keyId", "signature", "version"}:
        raise Rejected("the request is not signed")
    if (claims["algorithm"], claims["version"]) != ("rsa-sha256", "1"):
        raise Rejected("the signature is of another algorithm or version")
    return claims


def _url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
