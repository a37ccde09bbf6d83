"""Policies and limits as users of the official SDKs meet them: the exception that they catch, and a second try."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import pytest

from llmauth.config.stores import open_store
from llmauth.demo.emulators import Emulators
from llmauth.rules import Rules
from tests.e2e.clients import ways
from tests.e2e.clients.sdks import Sdks
from tests.e2e.clients.test_problems import ANTHROPIC, BEDROCK, DUMMY, HOSTS, OPENAI, problem
from tests.fixtures.raw import Wire
from tests.fixtures.serving import Serving

sdk = pytest.mark.parametrize("sdk", HOSTS, ids=["openai", "anthropic", "boto3"])


def key_for(gateway: Serving, name: str, **rules: Any) -> str:
    store = open_store(gateway.settings())
    try:
        return store.create(name, rules=Rules(**rules))[1].reveal()
    finally:
        store.close()


def in_the_proxy(gateway: Serving, key: str) -> Mapping[str, str]:
    return {"HTTPS_PROXY": gateway.proxy(key), **ways.trust(gateway)}


@sdk
def test_a_limit_is_a_rate_limit_error(gateway: Serving, emulators: Emulators, sdks: Sdks, sdk: str) -> None:
    key = key_for(gateway, f"sdk-rpm-{HOSTS[sdk]}", rpm=1)
    environ = in_the_proxy(gateway, key)
    sdks.run(sdk, {**DUMMY, **environ}, key="sk-placeholder", header=None, stream=False)
    raised = problem(sdks, sdk, environ)
    assert (raised.kind, raised.status) == ("ThrottlingException" if sdk is BEDROCK else "RateLimitError", 429)
    assert "1 requests per minute" in raised.message
    assert len(emulators.requests()) == 1


@sdk
def test_a_model_is_a_matter_of_permission(gateway: Serving, emulators: Emulators, sdks: Sdks, sdk: str) -> None:
    """Where the model stands in the body it is read for such a caller, and nothing has left before."""
    allowed = key_for(gateway, f"sdk-model-{HOSTS[sdk]}", models=("gpt-4o*", "claude-*", "anthropic.claude-3-sonnet*"))
    sdks.run(sdk, {**DUMMY, **in_the_proxy(gateway, allowed)}, key="sk-placeholder", header=None, stream=False)
    assert len(emulators.requests()) == 1
    refused = key_for(gateway, f"sdk-other-{HOSTS[sdk]}", models=("something-else",))
    raised = problem(sdks, sdk, in_the_proxy(gateway, refused))
    assert (raised.kind, raised.status) == ("AccessDeniedException" if sdk is BEDROCK else "PermissionDeniedError", 403)
    assert "Allowed: something-else" in raised.message
    assert len(emulators.requests()) == 1


@pytest.mark.parametrize("sdk", [OPENAI, ANTHROPIC], ids=["openai", "anthropic"])
def test_an_sdk_waits_as_it_was_told_and_succeeds(gateway: Serving, emulators: Emulators, sdks: Sdks, sdk: str) -> None:
    key = key_for(gateway, f"sdk-wait-{HOSTS[sdk]}", rpm=60)
    fields = [("Host", "gateway"), ("X-API-Key", key)]
    with Wire(gateway.port) as wire:
        statuses = [wire.request("GET", "/transparent/openai/v1/models", fields).status for _ in range(61)]
    assert 429 in statuses
    emulators.clear()
    patient = sdk.replace("max_retries=0", "max_retries=3")
    began = time.monotonic()
    sdks.run(patient, {**DUMMY, **in_the_proxy(gateway, key)}, key="sk-placeholder", header=None, stream=False)
    assert time.monotonic() - began < 10
    assert len(emulators.requests()) == 1
