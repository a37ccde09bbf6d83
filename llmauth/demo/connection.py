"""One client connection: requests read strictly, answered one at a time, and ended the way a test wants it ended."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from contextlib import suppress

from llmauth.demo.behaviour import ORDINARY, Behaviour, Cut
from llmauth.demo.delivery import Delivery, adapted
from llmauth.demo.emulator import JSON, Answer, Switch
from llmauth.demo.http1 import Head, Malformed, Parser, Request, render_head
from llmauth.demo.realtime import Session
from llmauth.demo.reception import Reception
from llmauth.demo.recorder import Entry, Link
from llmauth.demo.words import dumps

_LINGER = 1.0  # seconds in which a peer may read our answer while it is still sending
_SMALL = 64 * 1024
_UNREAD = 1024 * 1024  # bytes of further requests that wait while one is answered


class Connection(asyncio.Protocol):
    """One client connection: requests in, one answer at a time out."""

    def __init__(
        self, reception: Reception, open_ones: set[Connection], link: Link, raw: asyncio.Transport | None = None
    ) -> None:
        """`raw` is the TCP transport below TLS; without TLS it is the one that connects."""
        self._reception = reception
        self._open_ones = open_ones
        self._link = link
        self._raw = raw
        self._transport: asyncio.Transport | None = None
        self._parser = Parser()
        self._met: Head | None = None  # the head that has had its "100 Continue", or might have been answered early
        self._answering: tuple[asyncio.Task[bool], Entry] | None = None
        self._session: tuple[Session, Entry] | None = None  # what the connection has become
        self._finished = False  # no further request is read
        self._gone = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is ready; under TLS, bytes of the first request may be here already."""
        assert isinstance(transport, asyncio.Transport)
        if self._gone.is_set():
            transport.abort()
            return
        self._transport = transport
        self._raw = self._raw or transport
        self._open_ones.add(self)
        self._advance()

    def data_received(self, data: bytes) -> None:
        if self._session is not None:
            self._session[0].feed(data)
            return
        if self._finished and self._answering is None:
            return
        self._parser.feed(data)
        self._advance()
        if self._answering is not None and self._parser.pending > _UNREAD and self._transport is not None:
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        return False  # who half-closes has left: no client of an API does so and goes on listening

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone.set()
        self._writable.set()
        self._open_ones.discard(self)
        self._link.closed_at = time.monotonic()
        if self._answering is not None:
            task, entry = self._answering
            entry.gone()
            task.cancel()
        if self._session is not None:
            session, entry = self._session
            entry.gone()
            session.gone()
        self._reception.recorder.changed()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def abort(self) -> None:
        """End it without a word."""
        if self._raw is not None:
            self._raw.abort()

    def write(self, data: bytes) -> None:
        """Hand bytes to the socket; nothing happens once the peer is gone."""
        if self._transport is not None and not self._gone.is_set():
            self._transport.write(data)

    async def drain(self) -> None:
        """Wait while the peer reads slower than we write."""
        if self._raw is not None and self._raw.is_closing():
            await asyncio.sleep(0)  # a broken transport swallows writes: let the loop say so, which cancels the answer
        elif not self._writable.is_set():
            await self._writable.wait()

    async def end(self, how: Cut) -> None:
        """Let what was written reach the peer, then end the connection."""
        self._finished = True
        assert self._transport is not None
        assert self._raw is not None
        while not self._gone.is_set() and (
            self._raw.get_write_buffer_size() or self._transport.get_write_buffer_size()
        ):
            await asyncio.sleep(0.001)
        if how is Cut.CLOSE:
            if self._parser.head is not None:
                await self._linger()
            self._transport.close()
            return
        await asyncio.sleep(0.005)  # from the kernel's buffer to the peer's; a reset drops what is still on its way
        if how is Cut.RST:
            raw_socket = self._raw.get_extra_info("socket")
            raw_socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._raw.abort()

    async def _linger(self) -> None:
        """Read on for a moment: closing a socket with unread bytes resets it, and the peer would lose our answer."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._gone.wait(), _LINGER)

    def _advance(self) -> None:
        """Answer what is complete, one request after the other."""
        while self._transport is not None and self._answering is None and not (self._finished or self._session):
            try:
                request = self._parser.next_request()
            except Malformed as fault:
                self._refuse(fault)
                return
            if request is None:
                self._meet_head()
                return
            self._begin(request, None)

    def _refuse(self, fault: Malformed) -> None:
        self._finished = True
        self._link.fault = f"HTTP: {fault}"
        self._reception.recorder.changed()
        body = dumps({"error": {"type": "malformed_request", "message": str(fault)}})
        fields = [JSON, (b"content-length", b"%d" % len(body)), (b"connection", b"close")]
        self.write(render_head(fault.status, fields) + body)
        loop = asyncio.get_running_loop()
        loop.call_later(_LINGER, self._close)

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _meet_head(self) -> None:
        """A head is in and its body is not: answer early if the script says so, else invite the body."""
        head = self._parser.head
        if head is None or head is self._met:
            return
        self._met = head
        early = self._reception.script.take_early(self._reception.host(head), head.target)
        if early is not None:
            self._begin(Request(head, b""), early)
        elif head.index.get(b"expect", b"").lower() == b"100-continue":
            self.write(render_head(100, []))

    def _begin(self, request: Request, early: Behaviour | None) -> None:
        reception = self._reception
        host = reception.host(request.head)
        behaviour = reception.script.take(host, request.head.target) if early is None else early
        entry = reception.recorder.received(request, self._link, host)
        answer = reception.answer(request, self._link, host, behaviour)
        if isinstance(answer, Switch) and behaviour is ORDINARY:
            self._switch(answer, entry)
            return
        if behaviour is ORDINARY and self._answer_at_once(request.head, entry, answer):
            return
        keep_alive = request.head.keep_alive and early is None
        delivery = Delivery(self, entry, behaviour, reception.setting.pace)
        answer = adapted(answer, behaviour)
        bodiless = request.head.method == b"HEAD" or answer.status in (204, 304)
        work = delivery.deliver(answer, bodiless=bodiless, keep_alive=keep_alive)
        self._follow(asyncio.Task(work, loop=asyncio.get_running_loop(), eager_start=True), entry)

    def _follow(self, task: asyncio.Task[bool], entry: Entry) -> None:
        if task.done():
            self._finished = self._finished or not task.result()
        else:
            self._answering = (task, entry)
            task.add_done_callback(self._answered)

    def _answer_at_once(self, head: Head, entry: Entry, answer: Answer) -> bool:
        """The common case without a task: a small whole answer on a connection that stays."""
        body = answer.body
        if not isinstance(body, bytes) or len(body) > _SMALL or head.method == b"HEAD" or not head.keep_alive:
            return False
        fields = answer.fields
        fields.append((b"content-length", b"%d" % len(body)))
        fields.append((b"connection", b"keep-alive"))
        entry.sent_pieces.append(body)
        entry.begun(answer.status, fields)
        entry.answered()
        self.write(render_head(answer.status, fields) + body)
        return True

    def _switch(self, answer: Switch, entry: Entry) -> None:
        """From here on the connection is a WebSocket; its record is complete when somebody said goodbye."""
        entry.begun(answer.status, answer.fields)
        self.write(render_head(answer.status, answer.fields))
        session = Session(self, answer.call, self._reception.setting.pace, entry.answered)
        self._session = session, entry
        session.open()
        if ahead := self._parser.rest():
            session.feed(ahead)

    def listen(self, wanted: bool) -> None:
        """Read from the peer, or leave what it sends where it is."""
        if self._transport is not None:
            (self._transport.resume_reading if wanted else self._transport.pause_reading)()

    def _answered(self, task: asyncio.Task[bool]) -> None:
        self._answering = None
        if task.cancelled() or self._gone.is_set():
            return
        self._finished = self._finished or not task.result()
        assert self._transport is not None
        self._transport.resume_reading()
        self._advance()
