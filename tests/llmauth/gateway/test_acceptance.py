"""Whether a provider accepts a credential, asked of the emulated ones: only what is free is asked, and nothing told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from llmauth import providers
from llmauth.addresses import parse_authority
from llmauth.demo.behaviour import Behaviour
from llmauth.demo.emulators import Emulators
from llmauth.gateway.acceptance import accepted, free_path
from llmauth.outbound import Outbound
from llmauth.providers.base import ProviderHandler
from llmauth.secrets import ApiKey, AwsKeys, BearerToken, Credential, Secret


@pytest.fixture(scope="module")
def emulators() -> Iterator[Emulators]:
    with Emulators(pace=0.001, tokens=4) as running:
        yield running


@pytest.fixture(autouse=True)
def clear(emulators: Emulators) -> None:
    emulators.clear()


def handler(type_: str, **more: Any) -> ProviderHandler:
    return providers.build("one", providers.options_model(type_)(type=type_, **more))


def outbound(emulators: Emulators) -> Outbound:
    resolve = {host: parse_authority(place, 443) for host, place in emulators.resolve.items()}
    return Outbound(ca_file=emulators.ca_file, resolve=resolve)


def good(emulators: Emulators, type_: str) -> Credential:
    known = emulators.credentials
    if type_ == "bedrock":
        token = Secret(known.aws_session_token) if known.aws_session_token else None
        return AwsKeys(
            access_key_id=known.aws_access_key_id,
            secret_access_key=Secret(known.aws_secret_access_key),
            session_token=token,
        )
    return ApiKey(value=Secret(known.openai_key if type_ == "openai" else known.anthropic_key))


@pytest.mark.parametrize(
    ("type_", "call"),
    [("openai", "GET /v1/models"), ("anthropic", "GET /v1/models"), ("bedrock", "GET /foundation-models")],
)
def test_a_good_credential_is_accepted_by_a_call_that_is_free(emulators: Emulators, type_: str, call: str) -> None:
    told = accepted(handler(type_), good(emulators, type_), outbound(emulators))
    assert (told.outcome, told.call, told.status) == ("accepted", call, 200)
    assert [one.method for one in emulators.requests()] == [b"GET"]


@pytest.mark.parametrize("type_", ["openai", "anthropic", "bedrock"])
def test_a_wrong_one_is_refused_and_nothing_is_repeated(emulators: Emulators, type_: str) -> None:
    bad: Credential = ApiKey(value=Secret("sk-canary-7f3a"))
    if type_ == "bedrock":
        bad = AwsKeys(access_key_id="AKIAEXAMPLE", secret_access_key=Secret("canary-7f3a"))
    told = accepted(handler(type_), bad, outbound(emulators))
    assert told.outcome == "refused"
    assert "canary" not in repr(told)


def test_a_key_that_may_not_list_is_known_all_the_same(emulators: Emulators) -> None:
    emulators.behave("api.openai.com", Behaviour(status=403))
    assert accepted(handler("openai"), good(emulators, "openai"), outbound(emulators)).outcome == "forbidden"


def test_an_outage_says_nothing_of_the_credential(emulators: Emulators) -> None:
    emulators.behave("api.openai.com", Behaviour(status=503))
    assert accepted(handler("openai"), good(emulators, "openai"), outbound(emulators)).outcome == "untold"


def test_an_unreachable_provider_is_told_by_its_host() -> None:
    way = Outbound(resolve={"api.openai.com": parse_authority("127.0.0.1:1", 443)}, time_limit=1)
    told = accepted(handler("openai"), ApiKey(value=Secret("sk-canary-7f3a")), way)
    assert told.outcome == "unreached"
    assert "api.openai.com" in told.reason
    assert "canary" not in told.reason


def test_where_tokens_are_exchanged_nothing_more_is_asked(emulators: Emulators) -> None:
    told = accepted(
        handler("vertex", project="my-project", region="us-central1"), BearerToken(value=Secret("t")), Outbound()
    )
    assert (told.outcome, emulators.requests()) == ("untried", ())


def test_a_list_is_asked_for_where_it_is() -> None:
    azure = "https://resource.openai.azure.com"
    assert free_path(handler("azure", base_url=azure)) == "/openai/v1/models"
    assert free_path(handler("azure", base_url=azure, api_version="2024-10-21")) == (
        "/openai/models?api-version=2024-10-21"
    )
    assert free_path(handler("bedrock", base_url="https://bedrock-runtime.us-east-1.amazonaws.com")) is None
