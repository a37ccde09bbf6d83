"""Callers with a token and no key: of an OpenID provider, Cognito, a load balancer, and people by `llmauth login`."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from llmauth import cli
from llmauth.cli.device import DeviceFlow
from llmauth.demo.emulators import Emulators
from tests.e2e.clients.sdks import Sdks
from tests.e2e.clients.test_bedrock import SONNET
from tests.e2e.clients.ways import plain, trust
from tests.emulators.cognito import HOST as COGNITO
from tests.emulators.cognito import Cognito
from tests.emulators.load_balancer import ARN, REGION, LoadBalancerKeys
from tests.fixtures.calls import eventually
from tests.fixtures.openid import TERMINAL, OpenIdProvider
from tests.fixtures.raw import Wire, tunnel
from tests.fixtures.serving import Serving, start
from tests.llmauth.demo.clients import ClientProblem

AUDIENCE, SUBJECT = "llm-proxy", "build-agent"
PATH = "/transparent/openai/v1/models"
FIELD = "X-Amzn-Oidc-Data"
PLACEHOLDER = "sk-placeholder"

OPENAI = """
client = openai.OpenAI(max_retries=0, default_headers=more)
asked = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]}
chunks = client.chat.completions.create(**asked, stream=True)
result = [
    client.chat.completions.create(**asked).choices[0].message.content,
    "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices),
]
"""
ANTHROPIC = """
client = anthropic.Anthropic(max_retries=0, default_headers=more)
asked = {"model": "claude-sonnet-4-5", "max_tokens": 99, "messages": [{"role": "user", "content": "hello"}]}
with client.messages.stream(**asked) as stream:
    result = [client.messages.create(**asked).content[0].text, "".join(stream.text_stream)]
"""

BEDROCK = """
client = boto3.client("bedrock-runtime", region_name="us-east-1")
said = client.converse(modelId=model, messages=[{"role": "user", "content": [{"text": "hello"}]}])
result = said["output"]["message"]["content"][0]["text"]
"""


@dataclass(frozen=True)
class House:
    """A gateway for tokens of a real provider, of Cognito where it can be emulated, and of a load balancer."""

    gateway: Serving
    provider: OpenIdProvider
    cognito: Cognito | None
    keys: LoadBalancerKeys

    def token(self, audience: str = AUDIENCE) -> str:
        return self.provider.token(SUBJECT, audience)

    def tokens(self, user: str, client_id: str | None = None) -> tuple[str, str]:
        """Access and id token of Cognito."""
        pytest.importorskip("joserfc", reason="moto's Cognito signs with it")
        assert self.cognito is not None
        return self.cognito.tokens(user, client_id)

    def users(self, count: int) -> set[tuple[Any, ...]]:
        """Who made the last of the requests that are logged."""
        return {(line.get("user"), line["status"]) for line in self.gateway.lines("request")[-count:]}


def _cognito(stack: ExitStack) -> Cognito | None:
    if find_spec("joserfc") is None:
        return None
    pool = stack.enter_context(Cognito())
    pool.sign_up("alice", "team-a")
    return pool


@pytest.fixture(scope="module")
def own_house(tmp_path_factory: pytest.TempPathFactory, shared_emulators: Emulators) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("callers")
    with ExitStack() as stack:
        provider = stack.enter_context(OpenIdProvider([SUBJECT]))
        keys = stack.enter_context(LoadBalancerKeys(tls=()))
        cognito = _cognito(stack)
        gateway = start(folder, shared_emulators, **_sections(folder, shared_emulators, provider, keys, cognito))
        stack.callback(gateway.stop)
        house = House(gateway, provider, cognito, keys)
        first = [house.token(), *(() if cognito is None else cognito.tokens("alice"))]
        eventually(lambda: all(status(gateway, ("Authorization", f"Bearer {one}")) == 200 for one in first), 10)
        yield house


def _sections(
    folder: Path, emulators: Emulators, provider: OpenIdProvider, keys: LoadBalancerKeys, cognito: Cognito | None
) -> dict[str, Any]:
    load_balancer = {"type": "alb", "region": REGION, "signer": ARN, "key_url": keys.url}
    methods: list[Any] = [
        "api_key",
        {"type": "oidc", "issuer": provider.issuer, "audience": [AUDIENCE, TERMINAL]},
        {**load_balancer, "trusted_peers": ["127.0.0.1/32"], "claims": {"user": "username"}},
    ]
    resolve = dict(emulators.resolve)
    if cognito is not None:
        ours = {"audience": [cognito.client_id], "client_ids": [cognito.client_id]}
        ca_file = str(cognito.write_ca(folder))
        claims = {"groups": "cognito:groups"}
        methods.append({"type": "oidc", "issuer": cognito.issuer, "ca_file": ca_file, "claims": claims, **ours})
        resolve[COGNITO] = f"127.0.0.1:{cognito.port}"
    return {"auth": {"methods": methods}, "upstream": {"resolve": resolve}}


@pytest.fixture
def house(own_house: House, emulators: Emulators) -> House:
    return own_house


def status(gateway: Serving, *headers: tuple[str, str], source: str = "127.0.0.1") -> int:
    """What a call by path is answered with, from an address of this machine."""
    with Wire(gateway.port) as wire:
        wire.sock.close()
        wire._sock = socket.create_connection(("127.0.0.1", gateway.port), 10, source_address=(source, 0))
        return wire.request("GET", PATH, [("Host", "gateway"), *headers]).status


def by_password(house: House, token: str) -> Mapping[str, str]:
    """The token as the password of the proxy's URL; what the SDKs hold are placeholders."""
    held = {"OPENAI_API_KEY": PLACEHOLDER, "ANTHROPIC_API_KEY": PLACEHOLDER}
    return {"HTTPS_PROXY": house.gateway.proxy(token), **held, **trust(house.gateway)}


def as_key(house: House, token: str) -> Mapping[str, str]:
    """The proxy's URL without anything, and the token where the SDKs keep their keys (Bearer, and X-API-Key)."""
    held = {"OPENAI_API_KEY": token, "ANTHROPIC_API_KEY": token}
    return {"HTTPS_PROXY": house.gateway.url, **held, **trust(house.gateway)}


def as_bearer(house: House, token: str) -> Mapping[str, str]:
    """The same, with the token where Anthropic's SDK keeps a bearer."""
    return {**as_key(house, token), "ANTHROPIC_API_KEY": "", "ANTHROPIC_AUTH_TOKEN": token}


def by_path(house: House, token: str) -> Mapping[str, str]:
    """Base URLs of the gateway."""
    return {
        "OPENAI_BASE_URL": plain(house.gateway, "/transparent/openai/v1"),
        "OPENAI_API_KEY": token,
        "ANTHROPIC_BASE_URL": plain(house.gateway, "/transparent/anthropic"),
        "ANTHROPIC_AUTH_TOKEN": token,
    }


WAYS = pytest.mark.parametrize("way", [by_password, as_key, as_bearer, by_path])


def call(sdks: Sdks, environ: Mapping[str, str], more: Mapping[str, str] | None = None) -> None:
    for code in (OPENAI, ANTHROPIC):
        assert all("Hello from the emulated" in text for text in sdks.run(code, environ, more=more or {}))


def nothing_left(emulators: Emulators, *tokens: str) -> None:
    """Of four calls each came with the provider's key, and with no part of a token."""
    sent = emulators.requests()
    assert len(sent) == 4
    for request in sent:
        told = b"\n".join(name + b": " + value for name, value in request.headers)
        assert not any(part.encode() in told for token in tokens for part in token.split(".") if part)
        assert b"x-amzn-oidc" not in told.lower()


# ---- a real provider -------------------------------------------------------------------------------------------------


@WAYS
def test_a_token_of_a_provider(sdks: Sdks, house: House, emulators: Emulators, way: Any) -> None:
    token = house.token()
    call(sdks, way(house, token))
    nothing_left(emulators, token)
    assert house.users(4) == {(SUBJECT, 200)}
    assert token not in house.gateway.log()


def test_a_token_in_the_place_of_bedrocks_own(sdks: Sdks, house: House, emulators: Emulators) -> None:
    """boto3 sends a Bedrock API key as a bearer; the gateway signs in its place."""
    token = house.token()
    environ = {"HTTPS_PROXY": house.gateway.url, "AWS_BEARER_TOKEN_BEDROCK": token, **trust(house.gateway)}
    assert "Hello from the emulated" in sdks.run(BEDROCK, environ, model=SONNET)
    (sent,) = emulators.requests()
    assert sent.values("authorization")[0].startswith(b"AWS4-HMAC-SHA256 ")
    assert house.users(1) == {(SUBJECT, 200)}


@WAYS
def test_a_token_for_somebody_else(sdks: Sdks, house: House, emulators: Emulators, way: Any) -> None:
    for code in (OPENAI, ANTHROPIC):
        # Of a proxy that refuses a CONNECT the SDKs tell no more than that there is no connection.
        with pytest.raises(ClientProblem, match=r"401|not valid|Connection error|407"):
            sdks.run(code, way(house, house.token("somebody-else")), more={})
    assert emulators.requests() == ()


def test_a_key_that_the_provider_takes_back_ends_open_connections(house: House, emulators: Emulators) -> None:
    """A5: what was proved on a connection or for a tunnel lasts no longer than the key that proved it."""
    old, host = house.token(), ("Host", "api.openai.com")
    bearer = [("Host", "gateway"), ("Authorization", f"Bearer {old}")]
    with (
        Wire(house.gateway.port) as wire,
        tunnel(house.gateway.port, "api.openai.com", old, house.gateway.ca_file) as inner,
    ):
        for _ in range(2):
            assert wire.request("GET", PATH, bearer).status == 200
            assert inner.request("GET", "/v1/models", [host]).status == 200
        house.provider.rotate()
        fresh = ("Authorization", f"Bearer {house.token()}")
        # A key unheard of is looked for at once, and so that of before is known to be gone.
        assert status(house.gateway, fresh) == 200
        assert wire.request("GET", PATH, bearer).status == 401
        assert inner.request("GET", "/v1/models", [host]).status == 401
    assert status(house.gateway, fresh) == 200


# ---- Cognito ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [0, 1], ids=["access token", "id token"])
@pytest.mark.parametrize("way", [by_password, by_path])
def test_a_token_of_cognito(sdks: Sdks, house: House, emulators: Emulators, way: Any, kind: int) -> None:
    token = house.tokens("alice")[kind]
    call(sdks, way(house, token))
    nothing_left(emulators, token)
    ((user, number),) = house.users(4)
    assert (number, user.count("-")) == (200, 4), "the `sub` of a pool is a UUID"
    assert who(house, token)["groups"] == ["team-a"]


def test_a_token_of_another_application_of_the_pool(house: House, emulators: Emulators) -> None:
    house.tokens("alice")
    assert house.cognito is not None
    for token in house.tokens("alice", house.cognito.other_client_id):
        assert status(house.gateway, ("Authorization", f"Bearer {token}")) == 401
    assert emulators.connections == ()


# ---- a load balancer -------------------------------------------------------------------------------------------------


def test_whom_a_load_balancer_has_logged_in(sdks: Sdks, house: House, emulators: Emulators) -> None:
    """The SDKs hold placeholders, and the load balancer before the gateway adds its field to each request."""
    field = house.keys.field(sub="1234", username="bob")
    added = {FIELD: field, "X-Amzn-Oidc-Identity": "1234", "X-Amzn-Oidc-Accesstoken": "header.claims.signature"}
    call(sdks, by_path(house, PLACEHOLDER), added)
    nothing_left(emulators, field, "header.claims.signature")
    assert house.users(4) == {("bob", 200)}


def test_the_same_field_from_anybody_else(house: House, emulators: Emulators) -> None:
    """It was seen and copied: from another address it is a field like any other, with and without a placeholder."""
    field = (FIELD, house.keys.field(username="bob"))
    assert status(house.gateway, field) == 200
    emulators.clear()
    for more in ([], [("Authorization", f"Bearer {PLACEHOLDER}")], [("X-Forwarded-For", "127.0.0.1")]):
        assert status(house.gateway, field, *more, source="127.0.0.2") == 401
    assert emulators.connections == ()
    # Beside a key of its own it says nothing, and goes nowhere.
    assert status(house.gateway, field, ("X-API-Key", house.gateway.key("carol")), source="127.0.0.2") == 200
    assert house.users(1) == {("carol", 200)}
    assert emulators.requests()[0].values("x-amzn-oidc-data") == []


def test_a_key_beside_it_must_be_of_the_same_user(house: House) -> None:
    field = (FIELD, house.keys.field(username="bob"))
    assert status(house.gateway, field, ("X-API-Key", house.gateway.key("bob"))) == 200
    assert status(house.gateway, field, ("X-API-Key", house.gateway.key("carol"))) == 403


# ---- people ----------------------------------------------------------------------------------------------------------


def who(house: House, credential: str) -> dict[str, Any]:
    with Wire(house.gateway.port) as wire:
        fields = [("Host", "gateway"), ("Authorization", f"Bearer {credential}")]
        told: dict[str, Any] = json.loads(wire.request("GET", "/auth/whoami", fields).body)
    return told


def test_a_person_logs_in_and_calls(
    sdks: Sdks, house: House, emulators: Emulators, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`llmauth login`, a browser that agrees, `HTTPS_PROXY` as it is printed, and an SDK that knows of nothing."""
    monkeypatch.delenv("LLMAUTH_CONFIG", raising=False)
    agreed: list[str] = []

    def agree(_: float) -> None:
        if not agreed:
            agreed.append(capsys.readouterr().err.partition("enter the code ")[2].split()[0])
            house.provider.decide(agreed[0], "dora")

    monkeypatch.setattr("llmauth.cli.login.DeviceFlow", partial(DeviceFlow, sleep=agree))
    words = ["--proxy", house.gateway.url, "--issuer", house.provider.issuer, "--client-id", TERMINAL]
    assert cli.main(["login", *words, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    call(sdks, {**by_password(house, ""), "HTTPS_PROXY": printed["https_proxy"]})
    nothing_left(emulators, printed["session_token"])
    assert house.users(4) == {("dora", 200)}
    for name in ("LLMAUTH_KEY", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(os.environ, "HTTPS_PROXY", printed["https_proxy"])
    assert cli.main(["whoami"]) == 0
    assert capsys.readouterr().out.startswith("dora, by session")
