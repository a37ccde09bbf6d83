"""F5, R6: kill -9 at any moment under load loses no key, revocation or use of a code that somebody was told of."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pyotp
import pytest

from llmauth.storage.keys import KeyRecord
from llmauth.storage.sealing import SealingKey
from llmauth.storage.stores import open_keys
from tests.fixtures.postgres import PostgresServer
from tests.fixtures.redis_server import DURABLE, RedisServer

AT = 1_800_000_000.0
OPENED_WITHIN = 2.0
# Forks a process for each word it reads, which works until it is killed, and tells each thing that was done after it
# was done. A line is one write, so that none is ever half there.
LOAD = """
import itertools, os, sys
from pathlib import Path
import psycopg, pyotp, redis
from llmauth.storage.home import StateError
from llmauth.storage.sealing import SealingKey
from llmauth.storage.stores import open_keys

def tell(*words):
    os.write(1, " ".join(map(str, words)).encode() + b"\\n")

def work(name, location, home, at=1_800_000_000.0):
    store = open_keys(location, sealing=SealingKey(Path(home)))
    tell("up")
    for number in itertools.count():
        called = f"{name}-{number}"
        record, _ = store.create(called)
        tell("made", called, record.id)
        enrolment = store.enrol(called)
        seed = enrolment.secret.reveal()
        tell("enrolled", called, seed)
        for step in (0, 2):
            code = pyotp.TOTP(seed).generate_otp(int(at // 30) + step)
            assert store.prove_factor(record.id, code, at + 30 * step).outcome == "accepted"
            tell("used", called, code, at + 30 * step)
        backup = enrolment.backup_codes[0].reveal()
        assert store.prove_factor(record.id, backup, at).outcome == "accepted"
        tell("used", called, backup, at)
        new, _ = store.rotate(called)
        tell("replaced", called, record.id, new.id)
        if number % 3 == 0:
            store.revoke(called)
            tell("revoked", called, new.id)
        if number % 3 == 1:
            for _ in range(5):
                store.prove_factor(new.id, "no code", at)
            tell("locked", called, seed)

for line in sys.stdin:
    if line == "over\\n":
        try:
            while True:
                os.waitpid(-1, 0)
        except ChildProcessError:
            tell("over")
            continue
    pid = os.fork()
    if pid == 0:
        try:
            work(line.strip(), *sys.argv[1:])
        except StateError:
            tell("gone")
        os._exit(0)
    tell("began", pid)
"""


class Workers:
    """Processes that change the keys as fast as they can, two at a time; `told` is all that they said was done."""

    def __init__(self, location: str, home: Path) -> None:
        command = [sys.executable, "-c", LOAD, location, str(home)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.told: list[list[str]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def begin(self, *names: str) -> list[int]:
        """The processes, once each has opened the store."""
        self._say(*names)
        pids, up = [], 0
        while up < len(names):
            word, *rest = self._line()
            pids += [int(rest[0])] if word == "began" else []
            up += word == "up"
        return pids

    def hear(self, count: int) -> None:
        """Let them work until they have told so many things more."""
        for _ in range(count):
            self._line()

    def over(self) -> None:
        """Wait until each has ended."""
        self._say("over")
        while self._line() != ["over"]:
            pass

    def _say(self, *lines: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("".join(f"{line}\n" for line in lines))
        self._process.stdin.flush()

    def _line(self) -> list[str]:
        assert self._process.stdout is not None
        words = self._process.stdout.readline().split()
        assert words, "the process that starts the others has ended"
        self.told.append(words)
        return words


class Opened:
    """The store as whoever comes after finds it."""

    def __init__(self, location: str, home: Path) -> None:
        began = time.monotonic()
        self.store = open_keys(location, sealing=SealingKey(home))
        records = self.store.list()
        assert time.monotonic() - began < OPENED_WITHIN
        self.records = {each.id: each for each in records}
        self._living = {each.name: each for each in records if each.revoked is None}

    def holds(self, words: list[str]) -> bool:
        """Whether what somebody was told is true."""
        match words:
            case ["made", _, key_id]:
                return key_id in self.records
            case ["replaced", name, old, new]:
                return self._ended(old) and self.records[new].name == name
            case ["revoked", name, key_id]:
                return self._ended(key_id) and name not in self._living
            case ["enrolled", name, _]:
                return self._factor_of(name, "no code", AT - 3600) != "none"
            case ["used", name, code, at]:
                return self._factor_of(name, code, float(at)) in ("wrong", "locked", "ended")
            case ["locked", name, seed]:
                code = pyotp.TOTP(seed).generate_otp(int(AT // 30) + 4)
                return self._factor_of(name, code, AT + 10) == "locked"
        return True

    def _ended(self, key_id: str) -> bool:
        return self.records[key_id].revoked is not None

    def _factor_of(self, name: str, code: str, at: float) -> str:
        key: KeyRecord | None = self._living.get(name)
        return "ended" if key is None else self.store.prove_factor(key.id, code, at).outcome


def require_all(told: list[list[str]], location: str, home: Path) -> int:
    """The revision, when everything that was told is true."""
    # Looking whether a factor is there is a wrong code, and five of those would lock it: what a lock hides comes first.
    order = ["made", "replaced", "revoked", "used", "locked", "enrolled"]
    opened = Opened(location, home)
    try:
        known = sorted((words for words in told if words[0] in order), key=lambda words: order.index(words[0]))
        assert [words for words in known if not opened.holds(words)] == []
        return opened.store.version()[1]
    finally:
        opened.store.close()


def kill_many(location: str, home: Path, rounds: int) -> None:
    lots, revision = random.Random(rounds), 0
    with Workers(location, home) as workers:
        for number in range(rounds):
            for pid in workers.begin(f"a{number}", f"b{number}"):
                workers.hear(lots.randint(0, 12))
                time.sleep(lots.uniform(0.0, 0.01))
                os.kill(pid, signal.SIGKILL)
            workers.over()
            later = require_all(workers.told, location, home)
            assert later >= revision
            revision = later
            workers.told.clear()
    assert revision > rounds, "they worked until they were killed"


def test_twenty_kills_lose_nothing(location: str, home: Path) -> None:
    kill_many(location, home, 20)


@pytest.mark.soak
def test_a_hundred_kills_lose_nothing(location: str, home: Path) -> None:
    kill_many(location, home, 100)


@pytest.fixture(scope="module", params=["postgresql", "redis"])
def server(request: pytest.FixtureRequest) -> Iterator[PostgresServer | RedisServer]:
    """One of our own, that may be killed."""
    with PostgresServer() if request.param == "postgresql" else RedisServer(**DURABLE) as running:
        yield running


def kill_servers(server: PostgresServer | RedisServer, home: Path, rounds: int) -> None:
    location = server.url if isinstance(server, RedisServer) else server.url(server.fresh())
    lots = random.Random(rounds)
    open_keys(location).close()
    with Workers(location, home) as workers:
        for number in range(rounds):
            workers.begin(f"a{number}", f"b{number}")
            workers.hear(lots.randint(10, 40))
            server.stop()
            workers.over()
            server.start()
            require_all(workers.told, location, home)
            assert ["gone"] in workers.told
            workers.told.clear()


def test_a_server_that_is_killed_loses_nothing(server: PostgresServer | RedisServer, home: Path) -> None:
    kill_servers(server, home, 3)


@pytest.mark.soak
def test_a_server_that_is_killed_fifty_times_loses_nothing(server: PostgresServer | RedisServer, home: Path) -> None:
    kill_servers(server, home, 50)
