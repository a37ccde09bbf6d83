"""F5: kill -9 at any moment under load loses no record that somebody was told of, and leaves nothing to repair."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from llmauth.audit.verify import verify
from llmauth.audit.writer import AuditLog
from llmauth.clock import SystemClock
from tests.fixtures.audits import lines_in, request_ids

# One process that has everything loaded, and forks one to be killed for each name that it reads. That one tells the
# number of each record whose ticket says that it is written; some of them have to reach the disk.
LOAD = """
import os, sys
from collections import deque
from pathlib import Path
from llmauth.audit.shared import append_once
from llmauth.audit.writer import AuditLog
from llmauth.clock import SystemClock
from llmauth.errors import Unavailable
from tests.fixtures.audits import administered, decided

def load(home, name):
    log = AuditLog(home, SystemClock(), rotate_at=300_000)
    log.start()
    os.write(1, b"up %d\\n" % os.getpid())
    waiting, number = deque(), 0
    while True:
        try:
            number += 1
            waiting.append((f"{name}-{number}", log.note(decided(f"{name}-{number}"), durable=number % 500 == 0)))
        except Unavailable:
            pass
        while waiting and waiting[0][1].written:
            os.write(1, waiting.popleft()[0].encode() + b"\\n")
        if number % 1000 == 0:
            append_once(home, administered(subject=f"{name}-{number}"))
            os.write(1, b"cli " + f"{name}-{number}".encode() + b"\\n")

for line in sys.stdin:
    pid = os.fork()
    if pid == 0:
        load(Path(sys.argv[1]), line.strip())
    os.waitpid(pid, 0)
    os.write(1, b"gone\\n")
"""


@contextmanager
def nursery(home: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The process that forks."""
    command = [sys.executable, "-c", LOAD, str(home)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as process:
        yield process


def kill_one(process: subprocess.Popen[bytes], name: str, after: float) -> list[str]:
    """What a process had confirmed when it was killed so long after its first record."""
    process.stdin.write(f"{name}\n".encode())
    told = b""
    while not told.endswith(b"\n"):
        told += process.stdout.read(1)
    word, pid = told.split()
    assert word == b"up"
    killer = threading.Timer(after, os.kill, (int(pid), signal.SIGKILL))
    killer.start()
    told = b""
    while not told.endswith(b"gone\n"):
        told += process.stdout.read(1 << 20)
    killer.join()
    return told.decode().splitlines()[:-1]


def kill_many(home: Path, count: int, seed: int) -> None:
    lots = random.Random(seed)
    confirmed: list[str] = []
    with nursery(home) as process:
        for number in range(count):
            confirmed += kill_one(process, f"p{number}", lots.uniform(0.0, 0.12))
            if number % 5 == 0:
                assert verify(home).faults == ()
            began = time.monotonic()
            log = AuditLog(home, SystemClock())
            log.start()
            assert time.monotonic() - began < 1.0
            assert log.stop()
    assert verify(home).faults == ()
    requests = {line for line in confirmed if not line.startswith("cli ")}
    commands = {line.removeprefix("cli ") for line in confirmed if line.startswith("cli ")}
    assert len(requests) > count * 10
    assert requests - set(request_ids_that_are_whole(home)) == set()
    assert commands - {told.get("subject") for told in whole_lines(home)} == set()


def whole_lines(home: Path) -> list[dict[str, object]]:
    """What is left of a line at the end of a file is none."""
    for file in (home / "audit").glob("*.jsonl"):
        content = file.read_bytes()
        file.write_bytes(content[: content.rfind(b"\n") + 1])
    return lines_in(home)


def request_ids_that_are_whole(home: Path) -> list[str]:
    whole_lines(home)
    return request_ids(home)


def test_twenty_kills_lose_nothing(tmp_path: Path) -> None:
    kill_many(tmp_path / "home", 20, seed=20)


@pytest.mark.soak
def test_a_hundred_kills_lose_nothing(tmp_path: Path) -> None:
    kill_many(tmp_path / "home", 100, seed=100)
