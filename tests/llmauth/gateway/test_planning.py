"""One plan follows another: what is still the same goes on, what is not is made anew, and what is over is ended."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, cast

import pytest

from llmauth.authenticators.basic import Basic
from llmauth.ca import CaError
from llmauth.config.problems import ConfigError
from llmauth.config.settings import Settings, read_settings
from llmauth.context import Identity, Target
from llmauth.errors import Forbidden, RateLimited
from llmauth.gateway import Gateway
from llmauth.gateway.plan import Plan, Way
from tests.fixtures.client_certificates import authority

OPENAI = {"openai": {"type": "openai"}}
ENVIRON = {"OPENAI_API_KEY": "sk-canary", "ANTHROPIC_API_KEY": "sk-ant-canary"}
TARGET = Target(instance="openai", provider="openai")
ALICE = Identity(user="alice", method="api_key", key_id="k")


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Settings]:
    def settings(**sections: Any) -> Settings:
        file = tmp_path / "c.yaml"
        file.write_text(json.dumps({"instances": OPENAI, **sections}, default=str))
        return read_settings([file], {"LLMAUTH_HOME": str(tmp_path / "home"), **ENVIRON})

    return settings


@pytest.fixture
async def gateway(read: Callable[..., Settings], tmp_path: Path) -> AsyncIterator[Gateway]:
    made = Gateway(read(), {"LLMAUTH_HOME": str(tmp_path / "home"), **ENVIRON})
    made.start()
    await made.plan.credential.acquire(TARGET)
    yield made
    made.close()


async def follow(gateway: Gateway, settings: Settings) -> tuple[Plan, Plan]:
    before, now = gateway.plan, await gateway.prepare(settings)
    gateway.adopt(now)
    return before, now


async def test_what_is_the_same_goes_on(gateway: Gateway, read: Callable[..., Settings]) -> None:
    held = gateway.plan.credential.held(TARGET)
    before, now = await follow(gateway, read(models={"fast": {"instance": "openai", "model": "gpt-5-mini"}}))
    assert now.catalogue.find("fast").model == "gpt-5-mini"
    for part in ("way", "outbound", "surroundings", "authority"):
        assert getattr(now, part) is getattr(before, part), part
    assert list(now.callers.judges()) == list(before.callers.judges())
    assert held is not None
    again = now.credential.held(TARGET)
    assert again is not None
    assert again[0] is held[0]
    await gateway.let_go([])
    assert now.auth.usable()
    assert now.credential.held(TARGET) is not None


async def test_a_new_instance_has_its_credential_before_it_is_asked_for(
    gateway: Gateway, read: Callable[..., Settings]
) -> None:
    plan = await gateway.prepare(read(instances={**OPENAI, "anthropic": {"type": "anthropic"}}))
    assert gateway.plan is not plan
    assert "anthropic" not in gateway.handlers
    gateway.adopt(plan)
    assert gateway.credential.status()["anthropic"].state == "ready"


async def test_one_that_is_gone_is_asked_for_nothing_any_more(gateway: Gateway, read: Callable[..., Settings]) -> None:
    before, _ = await follow(gateway, read(instances={"anthropic": {"type": "anthropic"}}))
    lease = before.credential._chains["openai"].lease
    assert gateway.has_former
    await gateway.let_go([before])  # a request of before still needs it
    assert not lease._closed
    await gateway.let_go([])
    assert lease._closed
    assert not gateway.has_former


async def test_other_sources_are_other_credentials(
    gateway: Gateway, read: Callable[..., Settings], tmp_path: Path
) -> None:
    (tmp_path / "key").write_text("sk-from-a-file")
    strategies = [{"type": "file", "path": str(tmp_path / "key")}]
    instances = {"openai": {"type": "openai", "authentication": {"strategies": strategies}}}
    await follow(gateway, read(instances=instances))
    held = gateway.credential.held(TARGET)
    assert held is not None
    assert held[0].strategy == "file"


async def test_limits_count_on_under_other_rules(gateway: Gateway, read: Callable[..., Settings]) -> None:
    await follow(gateway, read(policies={"users": {"alice": {"concurrent": 1}}}))
    rules = gateway.plan.governor
    running = await rules.admit(rules.allowance(ALICE))
    await follow(gateway, read(policies={"users": {"alice": {"concurrent": 1, "models": ["gpt-*"]}}}))
    rules = gateway.plan.governor
    with pytest.raises(RateLimited):
        await rules.admit(rules.allowance(ALICE))
    running.release()
    assert (await rules.admit(rules.allowance(ALICE))).open


async def test_what_cannot_be_served_changes_nothing(gateway: Gateway, read: Callable[..., Settings]) -> None:
    before = gateway.plan
    for settings, error in (
        (read(hosts={"llm.elsewhere.example": {"protocol": "openai"}}), CaError),
        (read(auth={"methods": ["basic"]}), ConfigError),
    ):
        with pytest.raises(error):
            await gateway.prepare(settings)
    assert gateway.plan is before
    assert gateway.plan.auth.usable()
    assert gateway.plan.credential.held(TARGET) is not None


async def test_a_method_that_is_off_lets_nobody_in_whom_it_proved(
    gateway: Gateway, read: Callable[..., Settings], tmp_path: Path
) -> None:
    (tmp_path / "users").write_text("bob:$2b$04$abcdefghijklmnopqrstuuA2bQfV0fJRk0n3X1yQvFjHmR4uWb6yW\n")
    basic = {"type": "basic", "htpasswd": str(tmp_path / "users")}
    before, _ = await follow(gateway, read(auth={"methods": ["api_key", basic]}))
    assert [one.name for one in gateway.plan.callers.judges()] == ["session", "api_key", "basic"]
    assert list(before.callers.judges())[1] is list(gateway.plan.callers.judges())[1]
    (found,) = (one for one in gateway.plan.callers.judges() if one.name == "basic")
    bob = Identity(user="bob", method="basic", key_id=cast(Basic, found)._listed["bob"].version)
    assert gateway.plan.auth.holds(bob)
    await follow(gateway, read(auth={"methods": ["api_key"]}))
    assert not gateway.plan.auth.holds(bob)
    await gateway.let_go([])
    assert gateway.plan.auth.usable()


async def test_who_was_let_in_without_a_second_factor_is_out_when_all_need_one(
    gateway: Gateway, read: Callable[..., Settings]
) -> None:
    record, _ = gateway._keys.create("alice")
    alice = Identity(user="alice", method="api_key", key_id=record.id)
    ends = time.monotonic() + 5
    while not gateway.plan.auth.holds(alice) and time.monotonic() < ends:
        await asyncio.sleep(0.05)
    assert gateway.plan.auth.holds(alice)
    await follow(gateway, read(auth={"require_2fa": True}))
    with pytest.raises(Forbidden):
        gateway.plan.auth.current(alice)


async def test_roots_that_changed_are_another_way(
    gateway: Gateway, read: Callable[..., Settings], tmp_path: Path
) -> None:
    roots = tmp_path / "roots.pem"
    ways: list[Way] = []
    for name in ("One", "One", "Two"):
        if not ways or name == "Two":
            roots.write_bytes(authority(name).pem)
        await follow(gateway, read(upstream={"ca_file": str(roots)}))
        ways.append(gateway.plan.way)
    assert ways[0] is ways[1]
    assert ways[1] is not ways[2]


async def test_an_authority_that_was_replaced_signs_from_then_on(
    gateway: Gateway, read: Callable[..., Settings]
) -> None:
    settings = read()
    before = gateway.authority
    type(before).rotate(settings.ca.folder, before.domains)
    await follow(gateway, settings)
    assert gateway.authority.fingerprint() != before.fingerprint()
