"""Who may open a socket, and for what each open one is ended."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any, cast

import pytest

from addons import websockets
from addons.websockets import WebSockets
from addons.wire.reading import Meter
from addons.wire.websocket import End, Ping, Traffic, let_in, traffic_of
from llmauth.authenticators.keys import IssuedKeys
from llmauth.config.limits import Limits
from llmauth.context import Authenticated, Identity, advance
from llmauth.http import Headers
from llmauth.storage.key_text import key_id_of
from llmauth.websocket.frames import Code
from tests.addons.conftest import House
from tests.addons.exchanges import begun, plan

NOW = 10_000.0
QUIET = Limits(answer_silence=100, exchange_timeout=3600)


class Opened:
    """A socket of alice's, some seconds old, in whose connection nothing happens but what a test says."""

    def __init__(self, house: House, monkeypatch: pytest.MonkeyPatch, limits: Limits = QUIET) -> None:
        self.house = house
        self.orders: list[object] = []
        self.told: list[str] = []
        self.addon = WebSockets(house.gateway, house.exchanges, tell=self.told.append)
        self.flow, self.exchange = begun(house.exchanges, resp=True, plan=plan(limits))
        self.identity = Identity(user="alice", method="api_key", key_id=key_id_of(house.key))
        context = advance(self.exchange.context, Authenticated, identity=self.identity)
        self.exchange.context = dataclasses.replace(context, started=NOW - 60)
        let_in(self.flow)
        self.traffic = cast(Traffic, traffic_of(self.flow))
        self.traffic.client_heard = self.traffic.server_heard = NOW
        house.exchanges.sockets.add(self.flow)
        self.handler: Any = SimpleNamespace(client=self.flow.client_conn, transports={}, meters={})
        monkeypatch.setattr(websockets, "_connection_of", lambda flow: self.handler)
        monkeypatch.setattr(self.addon, "_order", lambda flow, order: self.orders.append(order))

    def look(self, now: float = NOW) -> list[object]:
        """What was ordered so far."""
        self.addon._look(self.flow, now)
        return self.orders

    def hold(self, side: object) -> None:
        self.handler.meters[side] = Meter(held_back=True)


@pytest.fixture
def opened(house: House, monkeypatch: pytest.MonkeyPatch) -> Opened:
    return Opened(house, monkeypatch)


def poll(house: House) -> None:
    for method in house.gateway.plan.auth._judges:
        if isinstance(method, IssuedKeys):
            method._feed.poll()


async def test_who_lives_and_is_let_in_is_left_alone(opened: Opened) -> None:
    assert opened.look() == []


async def test_a5_a_revoked_key_ends_it_once(opened: Opened) -> None:
    opened.house.keys.revoke("alice")
    poll(opened.house)
    assert opened.look() == [End(Code.POLICY_VIOLATION, "the key is no longer valid")]
    assert opened.look() == opened.orders[:1]


async def test_a5_the_tunnels_key_counts_too(opened: Opened) -> None:
    other = opened.house.keys.create("bob")[0]
    poll(opened.house)
    opened.house.exchanges.peer(opened.flow.client_conn).identity = Identity(
        user="bob", method="api_key", key_id=other.id
    )
    assert opened.look() == []
    opened.house.keys.revoke("bob")
    poll(opened.house)
    assert [cast(End, order).code for order in opened.look()] == [1008]


async def test_f2_keys_that_cannot_be_checked_end_it(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    for method in opened.house.gateway.plan.auth._judges:
        if isinstance(method, IssuedKeys):
            monkeypatch.setattr(method._feed, "is_stale", lambda: True)
    assert [cast(End, order).code for order in opened.look()] == [1013]


async def test_f4_a_server_that_stops_says_so(opened: Opened) -> None:
    opened.house.exchanges.parting = True
    assert [cast(End, order).code for order in opened.look()] == [1001]


@pytest.mark.parametrize(("side", "code"), [("client", 1001), ("server", 1014)])
async def test_b2_who_is_silent_is_asked_and_then_given_up(opened: Opened, side: str, code: int) -> None:
    setattr(opened.traffic, f"{side}_heard", NOW - 51)
    assert opened.look() == [Ping(side == "client")]
    setattr(opened.traffic, f"{side}_asked", NOW)
    assert len(opened.look(NOW + 1)) == 1, "once"
    setattr(opened.traffic, f"{side}_heard", NOW - 101)
    assert cast(End, opened.look()[-1]).code == code
    assert opened.told == ["answer_silence"]


async def test_who_is_not_read_is_not_silent(opened: Opened) -> None:
    opened.traffic.server_heard = NOW - 101
    opened.hold(opened.flow.server_conn)
    assert opened.look() == []
    assert opened.traffic.server_heard == NOW


async def test_b4_two_that_wait_for_each_other_do_not_wait_for_ever(opened: Opened) -> None:
    opened.traffic.server_heard = opened.traffic.client_heard = NOW - 101
    opened.hold(opened.flow.server_conn)
    opened.hold(opened.flow.client_conn)
    assert isinstance(opened.look()[0], End)


async def test_a_client_that_is_not_read_is_asked_whether_it_is_there(opened: Opened) -> None:
    opened.hold(opened.flow.client_conn)
    assert opened.look() == [Ping(client=True)]


async def test_a_socket_has_the_time_of_any_exchange(opened: Opened) -> None:
    assert cast(End, opened.look(NOW + 3541)[-1]).reason == "the time for one socket is over"
    assert opened.told == ["exchange_timeout"]


async def test_what_cannot_be_judged_is_ended(opened: Opened) -> None:
    opened.exchange.context = None  # type: ignore[assignment]
    opened.addon.look(NOW)
    assert cast(End, opened.orders[0]).code == 1013


async def test_one_whose_client_is_gone_is_forgotten(opened: Opened) -> None:
    opened.flow.client_conn.timestamp_end = 1.0
    assert opened.look() == []
    assert opened.house.exchanges.sockets == set()


@pytest.mark.parametrize(
    ("websocket", "version", "refused"),
    [(True, b"HTTP/1.1", False), (False, b"HTTP/1.1", True), (True, b"HTTP/2.0", True)],
)
async def test_only_an_instance_that_has_them_takes_one(
    house: House, websocket: bool, version: bytes, refused: bool
) -> None:
    flow, exchange = begun(house.exchanges)
    flow.response = None
    flow.request.data.http_version = version
    exchange.context = advance(exchange.context, Authenticated, identity=Identity(user="a", method="m"))
    cast(Any, exchange.handler).websocket = websocket
    exchange.request = exchange.request.altered(headers=Headers([(b"Upgrade", b"websocket")]))
    WebSockets(house.gateway, house.exchanges).requestheaders(flow)
    assert (flow.response is not None and flow.response.status_code == 426) is refused


def answered_101(opened: Opened) -> int:
    """The status that the caller gets when the provider answers 101 now."""
    response = opened.flow.response
    assert response is not None
    response.status_code = 101
    opened.house.exchanges.sockets.clear()
    for hook in (opened.addon.responseheaders, opened.addon.response):
        hook(opened.flow)
    assert opened.flow.response is not None
    opens = opened.flow in opened.house.exchanges.sockets
    assert opens is (opened.flow.response.status_code == 101)
    return opened.flow.response.status_code


async def test_a5_who_is_revoked_before_the_101_gets_no_socket(opened: Opened) -> None:
    assert answered_101(opened) == 101
    opened.house.keys.revoke("alice")
    poll(opened.house)
    assert answered_101(opened) == 401


@pytest.mark.parametrize(("status", "opens"), [(101, True), (200, False), (426, False)])
async def test_only_a_101_is_watched(house: House, status: int, opens: bool) -> None:
    flow, _ = begun(house.exchanges, resp=True)
    assert flow.response is not None
    flow.response.status_code = status
    addon = WebSockets(house.gateway, house.exchanges)
    addon.response(flow)
    assert (traffic_of(flow) is not None, flow in house.exchanges.sockets) == (opens, opens)
    addon.socket_closed(flow)
    assert house.exchanges.sockets == set()


@pytest.mark.parametrize(("upgrade", "refused"), [(b"websocket", True), (b"h2c", False)])
async def test_in_protocol_mode_nobody_is_chosen_yet(house: House, upgrade: bytes, refused: bool) -> None:
    """Java's HttpClient offers h2c on every plain connection, and is served as if it had not."""
    flow, exchange = begun(house.exchanges)
    exchange.context = advance(
        exchange.context, Authenticated, identity=Identity(user="alice", method="api_key", key_id=None)
    )
    exchange.handler = None
    exchange.request = exchange.request.altered(headers=Headers([(b"Upgrade", upgrade)]))
    WebSockets(house.gateway, house.exchanges).requestheaders(flow)
    assert (flow.response.status_code if flow.response else None) == (426 if refused else None)
