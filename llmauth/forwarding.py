"""The request as it will leave: every client credential and hop-by-hop header gone, the rest byte for byte."""

from __future__ import annotations

from llmauth.authenticators.stripping import credential_names, holds_foreign, is_in_url, strip_query
from llmauth.context import TransparentRoute
from llmauth.errors import BadRequest
from llmauth.http import Field, Headers, Request, Url
from llmauth.providers.base import ProviderHandler
from llmauth.providers.envelope import Envelope
from llmauth.screening import hop_by_hop_names
from llmauth.websocket.handshake import PROTOCOLS, is_asked, without_keys

_NATIVE = frozenset({b"x-request-id", b"x_request_id", b"x-request_id", b"x_request-id"})
_OURS = _NATIVE | {b"host"}
_OF_THE_ENVELOPE = frozenset({b"content-type", b"accept", b"content-length", b"content-encoding", b"cookie"})


def outgoing(request: Request, route: TransparentRoute, handler: ProviderHandler, request_id: str | None) -> Request:
    """The client's request, addressed to the provider and carrying no credential at all.

    Only these headers differ from what came: credentials and hop-by-hop headers are gone, `X-Request-Id` is ours (or
    gone, where there is none to send), a chunked body has a length (it was read whole), on a gateway path Host is the
    provider's, and a WebSocket is asked for anew, with the subprotocols that are no credential. BadRequest where a key
    of ours is a part of the path, which cannot be cut out.
    """
    headers = request.headers
    dropped = credential_names(headers, route.path) | hop_by_hop_names(headers) | (_NATIVE if route.native else _OURS)
    path = _keyless(route.path)
    url = _native(request, path) if route.native else handler.forward(path, request.method)
    # "It is RECOMMENDED that user agents send Host as the first field" (RFC 9110, 7.2).
    fields = [] if route.native else [(b"Host", url.authority.encode("ascii"))]
    asks = b"upgrade" in headers.index() and is_asked(headers)
    if asks and not any(map(holds_foreign, headers.index().get(PROTOCOLS, ()))):
        dropped.discard(PROTOCOLS)
    fields += [field for field in headers.fields if field[0].lower() not in dropped]
    if asks:
        fields = _asking(fields)
    if request_id is not None:
        fields.append((b"X-Request-Id", request_id.encode("ascii")))
    if b"content-length" in dropped or b"content-length" not in headers.index():
        _tell_length(fields, request)
    return request.altered(url=url, headers=Headers(fields))


def enclosed(request: Request, call: Envelope) -> Request:
    """The call of an envelope in its place: its body, and the two headers that belong to it. Cookies were for us."""
    kept = request.headers.without(_OF_THE_ENVELOPE)
    told = ((b"Content-Type", call.content_type.encode("ascii")), (b"Accept", call.accept.encode("ascii")))
    return request.altered(headers=kept.adding(*told), body=call.body)


def carried(request: Request) -> Request:
    """A plain http:// request to a host that is no provider, with every credential and every hop-by-hop field cut out.

    A credential would travel in clear text, whosever it is, so none is left. Host is written anew, and nothing added.
    BadRequest where a key of ours is a part of the path.
    """
    headers, path = request.headers, _keyless(request.url.path)
    # `Connection` may name Host, which is not the client's to take away.
    dropped = credential_names(headers, request.url.path) | hop_by_hop_names(headers) | {b"host"}
    fields = [(b"Host", request.url.authority.encode("ascii"))]
    fields += [field for field in headers.fields if field[0].lower() not in dropped]
    if b"content-length" in dropped or b"content-length" not in headers.index():
        _tell_length(fields, request)
    return request.altered(url=request.url._replace(path=path), headers=Headers(fields))


def _keyless(path: str) -> str:
    """The path without credentials in its query; what is left of it is not to be a path of another meaning."""
    if is_in_url(path.partition("?")[0]):
        raise BadRequest("A key of this gateway stands in the path of the URL.", hint="Send it as a header instead.")
    return strip_query(path)


def _asking(fields: list[Field]) -> list[Field]:
    """The handshake of a WebSocket for the next hop: the fields that end here anew, and no key among subprotocols."""
    kept = [(n, without_keys(v) if n.lower() == PROTOCOLS else v) for n, v in fields]
    kept = [(n, v) for n, v in kept if v or n.lower() != PROTOCOLS]
    return [*kept, (b"Connection", b"Upgrade"), (b"Upgrade", b"websocket")]


def _tell_length(fields: list[Field], request: Request) -> None:
    """A body whose length `Connection` removed, or that came chunked, gets one: what is told is what is sent."""
    index = request.headers.index()
    if request.body or b"content-length" in index or b"transfer-encoding" in index:
        fields.append((b"Content-Length", str(len(request.body)).encode("ascii")))


def _native(request: Request, path: str) -> Url:
    """By the provider's own host: the client named it, screening compared it, and it stays."""
    return request.url._replace(scheme="https", path=path)
