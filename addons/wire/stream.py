"""One request and its answer: refused before its body, checked on the connection, never left without a last word."""

from __future__ import annotations

import time
from dataclasses import dataclass

from mitmproxy import flow, http
from mitmproxy.net.http.validate import validate_headers
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.layers.http import DropStream, HttpLayer, HTTPMode, HttpStream, SendHttp
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    HttpEvent,
    RequestData,
    RequestHeaders,
    RequestProtocolError,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
)
from mitmproxy.proxy.layers.http._hooks import HttpErrorHook, HttpResponseHeadersHook

from addons.wire.http1 import InterimHeaders

# How long a client may go on sending a body that was refused, before its connection is closed under it. Closing at once
# would reset the connection, and the reset can overtake the answer.
LINGER = 2.0
BODY_LIMIT = 32 * 1024 * 1024
# Stands for the target of an origin-form request where only absolute form is taken; screening refuses it by this name.
ORIGIN_FORM = "origin-form.invalid"


@dataclass
class ServerReadyHook(commands.StartHook):
    """The connection to the provider is open and verified, and nothing of this request has been sent on it."""

    name = "server_ready"
    flow: http.HTTPFlow


class UpstreamFault(flow.Error):
    """Why a flow failed on the provider's side; `code` tells a refused dial from a broken answer."""

    def __init__(self, message: str, code: ErrorCode) -> None:
        super().__init__(message)
        self.code = code


class GatewayStream(HttpStream):
    """mitmproxy's stream with a few changes, each for something that no hook can do."""

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, events.Wakeup):
            yield commands.CloseConnection(self.context.client)
        elif isinstance(event, InterimHeaders):
            if self.server_state == self.state_wait_for_response_headers:
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
        if sum(isinstance(below, HttpLayer) for below in self.context.layers) == 1:
            # Inside a tunnel there is no half of a connection to close: the layers below would close all of it.
            yield commands.CloseTcpConnection(self.context.client, half_close=True)
        yield commands.RequestWakeup(LINGER)

    def state_consume_request_body(self, event: events.Event) -> layer.CommandGenerator[None]:
        yield from super().state_consume_request_body(event)
        if isinstance(event, RequestData) and len(self.request_body_buf) > BODY_LIMIT:
            # An announced length was judged at the head; this is a chunked body that told nothing.
            self.request_body_buf.clear()
            self.flow.error = UpstreamFault("the body is over the limit", ErrorCode.REQUEST_TOO_LARGE)
            yield HttpErrorHook(self.flow)
            if self.flow.response:
                yield from self._refuse_early()

    # 2. The credential leaves only on a connection that was checked after it was opened.

    def make_server_connection(self) -> layer.CommandGenerator[bool]:
        if not (yield from super().make_server_connection()):
            return False
        yield ServerReadyHook(self.flow)
        return not (yield from self.check_killed(True))

    # 3. An answer of ours in the place of the provider's is sent without waiting for the provider's to end.

    def state_wait_for_response_headers(self, event: HttpEvent) -> layer.CommandGenerator[None]:
        assert isinstance(event, ResponseHeaders)
        yield from super().state_wait_for_response_headers(event)
        replaced = self.flow.response is not event.response
        if replaced and self.server_state == self.state_consume_response_body:
            self.server_state = self.state_errored
            if not event.end_stream:
                gone = RequestProtocolError(self.stream_id, "the answer was replaced", ErrorCode.CANCEL)
                yield SendHttp(gone, self.context.server)
            yield from self.send_response()
            # What came of the provider's answer while the hooks ran is still waiting to be read.
            self.server_state = self.state_errored

    def state_stream_response_body(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, ResponseData) and self.flow.response is not None and self.flow.response.stream is True:
            yield SendHttp(event, self.context.client)  # what passes as it is needs none of the stock layer's choices
        else:
            yield from super().state_stream_response_body(event)

    # 4. A provider that cannot be reached or breaks off is answered for in our own words, while nothing was sent yet.

    def check_invalid(self, request: bool) -> layer.CommandGenerator[bool]:
        if request:
            return (yield from super().check_invalid(True))
        assert self.flow.response
        try:
            validate_headers(self.flow.response)
        except ValueError:
            yield commands.CloseConnection(self.context.server)
            why = "a malformed answer"
            yield from self.handle_protocol_error(
                ResponseProtocolError(self.stream_id, why, ErrorCode.RESPONSE_VALIDATION_FAILED)
            )
            return True
        return False

    def handle_protocol_error(
        self, event: RequestProtocolError | ResponseProtocolError
    ) -> layer.CommandGenerator[None]:
        if not isinstance(event, ResponseProtocolError) or not self._answerable():
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
        waiting = (self.state_uninitialized, self.state_wait_for_response_headers, self.state_consume_response_body)
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
