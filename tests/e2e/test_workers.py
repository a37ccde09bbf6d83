"""Several workers on one port: they share it, come back when they are killed, drain together, and leave no orphan."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from llmauth.control.place import folder_of, sockets
from llmauth.demo.behaviour import Behaviour, Framing
from llmauth.demo.emulators import Emulators
from llmauth.storage.keys import KeyStore
from tests.fixtures.calls import (
    CHAT,
    CHAT_PATH,
    DOORS,
    JSON,
    OPENAI,
    STREAM,
    begin,
    call,
    eventually,
    get,
    refuses_connections,
)
from tests.fixtures.certificates import listener
from tests.fixtures.raw import Wire
from tests.fixtures.serving import Serving, free_port, start

GATE, TUNNEL = DOORS
BODY = b"." * 600
# Six pieces, a fifth of a second apart.
SLOW = Behaviour(body=BODY, framing=Framing.CHUNKED, chunk_size=100, chunk_delay=0.2)
ENDLESS = Behaviour(stall_after=100, framing=Framing.CHUNKED)
MODELS = "/transparent/openai/v1/models"
FOUR = ["--workers", "4"]
TWO = ["--workers", "2"]


def workers_of(gateway: Serving) -> set[int]:
    """The processes that serve."""
    return {number for number, _ in sockets(folder_of(gateway.home))}


def is_running(process: int) -> bool:
    """Whether there is such a process; one that nobody asked after yet has ended all the same."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def children_of(process: int) -> set[int]:
    """Its child processes."""
    return {int(one) for one in Path(f"/proc/{process}/task/{process}/children").read_text().split()}


def counted(metrics: bytes, name: str) -> float:
    """The sum of a metric over its labels."""
    return sum(float(value) for value in re.findall(rf"(?m)^{name}(?:\{{[^}}]*\}})? (\S+)$", metrics.decode()))


def scraped(gateway: Serving) -> bytes:
    answer = get(gateway, "/metrics", ("X-API-Key", gateway.key()))
    assert answer.status == 200, answer
    return answer.body


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory, shared_emulators: Emulators) -> Iterator[Serving]:
    """Four workers, with a TLS port and one for metrics."""
    folder = tmp_path_factory.mktemp("workers")
    server, _ = listener(folder)
    policies = {"users": {"counted": {"rpm": 10}, "few": {"concurrent": 2}}}
    gateway = start(
        folder, shared_emulators, options=FOUR, server=server, metrics={"port": free_port()}, policies=policies
    )
    gateway.key()
    yield gateway
    if gateway.process.poll() is None:
        gateway.stop()


# ---- serving -------------------------------------------------------------------------------------------------------


def test_requests_reach_all_of_them_on_one_port(many: Serving, emulators: Emulators) -> None:
    with ExitStack() as stack:
        wires = [stack.enter_context(Wire(many.port)) for _ in range(40)]
        with ThreadPoolExecutor(8) as pool:
            statuses = list(pool.map(lambda wire: call(many, wire=wire).status, wires))
    assert statuses == [200] * 40
    served = {line["worker"] for line in many.lines("request") if line.get("instance") == "openai"}
    assert len(served) >= 3
    assert len(workers_of(many)) == 4


def test_the_tls_port_is_shared_as_well(many: Serving) -> None:
    assert many.tls_port is not None
    with Wire(many.tls_port) as wire:
        wire.start_tls(None, None)
        assert get(many, "/health", wire=wire).status == 200


def test_what_a_start_says_is_said_once(many: Serving) -> None:
    messages = [line["message"] for line in many.lines()]
    for beginning in (
        "Ready on ",
        "CA fingerprint",
        "Platform detected",
        "Certificate authority created",
        "no keys yet",
    ):
        assert sum(message.startswith(beginning) for message in messages) == 1, beginning
    (ready,) = [line for line in many.lines() if line["message"].startswith("Ready on ")]
    assert ready["workers"] == 4
    # Each fetches its own credentials, and says so under its number.
    initialized = [line["worker"] for line in many.lines() if "Successfully initialized" in line["message"]]
    assert set(initialized) == {1, 2, 3, 4}


def test_creds_shows_each_process_with_its_number(many: Serving) -> None:
    told = json.loads(many.llmauth("creds", "--json"))
    assert {one["worker"] for one in told["processes"]} == {1, 2, 3, 4}
    assert {one["process"] for one in told["processes"]} == workers_of(many)


def test_metrics_are_those_of_all(many: Serving, emulators: Emulators) -> None:
    before = counted(scraped(many), "bedrock_proxy_requests_total")
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: call(many).status, range(24)))
    assert statuses == [200] * 24
    after = scraped(many)
    assert counted(after, "bedrock_proxy_requests_total") == before + 24
    assert counted(after, "bedrock_proxy_request_duration_seconds_count") == before + 24
    assert b'health_check_status{check="ready"} 1.0' in after
    assert get(many, "/metrics").status == 401
    with ExitStack() as stack:
        wires = [stack.enter_context(Wire(many.port)) for _ in range(10)]
        assert [get(many, "/health", wire=wire).status for wire in wires] == [200] * 10
        assert counted(scraped(many), "connected_clients") >= 10


def test_the_port_of_its_own_has_them_too(many: Serving) -> None:
    settings = many.settings().metrics
    assert settings is not None
    bodies = []
    for _ in range(6):
        with Wire(settings.port) as wire:
            answer = wire.request("GET", "/metrics", [("Host", "x")])
            bodies.append(counted(answer.body, "bedrock_proxy_requests_total"))
        with Wire(settings.port) as wire:
            assert wire.request("GET", "/health", [("Host", "x")]).status == 404
    assert len(set(bodies)) == 1
    assert bodies[0] > 0


def test_a_revoked_key_is_refused_by_all_within_a_second(many: Serving, emulators: Emulators) -> None:
    """Also in tunnels that were opened with it."""
    key = many.key("leaver")
    headers = [("Host", OPENAI), ("Authorization", "Bearer sk-placeholder"), ("Content-Type", "application/json")]
    with ExitStack() as stack:
        wires = [stack.enter_context(Wire(many.port)) for _ in range(12)]
        for wire in wires:
            assert wire.connect(f"{OPENAI}:443", key).status == 200
            wire.start_tls(OPENAI, many.ca_file)
        statuses = {wire.request("POST", "/v1/chat/completions", headers, CHAT).status for wire in wires}
        assert statuses == {200}
        direct = [stack.enter_context(Wire(many.port)) for _ in range(12)]
        assert {get(many, MODELS, ("X-API-Key", key), wire=one).status for one in direct} == {200}
        store = KeyStore(many.settings().storage.url)
        store.revoke("leaver")
        store.close()
        time.sleep(0.9)
        asked = len(emulators.requests())
        refused = [wire.request("POST", "/v1/chat/completions", headers, CHAT).status for wire in wires]
        refused += [get(many, MODELS, ("X-API-Key", key), wire=one).status for one in direct]
        assert set(refused) <= {401, 407}
        assert len(emulators.requests()) == asked


def fields(gateway: Serving, name: str) -> list[tuple[str, str]]:
    return [("Host", "gateway"), ("Authorization", f"Bearer {gateway.key(name)}"), JSON]


def statuses_of(gateway: Serving, name: str, count: int) -> list[int]:
    """Of so many calls with this key, all at once and each on its own connection."""
    headers, path = fields(gateway, name), f"{GATE.path}{CHAT_PATH}"
    with ExitStack() as stack:
        wires = [stack.enter_context(Wire(gateway.port)) for _ in range(count)]
        with ThreadPoolExecutor(count) as pool:
            return list(pool.map(lambda wire: wire.request("POST", path, headers, CHAT).status, wires))


def test_requests_per_minute_hold_over_all_of_them_together(many: Serving, emulators: Emulators) -> None:
    """Without a database beside them: ten are ten, whichever workers they come to."""
    statuses = statuses_of(many, "counted", 30)
    assert set(statuses) == {200, 429}
    assert statuses.count(200) in (10, 11)  # one comes back after six seconds


def test_what_runs_is_counted_over_all_and_freed_by_all(many: Serving, emulators: Emulators) -> None:
    emulators.behave(OPENAI, ENDLESS, times=2)
    with ExitStack() as stack:
        for _ in range(2):
            wire = stack.enter_context(Wire(many.port))
            lines = [f"{name}: {value}" for name, value in fields(many, "few")]
            first, length = f"POST {GATE.path}{CHAT_PATH} HTTP/1.1", f"Content-Length: {len(CHAT)}"
            head = "\r\n".join([first, *lines, length, "", ""])
            wire.send(head.encode() + CHAT)
        emulators.wait(lambda seen: len(seen) == 2)
        assert statuses_of(many, "few", 8) == [429] * 8
    eventually(lambda: statuses_of(many, "few", 1) == [200])


# ---- workers that end ----------------------------------------------------------------------------------------------


def test_one_is_killed_under_load(many: Serving, emulators: Emulators) -> None:
    """New connections are answered all the time, another worker takes its place, and no sum shrinks."""
    over = threading.Event()
    failed: list[object] = []

    def load() -> int:
        done = 0
        while not over.is_set():
            try:
                answer = call(many)
            except (OSError, EOFError, AssertionError, ValueError) as error:
                failed.append(type(error).__name__)  # what the killed one was about to answer
                continue
            if answer.status != 200:
                failed.append(answer.status)
            done += 1
        return done

    before = workers_of(many)
    sum_before = counted(scraped(many), "bedrock_proxy_requests_total")
    victim = min(before)
    with ThreadPoolExecutor(4) as pool:
        try:
            loads = [pool.submit(load) for _ in range(4)]
            time.sleep(0.3)
            sum_meanwhile = counted(scraped(many), "bedrock_proxy_requests_total")
            os.kill(victim, signal.SIGKILL)
            took = eventually(lambda: len(workers_of(many) - before) == 1 and not is_running(victim), timeout=5)
            eventually(lambda: bool(many.lines("A worker serves again")), timeout=3)
            time.sleep(0.2)
        finally:
            over.set()
        done = sum(one.result() for one in loads)
    assert took < 5
    assert done > 20
    # At most the one request that each of the four clients had with it.
    assert len(failed) <= 4, failed
    (line,) = many.lines("A process ended; another one takes its place")
    assert line["status"] == -signal.SIGKILL
    assert counted(scraped(many), "bedrock_proxy_requests_total") >= sum_meanwhile >= sum_before


def test_one_that_is_told_to_end_drains_and_is_replaced(many: Serving, emulators: Emulators) -> None:
    before = workers_of(many)
    leaver = max(before)
    total = counted(scraped(many), "bedrock_proxy_requests_total")
    os.kill(leaver, signal.SIGTERM)
    eventually(lambda: leaver not in workers_of(many) and len(workers_of(many)) == 4, timeout=5)
    # What it counted was left with the parent to the last.
    assert counted(scraped(many), "bedrock_proxy_requests_total") == total
    assert call(many).status == 200


def test_the_one_that_counts_limits_is_replaced(many: Serving) -> None:
    (helper,) = children_of(many.process.pid) - workers_of(many)
    os.kill(helper, signal.SIGKILL)
    eventually(lambda: len(children_of(many.process.pid) - workers_of(many) - {helper}) == 1)
    assert call(many).status == 200


# ---- the end of all ------------------------------------------------------------------------------------------------


def test_all_drain_and_answers_come_to_their_end(serve: Callable[..., Serving], emulators: Emulators) -> None:
    gateway = serve(options=TWO)
    emulators.behave(OPENAI, SLOW, times=6)
    with ExitStack() as stack:
        wires = [stack.enter_context(Wire(gateway.port)) for _ in range(6)]
        for wire in wires:
            begin(gateway, wire, STREAM)
        emulators.wait(lambda seen: len(seen) == 6 and all(one.status for one in seen))
        everybody = {gateway.process.pid, *children_of(gateway.process.pid)}
        # As a service manager does it: all processes of the service are signalled, and the parent tells them again.
        for process in everybody:
            os.kill(process, signal.SIGTERM)
        eventually(lambda: refuses_connections(gateway.port), timeout=1)
        for wire in wires:
            answer = wire.answer()
            assert (answer.status, answer.complete, answer.body) == (200, True, BODY)
        assert gateway.process.wait(5) == 0
    assert {line["worker"] for line in gateway.lines("Draining")} == {1, 2}
    assert len(gateway.lines("Stopped")) == 1
    assert not any(is_running(one) for one in everybody)
    assert list(folder_of(gateway.home).iterdir()) == []


def test_the_limit_of_a_drain_and_a_second_signal_hold_for_all(
    serve: Callable[..., Serving], emulators: Emulators
) -> None:
    gateway = serve(options=TWO)
    emulators.behave(OPENAI, ENDLESS, times=4)
    with ExitStack() as stack:
        wires = [stack.enter_context(Wire(gateway.port)) for _ in range(4)]
        for wire in wires:
            begin(gateway, wire, STREAM)
        emulators.wait(lambda seen: len(seen) == 4 and all(one.status for one in seen))
        gateway.process.send_signal(signal.SIGINT)
        eventually(lambda: refuses_connections(gateway.port), timeout=1)
        time.sleep(0.3)
        assert gateway.process.poll() is None
        gateway.process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        assert gateway.process.wait(5) == 0
        assert time.monotonic() - began < 2
        assert [wire.answer().complete for wire in wires] == [False] * 4


def test_a_killed_parent_leaves_no_orphan(serve: Callable[..., Serving], emulators: Emulators) -> None:
    gateway = serve(options=TWO, metrics={"port": free_port()})
    metrics = gateway.settings().metrics
    assert metrics is not None
    emulators.behave(OPENAI, SLOW)
    family = children_of(gateway.process.pid)
    assert len(family) == 3
    with Wire(gateway.port) as wire:
        begin(gateway, wire, STREAM)
        emulators.wait(lambda seen: len(seen) == 1 and bool(seen[0].status))
        gateway.process.kill()
        eventually(lambda: refuses_connections(gateway.port) and refuses_connections(metrics.port), timeout=2)
        # The port is free for another one while what runs is finished.
        again = start(gateway.config.parent, emulators, options=TWO, server={"port": gateway.port})
        again.port = gateway.port
        try:
            assert get(again, "/health").status == 200
            answer = wire.answer()
            assert (answer.status, answer.complete, answer.body) == (200, True, BODY)
            eventually(lambda: not any(is_running(one) for one in family), timeout=5)
        finally:
            again.stop()


# ---- starts that cannot go well ------------------------------------------------------------------------------------


@pytest.fixture
def refused(tmp_path: Path, emulators: Emulators) -> Callable[..., tuple[int, str]]:
    """The exit status and the one sentence of several workers that should not come to serving."""

    def begin_badly(**options: Any) -> tuple[int, str]:
        gateway = start(tmp_path, emulators, wait=False, options=TWO, **options)
        try:
            status = gateway.process.wait(20)
        finally:
            gateway.stop()
        assert "Traceback" not in gateway.log()
        assert "Internal error" not in gateway.log()
        said = [line for line in gateway.log().splitlines() if line and not line.startswith("{")]
        assert len(said) == 1, said
        return status, said[0]

    return begin_badly


def test_a_bad_configuration_is_one_sentence(refused: Callable[..., tuple[int, str]]) -> None:
    status, said = refused(auth={"methods": ["magic"]})
    assert status == 2
    assert "auth.methods[0]: found 'magic'" in said


@pytest.mark.parametrize("option", ["server", "metrics"])
def test_a_port_that_is_taken_is_one_sentence(refused: Callable[..., tuple[int, str]], option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        more = {"metrics": {"port": port}} if option == "metrics" else {"server": {"port": port}}
        status, said = refused(**more)
    assert status == 1
    assert said.startswith(f"Error: Port {port} on 127.0.0.1 is taken by another program.")
    assert f"{option}.port" in said


def test_what_only_a_worker_finds_is_one_sentence(refused: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    store = home / "keys.db"
    store.write_bytes(b"garbage" * 1000)
    store.chmod(0o600)
    status, said = refused()
    assert status == 1
    assert str(store) in said
