"""Calls beside a flow's own: bound as it is, all or none, for whoever waits, and never before the first is good."""

from __future__ import annotations

import asyncio
import json
import math
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import cast

import pytest
from mitmproxy import http
from mitmproxy.connection import ConnectionState

from addons import fanout as module
from addons.exchange import Exchange
from addons.fanout import Fanout
from llmauth.addresses import HostPort
from llmauth.chat.thoughts import Thoughts
from llmauth.clock import SystemClock
from llmauth.context import ProtocolRoute, RequestContext, Target
from llmauth.credentials.cache import Leased, Term
from llmauth.errors import CredentialRejected, GatewayError, InternalError, UpstreamError, UpstreamTimeout
from llmauth.http import Door, Headers, Request, Url
from llmauth.outbound import Answer, Outbound
from llmauth.protocol import Preparation, prepare
from llmauth.providers.base import ProviderHandler
from llmauth.providers.bedrock import BedrockHandler, BedrockOptions
from llmauth.secrets import AwsKeys, Secret
from tests.addons import flows
from tests.addons.conftest import House

HOST = "bedrock-runtime.us-east-1.amazonaws.com"
MODEL = "amazon.titan-embed-text-v2:0"
KEYS = AwsKeys(
    access_key_id="AKIDEXAMPLE", secret_access_key=Secret("canary-7f3a"), session_token=Secret("canary-token")
)
HANDLER = cast(ProviderHandler, BedrockHandler("bedrock", BedrockOptions()))


def good(request: Request) -> Answer:
    number = float(json.loads(request.body)["inputText"])
    return Answer(status=200, body=json.dumps({"embedding": [number], "inputTextTokenCount": 1}).encode())


class Provider:
    """In the place of our own client: keeps what it was given, and answers."""

    def __init__(self, says: Callable[[Request], Answer] = good) -> None:
        self.says = says
        self.given: list[Request] = []

    def post(self, request: Request, *, time_limit: float, most: int) -> Answer:
        assert 0 < time_limit <= module.TIME_LIMIT
        self.given.append(request)
        return self.says(request)


Made = tuple[Fanout, Provider, http.HTTPFlow, Exchange]


def made(house: House, count: int = 5, says: Callable[[Request], Answer] = good) -> Made:
    """A flow whose first call was answered with these headers, of a request for so many texts."""
    body = json.dumps({"model": MODEL, "input": [str(number) for number in range(count)]}).encode()
    fields = [
        (b"Host", b"gateway"),
        (b"Cookie", b"canary-cookie"),
        (b"User-Agent", b"sdk"),
        (b"X-Api-Key", house.key.encode()),
    ]
    request = Request(
        method="POST",
        url=Url("http", "gateway", 80, "/v1/embeddings"),
        headers=Headers(fields),
        door=Door.GATEWAY,
        body=body,
    )
    route = ProtocolRoute(protocol="openai", operation="embeddings", path="/v1/embeddings")
    target = Target(instance="bedrock", provider="bedrock", region="us-east-1", model=MODEL)
    preparation = Preparation(
        route=route,
        target=target,
        handler=HANDLER,
        id="x",
        created=1,
        owner="alice",
        stream=False,
        transformation=None,
        thoughts=Thoughts(SystemClock()),
    )
    flow = flows.gateway(house.exchanges, b"/v1/embeddings", method=b"POST")
    context = RequestContext(request_id="req_1", received_at=1.0, started=1.0)
    exchange = house.exchanges.begin(flow, Exchange(context, request, Door.GATEWAY, house.gateway.plan))
    exchange.route, exchange.handler, exchange.prepared = route, HANDLER, prepare(request, preparation)
    exchange.request = exchange.prepared.request
    exchange.approved, exchange.whole = HostPort(HOST, 443), True
    exchange.authorize = partial(HANDLER.authorize, credential=KEYS)
    flow.response = http.Response.make(200, good(exchange.request).body)
    flow.client_conn.state = ConnectionState.OPEN
    provider = Provider(says)
    exchange.plan = replace(exchange.plan, outbound=cast(Outbound, provider))
    return Fanout(house.exchanges), provider, flow, exchange


async def played(fanout: Fanout, flow: http.HTTPFlow) -> None:
    rest = fanout.response(flow)
    if rest is not None:
        await rest


async def test_all_others_are_asked_and_read_in_order(house: House) -> None:
    fanout, provider, flow, exchange = made(house, 40)
    await played(fanout, flow)
    assert [list(one.vectors[0]) for one in exchange.read_beside] == [[float(number)] for number in range(1, 40)]
    assert exchange.error is None
    assert sorted(json.loads(one.body)["inputText"] for one in provider.given) == sorted(map(str, range(1, 40)))


async def test_s1_each_is_signed_for_the_one_approved_host_and_holds_nothing_of_the_clients(house: House) -> None:
    fanout, provider, flow, _ = made(house)
    await played(fanout, flow)
    for one in provider.given:
        assert one.url == Url("https", HOST, 443, "/model/amazon.titan-embed-text-v2%3A0/invoke")
        assert (one.headers.get("authorization") or "").startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
        assert one.headers.get("content-length") == str(len(one.body))
        assert b"canary-cookie" not in one.headers.values()
        assert house.key.encode() not in one.headers.values()
    assert len({one.headers.get("authorization") for one in provider.given}) == 4, "a signature is for one body"


@pytest.mark.parametrize(
    "elsewhere",
    [
        Url("https", "evil.example", 443, "/"),
        Url("http", HOST, 443, "/"),
        Url("https", HOST, 8443, "/"),
        Url("https", "bedrock.us-east-1.amazonaws.com", 443, "/"),  # one of its handler's, and not this flow's
    ],
)
async def test_s1_whoever_signs_it_leaves_for_no_other_place(house: House, elsewhere: Url) -> None:
    fanout, provider, flow, exchange = made(house)
    sign = exchange.authorize
    assert sign is not None
    exchange.authorize = lambda request: sign(request).altered(url=elsewhere)
    await played(fanout, flow)
    assert isinstance(exchange.error, InternalError)
    assert provider.given == []


async def test_s1_the_handler_itself_refuses_another_place(house: House) -> None:
    fanout, provider, flow, exchange = made(house)
    assert exchange.prepared is not None
    exchange.handler = cast(ProviderHandler, BedrockHandler("bedrock", BedrockOptions(region="eu-west-1")))
    exchange.approved = HostPort("bedrock-runtime.eu-west-1.amazonaws.com", 443)
    await played(fanout, flow)
    assert isinstance(exchange.error, InternalError)
    assert provider.given == []


@pytest.mark.parametrize("status", [400, 401, 403, 429, 500])
async def test_what_was_refused_once_is_asked_no_second_time(house: House, status: int) -> None:
    fanout, provider, flow, exchange = made(house)
    assert flow.response
    flow.response.status_code = status
    await played(fanout, flow)
    assert provider.given == []
    assert exchange.error is None


async def test_nothing_goes_beside_a_flow_that_has_no_answer_or_was_not_signed(house: House) -> None:
    for name, value in (("whole", False), ("authorize", None), ("error", InternalError("x"))):
        fanout, provider, flow, exchange = made(house)
        setattr(exchange, name, value)
        await played(fanout, flow)
        assert provider.given == []


async def test_one_failure_is_the_failure_of_the_whole_in_the_clients_shape(house: House) -> None:
    def says(request: Request) -> Answer:
        if json.loads(request.body)["inputText"] == "3":
            fields = Headers([(b"x-amzn-errortype", b"ThrottlingException"), (b"retry-after", b"7")])
            return Answer(status=429, headers=fields, body=b'{"message":"Too many requests"}')
        return good(request)

    fanout, _, flow, exchange = made(house, 30, says)
    assert flow.response
    flow.response.headers["x-llmauth-served-by"] = "bedrock"
    await played(fanout, flow)
    assert isinstance(exchange.error, UpstreamError)
    assert (flow.response.status_code, flow.response.headers["retry-after"]) == (429, "7")
    assert json.loads(flow.response.content or b"")["error"]["message"].startswith("Too many requests")
    assert flow.response.headers["x-llmauth-served-by"] == "bedrock"
    assert exchange.read_beside == ()


async def test_a_refused_credential_is_ours_to_answer_for_and_is_taken_back(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[tuple[str, int, threading.Thread]] = []
    monkeypatch.setattr(
        house.gateway.credential, "discard", lambda *of: taken.append((*of, threading.current_thread()))
    )
    fields = Headers([(b"x-amzn-errortype", b"ExpiredTokenException")])
    fanout, _, flow, exchange = made(house, 3, lambda request: Answer(status=403, headers=fields, body=b"{}"))
    exchange.leased = Leased(
        credential=KEYS,
        strategy="environment",
        source="here",
        expires_at=None,
        generation=9,
        loaded_at=0.0,
        term=Term(renew=math.inf, end=math.inf, renew_wall=math.inf, end_wall=math.inf),
    )
    await played(fanout, flow)
    assert isinstance(exchange.error, CredentialRejected)
    assert taken == [("bedrock", 9, threading.main_thread())]


async def test_s4_a_refusal_that_repeats_our_credential_does_not_tell_it(house: House) -> None:
    def says(request: Request) -> Answer:
        heard = (request.headers.get("authorization") or "") + (request.headers.get("x-amz-security-token") or "")
        return Answer(status=400, body=json.dumps({"message": f"bad: {heard}"}).encode())

    fanout, provider, flow, _ = made(house, 2, says)
    await played(fanout, flow)
    assert flow.response
    told: bytes = flow.response.content or b""
    assert b"canary-token" not in told
    signature = (provider.given[0].headers.get("authorization") or "").rpartition("=")[2]
    assert len(signature) == 64
    assert signature not in told.decode()


@pytest.mark.parametrize(
    "answer",
    [
        Answer(status=200, body=b"<html>"),
        Answer(status=307, headers=Headers([(b"Location", b"https://evil.example/")]), body=b""),
        Answer(status=200, body=b'{"embedding":[1]}', headers=Headers([(b"content-encoding", b"gzip")])),
        Answer(status=200, body=b'{"embedding":[]}'),
    ],
)
async def test_what_is_no_answer_is_none(house: House, answer: Answer) -> None:
    fanout, _, flow, exchange = made(house, 2, lambda request: answer)
    await played(fanout, flow)
    assert isinstance(exchange.error, GatewayError)
    assert exchange.error.code == "provider_answer_broken"


async def test_who_left_is_not_worked_for(house: House) -> None:
    go = threading.Event()

    def says(request: Request) -> Answer:
        go.wait(5)
        return good(request)

    fanout, provider, flow, exchange = made(house, 200, says)
    rest = fanout.response(flow)
    assert rest is not None
    waiting = asyncio.ensure_future(rest)
    await asyncio.sleep(0.05)
    flow.client_conn.state = ConnectionState.CLOSED
    await waiting
    go.set()
    await asyncio.sleep(0.05)
    assert flow.error is not None
    assert len(provider.given) == module.AT_ONCE
    assert exchange.read_beside == ()


async def test_a_hook_that_is_cancelled_takes_the_others_with_it(house: House) -> None:
    go = threading.Event()

    def says(request: Request) -> Answer:
        go.wait(5)
        return good(request)

    fanout, provider, flow, _ = made(house, 200, says)
    rest = fanout.response(flow)
    assert rest is not None
    waiting = asyncio.ensure_future(rest)
    await asyncio.sleep(0.05)
    waiting.cancel()
    await asyncio.sleep(0.01)
    go.set()
    await asyncio.sleep(0.05)
    assert waiting.cancelled()
    assert len(provider.given) == module.AT_ONCE


async def test_it_is_over_in_time(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TIME_LIMIT", 0.2)
    go = threading.Event()

    def says(request: Request) -> Answer:
        go.wait(5)
        return good(request)

    fanout, _, flow, exchange = made(house, 3, says)
    await played(fanout, flow)
    go.set()
    assert isinstance(exchange.error, UpstreamTimeout)


async def test_an_exchange_that_reached_its_limit_waits_no_longer(house: House) -> None:
    go = threading.Event()

    def says(request: Request) -> Answer:
        go.wait(5)
        return good(request)

    fanout, _, flow, exchange = made(house, 3, says)
    exchange.timed_out = True
    await played(fanout, flow)
    go.set()
    assert isinstance(exchange.error, UpstreamTimeout)


async def test_so_many_requests_at_a_time(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REQUESTS_AT_ONCE", 1)
    go = threading.Event()

    def says(request: Request) -> Answer:
        go.wait(5)
        return good(request)

    fanout, provider, flow, _ = made(house, 2, says)
    _, _, other, exchange = made(house, 2, says)
    exchange.plan = replace(exchange.plan, outbound=cast(Outbound, provider))
    both = [fanout.response(each) for each in (flow, other)]
    running = [asyncio.ensure_future(one) for one in both if one is not None]
    await asyncio.sleep(0.05)
    assert len(provider.given) == 1
    go.set()
    await asyncio.gather(*running)
    assert len(provider.given) == 2


async def test_clients_that_leave_do_not_pile_threads_up(house: House) -> None:
    go = threading.Event()

    def slow(request: Request) -> Answer:
        go.wait(20)
        return good(request)

    fanout, *_ = made(house)
    for _ in range(module.REQUESTS_AT_ONCE + 8):
        _, _, flow, _ = made(house, 40, slow)
        rest = fanout.response(flow)
        assert rest is not None
        waiting = asyncio.ensure_future(rest)
        await asyncio.sleep(0.02)
        flow.client_conn.state = ConnectionState.CLOSED
        await waiting
    at_work = sum(thread.name == "beside" for thread in threading.enumerate())
    go.set()
    assert at_work <= module.AT_ONCE * module.REQUESTS_AT_ONCE
    # And all of it is free again.
    _, _, flow, exchange = made(house, 5)
    rest = fanout.response(flow)
    assert rest is not None
    await asyncio.wait_for(rest, 5)
    assert exchange.error is None
    assert len(exchange.read_beside) == 4
