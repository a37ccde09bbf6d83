from __future__ import annotations

import os
import signal
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from addons.launch.workers.limits import count_limits, socket_path
from addons.launch.workers.line import Line
from llmauth.control.place import short
from llmauth.governance.broker_backend import BrokerBackend
from llmauth.governance.demands import Demand, Scope
from tests.fixtures.calls import eventually


class Counting:
    """The process, as its parent has it; `alive` is what workers hold."""

    def __init__(self, home: Path) -> None:
        self.path = socket_path(home)
        ours, theirs = socket.socketpair()
        ended, self.alive = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            ours.close()
            os.close(self.alive)
            try:
                count_limits(self.path, ended, theirs)
            finally:
                os._exit(0)
        theirs.close()
        os.close(ended)
        self.line = Line(ours)
        eventually(lambda: {"say": "ready"} in self.line.heard()[0])

    def is_over(self) -> bool:
        return os.waitpid(self.pid, os.WNOHANG)[0] == self.pid


@pytest.fixture
def counting(tmp_path: Path) -> Iterator[Counting]:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    one = Counting(home)
    yield one
    one.line.close()
    try:
        os.kill(one.pid, signal.SIGKILL)
        os.waitpid(one.pid, 0)
    except (ProcessLookupError, ChildProcessError):
        pass


async def admitted(path: Path) -> bool:
    backend = BrokerBackend(path)
    await backend.enter("one", None, {})
    answer = await backend.admit("one", Demand(scopes=(Scope(key="k", rpm=1),)))
    await backend.close()
    return answer.admitted


async def test_it_counts_for_all_and_for_its_owner_alone(counting: Counting) -> None:
    assert stat.S_IMODE(counting.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(counting.path.parent.stat().st_mode) == 0o700
    assert [await admitted(counting.path) for _ in range(3)] == [True, False, False]


def test_it_ends_by_word_and_leaves_no_socket(counting: Counting) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        os.kill(counting.pid, number)
    counting.line.say(say="end")
    eventually(counting.is_over)
    assert not counting.path.exists()


async def test_without_its_parent_it_counts_until_the_last_worker_has_ended(counting: Counting) -> None:
    counting.line.close()
    assert await admitted(counting.path)
    assert not counting.is_over()
    os.close(counting.alive)
    eventually(counting.is_over)
    assert not counting.path.exists()


def test_sockets_of_the_killed_are_swept_and_those_of_others_are_not(counting: Counting) -> None:
    folder = counting.path.parent
    left = folder / "limits-1-00000000.sock"
    with socket.socket(socket.AF_UNIX) as gone, short(folder, left.name) as path:
        gone.bind(path)
    again = socket_path(folder.parent)
    assert not left.exists()
    assert counting.path.exists()
    assert again != counting.path
