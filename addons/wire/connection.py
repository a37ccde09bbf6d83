"""One client's connections: hooks run in place, writes leave together, and a crash closes instead of hanging."""

from __future__ import annotations

import asyncio
import collections
import contextvars
import logging
from collections import deque
from typing import Any

from mitmproxy import flow
from mitmproxy.connection import Connection
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.server import ConnectionIO
from mitmproxy.utils import asyncio_utils

from addons.exchange import peer_of
from addons.failclosed import FailClosed
from addons.wire.frames import STREAMS
from addons.wire.orders import AwaitDrain, Reading
from addons.wire.reading import Meter, SteadyConnection
from addons.wire.signals import WhenWritten
from addons.wire.tunnel import Splice
from addons.wire.websocket import BothWays, Hasten
from llmauth.gateway.plan import Way

logger = logging.getLogger(__name__)

# Set in the task that dials an upstream, so that the address policy judges that look-up and no other.
dialling: contextvars.ContextVar[bool] = contextvars.ContextVar("dialling", default=False)
# How that request goes out: as it was configured when it arrived. Without one, as it is now.
going: contextvars.ContextVar[Way | None] = contextvars.ContextVar("going", default=None)

# What a client of HTTP/2 has not taken stops it from being read; all its windows together are less.
_H2_BACKLOG = 8 * 1024 * 1024


class GatewayConnection(SteadyConnection):
    """mitmproxy's handler with another `server_event`.

    The stock one starts a task for every hook and writes every piece by itself, which is a third of the time of a
    request. Here a hook whose addons are plain functions runs in place, and all that one event makes is one write.
    """

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        # The stock table has five for each address, for as long as they are open: a sixth request would wait for ever.
        self.max_conns = collections.defaultdict(lambda: asyncio.Semaphore(STREAMS))
        self._unread: dict[Connection, asyncio.Event] = {}
        self._awaiting_drain: list[AwaitDrain] = []

    async def server_event(self, event: events.Event) -> None:
        async with self._server_event_lock:
            self.timeout_watchdog.register_activity()
            try:
                self._run(event)
            except Exception as error:
                # The stock handler logs this and goes on, with a client that waits for ever.
                logger.error("A protocol layer failed; its connections were closed", extra=_where(error))
                for connection in list(self.transports):
                    self._close(connection)

    def _run(self, event: events.Event) -> None:
        writes: dict[Connection, list[bytes]] = {}
        ready = deque((event,))
        try:
            while ready:
                for command in self.layer.handle_event(ready.popleft()):
                    self._obey(command, writes, ready)
        finally:
            for connection in list(writes):
                self._flush(connection, writes)

    def _obey(
        self, command: commands.Command, writes: dict[Connection, list[bytes]], ready: deque[events.Event]
    ) -> None:
        if isinstance(command, commands.SendData):
            if command.connection in writes:
                writes[command.connection].append(command.data)
            else:
                writes[command.connection] = [command.data]
        elif isinstance(command, commands.StartHook):
            if self._hook(command) and command.blocking:
                ready.append(events.HookCompleted(command))
        elif isinstance(command, commands.OpenConnection):
            self._open(command)
        elif isinstance(command, AwaitDrain):
            self._awaiting_drain.append(command)
        elif isinstance(command, WhenWritten):
            self.wake_when_written(command)
        elif isinstance(command, commands.RequestWakeup):
            self._wake(command)
        elif isinstance(command, BothWays):
            self._both_ways = True
        elif isinstance(command, Hasten):
            self._hasten(command.seconds)
        elif isinstance(command, commands.CloseConnection):
            self._flush(command.connection, writes)
            if command.connection in self.transports:
                half = isinstance(command, commands.CloseTcpConnection) and command.half_close
                self.close_connection(command.connection, half)
        elif isinstance(command, Splice):
            self._spliced = True
        elif isinstance(command, Reading):
            self._let_read(command)
        elif isinstance(command, commands.Log):
            self.log(command.message, command.level)
        elif not isinstance(command, commands.ConnectionCommand):
            raise RuntimeError(f"unknown command {type(command).__name__}")

    def _let_read(self, command: Reading) -> None:
        if not command.wanted:
            self._unread.setdefault(command.connection, asyncio.Event())
        elif (waiting := self._unread.pop(command.connection, None)) is not None:
            waiting.set()

    async def _keep_step(self, connection: Connection, meter: Meter) -> None:
        if connection is self.client and self.client.alpn == b"h2":
            # Its window updates are what lets answers go on, so that no provider that is slow may stop them from being
            # read. Bodies have their own limits; this one is for whoever asks and asks, and reads nothing.
            await self._await_writer(connection, meter, _H2_BACKLOG)
            return
        await super()._keep_step(connection, meter)
        waiting = self._unread.get(connection)
        if waiting is not None:
            # Not `held_back`: nothing else would ever end a client that grants no window, than silence does.
            await waiting.wait()

    async def drain(self) -> None:
        """Tell the layers that asked for it that the server drains."""
        for command in self._awaiting_drain:
            await self.server_event(events.Wakeup(command))

    def unsent(self) -> int:
        """The bytes that layers hold back until the client takes them."""
        return sum(command.unsent() for command in self._awaiting_drain)

    def _hook(self, hook: commands.StartHook) -> bool:
        """Run a hook in place; False when it had to become a task, which completes it later."""
        manager = self.master.addons
        assert isinstance(manager, FailClosed), "the fail-closed addon manager is missing"
        rest = manager.dispatch(hook)
        (data,) = hook.args()
        if rest is None and not (isinstance(data, flow.Flow) and data.intercepted):
            return True
        self.begin_judging()
        asyncio_utils.create_task(
            self._finish(hook, rest, data), name=f"hook {hook.name}", keep_ref=True, client=self.client.peername
        )
        return False

    async def _finish(self, hook: commands.StartHook, rest: object, data: object) -> None:
        try:
            with self.timeout_watchdog.disarm():
                if asyncio.iscoroutine(rest):
                    await rest
                if isinstance(data, flow.Flow):
                    await data.wait_for_resume()
        finally:
            self.end_judging()
        if hook.blocking:
            await self.server_event(events.HookCompleted(hook))

    def _open(self, command: commands.OpenConnection) -> None:
        assert command.connection not in self.transports
        handler = asyncio_utils.create_task(
            self.open_connection(command), name="server connection", keep_ref=False, client=self.client.peername
        )
        self.transports[command.connection] = ConnectionIO(handler=handler)

    async def open_connection(self, command: commands.OpenConnection) -> None:
        dialling.set(True)
        going.set(peer_of(self.client).way)
        try:
            await super().open_connection(command)
        finally:
            # The stock handler keeps those that could not be opened, for as long as the client stays.
            self.transports.pop(command.connection, None)

    def _wake(self, command: commands.RequestWakeup) -> None:
        task = asyncio_utils.create_task(
            self.wakeup(command), name="wakeup timer", keep_ref=False, client=self.client.peername
        )
        self.wakeup_timer.add(task)

    def _flush(self, connection: Connection, writes: dict[Connection, list[bytes]]) -> None:
        pieces = writes.pop(connection, None)
        if not pieces or connection not in self.transports:
            return
        writer = self.transports[connection].writer
        if writer is not None and not writer.is_closing():
            data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            writer.write(data)
            if connection is self.client:
                self.handed_to_client += len(data)

    def _hasten(self, seconds: float) -> None:
        """Give up, after this time, what the peers of this connection have not taken by then."""
        for io in self.transports.values():
            if isinstance(io.writer, asyncio.StreamWriter):
                asyncio.get_running_loop().call_later(seconds, io.writer.transport.abort)

    def _close(self, connection: Connection) -> None:
        io = self.transports[connection]
        if io.handler is not None:
            self.close_connection(connection)
        elif isinstance(io.writer, asyncio.StreamWriter):
            io.writer.close()  # a client that has only just come


def _where(error: BaseException) -> dict[str, str]:
    """Class and innermost frame of an error; its text may hold bytes of a client or a provider."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f"{trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}" if trace else "?"
    return {"error": type(error).__name__, "at": place}
