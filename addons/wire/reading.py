"""How one client's connections are read: no faster than what was read can be written, judged and kept."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Any

from mitmproxy.connection import Connection, ConnectionState
from mitmproxy.proxy import events, mode_servers
from mitmproxy.proxy.server import ConnectionIO
from mitmproxy.utils import asyncio_utils

from addons.exchange import peer_of
from addons.wire.signals import WhenWritten

_ONCE = 65536
# What may come while a hook is still judging what came before. It is kept until then, and nobody yet knows for whom.
AHEAD_LIMIT = 1024 * 1024
# What a provider has not taken stops its client from being read. HTTP/1 writes less than this at once, so that who
# waits for an answer is read on, and its leaving noticed.
BACKLOG = 256 * 1024


@dataclass(slots=True)
class Meter:
    """What was read of a connection, and whether it is not read now because somebody else does not take it."""

    received: int = 0
    held_back: bool = False


class SteadyConnection(mode_servers.ProxyConnectionHandler):
    """mitmproxy's handler with another way of reading.

    The stock one waits, after each read of any connection, for all writers, one reader at a time: two streams that
    share a client wait for each other's providers. It does not wait at all for hooks, behind which it piles up
    whatever comes, and it never gives up on a peer that does not take what is still to be written at the end.
    """

    # Set once bytes of another protocol pass, of which each direction goes at its own pace.
    _both_ways = False
    _spliced = False

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.meters: dict[Connection, Meter] = {}
        self.handed_to_client = 0
        self._judging = 0
        self._judged = asyncio.Event()
        self._ahead = 0

    async def handle_connection(self, connection: Connection) -> None:
        """Read a connection to its end, and then see it closed."""
        cancelled: asyncio.CancelledError | None = None
        try:
            await self._read(connection)
        except asyncio.CancelledError as error:
            cancelled = error
        if cancelled is None:
            connection.state &= ~ConnectionState.CAN_READ
        else:
            connection.state = ConnectionState.CLOSED
        await self.server_event(events.ConnectionClosed(connection))
        if connection.state is ConnectionState.CAN_WRITE:
            try:
                await asyncio.Event().wait()  # its other half is still in use, until somebody cancels this task
            except asyncio.CancelledError as error:
                cancelled = error
        self.meters.pop(connection, None)
        self._hang_up(self.transports.pop(connection))
        if cancelled:
            raise cancelled

    async def _read(self, connection: Connection) -> None:
        reader = self.transports[connection].reader
        assert isinstance(reader, asyncio.StreamReader)
        meter = self.meters[connection] = Meter()
        while True:
            try:
                data = await reader.read(_ONCE)
            except OSError:
                return
            if not data:
                return
            meter.received += len(data)
            await self.server_event(events.DataReceived(connection, data))
            if connection.state is ConnectionState.CLOSED or len(data) == _ONCE:
                # Closed by that: a task that was cancelled learns of it when it waits. Or more is there already, of
                # which asyncio would give us a quarter of a megabyte without a turn for anybody else.
                await asyncio.sleep(0)
            if self._judging:
                await self._await_judgement(len(data))
            await self._keep_step(connection, meter)

    async def _await_judgement(self, more: int) -> None:
        self._ahead += more
        if self._ahead > AHEAD_LIMIT:
            await self._judged.wait()

    def begin_judging(self) -> None:
        """A hook of this client's is not done at once."""
        self._judging += 1
        self._judged.clear()

    def end_judging(self) -> None:
        """It is done."""
        self._judging -= 1
        if not self._judging:
            self._ahead = 0
            self._judged.set()

    async def _keep_step(self, connection: Connection, meter: Meter) -> None:
        """Wait for those whom this connection's bytes are for. A client waits for its own answers too: one that asks
        and asks, and reads nothing, is not asked for more."""
        client = self.client
        if connection is not client:
            await self._await_writer(client, meter, 0)
            return
        for other in list(self.transports):
            if other is not client:
                await self._await_writer(other, meter, BACKLOG)
            elif not (self._both_ways or self._spliced):
                await self._await_writer(client, meter, 0)

    async def _await_writer(self, connection: Connection, meter: Meter, backlog: int) -> None:
        io = self.transports.get(connection)
        if io is None or not isinstance(io.writer, asyncio.StreamWriter):
            return
        if io.writer.transport.get_write_buffer_size() <= backlog:
            return
        meter.held_back = True
        try:
            await io.writer.drain()
        except OSError:
            if io.handler is not None:
                io.handler.cancel("it could not be written to")
        finally:
            meter.held_back = False

    def unwritten(self, connection: Connection) -> int:
        """The bytes that a peer has not taken yet, beside what the kernel holds."""
        io = self.transports.get(connection)
        writer = io.writer if io is not None else None
        return writer.transport.get_write_buffer_size() if isinstance(writer, asyncio.StreamWriter) else 0

    def wake_when_written(self, command: WhenWritten) -> None:
        """Answer the command as soon as its connection's buffer has room."""
        task = asyncio_utils.create_task(
            self._wake_when_written(command), name="written", keep_ref=False, client=self.client.peername
        )
        self.wakeup_timer.add(task)
        task.add_done_callback(self.wakeup_timer.discard)

    async def _wake_when_written(self, command: WhenWritten) -> None:
        io = self.transports.get(command.connection)
        if io is not None and isinstance(io.writer, asyncio.StreamWriter):
            with contextlib.suppress(OSError):  # who reads that connection is told of its end
                await io.writer.drain()
        await self.server_event(events.Wakeup(command))

    def abort_client(self) -> None:
        """End a client that does not take what was written to it; closing would wait for it to do so."""
        io = self.transports.get(self.client)
        if io is not None and isinstance(io.writer, asyncio.StreamWriter):
            io.writer.transport.abort()
            if io.handler is not None:
                self.close_connection(self.client)

    def _hang_up(self, io: ConnectionIO) -> None:
        """Close once all is written, or when that takes too long."""
        if not isinstance(io.writer, asyncio.StreamWriter):
            return
        io.writer.close()
        transport = io.writer.transport
        if transport.get_write_buffer_size():
            limit = peer_of(self.client).limits.write_timeout
            asyncio.get_running_loop().call_later(limit, transport.abort)
