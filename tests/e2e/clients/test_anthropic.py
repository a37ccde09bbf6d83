"""The official anthropic client, with a key or a bearer token, on every way, whole and streamed."""

from __future__ import annotations

import pytest

from llmauth.demo.anthropic import HOST
from llmauth.demo.emulators import Emulators
from tests.e2e.clients import ways
from tests.e2e.clients.sdks import Sdks
from tests.e2e.clients.ways import Way
from tests.fixtures.serving import Serving

PLACEHOLDER = "sk-ant-placeholder"
SAYS = "Hello from the emulated"

CALLS = """
import asyncio

client = anthropic.Anthropic(max_retries=0)
asked = {"model": "claude-sonnet-4-5", "max_tokens": 1024, "messages": [{"role": "user", "content": "hello"}]}
with client.messages.stream(**asked) as stream:
    streamed = "".join(stream.text_stream)

async def call():
    async with anthropic.AsyncAnthropic(max_retries=0) as client:
        return (await client.messages.create(**asked)).content[0].text

result = {
    "models": [model.id for model in client.models.list()],
    "tokens": client.messages.count_tokens(model=asked["model"], messages=asked["messages"]).input_tokens,
    "whole": client.messages.create(**asked).content[0].text,
    "streamed": streamed,
    "async": asyncio.run(call()),
}
"""

WAYS: dict[str, Way] = {
    "key in the proxy URL": lambda g: {**ways.key_in_the_proxy(g), "ANTHROPIC_API_KEY": PLACEHOLDER},
    "key in the SDK": lambda g: {**ways.key_in_the_sdk(g), "ANTHROPIC_API_KEY": g.key()},
    "bearer token in the SDK": lambda g: {**ways.key_in_the_sdk(g), "ANTHROPIC_AUTH_TOKEN": g.key()},
    "placeholder as a bearer token": lambda g: {**ways.key_in_the_proxy(g), "ANTHROPIC_AUTH_TOKEN": PLACEHOLDER},
    "proxy over TLS": lambda g: {**ways.key_in_the_tls_proxy(g), "ANTHROPIC_API_KEY": PLACEHOLDER},
    "base URL": lambda g: {
        "ANTHROPIC_BASE_URL": ways.plain(g, "/transparent/anthropic"),
        "ANTHROPIC_API_KEY": g.key(),
    },
    "base URL with a bearer token": lambda g: {
        "ANTHROPIC_BASE_URL": ways.plain(g, "/transparent/anthropic"),
        "ANTHROPIC_AUTH_TOKEN": g.key(),
    },
    "base URL over TLS": lambda g: {
        "ANTHROPIC_BASE_URL": ways.secure(g, "/transparent/anthropic"),
        "ANTHROPIC_API_KEY": g.key(),
        **ways.trust(g),
    },
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_the_anthropic_client_is_answered(gateway: Serving, emulators: Emulators, sdks: Sdks, way: Way) -> None:
    said = sdks.run(CALLS, way(gateway))
    assert "claude-sonnet-4-5" in said["models"]
    assert said["tokens"] > 0
    assert said["whole"].startswith(SAYS)
    assert said["streamed"] == said["async"] == said["whole"]
    for seen in emulators.requests(HOST):
        assert seen.values("x-api-key") == [emulators.credentials.anthropic_key.encode()]
        assert seen.values("authorization") == []
        assert gateway.key().encode() not in seen.head
        assert PLACEHOLDER.encode() not in seen.head
