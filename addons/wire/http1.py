"""HTTP/1 as we speak it: bounded heads, one data event a read, and trailers dropped instead of hanging."""

from __future__ import annotations

from typing import Any

import h11
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.layers.http import _http1
from mitmproxy.proxy.layers.http._base import ReceiveHttp
from mitmproxy.proxy.layers.http._events import ErrorCode, ResponseProtocolError

from addons.last_resort import error_page

HEAD_LIMIT = 64 * 1024


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
            read: Any = self.body_reader.read_eof()
            return isinstance(read, h11.EndOfMessage)
        while True:
            read = self.body_reader(self.buf)
            if isinstance(read, h11.Data):
                pieces.append(bytes(read.data))
                continue
            if read is None and len(self.buf) > HEAD_LIMIT:
                # Body bytes are taken as they come, so what is left is a chunk head or trailers without an end.
                raise h11.RemoteProtocolError("a chunk head or the trailers are over the limit")
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
    """The side that clients speak to: a head that grows over the limit is answered 431, in our own words."""

    def read_headers(self, event: events.ConnectionEvent) -> layer.CommandGenerator[None]:
        yield from super().read_headers(event)
        if self.state == self.read_headers and len(self.buf) > HEAD_LIMIT:
            yield commands.SendData(self.conn, error_page(431))
            yield commands.CloseConnection(self.conn)
            self.state = self.done


class BoundedClient(_Coalescing, _http1.Http1Client):
    """The side that speaks to providers: a head over the limit is a broken answer."""

    def read_headers(self, event: events.ConnectionEvent) -> layer.CommandGenerator[None]:
        yield from super().read_headers(event)
        if self.state == self.read_headers and len(self.buf) > HEAD_LIMIT and self.stream_id is not None:
            yield commands.CloseConnection(self.conn)
            yield ReceiveHttp(
                ResponseProtocolError(
                    self.stream_id, "the answer's head is over the limit", ErrorCode.GENERIC_SERVER_ERROR
                )
            )
