from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable

from addons.launch.ending import SOFTWARE
from addons.launch.workers.child import Child
from addons.launch.workers.restarts import SOON
from tests.fixtures.calls import eventually


def status_of(child: Child) -> int:
    assert child.pid is not None
    return os.waitstatus_to_exitcode(os.waitpid(child.pid, 0)[1])


def child_of(life: Callable[[bool, socket.socket], int]) -> Child:
    child = Child(number=1, life=life)
    child.start(True, lambda: None)
    return child


def test_it_lives_and_tells_and_ends_with_its_status() -> None:
    def life(first: bool, line: socket.socket) -> int:
        line.sendall(b'{"first": true}\n' if first else b'{"first": false}\n')
        return 7 if line.recv(100) == b'{"say": "drain"}\n' else 8

    child = child_of(life)
    assert child.line is not None
    line = child.line
    child.is_ready = True
    child.drain()
    assert status_of(child) == 7
    assert line.heard() == ([{"first": True}], False)
    assert child.ended() < 5
    assert child.pid is None
    assert child.line is None
    assert not child.is_ready
    child.say(say="nothing to nobody")
    child.kill(signal.SIGKILL)


def test_one_that_does_not_serve_yet_is_ended_by_a_signal() -> None:
    child = child_of(lambda first, line: len(line.recv(1)))
    child.drain()
    assert status_of(child) == -signal.SIGTERM
    child.ended()


def test_whatever_fails_in_it_never_comes_back_into_the_parent() -> None:
    def life(first: bool, line: socket.socket) -> int:
        raise KeyboardInterrupt

    child = child_of(life)
    assert status_of(child) == SOFTWARE
    child.ended()


def test_what_is_the_parent_s_is_let_go_of_in_the_child_alone() -> None:
    reading, writing = os.pipe()
    child = Child(number=1, life=lambda first, line: len(line.recv(1)))
    child.start(False, lambda: os.close(writing))
    os.close(writing)
    assert os.read(reading, 1) == b""  # nobody holds the other end any more
    child.kill(signal.SIGKILL)
    assert status_of(child) == -signal.SIGKILL
    child.ended()
    os.close(reading)


def test_each_start_is_a_new_process() -> None:
    child = Child(number=1, life=lambda first, line: 0)
    pids = set()
    for _ in range(3):
        child.start(False, lambda: None)
        assert child.pid is not None
        pids.add(child.pid)
        assert status_of(child) == 0
        child.starts_at = child.started + child.restarts.after(child.ended())
        assert child.starts_at >= child.started + SOON
    assert len(pids) == 3
    eventually(lambda: child.pid is None)
