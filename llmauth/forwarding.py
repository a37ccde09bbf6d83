"""The request as it will leave: every client credential and hop-by-hop header gone, the rest byte for byte."""

from __future__ import annotations

from dataclasses import replace

from llmauth.authenticators.stripping import strip_credentials
from llmauth.context import Route
from llmauth.http import Field, Headers, Request, Url
from llmauth.providers.base import ProviderHandler
from llmauth.screening import forwardable

_REPLACED = frozenset({b"x-request-id", b"x_request_id"})


def outgoing(request: Request, route: Route, handler: ProviderHandler, request_id: str) -> Request:
    """The client's request, addressed to the provider and carrying no credential at all.

    Only these headers differ from what came: credentials and hop-by-hop headers are gone, Host names the provider,
    `X-Request-Id` is ours, and a chunked body has a length (it was read whole).
    """
    headers, path = strip_credentials(request.headers, route.path)
    url = _native(request, path) if route.native else handler.forward(path, request.method)
    fields = [field for field in forwardable(headers).fields if field[0].lower() not in _REPLACED]
    fields.append((b"X-Request-Id", request_id.encode("ascii")))
    _frame(fields, request)
    return replace(request, url=url, headers=Headers(fields))


def _frame(fields: list[Field], request: Request) -> None:
    """Make the length that is told the length that is sent, whatever `Connection` or chunking removed.

    A length that came is kept as it was written, since mitmproxy read the body by it; a body without one gets one.
    """
    if any(len(name) == 14 and name.lower() == b"content-length" for name, _ in fields):
        return
    index = request.headers.index()
    if request.body or b"content-length" in index or b"transfer-encoding" in index:
        fields.append((b"Content-Length", str(len(request.body)).encode("ascii")))


def _native(request: Request, path: str) -> Url:
    """By the provider's own host: the client named it, screening compared it, and it stays."""
    return replace(request.url, scheme="https", path=path)
