"""The page that a client's own way through us is proved by, over real sockets: it costs nothing, and opens nothing."""

from __future__ import annotations

import json

import pytest

from addons.checkup import CHECKUP
from llmauth.demo.emulators import Emulators
from llmauth.rules import Rules
from llmauth.storage.stores import open_keys
from tests.fixtures.raw import Wire, tunnel
from tests.fixtures.serving import Serving

OPENAI = "api.openai.com"
HOST = [("Host", OPENAI)]


@pytest.fixture(autouse=True)
def nothing_is_asked_of_a_provider(emulators: Emulators) -> object:
    yield
    assert emulators.connections == ()


def test_it_is_answered_inside_a_providers_tunnel_and_on_the_gateways_door(gateway: Serving) -> None:
    with tunnel(gateway.port, OPENAI, gateway.key(), gateway.ca_file) as wire:
        inside = wire.request("GET", CHECKUP, [*HOST, ("Authorization", "Bearer sk-placeholder")])
        again = wire.request("HEAD", CHECKUP, HOST)
    assert json.loads(inside.body)["host"] == OPENAI
    assert (inside.status, again.status, inside.header("cache-control")) == (200, 200, "no-store")
    with Wire(gateway.port) as wire:
        outside = wire.request("GET", CHECKUP, [("Host", "gateway"), ("X-API-Key", gateway.key())])
    assert json.loads(outside.body)["door"] == "gateway"


def test_without_a_credential_or_with_a_wrong_one_it_is_refused_as_everything_is(gateway: Serving) -> None:
    with tunnel(gateway.port, OPENAI, None, gateway.ca_file) as wire:
        unknown = wire.request("GET", CHECKUP, HOST)
    with tunnel(gateway.port, OPENAI, None, gateway.ca_file) as wire:
        wrong = wire.request("GET", CHECKUP, [*HOST, ("Authorization", "Bearer llmauth_aaaaaaaa_wrong")])
    with Wire(gateway.port) as wire:
        at_door = wire.request("GET", CHECKUP, [("Host", "gateway")])
    assert [answer.status for answer in (unknown, wrong, at_door)] == [401, 401, 401]
    assert b"version" not in unknown.body + wrong.body + at_door.body


def test_a_key_that_may_do_nothing_gets_nothing_else(gateway: Serving) -> None:
    """What is lent for a check: with no instance, no host and no model it opens this page, and no other."""
    store = open_keys(gateway.settings().storage.url)
    rules = Rules(models=(), instances=(), hosts=())
    record, key = store.create("nothing-allowed", rules=rules)
    try:
        with tunnel_unless_refused(gateway, key.reveal()) as wire:
            page = wire.request("GET", CHECKUP, [*HOST, ("X-API-Key", key.reveal())])
            models = wire.request("GET", "/v1/models", [*HOST, ("X-API-Key", key.reveal())])
    finally:
        store.revoke(record.id)
        store.close()
    assert (page.status, models.status) == (200, 403)


def tunnel_unless_refused(gateway: Serving, key: str) -> Wire:
    """Its CONNECT proves nobody: the policy would refuse it the host."""
    wire = Wire(gateway.port)
    assert wire.connect(f"{OPENAI}:443", None).status == 200
    return wire.start_tls(OPENAI, gateway.ca_file)


def test_a_path_that_only_looks_like_it_goes_to_the_provider_with_what_every_path_has(gateway: Serving) -> None:
    """And one head that two readers would take for two requests is refused as everywhere."""
    with tunnel(gateway.port, OPENAI, gateway.key(), gateway.ca_file) as wire:
        framing = [*HOST, ("Content-Length", "4"), ("Transfer-Encoding", "chunked")]
        smuggled = wire.request("GET", CHECKUP, framing)
    with tunnel(gateway.port, OPENAI, gateway.key(), gateway.ca_file) as wire:
        elsewhere = wire.request("GET", CHECKUP, [("Host", "api.anthropic.com")])
    assert (smuggled.status, elsewhere.status) == (400, 421)
