"""One worker over real sockets, with the test as its parent."""

from __future__ import annotations

import functools
import json
import os
import signal
import socket
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from addons.launch.listeners import listeners
from addons.launch.workers.child import Child
from addons.launch.workers.line import Message
from addons.launch.workers.sockets import open_doors
from addons.launch.workers.worker import Shared, work
from llmauth.config.settings import Settings
from llmauth.gateway.seat import Seat
from tests.addons.launch.test_serve import configured
from tests.fixtures.calls import eventually, refuses_connections
from tests.fixtures.serving import free_port

Begin = Callable[..., "Begun"]


class Begun:
    """A worker, what it said and what it logged."""

    def __init__(self, folder: Path, first: bool, log: Path, **options: Any) -> None:
        self.settings, environ = configured(folder, log={"format": "json"}, **options)
        self.log_file = log
        ports = listeners(self.settings)
        self.doors = open_doors(self.settings, ports)
        current = lambda: self.settings  # noqa: E731
        plan = Shared(settings=current, read=current, environ=environ, ports=ports, doors=self.doors)
        seat = Seat(worker=2, workers=3, limits=folder / "limits.sock")
        self.child = Child(number=2, life=functools.partial(work, plan, seat))
        self.said: list[Message] = []
        self.child.start(first, functools.partial(send_to, log))
        self.doors.close()

    def hear(self, what: str) -> Message:
        eventually(lambda: self._heard(what), timeout=10)
        return next(one for one in self.said if one["say"] == what)

    def _heard(self, what: str) -> bool:
        assert self.child.line is not None
        self.child.line.go_on()
        self.said += self.child.line.heard()[0]
        return any(one["say"] == what for one in self.said)

    def status(self) -> int:
        assert self.child.pid is not None
        return os.waitstatus_to_exitcode(os.waitpid(self.child.pid, 0)[1])

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log_file.read_text().splitlines() if line.startswith("{")]


def send_to(file: Path) -> None:
    """In a child: have standard error be a file."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(descriptor, 2)
    sys.stderr = os.fdopen(2, "w")  # in the place of what the test runner keeps


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    begun: list[Begun] = []

    def one(first: bool = True, **options: Any) -> Begun:
        begun.append(Begun(tmp_path, first, tmp_path / "log", **options))
        return begun[-1]

    yield one
    for each in begun:
        each.child.kill(signal.SIGKILL)
        each.child.ended()


def health(settings: Settings, port: int | None = None, path: str = "/health") -> bytes:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.0.0.1:{port or settings.server.port}{path}", timeout=5) as answer:
        body: bytes = answer.read()
        return body


def test_it_serves_on_the_parent_s_port_and_drains_by_its_word(begin: Begin) -> None:
    worker = begin()
    worker.hear("ready")
    assert b"healthy" in health(worker.settings)
    worker.child.say(say="drain")
    assert worker.status() == 0
    assert refuses_connections(worker.settings.server.port)
    # Its last counts are left with the parent.
    families = {name: samples for name, _, _, samples in worker.hear("counts")["metrics"]}
    assert sum(value for name, _, value in families["http_requests"] if name == "http_requests_total") == 1.0
    assert all(line["worker"] == 2 for line in worker.log())
    assert any(line["message"].startswith("CA fingerprint") for line in worker.log())


def test_one_that_comes_later_repeats_nothing_of_the_start(begin: Begin) -> None:
    worker = begin(first=False)
    worker.hear("ready")
    worker.child.say(say="drain")
    assert worker.status() == 0
    messages = [line["message"] for line in worker.log()]
    assert not [one for one in messages if one.startswith(("CA fingerprint", "Platform", "no keys yet", "No instance"))]
    assert "Draining" in messages


def test_metrics_come_from_the_parent_alone(begin: Begin) -> None:
    port = free_port()
    worker = begin(metrics={"port": port})
    worker.hear("ready")
    worker.child.say(say="count")
    assert {one[0] for one in worker.hear("counts")["metrics"]} >= {"http_requests", "connected_clients"}
    with socket.create_connection(("127.0.0.1", port)) as scraper:
        scraper.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        worker.hear("sum")
        worker.child.say(say="sum", text="all_of_them 7.0\n")
        answer = scraper.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.0 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\nall_of_them 7.0\n")


def test_a_signal_to_all_processes_does_not_cut_what_the_parent_has_drain(begin: Begin) -> None:
    worker = begin()
    worker.hear("ready")
    with socket.create_connection(("127.0.0.1", worker.settings.server.port)) as client:
        client.sendall(b"GET /health HT")
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
            worker.child.kill(number)
        worker.child.say(say="drain")
        worker.child.say(say="drain")
        assert worker.status() == 0
    assert len([line for line in worker.log() if line["message"] == "Draining"]) == 1


def test_without_its_parent_it_drains_and_the_ports_are_free_at_once(begin: Begin) -> None:
    port = free_port()
    worker = begin(metrics={"port": port})
    worker.hear("ready")
    assert worker.child.line is not None
    worker.child.line.close()
    eventually(lambda: refuses_connections(worker.settings.server.port) and refuses_connections(port), timeout=2)
    assert worker.status() == 0
    assert any("parent process is gone" in line["message"] for line in worker.log())


@pytest.mark.parametrize(("first", "said"), [(True, True), (False, False)])
def test_why_it_cannot_serve_is_said_as_one_process_would_or_logged(
    begin: Begin, tmp_path: Path, first: bool, said: bool
) -> None:
    store = tmp_path / "garbage.db"
    store.write_bytes(b"garbage" * 1000)
    store.chmod(0o600)
    worker = begin(first, storage={"url": f"sqlite:///{store}"})
    assert worker.status() == 1
    bare = [line for line in worker.log_file.read_text().splitlines() if not line.startswith("{")]
    logged = [line["message"] for line in worker.log() if "cannot serve" in line["message"]]
    assert (len(bare), len(logged)) == ((1, 0) if said else (0, 1))
    assert str(store) in (bare or logged)[0]
