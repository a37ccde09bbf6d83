"""The seam: mitmproxy's flow to our Request and back. Knows both shapes and decides nothing."""

from __future__ import annotations

from mitmproxy import http

from llmauth.addresses import HostPort, parse_authority
from llmauth.http import Door, Headers, Request, Response, Url


def to_request(
    flow: http.HTTPFlow, door: Door, tunnel: HostPort | None, certificate: tuple[bytes, ...] = ()
) -> Request:
    """The head of a flow's request. Paths and header values keep every byte they came with.

    In a tunnel the URL is the CONNECT target's, since that is what was approved, unless the request line carries an
    authority of its own; whether it, Host and SNI agree with the target is for screening to judge.
    """
    data = flow.request.data
    scheme = data.scheme.decode("ascii", "replace")
    host, port = data.host, data.port
    if door is Door.CONNECT:
        scheme = "https"
    if tunnel is not None:
        host, port = (
            _authority(data.authority) if data.authority and door is Door.TUNNEL else (tunnel.host, tunnel.port)
        )
    peername = flow.client_conn.peername
    return Request(
        method=data.method.decode("ascii", "replace"),
        url=Url(scheme, host, port, data.path.decode("utf-8", "surrogateescape")),
        headers=Headers(data.headers.fields),
        door=door,
        tunnel=tunnel,
        source=peername[0] if peername else "",
        certificate=certificate,
    )


def _authority(authority: bytes) -> tuple[str, int]:
    """Host and port of an absolute-form target; an empty host, which no target has, where there is none to be read."""
    try:
        named = parse_authority(authority.decode("utf-8"), 443)
    except ValueError:
        return "", 0
    return named.host, named.port


def apply(request: Request, flow: http.HTTPFlow) -> None:
    """Make a flow's request be this one, to the byte; its body stays where it is, since nothing changed it."""
    data = flow.request.data
    data.method = request.method.encode("ascii")
    data.scheme = request.url.scheme.encode("ascii")
    data.host = request.url.host
    data.port = request.url.port
    data.path = request.url.path.encode("utf-8", "surrogateescape")
    data.authority = b""
    data.headers.fields = request.headers.fields


def answer(flow: http.HTTPFlow, response: Response) -> None:
    """Answer a flow ourselves, instead of whatever was on its way."""
    flow.request.stream = False
    # The answer is final: a client that waits for `100 Continue` must not be told to go on.
    flow.request.headers.pop("expect", None)
    fields = [f for f in response.headers.fields if f[0].lower() != b"content-length"]
    fields.append((b"content-length", str(len(response.body)).encode()))
    flow.response = http.Response(
        http_version=b"HTTP/1.1",
        status_code=response.status,
        reason=http.status_codes.RESPONSES.get(response.status, "").encode(),
        headers=http.Headers(fields),
        content=response.body,
        trailers=None,
        timestamp_start=flow.request.timestamp_start,
        timestamp_end=flow.request.timestamp_start,
    )
