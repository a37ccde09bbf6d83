"""The official clients of Azure OpenAI on every way, whole and streamed: none of them holds a key of the resource."""

from __future__ import annotations

import pytest

from llmauth.demo.behaviour import Behaviour
from llmauth.demo.emulators import Emulators
from tests.e2e.clients import ways
from tests.e2e.clients.sdks import Sdks
from tests.e2e.clients.ways import Way
from tests.fixtures.clouds import AZURE_EU, AZURE_US
from tests.fixtures.serving import Serving

PLACEHOLDER = "0123456789abcdef-placeholder"
SAYS = "Hello from the emulated"
WRONG = "llmauth_AAAAAAAAAA_" + "B" * 43

ASKED = """
asked = {"model": "chat-4o", "messages": [{"role": "user", "content": "hello"}]}
result = {
    "whole": client.chat.completions.create(**asked).choices[0].message.content,
    "streamed": "".join(
        chunk.choices[0].delta.content or ""
        for chunk in client.chat.completions.create(**asked, stream=True) if chunk.choices
    ),
    "embedding": len(client.embeddings.create(model="embed", input="a").data[0].embedding),
    "models": [model.id for model in client.models.list()],
    "stored": client.files.create(file=("a.jsonl", b"x" * 70_000), purpose="batch").bytes,
}
"""
CLASSIC = "client = openai.AzureOpenAI(max_retries=0)" + ASKED
ENTRA = "client = openai.AzureOpenAI(max_retries=0, azure_ad_token_provider=lambda: token)" + ASKED
V1 = "client = openai.OpenAI(max_retries=0)" + ASKED
ASYNC = """
import asyncio

async def call():
    async with openai.AsyncAzureOpenAI(max_retries=0) as client:
        asked = {"model": "chat-4o", "messages": [{"role": "user", "content": "hello"}]}
        stream = await client.chat.completions.create(**asked, stream=True)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])

result = asyncio.run(call())
"""


def classic(endpoint: str) -> dict[str, str]:
    return {"AZURE_OPENAI_ENDPOINT": endpoint, "OPENAI_API_VERSION": "2024-10-21"}


NATIVE = classic(f"https://{AZURE_US}")
WAYS: dict[str, Way] = {
    "key in the proxy URL": lambda g: {**ways.key_in_the_proxy(g), **NATIVE, "AZURE_OPENAI_API_KEY": PLACEHOLDER},
    "key in the SDK": lambda g: {**ways.key_in_the_sdk(g), **NATIVE, "AZURE_OPENAI_API_KEY": g.key()},
    "key in both": lambda g: {**ways.key_in_the_proxy(g), **NATIVE, "AZURE_OPENAI_API_KEY": g.key()},
    "proxy over TLS": lambda g: {**ways.key_in_the_tls_proxy(g), **NATIVE, "AZURE_OPENAI_API_KEY": PLACEHOLDER},
    "base URL": lambda g: {**classic(ways.plain(g, "/transparent/azure")), "AZURE_OPENAI_API_KEY": g.key()},
    "base URL over TLS": lambda g: {
        **classic(ways.secure(g, "/transparent/azure-openai")),
        "AZURE_OPENAI_API_KEY": g.key(),
        **ways.trust(g),
    },
}
on_every_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


def check_credentials(clouds: Serving, emulators: Emulators, host: str, *, token: bool = False) -> None:
    """Every request that arrived has the resource's credential once, and nothing of the caller's."""
    credentials = emulators.credentials
    name, value = (
        ("authorization", f"Bearer {credentials.azure_token}") if token else ("api-key", credentials.azure_key)
    )
    other = "api-key" if token else "authorization"
    seen = emulators.requests()
    assert {one.host for one in seen} == {one.sni for one in seen} == {host}
    for one in seen:
        assert (one.values(name), one.values(other)) == ([value.encode()], [])
        assert clouds.key().encode() not in one.head
        assert PLACEHOLDER.encode() not in one.head


def check_said(said: dict[str, object]) -> None:
    assert str(said["whole"]).startswith(SAYS)
    assert said["streamed"] == said["whole"]
    assert (said["embedding"], said["stored"]) == (1536, 70_000)
    assert "gpt-4o" in str(said["models"])


@on_every_way
def test_the_azure_client_is_answered(clouds: Serving, emulators: Emulators, cloud_sdks: Sdks, way: Way) -> None:
    check_said(cloud_sdks.run(CLASSIC, way(clouds)))
    check_credentials(clouds, emulators, AZURE_US)
    targets = [one.target.decode() for one in emulators.requests()]
    assert targets[0] == "/openai/deployments/chat-4o/chat/completions?api-version=2024-10-21"
    assert targets[-1] == "/openai/files?api-version=2024-10-21"


@on_every_way
def test_the_async_azure_client_is_answered(clouds: Serving, emulators: Emulators, cloud_sdks: Sdks, way: Way) -> None:
    assert cloud_sdks.run(ASYNC, way(clouds)).startswith(SAYS)
    check_credentials(clouds, emulators, AZURE_US)


@pytest.mark.parametrize("ours", [False, True], ids=["a placeholder", "our key"])
def test_a_token_provider_gives_what_stands_for_a_token(
    clouds: Serving, emulators: Emulators, cloud_sdks: Sdks, ours: bool
) -> None:
    way = ways.key_in_the_sdk if ours else ways.key_in_the_proxy
    token = clouds.key() if ours else "eyJ0eXAiOiJKV1QifQ.e30.placeholder"
    check_said(cloud_sdks.run(ENTRA, {**way(clouds), **NATIVE}, token=token))
    check_credentials(clouds, emulators, AZURE_US)


V1_WAYS: dict[str, tuple[Way, str]] = {
    "native host": (
        lambda g: {
            **ways.key_in_the_sdk(g),
            "OPENAI_BASE_URL": f"https://{AZURE_EU}/openai/v1",
            "OPENAI_API_KEY": g.key(),
        },
        AZURE_EU,
    ),
    "another name of the resource": (
        lambda g: {
            **ways.key_in_the_proxy(g),
            "OPENAI_BASE_URL": "https://demo-eu.openai.azure.com/openai/v1/",
            "OPENAI_API_KEY": PLACEHOLDER,
        },
        "demo-eu.openai.azure.com",
    ),
    "base URL": (
        lambda g: {"OPENAI_BASE_URL": ways.plain(g, "/transparent/azure_eu/openai/v1"), "OPENAI_API_KEY": g.key()},
        AZURE_EU,
    ),
    "base URL without the root": (
        lambda g: {"OPENAI_BASE_URL": ways.plain(g, "/transparent/azure_eu"), "OPENAI_API_KEY": g.key()},
        AZURE_EU,
    ),
}


@pytest.mark.parametrize(("way", "host"), V1_WAYS.values(), ids=V1_WAYS)
def test_a_plain_openai_client_is_answered_at_v1(
    clouds: Serving, emulators: Emulators, cloud_sdks: Sdks, way: Way, host: str
) -> None:
    check_said(cloud_sdks.run(V1, way(clouds)))
    check_credentials(clouds, emulators, host, token=True)
    assert emulators.requests()[0].target == b"/openai/v1/chat/completions"


# ---- what goes wrong -------------------------------------------------------------------------------------------------

REFUSED = """
try:
    openai.AzureOpenAI(max_retries=0).chat.completions.create(
        model="chat-4o", messages=[{"role": "user", "content": "hello"}], stream=True
    )
except openai.APIStatusError as raised:
    result = {"kind": type(raised).__name__, "status": raised.status_code, "code": raised.code, "body": raised.body}
"""


def test_a_wrong_key_is_told(clouds: Serving, emulators: Emulators, cloud_sdks: Sdks) -> None:
    environ = {**ways.key_in_the_sdk(clouds), **NATIVE, "AZURE_OPENAI_API_KEY": WRONG}
    raised = cloud_sdks.run(REFUSED, environ)
    assert (raised["kind"], raised["status"], raised["code"]) == ("AuthenticationError", 401, "invalid_api_key")
    assert "The credential is not valid." in raised["body"]["message"]
    assert emulators.connections == ()


def test_the_resources_own_refusals_pass(clouds: Serving, emulators: Emulators, cloud_sdks: Sdks) -> None:
    refusals = {
        (400, "content_filter"): "BadRequestError",
        (403, "403"): "PermissionDeniedError",
        (404, "DeploymentNotFound"): "NotFoundError",
    }
    for (status, code), kind in refusals.items():
        emulators.behave(AZURE_US, Behaviour(status=status, error=code))
        raised = cloud_sdks.run(REFUSED, WAYS["key in the SDK"](clouds))
        assert (raised["kind"], raised["status"], raised["code"]) == (kind, status, code)


def test_a_refusal_of_our_credential_is_a_502(clouds: Serving, emulators: Emulators, cloud_sdks: Sdks) -> None:
    emulators.behave(AZURE_US, Behaviour(status=401))
    raised = cloud_sdks.run(REFUSED, WAYS["base URL"](clouds))
    assert (raised["kind"], raised["status"], raised["code"]) == ("InternalServerError", 502, "credential_rejected")
    assert "It is not your key." in raised["body"]["message"]
