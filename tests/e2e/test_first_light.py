"""The shortest walk: a caller with a key gets a real answer through each door, one without gets none."""

from __future__ import annotations

import json

from llmauth.demo.emulators import Emulators
from tests.fixtures.raw import Wire, tunnel
from tests.fixtures.serving import Serving

CHAT = json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]}).encode()
JSON = ("Content-Type", "application/json")


def test_a_gateway_path_is_answered_by_the_provider(gateway: Serving, emulators: Emulators) -> None:
    with Wire(gateway.port) as wire:
        headers = [("Host", "gateway"), ("Authorization", f"Bearer {gateway.key()}"), JSON]
        answer = wire.request("POST", "/transparent/openai/v1/chat/completions", headers, CHAT)
    assert answer.status == 200
    (seen,) = emulators.requests()
    assert seen.body == CHAT
    assert seen.values("authorization") == [b"Bearer " + emulators.credentials.openai_key.encode()]


def test_a_native_host_is_answered_through_a_tunnel(gateway: Serving, emulators: Emulators) -> None:
    with tunnel(gateway.port, "api.openai.com", gateway.key(), gateway.ca_file) as wire:
        headers = [("Host", "api.openai.com"), ("Authorization", "Bearer sk-placeholder"), JSON]
        answer = wire.request("POST", "/v1/chat/completions", headers, CHAT)
    assert answer.status == 200
    assert emulators.requests()[0].body == CHAT


def test_nobody_without_a_key_reaches_a_provider(gateway: Serving, emulators: Emulators) -> None:
    with Wire(gateway.port) as wire:
        answer = wire.request("POST", "/transparent/openai/v1/chat/completions", [("Host", "gateway"), JSON], CHAT)
    assert answer.status == 401
    assert json.loads(answer.body)["error"]["code"] == "invalid_api_key"
    assert emulators.connections == ()
