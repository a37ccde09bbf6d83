"""A real gateway without a master: its routers, keys and credentials, and nothing that listens or dials."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from addons.exchange import Exchanges
from llmauth.config.settings import read_settings
from llmauth.gateway import Gateway
from llmauth.storage.keys import KeyStore

CONFIG = {
    "server": {"gateway_hosts": ["llm.internal"]},
    "instances": {
        "openai": {"type": "openai"},
        "anthropic": {"type": "anthropic"},
        "bare": {
            "type": "openai",
            "base_url": "https://bare.openai.com/v1",
            "authentication": {"strategies": [{"type": "environment", "variable": "NOT_THERE"}]},
        },
    },
}


@dataclass(frozen=True, slots=True)
class House:
    """A started gateway, the memory that the addons share, and a key."""

    gateway: Gateway
    exchanges: Exchanges
    keys: KeyStore
    key: str


@pytest.fixture
def sections() -> dict[str, Any]:
    """What a test's configuration has besides: for tests that say otherwise."""
    return {}


@pytest.fixture
async def house(tmp_path: Path, sections: dict[str, Any]) -> AsyncIterator[House]:
    """Started, with credentials for `openai` and `anthropic`, and none for `bare`."""
    config = tmp_path / "gateway.yaml"
    config.write_text(json.dumps({**CONFIG, **sections}))
    home = tmp_path / "home"
    environ = {"LLMAUTH_HOME": str(home), "OPENAI_API_KEY": "sk-ours", "ANTHROPIC_API_KEY": "sk-ant-ours"}
    settings = read_settings([config], environ)
    gateway = Gateway(settings, environ)
    keys = KeyStore(settings.storage.url)
    key = keys.create("alice")[1].reveal()
    gateway.start()
    yield House(gateway, Exchanges(), keys, key)
    keys.close()
    gateway.close()


@pytest.fixture
def exchanges() -> Exchanges:
    return Exchanges()
