"""Where the page of `llmauth serve --web` stands, and who is told its token."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mitmproxy import options

from addons.exchange import Exchanges
from addons.launch.listeners import ListenFailed
from addons.launch.web import HOST, TOKEN_FILE, Web, viewer
from addons.report import Report
from addons.viewing.listed import Listed
from addons.viewing.shown import Shown
from llmauth.config.settings import Settings, read_settings
from tests.fixtures.serving import free_port
from tests.fixtures.webpage import ask, by_token

BEHIND = SimpleNamespace(options=options.Options(), proxyserver=SimpleNamespace(servers=[]))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "gateway.yaml").write_text(json.dumps({"server": {"port": free_port()}}))
    (tmp_path / "home").mkdir(mode=0o700)
    return read_settings([tmp_path / "gateway.yaml"], {"LLMAUTH_HOME": str(tmp_path / "home")})


async def test_without_a_terminal_the_token_is_in_a_file_for_its_owner(
    settings: Settings, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:

    caplog.set_level("INFO")
    web, file = Web(settings, free_port()), settings.home / TOKEN_FILE
    file.write_text("left by another")
    web.open(BEHIND)
    address, _, token = file.read_text().strip().partition("?token=")
    assert address == f"http://{HOST}:{web.port}/"
    assert file.stat().st_mode & 0o777 == 0o600
    assert (await asyncio.to_thread(ask, web.port, "GET", "/flows", by_token(token))).status == 200
    assert token not in caplog.text + "".join(capsys.readouterr())
    assert str(file) in caplog.text
    assert "shows the prompts and answers of every caller" in caplog.text
    web.close()
    web.close()
    assert not file.exists()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, web.port), 1)


async def test_a_link_that_somebody_left_is_not_written_through(settings: Settings, tmp_path: Path) -> None:
    (settings.home / TOKEN_FILE).symlink_to(tmp_path / "elsewhere")
    web = Web(settings, free_port())
    web.open(BEHIND)
    web.close()
    assert not (tmp_path / "elsewhere").exists()


async def test_on_a_terminal_it_is_said_once(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], caplog: Any
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    web = Web(settings, free_port())
    web.open(BEHIND)
    web.close()
    said = capsys.readouterr().err
    assert said.count(f"Flows are shown at http://{HOST}:{web.port}/?token=") == 1
    assert said.strip().rpartition("=")[2] not in caplog.text
    assert not (settings.home / TOKEN_FILE).exists()


async def test_each_start_has_a_token_of_its_own(settings: Settings) -> None:
    assert Web(settings, 1)._password.text != Web(settings, 1)._password.text


async def test_a_port_that_is_taken_is_told(settings: Settings) -> None:
    with socket.create_server((HOST, 0)) as other:
        web = Web(settings, other.getsockname()[1])
        with pytest.raises(ListenFailed, match=r"taken by another program.*--web-port"):
            web.open(BEHIND)
        web.close()
    assert not (settings.home / TOKEN_FILE).exists()


def test_the_viewer_stands_behind_the_chain_and_is_told_what_requests_cost(settings: Settings) -> None:
    class Told(Report):
        def __init__(self) -> None:
            self.told: list[object] = []

        def tell_also(self, tell: object) -> None:
            self.told.append(tell)

    report, web = Told(), Web(settings, 1)
    *before, shown = web.chain(lambda gateway, exchanges: [report])(None, Exchanges())
    assert before == [report]
    assert isinstance(shown, Shown)
    assert report.told == [shown.tell]
    with pytest.raises(StopIteration):
        viewer([], Listed(), Exchanges())
