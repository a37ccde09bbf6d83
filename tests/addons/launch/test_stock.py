"""What becomes of a stock tool's master: which addons, options and commands are left when the chain has taken it over.

What its processes do over real sockets is in tests/e2e/stock.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import resource
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from mitmproxy import addonmanager, exceptions, options
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.master import Master
from mitmproxy.test import tflow
from mitmproxy.tools.dump import DumpMaster
from mitmproxy.tools.web.master import WebMaster

from addons.launch import stock
from addons.launch.ending import Misused
from addons.launch.sealed import Sealed
from addons.launch.stock import Stock, _require_scripts, _shut
from tests.fixtures.serving import CHAIN, free_port


class Refused(BaseException):
    """Stands for the end of the process."""


@pytest.fixture(autouse=True)
def alive(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of the test's own process is changed for good."""

    def refuse(error: BaseException) -> None:
        raise Refused(str(error)) from error

    monkeypatch.setattr(stock, "refuse_to_start", refuse)
    monkeypatch.setattr(resource, "setrlimit", lambda *_: None)
    monkeypatch.setattr(os, "umask", lambda _: 0)
    monkeypatch.setattr("llmauth.telemetry.logs.configure", lambda *_: None)
    monkeypatch.setenv("LLMAUTH_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("LLMAUTH_CONFIG", raising=False)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "gateway.yaml"
    file.write_text(json.dumps({"server": {"port": free_port()}, "instances": {"openai": {"type": "openai"}}}))
    return file


async def made(kind: type[Any], *given: str, scripts: bool = True) -> Master:
    """A tool's master as it is when it loads its scripts."""
    master: Master = kind(options.Options())
    master.options.set(*given, defer=True)
    if scripts:
        master.options.update(scripts=[str(CHAIN)])
    return master


def load(master: Master) -> None:
    Stock(str(CHAIN)).load(addonmanager.Loader(master))


@pytest.fixture(params=[DumpMaster, WebMaster])
async def taken(request: pytest.FixtureRequest, config: Path) -> AsyncIterator[Master]:
    root, kept = logging.getLogger(), logging.getLogger().handlers[:]
    master = await made(request.param, f"llmauth_config={config}")
    loop, look_up = asyncio.get_running_loop(), asyncio.get_running_loop().getaddrinfo
    load(master)
    yield master
    loop.getaddrinfo = look_up  # type: ignore[method-assign]
    doors: Any = master.addons.get("doors")
    doors._gateway.close()
    for task in asyncio.all_tasks():
        if task is not asyncio.current_task() and task.get_name().startswith("script watcher"):
            task.cancel()
    root.handlers[:] = kept


async def test_the_manager_fails_closed_and_the_order_is_ours(taken: Master) -> None:
    assert isinstance(taken.addons, Sealed)
    names = [addonmanager._get_name(addon) for addon in taken.addons.chain]
    assert names[:3] == ["guard", "proxyserver", "scriptloader"]
    assert names.index("scriptloader") < names.index("nextlayer") < names.index("arrive") < names.index("gate")
    assert names.index("gate") < names.index("redact")
    assert names[-1] == "doors"
    if "view" in names:
        assert names.index("redact") < names.index("view")


async def test_no_addon_of_the_tool_is_left_that_keeps_shows_or_sends(taken: Master) -> None:
    ours = {"nextlayer", "tlsconfig", "proxyserver", "scriptloader", "view", "webaddon", "webauth", "watchdog"}
    theirs = {
        addonmanager._get_name(addon) for addon in taken.addons.chain if type(addon).__module__.startswith("mitmproxy")
    }
    assert theirs <= ours
    gone = {"onboarding", "block", "save", "savehar", "dumper", "clientplayback", "serverplayback", "modifyheaders"}
    gone |= {"modifybody", "mapremote", "maplocal", "stickyauth", "stickycookie", "proxyauth", "intercept", "core"}
    gone |= {"upstreamauth", "readfile", "readfilestdin", "keepserving", "errorcheck", "anticache", "anticomp"}
    assert gone.isdisjoint(taken.addons.lookup)


async def test_no_command_and_no_log_of_the_tool_is_left(taken: Master) -> None:
    assert taken.commands.commands == {}
    handlers = {type(handler).__name__ for handler in logging.getLogger().handlers}
    assert {"TermLogHandler", "CallbackLogger", "ErrorCheckHandler", "LegacyLogEvents"}.isdisjoint(handlers)


async def test_options_are_ours_and_stay(taken: Master) -> None:
    assert taken.options.connection_strategy == "lazy"
    assert taken.options.upstream_cert is False
    assert taken.options.rawtcp is False
    assert taken.options.mode[0].startswith("regular@127.0.0.1:")
    for name, value in (("ssl_insecure", True), ("mode", ["regular"]), ("llmauth_config", [])):
        with pytest.raises(exceptions.OptionsError):
            taken.options.update(**{name: value})


async def test_the_manager_before_hears_nothing_any_more(taken: Master) -> None:
    heard = [ref() for ref in taken.options.changed.receivers]
    managers = [getattr(one, "__self__", None) for one in heard]
    assert [one for one in managers if isinstance(one, addonmanager.AddonManager)] == [taken.addons]


async def test_flows_are_not_loaded(taken: Master) -> None:
    with pytest.raises(exceptions.OptionsError, match="cannot be loaded"):
        await taken.load_flow(tflow.tflow())


async def test_another_master_is_no_tool_of_ours() -> None:
    master = await made(Master, scripts=False)
    master.addons.add(Proxyserver())
    with pytest.raises(Refused, match="runs under mitmdump and mitmweb"):
        load(master)


async def test_a_tool_that_serves_already(config: Path) -> None:
    master = await made(DumpMaster, f"llmauth_config={config}")
    server: Any = master.addons.get("proxyserver")
    server.is_running = True
    with pytest.raises(Refused, match="is serving already"):
        load(master)
    assert not isinstance(master.addons, Sealed)


@pytest.mark.parametrize("name", ["SSLKEYLOGFILE", "MITMPROXY_SSLKEYLOGFILE"])
async def test_a_file_for_the_secrets_of_tls(monkeypatch: pytest.MonkeyPatch, config: Path, name: str) -> None:
    monkeypatch.setenv(name, "x")
    master = await made(DumpMaster, f"llmauth_config={config}")
    with pytest.raises(Refused, match=f"^{name} is set"):
        load(master)


async def test_two_values_where_one_is_wanted(config: Path) -> None:
    master = await made(DumpMaster, f"llmauth_config={config}", "llmauth_config=y")
    with pytest.raises(Refused):
        load(master)


async def test_what_the_tool_began_to_listen_on_is_shut() -> None:
    master = await made(DumpMaster, scripts=False)
    server: Any = master.addons.get("proxyserver")
    port = free_port()
    master.options.update(mode=[f"regular@127.0.0.1:{port}"])
    begun = asyncio.create_task(server.setup_servers(), name="setup_servers")
    assert await begun
    assert server.listen_addrs()
    late = asyncio.create_task(asyncio.sleep(10), name="setup_servers")
    _shut(server)
    assert list(server.servers) == []
    with pytest.raises(OSError):
        await asyncio.open_connection("127.0.0.1", port)
    with pytest.raises(asyncio.CancelledError):
        await late


async def test_a_script_that_could_not_be_loaded(tmp_path: Path) -> None:
    script = tmp_path / "other.py"
    script.write_text("def")
    master = await made(DumpMaster, scripts=False)
    master.options.update(scripts=[str(script)])
    with pytest.raises(Misused, match=r"other\.py could not be loaded"):
        _require_scripts(master)
