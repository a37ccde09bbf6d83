"""A start that cannot go well ends with one sentence and no traceback; one that can says what is missing."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from llmauth.demo.emulators import Emulators
from tests.fixtures.calls import call, eventually, get
from tests.fixtures.certificates import listener
from tests.fixtures.serving import ROOT, Serving, environment, free_port, start

FAILED, MISUSED = 1, 2


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which another program listens."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


@pytest.fixture
def refused(tmp_path: Path, emulators: Emulators) -> Callable[..., tuple[int, str]]:
    """Starts a gateway that should not start; its exit status and what it says last."""

    def begin(**options: Any) -> tuple[int, str]:
        gateway = start(tmp_path, emulators, wait=False, **options)
        try:
            status = gateway.process.wait(20)
        finally:
            gateway.stop()
        assert "Traceback" not in gateway.log()
        assert "Internal error" not in gateway.log()
        said = [line for line in gateway.log().splitlines() if line and not line.startswith("{")]
        assert len(said) == 1, said
        return status, said[0]

    return begin


def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    return folder


# ---- ports ---------------------------------------------------------------------------------------------------------


def test_the_plain_port_is_taken(refused: Callable[..., tuple[int, str]], taken: int) -> None:
    status, said = refused(server={"port": taken})
    assert status == FAILED
    assert said.startswith(f"Error: Port {taken} on 127.0.0.1 is taken by another program.")
    assert "server.port" in said


def test_the_tls_port_is_taken(refused: Callable[..., tuple[int, str]], taken: int, tmp_path: Path) -> None:
    server, _ = listener(tmp_path)
    status, said = refused(server={**server, "tls_port": taken})
    assert status == FAILED
    assert f"Port {taken}" in said
    assert "server.tls_port" in said


def test_the_metrics_port_is_taken(refused: Callable[..., tuple[int, str]], taken: int) -> None:
    status, said = refused(metrics={"port": taken})
    assert status == FAILED
    assert f"Port {taken}" in said
    assert "metrics.port" in said


@pytest.mark.parametrize(("given", "missing"), [("cert", "key"), ("key", "cert")])
def test_one_tls_file_alone(refused: Callable[..., tuple[int, str]], tmp_path: Path, given: str, missing: str) -> None:
    server, _ = listener(tmp_path)
    status, said = refused(server={"tls_port": server["tls_port"], f"tls_{given}_file": server[f"tls_{given}_file"]})
    assert status == MISUSED
    assert f"server.tls_{given}_file: needs server.tls_{missing}_file" in said


def test_a_tls_key_that_is_none(refused: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    server, _ = listener(tmp_path)
    (tmp_path / "tls.key").write_text("secret-looking garbage")
    status, said = refused(server=server)
    assert status == MISUSED
    assert "tls.key holds no private key" in said
    assert "garbage" not in said


def test_an_address_of_another_machine(refused: Callable[..., tuple[int, str]]) -> None:
    status, said = refused(server={"host": "192.0.2.1"})
    assert status == FAILED
    assert "192.0.2.1" in said


def test_ports_that_the_system_chooses_are_told(serve: Callable[..., Serving]) -> None:
    gateway = serve(server={"host": "::1", "port": 0}, options=["--workers", "1"])
    (ready,) = [line["message"] for line in gateway.lines() if line["message"].startswith("Ready on ")]
    port = int(ready.split("]:")[1].split()[0])
    with socket.create_connection(("::1", port)) as sock:
        sock.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert sock.recv(100).startswith(b"HTTP/1.1 200")


# ---- state and configuration ---------------------------------------------------------------------------------------


def test_a_key_store_that_is_no_database(refused: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    store = home(tmp_path) / "keys.db"
    store.write_bytes(b"garbage" * 1000)
    store.chmod(0o600)
    status, said = refused()
    assert status == FAILED
    assert str(store) in said


def test_a_key_store_that_is_a_folder(refused: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    store = home(tmp_path) / "keys.db"
    store.mkdir(mode=0o700)
    status, said = refused()
    assert status == FAILED
    assert str(store) in said


def test_a_key_store_that_others_may_read(refused: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    store = home(tmp_path) / "keys.db"
    store.touch(mode=0o644)
    status, said = refused()
    assert status == FAILED
    assert "chmod 600" in said


def test_an_unknown_method_of_authentication(refused: Callable[..., tuple[int, str]]) -> None:
    status, said = refused(auth={"methods": ["magic"]})
    assert status == MISUSED
    assert "auth.methods[0]: found 'magic'" in said


@pytest.mark.parametrize("mode", ["none", "api_key,magic"])
def test_defect_02_an_unknown_mode_of_authentication_ends_the_start(
    refused: Callable[..., tuple[int, str]], mode: str
) -> None:
    """2.9 row 2: without a word, such a mode once let everybody in."""
    status, said = refused(environ={"AUTH_MODE": mode})
    assert status == MISUSED
    assert "AUTH_MODE" in said
    assert "Ready" not in said


def test_a_pod_without_its_certificate_authority(refused: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    status, said = refused(environ={"KUBERNETES_SERVICE_HOST": "10.0.0.1"})
    assert status == FAILED
    assert "certificate authority" in said
    assert not (tmp_path / "home" / "ca" / "ca-key.pem").exists()


def test_roots_for_providers_that_are_none(refused: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    (tmp_path / "roots.pem").write_text("garbage")
    status, said = refused(upstream={"ca_file": str(tmp_path / "roots.pem")})
    assert status == MISUSED
    assert "upstream.ca_file" in said


# ---- little is enough ----------------------------------------------------------------------------------------------


def test_an_empty_store_refuses_everybody_and_says_how_to_begin(serve: Callable[..., Serving]) -> None:
    gateway = serve()
    (hint,) = [line for line in gateway.lines() if "llmauth keys create NAME" in line["message"]]
    assert hint["level"] == "WARN"
    assert get(gateway, "/transparent/openai/v1/models").status == 401
    # The first key is known at once, and nothing has to be started again.
    gateway.key()
    eventually(lambda: call(gateway).status == 200, timeout=1)


def test_without_any_configuration(tmp_path: Path) -> None:
    port = free_port()
    variables = environment(
        LLMAUTH_HOME=str(tmp_path / "home"), PORT=str(port), LOG_FORMAT="json", PYTHONPATH=str(ROOT)
    )
    log_file = tmp_path / "gateway.log"
    with log_file.open("wb") as log:
        command = [sys.executable, "-m", "llmauth", "serve"]
        process = subprocess.Popen(command, env=variables, cwd=tmp_path, stdout=log, stderr=log)
    gateway = Serving(tmp_path / "home", port, variables, tmp_path / "none.yaml", log_file, process)
    try:
        eventually(lambda: "Ready on" in gateway.log(), timeout=20)
        assert "No instance is configured" in gateway.log()
        ready = get(gateway, "/ready")
        assert (ready.status, b'"not_ready"' in ready.body) == (503, True)
        assert get(gateway, "/health").status == 200
    finally:
        assert gateway.stop() == 0


# ---- kill -9 -------------------------------------------------------------------------------------------------------


def test_killed_at_any_moment_it_starts_again(serve: Callable[..., Serving], emulators: Emulators) -> None:
    """F5: no repair, no acknowledged key or revocation lost, and the authority is the one that clients trust."""
    gateway = serve()
    kept, gone = ("X-API-Key", gateway.key("kept")), ("X-API-Key", gateway.key("gone"))
    gateway.llmauth("keys", "revoke", "gone")
    gateway.stop(9)
    authority = gateway.ca_file.read_bytes()
    again = start(gateway.config.parent, emulators)
    try:
        assert get(again, "/transparent/openai/v1/models", kept).status == 200
        assert get(again, "/transparent/openai/v1/models", gone).status == 401
        assert again.ca_file.read_bytes() == authority
    finally:
        again.stop()
