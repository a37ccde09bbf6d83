from __future__ import annotations

import asyncio
import resource
from types import SimpleNamespace
from typing import Any, cast

import pytest
from mitmproxy.connection import Client

from addons import connections
from addons.connections import Connections
from addons.exchange import Awaited, Exchanges, peer_of
from addons.wire.signals import Overdue
from llmauth.config.limits import Limits
from llmauth.context import Identity
from llmauth.gateway import Gateway
from tests.addons.exchanges import begun, plan
from tests.addons.layers import client

LIMITS = Limits(
    head_timeout=15, idle_timeout=600, write_timeout=60, connections=3, unproved_connections=3, unproved_per_source=2
)
NOW = 1000.0


class Handler:
    """A client's connection, as far as it is watched."""

    def __init__(self, one: Client) -> None:
        self.client = one
        self.transports = {one: SimpleNamespace(handler=1)}
        self.handed_to_client = self.waiting = 0
        self.did: list[str] = []
        self.events: list[object] = []

    def unwritten(self, _: Client) -> int:
        return self.waiting

    def close_connection(self, _: Client) -> None:
        self.did.append("close")

    def abort_client(self) -> None:
        self.did.append("abort")

    async def server_event(self, event: object) -> None:
        self.events.append(event)


class House:
    """The addon, its clients, and the time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, limits: Limits = LIMITS) -> None:
        self.exchanges, self.told = Exchanges(), list[str]()
        self.handlers: dict[str, Handler] = {}
        self.now = NOW
        self.gateway = SimpleNamespace(plan=plan(limits))
        self.addon = Connections(cast(Gateway, self.gateway), self.exchanges, self.told.append)
        monkeypatch.setattr(connections, "_handler_of", lambda one: self.handlers.get(one.id))
        monkeypatch.setattr(connections, "time", SimpleNamespace(monotonic=lambda: self.now))

    def come(self, source: str = "10.0.0.1", *, proved: bool = False) -> Handler:
        one = client()
        one.peername = (source, 1)
        self.handlers[one.id] = Handler(one)
        self.addon.client_connected(one)
        if proved:
            peer_of(one).identity = cast(Identity, object())
        return self.handlers[one.id]

    def stands(self, handler: Handler, awaited: Awaited, number: int = 1) -> None:
        peer_of(handler.client).http = SimpleNamespace(awaited=lambda: (awaited, number))

    async def look(self, after: float) -> None:
        self.now += after
        self.addon.look(self.now)
        await asyncio.sleep(0)


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch) -> House:
    return House(monkeypatch)


async def test_who_says_nothing_is_closed(house: House) -> None:
    one = house.come()
    await house.look(14.0)
    assert one.did == []
    await house.look(1.5)
    assert (one.did, house.told) == (["close"], ["head_timeout"])


@pytest.mark.parametrize(
    ("awaited", "proved", "seconds", "limit"),
    [
        (Awaited.FIRST_HEAD, True, 15, "head_timeout"),
        (Awaited.HEAD, True, 15, "head_timeout"),
        (Awaited.IDLE, True, 600, "idle_timeout"),
        (Awaited.IDLE, False, 15, "idle_timeout"),
        (Awaited.BODY, True, None, ""),
        (Awaited.ANSWER, False, None, ""),
        (Awaited.PIPE, False, None, ""),
    ],
)
async def test_how_long_each_is_waited_for(
    house: House, awaited: Awaited, proved: bool, seconds: int | None, limit: str
) -> None:
    one = house.come(proved=proved)
    house.stands(one, awaited, 7)
    await house.look(1.0)
    await house.look((seconds or 99_999) - 0.5)
    assert one.events == []
    await house.look(1.0)
    assert house.told == ([limit] if seconds else [])
    assert [type(event) for event in one.events] == ([Overdue] if seconds else [])
    assert one.did == []


async def test_a_new_request_has_new_time(house: House) -> None:
    one = house.come(proved=True)
    for number in range(1, 5):
        house.stands(one, Awaited.HEAD, number)
        await house.look(14.0)
    assert house.told == []


async def test_layers_that_do_not_close_are_closed_under(house: House) -> None:
    one = house.come()
    house.stands(one, Awaited.FIRST_HEAD)
    await house.look(16.0)
    await house.look(0.5)
    assert (len(one.events), one.did) == (1, [])
    await house.look(1.0)
    assert (one.did, house.told) == (["close"], ["head_timeout"])


async def test_who_takes_nothing_is_cut(house: House) -> None:
    one = house.come(proved=True)
    house.stands(one, Awaited.ANSWER)
    flow, exchange = begun(house.exchanges)
    flow.client_conn = one.client
    one.handed_to_client, one.waiting = 1000, 500
    await house.look(1.0)
    await house.look(59.0)
    one.handed_to_client, one.waiting = 1400, 899  # more was written, and a single byte was taken
    await house.look(59.0)
    one.handed_to_client, one.waiting = 1500, 999  # more was written, and nothing was taken
    await house.look(59.0)
    assert one.did == []
    await house.look(2.0)
    assert (one.did, house.told, exchange.limit) == (["abort"], ["write_timeout"], "write_timeout")


async def test_who_is_not_read_is_not_waited_for(house: House) -> None:
    """Its head may be there already."""
    one = house.come()
    house.stands(one, Awaited.HEAD)
    one.waiting = 10
    await house.look(1.0)
    await house.look(30.0)
    assert house.told == []


async def test_of_one_address_the_oldest_that_proved_nothing_go(house: House) -> None:
    first = house.come(proved=True)
    old, *_ = [house.come() for _ in range(2)]
    house.addon._open.clear()
    held = [house.come("10.0.0.2") for _ in range(3)]
    await house.look(0.5)
    assert house.told == []  # they have only just come
    await house.look(1.0)
    assert [one.did for one in held] == [["close"], [], []]
    assert (house.told, first.did, old.did) == (["unproved_per_source"], [], [])


async def test_of_all_the_oldest_that_proved_nothing_go(monkeypatch: pytest.MonkeyPatch) -> None:
    house = House(monkeypatch, LIMITS.model_copy(update={"connections": 99}))
    known = house.come(proved=True)
    asking = house.come()
    house.stands(asking, Awaited.ANSWER)
    held = [house.come(f"10.0.0.{number}") for number in range(5)]
    await house.look(2.0)
    assert [one.did for one in held] == [["close"], ["close"], [], [], []]
    assert house.told == ["unproved_connections"] * 2
    assert (known.did, asking.did) == ([], [])


def test_who_comes_takes_the_place_of_who_proved_nothing(house: House) -> None:
    known, old, young = house.come(proved=True), house.come(), house.come()
    late = house.come()
    assert (known.did, old.did, young.did, late.client.error) == ([], ["close"], [], None)
    assert house.told == ["connections"]


def test_where_all_have_proved_something_there_is_no_place(house: House) -> None:
    known = [house.come(proved=True) for _ in range(3)]
    late = house.come()
    assert late.client.error is not None
    house.addon.client_disconnected(late.client)
    house.addon.client_disconnected(known[0].client)
    assert house.come().client.error is None
    assert house.told == ["connections"]


@pytest.mark.parametrize(
    ("soft", "hard", "asked", "most"),
    [
        (1024, 4096, 4096, 1984),
        (1024, 1_048_576, 65_536, 10_000),
        (65_536, 1_048_576, None, 10_000),
        (200, 200, None, 36),
        (100, 100, None, 1),
        (1024, resource.RLIM_INFINITY, 65_536, 10_000),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, None, 10_000),
    ],
)
def test_there_is_room_for_who_is_let_in(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, asked: int | None, most: int
) -> None:
    set_to: list[Any] = []
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda kind, pair: set_to.append(pair))
    house = House(monkeypatch, Limits())
    house.addon.running()
    assert house.addon._most == most
    assert set_to == ([(asked, hard)] if asked else [])


def test_what_is_configured_counts_where_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (65_536, 65_536))
    house = House(monkeypatch, Limits(connections=20_000))
    house.addon.running()
    assert house.addon._most == 20_000
