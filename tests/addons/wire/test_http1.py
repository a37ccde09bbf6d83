from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest
from mitmproxy import http
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.layers import ServerTLSLayer
from mitmproxy.proxy.layers.http import HTTPMode
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    HttpEvent,
    RequestHeaders,
    RequestProtocolError,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
)
from OpenSSL import SSL

from addons.wire.http1 import AHEAD_LIMIT, AHEAD_REQUESTS, HEAD_LIMIT, INTERIM_LIMIT, InterimHeaders
from addons.wire.http_layer import GatewayHttp
from addons.wire.install import install
from tests.addons.layers import Downstream, Exchange, Upstream, context, http_events, names, play, sent

install()

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
TO_THE_END = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
WHOLE = ["ResponseHeaders", "ResponseData", "ResponseEndOfMessage"]


def body(happened: list[HttpEvent]) -> bytes:
    return b"".join(one.data for one in happened if isinstance(one, ResponseData))


# ---- the provider's side -------------------------------------------------------------------------------------------


def test_one_read_is_one_event() -> None:
    happened = Upstream().receive(CHUNKED + b"1\r\na\r\n" * 50 + b"0\r\n\r\n")
    assert names(happened) == WHOLE
    assert body(happened) == b"a" * 50


@pytest.mark.parametrize("trailers", [b"", b"X-Checksum: 1\r\nX-More: 2\r\n"])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_any_cut_of_the_bytes_gives_the_same(size: int, trailers: bytes) -> None:
    data = HINTS + CHUNKED + b"3;x=y\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\n" + trailers + b"\r\n"
    happened = Upstream().receive(*(data[i : i + size] for i in range(0, len(data), size)))
    assert body(happened) == b"abc0123456789abcdef"
    assert [name for name in names(happened) if name != "ResponseData"] == ["InterimHeaders", WHOLE[0], WHOLE[2]]


def test_the_connection_is_good_for_the_next_request_after_trailers() -> None:
    upstream = Upstream()
    upstream.receive(CHUNKED + b"0\r\nX-Checksum: 1\r\n\r\n")
    assert upstream.ask(3).startswith(b"POST ")
    assert names(upstream.receive(b"HTTP/1.1 204 No Content\r\n\r\n"))[0] == "ResponseHeaders"


def test_1xx_are_told_as_what_they_are_and_lose_what_is_of_one_hop() -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\nConnection: close\r\nContent-Length: 5\r\n\r\n"
    interim, head, *_ = Upstream().receive(hints + b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert isinstance(interim, InterimHeaders)
    assert (interim.response.status_code, interim.response.headers.fields) == (103, ((b"Link", b"</x>"),))
    assert isinstance(head, ResponseHeaders)
    assert head.response.status_code == 200


def test_1xx_are_counted_for_each_answer() -> None:
    upstream, answer = Upstream(), b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    assert names(upstream.receive(HINTS * INTERIM_LIMIT + answer))[-1] == "ResponseEndOfMessage"
    upstream.ask(3)
    assert names(upstream.receive(HINTS * INTERIM_LIMIT + answer))[-1] == "ResponseEndOfMessage"
    upstream.ask(5)
    *interim, last = upstream.receive(HINTS * (INTERIM_LIMIT + 1) + answer)
    assert (len(interim), type(last)) == (INTERIM_LIMIT, ResponseProtocolError)


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nA B: c\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * (HEAD_LIMIT + 1),
        b"HTTP/1.1 nonsense\r\n\r\n",
    ],
)
def test_what_is_no_answer_is_a_fault_and_ends_the_connection(data: bytes) -> None:
    upstream = Upstream()
    done = play(upstream.layer, events.DataReceived(upstream.context.server, data))
    (fault,) = http_events(done)
    assert isinstance(fault, ResponseProtocolError)
    assert fault.code is ErrorCode.GENERIC_SERVER_ERROR
    assert "CloseConnection" in names(done)


SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"


def test_a_101_is_an_answer_where_a_websocket_was_asked_for() -> None:
    """Whether it is the right one is for the stream to judge; what follows it is bytes."""
    upstream = Upstream()
    upstream.layer.request.headers["Upgrade"] = "websocket"
    head, end, data = upstream.receive(SWITCH + b"\x81\x02hi")
    assert isinstance(data, events.DataReceived | ResponseData)
    assert (names([head, end]), data.data) == (["ResponseHeaders", "ResponseEndOfMessage"], b"\x81\x02hi")
    assert names(Upstream().receive(SWITCH)) == ["ResponseProtocolError"]


def test_a_chunk_head_without_end_is_a_fault() -> None:
    assert names(Upstream().receive(CHUNKED, b"1" * (HEAD_LIMIT + 1)))[-1] == "ResponseProtocolError"


@pytest.mark.parametrize("data", [CHUNKED + b"5\r\nab", CHUNKED, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"])
def test_an_early_end_is_a_fault(data: bytes) -> None:
    upstream = Upstream()
    upstream.receive(data)
    assert names(upstream.end()) == ["ResponseProtocolError"]


def tls_layer(upstream_end: int) -> Any:
    made: Any = ServerTLSLayer.__new__(ServerTLSLayer)
    made.tls = SimpleNamespace(get_shutdown=lambda: upstream_end)
    return made


@pytest.mark.parametrize(
    ("seen", "last"), [(SSL.RECEIVED_SHUTDOWN, "ResponseEndOfMessage"), (0, "ResponseProtocolError")]
)
def test_an_answer_without_a_length_is_whole_only_after_a_closing_alert(seen: int, last: str) -> None:
    secure = tls_layer(seen)
    upstream = Upstream("POST", secure)
    secure.conn = upstream.context.server
    upstream.receive(TO_THE_END + b"data: 1\n\n")
    assert names(upstream.end())[-1] == last


# ---- the client's side ---------------------------------------------------------------------------------------------

GET = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"


def answer(stream: int = 1, status: int = 200, **headers: str) -> ResponseHeaders:
    fields = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return ResponseHeaders(stream, http.Response.make(status, b"", http.Headers(fields)), False)


def without_length(*fields: tuple[bytes, bytes]) -> ResponseHeaders:
    response = http.Response.make(200)
    response.headers = http.Headers(fields)
    return ResponseHeaders(1, response, False)


@pytest.mark.parametrize("before", [b"\r\n", b"\r\n\r\n", b"\r\n" * 1000])
def test_empty_lines_before_a_head_are_skipped(before: bytes) -> None:
    assert names(http_events(Downstream().receive(before + GET))) == ["RequestHeaders", "RequestEndOfMessage"]
    assert names(http_events(Downstream().receive(before, GET))) == ["RequestHeaders", "RequestEndOfMessage"]


def test_many_empty_lines_take_no_time() -> None:
    """A stranger's; half a megabyte of them took seconds, in which nobody else was served."""
    downstream, began = Downstream(), time.process_time()
    downstream.receive(b"\r\n" * 250_000)
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize(
    "first", [b"\nGET / HTTP/1.1", b"GET / HTTP/1.1 ", b"GET  / HTTP/1.1", b" GET / HTTP/1.1", b"GET /"]
)
def test_a_request_line_has_three_words_and_two_blanks(first: bytes) -> None:
    done = Downstream().receive(first + GET[GET.index(b"\r\n") :])
    assert sent(done).startswith(b"HTTP/1.1 400 ")
    assert names(done)[-1] == "CloseConnection"


def test_a_head_over_the_limit_is_431() -> None:
    done = Downstream().receive(GET[:-2] + b"X: " + b"a" * HEAD_LIMIT)
    assert sent(done).startswith(b"HTTP/1.1 431 ")
    assert names(done)[-1] == "CloseConnection"


def test_an_answer_without_a_length_is_chunked_for_the_client() -> None:
    downstream = Downstream()
    downstream.receive(GET)
    event = without_length((b"content-type", b"text/event-stream"))
    said = sent(downstream.send(event, ResponseData(1, b"data"), ResponseEndOfMessage(1)))
    head, _, rest = said.partition(b"\r\n\r\n")
    assert b"Transfer-Encoding: chunked" in head
    assert rest == b"4\r\ndata\r\n0\r\n\r\n"


def test_the_provider_s_own_head_stays_as_it_came() -> None:
    downstream = Downstream()
    downstream.receive(GET)
    event = without_length((b"content-type", b"text/event-stream"))
    original = event.response
    downstream.send(event)
    assert "transfer-encoding" not in original.headers


def test_a_cut_answer_without_a_length_gets_no_last_chunk() -> None:
    downstream = Downstream()
    downstream.receive(GET)
    cut = ResponseProtocolError(1, "cut", ErrorCode.GENERIC_SERVER_ERROR)
    done = downstream.send(without_length(), ResponseData(1, b"data"), cut)
    assert sent(done).endswith(b"4\r\ndata\r\n")
    assert names(done)[-1] == "CloseConnection"


@pytest.mark.parametrize(("method", "target"), [("HEAD", "/"), ("CONNECT", "x:443")])
def test_an_answer_that_has_no_body_is_not_chunked(method: str, target: str) -> None:
    downstream = Downstream()
    downstream.receive(f"{method} {target} HTTP/1.1\r\nHost: x:443\r\n\r\n".encode())
    assert b"chunked" not in sent(downstream.send(without_length()))


def test_no_body_follows_the_head_of_an_answer_to_HEAD() -> None:
    """B6: a refusal of ours has one, which the client would read as its next answer."""
    downstream = Downstream()
    downstream.receive(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
    refused = ResponseHeaders(1, http.Response.make(502, b"", {"Content-Length": "4"}), False)
    said = sent(downstream.send(refused, ResponseData(1, b"down"), ResponseEndOfMessage(1)))
    assert said.startswith(b"HTTP/1.1 502 ")
    assert said.endswith(b"\r\n\r\n")
    downstream.receive(GET)
    whole = answer(stream=3, content_length="2")
    assert sent(downstream.send(whole, ResponseData(3, b"ok"), ResponseEndOfMessage(3))).endswith(b"\r\n\r\nok")


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/2.0"])
def test_an_answer_is_told_in_our_own_version(version: str) -> None:
    downstream = Downstream()
    downstream.receive(GET)
    event = without_length()
    event.response.http_version = version
    said = sent(downstream.send(event, ResponseData(1, b"data"), ResponseEndOfMessage(1)))
    assert said.startswith(b"HTTP/1.1 200 ")
    assert said.endswith(b"4\r\ndata\r\n0\r\n\r\n")


@pytest.mark.parametrize("line", [b"ZZ\r\n", b"-1\r\n", b"5 ;\r\n", b"\r\n", b"1" * 21 + b"\r\n", b"1\r\naX\r\n"])
def test_a_bad_chunk_line_is_400(line: bytes) -> None:
    """B1."""
    post = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    done = Downstream().receive(post + line)
    assert sent(done).startswith(b"HTTP/1.1 400 ")
    assert "CloseConnection" in names(done)


def test_what_a_client_asked_of_the_connection_is_remembered() -> None:
    """The request that goes on is the same object, and its Connection header is taken off."""
    downstream = Downstream()
    (head, _) = http_events(downstream.receive(GET[:-2] + b"Connection: close\r\n\r\n"))
    assert isinstance(head, RequestHeaders)
    del head.request.headers["connection"]
    done = downstream.send(answer(content_length="0"), ResponseEndOfMessage(1))
    assert b"Connection: close\r\n" in sent(done)
    assert names(done)[-1] == "CloseConnection"


def test_a_connection_stays_for_the_next_request() -> None:
    downstream = Downstream()
    downstream.receive(GET)
    done = downstream.send(answer(content_length="0"), ResponseEndOfMessage(1))
    assert names(done) == ["SendData"]
    assert names(http_events(downstream.receive(GET)))[0] == "RequestHeaders"


@pytest.mark.parametrize("interim", [answer(status=100), InterimHeaders(1, http.Response.make(103))])
def test_a_1xx_is_not_the_answer(interim: HttpEvent) -> None:
    """A provider that fails after it can still be told of."""
    downstream = Downstream()
    downstream.receive(GET)
    fault = ResponseProtocolError(1, "down", ErrorCode.CONNECT_FAILED)
    said = sent(downstream.send(interim, fault))
    assert said.startswith(b"HTTP/1.1 10")
    assert b"HTTP/1.1 502 Bad Gateway" in said


def test_who_sends_too_much_ahead_is_cut() -> None:
    downstream = Downstream()
    downstream.receive(GET)
    assert downstream.receive(b"x" * AHEAD_LIMIT) == []
    done = downstream.receive(b"x")
    assert isinstance(done[0], commands.CloseConnection)
    (gone,) = http_events(done)
    assert isinstance(gone, RequestProtocolError)
    assert gone.code is ErrorCode.CLIENT_DISCONNECTED


@pytest.mark.parametrize(("ahead", "closed"), [(AHEAD_REQUESTS, False), (AHEAD_REQUESTS + 1, True)])
def test_requests_sent_ahead_have_a_number(ahead: int, closed: bool) -> None:
    """One read may bring two thousand, and nobody else is served while they are."""

    def answer(flow: Any) -> None:
        flow.response = http.Response.make(200, b"", {"Content-Length": "0"})

    made = context()
    made.server.state = made.server.state.CLOSED
    made.server.address = ("gateway.invalid", 1)
    wired = Exchange(GatewayHttp(made, HTTPMode.transparent), made, {"requestheaders": answer})
    wired.client_sends(GET * (ahead + 1))
    assert (wired.to_client.count(b"HTTP/1.1 200"), bool(wired.closed)) == (AHEAD_REQUESTS + 1, closed)
