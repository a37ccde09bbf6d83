"""Every model that could work is judged and priced, before anything is done; and nothing is read for nobody."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from addons.judging import priced_as
from llmauth.governance.governor import Governor
from llmauth.governance.memory import MemoryLimiter
from llmauth.governance.policy import Policies as PolicyTable
from llmauth.governance.policy import Policy
from llmauth.governance.prices import Price, Prices
from llmauth.providers import named as naming
from llmauth.routers.model import ModelRouter
from llmauth.rules import Budget, Rules
from tests.addons.conftest import House
from tests.addons.test_govern import NATIVE, OURS, UPGRADE, code, exchange, governed, judged
from tests.addons.test_route import status

TABLE = {"gpt-4o": Price(input=Decimal(1)), "o3": Price(input=Decimal(100)), "free": Price(input=Decimal(0))}
RICH = Budget(amount=Decimal(1000), per="day")
COUNT = b"/v1/messages/count_tokens"


def priced(house: House, table: dict[str, Price] = TABLE, **rules: Any) -> None:
    """Rules for everybody, and prices, for which bodies are read."""
    prices = Prices(table)
    governor = Governor(PolicyTable(Policy(rules=Rules(**rules))), prices, MemoryLimiter())
    model = ModelRouter(house.gateway.plan.catalogue, read_bodies=bool(prices))
    house.gateway.plan = replace(house.gateway.plan, governor=governor, model=model)


def asking(**members: Any) -> bytes:
    return json.dumps({"model": "gpt-4o", "messages": [], **members}).encode()


@pytest.mark.parametrize("path", [NATIVE, OURS, b"/openai/openai/v1/chat/completions"])
@pytest.mark.parametrize("more", [{"tools": [{"model": "o3"}]}, {"models": ["gpt-4o", "o3"]}, {"fallbacks": ["o3"]}])
async def test_h4_a_second_model_is_judged_in_every_mode(house: House, path: bytes, more: dict[str, Any]) -> None:
    governed(house, models=("gpt-4o*",))
    refused = await judged(house, path, asking(**more))
    assert (status(refused), code(refused)) == (403, "model_not_allowed")
    governed(house, models=("gpt-4o*", "o3"))
    assert status(await judged(house, path, asking(**more))) is None


@pytest.mark.parametrize("path", [NATIVE, OURS])
async def test_who_may_use_all_is_read_by_nobody(house: House, path: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(body: bytes) -> None:
        raise AssertionError("a body was read")

    monkeypatch.setattr(naming, "read", read)
    governed(house, rpm=10)
    flow = await judged(house, path)
    assert status(flow) is None
    assert exchange(house, flow).named is None


async def test_a_model_without_a_price_is_refused_to_a_budget_and_counted_for_others(house: House) -> None:
    priced(house, budget=RICH)
    assert status(await judged(house)) is None
    for path in (NATIVE, OURS):
        refused = await judged(house, path, model="gpt-5")
        assert (status(refused), code(refused)) == (403, "model_not_allowed")
        assert b"has no price" in (refused.response.content if refused.response else b"")  # type: ignore[operator]
    assert status(await judged(house, body=b"{}")) == 403
    priced(house)
    assert status(await judged(house, model="gpt-5")) is None
    priced(house, {}, budget=RICH)
    assert status(await judged(house, model="gpt-5")) is None, "without prices nothing is taken of a budget"


async def test_a_price_for_all_is_that_of_what_cannot_be_told(house: House) -> None:
    priced(house, {**TABLE, "*": Price(input=Decimal(500))}, budget=RICH)
    for body in (b"--x--", b'{"model":"free","model":"o3"}', asking(model="unheard-of")):
        flow = await judged(house, NATIVE, body)
        assert status(flow) is None
        assert house.gateway.plan.governor.prices.price_of(*priced_as(exchange(house, flow))) == Price(
            input=Decimal(500)
        )


@pytest.mark.parametrize(
    ("more", "names"),
    [
        ({}, (None, "gpt-4o")),
        ({"models": ["o3", "free"]}, ("o3",)),
        ({"model": "free", "tools": [{"model": "gpt-4o"}]}, ("gpt-4o",)),
    ],
)
async def test_the_dearest_of_several_models_is_paid_for(
    house: House, more: dict[str, Any], names: tuple[str | None, ...]
) -> None:
    priced(house, budget=RICH)
    flow = await judged(house, NATIVE, asking(**more))
    assert priced_as(exchange(house, flow)) == names


async def test_what_works_later_is_no_business_of_a_budget(house: House) -> None:
    priced(house, budget=RICH)
    assert status(await judged(house, b"/transparent/openai/v1/batches", b'{"model":"gpt-4o"}')) == 403
    assert status(await judged(house, b"/transparent/openai/v1/files", b"--x--")) is None
    assert status(await judged(house, b"/transparent/openai/v1/models", b"")) is None


@pytest.mark.parametrize("rules", [{"tpm": 100}, {"budget": RICH}])
async def test_h7_no_socket_where_tokens_or_money_count(house: House, rules: dict[str, Any]) -> None:
    governed(house, **rules)
    flow = await judged(house, b"/transparent/openai/v1/responses", b"", *UPGRADE)
    assert (status(flow), code(flow)) == (426, "upgrade_refused")
    governed(house, rpm=100)
    assert status(await judged(house, b"/transparent/openai/v1/responses", b"", *UPGRADE)) is None


@pytest.mark.parametrize("rules", [{"models": ("gpt-4o",)}, {"instances": ("anthropic",)}, {"protocols": ("openai",)}])
async def test_no_tokens_are_counted_for_what_is_not_allowed(house: House, rules: dict[str, Any]) -> None:
    body = json.dumps({"model": "openai/o3", "messages": [{"role": "user", "content": "hi"}]}).encode()
    governed(house, rpm=10)
    assert status(await judged(house, COUNT, body)) == 200
    governed(house, **rules)
    assert status(await judged(house, COUNT, body)) == 403
