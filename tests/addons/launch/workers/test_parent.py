"""The parent over real processes that do next to nothing; those that serve are in tests/e2e/test_workers.py."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.fixtures.calls import eventually
from tests.fixtures.serving import ROOT, environment

# Lives of children: each tells on standard output what becomes of it.
PRELUDE = """
import json, os, signal, sys, time, logging
logging.basicConfig(level="INFO", stream=sys.stdout, format="%(message)s %(worker)s %(status)s",
                    **{"force": True})
logging.getLogger().handlers[0].formatter._style._defaults = {"worker": "", "status": ""}
from addons.launch.workers import parent as module
module._GRACE = 0.3

def tell(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

def say(line, word, **more):
    line.sendall(json.dumps({"say": word, **more}).encode() + b"\\n")

def heard(line):
    file = line.makefile("rb")
    for text in file:
        yield json.loads(text)

def helper(first, line):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    say(line, "ready")
    for message in heard(line):
        tell("helper", message["say"])
        return 0
    tell("helper orphaned")
    return 0

def worker(number):
    def life(first, line):
        tell("up", number, os.getpid(), "first" if first else "")
        say(line, "ready")
        for message in heard(line):
            if message["say"] == "count":
                say(line, "counts", metrics=[])
            elif message["say"] == "drain":
                tell("drains", number)
                return 0
        tell("orphaned", number)
        return 0
    return life

class Reloading:
    is_under_way, due = False, float("inf")

    def go_on(self, workers):
        pass

    def ended(self, worker):
        pass

    def want(self, why):
        tell("reload", why)

def run(lives, helper=helper, limit=5.0):
    parent = module.Parent(
        lives,
        helper,
        limit=lambda: limit,
        shut=lambda: tell("shut"),
        reloading=Reloading(),
        ready=lambda: tell("all ready"),
    )
    status = parent.run()
    tell("status", status)
    sys.exit(status)
"""


class Process:
    """A parent with these lives, and what was told so far."""

    def __init__(self, script: str, output: Path) -> None:
        self._output = output
        with output.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-c", PRELUDE + script],
                env=environment(PYTHONPATH=str(ROOT)),
                cwd=ROOT,
                stdout=file,
                stderr=file,
            )

    def lines(self, beginning: str = "") -> list[str]:
        return [line.strip() for line in self._output.read_text().splitlines() if line.startswith(beginning)]

    def until(self, beginning: str, count: int = 1) -> list[str]:
        eventually(lambda: len(self.lines(beginning)) >= count or self.process.poll() is not None, timeout=10)
        found = self.lines(beginning)
        assert len(found) >= count, self.lines()
        return found

    def pids(self) -> list[int]:
        return [int(line.split()[2]) for line in self.lines("up")]

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(10)


Run = Callable[[str], Process]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    begun: list[Process] = []

    def begin(script: str) -> Process:
        begun.append(Process(script, tmp_path / f"output-{len(begun)}"))
        return begun[-1]

    yield begin
    for one in begun:
        one.process.kill()
        one.process.wait()
        for pid in one.pids():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def test_the_first_goes_ahead_and_all_end_together(run: Run) -> None:
    parent = run("run([worker(1), worker(2), worker(3)])")
    parent.until("all ready")
    first, *others = parent.lines("up")
    assert first.startswith("up 1 ")
    assert first.endswith("first")
    assert not any(line.endswith("first") for line in others)
    assert parent.stop() == 0
    assert sorted(parent.lines("drains")) == ["drains 1", "drains 2", "drains 3"]
    lines = parent.lines()
    # Ports are shut before anybody drains, and who counts for the workers ends after them.
    assert lines.index("shut") < min(lines.index(f"drains {number}") for number in (1, 2, 3))
    assert lines.index("helper end") > max(lines.index(f"drains {number}") for number in (1, 2, 3))


def test_one_that_ends_is_started_again(run: Run) -> None:
    parent = run("run([worker(1), worker(2)])")
    parent.until("all ready")
    victim = parent.pids()[0]
    os.kill(victim, signal.SIGKILL)
    parent.until("A worker serves again")
    parent.until("A process ended; another one takes its place 1 -9")
    assert len(parent.lines("up 1")) == 2
    assert not parent.lines("up 1")[1].endswith("first")
    assert parent.stop(signal.SIGINT) == 0


@pytest.mark.parametrize(("ends", "status"), [("return 2", 2), ("return 1", 1), ("os.kill(os.getpid(), 9)", 1)])
def test_what_keeps_the_first_from_serving_ends_all(run: Run, ends: str, status: int) -> None:
    parent = run(f"def bad(first, line):\n    {ends}\nrun([bad, worker(2)])")
    assert parent.process.wait(10) == status
    assert parent.lines("up") == []
    assert parent.lines("helper") == ["helper end"]


def test_a_configuration_that_has_gone_bad_ends_all_in_order_and_not_in_a_circle(run: Run) -> None:
    parent = run("run([worker(1), lambda first, line: 2])")
    assert parent.process.wait(10) == 2
    assert parent.lines("drains") == ["drains 1"]
    assert len(parent.lines("A worker cannot start; all end 2 2")) == 1


def test_another_reason_has_it_tried_again_while_others_serve(run: Run) -> None:
    parent = run("run([worker(1), lambda first, line: 1])")
    parent.until("A process ended; another one takes its place 2 1", 3)
    assert parent.process.poll() is None
    assert parent.stop() == 0
    assert parent.lines("drains") == ["drains 1"]


def test_one_that_fails_says_nothing_that_may_be_secret(run: Run) -> None:
    parent = run("""
def fails(first, line):
    raise ValueError("canary")
run([worker(1), fails])
""")
    parent.until("A worker failed; it ends")
    parent.until("A process ended; another one takes its place 2 70")
    assert parent.stop() == 0
    assert not any("canary" in line or "Traceback" in line for line in parent.lines())


def test_one_that_does_not_drain_in_time_is_killed(run: Run) -> None:
    parent = run("""
def deaf(first, line):
    tell("up", 2, os.getpid(), "")
    say(line, "ready")
    time.sleep(60)
run([worker(1), deaf], limit=0.1)
""")
    parent.until("all ready")
    assert parent.stop() == 0
    assert len(parent.lines("A worker did not end in time; it is killed 2")) == 1


def test_the_second_signal_has_all_end_at_once(run: Run) -> None:
    parent = run("""
def slow(first, line):
    tell("up", 1, os.getpid(), "")
    say(line, "ready")
    for message in heard(line):
        tell("told", message["say"])
        if message["say"] == "end":
            return 0
run([slow], limit=60)
""")
    parent.until("all ready")
    parent.process.send_signal(signal.SIGTERM)
    parent.until("told drain")
    assert parent.process.poll() is None
    assert parent.stop() == 0
    assert parent.lines("told end") == ["told end"]


def test_those_that_do_not_serve_yet_are_not_waited_for(run: Run) -> None:
    parent = run("""
def late(first, line):
    tell("up", 1, os.getpid(), "")
    time.sleep(60)
run([late], limit=60)
""")
    parent.until("up 1")
    assert parent.stop() == 0


def test_all_notice_when_the_parent_is_killed(run: Run) -> None:
    """None holds the end of another's line, or that one would never hear of it."""
    parent = run("run([worker(1), worker(2), worker(3)])")
    parent.until("all ready")
    parent.process.kill()
    eventually(lambda: len(parent.lines("orphaned")) == 3 and bool(parent.lines("helper orphaned")))


def test_the_one_beside_them_is_started_again_too(run: Run) -> None:
    parent = run("""
def helper(first, line, plain=helper):
    tell("helper is", os.getpid())
    return plain(first, line)
run([worker(1)], helper)
""")
    parent.until("all ready")
    os.kill(int(parent.lines("helper is")[0].split()[-1]), signal.SIGKILL)
    parent.until("helper is", 2)
    assert parent.stop() == 0
    assert len(parent.pids()) == 1


def test_where_the_system_has_no_room_for_a_process_the_others_serve_on(run: Run) -> None:
    parent = run("""
real, forks = os.fork, []
def fork():
    forks.append(1)
    if len(forks) in (4, 5):
        raise BlockingIOError(11, "Resource temporarily unavailable")
    return real()
os.fork = fork
run([worker(1), worker(2)])
""")
    parent.until("all ready")
    os.kill(parent.pids()[1], signal.SIGKILL)
    parent.until("A worker serves again")
    assert len(parent.lines("No process can be started 2")) == 2
    assert parent.stop() == 0


def test_without_the_one_beside_them_nobody_begins(run: Run) -> None:
    parent = run("run([worker(1)], lambda first, line: 1)")
    assert parent.process.wait(10) == 1
    assert parent.lines("up") == []


def test_a_sum_is_told_to_whoever_asks(run: Run) -> None:
    parent = run("""
def asks(first, line):
    tell("up", 1, os.getpid(), "")
    say(line, "ready")
    say(line, "sum")
    for message in heard(line):
        if message["say"] == "count":
            say(line, "counts", metrics=[["hits", "counter", "Hits.", [["hits_total", [], 2.0]]]])
        elif message["say"] == "sum":
            tell("sum", message["text"].splitlines()[-1])
        elif message["say"] == "drain":
            return 0
run([asks])
""")
    parent.until("sum hits_total 2.0")
    assert parent.stop() == 0
