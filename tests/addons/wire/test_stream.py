from __future__ import annotations

import gc
from collections.abc import Mapping
from typing import Any

import pytest
from mitmproxy import flow as flows
from mitmproxy import http
from mitmproxy.proxy import events
from mitmproxy.proxy.layers.http import HTTPMode
from mitmproxy.proxy.layers.http._events import ErrorCode

from addons.exchange import peer_of
from addons.wire import stream
from addons.wire.bodies import held
from addons.wire.http1 import PIECE, InterimHeaders
from addons.wire.http_layer import GatewayHttp
from addons.wire.install import install
from addons.wire.signals import Overdue, Stopped
from addons.wire.stream import ORIGIN_FORM, UpstreamFault
from addons.wire.weighing import HELD_UP_TO
from llmauth.config.limits import Limits
from llmauth.errors import BodyTooLarge, GatewayError, RequestTimeout, Unavailable
from tests.addons.layers import HOST, Exchange, Hook, context

install()


@pytest.fixture
def nothing_held() -> int:
    """What bodies of earlier tests still hold, after those that nobody knows any more are gone."""
    gc.collect()
    return held.bytes


POST = b"POST /v1/x HTTP/1.1\r\nHost: gateway\r\nContent-Length: 4\r\n\r\n"
GET = b"GET /v1/x HTTP/1.1\r\nHost: gateway\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def route(flow: http.HTTPFlow) -> None:
    flow.request.data.host, flow.request.data.port, flow.request.data.scheme = *HOST, b"http"


def refuse(status: int) -> Hook:
    def answer(flow: http.HTTPFlow) -> None:
        flow.response = http.Response.make(status, b"no", {"Content-Length": "2"})

    return answer


def through(flow: http.HTTPFlow) -> None:
    flow.response.stream = True


def exchange(hooks: Mapping[str, Hook] | None = None, mode: HTTPMode = HTTPMode.transparent) -> Exchange:
    made = context()
    made.server.state = made.server.state.CLOSED
    made.server.address = ("gateway.invalid", 1)
    return Exchange(GatewayHttp(made, mode), made, {"request": route, **(hooks or {})})


def faults() -> tuple[list[UpstreamFault], Hook]:
    found: list[UpstreamFault] = []

    def error(flow: http.HTTPFlow) -> None:
        assert isinstance(flow.error, UpstreamFault)
        found.append(flow.error)
        refuse(502)(flow)

    return found, error


# ---- 1. answered at the head ---------------------------------------------------------------------------------------


def test_a_refusal_does_not_wait_for_the_body() -> None:
    wired = exchange({"requestheaders": refuse(401)})
    said = wired.client_sends(POST)
    assert said.startswith(b"HTTP/1.1 401 ")
    assert b"Connection: close\r\n" in said
    assert said.endswith(b"\r\n\r\nno")
    assert wired.hooked == ["requestheaders", "responseheaders", "response"]
    assert (wired.half_closed, wired.dials) == ([wired.context.client], [])


def test_a_refused_body_is_thrown_away_and_the_connection_closed() -> None:
    wired = exchange({"requestheaders": refuse(401)})
    wired.client_sends(POST, b"bo", b"dy")
    assert wired.closed == [wired.context.client]
    assert wired.hooked.count("response") == 1
    assert "request" not in wired.hooked


def test_a_client_that_goes_on_sending_is_closed_after_a_while() -> None:
    wired = exchange({"requestheaders": refuse(401)})
    wired.client_sends(POST)
    (wakeup,) = wired.wakeups
    assert wakeup.delay == stream.LINGER
    wired.happen(events.Wakeup(wakeup))
    assert wired.closed == [wired.context.client]


def test_a_refusal_of_a_request_without_a_body_keeps_the_connection() -> None:
    wired = exchange({"requestheaders": refuse(404)})
    wired.client_sends(GET)
    assert (wired.closed, wired.half_closed) == ([], [])
    assert wired.client_sends(GET).count(b"HTTP/1.1 404") == 2


def stopped(limits: Limits) -> tuple[Exchange, list[GatewayError]]:
    """A layer for a client with these limits, and why its requests were stopped; each is answered by a 413."""
    found: list[GatewayError] = []

    def error(flow: http.HTTPFlow) -> None:
        assert isinstance(flow.error, Stopped)
        found.append(flow.error.error)
        refuse(413)(flow)

    made = context()
    made.server.state = made.server.state.CLOSED
    made.server.address = ("gateway.invalid", 1)
    peer_of(made.client).limits = limits
    return Exchange(GatewayHttp(made, HTTPMode.transparent), made, {"request": route, "error": error}), found


CHUNKED_POST = b"POST /v1/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_a_chunked_body_over_the_limit_is_refused_on_its_way(nothing_held: int) -> None:
    wired, found = stopped(Limits(body_bytes=10))
    wired.client_sends(CHUNKED_POST)
    assert wired.client_sends(b"a\r\n0123456789\r\n") == b""
    assert wired.client_sends(b"1\r\nx\r\n").startswith(b"HTTP/1.1 413 ")
    assert [type(one) for one in found] == [BodyTooLarge]
    assert (wired.dials, held.bytes - nothing_held) == ([], 0)


def test_a_body_that_finds_no_room_is_refused_on_its_way(nothing_held: int) -> None:
    """What all bodies together may take is counted where they grow, and given back where they end."""
    wired, found = stopped(Limits(body_bytes=10, buffered_bytes=15 + nothing_held))
    other, _ = stopped(Limits())
    other.client_sends(CHUNKED_POST, b"8\r\n01234567\r\n")
    wired.client_sends(CHUNKED_POST)
    assert (wired.client_sends(b"7\r\n0123456\r\n"), held.bytes - nothing_held) == (b"", 15)
    wired.client_sends(b"1\r\nx\r\n")
    assert [type(one) for one in found] == [Unavailable]
    assert held.bytes - nothing_held == 8
    other.client_sends(b"0\r\n\r\n")
    other.provider_sends(OK)
    assert held.bytes == nothing_held


def test_a_body_that_is_overdue_is_answered() -> None:
    wired, found = stopped(Limits())
    wired.client_sends(POST)
    (one,) = wired.flows
    wired.happen(Overdue(one))
    assert [(type(one), one.status) for one in found] == [(RequestTimeout, 408)]
    wired.happen(Overdue(one))
    assert len(found) == 1


@pytest.mark.parametrize(("sent", "told"), [(b"", b""), (b"GET / HT", b"HTTP/1.1 408 ")])
def test_a_head_that_is_overdue_ends_the_connection(sent: bytes, told: bytes) -> None:
    wired = exchange()
    wired.client_sends(sent)
    wired.happen(Overdue())
    assert (wired.to_client[:13], wired.closed) == (told, [wired.context.client])


def test_a_request_that_is_not_overdue_is_left_alone() -> None:
    wired = exchange()
    wired.client_sends(POST + b"body")
    wired.happen(Overdue(), Overdue(wired.flows[0]))
    assert (wired.to_client, wired.closed) == (b"", [])


def test_a_large_body_leaves_as_it_is_taken_and_is_let_go_when_the_answer_begins(nothing_held: int) -> None:
    body = bytes(range(256)) * 2048
    wired = exchange({"responseheaders": through})
    wired.client_sends(POST.replace(b"Length: 4", b"Length: %d" % len(body)) + body)
    head = len(wired.to_provider.partition(b"\r\n\r\n")[0]) + 4
    for pieces in range(1, 5):
        assert len(wired.to_provider) - head == pieces * PIECE
        if pieces < 4:
            wired.happen(events.Wakeup(wired.wakeups.pop()))
    assert wired.to_provider[head:] == body
    assert wired.wakeups == []
    assert held.bytes - nothing_held == len(body)
    wired.provider_sends(CHUNKED)
    assert (held.bytes - nothing_held, wired.flows[0].request.raw_content) == (0, b"")


def test_a_provider_that_answers_before_it_has_all_is_sent_no_more() -> None:
    wired = exchange()
    wired.client_sends(POST.replace(b"Length: 4", b"Length: 300000") + b"x" * 300_000)
    sent = wired.to_provider
    assert wired.provider_sends(OK).startswith(b"HTTP/1.1 200 ")
    wired.happen(events.Wakeup(wired.wakeups.pop()))
    assert (wired.dials[0] in wired.closed, wired.to_provider) == (True, sent)
    wired.client_sends(GET)
    assert len(wired.dials) == 2


def test_origin_form_on_a_proxy_connection_is_sent_nowhere() -> None:
    hosts: list[str] = []
    wired = exchange({"requestheaders": lambda flow: hosts.append(flow.request.host)}, HTTPMode.regular)
    wired.hooks["request"] = refuse(400)
    wired.client_sends(GET.replace(b"gateway", b"api.openai.com"))
    assert hosts == [ORIGIN_FORM]


# ---- 2. checked on the connection ----------------------------------------------------------------------------------


def test_nothing_is_sent_before_the_connection_was_checked() -> None:
    seen: list[bytes] = []
    wired = exchange()
    wired.hooks["server_ready"] = lambda flow: seen.append(wired.to_provider)
    wired.client_sends(POST + b"body")
    assert seen == [b""]
    assert wired.to_provider.endswith(b"\r\n\r\nbody")


def test_a_connection_that_does_not_pass_is_sent_nothing() -> None:
    def kill(flow: http.HTTPFlow) -> None:
        flow.error = flows.Error(flows.Error.KILLED_MESSAGE)

    wired = exchange({"server_ready": kill})
    assert wired.client_sends(POST + b"body") == b""
    assert wired.to_provider == b""
    assert wired.context.client in wired.closed


def test_a_reused_connection_is_checked_again() -> None:
    wired = exchange()
    for _ in range(2):
        wired.client_sends(GET)
        wired.provider_sends(OK)
    assert len(wired.dials) == 1
    assert wired.hooked.count("server_ready") == 2


# ---- 3. answered in the provider's place ---------------------------------------------------------------------------


def test_an_answer_in_the_place_of_the_provider_s_does_not_wait_for_it() -> None:
    wired = exchange({"responseheaders": refuse(502)})
    wired.client_sends(GET)
    said = wired.provider_sends(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 1000\r\n\r\nsome")
    assert said.startswith(b"HTTP/1.1 502 ")
    assert b"some" not in said
    assert wired.closed == [wired.dials[0]]


@pytest.mark.parametrize(
    "replaced",
    [
        b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 4\r\n\r\nsome",
        b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 401 Unauthorized\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n0\r\n\r\n",
    ],
)
def test_the_connection_is_good_after_a_whole_answer_was_replaced(replaced: bytes) -> None:
    """All of it came in one read, so it was waiting behind the hooks."""
    wired = exchange({"responseheaders": refuse(502)})
    wired.client_sends(GET)
    wired.provider_sends(replaced)
    wired.hooks["responseheaders"] = lambda flow: None
    wired.client_sends(GET)
    assert wired.provider_sends(OK).endswith(b"\r\n\r\nok")
    assert wired.context.client not in wired.closed


# ---- 4. faults -----------------------------------------------------------------------------------------------------


def test_a_failed_dial_is_answered_for() -> None:
    found, error = faults()
    wired = exchange({"error": error})
    wired.dial = "Connection refused"
    assert wired.client_sends(GET).startswith(b"HTTP/1.1 502 ")
    assert (found[0].code, found[0].msg) == (ErrorCode.CONNECT_FAILED, "Connection refused")
    assert wired.closed == []


def test_a_dial_that_ends_because_the_client_left_is_not_blamed_on_the_provider() -> None:
    found: list[object] = []
    wired = exchange({"error": lambda flow: found.append(flow.error)})

    def leave(flow: http.HTTPFlow) -> None:
        route(flow)
        wired.context.client.state = wired.context.client.state.CLOSED

    wired.hooks["request"] = leave
    wired.dial = "cancelled"
    assert wired.client_sends(GET) == b""
    assert len(found) == 1
    assert not isinstance(found[0], UpstreamFault)


@pytest.mark.parametrize(
    "heard",
    [
        b"",
        b"HTTP/1.1 200",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA B: c\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n4\r\nhalf\r\n0\r\n\r\n",
    ],
)
def test_a_broken_answer_of_which_nothing_was_passed_on_is_answered_for(heard: bytes) -> None:
    found, error = faults()
    wired = exchange({"error": error})
    wired.client_sends(GET)
    wired.provider_sends(heard) if heard else None
    if wired.dials[0].connected:
        wired.provider_closes()
    assert wired.to_client.startswith(b"HTTP/1.1 502 ")
    assert (len(found), wired.to_client.count(b"HTTP/1.1")) == (1, 1)
    assert wired.context.client not in wired.closed


def test_an_answer_that_is_held_back_is_sent_on_when_it_turns_out_long() -> None:
    wired = exchange()
    wired.client_sends(GET)
    size = HELD_UP_TO
    assert wired.provider_sends(CHUNKED + b"%x\r\n%b\r\n" % (size, b"x" * size)) == b""
    sent = wired.provider_sends(b"1\r\ny\r\n")
    assert sent.startswith(b"HTTP/1.1 200 OK\r\n")
    assert sent.count(b"x") + sent.count(b"y") == size + 1
    assert b"2\r\nzz\r\n" in wired.provider_sends(b"2\r\nzz\r\n")
    assert wired.provider_sends(b"0\r\n\r\n").endswith(b"0\r\n\r\n")


def test_a_stream_that_breaks_off_is_cut() -> None:
    wired = exchange({"responseheaders": through})
    wired.client_sends(GET)
    wired.provider_sends(CHUNKED + b"4\r\nsome\r\n")
    assert wired.provider_closes().endswith(b"4\r\nsome\r\n")
    assert wired.context.client in wired.closed
    assert wired.hooked[-1] == "error"


def test_a_client_that_leaves_takes_the_upstream_with_it() -> None:
    wired = exchange()
    wired.client_sends(GET)
    wired.context.client.state = wired.context.client.state.CAN_WRITE
    wired.happen(events.ConnectionClosed(wired.context.client))
    assert wired.dials[0] in wired.closed


# ---- 5. 1xx --------------------------------------------------------------------------------------------------------


def test_1xx_heads_are_passed_on_as_they_come() -> None:
    wired = exchange()
    wired.client_sends(GET)
    assert wired.provider_sends(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n").endswith(b"Link: </x>\r\n\r\n")
    assert wired.provider_sends(OK).endswith(b"\r\n\r\nok")


def test_a_fault_after_a_1xx_is_still_told() -> None:
    _, error = faults()
    wired = exchange({"error": error})
    wired.client_sends(GET)
    wired.provider_sends(b"HTTP/1.1 103 Early Hints\r\n\r\n")
    assert b"HTTP/1.1 502 " in wired.provider_closes()


def test_1xx_heads_of_nobody_s_answer_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    one: Any = stream.GatewayStream.__new__(stream.GatewayStream)
    one.server_state = one.state_errored
    assert list(one._handle_event(InterimHeaders(1, http.Response.make(103)))) == []
