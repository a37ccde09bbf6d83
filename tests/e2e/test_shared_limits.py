"""Servers that share a Redis or a PostgreSQL: limits hold over all of them, through its outage, and back again."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from llmauth.demo.behaviour import Behaviour
from llmauth.demo.emulators import Emulators
from tests.e2e.test_governance import ask
from tests.fixtures.calls import OPENAI
from tests.fixtures.redis_server import RedisServer
from tests.fixtures.serving import Serving

Serve = Callable[..., Serving]
POLICIES = {"users": {"fay": {"rpm": 5}, "one": {"concurrent": 4}}}


def two(serve: Serve, url: str) -> tuple[Serving, Serving]:
    first, second = [serve(policies=POLICIES, storage={"limits_url": url}) for _ in range(2)]
    return first, second


def spread(gateways: tuple[Serving, ...], user: str, count: int) -> Counter[int]:
    """The statuses of so many calls, spread over these servers and begun in one moment."""
    keys = [gateway.key(user) for gateway in gateways]
    ready, statuses = threading.Barrier(count), Counter[int]()

    def call(at: int) -> None:
        ready.wait()
        statuses[ask(gateways[at], keys[at]).status] += 1

    callers = [threading.Thread(target=call, args=(number % len(gateways),)) for number in range(count)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    return statuses


@pytest.fixture(params=["redis", "postgres"])
def url(request: Any) -> str:
    found: str = request.getfixturevalue(f"{request.param}_url")
    return found


def test_requests_a_minute_hold_over_all_servers(serve: Serve, url: str) -> None:
    gateways = two(serve, url)
    assert spread(gateways, "fay", 25) == {200: 5, 429: 20}
    for gateway in gateways:
        said = next(line["message"] for line in gateway.lines() if line["message"].startswith("Limits are"))
        assert said.startswith("Limits are shared through ")
        assert url.partition("@")[0].rpartition(":")[2] not in gateway.log()


def test_what_runs_is_counted_over_all_and_comes_free(serve: Serve, emulators: Emulators, url: str) -> None:
    gateways = two(serve, url)
    emulators.behave(OPENAI, Behaviour(first_byte_delay=1.0), times=20)
    assert spread(gateways, "one", 20) == {200: 4, 429: 16}
    emulators.clear()
    time.sleep(0.1)  # what ended is told a moment later
    assert spread(gateways, "one", 4) == {200: 4}


def test_an_outage_of_redis_is_bridged_and_passes(serve: Serve) -> None:
    """F2: limits degrade, traffic does not; and nobody restarts anything."""
    with RedisServer() as server:
        gateway = serve(policies=POLICIES, storage={"limits_url": server.url})
        key = gateway.key("fay")
        assert ask(gateway, key).status == 200
        server.stop()
        assert [ask(gateway, key).status for _ in range(6)] == [200] * 5 + [429]  # counted alone, anew
        assert "For 60 s this process counts alone" in gateway.log()
        server.start()
        end = time.monotonic() + 15
        while "Limits are shared again" not in gateway.log():
            assert time.monotonic() < end
        assert ask(gateway, key).status == 200
