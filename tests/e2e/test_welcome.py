"""The front page on the wire: for somebody whom a load balancer has logged in, and for nobody who was not let in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from llmauth.demo.emulators import Emulators
from tests.emulators.load_balancer import ARN, REGION, LoadBalancerKeys
from tests.fixtures.raw import Answer, Wire, tunnel
from tests.fixtures.serving import Serving, start

FIELD = "X-Amzn-Oidc-Data"
BROWSER = ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
ATTACK = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def keys() -> Iterator[LoadBalancerKeys]:
    with LoadBalancerKeys(tls=()) as keys:
        yield keys


@pytest.fixture(scope="module")
def behind(
    tmp_path_factory: pytest.TempPathFactory, shared_emulators: Emulators, keys: LoadBalancerKeys
) -> Iterator[Serving]:
    alb = {"type": "alb", "region": REGION, "signer": ARN, "key_url": keys.url, "trusted_peers": ["127.0.0.1/32"]}
    claims = {"claims": {"user": "username", "groups": "groups"}}
    serving = start(
        tmp_path_factory.mktemp("alb"),
        shared_emulators,
        auth={"methods": ["api_key", {**alb, **claims}]},
        server={"gateway_hosts": ["llm.internal"]},
    )
    yield serving
    serving.stop()


def ask(gateway: Serving, *headers: tuple[str, str], method: str = "GET", target: str = "/") -> Answer:
    with Wire(gateway.port) as wire:
        return wire.request(method, target, [("Host", "llm.example.com"), *headers])


def test_a_browser_is_told_who_it_is(behind: Serving, keys: LoadBalancerKeys) -> None:
    answer = ask(behind, (FIELD, keys.field(groups=["research"])), BROWSER)
    assert answer.status == 200, answer.body
    assert answer.header("content-type") == "text/html; charset=utf-8"
    body = answer.body.decode()
    assert "alice" in body
    assert "research" in body
    # Not the load balancer's name, which opens no tunnels.
    assert f"llmauth join http://llm.internal:{behind.port}" in body


@pytest.mark.parametrize("claims", [{"groups": [ATTACK]}, {"username": ATTACK}, {"username": "a</dd>b"}])
def test_claims_that_are_an_attack_reach_no_browser_as_one(
    behind: Serving, keys: LoadBalancerKeys, claims: dict[str, Any]
) -> None:
    answer = ask(behind, (FIELD, keys.field(**claims)), BROWSER)
    assert answer.status in (200, 401)
    assert ATTACK.encode() not in answer.body
    assert b"a</dd>b" not in answer.body


def test_what_must_not_be_kept_or_framed(behind: Serving, keys: LoadBalancerKeys) -> None:
    answer = ask(behind, (FIELD, keys.field()), BROWSER)
    assert answer.header("cache-control") == "no-store"
    assert answer.header("vary") == "Accept"
    assert "frame-ancestors 'none'" in (answer.header("content-security-policy") or "")
    assert keys.field().split(".")[2] not in answer.body.decode()


def test_a_program_is_told_the_same_as_json(behind: Serving) -> None:
    answer = ask(behind, ("X-API-Key", behind.key()), ("Accept", "*/*"))
    assert answer.header("content-type") == "application/json"
    assert json.loads(answer.body)["user"] == "test"


def test_the_host_that_a_client_names_is_text_too(behind: Serving) -> None:
    with Wire(behind.port) as wire:
        answer = wire.request("GET", "/", [("Host", "x'\"<script>"), ("X-API-Key", behind.key()), BROWSER])
    assert answer.status == 400
    assert b"<script>" not in answer.body or answer.header("content-type") == "application/json"


@pytest.mark.parametrize("headers", [(), (("X-API-Key", "llmauth_a_b"),), ((FIELD, "e30.e30.e30"),)])
def test_nobody_else_learns_that_there_is_a_page(behind: Serving, headers: tuple[tuple[str, str], ...]) -> None:
    answer = ask(behind, BROWSER, *headers)
    assert answer.status == 401
    assert answer.header("content-type") == "application/json"
    assert b"llmauth join" not in answer.body


def test_it_is_no_page_of_a_provider(behind: Serving, emulators: Emulators) -> None:
    """`/` of a host that is reached through the proxy stays the provider's."""
    with tunnel(behind.port, "api.openai.com", behind.key(), behind.ca_file) as wire:
        answer = wire.request("GET", "/", [("Host", "api.openai.com"), BROWSER])
    assert b"LLM Proxy Auth" not in answer.body
    assert [one.target for one in emulators.requests()] == [b"/"]


def test_other_methods_are_none_of_it(behind: Serving) -> None:
    assert ask(behind, ("X-API-Key", behind.key()), BROWSER, method="POST").status == 404
    head = ask(behind, ("X-API-Key", behind.key()), BROWSER, method="HEAD")
    assert (head.status, head.body) == (200, b"")
