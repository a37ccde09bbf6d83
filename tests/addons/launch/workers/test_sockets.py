from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from mitmproxy.proxy import mode_servers

from addons.launch.listeners import ListenFailed, listeners
from addons.launch.workers.sockets import BACKLOG, Doors, open_doors
from llmauth.config.settings import Settings
from tests.addons.launch.test_listeners import settings as read
from tests.fixtures.certificates import listener
from tests.fixtures.serving import free_port


def opened(settings: Settings) -> Doors:
    return open_doors(settings, listeners(settings))


def configured(folder: Path, **more: Any) -> Settings:
    server: Mapping[str, Any] = more.pop("server", {})
    return read(folder, server={"port": free_port(), **server}, **more)


@pytest.fixture
def untouched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mode_servers.RegularInstance, "listen", mode_servers.RegularInstance.listen)


def test_every_port_is_open_and_all_are_closed_together(tmp_path: Path) -> None:
    server, _ = listener(tmp_path)
    settings = configured(tmp_path, server=server, metrics={"port": free_port()})
    assert settings.metrics is not None
    doors = opened(settings)
    ports = (settings.server.port, settings.server.tls_port, settings.metrics.port)
    for port in ports:
        socket.create_connection(("127.0.0.1", port), 1).close()
    doors.close()
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), 1)


@pytest.mark.parametrize("option", ["server.port", "server.tls_port", "metrics.port"])
def test_a_port_that_is_taken_is_named_and_no_other_stays_open(tmp_path: Path, option: str) -> None:
    server, _ = listener(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        mine = free_port()
        section, _, name = option.partition(".")
        sections: dict[str, Any] = {"server": {**server, "port": mine}, "metrics": {"port": free_port()}}
        sections[section][name] = port
        settings = configured(tmp_path, **sections)
        with pytest.raises(ListenFailed, match=f"Port {port} on 127.0.0.1 is taken.*{option}"):
            opened(settings)
        if option != "server.port":
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", mine), 1)


def test_an_address_of_another_machine(tmp_path: Path) -> None:
    with pytest.raises(ListenFailed, match="no address that can be listened on"):
        opened(configured(tmp_path, server={"host": "192.0.2.1"}))


def test_ipv6(tmp_path: Path) -> None:
    settings = configured(tmp_path, server={"host": "::1"})
    doors = opened(settings)
    socket.create_connection(("::1", settings.server.port), 1).close()
    doors.close()


async def test_mitmproxy_s_listeners_are_these(tmp_path: Path, untouched: None) -> None:
    """What one process closes stays open in the others."""
    settings = configured(tmp_path)
    ports = listeners(settings)
    doors = open_doors(settings, ports)
    doors.take()
    met: list[int] = []

    class Instance:
        async def handle_stream(self, reader: Any, writer: Any) -> None:
            met.append(1)
            writer.close()

    instance: Any = Instance()
    place = ("127.0.0.1", settings.server.port)
    (server,) = await mode_servers.RegularInstance.listen(instance, *place)
    inherited = socket.fromfd(server.sockets[0].fileno(), socket.AF_INET, socket.SOCK_STREAM)
    reader, writer = await asyncio.open_connection(*place)
    assert await reader.read() == b""
    assert met == [1]
    writer.close()
    server.close()
    socket.create_connection(place, 1).close()
    inherited.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(place, 1)
    assert BACKLOG > 100


def test_a_name_is_opened_at_each_of_its_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And where this machine lacks one of them, at the others; for metrics at the first."""
    port, real = free_port(), socket.getaddrinfo

    def two(host: Any, asked: Any, *more: Any, **options: Any) -> Any:
        hosts = ("127.0.0.1", "::1", "2001:db8::1") if host == "localhost" else (host,)
        return [found for one in hosts for found in real(one, asked, *more, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", two)
    metrics = {"host": "localhost", "port": free_port()}
    doors = opened(configured(tmp_path, server={"host": "localhost", "port": port}, metrics=metrics))
    monkeypatch.undo()
    assert {one.getsockname()[0] for one in doors._main["localhost", port]} == {"127.0.0.1", "::1"}
    assert doors.metrics is not None
    assert doors.metrics.getsockname()[0] == "127.0.0.1"
    doors.close()


async def test_a_place_that_nobody_opened_is_not_listened_on(tmp_path: Path, untouched: None) -> None:
    doors = Doors({}, None)
    doors.take()
    instance: Any = object()
    with pytest.raises(KeyError):
        await mode_servers.RegularInstance.listen(instance, "127.0.0.1", 1)
