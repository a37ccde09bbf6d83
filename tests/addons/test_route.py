"""Where a tunnel may lead, where a request goes, and how much of it is taken."""

from __future__ import annotations

import pytest
from mitmproxy import http

from addons.arrive import Arrive
from addons.route import Route
from llmauth.addresses import HostPort
from llmauth.config.limits import Limits
from llmauth.context import Authenticated, Identity, Routed, Target, TransparentRoute, advance
from tests.addons import flows
from tests.addons.conftest import House

ALICE = Identity(user="alice", method="api_key")


@pytest.fixture
def route(house: House) -> Route:
    return Route(house.exchanges)


def arrived(house: House, flow: http.HTTPFlow) -> http.HTTPFlow:
    arrive = Arrive(house.gateway, house.exchanges)
    if flow.request.data.method == b"CONNECT":
        arrive.http_connect(flow)
        return flow
    arrive.requestheaders(flow)
    exchange = house.exchanges.of(flow)
    exchange.context = advance(exchange.context, Authenticated, identity=ALICE)
    return flow


def status(flow: http.HTTPFlow) -> int | None:
    return flow.response.status_code if flow.response else None


@pytest.mark.parametrize("host", ["api.openai.com", "api.anthropic.com", "llm.internal"])
def test_a_tunnel_to_a_host_of_ours_is_let_in(house: House, route: Route, host: str) -> None:
    flow = arrived(house, flows.connect(house.exchanges, host))
    route.http_connect(flow)
    assert status(flow) is None
    assert house.exchanges.peer(flow.client_conn).tunnel == HostPort(host, 443)


@pytest.mark.parametrize(("host", "port"), [("example.org", 443), ("api.openai.com", 80), ("127.0.0.1", 443)])
def test_a_tunnel_to_any_other_place_is_not(house: House, route: Route, host: str, port: int) -> None:
    flow = arrived(house, flows.connect(house.exchanges, host, port))
    route.http_connect(flow)
    assert status(flow) == 403
    assert house.exchanges.peer(flow.client_conn).tunnel is None


def test_a_request_is_routed_in_two_steps(house: House, route: Route) -> None:
    flow = arrived(house, flows.gateway(house.exchanges, b"/transparent/openai/v1/models?a=%2F"))
    route.requestheaders(flow)
    exchange = house.exchanges.of(flow)
    assert exchange.route == TransparentRoute(instance="openai", path="/v1/models?a=%2F", native=False)
    assert exchange.handler.name == "openai"
    assert type(exchange.context) is Authenticated
    flow.request.raw_content = b"body"
    route.request(flow)
    assert isinstance(exchange.context, Routed)
    assert exchange.context.target == Target(instance="openai", provider="openai")
    assert exchange.request.body == b"body"
    assert {decision.router for decision in exchange.context.decisions} >= {"mode", "model", "provider"}


def test_a_native_host_is_routed_by_its_tunnel(house: House, route: Route) -> None:
    flow = arrived(house, flows.inside(house.exchanges))
    route.requestheaders(flow)
    assert house.exchanges.of(flow).route == TransparentRoute(instance="openai", path="/v1/models", native=True)


@pytest.mark.parametrize(
    ("path", "expected"), [(b"/nowhere", 404), (b"/transparent/nobody/x", 404), (b"/transparent/", 404), (b"/", 404)]
)
def test_a_path_that_leads_nowhere_is_refused_at_the_head(
    house: House, route: Route, path: bytes, expected: int
) -> None:
    flow = arrived(house, flows.gateway(house.exchanges, path))
    route.requestheaders(flow)
    assert status(flow) == expected
    assert house.exchanges.of(flow).handler is None


LIMIT = Limits().body_bytes


@pytest.mark.parametrize(("length", "expected"), [(0, None), (LIMIT, None), (LIMIT + 1, 413), (10**18, 413)])
def test_a_body_over_the_limit_is_refused_at_the_head(
    house: House, route: Route, length: int, expected: int | None
) -> None:
    field = (b"Content-Length", str(length).encode())
    flow = arrived(house, flows.gateway(house.exchanges, b"/transparent/openai/v1/x", field, method=b"POST"))
    route.requestheaders(flow)
    assert status(flow) == expected


def test_nobody_is_routed_who_is_not_known(house: House, route: Route) -> None:
    flow = flows.gateway(house.exchanges)
    Arrive(house.gateway, house.exchanges).requestheaders(flow)
    route.requestheaders(flow)
    assert status(flow) == 500
    assert house.exchanges.of(flow).route is None
