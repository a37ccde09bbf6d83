from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

import pytest

from llmauth.context import Identity
from llmauth.gateway.hindsight import Hindsight
from llmauth.governance.governor import Governor
from llmauth.governance.memory import MemoryLimiter
from llmauth.governance.policy import Policies, Policy
from llmauth.governance.prices import Prices
from llmauth.hindsight.memory import Memory
from llmauth.rules import Rules
from tests.llmauth.hindsight.requests import ALICE, remembered

BOB = Identity(user="bob", method="api_key")


class House(NamedTuple):
    memory: Memory
    governor: Governor


@pytest.fixture
def gateway() -> House:
    policies = Policies(Policy(rules=Rules(models=("gpt-5*",))))
    governor = Governor(policies, Prices(), MemoryLimiter())
    memory = Memory()
    memory.keep(
        [
            remembered(request_id="req_a", allowance=policies.allowance(ALICE)),
            remembered(request_id="req_b", identity=BOB),
        ]
    )
    memory.watch(lambda: [remembered(request_id="req_c", status=None, at=1.0)])
    return House(memory, governor)


@pytest.fixture
def hindsight(gateway: House) -> Hindsight:
    return Hindsight(gateway.memory, lambda: gateway.governor)


def ids(answer: dict[str, Any]) -> list[str]:
    return [one["request_id"] for one in answer["requests"]]


def test_the_operator_hears_of_all_and_of_those_that_run(hindsight: Hindsight) -> None:
    answer = hindsight.recent({"limit": 5})
    assert ids(answer) == ["req_a", "req_b", "req_c"]
    assert answer["last"] == 2
    assert ids(hindsight.recent({"limit": 5, "of": "bob"})) == ["req_b"]
    assert "source" in answer["requests"][0]


def test_a_caller_hears_of_its_own(hindsight: Hindsight) -> None:
    assert ids(hindsight.recent({"user": "bob"})) == ["req_b"]
    assert ids(hindsight.recent({"user": "bob", "of": "alice"})) == ["req_b"]
    assert hindsight.explain({"user": "bob", "id": "req_a"}) == {"requests": [], "found": 0}
    (own,) = hindsight.explain({"user": "bob", "id": "req_b"})["requests"]
    assert "credential" not in own


def test_from_a_cursor_on_only_what_is_new_is_told(hindsight: Hindsight, gateway: House) -> None:
    run = gateway.memory.run
    assert ids(hindsight.recent({"cursor": {run: 1}})) == ["req_b"]
    assert ids(hindsight.recent({"cursor": {run: 2}})) == []
    assert ids(hindsight.recent({"cursor": {"another": 7}})) == ["req_a", "req_b"]
    assert ids(hindsight.recent({"cursor": {}})) == ["req_a", "req_b"]


def test_a_cursor_passes_nothing_by(hindsight: Hindsight, gateway: House) -> None:
    gateway.memory.keep(remembered(request_id=f"req_{number}", identity=BOB) for number in range(5))
    run, last, told = gateway.memory.run, 0, []
    while page := hindsight.recent({"user": "bob", "limit": 2, "cursor": {run: last}}):
        if not page["requests"]:
            break
        told += ids(page)
        last = page["last"]
    assert told == ["req_b", *(f"req_{number}" for number in range(5))]
    assert last == 7


@pytest.mark.parametrize("user", [None, "bob"])
def test_those_that_run_are_looked_at_once(hindsight: Hindsight, gateway: House, user: str | None) -> None:
    looked: Any = []
    gateway.memory.watch(lambda: looked.append(1) or [remembered(request_id="req_c", status=None)])
    hindsight.recent({"user": user})
    assert looked == [1]


def test_a_callers_ids_are_told_from_its_own_alone(hindsight: Hindsight, gateway: House) -> None:
    gateway.memory.keep([remembered(request_id="req_77770000"), remembered(request_id="req_77770001", identity=BOB)])
    assert hindsight.recent({"user": "bob"})["requests"][-1]["short"] == "req_7777"
    assert hindsight.recent({"of": "bob"})["requests"][-1]["short"] == "req_77770001"


async def test_who_follows_waits_for_the_next_one(hindsight: Hindsight, gateway: House) -> None:
    waiting = asyncio.create_task(hindsight.follow({"cursor": {gateway.memory.run: 2}}))
    await asyncio.sleep(0)
    gateway.memory.keep([remembered(request_id="req_new")])
    assert ids(await asyncio.wait_for(waiting, 1)) == ["req_new"]


def test_a_rule_is_named_while_it_holds(hindsight: Hindsight, gateway: House) -> None:
    (one,) = hindsight.explain({"id": "req_a"})["requests"]
    assert one["allowed_by"] == {"models": "gpt-5*", "of": "default"}
    (other,) = hindsight.explain({"id": "req_b"})["requests"]  # its rules are others by now
    assert other["allowed_by"] == {"models": "gpt-5*"}


@pytest.mark.parametrize(
    "question", [{"limit": "5"}, {"limit": -1}, {"cursor": "x"}, {"limit": True}, {"cursor": {1: "x"}}]
)
def test_what_is_no_question_changes_nothing(hindsight: Hindsight, question: dict[str, Any]) -> None:
    assert ids(hindsight.recent(question))[:2] == ["req_a", "req_b"]


def test_no_id_is_nothing(hindsight: Hindsight) -> None:
    assert hindsight.explain({}) == {"requests": [], "found": 0}
    assert hindsight.explain({"id": 7})["found"] == 0
