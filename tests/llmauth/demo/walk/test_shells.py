"""What callers hold, by the way that their SDKs are pointed."""

from __future__ import annotations

from llmauth.demo.walk.shells import TOKENS, Spoken, Step, saying
from tests.llmauth.demo.walk.samples import KEYS, shell_of


def test_an_sdk_behind_the_proxy_keeps_its_own_addresses_and_holds_no_key() -> None:
    variables = shell_of("alice").variables
    assert variables["HTTPS_PROXY"] == f"http://alice:{KEYS['alice']}@127.0.0.1:8080"
    assert not any("BASE_URL" in name or "ENDPOINT" in name for name in variables)
    assert KEYS["alice"] not in (variables["OPENAI_API_KEY"], variables["ANTHROPIC_API_KEY"])


def test_an_sdk_with_a_base_url_has_no_proxy() -> None:
    variables = shell_of("bob").variables
    assert "HTTPS_PROXY" not in variables
    assert {variables[name] for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "LLMAUTH_KEY")} == {KEYS["bob"]}


def test_a_call_that_no_provider_must_receive_is_the_gateways_own() -> None:
    assert Step(call="openai.models", spoken=Spoken(door="/v1", wanted=None)).ours
    assert not Step(call="openai.models").ours


def test_an_answer_is_known_before() -> None:
    assert saying("Claude").startswith("Hello from the emulated Claude :")
    assert len(saying("Claude").split(" ")) == TOKENS
