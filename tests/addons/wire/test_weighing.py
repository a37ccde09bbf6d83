"""Which answers are held: those that may refuse our credential, of a request that was sent once."""

from __future__ import annotations

import json
from typing import Any

import pytest
from mitmproxy import http
from mitmproxy.proxy.layers.http._events import ResponseHeaders

from addons.exchange import Exchange as Remembered
from addons.exchange import Exchanges, arrival
from addons.wire.weighing import Held, is_refused, is_weighed
from llmauth.credentials.cache import Leased, Term
from llmauth.http import Door, Headers, Request, Url
from llmauth.providers.openai import OpenAIHandler, OpenAIOptions
from llmauth.providers.vertex import VertexHandler, VertexOptions
from llmauth.secrets import ApiKey, Secret
from tests.addons import flows
from tests.addons.exchanges import plan

FOR_EVER = Term(renew=9e9, end=9e9, renew_wall=9e9, end_wall=9e9)
LEASED = Leased(
    credential=ApiKey(value=Secret("k")),
    strategy="file",
    source="here",
    expires_at=None,
    generation=1,
    loaded_at=0.0,
    term=FOR_EVER,
)
OPENAI = OpenAIHandler("openai", OpenAIOptions(type="openai"))
VERTEX = VertexHandler("vertex", VertexOptions(type="vertex", region="us-central1", project="demo-project"))
_INFO = "type.googleapis.com/google.rpc.ErrorInfo"
GONE = json.dumps({"error": {"details": [{"@type": _INFO, "reason": "ACCESS_TOKEN_EXPIRED"}]}}).encode()


def sent(handler: Any = OPENAI, **changed: Any) -> http.HTTPFlow:
    exchanges = Exchanges()
    flow = flows.gateway(exchanges, method=b"POST")
    request = Request(method="POST", url=Url("https", "h", 443, "/"), headers=Headers(), door=Door.GATEWAY)
    exchange = Remembered(arrival(None), request, Door.GATEWAY, plan())
    exchange.handler, exchange.leased, exchange.sent_at = handler, LEASED, 1.0
    for name, value in changed.items():
        setattr(exchange, name, value)
    exchanges.begin(flow, exchange)
    return flow


def head(status: int, *fields: tuple[bytes, bytes]) -> ResponseHeaders:
    response = http.Response.make(status)
    response.headers = http.Headers([*fields, (b"Content-Type", b"application/json")])
    return ResponseHeaders(1, response, False)


@pytest.mark.parametrize(
    ("flow", "status", "weighed"),
    [
        (sent(), 401, True),
        (sent(), 403, False),
        (sent(), 200, False),
        (sent(), 500, False),
        (sent(VERTEX), 403, True),
        (sent(renewed=True), 401, False),
        (sent(leased=None), 401, False),
        (sent(sent_at=None), 401, False),
    ],
)
def test_what_is_held(flow: http.HTTPFlow, status: int, weighed: bool) -> None:
    assert is_weighed(flow, head(status)) is weighed


def test_an_answer_of_ours_is_not_weighed() -> None:
    flow = sent()
    flow.response = http.Response.make(401)
    assert not is_weighed(flow, head(401))


@pytest.mark.parametrize(("body", "refused"), [(GONE, True), (b'{"error": {"status": "INVALID_ARGUMENT"}}', False)])
def test_where_only_the_body_tells_it_is_read(body: bytes, refused: bool) -> None:
    assert is_refused(sent(VERTEX), Held(head(403), bytearray(body))) is refused


def test_where_the_head_tells_the_body_does_not_matter() -> None:
    assert is_refused(sent(), Held(head(401), bytearray(b"not json")))
