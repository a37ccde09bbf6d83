"""The list holds copies alone: drawn beside the requests, in the order of their coming, and not for ever."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from mitmproxy import http
from mitmproxy.test import tflow, tutils

from addons.exchange import Exchange, Exchanges
from addons.viewing import shown as module
from addons.viewing.bodies import KEPT
from addons.viewing.listed import Listed
from addons.viewing.shown import Shown
from llmauth.telemetry.access import Outcome
from tests.addons.exchanges import exchange


@pytest.fixture
def exchanges() -> Exchanges:
    return Exchanges()


@pytest.fixture
def listed() -> Listed:
    return Listed()


def running(exchanges: Exchanges, size: int = 0, **more: Any) -> tuple[http.HTTPFlow, Exchange]:
    flow = tflow.tflow(req=tutils.treq(content=b"x" * size), resp=True)
    flow.live = True
    assert flow.response
    flow.response.content = b""
    return flow, exchanges.begin(flow, exchange(**more))


def outcome(of: Exchange) -> Outcome:
    return Outcome(
        context=of.context,
        request=of.request,
        status=200,
        finished=of.context.started + 0.5,
        overhead=None,
        dial=None,
        first_byte_at=None,
        error=None,
        decisions=(),
        cut=False,
        provider_request_id=None,
    )


async def drawn() -> None:
    await asyncio.sleep(0.15)


async def test_a_request_is_shown_in_flight_as_a_copy(exchanges: Exchanges, listed: Listed) -> None:
    shown = Shown(listed, exchanges)
    flow, _ = running(exchanges)
    shown.requestheaders(flow)
    assert not list(listed), "a hook draws nothing"
    await drawn()
    (copy,) = listed
    assert copy.id == flow.id
    assert copy is not flow
    assert copy.comment.startswith("nobody yet · running")
    assert not hasattr(shown, "update"), "by which mitmproxy would hand real flows on"


async def test_its_stream_is_shown_while_it_comes_and_its_cost_at_the_end(exchanges: Exchanges, listed: Listed) -> None:
    shown = Shown(listed, exchanges)
    flow, made = running(exchanges)
    shown.requestheaders(flow)
    shown.request(flow)
    assert flow.response
    flow.response.stream = True
    shown.responseheaders(flow)
    assert made.onlooker is not None
    made.onlooker.feed(b"data: one\n\n")
    await drawn()
    (copy,) = listed
    assert copy.response is not None
    assert copy.response.content == b"data: one\n\n"
    made.onlooker.feed(b"data: two\n\n")
    shown.response(flow)
    shown.tell([outcome(made)])
    await drawn()
    assert copy.response.content == b"data: one\n\ndata: two\n\n"
    assert "500.0 ms" in copy.comment
    shown.error(flow)
    await drawn()
    assert copy.error is None, "it is over"


async def test_an_end_that_nobody_tells_of_is_drawn_as_well(
    exchanges: Exchanges, listed: Listed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LONGEST_UNTOLD", 0.05)
    shown = Shown(listed, exchanges)
    flow, _ = running(exchanges)
    shown.stopped(flow)
    await drawn()
    await drawn()
    (copy,) = listed
    assert "state: over" in copy.comment


async def test_they_stand_in_the_order_of_their_coming(exchanges: Exchanges, listed: Listed) -> None:
    shown, flows = Shown(listed, exchanges), [running(exchanges) for _ in range(20)]
    for flow, _ in flows:
        shown.requestheaders(flow)
    for flow, made in reversed(flows):
        shown.response(flow)
        shown.tell([outcome(made)])
    await drawn()
    assert [copy.id for copy in listed] == [flow.id for flow, _ in flows]


async def test_only_so_many_are_kept(exchanges: Exchanges, listed: Listed) -> None:
    """Of what is over the oldest goes first; nothing that runs is ended by it."""
    shown = Shown(listed, exchanges, most=3)
    first, _ = running(exchanges)
    shown.requestheaders(first)
    others = [running(exchanges) for _ in range(5)]
    for flow, made in others:
        shown.response(flow)
        shown.tell([outcome(made)])
        await drawn()
    assert [copy.id for copy in listed] == [first.id, others[3][0].id, others[4][0].id]
    assert first.live
    more = [running(exchanges)[0] for _ in range(3)]
    for flow in more:
        shown.requestheaders(flow)
    await drawn()
    assert [copy.id for copy in listed] == [flow.id for flow in more]
    assert first.error is None
    shown.responseheaders(first)
    await drawn()
    assert list(listed)[-1].id == first.id, "it comes back when there is more of it"


async def test_only_so_much_is_kept(exchanges: Exchanges, listed: Listed) -> None:
    shown = Shown(listed, exchanges, size=100_000)
    for _ in range(10):
        flow, made = running(exchanges, 30_000)
        shown.request(flow)
        shown.response(flow)
        shown.tell([outcome(made)])
        await drawn()
    assert 0 < sum(len(copy.request.raw_content or b"") for copy in listed) <= 100_000
    assert shown._total <= 100_000


async def test_a_long_stream_keeps_its_beginning_and_is_not_drawn_again_and_again(
    exchanges: Exchanges, listed: Listed
) -> None:
    shown = Shown(listed, exchanges)
    flow, made = running(exchanges)
    assert flow.response
    flow.response.stream = True
    shown.responseheaders(flow)
    assert made.onlooker is not None
    began = time.monotonic()
    for _ in range(2000):
        made.onlooker.feed(b"data: " + b"x" * 8000 + b"\n\n")
    assert time.monotonic() - began < 0.5
    await drawn()
    (copy,) = listed
    assert copy.response is not None
    assert 0 < len(copy.response.raw_content or b"") <= KEPT


async def test_what_cannot_be_drawn_costs_nobody_a_request(
    exchanges: Exchanges, listed: Listed, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ValueError("canary")

    shown = Shown(listed, exchanges)
    flow, _ = running(exchanges)
    monkeypatch.setattr(module, "draw", fail)
    shown.requestheaders(flow)
    await drawn()
    monkeypatch.setattr(module, "blank", fail)
    shown.requestheaders(running(exchanges)[0])
    assert list(listed) == []
    assert caplog.messages == ["A flow cannot be shown"] * 2
    assert "canary" not in caplog.text
    shown.done()
