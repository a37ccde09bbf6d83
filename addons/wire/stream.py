"""One request and its answer: refused before its body, checked on the connection, never left without a last word."""

from __future__ import annotations

import time
from dataclasses import dataclass

from mitmproxy import flow, http
from mitmproxy.connection import Server
from mitmproxy.net.http.validate import validate_headers
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http import DropStream, HttpLayer, HTTPMode, SendHttp
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
from mitmproxy.proxy.layers.http._hooks import HttpErrorHook, HttpResponseHeadersHook

from addons.exchange import exchange_of, peer_of
from addons.last_resort import last_resort
from addons.wire.bodies import Body, over_limit
from addons.wire.http1 import InterimHeaders
from addons.wire.parting import parting
from addons.wire.signals import Overdue, Stopped
from addons.wire.tunnel import Tunnel, TunnelRelay, tunnel_of
from addons.wire.websocket import Relay, traffic_of
from addons.wire.weighing import HELD_UP_TO, WeighingStream, is_told
from llmauth.errors import GatewayError, RequestTimeout, UpstreamUnreachable
from llmauth.http import Headers
from llmauth.reflection import masked, secrets_of
from llmauth.translation import StreamFilter
from llmauth.websocket.handshake import SWITCHING, is_accepted

# How long a client may go on sending a body that was refused, before its connection is closed under it. Closing at once
# would reset the connection, and the reset can overtake the answer.
LINGER = 2.0
# A request's body of this size is kept until its exchange ends; a larger one goes when the answer begins.
KEPT_UP_TO = 64 * 1024
# How long an answer may be that is translated as a whole: 32 MiB, and no chat is near it.
WHOLE_UP_TO = 32 * 1024 * 1024
TOO_LONG = "an answer is too long to be translated"
# Stands for the target of an origin-form request where only absolute form is taken; screening refuses it by this name.
ORIGIN_FORM = "origin-form.invalid"


@dataclass
class ServerReadyHook(commands.StartHook):
    """The connection to the provider is open and verified, and nothing of this request has been sent on it."""

    name = "server_ready"
    flow: http.HTTPFlow


_TAIL = 4  # as many bytes as the longest end of an event has


class UpstreamFault(flow.Error):
    """Why a flow failed on the provider's side; `code` tells a refused dial from a broken answer."""

    def __init__(self, message: str, code: ErrorCode) -> None:
        super().__init__(message)
        self.code = code


class GatewayStream(WeighingStream):
    """mitmproxy's stream with a few changes, each for something that no hook can do."""

    def __init__(self, context: Context, stream_id: int) -> None:
        super().__init__(context, stream_id)
        self._tail = b""  # the last bytes of an answer that passes
        self._limits = peer_of(context.client).limits
        self._body = Body()
        self.request_body_buf = self._body  # type: ignore[assignment]

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, Overdue):
            if self.client_state == self.state_consume_request_body:
                yield from self._stop_body(RequestTimeout("The request's body did not come in time.", close=True))
        elif isinstance(event, events.Wakeup) and event.command is self._patience:
            yield from self.lose_patience()
        elif isinstance(event, events.Wakeup):
            yield commands.CloseConnection(self.context.client)
        elif isinstance(event, InterimHeaders):
            if self.server_state == self.state_wait_for_response_headers:
                fields = event.response.headers.fields
                event.response.headers.fields = masked(secrets_of(self.flow.request.headers.fields), fields)
                yield SendHttp(event, self.context.client)
        else:
            yield from super()._handle_event(event)

    # 1. An answer that an addon gives at the head is sent at once, not after the last byte of the body.

    def state_wait_for_request_headers(self, event: HttpEvent) -> layer.CommandGenerator[None]:
        assert isinstance(event, RequestHeaders)
        if self.mode is HTTPMode.regular and not event.request.data.host and event.request.method != "CONNECT":
            # Origin form on a proxy connection would be sent to whatever its Host header names.
            event.request.data.host = ORIGIN_FORM
            event.request.data.port = 1
            event.request.data.scheme = b"http"
        if self.context.server.tls and event.request.data.scheme == b"http":
            # The stock stream makes it https and goes on. Named again, no authority is this one, and screening refuses.
            event.request.data.authority = b"http://" + event.request.data.authority
        yield from super().state_wait_for_request_headers(event)
        if self.client_state == self.state_consume_request_body and self.flow.response and not event.end_stream:
            yield from self._refuse_early()

    def _refuse_early(self) -> layer.CommandGenerator[None]:
        assert self.flow.response
        self.client_state = self.state_errored
        self.flow.response.timestamp_start = time.time()
        self.flow.response.headers["Connection"] = "close"
        yield HttpResponseHeadersHook(self.flow)
        if (yield from self.check_killed(True)):
            return
        yield from self.send_response()
        self.flow.live = False
        yield SendHttp(ResponseEndOfMessage(self.stream_id), self.context.client)
        if self.context.client.alpn == b"h2":
            # There the end of the answer calls the rest of the request off, and other requests go on beside it.
            yield DropStream(self.stream_id)
            return
        if sum(isinstance(below, HttpLayer) for below in self.context.layers) == 1:
            # Inside a tunnel there is no half of a connection to close: the layers below would close all of it.
            yield commands.CloseTcpConnection(self.context.client, half_close=True)
        yield commands.RequestWakeup(LINGER)

    def state_consume_request_body(self, event: events.Event) -> layer.CommandGenerator[None]:
        yield from super().state_consume_request_body(event)
        if isinstance(event, RequestData):
            refused = over_limit(self._limits, len(self._body))
            if refused is not None:
                yield from self._stop_body(refused)

    def _stop_body(self, error: GatewayError) -> layer.CommandGenerator[None]:
        """Answer a request whose body is still coming, and take no more of it."""
        self._body.release()
        self.flow.error = Stopped(error)
        yield HttpErrorHook(self.flow)
        if self.flow.response:
            yield from self._refuse_early()
        else:
            self.client_state = self.state_errored
            yield commands.CloseConnection(self.context.client)

    # 2. The credential leaves only on a connection that was checked after it was opened.

    def make_server_connection(self) -> layer.CommandGenerator[bool]:
        if not (yield from super().make_server_connection()):
            return False
        yield ServerReadyHook(self.flow)
        return not (yield from self.check_killed(True))

    # 3. An answer of ours in the place of the provider's is sent without waiting for the provider's to end.

    def begin_answer(self, event: ResponseHeaders) -> layer.CommandGenerator[None]:
        yield from super().begin_answer(event)
        self._let_go()
        replaced = self.flow.response is not event.response
        if replaced and self.server_state == self.state_consume_response_body:
            self.server_state = self.state_errored
            if not event.end_stream or event.response.status_code == SWITCHING:
                gone = RequestProtocolError(self.stream_id, "the answer was replaced", ErrorCode.CANCEL)
                yield SendHttp(gone, self.context.server)
            yield from self.send_response()
            # What came of the provider's answer while the hooks ran is still waiting to be read.
            self.server_state = self.state_errored

    def _let_go(self) -> None:
        """Once its answer has begun, or the client has left, nobody sends a request again; and what is left of a flow
        waits for the garbage collector, which does not know how large a body is."""
        self._body.release()
        if len(self.flow.request.data.content or b"") > KEPT_UP_TO:
            self.flow.request.data.content = b""

    def send_response(self, already_streamed: bool = False) -> layer.CommandGenerator[None]:
        self._body.release()
        yield from super().send_response(already_streamed)

    def state_stream_response_body(self, event: events.Event) -> layer.CommandGenerator[None]:
        stream = _filter_of(self.flow)
        if isinstance(event, ResponseData):
            self._meter(event.data)
        if stream is not None and isinstance(event, ResponseData):
            yield from self._tell(stream.feed(event.data))
            if stream.failure is not None:
                yield from self._call_off("the answer failed in its middle")
        elif stream is not None and isinstance(event, ResponseEndOfMessage):
            yield from self._close_filter(stream)
        elif isinstance(event, ResponseData) and self.flow.response is not None and self.flow.response.stream is True:
            yield SendHttp(event, self.context.client)  # what passes as it is needs none of the stock layer's choices
        else:
            yield from super().state_stream_response_body(event)

    def _meter(self, data: bytes) -> None:
        self._tail = data[-_TAIL:] if len(data) >= _TAIL else (self._tail + data)[-_TAIL:]
        exchange = exchange_of(self.flow)
        if exchange is not None:
            if exchange.first_data_at is None:
                exchange.first_data_at = time.monotonic()
            exchange.passed += len(data)
            if exchange.meter is not None:
                exchange.meter.feed(data)
            if exchange.onlooker is not None and exchange.stream is None:
                exchange.onlooker.feed(data)  # of a stream that is changed it sees what becomes of it

    def state_consume_response_body(self, event: events.Event) -> layer.CommandGenerator[None]:
        yield from super().state_consume_response_body(event)
        exchange = exchange_of(self.flow)
        if exchange is not None and exchange.whole:
            if len(self.response_body_buf) > WHOLE_UP_TO:
                self.response_body_buf.clear()
                yield from self._call_off(TOO_LONG)
        elif len(self.response_body_buf) > HELD_UP_TO:
            assert self.flow.response
            self.flow.response.stream = True
            held = bytes(self.response_body_buf)
            self.response_body_buf.clear()
            yield from self.start_response_stream()
            self._meter(held)
            yield SendHttp(ResponseData(self.stream_id, held), self.context.client)

    # 4. A stream in another format than the client's is changed as it passes, and its failure told in the client's.

    def _close_filter(self, stream: StreamFilter) -> layer.CommandGenerator[None]:
        yield from self._tell(stream.close())
        if stream.failure is None:
            yield from self.send_response(already_streamed=True)
        else:
            # No end of the body: what was said so far must not pass for the whole.
            yield from super().handle_protocol_error(self._fault("the answer ended before its end"))

    def _tell(self, data: bytes) -> layer.CommandGenerator[None]:
        if data:
            exchange = exchange_of(self.flow)
            if exchange is not None and exchange.onlooker is not None:
                exchange.onlooker.feed(data)
            yield SendHttp(ResponseData(self.stream_id, data), self.context.client)

    def _call_off(self, why: str) -> layer.CommandGenerator[None]:
        """The provider is told to stop, and the client that there will be no more."""
        yield SendHttp(RequestProtocolError(self.stream_id, why, ErrorCode.CANCEL), self.context.server)
        yield from self.handle_protocol_error(self._fault(why))

    def _fault(self, why: str) -> ResponseProtocolError:
        return ResponseProtocolError(self.stream_id, why, ErrorCode.GENERIC_SERVER_ERROR)

    # 5. A provider that cannot be reached or breaks off is answered for in our own words, while nothing was sent yet.

    def check_invalid(self, request: bool) -> layer.CommandGenerator[bool]:
        if request:
            return (yield from super().check_invalid(True))
        assert self.flow.response
        try:
            validate_headers(self.flow.response)
            _check_coding(self.flow.response)
            self._check_switch(self.flow.response)
        except ValueError:
            yield commands.CloseConnection(self.context.server)
            why = "a malformed answer"
            yield from self.handle_protocol_error(
                ResponseProtocolError(self.stream_id, why, ErrorCode.RESPONSE_VALIDATION_FAILED)
            )
            return True
        return False

    # 6. A WebSocket that was asked for, and is answered as it must be, is carried by a layer that keeps nothing.

    def _check_switch(self, response: http.Response) -> None:
        if response.status_code != SWITCHING:
            return
        asked, answered = Headers(self.flow.request.headers.fields), Headers(response.headers.fields)
        # "HTTP/1.0 did not define any 1xx status codes" (RFC 9110, 15.2).
        if not response.is_http11 or not is_accepted(asked, answered):
            raise ValueError("a switch of protocols that was not asked for, or a wrong one")

    def flow_done(self) -> layer.CommandGenerator[None]:
        assert self.flow.response
        if self.flow.response.status_code != SWITCHING or traffic_of(self.flow) is None:
            yield from super().flow_done()  # which ends a switch to anything that nobody watches
            return
        self.child_layer = Relay(self.context, self.flow)
        self._handle_event = self.passthrough  # type: ignore[method-assign]
        yield from self.child_layer.handle_event(events.Start())
        # The connection layers become a pipe by this; what was read ahead of it comes at once.
        yield SendHttp(ResponseEndOfMessage(self.stream_id), self.context.client)

    def handle_protocol_error(
        self, event: RequestProtocolError | ResponseProtocolError
    ) -> layer.CommandGenerator[None]:
        if isinstance(event, ResponseProtocolError) and self._held is not None and is_told(self.flow, self._held):
            yield from self.state_weigh_response(ResponseEndOfMessage(self.stream_id))
            return
        self._let_go()
        if not isinstance(event, ResponseProtocolError) or not self._answerable():
            stream = _filter_of(self.flow)
            if isinstance(event, ResponseProtocolError) and self.context.client.connected:
                last = parting(self.flow, self._tail) if stream is None else stream.cut(_why_cut(self.flow))
                yield from self._tell(last)
            yield from super().handle_protocol_error(event)
            return
        self.flow.error = UpstreamFault(event.message, event.code)
        self.flow.response = None
        yield HttpErrorHook(self.flow)
        if (yield from self.check_killed(False)):
            return
        self.server_state = self.state_errored
        if self.flow.response is None:
            yield SendHttp(event, self.context.client)
        else:
            yield from self._say(self.flow.response)
        self.flow.live = False
        yield DropStream(self.stream_id)

    def _answerable(self) -> bool:
        """Nothing of an answer has gone to the client, and the client still waits for one."""
        if not self.context.client.connected:
            return False  # it left during a dial, which was given up with it: no fault of the provider's
        waiting = (
            self.state_uninitialized,
            self.state_wait_for_response_headers,
            self.state_weigh_response,
            self.state_consume_response_body,
        )
        return self.server_state in waiting and self.client_state in (
            self.state_done,
            self.state_consume_request_body,
        )

    def _say(self, response: http.Response) -> layer.CommandGenerator[None]:
        content = response.raw_content or b""
        yield SendHttp(ResponseHeaders(self.stream_id, response, not content), self.context.client)
        if content:
            yield SendHttp(ResponseData(self.stream_id, content), self.context.client)
        yield SendHttp(ResponseEndOfMessage(self.stream_id), self.context.client)

    # 7. A CONNECT that nobody will read is answered when its host was reached, and its bytes are relayed.

    def handle_connect_regular(self) -> layer.CommandGenerator[None]:
        tunnel = tunnel_of(self.flow)
        if tunnel is None or self.flow.response is not None:
            yield from super().handle_connect_regular()
            return
        if (yield from self._reach(tunnel)):
            self.child_layer = TunnelRelay(self.context, tunnel)
            yield from self.handle_connect_finish()

    def _reach(self, tunnel: Tunnel) -> layer.CommandGenerator[bool]:
        """Dial the host of a tunnel; where it cannot be reached, the flow gets its refusal. False when all is over."""
        self.context.server = self.flow.server_conn = Server(address=(tunnel.target.host, tunnel.target.port))
        exchange = exchange_of(self.flow)
        peer_of(self.context.client).way = exchange.plan.way if exchange is not None else None
        failed = yield commands.OpenConnection(self.context.server)
        if failed:
            self.flow.error = UpstreamFault(failed, ErrorCode.CONNECT_FAILED)
            yield HttpErrorHook(self.flow)
            self.flow.response = self.flow.response or last_resort(502)
            return True
        yield ServerReadyHook(self.flow)
        return not (yield from self.check_killed(True))

    def passthrough(self, event: events.Event) -> layer.CommandGenerator[None]:
        """The stock layer knows no half of a connection that is closed, and would end the answer with the question."""
        if not isinstance(self.child_layer, TunnelRelay):
            yield from super().passthrough(event)
        elif isinstance(event, RequestData):
            yield from self.child_layer.handle_event(events.DataReceived(self.context.client, event.data))
        elif isinstance(event, RequestEndOfMessage | RequestProtocolError):
            yield from self.child_layer.handle_event(events.ConnectionClosed(self.context.client))
        elif isinstance(event, events.ConnectionEvent):
            yield from self.child_layer.handle_event(event)


def _filter_of(flow: http.HTTPFlow) -> StreamFilter | None:
    exchange = exchange_of(flow)
    return None if exchange is None else exchange.stream


def _why_cut(flow: http.HTTPFlow) -> GatewayError:
    exchange = exchange_of(flow)
    ours = None if exchange is None else exchange.cut_for
    return ours or UpstreamUnreachable("The provider broke off its answer.")


def _check_coding(response: http.Response) -> None:
    # Nobody asked for another (TE is not sent on), HTTP/2 could not name one (RFC 9113, 8.2.2), and a body in one that
    # does not end with chunks is over when the connection is: that looks the same when the provider broke off.
    coding = response.headers.get("transfer-encoding")
    if coding is not None and coding.strip().lower() != "chunked":
        raise ValueError("a transfer coding that was not asked for")
