"""All emulators in one: what it tells of itself, what may change while it runs, and the command that starts it."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from llmauth.demo.behaviour import Behaviour
from llmauth.demo.credentials import DemoCredentials
from llmauth.demo.emulators import Emulators, main
from llmauth.demo.openai import HOST
from tests.llmauth.demo.wire import call


def test_tells_where_every_host_is(emulators: Emulators) -> None:
    assert emulators.resolve == dict.fromkeys(emulators.hosts, f"127.0.0.1:{emulators.port}")
    assert {
        HOST,
        "api.anthropic.com",
        "bedrock-runtime.eu-west-1.amazonaws.com",
        "bedrock.us-east-1.amazonaws.com",
    } <= set(emulators.hosts)


def test_a_rotated_key_is_asked_for_at_once(emulators: Emulators) -> None:
    old = {"Authorization": f"Bearer {emulators.credentials.openai_key}"}
    assert call(emulators, HOST, "GET", "/v1/models", old).status == 200
    emulators.credentials = DemoCredentials.random()
    assert call(emulators, HOST, "GET", "/v1/models", old).status == 401


def test_a_behaviour_for_nobody_is_an_error(emulators: Emulators) -> None:
    with pytest.raises(ValueError, match=r"nobody\.example"):
        emulators.behave("nobody.example", Behaviour())


def test_waiting_for_what_does_not_come_is_told(emulators: Emulators) -> None:
    with pytest.raises(TimeoutError, match=r"0\.01 s"):
        emulators.wait(lambda requests: len(requests) > 0, timeout=0.01)


def test_state_is_kept_where_it_is_asked_for_and_else_removed(tmp_path: Path) -> None:
    with Emulators(state=tmp_path / "new") as kept, Emulators() as passing:
        assert passing.ca_file.exists()
    assert kept.ca_file.exists()
    assert not passing.ca_file.exists()


def test_a_taken_port_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        Emulators(port=taken.getsockname()[1]).start()


@pytest.fixture
def handlers() -> Iterator[None]:
    """The command takes the signals; here they are given back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("handlers")
def test_the_command_tells_a_taken_port_in_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main(["--port", str(taken.getsockname()[1])]) == 1
    assert "cannot listen on port" in capsys.readouterr().err


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["--port", "99999"], 1, "cannot listen on port 99999"),
        (["--alias", "localhost=nobody.example"], 2, "no such host is emulated: nobody.example"),
    ],
)
def test_the_command_tells_wrong_options_in_a_sentence(
    capsys: pytest.CaptureFixture[str], arguments: list[str], status: int, sentence: str
) -> None:
    assert main(arguments) == status
    assert sentence in capsys.readouterr().err


def test_the_command_prints_one_line_and_ends_with_sigterm(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "llmauth.demo.emulators", "--state", str(tmp_path), "--plain", "--tokens", "3"]
    with subprocess.Popen([*command, "--pace", "0"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        with socket.create_connection(("127.0.0.1", told["port"]), timeout=5) as connection:
            connection.sendall(f"GET /v1/models HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
            assert connection.recv(12) == b"HTTP/1.1 401"
        process.terminate()
        assert process.wait(10) == 0
    assert Path(told["ca_file"]).parent == tmp_path
    assert told["credentials"]["openai_key"].startswith("sk-demo-")
    assert told["resolve"][HOST] == f"127.0.0.1:{told['port']}"


def test_the_command_tells_a_wrong_alias(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--alias", "localhost"])
    assert caught.value.code == 2
    assert "'localhost' is not NAME=HOST" in capsys.readouterr().err
