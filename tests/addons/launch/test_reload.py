"""A configuration of one process that is read again: whole or not at all, one reading after the other."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from addons.launch.reload import Reload, reader_of
from llmauth.config.settings import Settings
from llmauth.config.watching import FilesChanged, Watch, files_of, mark
from llmauth.demo.emulators import Emulators
from tests.fixtures.master import Running, run


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    with Emulators() as emulators:
        made = run(tmp_path, emulators)
        yield made
        made.stop()


def reload_of(running: Running, tmp_path: Path, followed: list[Settings]) -> Reload:
    gateway = running.master.gateway
    read = reader_of([tmp_path / "gateway.yaml"], {"LLMAUTH_HOME": str(tmp_path / "home")}, {})
    watch = Watch(gateway.settings)
    ports = running.master.listeners
    return Reload(gateway, ports, read, watch, running.master, running.master.dialer, follow=followed.append)


def rewrite(tmp_path: Path, **sections: Any) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(json.dumps({**json.loads(file.read_text()), **sections}))


def on_loop(running: Running, make: Callable[[], Any]) -> Any:
    """What a coroutine of the master's loop gives."""
    return asyncio.run_coroutine_threadsafe(make(), running._loop).result(20)


def test_it_is_followed_whole_or_not_at_all(running: Running, tmp_path: Path) -> None:
    followed: list[Settings] = []
    reload = running.call(lambda: reload_of(running, tmp_path, followed))
    rewrite(tmp_path, limits={"url_bytes": "1KiB"})
    answers = [on_loop(running, lambda: reload.reload("a test")) for _ in range(2)]
    assert [(one["ok"], one["changed"]) for one in answers] == [(True, ["limits.url_bytes"]), (True, [])]
    assert running.master.gateway.plan.limits.url_bytes == 1024
    (tmp_path / "gateway.yaml").write_text("limits: {url_bytes: none}")
    answer = on_loop(running, lambda: reload.reload("a test"))
    assert (answer["ok"], answer["problems"][0]["path"]) == (False, "limits.url_bytes")
    assert running.master.gateway.plan.limits.url_bytes == 1024
    assert [one.limits.url_bytes for one in followed] == [1024, 1024]


def test_what_somebody_else_read_must_be_the_same(running: Running, tmp_path: Path) -> None:
    reload = running.call(lambda: reload_of(running, tmp_path, []))
    settings = running.master.gateway.settings
    prepared = on_loop(running, lambda: reload.prepare(mark(files_of(settings))))
    on_loop(running, lambda: reload.abandon(prepared))
    with pytest.raises(FilesChanged):
        on_loop(running, lambda: reload.prepare("another"))
    assert running.master.gateway.settings is settings


@pytest.mark.timeout(20)
def test_a_reading_that_never_comes_back_keeps_no_process_from_ending() -> None:
    code = "import asyncio,threading;from addons.launch.reload import _aside\nasync def main():\n"
    code += " t=asyncio.create_task(_aside(threading.Event().wait));await asyncio.sleep(0.1);t.cancel()\n"
    assert subprocess.run([sys.executable, "-c", code + "asyncio.run(main())"], timeout=15).returncode == 0


def test_what_the_command_line_said_goes_on(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("server: {port: 1000}\n")
    read = reader_of([file], {"LLMAUTH_HOME": str(tmp_path)}, {"server.port": 2000})
    assert read().server.port == 2000
