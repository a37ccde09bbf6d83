from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from addons.launch.listeners import ListenFailed
from addons.launch.serve import serve
from llmauth.config.problems import ConfigError
from llmauth.config.settings import Settings, read_settings
from tests.fixtures.serving import free_port


def configured(folder: Path, **options: Any) -> tuple[Settings, Mapping[str, str]]:
    file = folder / "gateway.yaml"
    file.write_text(json.dumps({"server": {"port": free_port()}, **options}))
    home = folder / "home"
    home.mkdir(mode=0o700, exist_ok=True)
    environ = {"LLMAUTH_HOME": str(home), "LLMAUTH_CONFIG": str(file)}
    return read_settings([], environ), environ


def followers() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("keys-")]


def test_a_life_from_start_to_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings, environ = configured(tmp_path)
    caplog.set_level("INFO", "addons.launch")
    answers: list[int] = []

    def visit() -> None:
        ends = time.monotonic() + 10
        while "Ready on" not in caplog.text and time.monotonic() < ends:
            time.sleep(0.02)
        with urllib.request.urlopen(f"http://127.0.0.1:{settings.server.port}/health") as answer:
            answers.append(answer.status)
        os.kill(os.getpid(), signal.SIGTERM)

    visitor = threading.Thread(target=visit)
    visitor.start()
    serve(settings, environ, time.monotonic() - 60)
    visitor.join()
    assert answers == [200]
    assert f"Ready on http://127.0.0.1:{settings.server.port} in 60." in caplog.text
    assert "CA fingerprint" in caplog.text
    assert caplog.messages[-1] == "Stopped"
    assert followers() == []


def test_warnings_of_the_configuration_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings, environ = configured(tmp_path)
    with socket.create_server(("127.0.0.1", settings.server.port)), pytest.raises(ListenFailed):
        serve(settings, environ)
    assert "No instance is configured" in caplog.text


@pytest.mark.parametrize("option", ["server", "metrics"])
def test_a_start_that_fails_leaves_nothing_behind(tmp_path: Path, option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        settings, environ = configured(tmp_path, **{option: {"port": port}})
        with pytest.raises(ListenFailed, match=f"Port {port} on 127.0.0.1 is taken.*{option}.port"):
            serve(settings, environ)
    assert followers() == []


def test_roots_that_cannot_be_used_are_told_before_anything_is_served(tmp_path: Path) -> None:
    (tmp_path / "roots.pem").write_text("garbage")
    settings, environ = configured(tmp_path, upstream={"ca_file": str(tmp_path / "roots.pem")})
    with pytest.raises(ConfigError, match=r"upstream\.ca_file"):
        serve(settings, environ)


def test_what_fails_to_start_for_another_reason_is_not_blamed_on_a_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, environ = configured(tmp_path)

    def fail(self: object) -> None:
        raise PermissionError(13, "Permission denied", "/somewhere")

    monkeypatch.setattr("llmauth.gateway.Gateway.start", fail)
    with pytest.raises(PermissionError):
        serve(settings, environ)
