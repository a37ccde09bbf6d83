"""what a caller's rules allow, and its limits, as the chain asks them: nothing is fetched before."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from mitmproxy import http

from addons.exchange import Exchange
from addons.govern import Admission, Policies
from addons.route import Route
from addons.translate import Translate
from llmauth.governance.demands import Demand, Permit
from llmauth.governance.governor import Governor
from llmauth.governance.memory import MemoryLimiter
from llmauth.governance.policy import Policies as PolicyTable
from llmauth.governance.policy import Policy
from llmauth.governance.prices import Price, Prices
from llmauth.rules import Rules
from tests.addons import flows
from tests.addons.conftest import House
from tests.addons.test_route import arrived, status

NATIVE, OURS = b"/transparent/openai/v1/chat/completions", b"/v1/chat/completions"
UPGRADE = ((b"Upgrade", b"websocket"), (b"Connection", b"Upgrade"))
PRICES = Prices({"gpt-4o": Price(input=Decimal(1), output=Decimal(10))})


class Slowly(MemoryLimiter):
    """Counts as one does who has to ask others."""

    def admit_now(self, demand: Demand) -> Permit:
        return None  # type: ignore[return-value]

    async def admit(self, demand: Demand) -> Permit:
        await asyncio.sleep(0)
        return super().admit_now(demand)


def governed(house: House, limiter: MemoryLimiter | None = None, **rules: Any) -> None:
    """From now on these rules count for everybody."""
    table = PolicyTable(Policy(rules=Rules(**rules)))
    governor = Governor(table, PRICES, MemoryLimiter() if limiter is None else limiter)
    house.gateway.plan = replace(house.gateway.plan, governor=governor)


async def judged(
    house: House,
    path: bytes = NATIVE,
    body: bytes | None = None,
    *fields: tuple[bytes, bytes],
    model: str = "gpt-4o",
    flow: http.HTTPFlow | None = None,
) -> http.HTTPFlow:
    """A request that came as far as its admission."""
    body = json.dumps({"model": model, "messages": []}).encode() if body is None else body
    flow = flow or flows.gateway(house.exchanges, path, *fields, method=b"POST" if body else b"GET")
    arrived(house, flow)
    gateway, exchanges = house.gateway, house.exchanges
    addons = [Policies(exchanges), Route(exchanges), Translate(gateway, exchanges), Admission(gateway, exchanges)]
    flow.request.data.content = body
    for hook in ("requestheaders", "request"):
        for addon in addons:
            rest = getattr(addon, hook)(flow) if hasattr(addon, hook) else None
            if rest is not None:
                await rest
    return flow


def exchange(house: House, flow: http.HTTPFlow) -> Exchange:
    found = house.exchanges.of(flow)
    assert found is not None
    return found


def code(flow: http.HTTPFlow) -> str | None:
    return json.loads(flow.response.content or b"")["error"]["code"] if flow.response else None


@pytest.mark.parametrize("path", [NATIVE, OURS, b"/openai/openai/v1/chat/completions"])
async def test_a_model_is_allowed_by_its_name_in_every_mode(house: House, path: bytes) -> None:
    governed(house, models=("gpt-4o*",))
    assert status(await judged(house, path)) is None
    refused = await judged(house, path, model="gpt-5")
    assert (status(refused), code(refused)) == (403, "model_not_allowed")
    assert exchange(house, refused).leased is None


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"gpt-4o","model":"gpt-5"}',
        b'{"model":"gpt-4o","Model":"gpt-5"}',
        b'{"Model":"gpt-4o"}',
        b'{"model":["gpt-4o"]}',
        b'[{"model":"gpt-4o"}]',
        b"model=gpt-4o",
        b"{",
        b'\x1f\x8b\x08{"model":"gpt-4o"}',
        json.dumps({"model": "gpt-4o" + "x" * 300}).encode(),
    ],
)
async def test_a_model_that_cannot_be_told_for_sure_is_none_that_is_allowed(house: House, body: bytes) -> None:
    governed(house, models=("gpt-4o*",))
    assert status(await judged(house, NATIVE, body)) == 403


async def test_a_long_body_is_read_apart_and_judged_alike(house: House) -> None:
    governed(house, models=("gpt-4o",))
    long = json.dumps({"messages": ["x" * 400_000], "model": "gpt-4o"}).encode()
    assert status(await judged(house, NATIVE, long)) is None
    assert status(await judged(house, NATIVE, long.replace(b"gpt-4o", b"gpt-5o"))) == 403


async def test_what_only_reads_needs_no_model_but_a_socket_does(house: House) -> None:
    governed(house, models=("gpt-4o*",))
    assert status(await judged(house, b"/transparent/openai/v1/files", b"")) is None
    realtime = b"/transparent/openai/v1/realtime"
    assert status(await judged(house, realtime + b"?model=gpt-4o-realtime", b"", *UPGRADE)) is None
    for query in (b"", b"?model=gpt-5", b"?model=gpt-4o&model=gpt-5", b"?model="):
        assert status(await judged(house, realtime + query, b"", *UPGRADE)) == 403, query


@pytest.mark.parametrize(
    ("rules", "path", "refused"),
    [
        ({"instances": ("openai",)}, NATIVE, False),
        ({"instances": ("anthropic",)}, NATIVE, True),
        ({"instances": ("anthropic",)}, OURS, True),
        ({"protocols": ("openai",)}, OURS, False),
        ({"protocols": ("anthropic",)}, OURS, True),
        ({"protocols": ("openai",)}, NATIVE, True),
        ({"protocols": ("transparent",)}, NATIVE, False),
        ({"methods": ("mtls",)}, NATIVE, True),
        ({"methods": ("api_key",)}, NATIVE, False),
        ({"hosts": ()}, NATIVE, False),
    ],
)
async def test_where_and_how_is_allowed_or_not(house: House, rules: dict[str, Any], path: bytes, refused: bool) -> None:
    governed(house, **rules)
    assert status(await judged(house, path)) == (403 if refused else None)


async def test_a_native_host_is_judged_in_its_tunnel_and_at_its_door(house: House) -> None:
    governed(house, hosts=("api.anthropic.com",))
    inside = await judged(house, flow=flows.inside(house.exchanges), body=b"")
    assert (status(inside), code(inside)) == (403, "host_not_allowed")
    door = arrived(house, flows.connect(house.exchanges))
    Policies(house.exchanges).http_connect(door)
    assert status(door) is None, "nobody has proved who it is yet"


@pytest.mark.parametrize("limiter", [MemoryLimiter, Slowly])
async def test_defect_01_one_request_more_than_a_minute_has_is_refused(
    house: House, limiter: type[MemoryLimiter]
) -> None:
    governed(house, limiter(), rpm=3)
    answers = [await judged(house) for _ in range(4)]
    assert [status(each) for each in answers] == [None, None, None, 429]
    fields = answers[3].response.headers if answers[3].response else {}
    assert 1 <= int(fields["retry-after"]) <= 20
    assert (fields["x-ratelimit-limit-requests"], fields["x-ratelimit-remaining-requests"]) == ("3", "0")
    assert code(answers[3]) == "rate_limit_exceeded"
    assert exchange(house, answers[3]).admission is None


async def test_one_at_a_time_and_the_next_when_it_has_ended(house: House) -> None:
    governed(house, concurrent=1)
    first = await judged(house)
    assert status(await judged(house)) == 429
    admission = exchange(house, first).admission
    assert admission is not None
    admission.release()
    assert status(await judged(house)) is None


async def test_who_left_while_others_were_asked_holds_nothing(house: House) -> None:
    limiter = Slowly()
    governed(house, limiter, concurrent=1)
    flow = arrived(house, flows.gateway(house.exchanges, NATIVE, method=b"POST"))
    asking = asyncio.get_running_loop().create_task(judged(house, flow=flow))
    await asyncio.sleep(0)
    exchange(house, flow).reported = True
    await asking
    assert limiter.running() == {}


@pytest.mark.parametrize("limiter", [MemoryLimiter, Slowly])
async def test_a_model_that_is_refused_takes_no_request(house: House, limiter: type[MemoryLimiter]) -> None:
    governed(house, limiter(), models=("gpt-4o",), rpm=1)
    assert status(await judged(house, model="gpt-5")) == 403
    assert status(await judged(house)) is None
