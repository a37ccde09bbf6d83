"""Flows as mitmproxy hands them to an addon, at each door, with real flow objects and no socket."""

from __future__ import annotations

from mitmproxy import http
from mitmproxy.connection import Client, Server

from addons.exchange import Exchanges
from addons.wire.next_layer import NOWHERE
from llmauth.addresses import HostPort
from tests.addons.layers import client

HOST = "api.openai.com"
TARGET = HostPort(HOST, 443)
Fields = tuple[tuple[bytes, bytes], ...]


def made(
    method: bytes,
    path: bytes,
    fields: Fields,
    *,
    host: str,
    port: int,
    scheme: bytes = b"http",
    authority: bytes = b"",
    version: bytes = b"HTTP/1.1",
    by: Client | None = None,
) -> http.HTTPFlow:
    """A flow with this head and no body yet."""
    flow = http.HTTPFlow(by or client(), Server(address=(host, port)), live=True)
    flow.request = http.Request(
        host=host,
        port=port,
        method=method,
        scheme=scheme,
        authority=authority,
        path=path,
        http_version=version,
        headers=http.Headers(fields),
        content=None,
        trailers=None,
        timestamp_start=1.0,
        timestamp_end=None,
    )
    return flow


def connect(
    exchanges: Exchanges, target: str = HOST, port: int = 443, *fields: tuple[bytes, bytes], by: Client | None = None
) -> http.HTTPFlow:
    """A CONNECT on a proxy connection."""
    authority = f"{target}:{port}".encode()
    head = ((b"Host", authority), *fields)
    return made(b"CONNECT", b"", head, host=target, port=port, scheme=b"", authority=authority, by=by)


def gateway(
    exchanges: Exchanges,
    path: bytes = b"/transparent/openai/v1/models",
    *fields: tuple[bytes, bytes],
    method: bytes = b"GET",
    version: bytes = b"HTTP/1.1",
    by: Client | None = None,
) -> http.HTTPFlow:
    """Origin form, sent to us."""
    by = by or client()
    exchanges.peer(by).gateway = True
    head = ((b"Host", b"gateway"), *fields)
    return made(method, path, head, host=NOWHERE[0], port=NOWHERE[1], version=version, by=by)


def inside(
    exchanges: Exchanges,
    *fields: tuple[bytes, bytes],
    authority: bytes = b"",
    scheme: bytes = b"https",
    sni: str | None = HOST,
    by: Client | None = None,
) -> http.HTTPFlow:
    """A request inside a tunnel that leads to api.openai.com."""
    by = by or client()
    by.sni = sni
    exchanges.peer(by).tunnel = TARGET
    head = fields if any(name.lower() == b"host" for name, _ in fields) else ((b"Host", HOST.encode()), *fields)
    return made(b"GET", b"/v1/models", head, host=HOST, port=443, scheme=scheme, authority=authority, by=by)


def absolute(
    exchanges: Exchanges, host: str = "llm.internal", *fields: tuple[bytes, bytes], by: Client | None = None
) -> http.HTTPFlow:
    """Absolute form on a proxy connection; mitmproxy has taken the authority off already."""
    head = ((b"Host", host.encode()), *fields)
    return made(b"GET", b"/transparent/openai/v1/models", head, host=host, port=80, by=by)


def answered(flow: http.HTTPFlow, status: int = 200, *fields: tuple[bytes, bytes], body: bytes = b"") -> http.HTTPFlow:
    """The flow with a provider's answer."""
    flow.response = http.Response(b"HTTP/1.1", status, b"", http.Headers(fields), body, None, 2.0, 3.0)
    return flow
