from __future__ import annotations

import asyncio
from typing import Any

import pytest
from mitmproxy.proxy import commands, events, layer

from addons.exchange import peer_of
from addons.wire.reading import AHEAD_LIMIT
from addons.wire.signals import WhenWritten
from llmauth.config.limits import Limits
from tests.addons.wire.test_connection import Echo, served

MIB = 1024 * 1024


class Sink(layer.Layer):
    """Takes everything and says nothing."""

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        yield from ()


async def send(writer: asyncio.StreamWriter, count: int) -> int:
    """How much of so many MiB is taken before nothing more is for a while."""
    for sent in range(count):
        writer.write(b"x" * MIB)
        try:
            await asyncio.wait_for(writer.drain(), 0.5)
        except TimeoutError:
            return sent
    return count


async def test_what_comes_is_counted() -> None:
    async with served(Sink) as (_, writer, open_ones):
        assert await send(writer, 20) == 20
        (handler,) = open_ones
        async with asyncio.timeout(5):
            while handler.meters[handler.client].received < 20 * MIB:
                await asyncio.sleep(0.01)


async def test_others_have_their_turn_between_two_reads() -> None:
    """asyncio keeps up to a quarter of a megabyte, which was looked through in one go."""
    turns: list[int] = [0]
    seen: list[int] = []

    class Watching(Sink):
        def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
            if isinstance(event, events.DataReceived) and len(event.data) == 65536:
                seen.append(turns[0])
            yield from super()._handle_event(event)

    async def others() -> None:
        while True:
            await asyncio.sleep(0)
            turns[0] += 1

    async with served(Watching) as (_, writer, _):
        task = asyncio.create_task(others())
        assert await send(writer, 8) == 8
        async with asyncio.timeout(5):
            while len(seen) < 20:
                await asyncio.sleep(0.01)
        task.cancel()
    assert len(set(seen)) == len(seen)


async def test_who_is_still_judged_is_not_read_without_end() -> None:
    """A hook that waits (for bcrypt, for a credential) must not let memory be filled behind it."""
    judged = asyncio.Event()
    async with served(hook=lambda data: None if judged.is_set() else judged.wait()) as (_, writer, open_ones):
        assert await send(writer, 60) < 30  # what the kernel holds
        (handler,) = open_ones
        assert handler.meters[handler.client].received <= AHEAD_LIMIT + 2 * 65536
        judged.set()
        async with asyncio.timeout(5):
            while handler.meters[handler.client].received < 2 * AHEAD_LIMIT:
                await asyncio.sleep(0.01)


async def test_who_does_not_read_its_answers_is_not_read() -> None:
    async with served(Echo) as (_, writer, open_ones):
        assert await send(writer, 60) < 40
        (handler,) = open_ones
        assert handler.meters[handler.client].held_back
        assert handler.unwritten(handler.client) < MIB


async def test_who_is_ended_is_ended_though_it_does_not_read() -> None:
    async with served(Echo) as (reader, writer, open_ones):
        await send(writer, 60)
        (handler,) = open_ones
        handler.abort_client()
        with pytest.raises(OSError):  # noqa: PT012
            while await asyncio.wait_for(reader.read(MIB), 2):
                pass
            raise ConnectionResetError
        async with asyncio.timeout(2):
            while handler.transports:
                await asyncio.sleep(0.01)


class LastWords(layer.Layer):
    """Says much, and closes."""

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, events.DataReceived):
            yield commands.SendData(self.context.client, b"x" * 32 * MIB)
            yield commands.CloseConnection(self.context.client)


@pytest.mark.parametrize(("limit", "whole"), [(1, False), (60, True)])
async def test_a_closed_connection_is_not_kept_for_who_does_not_take_the_rest(limit: int, whole: bool) -> None:
    async with served(LastWords) as (reader, writer, open_ones):
        while not open_ones:
            await asyncio.sleep(0.01)
        peer_of(open_ones[0].client).limits = Limits(write_timeout=limit)
        writer.write(b"go")
        await asyncio.sleep(1.3)
        received = 0
        try:
            while data := await asyncio.wait_for(reader.read(MIB), 2):
                received += len(data)
        except ConnectionError:
            pass
    assert (received == 32 * MIB) is whole


class Waiting(layer.Layer):
    """Asks to be woken when all that it said has left."""

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, events.DataReceived):
            yield commands.SendData(self.context.client, b"x" * 16 * MIB)
            yield WhenWritten(self.context.client)
        elif isinstance(event, events.Wakeup):
            yield commands.SendData(self.context.client, b"done")


async def test_a_layer_is_woken_when_what_it_wrote_was_taken() -> None:
    async with served(Waiting) as (reader, writer, open_ones):
        writer.write(b"go")
        await asyncio.sleep(0.2)
        (handler,) = open_ones
        assert handler.handed_to_client == 16 * MIB
        received: Any = await asyncio.wait_for(reader.readexactly(16 * MIB + 4), 5)
        assert received.endswith(b"done")
