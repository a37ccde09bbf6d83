"""How a stock tool with our chain starts and ends: whole, or at once with a sentence, and never without the chain."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from llmauth.demo.emulators import Emulators
from tests.e2e.stock.conftest import TOOLS, script
from tests.fixtures.calls import call, eventually, get, refuses_connections
from tests.fixtures.raw import Wire
from tests.fixtures.serving import CHAIN, ROOT, Serving, environment, free_port, stock_command

FAILED, MISUSED, SOFTWARE = 1, 2, 70


class Attempt:
    """A start that should not succeed: its status, and what it said."""

    def __init__(
        self, folder: Path, *options: str, tool: str = "mitmdump", config: Path | None, **variables: str
    ) -> None:
        self.port = free_port()
        home = folder / "home"
        home.mkdir(mode=0o700, exist_ok=True)
        environ = environment(LLMAUTH_HOME=str(home), **variables)
        command = [*stock_command(tool, folder, config), *options]
        done = subprocess.run(command, env=environ, cwd=folder, capture_output=True, text=True, timeout=30)
        self.status, self.said = done.returncode, done.stderr.strip()
        self.all = done.stdout + done.stderr


def written(folder: Path, **sections: object) -> Path:
    config = folder / "gateway.yaml"
    config.write_text(
        json.dumps({"server": {"port": free_port()}, "instances": {"openai": {"type": "openai"}}} | sections)
    )
    return config


# ---- starts that do not succeed ------------------------------------------------------------------------------------


@pytest.mark.parametrize("tool", TOOLS)
def test_without_a_configuration(tmp_path: Path, tool: str) -> None:
    attempt = Attempt(tmp_path, tool=tool, config=None)
    assert attempt.status == MISUSED
    assert attempt.said == "Error: no configuration: give `--set llmauth_config=FILE`, or set LLMAUTH_CONFIG."


@pytest.mark.parametrize("tool", TOOLS)
def test_a_typing_error_in_the_name_of_our_option(tmp_path: Path, tool: str) -> None:
    """mitmproxy keeps unknown options for later, without a word; a configuration elsewhere must not hide it."""
    attempt = Attempt(
        tmp_path, "--set", "llmauth_confg=x", tool=tool, config=None, LLMAUTH_CONFIG=str(written(tmp_path))
    )
    assert attempt.status == MISUSED
    assert attempt.said.endswith("Error: mitmproxy has no option 'llmauth_confg'; did you mean llmauth_config?")


def test_a_configuration_that_is_not_there(tmp_path: Path) -> None:
    attempt = Attempt(tmp_path, config=tmp_path / "nowhere.yaml")
    assert attempt.status == MISUSED
    assert "nowhere.yaml" in attempt.said
    assert "Traceback" not in attempt.all


def test_a_configuration_that_is_wrong(tmp_path: Path) -> None:
    attempt = Attempt(tmp_path, config=written(tmp_path, servr={}))
    assert attempt.status == MISUSED
    assert "servr" in attempt.said
    assert "Traceback" not in attempt.all


def test_a_configuration_that_cannot_be_read(tmp_path: Path) -> None:
    folder = tmp_path / "gateway.yaml"
    folder.mkdir()
    attempt = Attempt(tmp_path, config=folder)
    assert attempt.status in (FAILED, MISUSED)
    assert str(folder) in attempt.said
    assert "Traceback" not in attempt.all


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        attempt = Attempt(tmp_path, config=written(tmp_path, server={"port": port}))
    assert attempt.status == FAILED
    assert f"Error: Port {port} on 127.0.0.1 is taken by another program." in attempt.said
    assert "Traceback" not in attempt.all


UNSAFE = {
    "ssl_insecure": "true",
    "connection_strategy": "eager",
    "stream_large_bodies": "1",
    "store_streamed_bodies": "true",
    "body_size_limit": "1m",
    "validate_inbound_headers": "false",
    "rawtcp": "true",
    "websocket": "true",
    "http3": "true",
    "ignore_hosts": ".*",
    "allow_hosts": "x",
    "tcp_hosts": ".*",
    "map_remote": "|.*|http://evil.example",
    "modify_headers": "/~q/authorization/x",
    "upstream_auth": "a:b",
    "proxyauth": "any",
    "client_replay": "flows",
    "save_stream_file": "flows",
    "hardump": "all.har",
    "proxy_debug": "true",
    "listen_port": "9",
    "listen_host": "0.0.0.0",
    "server": "false",
    "mode": "transparent",
}


@pytest.mark.parametrize("name", ["ssl_insecure", "stream_large_bodies", "mode"])
def test_an_option_that_would_break_a_promise(tmp_path: Path, name: str) -> None:
    attempt = Attempt(tmp_path, "--set", f"{name}={UNSAFE[name]}", config=written(tmp_path))
    assert attempt.status == MISUSED
    assert attempt.said.startswith(f"Error: mitmproxy's option {name} ")
    assert len(attempt.said.splitlines()) == 1


def test_an_option_in_mitmproxy_s_own_configuration(tmp_path: Path) -> None:
    (tmp_path / "mitmproxy").mkdir()
    (tmp_path / "mitmproxy" / "config.yaml").write_text("ssl_insecure: true\n")
    attempt = Attempt(tmp_path, config=written(tmp_path))
    assert attempt.status == MISUSED
    assert "ssl_insecure" in attempt.said


def test_mitmweb_for_other_machines(tmp_path: Path) -> None:
    attempt = Attempt(tmp_path, "--web-host", "0.0.0.0", tool="mitmweb", config=written(tmp_path))
    assert attempt.status == MISUSED
    assert "web_host must be an address of loopback" in attempt.said


def test_a_file_for_the_secrets_of_tls(tmp_path: Path) -> None:
    attempt = Attempt(tmp_path, config=written(tmp_path), SSLKEYLOGFILE=str(tmp_path / "keys.log"))
    assert attempt.status == MISUSED
    assert "SSLKEYLOGFILE is set" in attempt.said


def test_another_script_must_come_after_ours(tmp_path: Path) -> None:
    other = tmp_path / "other.py"
    other.write_text("")
    words = stock_command("mitmdump", tmp_path, written(tmp_path))
    words[1:1] = ["-s", str(other)]
    done = subprocess.run(
        words, env=environment(LLMAUTH_HOME=str(tmp_path)), capture_output=True, text=True, timeout=30
    )
    assert done.returncode == MISUSED
    assert "must be the first script" in done.stderr


@pytest.mark.parametrize("fault", ["syntax", "missing", "load"])
def test_another_script_that_cannot_be_loaded(tmp_path: Path, fault: str) -> None:
    other = tmp_path / "other.py"
    if fault != "missing":
        other.write_text("def" if fault == "syntax" else "def load(loader):\n    raise ValueError('no')\n")
    attempt = Attempt(tmp_path, "-s", str(other), config=written(tmp_path))
    assert attempt.status != 0
    assert "Ready on" not in attempt.all


def test_an_installation_that_is_broken(tmp_path: Path) -> None:
    """The script itself cannot be imported, so none of our code runs: mitmproxy ends by itself, before it serves."""
    package = tmp_path / "addons"
    package.mkdir()
    (package / "__init__.py").write_text("raise ImportError('broken')\n")
    port = free_port()
    attempt = Attempt(tmp_path, "--listen-port", str(port), config=written(tmp_path), PYTHONPATH=str(tmp_path))
    assert attempt.status == FAILED
    assert refuses_connections(port)


# ---- a tool that serves, and loses the chain -----------------------------------------------------------------------


@pytest.mark.parametrize("tool", TOOLS)
def test_a_script_that_is_touched_ends_the_process(tmp_path: Path, serve: Callable[..., Serving], tool: str) -> None:
    """A hot reload would serve without us for a moment, or for ever when the new file does not load."""
    gateway, copy = serve(tool=tool), tmp_path / "addons" / "chain.py"
    with Wire(gateway.port) as wire:
        assert get(gateway, "/health", wire=wire).status == 200
        os.utime(copy, (copy.stat().st_atime, copy.stat().st_mtime + 10))
        assert gateway.process.wait(5) == SOFTWARE
        assert wire.ended()
    (line,) = gateway.lines("The chain was unloaded or reloaded; the process ends")
    assert line["level"] == "ERROR"
    assert refuses_connections(gateway.port)


def test_a_script_that_is_gone_ends_the_process(tmp_path: Path, serve: Callable[..., Serving]) -> None:
    gateway = serve()
    (tmp_path / "addons" / "chain.py").unlink()
    assert gateway.process.wait(5) == SOFTWARE
    assert gateway.lines("The chain was unloaded or reloaded; the process ends")


def test_another_script_may_change_and_may_not_break(
    tmp_path: Path, emulators: Emulators, serve: Callable[..., Serving]
) -> None:
    """The tool goes on without a script that does not load again, and with that lets through what it forbade."""
    other = tmp_path / "other.py"
    forbids = "from mitmproxy import http\n\n\ndef requestheaders(flow):\n    flow.response = http.Response.make({})\n"
    other.write_text(forbids.format(418))
    gateway = serve(options=["-s", str(other)])
    assert call(gateway).status == 418
    _changed(other, forbids.format(419), 10)
    eventually(lambda: call(gateway).status == 419)
    _changed(other, "def", 20)
    with contextlib.suppress(OSError, EOFError):
        while gateway.process.poll() is None:
            assert call(gateway).status == 419
    assert gateway.process.wait(5) == SOFTWARE
    assert gateway.lines("Another script was changed, and could not be loaded again; the process ends")
    assert emulators.requests() == ()


def _changed(file: Path, text: str, seconds: int) -> None:
    """Written, with a time that the tool takes for a later one."""
    file.write_text(text)
    os.utime(file, (time.time() + seconds,) * 2)


BY_A_SCRIPT: Mapping[str, str] = {
    "remove an addon": "ctx.master.addons.remove(ctx.master.addons.get('gate'))",
    "take an addon out of the list": (
        "ctx.master.addons.chain.remove(ctx.master.addons.get('authenticate')); ctx.master.addons._handlers.clear()"
    ),
}


@pytest.mark.parametrize("how", BY_A_SCRIPT)
def test_whoever_takes_the_chain_apart_ends_the_process(
    tmp_path: Path, emulators: Emulators, serve: Callable[..., Serving], how: str
) -> None:
    other = tmp_path / "other.py"
    other.write_text(
        "from mitmproxy import ctx\n\n\ndef requestheaders(flow):\n"
        f"    if flow.request.path.endswith('/take'):\n        {BY_A_SCRIPT[how]}\n"
    )
    gateway = serve(options=["-s", str(other)])
    assert call(gateway).status == 200
    emulators.clear()
    with Wire(gateway.port) as wire:
        wire.send(b"GET /transparent/openai/take HTTP/1.1\r\nHost: x\r\n\r\n")
        if how == "take an addon out of the list":
            wire.send(b"")
            with Wire(gateway.port) as next_one:
                next_one.send(b"GET /transparent/openai/v1/models HTTP/1.1\r\nHost: x\r\n\r\n")
                assert next_one.ended()
        assert wire.ended()
    assert gateway.process.wait(5) == SOFTWARE
    assert emulators.requests() == ()


def test_another_manager_in_place_of_ours_serves_nobody(
    tmp_path: Path, emulators: Emulators, serve: Callable[..., Serving]
) -> None:
    other = tmp_path / "other.py"
    other.write_text(
        "from mitmproxy import addonmanager, ctx\n\n\ndef requestheaders(flow):\n"
        "    if flow.request.path.endswith('/take'):\n"
        "        ctx.master.addons = addonmanager.AddonManager(ctx.master)\n"
    )
    gateway = serve(options=["-s", str(other)])
    assert call(gateway).status == 200
    emulators.clear()
    for path in ("/transparent/openai/take", "/health", "/transparent/openai/v1/models"):
        with Wire(gateway.port) as wire:
            fields = f"Host: x\r\nX-API-Key: {gateway.key()}"
            wire.send(f"GET {path} HTTP/1.1\r\n{fields}\r\n\r\n".encode())
            assert wire.ended()
    assert emulators.connections == ()


def test_a_second_copy_of_the_script_is_refused(tmp_path: Path) -> None:
    copy = script(tmp_path)
    attempt = Attempt(tmp_path, "-s", str(copy), config=written(tmp_path))
    assert attempt.status == MISUSED
    assert attempt.said.endswith("Error: addons/chain.py is loaded already. Name it once.")


def test_the_console_tool_is_refused(tmp_path: Path) -> None:
    """mitmproxy's own window shows and edits whatever is in flight."""
    code = (
        "import asyncio, sys\nfrom mitmproxy import master, options\nfrom mitmproxy.addons import proxyserver, script\n"
        "async def main():\n    m = master.Master(options.Options())\n"
        "    m.addons.add(proxyserver.Proxyserver(), script.ScriptLoader())\n"
        f"    m.options.update(scripts=[{str(CHAIN)!r}])\n    await asyncio.sleep(5)\nasyncio.run(main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(), cwd=ROOT, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == MISUSED
    assert "runs under mitmdump and mitmweb" in done.stderr
