"""Our page on every door: for who is known alone, by its exact path alone, and with nothing that is secret in it."""

from __future__ import annotations

import json

import pytest
from mitmproxy import http

from addons.arrive import Arrive
from addons.authenticate import Authenticate
from addons.checkup import CHECKUP, Checkup
from tests.addons import flows
from tests.addons.conftest import House


async def ask(house: House, flow: http.HTTPFlow) -> http.HTTPFlow:
    Arrive(house.gateway, house.exchanges).requestheaders(flow)
    for addon in (Authenticate(house.exchanges), Checkup(house.gateway, house.exchanges)):
        rest = addon.requestheaders(flow)
        if rest is not None:
            await rest
    return flow


def key(house: House) -> tuple[bytes, bytes]:
    return b"Authorization", f"Bearer {house.key}".encode()


async def test_it_tells_whom_the_proxy_takes_the_caller_for(house: House) -> None:
    flow = flows.inside(house.exchanges, key(house))
    flow.request.data.path = CHECKUP.encode()
    await ask(house, flow)
    assert flow.response.status_code == 200
    told = json.loads(flow.response.content or b"")
    assert (told["user"], told["method"], told["door"], told["host"]) == (
        "alice",
        "api_key",
        "tunnel",
        "api.openai.com",
    )
    assert flow.response.headers["cache-control"] == "no-store"
    assert house.key not in (flow.response.text or "")


@pytest.mark.parametrize(
    "path",
    [
        b"/.well-known/llmauth/",
        b"/.well-known/llmauth?x=1",
        b"/.well-known/LLMAUTH",
        b"//.well-known/llmauth",
        b"/.well-known/%6clmauth",
        b"/v1/.well-known/llmauth",
        b"/.well-known/openid-configuration",
    ],
)
async def test_a_providers_path_is_left_to_the_provider(house: House, path: bytes) -> None:
    flow = flows.inside(house.exchanges, key(house))
    flow.request.data.path = path
    assert (await ask(house, flow)).response is None


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"DELETE", b"get"])
async def test_another_method_is_none_of_ours(house: House, method: bytes) -> None:
    flow = flows.gateway(house.exchanges, CHECKUP.encode(), key(house), method=method)
    assert (await ask(house, flow)).response is None


async def test_in_clear_text_it_is_answered_for_our_own_names_alone(house: House) -> None:
    """A plain request that is carried to another host is that host's, whatever its path."""
    proof = (b"Proxy-Authorization", f"Bearer {house.key}".encode())
    own, other = (
        flows.absolute(house.exchanges, host, (b"Host", host.encode()), proof)
        for host in ("llm.internal", "other.test")
    )
    for flow in (own, other):
        flow.request.data.path = CHECKUP.encode()
        await ask(house, flow)
    assert own.response.status_code == 200
    assert other.response is None


async def test_nobody_is_told_nothing(house: House) -> None:
    flow = flows.inside(house.exchanges)
    flow.request.data.path = CHECKUP.encode()
    await ask(house, flow)
    assert flow.response.status_code == 401
