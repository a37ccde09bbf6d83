"""The guard round a hook: whose turn it is, how far the request came, and what a failure becomes."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Awaitable, Callable
from types import SimpleNamespace

import pytest
from mitmproxy import http
from mitmproxy.flow import Error

from addons.exchange import Exchange, Exchanges
from addons.stage import fail, stage
from llmauth.context import Authenticated, Identity, RequestContext, Routed, advance
from llmauth.errors import BadRequest, Forbidden, GatewayError, Unauthenticated
from llmauth.http import Door
from llmauth.telemetry import logs
from tests.addons import flows
from tests.addons.exchanges import exchange

Body = Callable[[Exchange], Awaitable[None] | None]
ALICE = Identity(user="alice", method="api_key")


def run(
    exchanges: Exchanges, flow: http.HTTPFlow, body: Body, kind: type[RequestContext] = RequestContext
) -> Awaitable[None] | None:
    """Play a guarded hook with this body; the awaitable that is left to do, if any."""
    hook = stage(kind)(lambda self, _flow, found: body(found))
    return hook(SimpleNamespace(exchanges=exchanges), flow)


def begun(exchanges: Exchanges, door: Door = Door.GATEWAY) -> http.HTTPFlow:
    flow = flows.gateway(exchanges)
    exchanges.begin(flow, exchange(door=door))
    return flow


def _of(exchanges: Exchanges, flow: http.HTTPFlow) -> Exchange:
    found = exchanges.of(flow)
    assert found is not None
    return found


def raises(error: BaseException) -> Body:
    def body(_: Exchange) -> None:
        raise error

    return body


def told(flow: http.HTTPFlow) -> dict[str, str]:
    assert flow.response is not None
    error: dict[str, str] = json.loads(flow.response.raw_content or b"")["error"]
    return error


def test_a_hook_runs_with_the_exchange_of_its_flow(exchanges: Exchanges) -> None:
    flow = begun(exchanges)
    seen: list[object] = []
    assert run(exchanges, flow, seen.append) is None
    assert seen == [exchanges.of(flow)]
    assert flow.response is None


def test_a_flow_that_was_answered_or_has_failed_is_left_alone(exchanges: Exchanges) -> None:
    for flow in (flows.answered(begun(exchanges), 401), begun(exchanges)):
        flow.error = None if flow.response else Error("gone")
        before = flow.response
        run(exchanges, flow, raises(AssertionError("not its turn")))
        assert flow.response is before


def test_a_flow_that_another_addon_claimed_is_left_to_it(exchanges: Exchanges) -> None:
    """Nor is it refused for the stages that it will never reach: the gate stops it, unless it is answered."""
    flow = begun(exchanges)
    ran: list[Exchange] = []
    _of(exchanges, flow).claimed_by = object()
    for kind in (RequestContext, Authenticated, Routed):
        run(exchanges, flow, ran.append, kind)
    assert (ran, flow.response) == ([], None)


def test_whoever_claimed_a_flow_goes_on_with_it(exchanges: Exchanges) -> None:
    flow = begun(exchanges)
    ran: list[Exchange] = []
    addon = SimpleNamespace(exchanges=exchanges)
    _of(exchanges, flow).claimed_by = addon
    stage(RequestContext)(lambda self, _flow, found: ran.append(found))(addon, flow)
    assert ran == [_of(exchanges, flow)]


def test_a_flow_that_skipped_a_stage_is_refused(exchanges: Exchanges) -> None:
    flow = begun(exchanges)
    run(exchanges, flow, raises(AssertionError("too early")), Authenticated)
    assert flow.response.status_code == 500
    found = exchanges.of(flow)
    assert found.error.detail == "skipped a stage"
    found.context = advance(found.context, Authenticated, identity=ALICE)
    flow.response = None
    seen: list[object] = []
    run(exchanges, flow, seen.append, Authenticated)
    assert seen
    run(exchanges, flow, raises(AssertionError("too early")), Routed)
    assert told(flow)["code"] == "internal_error"


def test_a_flow_without_an_exchange_is_refused(exchanges: Exchanges) -> None:
    flow = flows.gateway(exchanges)
    flow.request.stream = True
    run(exchanges, flow, raises(AssertionError("unknown")))
    assert flow.response.status_code == 500
    assert flow.request.stream is False


@pytest.mark.parametrize("later", [False, True])
async def test_a_refusal_is_answered_as_it_says(exchanges: Exchanges, later: bool) -> None:
    flow = begun(exchanges)
    error = Forbidden("Not you.", hint="Ask.", detail="for the log")
    await _play(exchanges, flow, error, later)
    assert flow.response.status_code == 403
    assert told(flow)["message"] == "Not you. Ask."
    assert exchanges.of(flow).error is error
    assert b"for the log" not in (flow.response.raw_content or b"")
    assert "connection" not in flow.response.headers


@pytest.mark.parametrize("later", [False, True])
async def test_a_defect_is_a_500_that_tells_nothing(
    exchanges: Exchanges, caplog: pytest.LogCaptureFixture, later: bool
) -> None:
    flow = begun(exchanges)
    with caplog.at_level(logging.DEBUG):
        await _play(exchanges, flow, KeyError("a secret"), later)
    assert flow.response.status_code == 500
    assert told(flow)["code"] == "internal_error"
    assert b"secret" not in (flow.response.raw_content or b"")
    assert "a secret" not in caplog.text
    assert exchanges.of(flow).error.detail == "KeyError"


async def _play(exchanges: Exchanges, flow: http.HTTPFlow, error: Exception, later: bool) -> None:
    async def wait(_: Exchange) -> None:
        await asyncio.sleep(0)
        raise error

    rest = run(exchanges, flow, wait if later else raises(error))
    if rest is not None:
        await rest


async def test_a_hook_that_is_cancelled_is_left_to_the_manager(exchanges: Exchanges) -> None:
    """Which knows whether it was the hook's own doing; the guard must not make an answer of it."""

    async def cancelled(_: Exchange) -> None:
        raise asyncio.CancelledError

    rest = run(exchanges, begun(exchanges), cancelled)
    assert rest is not None
    with pytest.raises(asyncio.CancelledError):
        await rest


@pytest.mark.parametrize(
    ("door", "status", "closing"),
    [(Door.GATEWAY, 401, True), (Door.TUNNEL, 401, True), (Door.CONNECT, 407, False), (Door.ABSOLUTE, 407, False)],
)
def test_who_proved_nothing_is_asked_by_the_door_it_came_to(
    exchanges: Exchanges, door: Door, status: int, closing: bool
) -> None:
    flow = begun(exchanges, door)
    fail(flow, _of(exchanges, flow), Unauthenticated("Who are you?"))
    assert flow.response.status_code == status
    assert (flow.response.headers.get("connection") == "close") == closing
    asked = "proxy-authenticate" if status == 407 else "www-authenticate"
    assert len(flow.response.headers.get_all(asked)) == 2


@pytest.mark.parametrize("door", list(Door))
def test_an_error_that_ends_the_connection_says_so(exchanges: Exchanges, door: Door) -> None:
    flow = begun(exchanges, door)
    fail(flow, _of(exchanges, flow), BadRequest("What?", close=True))
    assert flow.response.headers["connection"] == "close"


def test_a_client_that_waits_to_be_asked_is_not(exchanges: Exchanges) -> None:
    flow = begun(exchanges)
    flow.request.headers["expect"] = "100-continue"
    fail(flow, _of(exchanges, flow), GatewayError("no"))
    assert "expect" not in flow.request.headers


async def test_what_is_logged_while_somebody_waits_bears_the_request(exchanges: Exchanges) -> None:
    stream = io.StringIO()
    handler = logs._Lines(stream)
    handler.setFormatter(logs._Json())
    logger = logging.getLogger("addons.of_this_test")
    logger.addHandler(handler)

    async def body(_: Exchange) -> None:
        await asyncio.sleep(0)
        logger.warning("while it waits")

    flow = begun(exchanges)
    try:
        waiting = run(exchanges, flow, body)
        assert waiting is not None
        await waiting
        logger.warning("afterwards")
    finally:
        logger.removeHandler(handler)
    during, after = map(json.loads, stream.getvalue().splitlines())
    assert during["request_id"] == _of(exchanges, flow).context.request_id
    assert "request_id" not in after
