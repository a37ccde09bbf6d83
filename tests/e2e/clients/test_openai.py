"""The official openai client, sync and async, on every way, whole and streamed: it holds no key of the provider."""

from __future__ import annotations

import pytest

from llmauth.demo.emulators import Emulators
from llmauth.demo.openai import HOST
from tests.e2e.clients import ways
from tests.e2e.clients.sdks import Sdks
from tests.e2e.clients.ways import Way
from tests.fixtures.serving import Serving

PLACEHOLDER = "sk-placeholder"
SAYS = "Hello from the emulated"

SYNC = """
client = openai.OpenAI(max_retries=0)
asked = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]}
result = {
    "models": [model.id for model in client.models.list()],
    "whole": client.chat.completions.create(**asked).choices[0].message.content,
    "streamed": "".join(
        chunk.choices[0].delta.content or ""
        for chunk in client.chat.completions.create(**asked, stream=True) if chunk.choices
    ),
    "responses": "".join(
        event.delta
        for event in client.responses.create(model="gpt-4o", input="hello", stream=True)
        if event.type == "response.output_text.delta"
    ),
    "embedding": len(client.embeddings.create(model="text-embedding-3-small", input="a").data[0].embedding),
    "stored": client.files.create(file=("a.jsonl", b"x" * 70_000), purpose="batch").bytes,
}
"""

ASYNC = """
import asyncio

async def call():
    async with openai.AsyncOpenAI(max_retries=0) as client:
        asked = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]}
        whole, stream = await asyncio.gather(
            client.chat.completions.create(**asked), client.chat.completions.create(**asked, stream=True)
        )
        streamed = "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])
        return {"whole": whole.choices[0].message.content, "streamed": streamed}

result = asyncio.run(call())
"""

WAYS: dict[str, Way] = {
    "key in the proxy URL": lambda g: {**ways.key_in_the_proxy(g), "OPENAI_API_KEY": PLACEHOLDER},
    "key in the SDK": lambda g: {**ways.key_in_the_sdk(g), "OPENAI_API_KEY": g.key()},
    "key in both": lambda g: {**ways.key_in_the_proxy(g), "OPENAI_API_KEY": g.key()},
    "proxy over TLS": lambda g: {**ways.key_in_the_tls_proxy(g), "OPENAI_API_KEY": PLACEHOLDER},
    "base URL": lambda g: {"OPENAI_BASE_URL": ways.plain(g, "/transparent/openai/v1"), "OPENAI_API_KEY": g.key()},
    "base URL without /v1": lambda g: {
        "OPENAI_BASE_URL": ways.plain(g, "/transparent/openai"),
        "OPENAI_API_KEY": g.key(),
    },
    "base URL over TLS": lambda g: {
        "OPENAI_BASE_URL": ways.secure(g, "/transparent/openai/v1"),
        "OPENAI_API_KEY": g.key(),
        **ways.trust(g),
    },
}
on_every_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


def holds_only_our_credential(gateway: Serving, emulators: Emulators) -> bool:
    """Whether every request that arrived has the provider's key, and nothing of the caller's."""
    seen = emulators.requests(HOST)
    heads = b"".join(one.head for one in seen)
    bearer = [b"Bearer " + emulators.credentials.openai_key.encode()]
    leaked = gateway.key().encode() in heads or PLACEHOLDER.encode() in heads
    return bool(seen) and all(one.values("authorization") == bearer for one in seen) and not leaked


@on_every_way
def test_the_openai_client_is_answered(gateway: Serving, emulators: Emulators, sdks: Sdks, way: Way) -> None:
    said = sdks.run(SYNC, way(gateway))
    assert "gpt-4o" in said["models"]
    assert said["whole"].startswith(SAYS)
    assert said["streamed"] == said["responses"] == said["whole"]
    assert (said["embedding"], said["stored"]) == (1536, 70_000)
    assert holds_only_our_credential(gateway, emulators)
    assert {one.sni for one in emulators.requests()} == {HOST}


@on_every_way
def test_the_async_openai_client_is_answered(gateway: Serving, emulators: Emulators, sdks: Sdks, way: Way) -> None:
    said = sdks.run(ASYNC, way(gateway))
    assert said["whole"].startswith(SAYS)
    assert said["streamed"] == said["whole"]
    assert holds_only_our_credential(gateway, emulators)
