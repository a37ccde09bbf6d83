"""HTTP/1 as we speak it: bounded, 1xx passed on, trailers dropped, and no end of an answer that could be a cut."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import h11
from h11._readers import Http10Reader
from mitmproxy import http
from mitmproxy.net.http import http1
from mitmproxy.net.http.validate import validate_headers
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers import ServerTLSLayer
from mitmproxy.proxy.layers.http import _http1
from mitmproxy.proxy.layers.http._base import ReceiveHttp
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    HttpEvent,
    RequestData,
    RequestEndOfMessage,
    RequestHeaders,
    RequestProtocolError,
    ResponseData,
    ResponseHeaders,
    ResponseProtocolError,
)
from OpenSSL import SSL

from addons.exchange import Awaited, peer_of
from addons.last_resort import error_page
from addons.wire.chunks import whole_chunks
from addons.wire.signals import Overdue, WhenWritten
from llmauth.http import Headers
from llmauth.websocket.handshake import is_asked

HEAD_LIMIT = 64 * 1024
# What a client may send ahead while its last request is still being answered; nobody who does so is known.
AHEAD_LIMIT = 256 * 1024
# More requests than this in a row that nobody waits for between, and they would keep everybody else waiting.
AHEAD_REQUESTS = 32
# A longer body is sent piece by piece, as the provider takes it.
PIECE = 128 * 1024
# More 1xx heads than this before one answer, and it is no answer any more.
INTERIM_LIMIT = 20

_INTERIM = range(100, 200)
_NOTHING = memoryview(b"")
_FIRST = 1
_CONTINUE, _SWITCHING = 100, 101
_EMPTY_LINES = re.compile(rb"(?:\r\n)*")
_END_OF_HEAD = re.compile(rb"\n\r?\n")
_REQUEST_LINE = re.compile(rb"[^ \n]+ [^ \n]+ [^ \n]+\r\n")
_PLAIN = bytes({*range(256)} - {*range(32), 127} | {*b"\t\r\n"})
_ENDS = frozenset({b"content-length", b"transfer-encoding"})
_ONE_HOP = frozenset(
    {b"connection", b"content-length", b"keep-alive", b"proxy-authenticate", b"proxy-connection", b"upgrade"}
)


@dataclass
class InterimHeaders(HttpEvent):
    """A 1xx head of the provider's, after which its answer is still to come."""

    response: http.Response


class _Coalescing(_http1.Http1Connection):
    """Reads a body as the stock layer does, but hands on all that one read brought as one event.

    A provider that writes fifty chunks at once would otherwise cost fifty trips through every layer and fifty writes.
    Trailers are dropped: the stock layer raises on them and leaves the client waiting.
    """

    def read_body(self, event: events.Event) -> layer.CommandGenerator[None]:
        assert self.stream_id is not None
        pieces: list[bytes] = []
        try:
            ended = self._pull(event, pieces)
        except h11.ProtocolError as error:
            yield from self._hand_on(pieces)
            yield from self._broken(error)
            return
        yield from self._hand_on(pieces)
        if ended:
            assert self.request
            if self.request.data.method.upper() != b"CONNECT":
                yield ReceiveHttp(self.ReceiveEndOfMessage(self.stream_id))
            is_request = isinstance(self, _http1.Http1Server)
            yield from self.mark_done(request=is_request, response=not is_request)

    def _pull(self, event: events.Event, pieces: list[bytes]) -> bool:
        """Collect what the buffer holds of the body; whether the message ended."""
        if isinstance(event, events.ConnectionClosed):
            return self._ended_by_close()
        while True:
            pieces += whole_chunks(self.body_reader, self.buf)
            read: Any = self.body_reader(self.buf)
            if isinstance(read, h11.Data):
                pieces.append(bytes(read.data))
                continue
            if read is None and len(self.buf) > HEAD_LIMIT:
                # Body bytes are taken as they come, so what is left is a chunk head or trailers without an end.
                raise h11.RemoteProtocolError("a chunk head or the trailers are over the limit")
            return isinstance(read, h11.EndOfMessage)

    def _ended_by_close(self) -> bool:
        """Whether the end of the connection is the end of the message; h11.RemoteProtocolError when it cuts it off."""
        read: Any = self.body_reader.read_eof()
        return isinstance(read, h11.EndOfMessage)

    def _hand_on(self, pieces: list[bytes]) -> layer.CommandGenerator[None]:
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if data:
            assert self.stream_id is not None
            yield ReceiveHttp(self.ReceiveData(self.stream_id, data))

    def _broken(self, error: h11.ProtocolError) -> layer.CommandGenerator[None]:
        assert self.stream_id is not None
        yield commands.CloseConnection(self.conn)
        kind = self.ReceiveProtocolError
        yield ReceiveHttp(kind(self.stream_id, f"HTTP/1 protocol error: {type(error).__name__}", code=kind.code))


class BoundedServer(_Coalescing, _http1.Http1Server):
    """The side that clients speak to: bounded in what it takes, and each answer framed as this client reads it."""

    _asks_to_close = False
    _chunked = False
    _head_only = False

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._head_limit = peer_of(context.client).limits.head_bytes
        self._ahead = 0

    @property
    def passes_through(self) -> bool:
        """Whether what comes is no HTTP of this layer's any more."""
        return bool(self.state == self.passthrough)

    def awaited(self) -> Awaited:
        """What the client is waited for."""
        if self.state == self.read_headers:
            return Awaited.FIRST_HEAD if self.stream_id == _FIRST else Awaited.HEAD if self.buf else Awaited.IDLE
        return Awaited.BODY if self.state == self.read_body else Awaited.ANSWER

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, Overdue):
            yield from self._give_up()
        else:
            yield from super()._handle_event(event)

    def _give_up(self) -> layer.CommandGenerator[None]:
        """A head does not come to its end. Who has sent none of it was asked nothing and is told nothing."""
        if self.state == self.read_headers:
            self.state = self.done
            if self.buf:
                yield commands.SendData(self.conn, error_page(408))
            yield commands.CloseConnection(self.conn)

    def _broken(self, error: h11.ProtocolError) -> layer.CommandGenerator[None]:
        if self.response is None:
            yield commands.SendData(self.conn, error_page(400))
        yield from super()._broken(error)

    def send(self, event: HttpEvent) -> layer.CommandGenerator[None]:
        if type(event) is ResponseData:
            # Once a token: the stock layer would look the framing up in the headers each time.
            data = b"%x\r\n%s\r\n" % (len(event.data), event.data) if self._chunked else event.data
            if event.data and not self._head_only:
                yield commands.SendData(self.conn, data)
        elif isinstance(event, InterimHeaders) or (
            isinstance(event, ResponseHeaders) and event.response.status_code == _CONTINUE
        ):
            # The stock layer would take a 100 for the answer, and say nothing more when the provider then fails.
            yield commands.SendData(self.conn, http1.assemble_response_head(event.response))
        else:
            if isinstance(event, ResponseHeaders):
                event.response = self._framed(event.response)
                # A refusal of ours has a body, which after a HEAD would be read as the next answer.
                self._head_only = self.request is not None and self.request.data.method == b"HEAD"
                self._chunked = "chunked" in event.response.headers.get("transfer-encoding", "").lower()
            yield from super().send(event)

    def _framed(self, response: http.Response) -> http.Response:
        """The head by which this client sees whether the body is whole, and whether the connection stays."""
        request = self.request
        assert request
        if not _tells_its_end(response) and _ends_at_close(request, response):
            # The end of a connection looks the same when the provider broke off; a last chunk does not.
            response = response.copy()
            response.headers["Transfer-Encoding"] = "chunked"
        if self._asks_to_close and request.data.method != b"CONNECT":
            response = response.copy()
            response.headers["Connection"] = "close"
        if response.data.http_version != b"HTTP/1.1":
            # The provider's own version says nothing of us: "Transfer-Encoding was added in HTTP/1.1" (RFC 9112, 6.1).
            response = response.copy()
            response.data.http_version = b"HTTP/1.1"
        return response

    def read_headers(self, event: events.ConnectionEvent) -> layer.CommandGenerator[None]:
        # Without data of its own an event tells of what was left when the last request was done.
        self._ahead = self._ahead + 1 if isinstance(event, events.DataReceived) and not event.data else 0
        if self._ahead > AHEAD_REQUESTS:
            self.state = self.done
            yield commands.CloseConnection(self.conn)
            return
        if self.buf.is_next_line_obviously_invalid_request_line():
            self._skip_empty_lines()
        received = bytes(self.buf)
        if _is_ambiguous(received) or _has_odd_request_line(received):
            self.state = self.done
            yield commands.SendData(self.conn, error_page(400))
            yield commands.CloseConnection(self.conn)
            return
        for command in super().read_headers(event):
            if isinstance(command, ReceiveHttp) and isinstance(command.event, RequestHeaders):
                # Asked now: the chain makes this very object the request that is sent on, with other headers.
                self._asks_to_close = _asks_to_close(command.event.request)
            yield command
        if self.state == self.read_headers and len(self.buf) > self._head_limit:
            yield commands.SendData(self.conn, error_page(431))
            yield commands.CloseConnection(self.conn)
            self.state = self.done

    def _skip_empty_lines(self) -> None:
        # "A server that is expecting to receive and parse a request-line SHOULD ignore at least one empty line (CRLF)
        # received prior to the request-line" (RFC 9112, 2.2).
        empty = _EMPTY_LINES.match(bytes(self.buf))
        assert empty is not None
        if empty.end():
            self.buf.maybe_extract_at_most(empty.end())

    def wait(self, event: events.Event) -> layer.CommandGenerator[None]:
        yield from super().wait(event)
        if isinstance(event, events.DataReceived) and len(self.buf) > AHEAD_LIMIT:
            self.state = self.done
            yield commands.CloseConnection(self.conn)
            gone = RequestProtocolError(self.stream_id, "too much was sent ahead", ErrorCode.CLIENT_DISCONNECTED)
            yield ReceiveHttp(gone)


class BoundedClient(_Coalescing, _http1.Http1Client):
    """The side that speaks to providers: a head over the limit, or 1xx without end, is a broken answer."""

    _interim = 0
    _rest = _NOTHING
    _end: HttpEvent | None = None

    @property
    def is_idle(self) -> bool:
        """Whether it waits for a request, the last one and its answer having ended as they should."""
        return self.stream_id is None and self.request is None and not self.buf and self.state == self.read_headers

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, events.Wakeup):
            if self._rest:
                yield from self._send_piece()
            return
        if isinstance(event, events.ConnectionClosed):
            self._forget_rest()
        yield from super()._handle_event(event)

    def send(self, event: HttpEvent) -> layer.CommandGenerator[None]:
        if type(event) is RequestData and len(event.data) > PIECE:
            self._rest = memoryview(event.data)
            yield from self._send_piece()
        elif self._rest and isinstance(event, RequestEndOfMessage):
            self._end = event
        else:
            if isinstance(event, RequestProtocolError):
                if self.stream_id not in (None, event.stream_id):
                    return  # of a stream that is over, and the connection another's
                self._forget_rest()
            yield from super().send(event)

    def _send_piece(self) -> layer.CommandGenerator[None]:
        """As much as the connection takes at once: a provider that does not read is held no second copy of a body."""
        assert self.stream_id is not None
        piece, self._rest = bytes(self._rest[:PIECE]), self._rest[PIECE:]
        yield from super().send(RequestData(self.stream_id, piece))
        if self._rest:
            yield WhenWritten(self.conn)
        elif self._end is not None:
            end, self._end = self._end, None
            yield from super().send(end)

    def _forget_rest(self) -> None:
        self._rest, self._end = _NOTHING, None

    def read_headers(self, event: events.ConnectionEvent) -> layer.CommandGenerator[None]:
        if _is_ambiguous(bytes(self.buf)):
            yield from self._refuse("a head that two readers may read in two ways")
            return
        found: http.Response | None = None
        for command in super().read_headers(event):
            found = _interim_of(command)
            if found is not None and not self._switches(found):
                break
            found = None
            yield command
        if found is not None:
            yield from self._pass_on(found, event)
        elif self.state == self.read_headers and len(self.buf) > HEAD_LIMIT:
            yield from self._refuse("the answer's head is over the limit")

    def _pass_on(self, interim: http.Response, event: events.ConnectionEvent) -> layer.CommandGenerator[None]:
        """Hand a 1xx head on and read the next; the stock layer, which took it for the answer, was stopped there."""
        assert self.stream_id is not None
        self.response = None
        self._interim += 1
        if self._interim > INTERIM_LIMIT or not _is_welcome(interim):
            yield from self._refuse("1xx answers without end, a malformed one, or a switch of protocols")
            return
        fields = (f for f in interim.headers.fields if f[0].lower() not in _ONE_HOP)
        interim.headers.fields = tuple(fields)
        yield ReceiveHttp(InterimHeaders(self.stream_id, interim))
        yield from self.read_headers(event)

    def _switches(self, response: http.Response) -> bool:
        """Whether it is the answer to a request for a WebSocket; the stream judges if it is the right one."""
        return (
            response.status_code == _SWITCHING
            and self.request is not None
            and is_asked(Headers(self.request.headers.fields))
        )

    def _refuse(self, why: str) -> layer.CommandGenerator[None]:
        self.state = self.done
        yield commands.CloseConnection(self.conn)
        if self.stream_id is not None:
            yield ReceiveHttp(ResponseProtocolError(self.stream_id, why, ErrorCode.GENERIC_SERVER_ERROR))

    def mark_done(self, *, request: bool = False, response: bool = False) -> layer.CommandGenerator[None]:
        self._interim = 0
        if response and self._rest:
            # Answered before it had all of the request: what it would make of the rest nobody knows.
            self._forget_rest()
            self.state = self.done
            yield commands.CloseConnection(self.conn)
            return
        yield from super().mark_done(request=request, response=response)

    def _ended_by_close(self) -> bool:
        # "A response that has neither chunked transfer coding nor Content-Length is complete only if a valid closure
        # alert has been received" (RFC 9112, 9.8).
        if isinstance(self.body_reader, Http10Reader) and not self._closed_properly():
            raise h11.RemoteProtocolError("the connection ended without a closing alert")
        return super()._ended_by_close()

    def _closed_properly(self) -> bool:
        tls = [b.tls for b in self.context.layers if isinstance(b, ServerTLSLayer) and b.conn is self.conn]
        return not tls or bool(tls[-1].get_shutdown() & SSL.RECEIVED_SHUTDOWN)


def _is_ambiguous(received: bytes) -> bool:
    """Whether a whole head has line ends or control characters that readers disagree about.

    mitmproxy takes a bare LF for the end of a line and strips VT and FF like blanks, so that a header could be one to
    it and none to the next reader: that is how requests are smuggled.
    """
    end = _END_OF_HEAD.search(received)
    if end is None:
        return False
    head = received[: end.end()]
    lines = head.count(b"\r\n")
    return (
        head.count(b"\n") != lines
        or head.count(b"\r") != lines
        or bool(head.translate(None, _PLAIN))
        or b"\t" in head[: head.index(b"\r\n")]
    )


def _has_odd_request_line(received: bytes) -> bool:
    """Whether a whole first line is anything but three words with one blank between; mitmproxy takes any blanks."""
    return b"\n" in received and _REQUEST_LINE.match(received) is None


def _asks_to_close(request: http.Request) -> bool:
    # mitmproxy's own reading of this field takes eight microseconds, and is asked only where it is needed.
    data = request.data
    named = [value for name, value in data.headers.fields if len(name) == 10 and name.lower() == b"connection"]
    if data.http_version == b"HTTP/1.1" and not any(b"close" in value.lower() for value in named):
        return False
    return http1.connection_close(data.http_version, data.headers) is True


def _tells_its_end(response: http.Response) -> bool:
    return any(len(name) in (14, 17) and name.lower() in _ENDS for name, _ in response.headers.fields)


def _ends_at_close(request: http.Request, response: http.Response) -> bool:
    return http1.expected_http_body_size(request, response) == -1


def _interim_of(command: commands.Command) -> http.Response | None:
    """The 1xx head that the stock layer is about to hand on as the answer."""
    if not isinstance(command, ReceiveHttp) or not isinstance(command.event, ResponseHeaders):
        return None
    response = command.event.response
    return response if response.status_code in _INTERIM else None


def _is_welcome(response: http.Response) -> bool:
    # One that was asked for does not come here.
    if response.status_code == _SWITCHING:
        return False
    try:
        validate_headers(response)
    except ValueError:
        return False
    return True
