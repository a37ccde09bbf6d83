"""The control socket of a real gateway: who may open it, what it answers, and what it does with nonsense."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import stat
from pathlib import Path
from typing import Any

import pytest

from llmauth.config.settings import read_settings
from llmauth.control.place import short, sockets
from llmauth.control.server import Control
from llmauth.gateway import Gateway
from llmauth.gateway.seat import Seat

CONFIG = "instances: {openai: {type: openai, authentication: {strategies: [{type: environment}, {type: keyring}]}}}\n"


@pytest.fixture
async def gateway(tmp_path: Path):
    (tmp_path / "c.yaml").write_text(CONFIG)
    environ = {"LLMAUTH_HOME": str(tmp_path / "home"), "OPENAI_API_KEY": "sk-canary-7f3a"}
    made = Gateway(read_settings([tmp_path / "c.yaml"], environ), environ)
    made.start()
    yield made
    made.close()


@pytest.fixture
async def control(gateway: Gateway):
    one = Control(gateway)
    await one.open()
    yield one
    await one.close()


def file_of(gateway: Gateway) -> Path:
    ((number, file),) = sockets(gateway.settings.home / "control")
    assert number == os.getpid()
    return file


async def ask(gateway: Gateway, line: bytes) -> Any:
    folder = os.open(file_of(gateway).parent, os.O_RDONLY)
    try:
        reader, writer = await asyncio.open_unix_connection(f"/proc/self/fd/{folder}/{file_of(gateway).name}")
        writer.write(line)
        answer = await reader.readline()
        writer.close()
    finally:
        os.close(folder)
    return json.loads(answer)


async def test_it_is_for_its_owner_alone_and_gone_at_the_end(gateway, control) -> None:
    for path, mode in ((file_of(gateway), 0o600), (file_of(gateway).parent, 0o700)):
        assert stat.S_IMODE(path.stat().st_mode) == mode
    await control.close()
    assert list((gateway.settings.home / "control").iterdir()) == []


async def test_how_the_credentials_stand(gateway, control) -> None:
    while gateway.credential.status()["openai"].state == "pending":
        await asyncio.sleep(0.01)
    told = await ask(gateway, b'{"ask": "credentials"}\n')
    assert told["process"] == os.getpid()
    assert told["platform"]["name"] == gateway.platform.name
    one = told["instances"]["openai"]
    assert (one["state"], one["strategy"]) == ("ready", "environment")
    assert [each["standing"] for each in one["strategies"]] == ["active", "standby"]
    assert "canary" not in json.dumps(told)


async def test_an_expiry_is_rehearsed(gateway, control) -> None:
    told = await ask(gateway, b'{"ask": "expire", "instance": "openai"}\n')
    assert (told["instance"], told["after"]) == ("openai", "environment")
    assert [one["strategy"] for one in told["standby"]] == ["keyring"]


async def test_sources_are_asked_again_when_one_was_given_something_new(gateway, control) -> None:
    told = await ask(gateway, b'{"ask": "look", "instance": "openai"}\n')
    assert (told["process"], told["state"], told["strategy"]) == (os.getpid(), "ready", "environment")
    assert "error" in await ask(gateway, b'{"ask": "look", "instance": ["openai"]}\n')


@pytest.mark.parametrize(
    "line",
    [b"\n", b"GET / HTTP/1.1\n", b'{"ask": "keys"}\n', b"[]\n", b'{"ask": ["x"]}\n', b"[" * 4000 + b"\n"],
)
async def test_nonsense_is_answered_and_harms_nobody(gateway, control, line) -> None:
    assert "error" in await ask(gateway, line)
    assert "instances" in await ask(gateway, b'{"ask": "credentials"}\n')


async def test_an_unknown_instance_is_told_the_known_ones(gateway, control) -> None:
    told = await ask(gateway, b'{"ask": "expire", "instance": "opanai"}\n')
    assert told == {"error": "no instance is named 'opanai'; there are: openai"}


async def test_a_folder_that_cannot_be_made_is_told_and_the_proxy_serves(gateway, caplog) -> None:
    caplog.set_level(logging.WARNING)
    (gateway.settings.home / "control").write_text("in the way")
    one = Control(gateway)
    await one.open()
    assert "No control socket" in caplog.text
    await one.close()


async def test_a_name_that_is_no_text_is_answered(gateway, control) -> None:
    """A lone surrogate is what a path with odd bytes becomes; it cannot be written as UTF-8."""
    told = await ask(gateway, b'{"ask": "expire", "instance": "\\udcff"}\n')
    assert "no instance is named" in told["error"]


async def test_two_proxies_of_one_number_have_a_socket_each(gateway, control) -> None:
    """As in containers that share a state folder."""
    other = Control(gateway)
    await other.open()
    assert len(sockets(gateway.settings.home / "control")) == 2
    await other.close()
    assert "instances" in await ask(gateway, b'{"ask": "credentials"}\n')


def held(gateway: Gateway) -> int:
    """How many sockets have the name of the control socket: the one that listens, and one for each connection."""
    return Path("/proc/net/unix").read_text("utf-8").count(file_of(gateway).name)


async def test_who_never_reads_keeps_nothing_open(gateway, control, monkeypatch) -> None:
    monkeypatch.setattr("llmauth.control.server._TIME_LIMIT", 0.1)

    async def long(_: Any) -> dict[str, Any]:
        return {"long": "x" * 8_000_000}

    monkeypatch.setitem(control._answers, "credentials", long)
    with socket.socket(socket.AF_UNIX) as deaf, short(file_of(gateway).parent, file_of(gateway).name) as path:
        deaf.connect(path)
        deaf.sendall(b'{"ask": "credentials"}\n')
        while held(gateway) < 2:
            await asyncio.sleep(0.01)
        async with asyncio.timeout(10):
            while held(gateway) > 1:
                await asyncio.sleep(0.05)


async def test_one_of_several_workers_says_which_it_is(gateway, control) -> None:
    assert "worker" not in await ask(gateway, b'{"ask": "credentials"}\n')
    gateway.seat = Seat(worker=3, workers=4, limits=Path("limits.sock"))
    assert (await ask(gateway, b'{"ask": "credentials"}\n'))["worker"] == 3
    assert (await ask(gateway, b'{"ask": "expire", "instance": "openai"}\n'))["worker"] == 3
