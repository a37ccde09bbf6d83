"""Several gateways over one PostgreSQL or Redis: what one is told counts at all, and what an outage ends."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

import pyotp
import pytest

from llmauth.config.stores import open_store
from llmauth.demo.emulators import Emulators
from llmauth.storage.registry import KeyRegistry
from tests.fixtures.calls import JSON, OPENAI, code, eventually, get
from tests.fixtures.postgres import PostgresServer
from tests.fixtures.raw import Answer, Wire, tunnel
from tests.fixtures.redis_server import DURABLE, RedisServer
from tests.fixtures.serving import Serving

MODELS = "/transparent/openai/v1/models"
Serve = Callable[..., Serving]
Server = PostgresServer | RedisServer


@pytest.fixture(scope="module", params=["postgresql", "redis"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """One of our own, that may be stopped."""
    with PostgresServer() if request.param == "postgresql" else RedisServer(**DURABLE) as running:
        yield running


def emptied(server: Server) -> str:
    if isinstance(server, PostgresServer):
        return server.url(server.fresh())
    assert server.say("FLUSHALL") == "+OK"
    return server.url


@pytest.fixture
def replica(serve: Serve, server: Server, tmp_path: Path) -> Callable[[], Serving]:
    """One more gateway over the same database, with the sealing key that all have."""
    url, sealing = emptied(server), tmp_path / "sealing.key"
    sealing.touch(0o600)
    sealing.write_text("6b" * 32)
    return lambda: serve(storage={"url": url, "sealing_key_file": str(sealing), "stale_after": "4s"})


def status(gateway: Serving, *headers: tuple[str, str]) -> int:
    return get(gateway, MODELS, *headers).status


def log_in(gateway: Serving, key: str, totp_code: str) -> Answer:
    body = json.dumps({"api_key": key, "totp_code": totp_code}).encode()
    with Wire(gateway.port, timeout=20) as wire:
        return wire.request("POST", "/auth/login", [("Host", "gateway"), JSON], body)


def is_refused(wire: Wire) -> bool:
    return wire.request("GET", "/v1/models", [("Host", OPENAI)]).status == 401


def store_of(gateway: Serving) -> KeyRegistry:
    return open_store(gateway.settings())


def test_what_is_done_at_one_counts_at_the_other(replica: Callable[[], Serving], emulators: Emulators) -> None:
    """A5, A6: keys, codes, sessions and revocations, in open tunnels too."""
    one, other = replica(), replica()
    key = one.llmauth("keys", "create", "ci").strip()
    assert [status(each, ("X-API-Key", key)) for each in (one, other)] == [200, 200]
    seed = json.loads(other.llmauth("keys", "enrol-totp", "ci", "--json"))["secret"]
    eventually(lambda: status(one, ("X-API-Key", key)) == 401, timeout=1)
    now = pyotp.TOTP(seed).at(int(time.time()))
    first, again = log_in(one, key, now), log_in(other, key, now)
    assert (first.status, again.status) == (200, 401)
    token = json.loads(first.body)["session_token"]
    with ExitStack() as opened:
        wires = [opened.enter_context(tunnel(each.port, OPENAI, token, each.ca_file)) for each in (one, other)]
        assert [wire.request("GET", "/v1/models", [("Host", OPENAI)]).status for wire in wires] == [200, 200]
        store = opened.enter_context(closing(store_of(other)))
        store.revoke("ci")
        revoked = time.monotonic()
        for wire, gateway in zip(wires, (one, other), strict=True):
            eventually(partial(is_refused, wire), timeout=2)
            assert status(gateway, ("X-Session-Token", token)) == 401
        assert time.monotonic() - revoked < 1.0


def test_an_outage_ends_administration_first_then_all_and_nothing_for_good(
    replica: Callable[[], Serving], server: Server, emulators: Emulators
) -> None:
    """F2: for `stale_after` callers go on and nothing is changed or used up; then all get 503, until it is back."""
    gateway = replica()
    store = store_of(gateway)
    known, unknown = (("X-API-Key", store.create(name)[1].reveal()) for name in ("known", "unknown"))
    _, second = store.create("second")
    seed = store.enrol("second").secret.reveal()
    store.close()
    assert status(gateway, known) == 200
    server.stop()
    stopped = time.monotonic()
    try:
        eventually(lambda: json.loads(get(gateway, "/ready").body)["keys"] == "last_known", timeout=3)
        assert get(gateway, "/ready").status == 200
        assert status(gateway, known) == 200
        refused = log_in(gateway, second.reveal(), pyotp.TOTP(seed).at(int(time.time())))
        assert (refused.status, code(refused)) == (503, "unavailable")
        assert time.monotonic() - stopped < 3.5, "within the time that what is known is good for"
        assert status(gateway, ("X-API-Key", "llmauth_" + "a" * 10 + "_" + "b" * 38)) == 401
        eventually(lambda: status(gateway, known) == 503, timeout=6)
        assert 3.5 < time.monotonic() - stopped < 7
        ready = get(gateway, "/ready")
        assert (ready.status, json.loads(ready.body)["keys"]) == (503, "unreadable")
        assert get(gateway, "/health").status == 200
    finally:
        server.start()
    assert eventually(lambda: status(gateway, known) == 200, timeout=15) < 15
    assert status(gateway, unknown) == 200
    assert log_in(gateway, second.reveal(), pyotp.TOTP(seed).at(int(time.time()))).status == 200
    assert server.password not in gateway.log()
