"""`llmauth creds` beside a running proxy: what it tells, an expiry rehearsed, and what a killed process leaves."""

from __future__ import annotations

import json
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.fixtures.calls import call, eventually, get
from tests.fixtures.serving import ROOT, Serving

Serve = Callable[..., Serving]


def told(gateway: Serving) -> dict[str, Any]:
    """How things stand, of the one process that there is."""
    found = json.loads(gateway.llmauth("creds", "--json"))
    (process,) = found["processes"]
    assert found["instances"] == process["instances"]
    one: dict[str, Any] = process
    return one


def rehearsed(gateway: Serving, instance: str) -> dict[str, Any]:
    """What came of an expiry."""
    (one,) = json.loads(gateway.llmauth("creds", "--drill", "expire", instance, "--json"))
    found: dict[str, Any] = one
    return found


def two_sources(folder: Path, serve: Serve, key: str) -> Serving:
    file = folder / "api_key"
    file.write_text(key)
    strategies = [
        {"type": "file", "path": str(file)},
        {"type": "environment"},
        {"type": "vault", "backend": "hashicorp", "path": "x"},
    ]
    instances = {"openai": {"type": "openai", "authentication": {"strategies": strategies}}}
    return serve(instances=instances)


def test_a_running_proxy_tells_and_rehearses(serve: Serve, emulators, tmp_path: Path) -> None:
    gateway = two_sources(tmp_path, serve, emulators.credentials.openai_key)
    eventually(lambda: get(gateway, "/ready").status == 200)
    one = told(gateway)
    assert one["process"] == gateway.process.pid
    instance = one["instances"]["openai"]
    assert (instance["state"], instance["strategy"], instance["degraded"]) == ("ready", "file", False)
    assert [each["standing"] for each in instance["strategies"]] == ["active", "standby", "standby"]
    (tmp_path / "api_key").unlink()
    drill = rehearsed(gateway, "openai")
    assert (drill["before"], drill["after"]) == ("file", "environment")
    assert [each["strategy"] for each in drill["standby"]] == ["file", "vault (hashicorp)"]
    assert call(gateway).status == 200
    instance = told(gateway)["instances"]["openai"]
    assert instance["strategies"][0]["reason"] == f"{tmp_path / 'api_key'} does not exist"
    assert emulators.credentials.openai_key not in json.dumps(one) + gateway.llmauth("creds")
    (tmp_path / "api_key").write_text(emulators.credentials.openai_key)
    eventually(lambda: told(gateway)["instances"]["openai"]["strategy"] == "file", timeout=15)


def test_a_rehearsal_that_fails_leaves_the_credential_in_use(serve: Serve, emulators, tmp_path: Path) -> None:
    file = tmp_path / "api_key"
    file.write_text(emulators.credentials.openai_key)
    strategies = [{"type": "file", "path": str(file), "refresh_interval": "1h"}]
    gateway = serve(instances={"openai": {"type": "openai", "authentication": {"strategies": strategies}}}, environ={})
    eventually(lambda: get(gateway, "/ready").status == 200)
    file.unlink()
    command = [sys.executable, "-m", "llmauth", "creds", "--drill", "expire", "openai"]
    done = subprocess.run(
        command, env=gateway.environ, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 1
    assert "The old credential is still good, and in use again." in done.stdout
    assert call(gateway).status == 200


def test_the_socket_is_the_owners_and_a_killed_process_is_passed_over(serve: Serve, emulators, tmp_path: Path) -> None:
    gateway = two_sources(tmp_path, serve, emulators.credentials.openai_key)
    (socket,) = (gateway.home / "control").iterdir()
    assert stat.S_IMODE(socket.stat().st_mode) == 0o600
    assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700
    gateway.stop(signal.SIGKILL)
    assert socket.exists()
    one = told(gateway)  # nobody runs: the sources of the configuration are asked
    assert one["process"] is None
    assert one["instances"]["openai"]["strategy"] == "file"
    other = two_sources(tmp_path, serve, emulators.credentials.openai_key)
    assert other.stop() == 0
    assert list((other.home / "control").iterdir()) == []
