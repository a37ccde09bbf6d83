"""The whole life of two workers; what they do under load and when they are killed is in tests/e2e/test_workers.py."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from pathlib import Path

import pytest

from addons.launch.listeners import ListenFailed
from addons.launch.workers.serve import serve
from llmauth.config.problems import ConfigError
from llmauth.telemetry import logs
from tests.addons.launch.test_serve import configured
from tests.addons.launch.workers.test_worker import health, send_to
from tests.fixtures.calls import eventually, refuses_connections


def test_from_start_to_end(tmp_path: Path) -> None:
    settings, environ = configured(tmp_path)
    log = tmp_path / "log"
    pid = os.fork()
    if pid == 0:
        send_to(log)
        logs.configure("info", "json")
        status = 99
        try:
            status = serve(settings, environ, 2, time.monotonic() - 60)
        finally:
            os._exit(status)
    try:
        eventually(lambda: log.exists() and "Ready on" in log.read_text(), timeout=15)
        assert b"healthy" in health(settings)
        os.kill(pid, signal.SIGTERM)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    except BaseException:
        os.kill(pid, signal.SIGKILL)
        raise
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    (ready,) = [line for line in lines if line["message"].startswith("Ready on")]
    assert f"http://127.0.0.1:{settings.server.port} in 60." in ready["message"]
    assert (ready["workers"], "worker" in ready) == (2, False)
    assert lines[-1]["message"] == "Stopped"
    assert refuses_connections(settings.server.port)
    assert list((settings.home / "control").iterdir()) == []


def test_what_can_be_known_before_is_told_before_any_process_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fork", lambda: pytest.fail("a process was started"))
    (tmp_path / "roots.pem").write_text("garbage")
    settings, environ = configured(tmp_path, upstream={"ca_file": str(tmp_path / "roots.pem")})
    with pytest.raises(ConfigError, match=r"upstream\.ca_file"):
        serve(settings, environ, 2, 0.0)
    settings, environ = configured(tmp_path)
    with socket.create_server(("127.0.0.1", settings.server.port)), pytest.raises(ListenFailed, match="is taken"):
        serve(settings, environ, 2, 0.0)
