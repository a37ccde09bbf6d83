from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from mitmproxy import options
from mitmproxy.proxy import commands, events, layer, mode_specs
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http import HttpResponseHook

from addons.failclosed import FailClosed
from addons.wire.connection import GatewayConnection, dialling
from addons.wire.frames import STREAMS
from addons.wire.orders import AwaitDrain, Reading
from tests.addons.layers import flow


class Echo(layer.Layer):
    """Asks its hook about every line, and then says it back in two pieces."""

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if not isinstance(event, events.DataReceived):
            return
        if event.data == b"crash":
            raise RuntimeError("canary")
        yield HttpResponseHook(flow())
        yield commands.SendData(self.context.client, event.data)
        yield commands.SendData(self.context.client, b"!")
        if event.data == b"last":
            yield commands.CloseConnection(self.context.client)


@asynccontextmanager
async def served(
    make: Callable[[Context], layer.Layer] = Echo, hook: Callable[[Any], Any] = lambda data: None
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter, list[GatewayConnection]]]:
    """A client of a connection whose layer and one hook are given."""
    master: Any = SimpleNamespace(options=options.Options())
    master.addons = FailClosed(master)
    master.addons.chain = [SimpleNamespace(response=hook)]
    mode = mode_specs.ProxyMode.parse("regular@8080")
    open_ones: list[GatewayConnection] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        choices: Any = options.Options()
        choices.add_option("tcp_timeout", int, 60, "") if not hasattr(choices, "tcp_timeout") else None
        handler = GatewayConnection(master, reader, writer, choices, mode)
        handler.layer = make(handler.layer.context)
        open_ones.append(handler)
        await handler.handle_client()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.sockets[0].getsockname()[1])
    yield reader, writer, open_ones
    writer.close()
    server.close()


async def test_a_plain_hook_runs_in_place_and_its_answer_leaves_in_one_write(monkeypatch: pytest.MonkeyPatch) -> None:
    hooked: list[Any] = []
    async with served(hook=hooked.append) as (reader, writer, open_ones):
        writer.write(b"one")
        assert await reader.readexactly(4) == b"one!"
        (handler,) = open_ones
        written: list[bytes] = []
        inner: Any = handler.transports[handler.client].writer
        monkeypatch.setattr(inner, "write", lambda data: written.append(data))
        before = asyncio.all_tasks()
        await handler.server_event(events.DataReceived(handler.client, b"two"))
        assert asyncio.all_tasks() == before
    assert written == [b"two!"]
    assert len(hooked) == 2


async def test_a_hook_that_waits_holds_up_its_own_connection_alone() -> None:
    released = asyncio.Event()
    async with served(hook=lambda data: released.wait()) as (reader, writer, _):
        writer.write(b"slow")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(10), 0.05)
        released.set()
        assert await reader.readexactly(5) == b"slow!"


async def test_a_layer_that_fails_closes_instead_of_hanging(caplog: pytest.LogCaptureFixture) -> None:
    async with served() as (reader, writer, _):
        writer.write(b"crash")
        assert await asyncio.wait_for(reader.read(), 2) == b""
    (record,) = [one for one in caplog.records if "protocol layer failed" in one.message]
    assert (record.__dict__["error"], "test_connection.py:" in record.__dict__["at"]) == ("RuntimeError", True)
    assert "canary" not in caplog.text


async def test_what_was_said_before_a_close_arrives() -> None:
    async with served() as (reader, writer, _):
        writer.write(b"last")
        assert await asyncio.wait_for(reader.read(), 2) == b"last!"


async def test_an_unknown_command_is_a_failure() -> None:
    class Odd(layer.Layer):
        def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
            yield commands.Command()

    async with served(Odd) as (reader, _, _):
        assert await asyncio.wait_for(reader.read(), 2) == b""


class Dial(layer.Layer):
    """Dials a port at the first byte, and tells how that went."""

    port = 0

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, events.DataReceived):
            self.context.server.address = ("127.0.0.1", self.port)
            error = yield commands.OpenConnection(self.context.server)
            yield commands.SendData(self.context.client, error.encode() if error else b"connected")


async def test_a_dial_is_known_as_one_and_a_failed_one_is_forgotten() -> None:
    assert dialling.get() is False
    closed = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    Dial.port = closed.sockets[0].getsockname()[1]
    closed.close()
    async with served(Dial) as (reader, writer, open_ones):
        writer.write(b"x")
        assert b"Connect call failed" in await asyncio.wait_for(reader.read(200), 2)
        await asyncio.sleep(0)
        (handler,) = open_ones
        assert list(handler.transports) == [handler.client]
    assert dialling.get() is False


class Stingy(layer.Layer):
    """Counts what a connection brings, stops reading it after the first, and goes on when it is told to drain."""

    read = 0

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, events.Start):
            yield AwaitDrain(lambda: Stingy.read)
        elif isinstance(event, events.Wakeup):
            yield Reading(self.context.server, wanted=True)
        elif isinstance(event, events.DataReceived) and event.connection is self.context.client:
            self.context.server.address = ("127.0.0.1", int(event.data))
            yield commands.OpenConnection(self.context.server)
        elif isinstance(event, events.DataReceived):
            Stingy.read += len(event.data)
            yield Reading(self.context.server, wanted=False)


async def test_a_connection_is_not_read_until_its_layer_wants_it() -> None:
    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"x" * 4_000_000)
        with contextlib.suppress(ConnectionError):
            await writer.drain()

    Stingy.read = 0
    provider = await asyncio.start_server(flood, "127.0.0.1", 0)
    async with served(Stingy) as (_, writer, open_ones):
        writer.write(str(provider.sockets[0].getsockname()[1]).encode())
        await asyncio.sleep(0.3)
        first = Stingy.read
        assert 0 < first <= 65_536
        (handler,) = open_ones
        assert handler.unsent() == first
        await handler.drain()
        await asyncio.sleep(0.2)
        assert first < Stingy.read <= 2 * 65_536
    provider.close()


async def test_as_many_dials_to_one_address_as_requests_of_one_client() -> None:
    async with served() as (reader, writer, open_ones):
        writer.write(b"x")
        await reader.read(1)
        table = open_ones[0].max_conns[("api.openai.com", 443)]
        for _ in range(STREAMS):
            assert not table.locked()
            await table.acquire()
        assert table.locked()
