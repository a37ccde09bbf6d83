"""HTTP/2 towards clients: many requests on one connection, each ended by itself, all of them within bounds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from h2.errors import ErrorCodes
from h2.events import DataReceived, Event, RequestReceived, StreamEnded, StreamReset
from h2.exceptions import ProtocolError
from mitmproxy import http
from mitmproxy.connection import Connection
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http import HttpLayer
from mitmproxy.proxy.layers.http._base import HttpConnection, ReceiveHttp
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    HttpEvent,
    RequestData,
    RequestEndOfMessage,
    RequestHeaders,
    RequestProtocolError,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
)

from addons.exchange import peer_of
from addons.last_resort import last_resort
from addons.wire.floods import Kind
from addons.wire.frames import BoundedFrames
from addons.wire.heads import announced, read_request, response_fields
from addons.wire.http1 import InterimHeaders
from addons.wire.orders import AwaitDrain, Reading
from addons.wire.signals import Overdue

# While so much of an answer waits for its client, no more of it is read from the provider; below the second it goes on.
_FULL = 256 * 1024
_ROOM = 64 * 1024
# Request bodies of one connection, in bodies of the largest size: each is kept until its answer is over.
_BODIES = 4
# How long a client that was sent away may go on sending; nobody reads it.
_LINGER = 1.0

_SWITCHING = 101
_CANCELLED = frozenset({ErrorCode.CANCEL, ErrorCode.CLIENT_DISCONNECTED, ErrorCode.PASSTHROUGH_CLOSE})


@dataclass(slots=True)
class _Body:
    """The body of a request as far as it came; kept in mind until the answer is over, since we keep it as long."""

    announced: int | None
    got: int = 0


class BoundedHttp2(HttpConnection):
    """The side that clients speak HTTP/2 to. Its requests become those of HTTP/1.1, so that one judgement holds."""

    def __init__(self, context: Context) -> None:
        super().__init__(context, context.client)
        limits = peer_of(context.client).limits
        self.frames = BoundedFrames(head_limit=limits.head_bytes)
        self._most = _BODIES * limits.body_bytes
        self._bodies: dict[int, _Body] = {}
        self._head_only: set[int] = set()  # the answer to a HEAD has no body, whatever made it
        self._held: dict[int, Connection] = {}
        self._over = False
        self._lingers = False
        self._draining = False

    @property
    def asked(self) -> int:
        """The number of the last request, 0 before the first."""
        return int(self.frames.highest_inbound_stream_id)

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if self._over:
            yield from self._linger(event)
            return
        try:
            if isinstance(event, HttpEvent):
                self._send(event)
                yield from self._hold(event)
            elif isinstance(event, events.DataReceived):
                yield from self._receive(event.data)
            elif isinstance(event, events.ConnectionClosed):
                yield from self._end("the client left")
                yield commands.CloseConnection(self.conn)
                return
            elif isinstance(event, events.Start):
                self.frames.initiate_connection()
                yield AwaitDrain(self._unsent)
            elif isinstance(event, events.Wakeup) or (isinstance(event, Overdue) and event.flow is None):
                self._draining = True
        except ProtocolError as error:
            yield from self._fail(error)
            return
        yield from self._flush()

    def _flush(self) -> layer.CommandGenerator[None]:
        if self._over:
            return
        data = self.frames.data_to_send()
        if data:
            yield commands.SendData(self.conn, data)
        for stream_id in list(self._held):
            if self.frames.held_back(stream_id) <= _ROOM:
                yield from self._release(stream_id)
        if (self.frames.leaving or self._draining) and not self.frames.open_inbound_streams:
            # Not before the last answer is out: clients built on Python's h2 (httpx) fail every stream that is open
            # when a GOAWAY comes. What they ask until then is refused by the chain.
            self.frames.go_away()
            yield commands.SendData(self.conn, self.frames.data_to_send())
            yield from self._send_away("all answers are out")

    # ---- towards the client ----------------------------------------------------------------------------------------

    def _send(self, event: HttpEvent) -> None:
        stream_id = event.stream_id
        if isinstance(event, ResponseEndOfMessage | ResponseProtocolError):
            self._bodies.pop(stream_id, None)
        if not self.frames.is_open(stream_id):
            return
        if isinstance(event, ResponseData):
            if stream_id not in self._head_only:
                self.frames.say(stream_id, event.data)
        elif isinstance(event, ResponseHeaders | InterimHeaders):
            self._send_head(stream_id, event.response)
        elif isinstance(event, ResponseEndOfMessage):
            self.frames.say(stream_id, last=True)
            self._head_only.discard(stream_id)
        elif isinstance(event, ResponseProtocolError):
            self._break_off(stream_id, event.code)
            self._head_only.discard(stream_id)

    def _send_head(self, stream_id: int, response: http.Response) -> None:
        if response.status_code == _SWITCHING:
            self.frames.break_off(stream_id, ErrorCodes.INTERNAL_ERROR)
        elif not self.frames.has_begun(stream_id):
            self.frames.send_headers(stream_id, response_fields(response))
            self._count_refusal(response)

    def _count_refusal(self, response: http.Response) -> None:
        """After such an answer a connection of HTTP/1.1 would be closed; here it is only counted."""
        if not self._draining and response.headers.fields and response.headers.get("connection") == "close":
            self.frames.floods.count(Kind.REFUSAL)

    def _break_off(self, stream_id: int, code: ErrorCode) -> None:
        status = code.http_status_code()
        if status is not None and not self.frames.has_begun(stream_id):
            answer = last_resort(status)
            self._send_head(stream_id, answer)
            self.frames.say(stream_id, b"" if stream_id in self._head_only else answer.content or b"", last=True)
            return
        why = ErrorCodes.CANCEL if code in _CANCELLED else ErrorCodes.INTERNAL_ERROR
        self.frames.break_off(stream_id, why)

    def _hold(self, event: HttpEvent) -> layer.CommandGenerator[None]:
        """A client that takes nothing: what it does not take is not read either."""
        stream_id = event.stream_id
        if isinstance(event, ResponseEndOfMessage | ResponseProtocolError):
            yield from self._release(stream_id)  # the connection may be another request's from here on
            return
        if stream_id in self._held or self.frames.held_back(stream_id) < _FULL:
            return
        http_layer = self.context.layers[-2]
        assert isinstance(http_layer, HttpLayer)
        stream = http_layer.streams.get(stream_id)
        if stream is None:
            return
        server = stream.context.server
        # Through a further proxy, the bytes come on that one's connection.
        connection = getattr(http_layer.connections.get(server), "tunnel_connection", server)
        self._held[stream_id] = connection
        yield Reading(connection, wanted=False)

    def _release(self, stream_id: int) -> layer.CommandGenerator[None]:
        connection = self._held.pop(stream_id, None)
        if connection is not None:
            yield Reading(connection, wanted=True)

    # ---- from the client -------------------------------------------------------------------------------------------

    def _receive(self, data: bytes) -> layer.CommandGenerator[None]:
        try:
            happened = self.frames.receive_data(data)
        except (ValueError, IndexError, KeyError) as error:
            # None of these is known to come out of h2; if one does, the client's bytes made it so.
            raise ProtocolError("not to be read") from error
        for event in _joined(happened):
            yield from self._take(event)
            if self._over:
                return

    def _take(self, event: Event) -> layer.CommandGenerator[None]:
        if isinstance(event, RequestReceived):
            yield from self._begin(event)
        elif isinstance(event, DataReceived):
            yield from self._body(event)
        elif isinstance(event, StreamEnded):
            yield from self._whole(event.stream_id)
        elif isinstance(event, StreamReset):
            self._bodies.pop(event.stream_id, None)
            self._head_only.discard(event.stream_id)
            gone = RequestProtocolError(event.stream_id, "the client took the request back", ErrorCode.CANCEL)
            yield ReceiveHttp(gone)

    def _begin(self, event: RequestReceived) -> layer.CommandGenerator[None]:
        stream_id, ended = event.stream_id, event.stream_ended is not None
        request = read_request(event.headers, ended=ended)
        self._bodies[stream_id] = _Body(announced(request))
        if request.data.method == b"HEAD":
            self._head_only.add(stream_id)
        yield ReceiveHttp(RequestHeaders(stream_id, request, end_stream=ended))

    def _body(self, event: DataReceived) -> layer.CommandGenerator[None]:
        stream_id = event.stream_id
        self.frames.acknowledge_received_data(event.flow_controlled_length, stream_id)
        body = self._bodies.get(stream_id)
        if body is None:
            self.frames.floods.count(Kind.SMALL)  # the answer is out already, and the client does not take it
            return
        if not event.data:
            return
        body.got += len(event.data)
        if body.announced is not None and body.got > body.announced:
            yield from self._take_back(stream_id, ErrorCodes.PROTOCOL_ERROR)
        elif sum(one.got for one in self._bodies.values()) > self._most:
            yield from self._take_back(stream_id, ErrorCodes.ENHANCE_YOUR_CALM)
        else:
            yield ReceiveHttp(RequestData(stream_id, event.data))

    def _whole(self, stream_id: int) -> layer.CommandGenerator[None]:
        body = self._bodies.get(stream_id)
        if body is None:
            return
        if body.announced is not None and body.announced != body.got:
            yield from self._take_back(stream_id, ErrorCodes.PROTOCOL_ERROR)
        else:
            yield ReceiveHttp(RequestEndOfMessage(stream_id))

    def _take_back(self, stream_id: int, code: ErrorCodes) -> layer.CommandGenerator[None]:
        """End a request whose body is not what it should be; it was not sent anywhere, since it was not whole."""
        self._bodies.pop(stream_id, None)
        self.frames.break_off(stream_id, code)
        self.frames.floods.count(Kind.FAULT)
        wrong = RequestProtocolError(stream_id, "the body is not what was announced", ErrorCode.GENERIC_CLIENT_ERROR)
        yield ReceiveHttp(wrong)

    # ---- the end ---------------------------------------------------------------------------------------------------

    def _fail(self, error: ProtocolError) -> layer.CommandGenerator[None]:
        if not self.frames.has_ended:
            self.frames.go_away(ErrorCodes(error.error_code))
        yield commands.SendData(self.conn, self.frames.data_to_send())
        yield from self._send_away("HTTP/2 was broken by the client")

    def _send_away(self, why: str) -> layer.CommandGenerator[None]:
        """Closing at once would reset a client that is still sending (be it a window update), and a reset can overtake
        what was said last."""
        yield from self._end(why)
        self._lingers = True
        yield commands.RequestWakeup(_LINGER)

    def _linger(self, event: events.Event) -> layer.CommandGenerator[None]:
        drained = isinstance(event, events.Wakeup) and isinstance(event.command, AwaitDrain)
        if self._lingers and isinstance(event, events.Wakeup | events.ConnectionClosed) and not drained:
            self._lingers = False
            yield commands.CloseConnection(self.conn)

    def _unsent(self) -> int:
        return self.frames.unsent() + self._lingers

    def _end(self, why: str) -> layer.CommandGenerator[None]:
        self._over = True
        http_layer = self.context.layers[-2]
        assert isinstance(http_layer, HttpLayer)
        for stream_id in list(http_layer.streams):
            yield ReceiveHttp(RequestProtocolError(stream_id, why, ErrorCode.CLIENT_DISCONNECTED))
        for stream_id in list(self._held):
            yield from self._release(stream_id)


def _joined(happened: Iterable[Event]) -> list[Event]:
    """What one read brought of a body is one event, not one for each frame."""
    joined: list[Event] = []
    for event in happened:
        last = joined[-1] if joined else None
        if isinstance(event, DataReceived) and isinstance(last, DataReceived) and last.stream_id == event.stream_id:
            last.data += event.data
            last.flow_controlled_length += event.flow_controlled_length
            last.stream_ended = event.stream_ended
        else:
            joined.append(event)
    return joined
