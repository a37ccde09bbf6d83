"""What is kept of a request where flows can be looked at afterwards: everything but credentials."""

from __future__ import annotations

import re

from mitmproxy import http

from addons.exchange import Exchanges
from llmauth.authenticators.presented import parameter
from llmauth.authenticators.stripping import credential_names, is_in_url, strip_query
from llmauth.authenticators.tokens import FORM
from llmauth.http import Field, Headers
from llmauth.secrets import MASK
from llmauth.storage.key_text import PREFIX

_MASK = MASK.encode()
# Where a credential may stand that no handler of this version sets, and no stripping needs to know.
_ALSO = frozenset({b"cookie", b"authorization", b"x-amz-security-token"})
# What a handler sets beside its credential.
PLAIN = frozenset(
    {
        *(b"host", b"connection", b"upgrade", b"content-length", b"content-type", b"transfer-encoding"),
        *(b"date", b"x-date", b"x-amz-date", b"x-request-id"),
        *(b"sec-websocket-key", b"sec-websocket-version", b"sec-websocket-extensions"),
    }
)
_SECRET_WORDS = ("key", "token", "secret", "signature", "password")
# A key, and a placeholder token that stands for one.
_KEY = re.compile(rb"llmauth_[0-9A-Za-z]+_[0-9A-Za-z]+|" + re.escape(FORM.encode("ascii")) + rb"[0-9A-Za-z_.-]*")
_BEGINNINGS = (PREFIX.encode("ascii"), FORM.encode("ascii"))


class Redact:
    """Masks, after it was sent, what was injected and what the client sent to prove itself.

    Stands behind the whole chain and before whatever keeps flows. Until the answer's head, or the failure, a flow holds
    its credential, for it has yet to be sent: nothing that keeps flows may look earlier.
    """

    name = "redact"

    def __init__(self, exchanges: Exchanges) -> None:
        self._exchanges = exchanges

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        self._redact(flow)

    def error(self, flow: http.HTTPFlow) -> None:
        self._redact(flow)

    def http_connected(self, flow: http.HTTPFlow) -> None:
        self._redact(flow)

    def http_connect_error(self, flow: http.HTTPFlow) -> None:
        self._redact(flow)

    def _redact(self, flow: http.HTTPFlow) -> None:
        exchange = self._exchanges.of(flow)
        sent = frozenset(exchange.request.headers.fields) if exchange is not None else frozenset[Field]()
        data = flow.request.data
        path = data.path.decode("utf-8", "surrogateescape")
        names = credential_names(Headers(data.headers.fields), path) - PLAIN
        data.headers.fields = tuple([_masked(field, names, sent) for field in data.headers.fields])
        data.path = without_keys(strip_query(path)).encode("utf-8", "surrogateescape")
        content = data.content
        if content is not None and any(beginning in content for beginning in _BEGINNINGS):
            data.content = _KEY.sub(_MASK, content)
        # What mitmproxy keeps to undo an edit would bring it all back.
        flow._backup = None


def _masked(field: Field, names: set[bytes], sent: frozenset[Field]) -> Field:
    name, value = field
    lowered = name.lower()
    ours = field not in sent and lowered not in PLAIN
    return (name, _MASK) if ours or lowered in names or lowered in _ALSO else (name, _KEY.sub(_MASK, value))


def without_keys(path: str) -> str:
    """The path with every segment and parameter masked that holds a key of ours, or is called like a credential."""
    route, mark, query = path.partition("?")
    route = "/".join(MASK if is_in_url(segment) else segment for segment in route.split("/"))
    return route + mark + "&".join([_parameter(each) for each in query.split("&")] if mark else [])


def _parameter(text: str) -> str:
    name, value = parameter(text)
    secret = PREFIX in value or is_in_url(text) or any(word in name.lower() for word in _SECRET_WORDS)
    return f"{text.partition('=')[0]}={MASK}" if secret else text
