"""Verifies AWS Signature Version 4 on a request that came to us, with a secret of ours, over the bytes on the wire."""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final, Literal
from urllib.parse import quote, unquote_to_bytes

from llmauth.http import Request
from llmauth.secrets import Secret

Fault = Literal[
    "malformed",  # not the form of a signature, or a form that is not served
    "doubled",  # a part that must be there once is there twice
    "date",  # no date, or not that of the scope
    "expired",  # signed too long ago, too far ahead, or for too long
    "unsigned",  # something that must be signed is not
    "token",  # a session token, which no key pair of ours has
    "payload",  # the body is not the one that was signed, or was left unsigned
    "path",  # a path that may be read in two ways
    "signature",
]

SKEW_SECONDS: Final = 300
"""How far the clocks may differ."""
PRESIGNED_SECONDS: Final = 900
"""How long a presigned URL may live."""

_ALGORITHM = "AWS4-HMAC-SHA256"
_SCOPE = r"(?P<key>[^/,\s]{1,128})/(?P<day>[0-9]{8})/(?P<region>[^/,\s]{1,64})/(?P<service>[^/,\s]{1,64})/aws4_request"
_SIGNED = r"(?P<signed>[0-9a-z_.-]{1,256}(?:;[0-9a-z_.-]{1,256})*)"
_HEX = r"(?P<signature>[0-9a-f]{64})"
# Blanks as SDKs write them; requests-aws4auth and some others leave them out.
_AUTHORIZATION = re.compile(
    rf"AWS4-HMAC-SHA256 +Credential={_SCOPE}, *SignedHeaders={_SIGNED}, *Signature={_HEX}", re.ASCII
)
_CREDENTIAL = re.compile(_SCOPE, re.ASCII)
_STAMP = re.compile(r"[0-9]{8}T[0-9]{6}Z", re.ASCII)
_UNRESERVED = "-_.~"
_SIGNATURE = "X-Amz-Signature"
_PRESIGNED = ("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders", _SIGNATURE)
_TOKEN = "x-amz-security-token"
_SHA256 = "x-amz-content-sha256"
_BLANKS = re.compile(rb"[ \t]+")


class Mismatch(Exception):
    """A request that its signature does not prove; `reason` is of a closed set and holds nothing of the request."""

    def __init__(self, reason: Fault) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """What a signature says of itself. `lives` is how many seconds a presigned URL says it does, `None` for a header.

    `stamp` is the X-Amz-Date as it stands there, `signed` the names of the signed headers in their order.
    """

    access_key_id: str
    date: str
    region: str
    service: str
    signed: tuple[str, ...]
    signature: str
    stamp: str
    lives: int | None = None

    @property
    def scope(self) -> str:
        """What the signing key is made for."""
        return f"{self.date}/{self.region}/{self.service}/aws4_request"


def claimed(request: Request) -> Claimed | None:
    """The claim of a request, `None` where it carries no signature of this version; nothing is computed.

    Raises Mismatch for a signature that is cut, doubled, or no such form as SDKs write.
    """
    values = request.headers.index().get(b"authorization", [])
    in_header = [value for value in values if value.lstrip(b" \t").upper().startswith(b"AWS4-")]
    named = [(name, value) for name, value in _pairs(request.url.query) if name.lower().startswith("x-amz-")]
    in_query = any(name.lower() == _SIGNATURE.lower() for name, _ in named)
    if not in_header and not in_query:
        return None
    if len(values) > 1 or (in_header and in_query):
        raise Mismatch("doubled")
    return _in_query(named) if in_query else _in_header(request, values[0])


def check(claim: Claimed, request: Request, secret: Secret, body_hash: str, now: float) -> None:
    """Raise Mismatch unless `secret` signed this request, as it stands on the wire, a moment ago.

    `request` must be the one that came, with its own path and Host, and `claim` what `claimed` told of it; `body_hash`
    is the SHA-256 of the whole body in hexadecimal, `now` Unix time.
    """
    check_head(claim, request, now)
    check_body(request, body_hash)
    canonical = _canonical(claim, request, body_hash)
    if not hmac.compare_digest(_signature(claim, secret, canonical), claim.signature):
        raise Mismatch("signature")


def check_head(claim: Claimed, request: Request, now: float) -> None:
    """All that can be told before the body is there, and without the secret; raises Mismatch."""
    _check_date(claim, now)
    index = request.headers.index()
    if _TOKEN.encode() in index or any(name.lower() == _TOKEN for name, _ in _pairs(request.url.query)):
        raise Mismatch("token")
    _check_signed(claim, request)
    _check_path(request.url.route_path)
    _payload_hash(request)


def check_body(request: Request, body_hash: str) -> None:
    """Raise Mismatch where the request names a hash of its body that is another one."""
    told = _payload_hash(request)
    if told is not None and not hmac.compare_digest(told, body_hash):
        raise Mismatch("payload")


# ---- what a signature says -----------------------------------------------------------------------------------------


def _in_header(request: Request, value: bytes) -> Claimed:
    match = _AUTHORIZATION.fullmatch(value.decode("latin-1").strip(" \t"))
    dates = request.headers.all("x-amz-date")
    if match is None:
        raise Mismatch("malformed")
    if len(dates) != 1:
        raise Mismatch("doubled" if dates else "date")
    return _claim(match, match["signed"], match["signature"], dates[0].strip(" \t"), None)


def _in_query(named: list[tuple[str, str]]) -> Claimed:
    """A presigned URL's: every part once, and spelt as AWS spells it."""
    found = dict(named)
    if len({name.lower() for name, _ in named}) != len(named):
        raise Mismatch("doubled")
    if any(name not in found for name in _PRESIGNED) or found["X-Amz-Algorithm"] != _ALGORITHM:
        raise Mismatch("malformed")
    scope, lives = _CREDENTIAL.fullmatch(found["X-Amz-Credential"]), found["X-Amz-Expires"]
    signed = re.fullmatch(_SIGNED, found["X-Amz-SignedHeaders"], re.ASCII)
    signature = re.fullmatch(_HEX, found[_SIGNATURE], re.ASCII)
    if scope is None or signed is None or signature is None or not re.fullmatch("[0-9]{1,6}", lives, re.ASCII):
        raise Mismatch("malformed")
    return _claim(scope, signed["signed"], signature["signature"], found["X-Amz-Date"], int(lives))


def _claim(scope: re.Match[str], signed: str, signature: str, stamp: str, lives: int | None) -> Claimed:
    return Claimed(
        access_key_id=scope["key"],
        date=scope["day"],
        region=scope["region"],
        service=scope["service"],
        signed=tuple(signed.split(";")),
        signature=signature,
        stamp=stamp,
        lives=lives,
    )


def _pairs(query: str) -> Iterator[tuple[str, str]]:
    """Names and values of a query, decoded; what is no text after that matches nothing that is looked for."""
    for pair in query.split("&") if query else ():
        name, _, value = pair.partition("=")
        yield _decoded(name), _decoded(value)


def _decoded(text: str) -> str:
    return unquote_to_bytes(text.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")


# ---- what must hold ------------------------------------------------------------------------------------------------


def _check_date(claim: Claimed, now: float) -> None:
    if _STAMP.fullmatch(claim.stamp) is None or not claim.stamp.startswith(claim.date):
        raise Mismatch("date")
    try:
        at = datetime.strptime(claim.stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:  # a day that the calendar does not have
        raise Mismatch("date") from None
    lives = SKEW_SECONDS if claim.lives is None else claim.lives
    if not 0 < lives <= PRESIGNED_SECONDS or not at - SKEW_SECONDS <= now <= at + lives:
        raise Mismatch("expired")


def _check_signed(claim: Claimed, request: Request) -> None:
    """What decides where a request goes and how it is read must be signed, and what is signed must be there.

    "For HTTP/1.1 requests, you must include the host header as a signed header", "any x-amz-* headers that you plan to
    include in your request must also be added", and the content type where there is one.
    """
    index, signed = request.headers.index(), set(claim.signed)
    if list(claim.signed) != sorted(signed):
        raise Mismatch("malformed")
    must = {name for name in index if name.startswith(b"x-amz-")} | ({b"content-type"} & index.keys()) | {b"host"}
    if not must <= {name.encode("ascii") for name in signed}:
        raise Mismatch("unsigned")
    if any(name.encode("ascii") not in index for name in signed):
        raise Mismatch("signature")
    # The signature names the Host header; two of them name two hosts.
    if len(index[b"host"]) != 1:
        raise Mismatch("doubled")


def _check_path(path: str) -> None:
    """Services resolve `.` and `..` and fold `//` before they verify, so such a path could be changed on its way."""
    segments = path.split("/")[1:]
    if not path.startswith("/") or any(one in (".", "..") for one in segments) or "" in segments[:-1]:
        raise Mismatch("path")


def _payload_hash(request: Request) -> str | None:
    """The hash that a request names for its body. `UNSIGNED-PAYLOAD` and `STREAMING-…` would leave it to anybody."""
    told = request.headers.all(_SHA256)
    if not told:
        return None
    if len(told) > 1:
        raise Mismatch("doubled")
    if re.fullmatch("[0-9a-f]{64}", told[0].strip(" \t"), re.ASCII) is None:
        raise Mismatch("payload")
    return told[0].strip(" \t")


# ---- what was signed -----------------------------------------------------------------------------------------------


def _canonical(claim: Claimed, request: Request, body_hash: str) -> bytes:
    path, query = request.url.route_path, request.url.query
    index = request.headers.index()
    headers = b"".join(b"%b:%b\n" % (name, _value(index[name])) for name in map(str.encode, claim.signed))
    names = ";".join(claim.signed).encode("ascii")
    return b"\n".join(
        (
            request.method.encode("ascii", "replace"),
            _path(path).encode("ascii"),
            _query(query, presigned=claim.lives is not None).encode("ascii"),
            headers,
            names,
            body_hash.encode("ascii"),
        )
    )


def _path(path: str) -> str:
    """The path, encoded once more: of every service but S3, what came as `%3A` is signed as `%253A`."""
    return quote(path.encode("utf-8", "surrogateescape"), safe=f"/{_UNRESERVED}")


def _query(query: str, *, presigned: bool) -> str:
    """Names and values encoded as AWS does it, and sorted; an empty one would be skipped, so none is let in."""
    if not query:
        return ""
    pairs = []
    for pair in query.split("&"):
        if not pair:
            raise Mismatch("malformed")
        name, _, value = pair.partition("=")
        if not presigned or _decoded(name) != _SIGNATURE:
            pairs.append((_encoded(name), _encoded(value)))
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def _encoded(text: str) -> str:
    return quote(unquote_to_bytes(text.encode("utf-8", "surrogateescape")), safe=_UNRESERVED)


def _value(values: list[bytes]) -> bytes:
    """All values of a header in their order, without blanks around them, and with one for several inside."""
    return b",".join(_BLANKS.sub(b" ", value.strip(b" \t")) for value in values)


def _signature(claim: Claimed, secret: Secret, canonical: bytes) -> str:
    to_sign = "\n".join((_ALGORITHM, claim.stamp, claim.scope, sha256(canonical).hexdigest()))
    key = b"AWS4" + secret.reveal().encode("utf-8", "surrogatepass")
    for part in (*claim.scope.split("/"), to_sign):
        key = hmac.digest(key, part.encode("ascii"), "sha256")
    return key.hex()
