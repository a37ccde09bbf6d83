"""Which answers get a meter, and that one which was kept whole is fed to it as its provider wrote it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from mitmproxy import http

from addons.exchange import Exchanges
from addons.meters import Meters
from llmauth.chat.messages import Usage
from llmauth.errors import UpstreamTimeout
from tests.addons.exchanges import begun

BODY = b'{"usage":{"prompt_tokens":5,"completion_tokens":7}}'
OPENAI = SimpleNamespace(provider="openai")


def answered(exchanges: Exchanges, path: str = "/v1/chat/completions", **more: Any) -> tuple[http.HTTPFlow, Any]:
    flow, exchange = begun(exchanges, resp=True, **{"sent_at": 1.0, "handler": OPENAI, **more})
    assert flow.response
    flow.request.method, flow.request.path = "POST", path
    flow.response.headers = http.Headers([(b"content-type", b"application/json")])
    flow.response.content = BODY
    return flow, exchange


def test_what_a_model_answered_is_metered() -> None:
    exchanges = Exchanges()
    flow, exchange = answered(exchanges)
    meters = Meters(exchanges)
    meters.responseheaders(flow)
    meters.response(flow)
    assert exchange.meter.reading().usage == Usage(input=5, output=7)
    assert exchange.passed == len(BODY)


def test_what_passed_piece_by_piece_is_not_fed_again() -> None:
    exchanges = Exchanges()
    flow, exchange = answered(exchanges)
    meters = Meters(exchanges)
    meters.responseheaders(flow)
    assert flow.response
    flow.response.stream = True
    meters.response(flow)
    assert exchange.meter.reading().usage is None
    assert exchange.passed == 0


@pytest.mark.parametrize(
    "more",
    [{"path": "/v1/files"}, {"sent_at": None}, {"handler": None}, {"error": UpstreamTimeout("late")}],
)
def test_what_no_model_answered_is_not(more: dict[str, Any]) -> None:
    exchanges = Exchanges()
    flow, exchange = answered(exchanges, **more)
    meters = Meters(exchanges)
    meters.responseheaders(flow)
    meters.response(flow)
    assert exchange.meter is None


def test_an_answer_of_ours_is_not_fed() -> None:
    exchanges = Exchanges()
    flow, exchange = answered(exchanges)
    meters = Meters(exchanges)
    meters.responseheaders(flow)
    exchange.error = UpstreamTimeout("late")
    meters.response(flow)
    assert exchange.meter.reading(cut=True).usage is None
    assert exchange.passed == 0


def test_h8_what_is_translated_has_passed_as_well() -> None:
    exchanges = Exchanges()
    flow, exchange = answered(exchanges, prepared=SimpleNamespace(native=None))
    meters = Meters(exchanges)
    meters.responseheaders(flow)
    meters.response(flow)
    assert (exchange.meter, exchange.passed) == (None, len(BODY))
