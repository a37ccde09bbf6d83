"""The demo's configuration is one that the gateway reads without a warning, and holds no secret."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from llmauth.config.settings import read_settings
from llmauth.demo.credentials import DemoCredentials
from llmauth.demo.walk import configuration, protocol

CREDENTIALS = DemoCredentials.random()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    folder = tmp_path / 'a "strange" folder: {x}'
    folder.mkdir()
    resolve = {"api.openai.com": "127.0.0.1:9443"}
    return configuration.write(folder, port=8081, ca_file=folder / "ca.pem", resolve=resolve, credentials=CREDENTIALS)


def test_is_read_as_it_is_meant(config: Path) -> None:
    settings = read_settings([config], {"LLMAUTH_HOME": str(config.parent)})
    assert settings.server.port == 8081
    assert settings.upstream.ca_file == config.parent / "ca.pem"
    assert str(settings.upstream.resolve["api.openai.com"]) == "127.0.0.1:9443"
    assert list(settings.instances) == ["openai", "anthropic", "bedrock_us1", "bedrock_eu1", "vertex_us1"]
    assert {name: (entry.instance, entry.model) for name, entry in settings.models.items()} == protocol.MODELS
    assert settings.hosts.keys() == {protocol.REROUTED}
    assert settings.warnings == settings.unavailable == ()


def test_the_file_holds_no_credential_and_the_key_beside_it_is_private(config: Path) -> None:
    text, key = config.read_text(), config.parent / "anthropic-key"
    assert CREDENTIALS.anthropic_key not in text
    assert not any(value and value in text for value in configuration.variables(CREDENTIALS).values())
    assert key.read_text() == CREDENTIALS.anthropic_key
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
