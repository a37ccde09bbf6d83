"""F5: a gateway that is killed under load has lost nothing that a caller was told, and serves again within 5 s."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

import pytest

from llmauth.config.stores import open_store
from llmauth.demo.emulators import Emulators
from llmauth.storage.registry import KeyRegistry
from tests.fixtures.calls import JSON, eventually, get
from tests.fixtures.raw import Wire
from tests.fixtures.serving import Serving, start

MODELS = "/transparent/openai/v1/models"
RESTARTED_WITHIN = 5.0
Serve = Callable[..., Serving]


@dataclass
class Told:
    """What callers and operators were told before the kill."""

    sessions: list[str] = field(default_factory=list)
    used: list[tuple[str, str]] = field(default_factory=list)
    made: list[str] = field(default_factory=list)
    revoked: list[str] = field(default_factory=list)


def log_in(gateway: Serving, key: str, code: str) -> tuple[int, str]:
    body = json.dumps({"api_key": key, "totp_code": code}).encode()
    with Wire(gateway.port, timeout=10) as wire:
        answer = wire.request("POST", "/auth/login", [("Host", "gateway"), JSON], body)
    return answer.status, json.loads(answer.body).get("session_token", "")


def people_log_in(gateway: Serving, store: KeyRegistry, told: Told, over: threading.Event) -> None:
    """Each with a new key, until its backup codes are used up."""
    for number in range(1000):
        name = f"person-{gateway.process.pid}-{number}"
        _, key = store.create(name)
        for code in store.enrol(name).backup_codes:
            if over.is_set():
                return
            status, token = log_in(gateway, key.reveal(), code.reveal())
            if status == 200:
                told.sessions.append(token)
                told.used.append((key.reveal(), code.reveal()))


def programs_call(gateway: Serving, key: str, over: threading.Event) -> None:
    with Wire(gateway.port, timeout=10) as wire:
        while not over.is_set():
            wire.request("GET", MODELS, [("Host", "gateway"), ("X-API-Key", key)])


def operators_work(gateway: Serving, store: KeyRegistry, told: Told, over: threading.Event) -> None:
    for number in range(1000):
        if over.is_set():
            return
        name = f"program-{gateway.process.pid}-{number}"
        _, key = store.create(name)
        if number % 2:
            store.revoke(name)
            told.revoked.append(key.reveal())
        else:
            told.made.append(key.reveal())


@contextmanager
def load(gateway: Serving, key: str, store: KeyRegistry, told: Told) -> Iterator[None]:
    over = threading.Event()

    def run(work: Callable[[], None]) -> None:
        with suppress(OSError, EOFError, ValueError, AssertionError):  # the gateway was killed, which is the point
            work()

    works = [
        lambda: people_log_in(gateway, store, told, over),
        lambda: programs_call(gateway, key, over),
        lambda: operators_work(gateway, store, told, over),
    ]
    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def require_all(gateway: Serving, told: Told) -> None:
    for token in told.sessions:
        assert get(gateway, MODELS, ("X-Session-Token", token)).status == 200
    for key, code in told.used[-3:]:
        assert log_in(gateway, key, code)[0] == 401
    for key in told.made:
        assert get(gateway, MODELS, ("X-API-Key", key)).status == 200
    for key in told.revoked:
        assert get(gateway, MODELS, ("X-API-Key", key)).status == 401


def _has_many(told: Told, sessions: int) -> bool:
    return len(told.sessions) >= sessions


def kill_many(serve: Serve, emulators: Emulators, rounds: int, storage: dict[str, str]) -> None:
    gateway = serve(storage=storage)
    lots, store = random.Random(rounds), open_store(gateway.settings())
    key = gateway.key()
    try:
        for _ in range(rounds):
            told = Told()
            with load(gateway, key, store, told):
                eventually(partial(_has_many, told, lots.randint(1, 6)), timeout=20)
                time.sleep(lots.uniform(0.0, 0.05))
                gateway.stop(9)
            began = time.monotonic()
            gateway = start(gateway.config.parent, emulators, storage=storage)
            assert time.monotonic() - began < RESTARTED_WITHIN
            require_all(gateway, told)
    finally:
        store.close()
        gateway.stop()


@pytest.fixture(params=["sqlite", "redis"])
def storage(request: pytest.FixtureRequest) -> dict[str, str]:
    """Where the gateway keeps its keys."""
    return {"url": request.getfixturevalue("durable_redis_url")} if request.param == "redis" else {}


def test_killed_under_load_it_has_lost_nothing(serve: Serve, emulators: Emulators, storage: dict[str, str]) -> None:
    kill_many(serve, emulators, 3, storage)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_killed_a_hundred_times_it_has_lost_nothing(
    serve: Serve, emulators: Emulators, storage: dict[str, str]
) -> None:
    kill_many(serve, emulators, 100, storage)
