from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from mitmproxy.connection import Connection, ConnectionState, Server

from addons import deadlines
from addons.deadlines import Deadlines, give_up
from addons.exchange import Exchanges
from tests.addons.exchanges import TARGET, begun
from tests.addons.layers import flow

CONNECT, FIRST_BYTE = 5.0, 60.0
NOW = 1000.0


@pytest.mark.parametrize(
    ("known", "over"),
    [
        ({}, False),  # still judged: the chain has time limits of its own
        ({"approved": TARGET, "approved_at": NOW - 4}, False),
        ({"approved": TARGET, "approved_at": NOW - 6}, True),
        ({"approved": TARGET, "approved_at": NOW - 99, "sent_at": NOW - 59}, False),
        ({"approved": TARGET, "approved_at": NOW - 99, "sent_at": NOW - 61}, True),
        ({"approved": TARGET, "approved_at": NOW - 999, "sent_at": NOW - 998, "first_byte_at": NOW - 997}, False),
        ({"approved": TARGET, "approved_at": NOW - 6, "timed_out": True}, False),
    ],
)
def test_who_is_given_up(monkeypatch: pytest.MonkeyPatch, known: dict[str, Any], over: bool) -> None:
    exchanges, given_up = Exchanges(), list[object]()
    monkeypatch.setattr(deadlines, "give_up", given_up.append)
    one, its = begun(exchanges, **known)
    Deadlines(exchanges, CONNECT, FIRST_BYTE)._look(NOW)
    assert given_up == ([one] if over else [])
    assert its.timed_out is (over or known.get("timed_out", False))


def test_nobody_is_given_up_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    exchanges, given_up = Exchanges(), list[object]()
    monkeypatch.setattr(deadlines, "give_up", given_up.append)
    kept = begun(exchanges, approved=TARGET, approved_at=0.0)
    for _ in range(3):
        Deadlines(exchanges, CONNECT, FIRST_BYTE)._look(NOW)
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
    watch = Deadlines(exchanges, 0.0, 0.0)
    watch.running()
    flows = [begun(exchanges, approved=TARGET, approved_at=0.0) for _ in range(2)]
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
