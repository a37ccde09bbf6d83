"""`llmauth demo` as a person runs it: the whole walk, one that goes wrong, and every way in which it can end."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from llmauth.cli import main
from llmauth.demo.behaviour import Behaviour
from llmauth.demo.emulators import Emulators
from llmauth.demo.walk import stage as stages
from llmauth.demo.walk import tour
from llmauth.demo.walk.shells import Place, Shell, Step, behind_proxy
from tests.fixtures.serving import ROOT, environment
from tests.llmauth.demo.clients import interpreter

# The command with one call instead of all; what is tested with it is how it begins and ends.
SMALL = """
import sys
from tests.llmauth.cli.test_demo import small
from llmauth.cli import main
from llmauth.demo.walk import tour
tour.cast = small
sys.exit(main(["demo", *sys.argv[1:]]))
"""


def small(place: Place, *, curl: bool) -> tuple[Shell, ...]:
    variables = behind_proxy(place, "alice", place.keys["alice"])
    return (Shell(caller="alice", way="HTTPS_PROXY", variables=variables, steps=(Step(call="openai.chat"),)),)


def environ(folder: Path, **more: str) -> dict[str, str]:
    return environment(TMPDIR=str(folder), LLMAUTH_CLIENTS_PYTHON=str(interpreter()), **more)


def processes_of(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def running(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """The small demo, serving, in a process group of its own."""
    command = [sys.executable, "-c", SMALL]
    process = subprocess.Popen(
        command,
        env=environ(tmp_path),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    yield process
    if processes_of(process.pid):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


@pytest.mark.slow
def test_the_whole_walk_goes_as_it_must(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; from llmauth.cli import main; sys.exit(main())"]
    done = subprocess.run(
        [*command, "demo", "--once", "--json"],
        env=environ(tmp_path),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    facts = json.loads(done.stdout)
    assert [call["problems"] for call in facts["calls"] if call["problems"]] == []
    assert (done.returncode, done.stderr, facts["ok"]) == (0, "", True)
    answered = [call for call in facts["calls"] if call["status"] == 200]
    assert {(call["caller"], call["via"]) for call in answered} >= {("alice", "HTTPS_PROXY"), ("bob", "base URL")}
    assert {call["paid_by"] for call in answered} == {
        "openai",
        "anthropic",
        "bedrock_us1",
        "bedrock_eu1",
        "vertex_us1",
        None,
    }
    assert [call["call"] for call in answered if call["overhead_ms"] is None] == ["openai.models"]
    spoken = {(call["call"], call["answered_in"]) for call in answered if call["door"]}
    assert spoken >= {
        ("openai.chat", "Bedrock Converse"),
        ("openai.responses", "Vertex generateContent"),
        ("anthropic.messages_stream", "OpenAI chat"),
        ("agent.tool_result", "Bedrock Converse"),
        ("curl.invoke_model", "Bedrock InvokeModel"),
    }
    assert sorted(call["status"] for call in facts["calls"] if call["status"] != 200) == [401, 401, 403, 407]
    assert all(call["first_token_ms"] for call in answered if "stream" in call["call"])
    assert list(tmp_path.iterdir()) == []


def test_a_call_that_goes_wrong_is_named_and_ends_with_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Moody(Emulators):
        def start(self) -> Emulators:  # type: ignore[override]
            super().start()
            self.behave("api.openai.com", Behaviour(status=400), times=None)
            return self

    monkeypatch.setenv("LLMAUTH_CLIENTS_PYTHON", str(interpreter()))
    monkeypatch.setattr(stages, "Emulators", Moody)
    monkeypatch.setattr(tour, "cast", small)
    assert main(["demo", "--once"]) == 1
    text = capsys.readouterr().out
    assert "1 of 1 calls went wrong:" in text
    assert "expected status 200, got 400" in text


def test_serves_until_ctrl_c_and_leaves_nothing_behind(running: subprocess.Popen[str], tmp_path: Path) -> None:
    assert running.stdout is not None
    said = ""
    while "Ctrl-C ends" not in said:
        line = running.stdout.readline()
        assert line, said
        said += line
    (folder,) = tmp_path.iterdir()
    assert f"{folder}/gateway.yaml" in said.replace("\n", "")
    os.killpg(running.pid, signal.SIGINT)  # as a terminal does: to everybody at once
    assert running.wait(15) == 0
    assert not processes_of(running.pid)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_while_it_starts_leaves_nothing_behind(
    running: subprocess.Popen[str], tmp_path: Path, number: signal.Signals
) -> None:
    while not list(tmp_path.glob("llmauth-demo-*/gateway.log")):
        assert running.poll() is None
        time.sleep(0.01)
    running.send_signal(number)
    assert running.wait(15) == 130
    assert not processes_of(running.pid)
    assert list(tmp_path.iterdir()) == []


def test_a_second_ctrl_c_does_not_cut_the_ending_short(running: subprocess.Popen[str], tmp_path: Path) -> None:
    while not list(tmp_path.glob("llmauth-demo-*/gateway.log")):
        assert running.poll() is None
        time.sleep(0.01)
    for _ in range(3):
        running.send_signal(signal.SIGINT)
        time.sleep(0.01)
    assert running.wait(15) == 130
    assert not processes_of(running.pid)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_clients_environment_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LLMAUTH_CLIENTS_PYTHON", "/nowhere/python")
    assert main(["demo", "--once"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("Error: The official SDKs are not there: found no /nowhere/python. Run scripts/install")
    assert said.err.count("\n") == 1


def test_a_port_in_use_is_one_sentence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("LLMAUTH_CLIENTS_PYTHON", sys.executable)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["demo", "--once", "--port", str(port)]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"Error: Port {port} cannot be listened on")
    assert said.count("\n") == 1


def test_a_port_that_is_none_is_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--port", "70000"]) == 2
    assert "--port" in capsys.readouterr().err
