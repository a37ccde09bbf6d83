from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from mitmproxy import http
from mitmproxy.connection import Connection, ConnectionState, Server

from addons import deadlines
from addons.deadlines import Deadlines, give_up
from addons.exchange import Exchange, Exchanges
from addons.wire.reading import Meter
from llmauth.config.limits import Limits
from llmauth.context import RequestContext
from tests.addons import exchanges as made
from tests.addons.exchanges import TARGET, plan
from tests.addons.layers import flow

CONNECT, FIRST_BYTE = 5.0, 60.0
NOW = 1000.0

PLAN = plan(connect=CONNECT, first_byte=FIRST_BYTE)


def begun(exchanges: Exchanges, **more: Any) -> tuple[http.HTTPFlow, Exchange]:
    return made.begun(exchanges, **{"plan": PLAN, **more})


def since(started: float) -> RequestContext:
    return RequestContext(request_id="id-1", received_at=0.0, started=started)


SENT: dict[str, Any] = {"approved": TARGET, "approved_at": NOW - 999, "body_in_at": NOW - 999, "sent_at": NOW - 998}


@pytest.mark.parametrize(
    ("known", "limit"),
    [
        ({}, None),  # still judged: the chain has time limits of its own
        ({"approved": TARGET, "approved_at": NOW - 4}, None),
        ({"approved": TARGET, "approved_at": NOW - 6}, "connect_timeout"),
        ({"approved": TARGET, "approved_at": NOW - 99, "sent_at": NOW - 59}, None),
        ({"approved": TARGET, "approved_at": NOW - 99, "sent_at": NOW - 61}, "first_byte_timeout"),
        ({**SENT, "first_byte_at": NOW - 119}, None),
        ({**SENT, "first_byte_at": NOW - 121}, "answer_silence"),
        ({**SENT, "first_byte_at": NOW - 997, "heard_at": NOW - 119}, None),
        ({**SENT, "first_byte_at": NOW - 9, "context": since(NOW - 3599)}, None),
        ({**SENT, "first_byte_at": NOW - 9, "context": since(NOW - 3601)}, "exchange_timeout"),
        ({"approved": TARGET, "approved_at": NOW - 6, "timed_out": True}, None),
    ],
)
def test_who_is_given_up(monkeypatch: pytest.MonkeyPatch, known: dict[str, Any], limit: str | None) -> None:
    exchanges, given_up, told = Exchanges(), list[object](), list[str]()
    monkeypatch.setattr(deadlines, "give_up", given_up.append)
    monkeypatch.setattr(deadlines, "_connection_of", lambda flow: None)
    one, its = begun(exchanges, **{"context": since(NOW - 1), **known})
    Deadlines(exchanges, tell=told.append)._look(NOW)
    assert given_up == ([one] if limit else [])
    assert (its.limit, told) == (limit, [limit] if limit else [])
    assert its.timed_out is (limit is not None or known.get("timed_out", False))


@pytest.mark.parametrize(
    ("started", "heard_at", "limit"),
    [(29, 0, None), (31, 0, "body_silence"), (299, 29, None), (301, 1, "body_timeout")],
)
def test_who_does_not_send_the_rest_is_stopped(
    monkeypatch: pytest.MonkeyPatch, started: float, heard_at: float, limit: str | None
) -> None:
    exchanges, stopped = Exchanges(), list[object]()
    monkeypatch.setattr(deadlines, "stop", stopped.append)
    monkeypatch.setattr(deadlines, "_connection_of", lambda flow: None)
    one, its = begun(exchanges, context=since(NOW - started), heard_at=NOW - heard_at if heard_at else 0.0)
    one.request.timestamp_end = None
    for _ in range(2):
        Deadlines(exchanges)._look(NOW)
    assert (stopped, its.limit, its.timed_out) == ([one] if limit else [], limit, False)


def test_an_exchange_may_be_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    exchanges = Exchanges()
    monkeypatch.setattr(deadlines, "_connection_of", lambda flow: None)
    endless = plan(Limits(exchange_timeout=None))
    kept = begun(exchanges, **SENT, first_byte_at=NOW - 9, context=since(NOW - 99_999), plan=endless)
    Deadlines(exchanges)._look(NOW)
    assert kept[1].limit is None


@pytest.mark.parametrize(
    ("held_back", "received", "limit"), [(True, 7, None), (False, 8, None), (False, 7, "answer_silence")]
)
def test_silence_is_that_of_the_provider_alone(
    monkeypatch: pytest.MonkeyPatch, held_back: bool, received: int, limit: str | None
) -> None:
    """Who is not read because its client does not read is not silent."""
    exchanges = Exchanges()
    one, its = begun(exchanges, **SENT, first_byte_at=NOW - 500, heard=7, heard_at=NOW - 400, context=since(NOW - 999))
    meters = {one.server_conn: Meter(received, held_back)}
    monkeypatch.setattr(deadlines, "_connection_of", lambda flow: SimpleNamespace(meters=meters))
    monkeypatch.setattr(deadlines, "give_up", lambda flow: None)
    Deadlines(exchanges)._look(NOW)
    assert its.limit == limit


def test_m1_what_is_over_and_was_not_told_is_handed_over_once() -> None:
    exchanges, dropped = Exchanges(), list[object]()
    one, _ = begun(exchanges)
    one.live = False
    for _ in range(2):
        Deadlines(exchanges, dropped=dropped.append)._look(NOW)
    assert dropped == [one]


def test_nobody_is_given_up_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    exchanges, given_up = Exchanges(), list[object]()
    monkeypatch.setattr(deadlines, "give_up", given_up.append)
    kept = begun(exchanges, approved=TARGET, approved_at=0.0)
    for _ in range(3):
        Deadlines(exchanges)._look(NOW)
    assert given_up == [kept[0]]


async def test_the_clock_goes_on_after_a_failure(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    exchanges, given_up = Exchanges(), []

    def fail_once(one: object) -> None:
        given_up.append(one)
        raise RuntimeError

    monkeypatch.setattr(deadlines, "give_up", fail_once)
    monkeypatch.setattr(deadlines, "_TICK", 0.01)
    watch = Deadlines(exchanges)
    watch.running()
    hasty = plan(connect=0.0)
    flows = [begun(exchanges, approved=TARGET, approved_at=0.0, plan=hasty) for _ in range(2)]
    async with asyncio.timeout(5):
        while len(given_up) < 2:
            await asyncio.sleep(0.01)
    watch.done()
    assert len(flows) == len(given_up)
    assert "could not be checked" in caplog.text


def server(state: ConnectionState, *, secured: bool) -> Server:
    made = Server(address=("api.openai.com", 443))
    made.timestamp_tls_setup = 1.0 if secured else None
    made.state = state
    return made


@pytest.mark.parametrize(
    ("state", "secured", "closed"),
    [
        (ConnectionState.CLOSED, False, True),  # dialling
        (ConnectionState.OPEN, False, True),  # in its handshake
        (ConnectionState.OPEN, True, False),  # of an earlier request, and idle
    ],
)
def test_what_is_on_its_way_is_closed(
    monkeypatch: pytest.MonkeyPatch, state: ConnectionState, secured: bool, closed: bool
) -> None:
    one, connection, ended = flow(), server(state, secured=secured), list[Connection]()
    _with(monkeypatch, one, connection, ended)
    give_up(one)
    assert ended == ([connection] if closed else [])


def test_beside_other_streams_of_http2_only_its_own_dial_is(monkeypatch: pytest.MonkeyPatch) -> None:
    one, connection, ended = flow(), server(ConnectionState.CLOSED, secured=False), list[Connection]()
    one.client_conn.alpn = b"h2"
    _with(monkeypatch, one, connection, ended)
    give_up(one)
    assert ended == []
    one.server_conn = connection
    give_up(one)
    assert ended == [connection]


def test_the_connection_of_the_flow_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    one, connection, ended = flow(), server(ConnectionState.OPEN, secured=True), list[Connection]()
    one.server_conn = connection
    _with(monkeypatch, one, connection, ended)
    give_up(one)
    assert ended == [connection]


def test_a_client_that_has_left_needs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    master = SimpleNamespace(addons={"proxyserver": SimpleNamespace(connections={})})
    monkeypatch.setattr(deadlines, "ctx", SimpleNamespace(master=master))
    give_up(flow())


def _with(monkeypatch: pytest.MonkeyPatch, one: Any, connection: Connection, ended: list[Connection]) -> None:
    handler = SimpleNamespace(
        client=one.client_conn, transports={one.client_conn: 1, connection: 2}, close_connection=ended.append
    )
    proxyserver = SimpleNamespace(connections={one.client_conn.id: handler})
    master = SimpleNamespace(addons={"proxyserver": proxyserver})
    monkeypatch.setattr(deadlines, "ctx", SimpleNamespace(master=master))
