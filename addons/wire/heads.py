"""Heads between HTTP/2 and HTTP/1.1: what breaks HTTP/2's own rules is told here, the rest is judged as any request."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence
from typing import TypeVar

from mitmproxy import http

from llmauth.http import Field

CONNECT_REFUSED = "CONNECT over HTTP/2 is not served. Use HTTP/1.1 towards a proxy."

# "A field name MUST NOT contain characters in the ranges 0x00-0x20, 0x41-0x5a, or 0x7f-0xff" (RFC 9113, 8.2.1), and of
# the others only those of a token (RFC 9110, 5.6.2): a colon or a blank would be the end of a name in HTTP/1.1.
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
# No control characters, as in HTTP/1.1, and no blank at either end.
_VALUE = re.compile(rb"(?:[^\x00-\x20\x7f](?:[^\x00-\x08\x0a-\x1f\x7f]*[^\x00-\x20\x7f])?)?")
_LENGTH = re.compile(rb"0|[1-9][0-9]{0,18}")
_METHOD = re.compile(rb"[A-Z]{1,20}")

_PSEUDO = frozenset({b":method", b":scheme", b":authority", b":path"})
# "An endpoint MUST NOT generate an HTTP/2 message containing connection-specific header fields" (RFC 9113, 8.2.2).
_ONE_HOP = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade", b"http2-settings"}
)
_NOT_SENT = _ONE_HOP | {b"proxy-authenticate", b"te", b"trailer"}
_WITH_CONTENT = frozenset({b"POST", b"PUT", b"PATCH"})


class MalformedRequest(http.Request):
    """Stands for a head that breaks HTTP/2's own rules, and holds nothing of it; `fault` says how, in a sentence."""

    fault: str


class _Malformed(Exception):
    """Its text is a sentence for the client, and repeats nothing that the client sent."""


def read_request(fields: Sequence[tuple[bytes, bytes]], *, ended: bool) -> http.Request:
    """The request as a client of HTTP/1.1 would have sent it: Host first, then the fields as they came.

    `ended` tells that there will be no body. A MalformedRequest for what is none.
    """
    try:
        pseudo, rest = _split(fields)
        _check_pseudo(pseudo)
        headers = _headers(pseudo, rest)
    except _Malformed as fault:
        malformed = _request(MalformedRequest, b"-", b"/", ())
        malformed.fault = str(fault)
        return malformed
    method = pseudo[b":method"]
    if ended and method in _WITH_CONTENT and not any(name == b"content-length" for name, _ in headers):
        # "A user agent SHOULD send Content-Length in a request when the method defines a meaning for enclosed content"
        # (RFC 9110, 8.6), which HTTP/2 has no need for.
        headers.append((b"content-length", b"0"))
    return _request(http.Request, method, pseudo[b":path"], headers)


def announced(request: http.Request) -> int | None:
    """The length of the body that a request announces."""
    for name, value in request.headers.fields:
        if name == b"content-length":
            return int(value)
    return None


def response_fields(response: http.Response) -> list[Field]:
    """The head of an answer in HTTP/2: lower case, and without what is said of one connection only."""
    named = {
        token.strip().lower()
        for name, value in response.headers.fields
        if len(name) == 10 and name.lower() == b"connection"
        for token in value.split(b",")
    }
    dropped = _NOT_SENT | named if named else _NOT_SENT
    fields = [(b":status", b"%d" % response.status_code)]
    fields += [(low, value.strip()) for name, value in response.headers.fields if (low := name.lower()) not in dropped]
    return fields


def _split(fields: Iterable[tuple[bytes, bytes]]) -> tuple[dict[bytes, bytes], list[Field]]:
    pseudo: dict[bytes, bytes] = {}
    rest: list[Field] = []
    for name, value in fields:
        if not _VALUE.fullmatch(value):
            raise _Malformed("A header value holds a control character, or begins or ends with a blank.")
        if name[:1] != b":":
            if not _NAME.fullmatch(name):
                raise _Malformed("A header name holds a character that no header name in HTTP/2 may hold.")
            rest.append((bytes(name), bytes(value)))
        elif name not in _PSEUDO:
            raise _Malformed("The request has a pseudo-header that is not served.")
        elif name in pseudo or rest:
            raise _Malformed("A pseudo-header is repeated, or comes after a header.")
        else:
            pseudo[bytes(name)] = bytes(value)
    return pseudo, rest


def _check_pseudo(pseudo: dict[bytes, bytes]) -> None:
    if pseudo.get(b":method") == b"CONNECT":
        raise _Malformed(CONNECT_REFUSED)
    if not {b":method", b":scheme", b":path"} <= pseudo.keys():
        raise _Malformed("The request lacks one of :method, :scheme and :path.")
    if pseudo[b":scheme"] != b"https":
        raise _Malformed("The :scheme is not https.")
    if not _METHOD.fullmatch(pseudo[b":method"]):
        raise _Malformed("The :method is not one that is served.")


def _headers(pseudo: dict[bytes, bytes], rest: list[Field]) -> list[Field]:
    hosts = [value for name, value in rest if name == b"host"]
    if b":authority" in pseudo:
        hosts.append(pseudo[b":authority"])
    if len(hosts) > 1 + (b":authority" in pseudo) or len({host.lower() for host in hosts}) > 1:
        raise _Malformed("The Host header and the :authority do not name one place.")
    headers = [(b"Host", hosts[-1])] if hosts else []
    crumbs = [value for name, value in rest if name == b"cookie"]
    lengths = 0
    for name, value in rest:
        if name in _ONE_HOP:
            raise _Malformed("The request has a header field that is said of one connection, and is none of HTTP/2.")
        if name == b"te" and value.lower() != b"trailers":
            raise _Malformed("The TE header is something else than 'trailers'.")
        if name == b"content-length":
            lengths += 1
            if lengths > 1 or not _LENGTH.fullmatch(value):
                raise _Malformed("Content-Length is not one number.")
        if name == b"host":
            continue
        if name == b"cookie":
            # "If there are multiple Cookie header fields after decompression, these MUST be concatenated ... using the
            # two-octet delimiter of 0x3b, 0x20" (RFC 9113, 8.2.3).
            if crumbs:
                headers.append((name, b"; ".join(crumbs)))
                crumbs = []
            continue
        headers.append((name, value))
    return headers


_Kind = TypeVar("_Kind", bound=http.Request)


def _request(kind: type[_Kind], method: bytes, path: bytes, headers: Iterable[Field]) -> _Kind:
    return kind(
        host="",
        port=0,
        method=method,
        scheme=b"https",
        authority=b"",
        path=path,
        http_version=b"HTTP/1.1",
        headers=http.Headers(headers),
        content=None,
        trailers=None,
        timestamp_start=time.time(),
        timestamp_end=None,
    )
