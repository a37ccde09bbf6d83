"""Verifies Oracle's HTTP signature as Oracle does: coverage, date, digest of the body, and RSA over what was sent."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from datetime import UTC, datetime
from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from llmauth.demo.http1 import Request

_PARAMETER = re.compile(r'([A-Za-z]+)="([^"]*)"')
_MAX_SKEW = 5 * 60
_FIXED = {"date", "(request-target)", "host"}
_BODY = {"content-length", "content-type", "x-content-sha256"}
_BODY_METHODS = {"POST", "PUT", "PATCH"}


class Rejected(Exception):
    """A signature that Oracle would refuse, and why: its own answer does not say."""


def verify(request: Request, key_id: str, private_key: str, now: float) -> None:
    """Raise Rejected unless the request is signed, just now and all of it, with the key of that id (PEM)."""
    claims = _claims(request)
    if claims["keyId"] != key_id:
        raise Rejected("there is no key of this id")
    names = claims["headers"].split(" ")
    _check_coverage(names, request)
    _check_date(_value(request, "date"), now)
    if "x-content-sha256" in names:
        _check_body(request)
    _check_rsa(_signed_text(names, request), claims["signature"], _public(private_key))


def _claims(request: Request) -> dict[str, str]:
    scheme, _, rest = _value(request, "authorization").partition(" ")
    if scheme.lower() != "signature":
        raise Rejected("the request is not signed")
    parts = [part.strip() for part in rest.split(",")]
    found = [(match[1], match[2]) for part in parts if (match := _PARAMETER.fullmatch(part))]
    claims = dict(found)
    if len(found) != len(parts) or len(claims) != len(found):
        raise Rejected("the parameters of the signature cannot be read")
    if claims.keys() != {"algorithm", "headers", "keyId", "signature", "version"}:
        raise Rejected("the signature has more parameters, or fewer, than it must have")
    if claims["algorithm"] != "rsa-sha256" or claims["version"] != "1":
        raise Rejected("the signature is of another algorithm or version")
    return claims


def _check_coverage(names: list[str], request: Request) -> None:
    wanted = _FIXED | _BODY if request.head.method.decode("ascii") in _BODY_METHODS else _FIXED
    if len(set(names)) != len(names) or not wanted <= set(names):
        raise Rejected(f"the signature covers {' '.join(names)}")


def _check_date(date: str, now: float) -> None:
    try:
        moment = datetime.strptime(date, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise Rejected("the date is none") from None
    if abs(now - moment) > _MAX_SKEW:
        raise Rejected("the date is more than five minutes away")


def _check_body(request: Request) -> None:
    digest = base64.b64encode(hashlib.sha256(request.body).digest()).decode("ascii")
    if _value(request, "x-content-sha256") != digest:
        raise Rejected("the digest is of another body")
    if _value(request, "content-length") != str(len(request.body)):
        raise Rejected("the length is of another body")


def _value(request: Request, name: str) -> str:
    values = [value for field, value in request.head.fields if field.lower() == name.encode("ascii")]
    if len(values) != 1:
        raise Rejected(f"there are {len(values)} headers {name}")
    return values[0].decode("latin-1").strip(" \t")


def _signed_text(names: list[str], request: Request) -> bytes:
    lines = []
    for name in names:
        if name == "(request-target)":
            target = f"{request.head.method.decode('ascii').lower()} {request.head.target.decode('ascii')}"
            lines.append(f"{name}: {target}")
        else:
            lines.append(f"{name}: {_value(request, name)}")
    return "\n".join(lines).encode("latin-1")


@lru_cache(maxsize=8)
def _public(private_key: str) -> rsa.RSAPublicKey:
    key = serialization.load_pem_private_key(private_key.encode("ascii"), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return key.public_key()


def _check_rsa(text: bytes, signature: str, key: rsa.RSAPublicKey) -> None:
    try:
        key.verify(base64.b64decode(signature, validate=True), text, padding.PKCS1v15(), hashes.SHA256())
    except (InvalidSignature, binascii.Error):
        raise Rejected("the signature is of another request, or made with another key") from None
