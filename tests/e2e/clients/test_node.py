"""The JavaScript SDKs: by base URL, since Node's fetch knows no proxy, and AWS's through a proxy agent as well."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from llmauth.demo import anthropic, openai
from llmauth.demo.emulators import Emulators
from tests.e2e.clients import ways
from tests.e2e.clients.node_clients import node
from tests.e2e.clients.ways import Way
from tests.fixtures.serving import Serving

SAYS = "Hello from the emulated"
BEDROCK = "bedrock-runtime.us-east-1.amazonaws.com"
DUMMY_KEYS = {"AWS_ACCESS_KEY_ID": "AKIAPLACEHOLDER00000", "AWS_SECRET_ACCESS_KEY": "placeholder"}


def trust(gateway: Serving) -> dict[str, str]:
    """Node adds this file to its own roots."""
    return {"NODE_EXTRA_CA_CERTS": str(gateway.bundle)}


def nothing_leaked(gateway: Serving, emulators: Emulators) -> bool:
    """Whether something arrived, and nothing of the caller's with it."""
    heads = [one.head for one in emulators.requests()]
    return bool(heads) and not any(gateway.key().encode() in head or b"placeholder" in head.lower() for head in heads)


Base = Callable[[Serving, str], str]
BASES: dict[str, Base] = {"plain": ways.plain, "TLS": ways.secure}


@pytest.mark.parametrize("base", BASES.values(), ids=BASES)
def test_openai(gateway: Serving, emulators: Emulators, base: Base) -> None:
    url = base(gateway, "/transparent/openai/v1")
    said = node("openai.mjs", {"OPENAI_BASE_URL": url, "OPENAI_API_KEY": gateway.key(), **trust(gateway)})
    assert "gpt-4o" in said["models"]
    assert said["whole"].startswith(SAYS)
    assert (said["streamed"], said["stored"]) == (said["whole"], 70_000)
    assert len(emulators.requests(openai.HOST)) == 4
    assert nothing_leaked(gateway, emulators)


@pytest.mark.parametrize("base", BASES.values(), ids=BASES)
@pytest.mark.parametrize("slot", ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"])
def test_anthropic(gateway: Serving, emulators: Emulators, base: Base, slot: str) -> None:
    url = base(gateway, "/transparent/anthropic")
    said = node("anthropic.mjs", {"ANTHROPIC_BASE_URL": url, slot: gateway.key(), **trust(gateway)})
    assert said["whole"].startswith(SAYS)
    assert said["streamed"] == said["whole"]
    assert len(emulators.requests(anthropic.HOST)) == 2
    assert nothing_leaked(gateway, emulators)


AWS: dict[str, Way] = {
    "proxy agent, dummy signature": lambda g: {"HTTPS_PROXY": g.proxy(), **DUMMY_KEYS},
    "proxy agent, key as bearer": lambda g: {"HTTPS_PROXY": g.url, "AWS_BEARER_TOKEN_BEDROCK": g.key()},
}


@pytest.mark.parametrize("way", AWS.values(), ids=AWS)
def test_aws(gateway: Serving, emulators: Emulators, way: Way) -> None:
    said = node("bedrock.mjs", {**way(gateway), **trust(gateway)})
    assert said["whole"].startswith(SAYS)
    assert (said["streamed"], said["stopped"]) == (said["whole"], "end_turn")
    assert len(emulators.requests(BEDROCK)) == 2
    assert nothing_leaked(gateway, emulators)
