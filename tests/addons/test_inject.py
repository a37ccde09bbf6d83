"""The credential goes in last, for its own host alone, and is given up when the provider refuses it."""

from __future__ import annotations

import inspect
import threading
from dataclasses import replace

import pytest
from mitmproxy import http

from addons.inject import Inject
from addons.route import Route
from llmauth.addresses import HostPort
from llmauth.codecs.embeddings.request import EmbeddingRequest
from llmauth.codecs.embeddings.titan import TitanEmbeddings
from llmauth.codecs.embeddings.translation import begin
from llmauth.codecs.openai.provider import OpenAIProvider
from llmauth.context import Credentialed, Routed, Target, TransparentRoute
from llmauth.errors import InternalError
from llmauth.http import Request, Url
from llmauth.protocol import Prepared
from llmauth.providers.base import Verdict
from llmauth.secrets import ApiKey, Credential, Secret
from tests.addons import flows
from tests.addons.conftest import House
from tests.addons.test_route import arrived


@pytest.fixture
def inject(house: House) -> Inject:
    return Inject(house.gateway, house.exchanges)


def routed(house: House, flow: http.HTTPFlow) -> http.HTTPFlow:
    """The flow as it comes to injection."""
    route = Route(house.exchanges)
    arrived(house, flow)
    route.requestheaders(flow)
    flow.request.raw_content = b"body"
    route.request(flow)
    assert isinstance(house.exchanges.of(flow).context, Routed)
    return flow


def status(flow: http.HTTPFlow) -> int | None:
    return flow.response.status_code if flow.response else None


async def played(inject: Inject, flow: http.HTTPFlow) -> http.HTTPFlow:
    rest = inject.request(flow)
    if rest is not None:
        await rest
    return flow


async def test_it_waits_for_a_credential_once_and_then_has_it(house: House, inject: Inject) -> None:
    await house.gateway.credential.acquire(Target(instance="openai", provider="openai"))
    flow = routed(house, flows.gateway(house.exchanges))
    assert inject.request(flow) is None
    assert isinstance(house.exchanges.of(flow).context, Credentialed)
    late = routed(house, flows.gateway(house.exchanges, b"/transparent/bare/v1/models"))
    rest = inject.request(late)
    assert inspect.isawaitable(rest)
    assert late.response is None
    await rest
    assert status(late) == 500


@pytest.mark.parametrize("door", ["gateway", "inside"])
async def test_what_leaves_is_bound_for_the_providers_own_host(house: House, inject: Inject, door: str) -> None:
    fields = ((b"Authorization", b"Bearer of-the-client"), (b"X-API-Key", b"of-the-client"), (b"X-Mine", b"1"))
    flow = (
        flows.inside(house.exchanges, *fields)
        if door == "inside"
        else flows.gateway(house.exchanges, b"/transparent/openai/v1/models", *fields)
    )
    await played(inject, routed(house, flow))
    data, exchange = flow.request.data, house.exchanges.of(flow)
    assert (data.scheme, data.host, data.port, data.path) == (b"https", "api.openai.com", 443, b"/v1/models")
    assert exchange.approved == HostPort("api.openai.com", 443)
    assert exchange.approved_at is not None
    assert data.headers.get_all("authorization") == ["Bearer sk-ours"]
    assert data.headers.get_all("host") == ["api.openai.com"]
    assert data.headers["x-mine"] == "1"
    assert b"of-the-client" not in b"".join(b"".join(field) for field in data.headers.fields)
    assert flow.request.raw_content == b"body"


async def test_the_context_names_the_strategy_and_never_the_secret(house: House, inject: Inject) -> None:
    flow = await played(inject, routed(house, flows.gateway(house.exchanges)))
    context = house.exchanges.of(flow).context
    assert isinstance(context, Credentialed)
    assert context.strategy == "environment"
    assert "sk-ours" not in repr(context)
    assert {decision.router for decision in context.decisions} >= {"mode", "model", "provider", "credential", "vault"}


async def test_without_a_credential_nothing_is_changed(house: House, inject: Inject) -> None:
    flow = routed(
        house, flows.gateway(house.exchanges, b"/transparent/bare/v1/models", (b"Authorization", b"Bearer x"))
    )
    await played(inject, flow)
    assert flow.response.status_code == 500
    assert house.exchanges.of(flow).approved is None
    assert not isinstance(house.exchanges.of(flow).context, Credentialed)


@pytest.mark.parametrize(
    ("status", "seen"), [(200, 200), (400, 400), (401, 502), (403, 403), (404, 404), (429, 429), (500, 500)]
)
async def test_the_providers_no_to_our_credential_is_not_the_callers_fault(
    house: House, inject: Inject, status: int, seen: int
) -> None:
    flow = await played(inject, routed(house, flows.gateway(house.exchanges)))
    house.exchanges.of(flow).sent_at = 1.0
    flows.answered(flow, status, (b"www-authenticate", b"Bearer"), body=b"of the provider")
    inject.responseheaders(flow)
    assert flow.response.status_code == seen
    if seen == 502:
        assert b"of the provider" not in (flow.response.raw_content or b"")
        assert "www-authenticate" not in flow.response.headers
        assert house.exchanges.of(flow).error.code == "credential_rejected"


async def test_a_refusal_of_our_own_is_not_judged_as_the_providers(house: House, inject: Inject) -> None:
    flow = await played(inject, routed(house, flows.gateway(house.exchanges)))
    flows.answered(flow, 401)
    inject.responseheaders(flow)  # nothing was sent
    assert flow.response.status_code == 401
    inject.responseheaders(flows.answered(flows.gateway(house.exchanges), 401))  # nothing is known


@pytest.mark.parametrize(
    ("body", "streamed", "seen"),
    [(b"about the key", False, 502), (b"about something else", False, 400), (b"about the key", True, 400)],
)
async def test_what_only_the_body_tells_is_judged_when_it_is_in(
    house: House, inject: Inject, monkeypatch: pytest.MonkeyPatch, body: bytes, streamed: bool, seen: int
) -> None:
    """Unless the answer was passed on already."""
    handler = house.gateway.handlers["openai"]
    told = {b"about the key": Verdict.REJECTED}
    monkeypatch.setattr(handler, "verdict", lambda status, headers: Verdict.UNTOLD)
    monkeypatch.setattr(handler, "verdict_of_body", lambda status, headers, body: told.get(body, Verdict.PASSES))
    flow = await played(inject, routed(house, flows.gateway(house.exchanges)))
    exchange = house.exchanges.of(flow)
    exchange.sent_at = 1.0
    inject.responseheaders(flows.answered(flow, 400))
    assert (flow.response.status_code, exchange.untold) == (400, True)
    flows.answered(flow, 400, body=body)
    flow.response.stream = streamed
    inject.response(flow)
    assert flow.response.status_code == seen
    assert (flow.response.raw_content == body) is (seen == 400)
    inject.response(flow)  # once is enough
    assert flow.response.status_code == seen


async def test_an_answer_that_told_at_its_head_is_not_judged_again(house: House, inject: Inject) -> None:
    flow = await played(inject, routed(house, flows.gateway(house.exchanges)))
    house.exchanges.of(flow).sent_at = 1.0
    inject.responseheaders(flows.answered(flow, 400))
    inject.response(flow)
    assert flow.response.status_code == 400
    inject.response(flows.answered(flows.gateway(house.exchanges), 400))  # nothing is known


# ---- where to sign takes long --------------------------------------------------------------------------------------


async def test_a_slow_signature_is_made_in_a_thread_and_then_goes_in(
    house: House, inject: Inject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the credential had to be waited for."""
    handler, threads = house.gateway.handlers["openai"], []
    authorize = handler.authorize

    def slow(request: Request, credential: Credential) -> Request:
        threads.append(threading.current_thread())
        return authorize(request, credential)

    monkeypatch.setattr(handler, "is_slow", lambda credential: True)
    monkeypatch.setattr(handler, "authorize", slow)
    for _ in range(2):
        flow = routed(house, flows.gateway(house.exchanges))
        rest = inject.request(flow)
        assert inspect.isawaitable(rest)
        assert house.exchanges.of(flow).approved is None
        await rest
        assert flow.request.data.headers.get_all("authorization") == ["Bearer sk-ours"]
        assert house.exchanges.of(flow).approved == HostPort("api.openai.com", 443)
        assert isinstance(house.exchanges.of(flow).context, Credentialed)
    assert threading.main_thread() not in threads


async def test_a_slow_signature_that_fails_lets_nothing_go(
    house: House, inject: Inject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F1: as on the event loop."""

    def broken(request: Request, credential: Credential) -> Request:
        raise RuntimeError("canary-7f3a")

    monkeypatch.setattr(house.gateway.handlers["openai"], "is_slow", lambda credential: True)
    monkeypatch.setattr(house.gateway.handlers["openai"], "authorize", broken)
    flow = await played(inject, routed(house, flows.gateway(house.exchanges)))
    assert status(flow) == 500
    assert b"canary" not in (flow.response.raw_content or b"")
    assert house.exchanges.of(flow).approved is None


async def test_what_is_sent_beside_a_request_is_signed_with_its_credential_for_its_hosts_alone(
    house: House, inject: Inject
) -> None:
    """S1: the credential is not kept, only a way to sign; and that is as bound as the handler is."""
    asked = EmbeddingRequest(model="m", inputs=("a", "b"))
    beside = begin(asked, TitanEmbeddings("m", sized=True), OpenAIProvider("m"), strict=False)
    route = TransparentRoute(instance="openai", path="/v1/embeddings", native=False)
    for several in (True, False):
        flow = routed(house, flows.gateway(house.exchanges))
        exchange = house.exchanges.of(flow)
        assert exchange is not None
        exchange.prepared = Prepared(request=exchange.request, route=route, beside=beside if several else None)
        await played(inject, flow)
        assert (exchange.authorize is not None) is several
        if exchange.authorize is None:
            continue
        here = exchange.request.altered(url=Url("https", "api.openai.com", 443, "/v1/embeddings"))
        assert exchange.authorize(here).headers.get("authorization") == "Bearer sk-ours"
        for elsewhere in (Url("https", "evil.example", 443, "/"), Url("http", "api.openai.com", 443, "/")):
            with pytest.raises(InternalError):
                exchange.authorize(here.altered(url=elsewhere))
        assert "sk-ours" not in repr(exchange)


async def test_a_second_try_is_dialled_within_the_time_of_a_dial(
    house: House, inject: Inject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else whoever cannot be reached any more would have the time in which a provider may think."""
    flow = await played(inject, routed(house, flows.gateway(house.exchanges)))
    exchange = house.exchanges.of(flow)
    exchange.sent_at = 1.0
    leased, decision = await house.gateway.credential.acquire(Target(instance="openai", provider="openai"))
    another = replace(leased, credential=ApiKey(value=Secret("sk-another")), generation=leased.generation + 1)

    async def acquire(_: Target) -> object:
        return another, decision

    monkeypatch.setattr(house.gateway.credential, "acquire", acquire)
    rest = inject.renew(flow)
    assert rest is not None
    await rest
    assert exchange.again
    assert exchange.sent_at is None
    assert flow.request.headers["authorization"] == "Bearer sk-another"
