"""The stage: everything is there while it stands, nothing afterwards."""

from __future__ import annotations

import http.client
import socket
import stat
from pathlib import Path

import pytest

from llmauth.ca import Authority
from llmauth.demo.walk import stage as stages
from llmauth.demo.walk.problem import DemoFailed
from llmauth.demo.walk.stage import Stage, place_of


def test_serves_while_it_stands_and_leaves_nothing() -> None:
    with Stage(("alice", "bob")) as stage:
        stage.wait_until_ready()
        folder, port = stage.folder, stage.port
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert "LLM Proxy Auth" in stage.bundle.read_text()
        place = place_of(stage)
        assert place.keys.keys() == {"alice", "bob"}
        headers = {"Authorization": f"Bearer {place.keys['alice']}"}
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", "/transparent/openai/v1/models", headers=headers)
        assert connection.getresponse().status == 200
        connection.close()
    assert not folder.exists()
    assert not stage.proxy.running
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=1)


def test_the_ca_is_the_gateways_own(tmp_path: Path) -> None:
    with Stage(()) as stage:
        stage.wait_until_ready()
        own = Authority.load_or_create(stage.home / "ca", (), create=False)
        assert own.certificate_pem() in stage.bundle.read_text()


def test_what_was_begun_is_ended_when_the_rest_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[Stage] = []

    def fail(self: Stage) -> dict[str, str]:
        begun.append(self)
        raise DemoFailed("no keys today")

    monkeypatch.setattr(stages.Stage, "_issue_keys", fail)
    with pytest.raises(DemoFailed, match="no keys today"), Stage(("alice",)):
        pass
    assert not begun[0].proxy.running
    assert not begun[0].folder.exists()


def test_a_port_in_use_is_told_before_anything_is_begun() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(DemoFailed, match="choose another"):
        Stage(("alice",), taken.getsockname()[1]).__enter__()
