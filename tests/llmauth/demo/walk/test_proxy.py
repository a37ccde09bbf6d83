"""The gateway's process: what keeps it from starting is told in its own words."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from llmauth.demo.walk.problem import DemoFailed
from llmauth.demo.walk.proxy import Proxy, choose_port


def proxy(folder: Path, config: str) -> Proxy:
    file = folder / "gateway.yaml"
    file.write_text(config)
    return Proxy(file, choose_port(None), folder / "log", {"LLMAUTH_HOME": str(folder / "home")})


def test_a_start_that_fails_is_one_sentence_with_the_reason(tmp_path: Path) -> None:
    failing = proxy(tmp_path, "server: {port: nonsense}\n")
    with pytest.raises(DemoFailed, match=r"^The proxy did not start: .*server\.port") as raised:
        failing.wait_until_ready()
    assert "\n" not in str(raised.value)
    assert not failing.running


def test_a_proxy_that_is_stopped_at_once_is_gone(tmp_path: Path) -> None:
    stopped = proxy(tmp_path, "instances: {}\n")
    stopped.stop()
    stopped.stop()
    assert not stopped.running


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ("", "it said nothing"),
        ('{"message": "Ready"}\nError: a fault\n', "a fault"),
        ('{"message": "Stopped", "level": "INFO"}\n\n', "Stopped"),
    ],
)
def test_its_last_words(tmp_path: Path, log: str, words: str) -> None:
    silent = proxy(tmp_path, "instances: {}\n")
    silent.stop()
    (tmp_path / "log").write_text(log)
    assert silent.last_words() == words


def test_a_port_in_use_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(DemoFailed, match=rf"^Port {port} cannot be listened on \(.*\); choose another with --port"):
            choose_port(port)


def test_any_free_port_will_do_and_a_wanted_one_is_taken() -> None:
    port = choose_port(None)
    assert choose_port(port) == port
