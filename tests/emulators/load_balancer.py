"""An Application Load Balancer of AWS that has logged somebody in: the field it adds, and the region's public keys.

The field is written as AWS documents it: a JOSE header with `alg`, `kid`, `signer`, `iss`, `client` and `exp`, the
claims of the user-info endpoint, and a signature (ES256, r and s in 64 bytes) over both as they stand, each part in
base64url with its padding. The keys are told by their id, in PEM; of an id that is none, S3 answers 403.
"""

from __future__ import annotations

import base64
import json
import time
import uuid
from collections.abc import Mapping
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.emulators.service import Call, Reply, Service

REGION = "eu-west-1"
HOST = f"public-keys.auth.elb.{REGION}.amazonaws.com"
ARN = f"arn:aws:elasticloadbalancing:{REGION}:111122223333:loadbalancer/app/llm/0123456789abcdef"
ISSUER = f"https://cognito-idp.{REGION}.amazonaws.com/{REGION}_Abcdefghi"


class LoadBalancerKeys(Service):
    """`kid` is the key that is signed with now; `rotate` makes another, and keeps the old one published."""

    def __init__(self, **more: Any) -> None:
        super().__init__(tls=more.pop("tls", (HOST,)), **more)
        self.keys: dict[str, ec.EllipticCurvePrivateKey] = {}
        self.kid = self.rotate()

    def rotate(self) -> str:
        """Sign with a new key from now on."""
        self.kid = str(uuid.uuid4())
        self.keys[self.kid] = ec.generate_private_key(ec.SECP256R1())
        return self.kid

    def answer(self, call: Call) -> Reply:
        key = self.keys.get(call.path.removeprefix("/"))
        if call.method != "GET" or key is None:
            return Reply(403, b"<Error><Code>AccessDenied</Code></Error>")
        return Reply(200, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))

    def header(self, **others: Any) -> dict[str, Any]:
        """A good header, with others in the place of its members; `None` leaves one out."""
        good = {"typ": "JWT", "kid": self.kid, "alg": "ES256", "iss": ISSUER, "client": "4f2mvhtr3d7k", "signer": ARN}
        return _without_none({**good, "exp": int(time.time()) + 120, **others})

    def field(self, header: Mapping[str, Any] | None = None, *, key: Any = None, **claims: Any) -> str:
        """The field for somebody with these claims, signed with a key of its own unless another is given."""
        told = _without_none({"sub": "alice", "username": "alice", "exp": None, "iss": ISSUER, **claims})
        signed = f"{padded(json.dumps(header or self.header()).encode())}.{padded(json.dumps(told).encode())}"
        signature = jwt.get_algorithm_by_name("ES256").sign(signed.encode(), key or self.keys[self.kid])
        return f"{signed}.{padded(signature)}"


def padded(data: bytes) -> str:
    """Base64url as a load balancer writes it."""
    return base64.urlsafe_b64encode(data).decode()


def _without_none(told: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in told.items() if value is not None}
