"""Tokens counted for Anthropic's client: by those who can, and otherwise by an estimate that says so."""

from __future__ import annotations

import json
from base64 import b64decode

import pytest

from llmauth.demo.behaviour import Behaviour
from llmauth.demo.emulators import Emulators
from tests.e2e.clients import ways
from tests.e2e.clients.sdks import Sdks
from tests.e2e.protocol.calls import HELLO, ask
from tests.e2e.protocol.providers import CLAUDE_ON_BEDROCK, PROVIDERS, Provider
from tests.fixtures.serving import Serving
from tests.llmauth.demo.clients import ClientProblem

BEDROCK = "bedrock-runtime.us-east-1.amazonaws.com"
COUNTING = {name: one for name, one in PROVIDERS.items() if "claude" in one.model}
ESTIMATED = {name: one for name, one in PROVIDERS.items() if "claude" not in one.model}

CODE = """
client = anthropic.Anthropic(max_retries=0, _strict_response_validation=True)
tools = [{"name": "get_weather", "description": "Weather", "input_schema": {"type": "object", "properties": {}}}]
raw = client.messages.with_raw_response.count_tokens(
    model=model, system="Be brief.", tools=tools, messages=[{"role": "user", "content": "Weather in Paris?"}]
)
result = [raw.parse().input_tokens, raw.headers.get("x-llmauth-estimate")]
"""


def by_path(gateway: Serving, instance: str) -> dict[str, str]:
    base = ways.plain(gateway, f"/anthropic/{instance}")
    return {"ANTHROPIC_BASE_URL": base, "ANTHROPIC_API_KEY": gateway.key()}


@pytest.mark.parametrize("one", COUNTING.values(), ids=COUNTING)
def test_claude_is_counted_by_its_host(every: Serving, emulators: Emulators, sdks: Sdks, one: Provider) -> None:
    count, estimate = sdks.run(CODE, by_path(every, one.instance), model=one.model)
    assert (count > 0, estimate) == (True, None)
    (seen,) = emulators.requests()
    assert seen.host == one.host
    assert b"count" in seen.target
    assert every.key().encode() not in seen.head + seen.body


@pytest.mark.parametrize("one", ESTIMATED.values(), ids=ESTIMATED)
def test_everybody_else_is_estimated_and_not_asked(
    every: Serving, emulators: Emulators, sdks: Sdks, one: Provider
) -> None:
    count, estimate = sdks.run(CODE, by_path(every, one.instance), model=one.model)
    assert (10 < count < 1000, estimate) == (True, "true")
    assert emulators.requests() == ()


def test_bedrock_is_asked_for_the_model_behind_a_profile_with_the_clients_prompt(
    every: Serving, emulators: Emulators
) -> None:
    body = {"model": "claude", "messages": HELLO, "system": "x"}
    told = ask(every, "/v1/messages/count_tokens?beta=true", body, anthropic_beta="context-1m-2025-08-07")
    assert (told.status, set(told.json)) == (200, {"input_tokens"})
    assert told.headers["x-llmauth-served-by"] == "bedrock_us1"
    (seen,) = emulators.requests()
    model = CLAUDE_ON_BEDROCK.removeprefix("us.").replace(":", "%3A")
    assert seen.target == f"/model/{model}/count-tokens".encode()
    inner = json.loads(b64decode(json.loads(seen.body)["input"]["invokeModel"]["body"]))
    assert (inner["messages"], inner["system"], inner["anthropic_beta"]) == (HELLO, "x", ["context-1m-2025-08-07"])
    assert "model" not in inner


def test_every_door_leads_there(every: Serving, emulators: Emulators, sdks: Sdks) -> None:
    environ = {**ways.key_in_the_proxy(every), "ANTHROPIC_API_KEY": "placeholder"}
    for model, estimate in (("claude", None), ("nova", "true"), ("openai/gpt-4o", "true")):
        assert sdks.run(CODE, environ, model=model)[1] == estimate
    assert {one.host for one in emulators.requests()} == {BEDROCK}


def test_a_model_that_bedrock_does_not_count_for_is_estimated(every: Serving, emulators: Emulators, sdks: Sdks) -> None:
    refusal = b'{"message":"The provided model doesn\'t support counting tokens."}'
    emulators.behave(BEDROCK, Behaviour(status=400, error="ValidationException"))
    with pytest.raises(ClientProblem) as refused:
        sdks.run(CODE, by_path(every, "bedrock_us1"), model=CLAUDE_ON_BEDROCK)
    assert (refused.value.kind, refused.value.status) == ("BadRequestError", 400)
    emulators.behave(BEDROCK, Behaviour(status=400, error="ValidationException", body=refusal))
    count, estimate = sdks.run(CODE, by_path(every, "bedrock_us1"), model=CLAUDE_ON_BEDROCK)
    assert (count > 0, estimate) == (True, "true")


@pytest.mark.parametrize("status", [403, 429, 503])
def test_what_bedrock_refuses_is_told_in_anthropics_words(every: Serving, emulators: Emulators, status: int) -> None:
    emulators.behave(BEDROCK, Behaviour(status=status))
    told = ask(every, "/anthropic/bedrock_us1/v1/messages/count_tokens", {"model": "claude", "messages": HELLO})
    assert told.json["type"] == "error"
    assert told.status == (529 if status == 503 else status)


@pytest.mark.parametrize("body", [b"[]", b"", b'{"inputTokens":"x"}', b'{"inputTokens":-1}'])
def test_an_answer_that_is_no_count_is_a_bad_gateway(every: Serving, emulators: Emulators, body: bytes) -> None:
    emulators.behave(BEDROCK, Behaviour(body=body))
    told = ask(every, "/v1/messages/count_tokens", {"model": "claude", "messages": HELLO})
    assert told.status == 502
    assert told.json["type"] == "error"


@pytest.mark.parametrize("model", ["claude", "nova"])
def test_a_refused_credential_or_a_wrong_prompt(every: Serving, emulators: Emulators, model: str) -> None:
    emulators.behave(BEDROCK, Behaviour(status=401))
    told = ask(every, "/v1/messages/count_tokens", {"model": model, "messages": [{"role": "nobody", "content": "x"}]})
    assert told.status == (502 if model == "claude" else 400)
    if model == "nova":
        assert "messages[0].role" in told.json["error"]["message"]


def test_who_proved_nothing_is_counted_nothing(every: Serving, emulators: Emulators) -> None:
    told = ask(every, "/v1/messages/count_tokens", {"model": "nova", "messages": HELLO}, authorization="Bearer no")
    assert told.status == 401
    assert emulators.requests() == ()


def test_a_get_is_no_question(every: Serving, emulators: Emulators) -> None:
    assert ask(every, "/v1/messages/count_tokens", None, "GET").status == 405
