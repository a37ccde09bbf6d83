"""A configuration that changes while requests are served: taken over whole, or not at all, and nobody notices."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from llmauth.cli import main
from llmauth.demo.behaviour import Behaviour, Framing
from llmauth.demo.emulators import Emulators
from tests.fixtures import serving
from tests.fixtures.calls import CHAT, DOORS, JSON, OPENAI, STREAM, Door, begin
from tests.fixtures.certificates import HOST, listener
from tests.fixtures.raw import Wire
from tests.fixtures.serving import Serving

TUNNEL = DOORS[1]
PATH = "/transparent/openai/v1/chat/completions"
LIMIT = 20.0


@pytest.fixture
def gateway(tmp_path: Path, emulators: Emulators) -> Iterator[Serving]:
    running = serving.start(tmp_path, emulators, level="info")
    running.key()
    yield running
    running.stop(signal.SIGKILL)


def rewrite(gateway: Serving, change: Callable[[dict[str, Any]], None]) -> None:
    """Another content of the configuration file, as a whole in one step."""
    document = json.loads(gateway.config.read_text())
    change(document)
    new = gateway.config.with_suffix(".new")
    new.write_text(json.dumps(document))
    new.replace(gateway.config)


def command(gateway: Serving, monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setenv("LLMAUTH_HOME", str(gateway.home))
    return main(["config", *words])


def until(gateway: Serving, message: str, count: int = 1) -> list[dict[str, Any]]:
    ends = time.monotonic() + LIMIT
    while len(found := gateway.lines(message)) < count:
        assert time.monotonic() < ends, gateway.log()[-3000:]
        time.sleep(0.05)
    return found


def ask(gateway: Serving, path: str = PATH) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=10)
    head = {"Authorization": f"Bearer {gateway.key()}", "Content-Type": "application/json"}
    connection.request("POST", path, CHAT, head)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status


TAKEN = "The configuration was taken over"
REFUSED = "The configuration cannot be taken over; the one before stays in force"


def test_a_command_has_it_read_again(
    gateway: Serving, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(gateway, "/transparent/second/v1/chat/completions") == 404
    rewrite(gateway, lambda document: document["instances"].update(second={"type": "openai"}))
    assert command(gateway, monkeypatch, "reload") == 0
    assert capsys.readouterr().out == "Taken over. Changed: instances.second\n"
    assert ask(gateway, "/transparent/second/v1/chat/completions") == 200
    assert command(gateway, monkeypatch, "reload") == 0
    assert capsys.readouterr().out == "Read again; nothing changed.\n"


def test_a_bad_file_keeps_the_old_configuration_and_says_where(
    gateway: Serving, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway.config.write_text("instances:\n  openai: {type: openai}\n  other: {type: opnai}\nserver: {prot: 1}\n")
    assert command(gateway, monkeypatch, "reload") == 2
    told = capsys.readouterr().err
    assert f"{gateway.config}:3: instances.other.type" in told
    assert f"{gateway.config}:4: server.prot" in told
    (line,) = gateway.lines(REFUSED)
    assert len(line["faults"]) == 2
    assert ask(gateway) == 200


def test_files_are_followed_and_a_fault_is_told_once(gateway: Serving) -> None:
    whole = gateway.config.read_text()
    gateway.config.write_text("instances: [")
    until(gateway, REFUSED)
    time.sleep(2.5)
    assert len(gateway.lines(REFUSED)) == 1
    rewritten = json.loads(whole)
    rewritten["policies"] = {"default": {"models": ["gpt-5*"]}}
    gateway.config.write_text(json.dumps(rewritten))
    (line,) = until(gateway, TAKEN)
    assert (line["asked_by"], line["changed"]) == ("a file changed", ["policies.default.models"])
    assert ask(gateway) == 403


def test_a_signal_does_it_and_what_needs_a_restart_is_named(gateway: Serving) -> None:
    def change(document: dict[str, Any]) -> None:
        document["server"]["port"] = 1
        document["limits"] = {"body_bytes": "1KiB"}

    rewrite(gateway, change)
    gateway.process.send_signal(signal.SIGHUP)
    (line,) = until(gateway, TAKEN)
    assert line["changed"] == ["limits.body_bytes"]
    (line,) = until(gateway, "Some of the configuration needs a restart")
    assert line["restart"] == ["server.port"]
    with Wire(gateway.port) as wire:
        head = [("Host", "x"), ("Authorization", f"Bearer {gateway.key()}")]
        assert wire.request("POST", PATH, head, b"x" * 2000).status == 413


def test_a_mounted_configmap_is_followed(tmp_path: Path, emulators: Emulators) -> None:
    """Kubernetes swaps a link to a folder, and the file's own name stays a link all the time."""
    gateway = serving.start(tmp_path, emulators, level="info")
    try:
        mounted, whole = tmp_path / "mounted", gateway.config.read_text()
        for name, text in (("..1", whole), ("..2", whole.replace('"anthropic": {"type": "anthropic"}, ', ""))):
            (mounted / name).mkdir(parents=True)
            (mounted / name / "gateway.yaml").write_text(text)
        os.symlink("..1", mounted / "..data")
        gateway.config.unlink()
        os.symlink(mounted / "..data" / "gateway.yaml", gateway.config)
        time.sleep(1.5)
        os.symlink("..2", mounted / "..data_tmp")
        os.replace(mounted / "..data_tmp", mounted / "..data")
        (line,) = until(gateway, TAKEN)
        assert line["changed"] == ["instances.anthropic"]
    finally:
        gateway.stop(signal.SIGKILL)


@pytest.mark.parametrize("options", [[], ["--workers", "2"]])
def test_what_cannot_be_read_keeps_nobody_waiting(
    tmp_path: Path,
    emulators: Emulators,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
) -> None:
    """A pipe without a writer in place of the file, and one that would fill the memory."""
    gateway = serving.start(tmp_path, emulators, level="info", options=options)
    try:
        whole = gateway.config.read_text()
        os.truncate(gateway.config, 700_000_000)
        assert command(gateway, monkeypatch, "reload") == 2
        gateway.config.unlink()
        os.mkfifo(gateway.config)
        began = time.monotonic()
        assert command(gateway, monkeypatch, "reload") == 2
        assert time.monotonic() - began < 2
        told = capsys.readouterr().err
        assert "larger than 1 MiB" in told
        assert "is no regular file" in told
        other = gateway.config.with_suffix(".new")
        other.write_text(whole)
        other.replace(gateway.config)
        assert command(gateway, monkeypatch, "reload") == 0
        gateway.config.unlink()
        os.mkfifo(gateway.config)
        time.sleep(1.2)
        gateway.process.send_signal(signal.SIGTERM)
        assert gateway.process.wait(10) == 0
    finally:
        gateway.stop(signal.SIGKILL)


# ---- what was judged before ----------------------------------------------------------------------------------------


def follow(gateway: Serving, monkeypatch: pytest.MonkeyPatch, **sections: Any) -> None:
    """These sections are in force when this returns."""
    rewrite(gateway, lambda document: document.update(sections))
    assert command(gateway, monkeypatch, "reload") == 0


def status(gateway: Serving, wire: Wire, door: Door) -> int:
    return begin(gateway, wire, door=door).answer().status


def test_what_a_connection_proved_before_counts_under_no_other_rules(
    gateway: Serving, emulators: Emulators, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A head that came before is judged anew, and so is who opened a tunnel; nothing of it is closed."""
    gate, through = DOORS
    with Wire(gateway.port) as direct, TUNNEL.open(gateway) as tunnelled:
        wires = ((direct, gate), (tunnelled, through))
        assert [status(gateway, *each) for each in wires * 2] == [200] * 4
        follow(gateway, monkeypatch, policies={"default": {"models": ["gpt-5*"]}})
        assert [status(gateway, *each) for each in wires] == [403, 403]
        follow(gateway, monkeypatch, policies={})
        assert [status(gateway, *each) for each in wires * 2] == [200] * 4
        # Where the name leads is another place now, and a connection to the old one is no way to it.
        upstream = json.loads(gateway.config.read_text())["upstream"]
        follow(gateway, monkeypatch, upstream={**upstream, "resolve": {OPENAI: "127.0.0.1:1"}})
        assert [status(gateway, *each) for each in wires] == [502, 502]
        follow(gateway, monkeypatch, upstream=upstream)
        assert [status(gateway, *each) for each in wires] == [200, 200]
        follow(gateway, monkeypatch, auth={"require_2fa": True})
        assert [status(gateway, *each) for each in wires] == [403, 403]
    assert len(emulators.requests()) == 10


def test_a_method_that_is_taken_away_ends_what_it_let_in(gateway: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    with Wire(gateway.port) as direct, TUNNEL.open(gateway) as tunnelled:
        assert [status(gateway, direct, DOORS[0]), status(gateway, tunnelled, TUNNEL)] == [200, 200]
        users = gateway.home / "users"
        users.write_text("bob:$2b$04$abcdefghijklmnopqrstuuA2bQfV0fJRk0n3X1yQvFjHmR4uWb6yW\n")
        follow(gateway, monkeypatch, auth={"methods": [{"type": "basic", "htpasswd": str(users)}]})
        assert [status(gateway, direct, DOORS[0]), status(gateway, tunnelled, TUNNEL)] == [401, 401]


def test_limits_and_sessions_are_kept(gateway: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    login = json.dumps({"api_key": gateway.key()}).encode()
    with Wire(gateway.port) as wire:
        opened = wire.request("POST", "/auth/login", [("Host", "gateway"), JSON], login)
    session = json.loads(opened.body)["session_token"]
    follow(gateway, monkeypatch, policies={"default": {"rpm": 3}})
    assert [ask(gateway), ask(gateway)] == [200, 200]
    follow(gateway, monkeypatch, auth={"session_duration": "1h"}, policies={"default": {"rpm": 3, "tpm": 100_000}})
    with Wire(gateway.port) as wire:
        head = [("Host", "gateway"), ("X-Session-Token", session), JSON]
        assert wire.request("POST", PATH, head, CHAT).status == 200
        assert wire.request("POST", PATH, head, CHAT).status == 429
    assert ask(gateway) == 429


def test_a_tunnel_to_where_nobody_may_go_any_more_is_ended(
    tmp_path: Path, emulators: Emulators, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as host:
        resolve = {**emulators.resolve, "git.example": f"127.0.0.1:{host.getsockname()[1]}"}
        upstream = {"ca_file": str(emulators.ca_file), "resolve": resolve}
        gateway = serving.start(tmp_path, emulators, level="info", upstream=upstream, egress={"allow": ["git.example"]})
        try:
            with Wire(gateway.port) as wire:
                assert wire.connect("git.example:443", gateway.key()).status == 200
                follow(gateway, monkeypatch, limits={"idle_timeout": "9m"})
                time.sleep(0.6)
                assert not gateway.lines("tunnel")
                follow(gateway, monkeypatch, egress={"allow": []})
                (line,) = until(gateway, "tunnel")
                assert line["ended_by"] == "policy"
        finally:
            gateway.stop(signal.SIGKILL)


def test_a_renewed_certificate_is_shown_from_the_next_handshake_on(tmp_path: Path, emulators: Emulators) -> None:
    """As cert-manager renews one: other files under the same names."""
    server, ca_file = listener(tmp_path)
    gateway = serving.start(tmp_path, emulators, level="info", server=server)
    try:
        for _ in range(2):
            trusted = ssl.create_default_context(cafile=str(ca_file))
            with (
                socket.create_connection(("127.0.0.1", server["tls_port"])) as raw,
                trusted.wrap_socket(raw, server_hostname=HOST) as secure,
            ):
                assert secure.version()
            if not gateway.lines(TAKEN):
                listener(tmp_path)  # from another authority
                (line,) = until(gateway, TAKEN)
                assert line["changed"] == ["the content of server.tls_cert_file"]
    finally:
        gateway.stop(signal.SIGKILL)


def test_a_level_that_was_asked_for_shows_no_secret(
    gateway: Serving, emulators: Emulators, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """At debug level neither the caller's key nor the provider's is told."""
    assert ask(gateway) == 200
    assert not [line for line in gateway.lines() if line["level"] == "DEBUG"]
    assert command(gateway, monkeypatch, "log-level", "debug", "--for", "1m") == 0
    assert "logs at level debug for 60 s, then info" in capsys.readouterr().out
    assert ask(gateway) == 200
    rewrite(gateway, lambda document: document.update(log={"level": "error"}))
    assert command(gateway, monkeypatch, "reload") == 0
    assert [line for line in gateway.lines() if line["level"] == "DEBUG"]
    for secret in (gateway.key(), *serving.provider_environment(emulators).values()):
        assert secret == "" or secret not in gateway.log()
    assert command(gateway, monkeypatch, "log-level", "--reset") == 0
    assert command(gateway, monkeypatch, "log-level", "loud") == 1


# ---- under load ----------------------------------------------------------------------------------------------------


class Load:
    """Clients that ask and ask through both doors, whole answers and streams, on connections that stay open."""

    def __init__(self, gateway: Serving) -> None:
        self.gateway = gateway
        self.over = threading.Event()
        self.answered = 0
        self.failed: list[str] = []
        kinds = [(door, body) for door in DOORS for body in (CHAT, STREAM)]
        self.threads = [threading.Thread(target=self._run, args=kind, daemon=True) for kind in kinds]
        for thread in self.threads:
            thread.start()

    def _run(self, door: Door, body: bytes) -> None:
        try:
            with door.open(self.gateway, timeout=30) as wire:
                while not self.over.is_set():
                    answer = begin(self.gateway, wire, body, door=door).answer()
                    if answer.status != 200 or not answer.complete:
                        self.failed.append(f"{answer.status} {answer.body[-200:]!r}")
                    self.answered += 1
        except Exception as error:
            self.failed.append(repr(error))

    def stop(self) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join(30)


@pytest.mark.parametrize("rounds", [8, pytest.param(200, marks=[pytest.mark.soak, pytest.mark.timeout(300)])])
def test_no_request_fails_while_it_changes_again_and_again(
    gateway: Serving,
    emulators: Emulators,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    rounds: int,
) -> None:
    """And a stream that began before the first change ends after the last one."""
    length = max(30, rounds)
    emulators.behave(
        OPENAI, Behaviour(body=b"." * 10 * length, framing=Framing.CHUNKED, chunk_size=10, chunk_delay=0.2)
    )
    with Wire(gateway.port, timeout=300) as long:
        begin(gateway, long, STREAM)
        emulators.wait(lambda seen: bool(seen) and seen[0].status == 200)
        load = Load(gateway)
        for turn in range(rounds):
            other = {"type": "openai"}
            own = {"openai": {"type": "openai", "default": True}}
            instances = {**serving.INSTANCES, **own, **({"again": other} if turn % 2 else {})}
            follow(
                gateway,
                monkeypatch,
                instances=instances,
                models={"fast": {"instance": "again" if turn % 2 else "openai", "model": "gpt-5"}},
                limits={"idle_timeout": f"{100 + turn}s"},
                policies={"default": {"rpm": 1_000_000 + turn}},
            )
        load.stop()
        assert (load.failed, load.answered > rounds) == ([], True)
        whole = long.answer()
    assert (whole.status, whole.complete, len(whole.body)) == (200, True, 10 * length)
    assert capsys.readouterr().out.count("Taken over") == rounds


# ---- several workers -----------------------------------------------------------------------------------------------


@pytest.fixture
def two(tmp_path: Path, emulators: Emulators) -> Iterator[Serving]:
    running = serving.start(tmp_path, emulators, level="info", options=["--workers", "2"])
    running.key()
    yield running
    running.stop(signal.SIGKILL)


def workers_of(gateway: Serving) -> set[int]:
    return {int(file.name.partition("-")[0]) for file in (gateway.home / "control").glob("[0-9]*.sock")}


def test_all_workers_take_it_over_and_those_that_come_later(
    two: Serving, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    load = Load(two)
    rewrite(two, lambda document: document.update(policies={"default": {"models": ["gpt-4o"]}}))
    assert command(two, monkeypatch, "reload") == 0
    assert capsys.readouterr().out == "Taken over. Changed: policies.default.models\n"
    assert [line["asked_by"] for line in two.lines(TAKEN)] == ["llmauth config reload"]
    load.stop()
    assert (load.failed, load.answered > 10) == ([], True)
    first, _ = before = workers_of(two)
    os.kill(first, signal.SIGKILL)
    until(two, "A worker serves again")
    rewrite(two, lambda document: document.update(policies={"default": {"models": ["gpt-5"]}}))
    two.process.send_signal(signal.SIGHUP)
    until(two, TAKEN, 2)
    assert {ask(two) for _ in range(20)} == {403}
    assert workers_of(two) != before


def test_none_takes_over_what_one_could_not(
    two: Serving, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rewrite(two, lambda document: document.update(hosts={"llm.elsewhere.example": {"protocol": "openai"}}))
    assert command(two, monkeypatch, "reload") == 2
    assert "The certificate authority may not sign llm.elsewhere.example" in capsys.readouterr().err
    two.config.write_text("instances: [")
    assert command(two, monkeypatch, "reload") == 2
    assert f"{two.config}:1" in capsys.readouterr().err
    assert {ask(two) for _ in range(10)} == {200}
    assert command(two, monkeypatch, "log-level", "debug", "--for", "5m") == 0
    told = capsys.readouterr().out.splitlines()
    assert len(told) == 2
    assert all("logs at level debug for 300 s, then info" in line for line in told)


def test_a_stock_tool_takes_it_over_too(tmp_path: Path, emulators: Emulators) -> None:
    """Its options are pinned; what they say about roots moves all the same, by our hand alone."""
    gateway = serving.start(tmp_path, emulators, level="info", tool="mitmdump")
    try:
        assert ask(gateway) == 200
        roots = tmp_path / "roots.pem"
        roots.write_bytes(emulators.ca_file.read_bytes() + listener(tmp_path)[1].read_bytes())
        upstream = json.loads(gateway.config.read_text())["upstream"]
        rewrite(gateway, lambda document: document.update(upstream={**upstream, "ca_file": str(roots)}))
        gateway.process.send_signal(signal.SIGHUP)
        (line,) = until(gateway, TAKEN)
        assert line["changed"] == ["upstream.ca_file", "the content of upstream.ca_file"]
        assert ask(gateway) == 200
    finally:
        gateway.stop(signal.SIGKILL)
