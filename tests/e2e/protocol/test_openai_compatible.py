"""A server that speaks OpenAI's chat and nothing else: one file and one line of ours, and every client reaches it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from llmauth.demo.behaviour import Behaviour
from llmauth.demo.emulators import Emulators
from tests.e2e.clients.sdks import Sdks
from tests.e2e.protocol.providers import Provider
from tests.e2e.protocol.test_agent_loops import CLIENTS, SCHEMA, by_path
from tests.fixtures.serving import Serving, free_port

HOST = "api.openai.com"


@pytest.fixture
def compatible(serve: Callable[..., Serving]) -> Serving:
    """An instance whose server happens to be the emulated OpenAI."""
    key = {"strategies": [{"type": "environment", "variable": "OPENAI_API_KEY"}]}
    instance = {"type": "openai_compatible", "base_url": f"https://{HOST}/v1", "authentication": key}
    return serve(instances={"local": instance}, models={"small": {"instance": "local", "model": "gpt-4o-mini"}})


@pytest.mark.parametrize("client", CLIENTS)
def test_every_client_reaches_it(compatible: Serving, emulators: Emulators, sdks: Sdks, client: str) -> None:
    code, called, ended = CLIENTS[client]
    environ, _ = by_path(client, Provider("local", "small", HOST), compatible)
    emulators.behave(HOST, Behaviour(call_tool=True), times=1)
    first, *others = sdks.run(code, environ, model="small", stream=True, schema=SCHEMA, strict=True)
    assert (first["finish"], first["calls"]) == (called, [["get_weather", {"city": "example"}]])
    assert [turn["finish"] for turn in others] == [ended, ended]
    seen = emulators.requests()
    assert {one.target for one in seen} == {b"/v1/chat/completions"}
    assert all(b'"gpt-4o-mini"' in one.body for one in seen)


def test_it_starts_without_a_key_and_says_so(serve: Callable[..., Serving], emulators: Emulators) -> None:
    """No variable is guessed for a server of one's own."""
    instance = {"type": "openai_compatible", "base_url": "https://models.corp.example/v1"}
    serving = serve(instances={"local": instance}, metrics={"port": free_port()})
    assert "local" in str(serving.lines())
