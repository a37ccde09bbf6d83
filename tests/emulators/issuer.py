"""An OpenID issuer whose keys a test decides: what it publishes, with which life, and what it signs.

It says nothing to anybody who asks for another thing than its discovery document and its JWKS, by GET.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from llmauth.addresses import HostPort
from llmauth.demo.certificates import Authority
from llmauth.outbound import Outbound
from tests.emulators.service import Call, Reply, Service

HOST = "idp.example"
AUDIENCE = "llm-proxy"


@cache
def private_key(alg: str, name: str = "") -> Any:
    """A key for an algorithm; the same for the same name."""
    if alg == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    if alg.startswith("ES"):
        return ec.generate_private_key({"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}[alg])
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def jwk(alg: str, kid: str | None, key: Any, entry: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The public half, as a member of a JWKS."""
    reader: Any = OKPAlgorithm if alg == "EdDSA" else ECAlgorithm if alg.startswith("ES") else RSAAlgorithm
    told = {**reader.to_jwk(key.public_key(), as_dict=True), "use": "sig", "alg": alg, "kid": kid}
    told.pop("key_ops", None)
    return {name: value for name, value in {**told, **(entry or {})}.items() if value is not None}


class Issuer(Service):
    """`published` is its JWKS, `signers` what it signs with; `cache_control` goes with the keys."""

    def __init__(self, *, host: str = HOST, authority: Authority | None = None) -> None:
        super().__init__(tls=(host,), authority=authority)
        self.issuer = f"https://{host}"
        self.published: list[Mapping[str, Any]] = []
        self.signers: dict[str | None, tuple[str, Any]] = {}
        self.cache_control: str | None = None
        self.document: dict[str, Any] = {"issuer": self.issuer, "jwks_uri": f"{self.issuer}/keys"}

    def answer(self, call: Call) -> Reply:
        if call.method != "GET":
            return Reply(405)
        if call.target == "/.well-known/openid-configuration":
            return Reply(200, self.document)
        if call.target == "/keys":
            headers = {} if self.cache_control is None else {"Cache-Control": self.cache_control}
            return Reply(200, {"keys": self.published}, headers)
        return Reply(404)

    def add(self, kid: str | None = "k1", alg: str = "RS256", entry: Mapping[str, Any] | None = None) -> Any:
        """A further key, published with these members in the place of the usual ones, and returned."""
        key = private_key(alg, f"{self.issuer} {kid}")
        self.signers[kid] = (alg, key)
        self.published.append(jwk(alg, kid, key, entry))
        return key

    def withdraw(self, kid: str | None) -> None:
        """Publish this key no longer."""
        self.published = [each for each in self.published if each.get("kid") != kid]

    def claims(self, **others: Any) -> dict[str, Any]:
        """Good claims, with others in their place; `None` leaves one out."""
        now = int(time.time())
        good = {"iss": self.issuer, "aud": AUDIENCE, "sub": "alice", "iat": now, "exp": now + 600}
        return {name: value for name, value in {**good, **others}.items() if value is not None}

    def token(self, kid: str | None = "k1", headers: Mapping[str, Any] | None = None, **claims: Any) -> str:
        """A token signed with the key of this id."""
        alg, key = self.signers[kid]
        named = {} if kid is None else {"kid": kid}
        # Not `jwt.encode` of claims, which refuses some that an attacker would send.
        payload = json.dumps(self.claims(**claims)).encode()
        return jwt.api_jws.encode(payload, key, algorithm=alg, headers={**named, **(headers or {})})

    def fetches(self) -> int:
        """How often its keys were fetched."""
        return sum(call.target == "/keys" for call in self.calls)


def reaching(folder: Path, issuers: Sequence[Service]) -> Outbound:
    """The way by which the names of these lead to them; they share one authority."""
    places = {name: HostPort("127.0.0.1", each.port) for each in issuers for name in each._names}
    return Outbound(ca_file=issuers[0].write_ca(folder), resolve=places)
