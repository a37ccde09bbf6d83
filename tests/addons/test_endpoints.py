"""Health and readiness for anybody, metrics for whoever is known, and each by its exact path and method."""

from __future__ import annotations

import json
from typing import Any

import pytest
from mitmproxy import http

from addons.arrive import Arrive
from addons.endpoints import Endpoints, Scrape
from llmauth.context import Authenticated, Identity, advance
from llmauth.errors import Unavailable
from tests.addons import flows
from tests.addons.conftest import House


@pytest.fixture
def endpoints(house: House) -> Endpoints:
    return Endpoints(house.gateway, house.exchanges)


def arrived(house: House, flow: http.HTTPFlow) -> http.HTTPFlow:
    Arrive(house.gateway, house.exchanges).requestheaders(flow)
    return flow


def facts(flow: http.HTTPFlow) -> dict[str, Any]:
    assert flow.response is not None
    read: dict[str, Any] = json.loads(flow.response.raw_content or b"")
    return read


@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
def test_health_is_told_to_anybody(house: House, endpoints: Endpoints, method: bytes) -> None:
    flow = arrived(house, flows.gateway(house.exchanges, b"/health", method=method))
    endpoints.requestheaders(flow)
    assert flow.response.status_code == 200
    assert facts(flow)["status"] == "healthy"
    assert facts(flow)["service"] == "llm-proxy-auth"
    assert facts(flow)["stats"] == {"requests_in_flight": 1}


async def test_readiness_follows_keys_credentials_and_the_drain(house: House, endpoints: Endpoints) -> None:
    await _settled(house)
    flow = arrived(house, flows.gateway(house.exchanges, b"/ready"))
    endpoints.requestheaders(flow)
    assert (flow.response.status_code, facts(flow)["status"]) == (200, "ready")
    assert facts(flow)["instances"]["openai"]["status"] == "ready"
    assert facts(flow)["instances"]["bare"]["status"] != "ready"
    house.exchanges.draining = True
    flow = arrived(house, flows.gateway(house.exchanges, b"/ready"))
    endpoints.requestheaders(flow)
    assert (flow.response.status_code, facts(flow)["status"]) == (503, "draining")


async def _settled(house: House) -> None:
    """Until the credentials that are there have been read."""
    from llmauth.context import Target

    await house.gateway.credential.acquire(Target(instance="openai", provider="openai"))


@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
def test_the_public_certificate_is_shown_to_anybody(house: House, endpoints: Endpoints, method: bytes) -> None:
    flow = arrived(house, flows.gateway(house.exchanges, b"/ca.pem", method=method))
    endpoints.requestheaders(flow)
    authority = house.gateway.authority
    assert flow.response.status_code == 200
    assert flow.response.raw_content == authority.certificate_pem().encode()
    assert flow.response.headers["x-llmauth-ca-sha256"] == authority.fingerprint()
    assert flow.response.headers["content-type"] == "application/x-pem-file"
    assert b"PRIVATE" not in (flow.response.raw_content or b"")


OTHER_PATHS = [b"/health/", b"/Health", b"/health?x", b"//health", b"/healthz", b"/", b"/metrics"]
OTHER_CERTIFICATES = [b"/ca.pem/", b"/ca.pem?x", b"/CA.pem", b"//ca.pem", b"/ca-key.pem", b"/ca/ca-key.pem", b"/ca"]


@pytest.mark.parametrize("path", [*OTHER_PATHS, *OTHER_CERTIFICATES])
def test_no_other_path_is_open(house: House, endpoints: Endpoints, path: bytes) -> None:
    flow = arrived(house, flows.gateway(house.exchanges, path))
    endpoints.requestheaders(flow)
    assert flow.response is None


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"OPTIONS", b"TRACE", b"get"])
def test_no_other_method_is_open(house: House, endpoints: Endpoints, method: bytes) -> None:
    flow = arrived(house, flows.gateway(house.exchanges, b"/health", method=method))
    endpoints.requestheaders(flow)
    assert flow.response is None


def test_no_other_door_is_open(house: House, endpoints: Endpoints) -> None:
    for flow in (flows.inside(house.exchanges), flows.absolute(house.exchanges)):
        flow.request.data.path = b"/health"
        arrived(house, flow)
        endpoints.requestheaders(flow)
        assert flow.response is None
    for flow in (flows.inside(house.exchanges), flows.absolute(house.exchanges)):
        flow.request.data.path = b"/ca.pem"  # a provider may have such a path itself
        endpoints.requestheaders(arrived(house, flow))
        assert flow.response is None


def test_a_probe_without_a_host_is_answered(house: House, endpoints: Endpoints) -> None:
    flow = flows.gateway(house.exchanges, b"/health", version=b"HTTP/1.0")
    del flow.request.headers["host"]
    arrived(house, flow)
    endpoints.requestheaders(flow)
    assert flow.response.status_code == 200


@pytest.mark.parametrize(
    "field", [(b"Content_Length", b"1"), (b"X", b"a\r\n b"), (b"Transfer-Encoding", b"gzip, chunked"), (b"X y", b"")]
)
def test_a_probe_in_an_odd_frame_is_not(house: House, endpoints: Endpoints, field: tuple[bytes, bytes]) -> None:
    flow = arrived(house, flows.gateway(house.exchanges, b"/health", field))
    endpoints.requestheaders(flow)
    assert flow.response.status_code == 400
    assert flow.response.headers["connection"] == "close"


def test_metrics_are_for_whoever_is_known(house: House) -> None:
    settled: list[int] = []
    scrape = Scrape(house.gateway, house.exchanges, lambda: settled.append(1))
    flow = arrived(house, flows.gateway(house.exchanges, b"/metrics"))
    scrape.requestheaders(flow)
    assert flow.response.status_code == 500, "the guard stops who was not asked"
    flow = arrived(house, flows.gateway(house.exchanges, b"/metrics"))
    exchange = house.exchanges.of(flow)
    exchange.context = advance(exchange.context, Authenticated, identity=Identity(user="alice", method="api_key"))
    scrape.requestheaders(flow)
    assert flow.response.status_code == 200
    assert flow.response.headers["content-type"].startswith("text/plain")
    assert b"bedrock_proxy_requests_total" in (flow.response.raw_content or b"")
    assert settled, "what was counted last is in it"


async def test_with_several_workers_the_metrics_are_those_of_all(house: House) -> None:
    async def of_all() -> bytes:
        return b"all 1.0\n"

    async def not_now() -> bytes:
        raise Unavailable("The metrics of all workers cannot be had at the moment.")

    scrape = Scrape(house.gateway, house.exchanges, lambda: None)
    for collect, status in ((of_all, 200), (not_now, 503)):
        house.gateway.metrics_of_all = collect
        flow = arrived(house, flows.gateway(house.exchanges, b"/metrics"))
        exchange = house.exchanges.of(flow)
        exchange.context = advance(exchange.context, Authenticated, identity=Identity(user="alice", method="api_key"))
        answered = scrape.requestheaders(flow)
        assert answered is not None
        await answered
        assert flow.response.status_code == status
        # No answer is better than a part of one: to a scraper a smaller sum is a restart.
        assert (b"all 1.0" in (flow.response.raw_content or b"")) is (status == 200)
