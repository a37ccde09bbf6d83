"""Verifies AWS Signature Version 4 from what arrived on the wire, by AWS's description of it and by no SDK's code."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import quote, unquote_to_bytes

from llmauth.demo.http1 import Request

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 +"
    r"Credential=(?P<key>[^/,\s]+)/(?P<day>\d{8})/(?P<region>[^/,\s]+)/(?P<service>[^/,\s]+)/aws4_request, *"
    r"SignedHeaders=(?P<signed>[a-z0-9;_.-]+), *"
    r"Signature=(?P<signature>[0-9a-f]{64})"
)
_UNRESERVED = "-_.~"
_MAX_SKEW = 15 * 60


class Rejected(Exception):
    """A signature that AWS would refuse; `error` is AWS's name for the reason."""

    def __init__(self, error: str, message: str) -> None:
        super().__init__(message)
        self.error = error


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """The one key pair that is good, and its session token where it is temporary."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Claim:
    """What an Authorization header says."""

    key: str
    day: str
    region: str
    service: str
    signed: str
    signature: str

    @property
    def scope(self) -> str:
        return f"{self.day}/{self.region}/{self.service}/aws4_request"


def verify(request: Request, keys: Keys, *, region: str, service: str, now: float) -> None:
    """Raise Rejected unless the request is signed with `keys`, for this region and service, within 15 minutes."""
    index = request.head.index
    claim = _claim(index.get(b"authorization"))
    _check_keys(claim, index, keys)
    _check_scope(claim, region, service)
    stamp = _check_date(claim, index, now)
    _check_coverage(claim, index)
    digest = _body_digest(index, request.body)
    canonical = canonical_request(request, claim.signed, digest)
    wanted = signature(keys.secret_access_key, claim.scope, stamp, canonical)
    if not hmac.compare_digest(wanted, claim.signature):
        raise Rejected(
            "InvalidSignatureException",
            "The signature in the request is not the one calculated from it: check the key and the signing method.",
        )


def _claim(authorization: bytes | None) -> _Claim:
    if authorization is None:
        raise Rejected("MissingAuthenticationTokenException", "Missing Authentication Token")
    match = _AUTHORIZATION.fullmatch(authorization.decode("latin-1"))
    if match is None:
        raise Rejected(
            "IncompleteSignatureException",
            "The Authorization header is not 'AWS4-HMAC-SHA256 Credential=..., SignedHeaders=..., Signature=...'.",
        )
    return _Claim(**match.groupdict())


def _check_keys(claim: _Claim, index: dict[bytes, bytes], keys: Keys) -> None:
    token = index.get(b"x-amz-security-token")
    wanted = None if keys.session_token is None else keys.session_token.encode()
    if claim.key != keys.access_key_id or token != wanted:
        raise Rejected("UnrecognizedClientException", "The security token included in the request is invalid.")


def _check_scope(claim: _Claim, region: str, service: str) -> None:
    if claim.region != region:
        raise Rejected("InvalidSignatureException", f"The credential is scoped to region {claim.region}, not {region}.")
    if claim.service != service:
        raise Rejected(
            "InvalidSignatureException", f"The credential is scoped to service {claim.service}, not {service}."
        )


def _check_date(claim: _Claim, index: dict[bytes, bytes], now: float) -> str:
    stamp = index.get(b"x-amz-date", b"").decode("latin-1")
    try:
        moment = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise Rejected("IncompleteSignatureException", "The X-Amz-Date header is missing or is no date.") from None
    if not stamp.startswith(claim.day):
        raise Rejected("InvalidSignatureException", "The credential's date is not the date of X-Amz-Date.")
    if abs(now - moment) > _MAX_SKEW:
        raise Rejected(
            "InvalidSignatureException", f"Signature expired or not yet current: {stamp} is not within 15 minutes."
        )
    return stamp


def _check_coverage(claim: _Claim, index: dict[bytes, bytes]) -> None:
    """Host and every x-amz- header that is sent must be signed, and what is signed must be sent."""
    signed = claim.signed.split(";")
    if signed != sorted(set(signed)):
        raise Rejected("IncompleteSignatureException", "SignedHeaders is not sorted, or names a header twice.")
    names = {name.encode() for name in signed}
    must = {b"host"} | {name for name in index if name.startswith(b"x-amz-")}
    if not must <= names or not names <= index.keys():
        odd = sorted((must - names) | (names - index.keys()))
        raise Rejected(
            "InvalidSignatureException", f"Sent but not signed, or signed but not sent: {b', '.join(odd).decode()}."
        )


def _body_digest(index: dict[bytes, bytes], body: bytes) -> str:
    digest = hashlib.sha256(body).hexdigest()
    if index.get(b"x-amz-content-sha256", digest.encode()) != digest.encode():
        raise Rejected("InvalidSignatureException", "X-Amz-Content-Sha256 is not the hash of the body.")
    return digest


def canonical_request(request: Request, signed: str, digest: str) -> str:
    """The text that is hashed and signed: method, path, query, signed headers, their names, and the body's hash."""
    path, _, query = request.head.target.decode("ascii").partition("?")
    headers = "".join(f"{name}:{_canonical_value(request, name.encode())}\n" for name in signed.split(";"))
    method = request.head.method.decode("ascii")
    return "\n".join((method, canonical_path(path), canonical_query(query), headers, signed, digest))


def _canonical_value(request: Request, name: bytes) -> str:
    """All values of a header, blanks folded; AWS joins them by a comma alone."""
    values = (value for field, value in request.head.fields if field.lower() == name)
    return ",".join(" ".join(value.decode("utf-8", "surrogateescape").split()) for value in values)


@lru_cache(maxsize=256)
def canonical_path(path: str) -> str:
    """The wire path with every segment encoded once more; "." and ".." resolved and empty segments removed.

    So does every service but S3: what came as `%3A` is signed as `%253A`, and what came as `:` as `%3A`.
    """
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in ("", "."):
            kept.append(quote(segment, safe=_UNRESERVED))
    closing = "/" if kept and path.endswith("/") else ""
    return "/" + "/".join(kept) + closing


def canonical_query(query: str) -> str:
    """Names and values, decoded and encoded again, sorted by name and then by value."""
    pairs = []
    for pair in filter(None, query.split("&")):  # AWS skips blank ones
        name, _, value = pair.partition("=")
        pairs.append((_encoded(name), _encoded(value)))
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def _encoded(text: str) -> str:
    return quote(unquote_to_bytes(text), safe=_UNRESERVED)


def signature(secret: str, scope: str, stamp: str, canonical: str) -> str:
    """The signature in hexadecimal; `scope` is day/region/service/aws4_request, `stamp` the X-Amz-Date."""
    hashed = hashlib.sha256(canonical.encode("utf-8", "surrogateescape")).hexdigest()
    to_sign = "\n".join(("AWS4-HMAC-SHA256", stamp, scope, hashed))
    return hmac.new(_signing_key(secret, scope), to_sign.encode(), hashlib.sha256).hexdigest()


@lru_cache(maxsize=64)
def _signing_key(secret: str, scope: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key
