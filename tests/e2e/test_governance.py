"""Policies and limits as clients meet them: through every door, in the shape of their SDK, and with what is left."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from llmauth.config.stores import open_store
from llmauth.demo.behaviour import Behaviour
from llmauth.demo.emulators import Emulators
from llmauth.rules import Rules
from tests.fixtures.audits import lines_in
from tests.fixtures.calls import CHAT, JSON, OPENAI, STREAM, get
from tests.fixtures.raw import Answer, Wire, tunnel
from tests.fixtures.serving import Serving

Serve = Callable[..., Serving]
NATIVE = "/transparent/openai/v1/chat/completions"
PROTOCOL = "/v1/chat/completions"
ANTHROPIC = "/transparent/anthropic/v1/messages"
MESSAGE = json.dumps(
    {"model": "claude-sonnet-5", "max_tokens": 64, "messages": [{"role": "user", "content": "hello"}]}
).encode()


def key_for(gateway: Serving, name: str, *groups: str, **rules: Any) -> str:
    store = open_store(gateway.settings())
    try:
        return store.create(name, groups=groups, rules=Rules(**rules))[1].reveal()
    finally:
        store.close()


def ask(gateway: Serving, key: str, path: str = NATIVE, body: bytes = CHAT) -> Answer:
    headers = [("Host", "gateway"), ("X-API-Key", key), JSON, ("anthropic-version", "2023-06-01")]
    with Wire(gateway.port, timeout=20) as wire:
        return wire.request("POST", path, headers, body)


def at_once(gateway: Serving, key: str, count: int, path: str = NATIVE, body: bytes = CHAT) -> Counter[int]:
    """How many of so many calls, begun in one moment, ended with which status."""
    ready, answers = threading.Barrier(count), Counter[int]()

    def call() -> None:
        ready.wait()
        answers[ask(gateway, key, path, body).status] += 1

    callers = [threading.Thread(target=call) for _ in range(count)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    return answers


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, shared_emulators: Emulators) -> Any:
    """One gateway with policies, for the tests that do not use anybody's limits up but their own."""
    from tests.fixtures.serving import start

    folder = tmp_path_factory.mktemp("governed")
    prices = folder / "prices.yaml"
    prices.write_text(json.dumps({"gpt-4o": {"input": 1000, "output": 1000}}))
    policies = {
        "default": {"models": ["gpt-4o*", "claude-*"]},
        "groups": {"interns": {"models": ["claude-haiku*"], "rpm": 60}, "few": {"rpm": 3}},
        "users": {"rich": {"budget": {"amount": 0.1, "per": "day"}}, "one": {"concurrent": 1}},
    }
    serving = start(folder, shared_emulators, policies=policies, prices=str(prices))
    yield serving
    serving.stop()


@pytest.mark.parametrize("path", [NATIVE, PROTOCOL, "/openai/openai/v1/chat/completions"])
def test_a_model_is_allowed_or_not_by_every_path(house: Serving, emulators: Emulators, path: str) -> None:
    key = house.key("models")
    assert ask(house, key, path).status == 200
    emulators.clear()
    refused = ask(house, key, path, CHAT.replace(b"gpt-4o", b"o3"))
    assert (refused.status, json.loads(refused.body)["error"]["code"]) == (403, "model_not_allowed")
    assert refused.header("x-llmauth-fault") == "policy"
    assert not emulators.requests()


def test_inside_a_tunnel_as_well(house: Serving, emulators: Emulators) -> None:
    with tunnel(house.port, OPENAI, house.key("models"), house.ca_file) as wire:
        headers = [("Host", OPENAI), ("Authorization", "Bearer sk-x"), JSON]
        assert wire.request("POST", "/v1/chat/completions", headers, CHAT).status == 200
        emulators.clear()
        answer = wire.request("POST", "/v1/chat/completions", headers, CHAT.replace(b"gpt-4o", b"o3"))
    assert answer.status == 403
    assert not emulators.requests()


def test_a_group_has_rules_of_its_own_and_refusals_the_shape_of_the_sdk(house: Serving) -> None:
    key = key_for(house, "ina", "interns")
    refused = ask(house, key, ANTHROPIC, MESSAGE)
    told = json.loads(refused.body)
    assert (refused.status, told["type"], told["error"]["type"]) == (403, "error", "permission_error")
    assert "claude-haiku*" in told["error"]["message"]


def test_a_list_of_models_shows_those_that_may_be_used(serve: Serve) -> None:
    gateway = serve(
        models={"fast": {"instance": "openai", "model": "gpt-4o-mini"}, "dear": {"instance": "openai", "model": "o3"}},
        policies={"default": {"models": ["gpt-4o*"]}},
    )
    with Wire(gateway.port) as wire:
        answer = wire.request("GET", "/v1/models", [("Host", "gateway"), ("X-API-Key", gateway.key())])
    assert [model["id"] for model in json.loads(answer.body)["data"]] == ["fast"]
    assert ask(gateway, gateway.key(), PROTOCOL, CHAT.replace(b"gpt-4o", b"fast")).status == 200
    assert ask(gateway, gateway.key(), PROTOCOL, CHAT.replace(b"gpt-4o", b"dear")).status == 403
    assert any("Limits are per process" in line["message"] for line in gateway.lines())


def test_requests_a_minute_hold_exactly_at_five_times_the_limit(house: Serving) -> None:
    key = key_for(house, "fay", "few")
    assert at_once(house, key, 15) == {200: 3, 429: 12}
    refused = ask(house, key)
    assert 1 <= int(refused.header("retry-after") or 0) <= 20
    assert refused.header("x-ratelimit-limit-requests") == "3"
    assert refused.header("x-ratelimit-remaining-requests") == "0"
    in_anthropic = ask(house, key, ANTHROPIC, MESSAGE)
    assert in_anthropic.header("anthropic-ratelimit-requests-limit") == "3"
    assert json.loads(in_anthropic.body)["error"]["type"] == "rate_limit_error"


def test_a_refused_request_takes_nothing(house: Serving) -> None:
    """Of a key that has three: four that are refused for their model, and three that are not."""
    key = key_for(house, "rea", rpm=3)
    statuses = [ask(house, key, body=CHAT.replace(b"gpt-4o", b"o3")).status for _ in range(4)]
    assert statuses == [403] * 4
    assert [ask(house, key).status for _ in range(4)] == [200, 200, 200, 429]


def test_running_requests_hold_exactly_and_free_their_place(house: Serving, emulators: Emulators) -> None:
    key = house.key("one")
    emulators.behave(OPENAI, Behaviour(first_byte_delay=0.5), times=5)
    assert at_once(house, key, 5) == {200: 1, 429: 4}
    emulators.clear()
    with Wire(house.port) as wire:  # one after the other, as fast as can be: none is refused
        headers = [("Host", "gateway"), ("X-API-Key", key), JSON]
        assert {wire.request("POST", NATIVE, headers, CHAT).status for _ in range(10)} == {200}
    answers = [ask(house, key, body=STREAM).status for _ in range(3)]
    assert answers == [200] * 3


def test_who_leaves_frees_its_place(house: Serving, emulators: Emulators) -> None:
    key = key_for(house, "lea", concurrent=1)
    emulators.behave(OPENAI, Behaviour(hang=True))
    headers = [("Host", "gateway"), ("X-API-Key", key), JSON, ("Content-Length", str(len(CHAT)))]
    lines = [f"POST {NATIVE} HTTP/1.1", *(f"{name}: {value}" for name, value in headers), "", ""]
    with Wire(house.port) as wire:
        wire.send("\r\n".join(lines).encode() + CHAT)
        while not emulators.requests():
            time.sleep(0.01)
        assert ask(house, key).status == 429
    ends = time.monotonic() + 5
    while ask(house, key).status == 429 and time.monotonic() < ends:
        time.sleep(0.02)
    assert ask(house, key).status == 200


def test_money_is_counted_and_a_spent_budget_is_final(house: Serving) -> None:
    """A tenth, of which one answer costs some fiftieth: what is reserved for a request is given back at its end."""
    key = house.key("rich")
    bounded = json.dumps({"model": "gpt-4o", "max_tokens": 20, "messages": [{"role": "user", "content": "hi"}]})
    answers = [ask(house, key, PROTOCOL, bounded.encode()) for _ in range(12)]
    statuses = [answer.status for answer in answers]
    assert 1 <= statuses.count(200) <= 10, statuses
    assert statuses == sorted(statuses)
    answer = answers[-1]
    assert (answer.status, json.loads(answer.body)["error"]["code"]) == (429, "insufficient_quota")
    assert answer.header("x-should-retry") == "false"
    spent = [line["cost"] for line in house.lines("request") if line.get("user") == "rich" and "cost" in line]
    assert len(spent) == statuses.count(200)
    assert any(line.get("cost") == spent[0] for line in lines_in(house.home) if line["kind"] == "outcome")
    metrics = get(house, "/metrics", ("X-API-Key", house.key("models"))).body.decode()
    assert 'usage_cost_total{instance="openai"' in metrics


def test_tokens_a_minute_are_reserved_and_settled(house: Serving, emulators: Emulators) -> None:
    """Reserved by what is asked for, settled by what was used: of two thousand, each takes some thirty in the end."""
    key = key_for(house, "tom", tpm=2000)
    body = {"model": "gpt-4o", "max_tokens": 1200, "messages": [{"role": "user", "content": "hi"}]}
    large = json.dumps(body).encode()
    for path in (PROTOCOL, NATIVE):
        assert [ask(house, key, path, large).status for _ in range(3)] == [200] * 3
    emulators.behave(OPENAI, Behaviour(first_byte_delay=0.3), times=4)
    assert at_once(house, key, 4, NATIVE, large) == {200: 1, 429: 3}


def test_the_log_tells_what_a_refusal_was_for(house: Serving) -> None:
    key = key_for(house, "log", rpm=1)
    assert [ask(house, key).status for _ in range(2)] == [200, 429]
    line = [line for line in house.lines("request") if line.get("user") == "log"][-1]
    assert (line["status"], line["code"], line["fault"]) == (429, "rate_limit_exceeded", "policy")
