from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from mitmproxy import http

from addons.exchange import Came, Exchanges
from addons.remembering import Remembering
from addons.report import Report
from llmauth.context import Authenticated, Credentialed, Identity, Target, TransparentRoute, advance
from llmauth.errors import Unauthenticated
from llmauth.gateway import Gateway
from llmauth.governance.governor import Governor
from llmauth.governance.memory import MemoryLimiter
from llmauth.governance.policy import Policies
from llmauth.governance.prices import Prices
from llmauth.hindsight.memory import Memory
from llmauth.hindsight.remembered import Body, Remembered
from llmauth.http import Door, Headers, Url
from llmauth.telemetry.metrics import Metrics
from tests.addons.exchanges import begun, exchange, request

CANARY = "sk-canary-1234567890abcdef"
CAME = ((b"User-Agent", b"codex/0.15 (linux)"), (b"Authorization", CANARY.encode()), (b"Host", b"gateway"))
SENT = ((b"Host", b"api.openai.com"), (b"User-Agent", b"codex/0.15 (linux)"), (b"authorization", b"Bearer sk-real"))
BODY = b'{"messages":[{"content":"a canary"}],"model":"gpt-5-mini"}'
ROUTE = TransparentRoute(instance="openai", path=f"/v1/chat/completions?key={CANARY}", native=False)


class House:
    def __init__(self) -> None:
        self.exchanges = Exchanges()
        self.memory = Memory()
        governor = Governor(Policies(), Prices(), MemoryLimiter())
        parts = {"metrics": Metrics(models=()), "governor": governor, "memory": self.memory}
        gateway = cast(Gateway, SimpleNamespace(**parts))
        self.report = Report(gateway, self.exchanges, (), Remembering(gateway, self.exchanges).keep)

    def ended(self, flow: http.HTTPFlow) -> Remembered:
        self.report._close(flow)
        self.report.tell()
        return self.memory.recent(1)[0][1]


@pytest.fixture
async def house() -> House:
    return House()


def sent(house: House, **more: Any) -> http.HTTPFlow:
    """A request of alice that was signed, sent and answered."""
    flow, one = begun(house.exchanges, resp=True, sent_at=2.0, approved_at=1.5, **more)
    url = Url("http", "gateway", 80, f"/transparent/openai{ROUTE.path}")
    one.request = request(method="POST", headers=Headers(CAME), url=url).altered(body=BODY)
    who = advance(one.context, Authenticated, identity=Identity(user="alice", method="api_key"))
    target = Target(instance="openai", provider="openai")
    one.context = advance(who, Credentialed, route=ROUTE, target=target, strategy="environment", expires_at=None)
    one.route = ROUTE
    flow.request.headers = http.Headers(SENT)
    return flow


async def test_it_is_who_where_to_and_how_it_ended_and_nothing_secret(house: House) -> None:
    one = house.ended(sent(house))
    assert (one.identity.user, one.target.instance, one.asked) == ("alice", "openai", "gpt-5-mini")
    assert (one.path, one.host) == ("/transparent/openai/v1/chat/completions", None)
    assert (one.head.removed, one.head.added) == ((b"authorization", b"host"), (b"host", b"authorization"))
    assert (one.head.client, one.body) == ("codex/0.15", Body(len(BODY), len(BODY), True, None))
    assert "canary" not in repr(one)
    assert "sk-real" not in repr(one)


async def test_what_was_sent_in_its_place_is_told_by_size(house: House) -> None:
    one = house.ended(sent(house, came=Came(((b"X-Old", b"1"),), 99, unchanged=False)))
    assert one.body == Body(99, len(BODY), False, None)
    assert one.head.removed == (b"x-old",)


async def test_of_headers_is_kept_neither_every_name_nor_a_whole_one(house: House) -> None:
    long = tuple((b"X" * 30_000 + str(number).encode(), b"1") for number in range(100))
    flow = sent(house, came=Came(long, 9, unchanged=False))
    flow.request.headers = http.Headers([(b"y" * 30_000, b"1")])
    head = house.ended(flow).head
    assert (len(head.removed), set(map(len, head.removed))) == (60, {64})
    assert head.added == (b"y" * 64,)


async def test_a_hash_is_counted_where_somebody_looks_closely(house: House, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "llmauth.decisions")
    assert len(house.ended(sent(house)).body.digest or "") == 64


async def test_a_refusal_before_everything_is_one_as_well(house: House) -> None:
    error = Unauthenticated("The credential is not valid.", reason="bad_key")
    error.fp = "9c1e"
    flow, _ = begun(house.exchanges, resp=True, error=error, door=Door.CONNECT)
    one = house.ended(flow)
    assert (one.refusal.reason, one.refusal.fp, one.refusal.code) == ("bad_key", "9c1e", "invalid_api_key")
    assert (one.lent, one.body, one.identity) == (None, None, None)


async def test_probes_and_questions_about_oneself_are_not_worth_it(house: House) -> None:
    flow, _ = begun(house.exchanges, resp=True)
    house.report._close(flow)
    house.report.tell()
    assert house.memory.last == 0


async def test_those_that_run_are_told_as_far_as_they_came(house: House) -> None:
    sent(house)
    (one,) = house.memory.running()
    assert (one.status, one.identity.user) == (None, "alice")
    assert one.seconds >= 0


async def test_what_cannot_be_remembered_stops_nothing(house: House, caplog: pytest.LogCaptureFixture) -> None:
    flow = sent(house)
    house.exchanges.of(flow).route = ROUTE
    house.exchanges.of(flow).leased = cast(Any, object())  # no lease
    house.report._close(flow)
    house.report.tell()
    assert house.memory.last == 0
    assert any("not remembered" in line.message for line in caplog.records)


@pytest.mark.parametrize(
    ("agent", "client"),
    [
        (b"claude-cli/2.1.0 (external)", "claude-cli/2.1.0"),
        (b"\x1b[31mevil", None),
        (b"OpenAI/Python 1.2", "OpenAI/Python"),
        (b"llmauth_RPUcELc5ad_" + b"x" * 38, None),
    ],
)
async def test_a_client_is_a_product_and_nothing_else(house: House, agent: bytes, client: str | None) -> None:
    flow = sent(house)
    one = house.exchanges.of(flow)
    one.request = one.request.altered(headers=Headers([(b"user-agent", agent)]))
    assert house.ended(flow).head.client == client


def test_an_exchange_of_a_test_is_none_that_was_sent() -> None:
    assert exchange().approved_at is None
