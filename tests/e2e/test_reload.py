"""A configuration that changes while requests are served: taken over whole, or not at all, and nobody notices."""

from __future__ import annotations

import http.client
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from llmauth.cli import main
from llmauth.demo.emulators import Emulators
from tests.fixtures import serving
from tests.fixtures.raw import Wire
from tests.fixtures.serving import Serving

CHAT = json.dumps({"model": "gpt-5", "messages": [{"role": "user", "content": "hello"}]}).encode()
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
    rewritten["policies"] = {"default": {"models": ["gpt-4*"]}}
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


# ---- under load ----------------------------------------------------------------------------------------------------


class Load:
    """Clients that ask and ask, on connections that stay open, some through a tunnel; what was not a 200 is kept."""

    def __init__(self, gateway: Serving) -> None:
        self.gateway = gateway
        self.over = threading.Event()
        self.answered = 0
        self.failed: list[str] = []
        self.threads = [threading.Thread(target=self._run, args=(one,), daemon=True) for one in range(4)]
        for thread in self.threads:
            thread.start()

    def _run(self, number: int) -> None:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.gateway.port, timeout=20)
            body = json.dumps({**json.loads(CHAT), "stream": number % 2 == 1}).encode()
            while not self.over.is_set():
                head = {"Authorization": f"Bearer {self.gateway.key()}", "Content-Type": "application/json"}
                connection.request("POST", PATH if number < 2 else "/v1/chat/completions", body, head)
                answer = connection.getresponse()
                text = answer.read()
                if answer.status != 200 or (number % 2 == 1 and b"[DONE]" not in text):
                    self.failed.append(f"{answer.status} {text[-200:]!r}")
                self.answered += 1
        except Exception as error:
            self.failed.append(repr(error))

    def stop(self) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join(20)


def test_no_request_fails_while_it_changes_again_and_again(
    gateway: Serving, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    load = Load(gateway)
    for round_ in range(12):

        def change(document: dict[str, Any], round_: int = round_) -> None:
            document["models"] = {"gpt-5": {"instance": "openai" if round_ % 3 else "again", "model": "gpt-5"}}
            document["instances"]["again"] = {"type": "openai", "base_url": "https://api.openai.com/v1"}
            document["limits"] = {"idle_timeout": f"{100 + round_}s"}

        rewrite(gateway, change)
        assert command(gateway, monkeypatch, "reload") == 0
    load.stop()
    assert (load.failed, load.answered > 50) == ([], True)
    assert capsys.readouterr().out.count("Taken over") == 12


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
    rewrite(two, lambda document: document.update(policies={"default": {"models": ["gpt-5"]}}))
    assert command(two, monkeypatch, "reload") == 0
    assert capsys.readouterr().out == "Taken over. Changed: policies.default.models\n"
    assert [line["asked_by"] for line in two.lines(TAKEN)] == ["llmauth config reload"]
    load.stop()
    assert (load.failed, load.answered > 10) == ([], True)
    first, _ = before = workers_of(two)
    os.kill(first, signal.SIGKILL)
    until(two, "A worker serves again")
    rewrite(two, lambda document: document.update(policies={"default": {"models": ["gpt-4"]}}))
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
