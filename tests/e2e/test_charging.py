"""What a request is charged that does not tell its use, or not to its end: who asks oddly pays no less."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from llmauth.demo.behaviour import Behaviour
from llmauth.demo.emulators import Emulators
from tests.e2e.test_governance import ANTHROPIC, NATIVE, PROTOCOL, ask, key_for
from tests.fixtures.calls import MESSAGES, OPENAI
from tests.fixtures.serving import Serving, start

BEDROCK = "bedrock-runtime.us-east-1.amazonaws.com"
RESPONSES = "/transparent/openai/v1/responses"
CHAT = {"model": "gpt-4o", "messages": MESSAGES}
STREAM = {**CHAT, "stream": True}
TRANSLATED = {**STREAM, "model": "bedrock_us1/amazon.nova-lite-v1:0", "max_tokens": 3900}
BACKGROUND = {"model": "o3-pro", "background": True, "max_output_tokens": 5000, "input": "hi"}
QUEUED = json.dumps({"id": "resp_1", "object": "response", "status": "queued", "usage": None, "output": []}).encode()
DECOY = {"tools": [{"type": "function", "function": {"name": "x", "parameters": {"type": "object", "max_tokens": 1}}}]}
LONG = Behaviour(tokens=4000, chunk_delay=0.0)

# Each is nearly all of four thousand tokens, and was free or nearly so.
CHARGED: dict[str, tuple[str, dict[str, Any], str, Behaviour]] = {
    "h8 a coding that nobody reads": (
        NATIVE,
        {**CHAT, "max_tokens": 5000},
        OPENAI,
        Behaviour(body=b"\x1f\x9d\x90", fields=((b"content-encoding", b"compress"),)),
    ),
    "h8 in the background": (RESPONSES, BACKGROUND, OPENAI, Behaviour(body=QUEUED)),
    "h9 a long stream that was not asked to tell": (NATIVE, STREAM, OPENAI, LONG),
    "h9 the same, with a bound that bounds nothing": (NATIVE, {**STREAM, **DECOY}, OPENAI, LONG),
    "h10 a translated stream that fails at its end": (
        PROTOCOL,
        TRANSLATED,
        BEDROCK,
        Behaviour(tokens=400, fail_after=399, chunk_delay=0.0),
    ),
}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, shared_emulators: Emulators) -> Iterator[Serving]:
    serving = start(tmp_path_factory.mktemp("charged"), shared_emulators)
    yield serving
    serving.stop()


@pytest.mark.parametrize(("path", "asked", "host", "behaviour"), CHARGED.values(), ids=CHARGED)
def test_what_does_not_tell_is_charged(
    request: pytest.FixtureRequest,
    house: Serving,
    emulators: Emulators,
    path: str,
    asked: dict[str, Any],
    host: str,
    behaviour: Behaviour,
) -> None:
    key = key_for(house, f"charged-{list(CHARGED).index(request.node.callspec.id)}", tpm=4000)
    emulators.behave(host, behaviour)
    assert ask(house, key, path, json.dumps(asked).encode()).status == 200
    assert ask(house, key, NATIVE, json.dumps(CHAT).encode()).status == 429


def test_m4_counting_tokens_costs_none(house: Serving, emulators: Emulators) -> None:
    key = key_for(house, "counts", tpm=2000)
    body = json.dumps({"model": "claude-sonnet-5", "messages": [{"role": "user", "content": "hello " * 1600}]}).encode()
    assert [ask(house, key, f"{ANTHROPIC}/count_tokens", body).status for _ in range(4)] == [200] * 4
