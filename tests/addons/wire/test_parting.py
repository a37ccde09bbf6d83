"""Who is told that a stream ends by our hand, and who must not be written to."""

from __future__ import annotations

from typing import Any

import pytest
from mitmproxy import http

from addons.exchange import Exchanges
from addons.wire.parting import may_speak, parting
from llmauth.context import TransparentRoute
from llmauth.errors import Draining, UpstreamTimeout
from tests.addons.exchanges import begun

ROUTE = TransparentRoute(instance="openai", path="/v1/chat/completions", native=False)
SSE = {"content-type": "text/event-stream; charset=utf-8"}


def streaming(headers: dict[str, str], **more: Any) -> http.HTTPFlow:
    flow, _ = begun(Exchanges(), resp=True, **{"route": ROUTE, "cut_for": Draining("Shutting down."), **more})
    assert flow.response
    flow.response.stream = True
    flow.response.headers = http.Headers([(name.encode(), value.encode()) for name, value in headers.items()])
    return flow


def test_a_whole_event_is_followed_by_one_more() -> None:
    assert b'"message":"Shutting down.' in parting(streaming(SSE), b'"}\n\n')


@pytest.mark.parametrize("tail", [b'{"a"', b"\n", b""])
def test_half_an_event_is_never_completed(tail: bytes) -> None:
    assert parting(streaming(SSE), tail) == b""


@pytest.mark.parametrize(
    "flow",
    [
        streaming({"content-type": "application/json"}),
        streaming({**SSE, "content-encoding": "gzip"}),
        streaming({**SSE, "content-length": "100"}),
        streaming(SSE, route=TransparentRoute(instance="openai", path="/v1/audio/speech", native=False)),
        streaming(SSE, route=None),
    ],
)
def test_who_could_not_read_it_is_not_written_to(flow: http.HTTPFlow) -> None:
    assert not may_speak(flow)
    assert parting(flow, b"\n\n") == b""


@pytest.mark.parametrize("why", [None, UpstreamTimeout("late")])
def test_what_the_provider_broke_off_is_left_as_it_is(why: object) -> None:
    assert parting(streaming(SSE, cut_for=why), b"\n\n") == b""
