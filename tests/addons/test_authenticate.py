"""Who is calling, asked of a real auth router with real keys, and what is kept of it for a tunnel."""

from __future__ import annotations

import base64
import inspect

import pytest
from mitmproxy import http

from addons.arrive import Arrive
from addons.authenticate import Authenticate
from llmauth.authenticators.keys import IssuedKeys
from llmauth.context import Authenticated
from tests.addons import flows
from tests.addons.conftest import House
from tests.addons.layers import client


@pytest.fixture
def authenticate(house: House) -> Authenticate:
    return Authenticate(house.exchanges)


def basic(key: str) -> tuple[bytes, bytes]:
    return b"Proxy-Authorization", b"Basic " + base64.b64encode(b"alice:" + key.encode())


def api_key(key: str) -> tuple[bytes, bytes]:
    return b"X-API-Key", key.encode()


def poll(house: House) -> None:
    """Read the keys again, as happens five times a second."""
    for method in house.gateway.plan.auth._judges:
        if isinstance(method, IssuedKeys):
            method._feed.poll()


async def judged(house: House, authenticate: Authenticate, flow: http.HTTPFlow) -> int | None:
    """The status that this flow is refused with, None when it may go on."""
    arrive = Arrive(house.gateway, house.exchanges)
    connect = flow.request.data.method == b"CONNECT"
    arrive.http_connect(flow) if connect else arrive.requestheaders(flow)
    rest = authenticate.http_connect(flow) if connect else authenticate.requestheaders(flow)
    if rest is not None:
        await rest
    return flow.response.status_code if flow.response else None


def user(house: House, flow: http.HTTPFlow) -> str | None:
    context = house.exchanges.of(flow).context
    return context.identity.user if isinstance(context, Authenticated) else None


async def test_a_key_is_proved_beside_the_loop_once_and_then_from_memory(
    house: House, authenticate: Authenticate
) -> None:
    arrive = Arrive(house.gateway, house.exchanges)
    for first in (True, False):
        flow = flows.gateway(house.exchanges, b"/", api_key(house.key))
        arrive.requestheaders(flow)
        rest = authenticate.requestheaders(flow)
        assert inspect.isawaitable(rest) == first
        if rest is not None:
            assert user(house, flow) is None
            await rest
        assert user(house, flow) == "alice"


async def test_without_a_key_nobody_is_anybody(house: House, authenticate: Authenticate) -> None:
    for flow, status in (
        (flows.gateway(house.exchanges), 401),
        (flows.inside(house.exchanges), 401),
        (flows.absolute(house.exchanges), 407),
        (flows.absolute(house.exchanges, "example.org"), 407),
        (flows.connect(house.exchanges, "example.org"), 407),
        (flows.connect(house.exchanges), None),
        (flows.connect(house.exchanges, "llm.internal"), None),
        (flows.connect(house.exchanges, flows.HOST, 80), 407),
    ):
        assert await judged(house, authenticate, flow) == status
        assert user(house, flow) is None
        assert house.exchanges.peer(flow.client_conn).identity is None


async def test_what_a_connect_proved_is_kept_for_its_tunnel(house: House, authenticate: Authenticate) -> None:
    flow = flows.connect(house.exchanges, flows.HOST, 443, basic(house.key))
    assert await judged(house, authenticate, flow) is None
    inner = flows.inside(house.exchanges, by=flow.client_conn)
    assert await judged(house, authenticate, inner) is None
    assert user(house, inner) == "alice"


@pytest.mark.parametrize("later", ["nothing", "wrong"])
async def test_a_later_connect_starts_anew(house: House, authenticate: Authenticate, later: str) -> None:
    by = client()
    first = flows.connect(house.exchanges, flows.HOST, 443, basic(house.key), by=by)
    assert await judged(house, authenticate, first) is None
    fields = () if later == "nothing" else (basic(house.key[:-1]),)
    second = flows.connect(house.exchanges, flows.HOST, 443, *fields, by=by)
    assert await judged(house, authenticate, second) == (None if later == "nothing" else 407)
    assert house.exchanges.peer(by).identity is None
    assert await judged(house, authenticate, flows.inside(house.exchanges, by=by)) == 401


async def test_what_a_connect_proved_is_nothing_outside_of_its_tunnel(house: House, authenticate: Authenticate) -> None:
    by = client()
    refused_later = flows.connect(house.exchanges, "example.org", 443, basic(house.key), by=by)
    assert await judged(house, authenticate, refused_later) is None
    assert await judged(house, authenticate, flows.absolute(house.exchanges, by=by)) == 407


async def test_a_key_that_ended_ends_in_its_tunnel(house: House, authenticate: Authenticate) -> None:
    flow = flows.connect(house.exchanges, flows.HOST, 443, basic(house.key))
    assert await judged(house, authenticate, flow) is None
    house.keys.revoke("alice")
    poll(house)
    assert await judged(house, authenticate, flows.inside(house.exchanges, by=flow.client_conn)) == 401


async def test_a_proof_of_a_connection_is_good_for_the_same_bytes_alone(
    house: House, authenticate: Authenticate
) -> None:
    other = house.keys.create("bob")[1].reveal()
    by = client()
    assert await judged(house, authenticate, flows.gateway(house.exchanges, b"/", api_key(house.key), by=by)) is None
    for fields, status in (
        ((), 401),
        ((api_key(house.key[:-1]),), 401),
        ((api_key(house.key), api_key(house.key)), 400),
        ((api_key(house.key), (b"Authorization", b"Bearer " + other.encode())), 403),
        ((api_key(house.key), (b"X-Session-Token", b"x")), 401),
        ((api_key(house.key),), None),
        ((api_key(other),), None),
        ((api_key(house.key),), None),
    ):
        flow = flows.gateway(house.exchanges, b"/", *fields, by=by)
        assert await judged(house, authenticate, flow) == status, fields
    flow = flows.gateway(house.exchanges, b"/?key=" + other.encode(), api_key(house.key), by=by)
    assert await judged(house, authenticate, flow) == 403
    house.keys.revoke("alice")
    poll(house)
    assert await judged(house, authenticate, flows.gateway(house.exchanges, b"/", api_key(house.key), by=by)) == 401


async def test_another_connection_proves_itself(house: House, authenticate: Authenticate) -> None:
    assert await judged(house, authenticate, flows.gateway(house.exchanges, b"/", api_key(house.key))) is None
    assert await judged(house, authenticate, flows.gateway(house.exchanges, b"/")) == 401


async def test_a_gateway_host_in_absolute_form_takes_any_slot(house: House, authenticate: Authenticate) -> None:
    for field in (api_key(house.key), basic(house.key)):
        assert await judged(house, authenticate, flows.absolute(house.exchanges, "llm.internal", field)) is None
    assert await judged(house, authenticate, flows.absolute(house.exchanges, "example.org", api_key(house.key))) == 407
