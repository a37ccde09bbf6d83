"""The same tests for each place of keys: a file of SQLite, a real PostgreSQL, and a real Redis."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from llmauth.clock import Clock, ManualClock
from llmauth.storage.registry import KeyRegistry
from llmauth.storage.sealing import SealingKey
from llmauth.storage.stores import open_keys
from tests.fixtures.kept_keys import Kept, KeptInRedis, KeptInTables

Rows = list[tuple[Any, ...]]
# Loaded once and forked: what is tested is not how long a start takes. `go` returns when all have called it, or ended.
AT_ONCE = """
{program}
import os
count = int(sys.argv.pop(1))
ready, begin, told, begun = *os.pipe(), *os.pipe()
for number in range(count):
    if os.fork() == 0:
        os.close(begun)
        status = 1
        try:
            work(number, lambda: (os.write(begin, b"."), os.read(told, 1)))
            status = 0
        finally:
            os._exit(status)
waiting = count
while waiting:
    waiting -= len(os.read(ready, waiting))
os.close(begun)
sys.exit(max(os.waitstatus_to_exitcode(os.wait()[1]) for _ in range(count)))
"""


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The state folder, where the sealing key will be."""
    return tmp_path / "state"


def _place(request: pytest.FixtureRequest, home: Path) -> str:
    if request.param == "sqlite":
        return str(home / "keys.db")
    return request.getfixturevalue("postgres_url" if request.param == "postgresql" else "durable_redis_url")


@pytest.fixture(params=["sqlite", "postgresql", "redis"])
def location(request: pytest.FixtureRequest, home: Path) -> str:
    """Where a store may be opened, any number of times."""
    return _place(request, home)


@pytest.fixture(params=["sqlite", "postgresql"])
def tables(request: pytest.FixtureRequest, home: Path) -> str:
    """Where a database may be opened, any number of times."""
    return _place(request, home)


@pytest.fixture
def opened(location: str, home: Path, clock: ManualClock) -> Iterator[Callable[..., KeyRegistry]]:
    """Opens the store once more, as another process would; with another clock, or another sealing key."""
    stores: list[KeyRegistry] = []

    def open_(at: Clock = clock, sealing: SealingKey | None = None) -> KeyRegistry:
        stores.append(open_keys(location, at, sealing=sealing or SealingKey(home)))
        return stores[-1]

    yield open_
    for each in stores:
        each.close()


@pytest.fixture
def store(opened: Callable[..., KeyRegistry]) -> KeyRegistry:
    return opened()


@pytest.fixture
def raw(location: str) -> Callable[[str], Rows]:
    """Runs one statement as somebody else would, past the store."""

    def run(statement: str) -> Rows:
        if location.startswith("postgresql:"):
            with psycopg.connect(location) as connection:
                cursor = connection.execute(statement.encode())
                return cursor.fetchall() if cursor.description else []
        with closing(sqlite3.connect(location)) as file, file:
            return list(file.execute(statement))

    return run


@pytest.fixture
def kept(location: str, raw: Callable[[str], Rows]) -> Kept:
    """What a place holds, as somebody else sees and changes it, past the store."""
    return KeptInRedis(location) if location.startswith("redis:") else KeptInTables(raw)


@pytest.fixture
def at_once() -> Callable[..., list[str]]:
    """Runs a program's `work(number, go)` in so many processes at once; the lines that they wrote."""

    def run(count: int, program: str, *arguments: str) -> list[str]:
        command = [sys.executable, "-c", AT_ONCE.format(program=program), str(count), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.splitlines()

    return run
