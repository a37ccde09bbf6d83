"""The official clients of Vertex on every way, whole and streamed: none of them holds a credential of Google's."""

from __future__ import annotations

import pytest

from llmauth.demo.behaviour import Behaviour
from llmauth.demo.emulators import Emulators
from tests.e2e.clients import ways
from tests.e2e.clients.sdks import Sdks
from tests.e2e.clients.ways import Way
from tests.fixtures.clouds import VERTEX_EU, VERTEX_GLOBAL, VERTEX_US, VERTEX_WEST
from tests.fixtures.serving import Serving
from tests.llmauth.demo.clients import ClientProblem

PLACEHOLDER = "ya29.placeholder"
WRONG = "llmauth_AAAAAAAAAA_" + "B" * 43

GENAI = """
client = genai.Client(
    enterprise=True, project="demo-project", location=location, credentials=credentials.Credentials(token=token)
)
"""
EXPRESS = "client = genai.Client(enterprise=True, api_key=token)\n"
ASKED = """
asked = {"model": "gemini-2.5-flash", "contents": "hello"}
result = {
    "whole": client.models.generate_content(**asked).text,
    "streamed": "".join(piece.text for piece in client.models.generate_content_stream(**asked)),
    "counted": client.models.count_tokens(**asked).total_tokens,
    "embedded": len(client.models.embed_content(model="gemini-embedding-2", contents="a").embeddings[0].values),
}
"""
ASYNC = """
import asyncio

async def call():
    pieces = await client.aio.models.generate_content_stream(model="gemini-2.5-flash", contents="hello")
    return "".join([piece.text async for piece in pieces])

result = asyncio.run(call())
"""
ONE = "result = client.models.generate_content(model='gemini-2.5-flash', contents='hello').text"
CLAUDE = """
client = anthropic.AnthropicVertex(
    region=location, project_id="demo-project", access_token=token, max_retries=0
)
asked = {
    "model": "claude-sonnet-4-5@20250929", "max_tokens": 100, "messages": [{"role": "user", "content": "hello"}],
}
with client.messages.stream(**asked) as stream:
    streamed = "".join(stream.text_stream)
result = {
    "whole": client.messages.create(**asked).content[0].text,
    "streamed": streamed,
    "counted": client.messages.count_tokens(model=asked["model"], messages=asked["messages"]).input_tokens,
}
"""

# The environment, and what stands for the token.
WAYS: dict[str, tuple[Way, bool]] = {
    "key in the proxy URL": (ways.key_in_the_proxy, False),
    "key in the SDK": (ways.key_in_the_sdk, True),
    "key in both": (ways.key_in_the_proxy, True),
    "proxy over TLS": (ways.key_in_the_tls_proxy, False),
    "base URL": (
        lambda g: {
            "GOOGLE_VERTEX_BASE_URL": ways.plain(g, "/transparent/vertex"),
            "ANTHROPIC_VERTEX_BASE_URL": ways.plain(g, "/transparent/vertex/v1"),
        },
        True,
    ),
    "base URL over TLS": (
        lambda g: {
            "GOOGLE_VERTEX_BASE_URL": ways.secure(g, "/transparent/vertex_us"),
            "ANTHROPIC_VERTEX_BASE_URL": ways.secure(g, "/transparent/vertex-ai/v1"),
            **ways.trust(g),
        },
        True,
    ),
}
# The async half of google-genai speaks aiohttp, which knows no proxy over TLS and goes its own way.
ASYNC_WAYS = {name: way for name, way in WAYS.items() if name != "proxy over TLS"}
on_every_way = pytest.mark.parametrize(("way", "ours"), WAYS.values(), ids=WAYS)


def check_credentials(clouds: Serving, emulators: Emulators, host: str, *, key: bool = False) -> None:
    """Every request that arrived has Google's credential once, and nothing of the caller's."""
    token = [b"Bearer " + emulators.credentials.google_token.encode()]
    api_key = [emulators.credentials.google_key.encode()]
    seen = emulators.requests()
    assert {one.host for one in seen} == {one.sni for one in seen} == {host}
    for one in seen:
        assert (one.values("authorization"), one.values("x-goog-api-key")) == (([], api_key) if key else (token, []))
        assert clouds.key().encode() not in one.head
        assert PLACEHOLDER.encode() not in one.head


@on_every_way
def test_genai_is_answered(clouds: Serving, emulators: Emulators, cloud_sdks: Sdks, way: Way, ours: bool) -> None:
    token = clouds.key() if ours else PLACEHOLDER
    said = cloud_sdks.run(GENAI + ASKED, way(clouds), token=token, location="us-central1")
    assert said["whole"].startswith("Hello from the emulated Gemini")
    assert said["streamed"] == said["whole"]
    assert (said["counted"] > 0, said["embedded"]) == (True, 3072)
    check_credentials(clouds, emulators, VERTEX_US)
    assert emulators.requests()[1].target.endswith(b"/models/gemini-2.5-flash:streamGenerateContent?alt=sse")


@pytest.mark.parametrize(("way", "ours"), ASYNC_WAYS.values(), ids=ASYNC_WAYS)
def test_async_genai_is_answered(clouds: Serving, emulators: Emulators, cloud_sdks: Sdks, way: Way, ours: bool) -> None:
    token = clouds.key() if ours else PLACEHOLDER
    said = cloud_sdks.run(GENAI + ASYNC, way(clouds), token=token, location="us-central1")
    assert said.startswith("Hello from the emulated Gemini")
    check_credentials(clouds, emulators, VERTEX_US)


@on_every_way
def test_claude_is_answered(clouds: Serving, emulators: Emulators, cloud_sdks: Sdks, way: Way, ours: bool) -> None:
    token = clouds.key() if ours else PLACEHOLDER
    said = cloud_sdks.run(CLAUDE, way(clouds), token=token, location="us-central1")
    assert said["whole"].startswith("Hello from the emulated Claude")
    assert (said["streamed"], said["counted"] > 0) == (said["whole"], True)
    check_credentials(clouds, emulators, VERTEX_US)


@pytest.mark.parametrize(
    "way",
    [ways.key_in_the_sdk, lambda g: {"GOOGLE_VERTEX_BASE_URL": ways.plain(g, "/transparent/vertex_global")}],
    ids=["native host", "base URL"],
)
def test_express_mode_has_our_key_in_its_own_slot(
    clouds: Serving, emulators: Emulators, cloud_sdks: Sdks, way: Way
) -> None:
    said = cloud_sdks.run(EXPRESS + ASKED, way(clouds), token=clouds.key())
    assert said["streamed"] == said["whole"]
    check_credentials(clouds, emulators, VERTEX_GLOBAL, key=True)


@pytest.mark.parametrize(
    ("location", "host"), [("us-central1", VERTEX_US), ("europe-west4", VERTEX_WEST), ("eu", VERTEX_EU)]
)
def test_the_location_that_a_client_is_set_to_chooses_the_instance(
    clouds: Serving, emulators: Emulators, cloud_sdks: Sdks, location: str, host: str
) -> None:
    environ = ways.key_in_the_proxy(clouds)
    said = [cloud_sdks.run(code, environ, token=PLACEHOLDER, location=location) for code in (GENAI + ONE, CLAUDE)]
    assert "Gemini" in said[0]
    assert "Claude" in said[1]["whole"]
    check_credentials(clouds, emulators, host)


# ---- what goes wrong -------------------------------------------------------------------------------------------------


def problem(cloud_sdks: Sdks, code: str, environ: dict[str, str], token: str) -> ClientProblem:
    with pytest.raises(ClientProblem) as caught:
        cloud_sdks.run(code, environ, token=token, location="us-central1")
    return caught.value


def test_a_wrong_key_is_told(clouds: Serving, emulators: Emulators, cloud_sdks: Sdks) -> None:
    environ = dict(ways.key_in_the_sdk(clouds))
    raised = problem(cloud_sdks, GENAI + ONE, environ, WRONG)
    assert raised.kind == "ClientError"
    assert "401 UNAUTHENTICATED" in raised.message
    assert "The credential is not valid." in raised.message
    raised = problem(cloud_sdks, CLAUDE, environ, WRONG)
    assert (raised.kind, raised.status) == ("AuthenticationError", 401)
    assert "authentication_error" in raised.message
    assert emulators.connections == ()


def test_googles_own_refusals_pass(clouds: Serving, emulators: Emulators, cloud_sdks: Sdks) -> None:
    environ = dict(ways.key_in_the_sdk(clouds))
    for status, name in ((400, "INVALID_ARGUMENT"), (403, "PERMISSION_DENIED"), (429, "RESOURCE_EXHAUSTED")):
        emulators.behave(VERTEX_US, Behaviour(status=status))
        raised = problem(cloud_sdks, GENAI + ONE, environ, clouds.key())
        assert (raised.kind, f"{status} {name}" in raised.message) == ("ClientError", True)


@pytest.mark.parametrize(
    ("status", "reason"), [(401, None), (400, "API_KEY_INVALID"), (403, "ACCESS_TOKEN_SCOPE_INSUFFICIENT")]
)
@pytest.mark.parametrize("gzip", [False, True])
def test_a_refusal_of_our_credential_is_a_502(
    clouds: Serving, emulators: Emulators, cloud_sdks: Sdks, status: int, reason: str | None, gzip: bool
) -> None:
    environ = dict(ways.key_in_the_sdk(clouds))
    emulators.behave(VERTEX_US, Behaviour(status=status, error=reason, gzip=gzip), times=None)
    raised = problem(cloud_sdks, GENAI + ONE, environ, clouds.key())
    assert raised.kind == "ServerError"
    assert "502 INTERNAL" in raised.message
    assert "It is not your key." in raised.message
    raised = problem(cloud_sdks, CLAUDE, environ, clouds.key())
    assert (raised.kind, raised.status) == ("InternalServerError", 502)
    assert "api_error" in raised.message
