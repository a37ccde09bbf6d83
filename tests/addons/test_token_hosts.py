"""The addon that answers for token hosts: what it claims nobody else touches, and what it leaves is stopped."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from mitmproxy import http

from addons.arrive import Arrive
from addons.chain import chain
from addons.token_hosts import TokenHosts
from llmauth.addresses import HostPort
from llmauth.context import Authenticated
from llmauth.token_hosts import VENDORS
from tests.addons import flows
from tests.addons.conftest import House

HOST = "iam.cloud.ibm.com"
FORM = (b"Content-Type", b"application/x-www-form-urlencoded")


@pytest.fixture
def addon(house: House) -> TokenHosts:
    """Of a gateway that answers for IBM's, though it has no instance of that type."""
    served = {**house.gateway.plan.token_hosts, HostPort(HOST, 443): VENDORS["ibm"]}
    house.gateway.plan = replace(house.gateway.plan, token_hosts=served)
    return TokenHosts(house.gateway, house.exchanges)


def exchange_of(house: House, *fields: tuple[bytes, bytes], body: bytes = b"apikey=placeholder") -> http.HTTPFlow:
    """A request for a token in a tunnel to the host, as it has arrived; its body is there and not yet in."""
    length = (b"Content-Length", str(len(body)).encode())
    flow = flows.inside(house.exchanges, (b"Host", HOST.encode()), FORM, length, *fields, sni=HOST)
    house.exchanges.peer(flow.client_conn).tunnel = HostPort(HOST, 443)
    data = flow.request.data
    data.method, data.path, data.host = b"POST", b"/identity/token", HOST
    flow.request.content = body
    Arrive(house.gateway, house.exchanges).requestheaders(flow)
    return flow


def key(house: House) -> tuple[bytes, bytes]:
    return b"X-API-Key", house.key.encode()


async def play(addon: TokenHosts, flow: http.HTTPFlow) -> int | None:
    """Both hooks, as far as they are reached; the status of the answer."""
    for hook in (addon.requestheaders, addon.request):
        rest = hook(flow)
        if rest is not None:
            await rest
    return flow.response.status_code if flow.response else None


async def test_a_known_caller_is_answered(house: House, addon: TokenHosts) -> None:
    flow = exchange_of(house, key(house))
    assert await play(addon, flow) == 200
    assert flow.response is not None
    token = json.loads(flow.response.raw_content or b"")["access_token"]
    assert house.gateway.tokens.read(token)[0].user == "alice"
    found = house.exchanges.of(flow)
    assert found is not None
    assert type(found.context) is Authenticated
    assert [decision.router for decision in found.context.decisions] == ["auth"]


async def test_a_key_in_the_form_is_waited_for(house: House, addon: TokenHosts) -> None:
    flow = exchange_of(house, body=b"apikey=" + house.key.encode())
    assert addon.requestheaders(flow) is None
    assert flow.response is None
    assert await play(addon, flow) == 200


async def test_whoever_shows_nothing_is_refused_at_the_head(house: House, addon: TokenHosts) -> None:
    flow = exchange_of(house, body=b"apikey=" + b"x" * 5000)
    addon.requestheaders(flow)
    assert flow.response is not None
    assert flow.response.status_code == 401
    assert flow.response.headers["connection"] == "close"


async def test_a_wrong_key_at_the_head_is_refused_there(house: House, addon: TokenHosts) -> None:
    flow = exchange_of(house, (b"X-API-Key", house.key.encode()[:-1]))
    rest = addon.requestheaders(flow)
    if rest is not None:
        await rest
    assert flow.response is not None
    assert flow.response.status_code == 401


async def test_other_tunnels_are_none_of_its_business(house: House, addon: TokenHosts) -> None:
    flow = flows.inside(house.exchanges)
    Arrive(house.gateway, house.exchanges).requestheaders(flow)
    assert await play(addon, flow) is None
    found = house.exchanges.of(flow)
    assert found is not None
    assert found.claimed_by is None


@pytest.mark.parametrize("hook", ["requestheaders", "request"])
async def test_what_it_claimed_the_others_leave_alone(house: House, addon: TokenHosts, hook: str) -> None:
    """And where it does not answer, the gate does: nothing claimed can be sent on."""
    flow = exchange_of(house, key(house))
    rest = addon.requestheaders(flow)
    if rest is not None:
        await rest
    *others, gate = chain(house.gateway, house.exchanges)
    for other in others:
        run = getattr(other, hook, None)
        if other.name not in ("arrive", "token_hosts") and run is not None:
            assert run(flow) is None
            assert flow.response is None, other.name
    gate.request(flow)
    assert flow.response is not None
    assert flow.response.status_code == 500


async def test_unclaimed_it_is_not_routed_either(house: House, addon: TokenHosts) -> None:
    """F1: were this addon not there, the request would be refused for its host."""
    flow = exchange_of(house, key(house))
    for other in chain(house.gateway, house.exchanges):
        hook = getattr(other, "requestheaders", None)
        if other.name not in ("arrive", "token_hosts") and hook is not None and flow.response is None:
            rest = hook(flow)
            if rest is not None:
                await rest
    assert flow.response is not None
    assert flow.response.status_code == 403


async def test_the_log_names_the_caller_and_shows_no_token(
    house: House, addon: TokenHosts, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    await play(addon, exchange_of(house, key(house)))
    record = next(one for one in caplog.records if one.message == "A token host was answered for")
    assert (vars(record)["user"], vars(record)["host"]) == ("alice", HOST)
    shown = str([vars(one) for one in caplog.records])
    assert "eyJ" not in shown
    assert house.key not in shown
