"""The chain inside mitmdump and mitmweb: takes their master over before it serves, and leaves of them what is safe."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mitmproxy import exceptions
from mitmproxy.addonmanager import Loader
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.addons.script import Script, ScriptLoader
from mitmproxy.flow import Flow
from mitmproxy.master import Master

from addons.exchange import Exchanges
from addons.launch import pinned
from addons.launch.doors import open_doors
from addons.launch.drain import Drain
from addons.launch.ending import Misused, halt, refuse_to_start
from addons.launch.listeners import Listeners, listeners
from addons.launch.master import carried, dial_by_policy, fixed
from addons.launch.reload import Reload, reader_of
from addons.launch.sealed import UNLOADED, Sealed
from addons.launch.serve import announce, start_gateway, tell_ready
from addons.redact import Redact
from addons.wire.dial import Dialer
from addons.wire.install import install
from llmauth.addresses import is_loopback
from llmauth.config.settings import Settings, read_settings
from llmauth.config.watching import Watch
from llmauth.control.server import Control
from llmauth.gateway import Gateway
from llmauth.telemetry import logs

if TYPE_CHECKING:
    from addons.launch.web import WebOfMitmweb

logger = logging.getLogger(__name__)

OPTION = "llmauth_config"
_HELP = "Configuration files of LLM Proxy Auth. Or LLMAUTH_CONFIG in the environment."
# By the module of their master.
_TOOLS = {"mitmproxy.tools.dump": "mitmdump", "mitmproxy.tools.web.master": "mitmweb"}
# mitmproxy has read these when it was imported, and writes the secrets of every TLS session where they point.
_LEAKS = ("SSLKEYLOGFILE", "MITMPROXY_SSLKEYLOGFILE")


class Stock:
    """What mitmproxy finds in the script `addons/chain.py`, and loads.

    A stock tool logs whatever goes wrong with a script and goes on without it, so every failure here ends the process.
    """

    name = "llmauth"

    def __init__(self, script: str) -> None:
        self._script = Path(script)

    def load(self, loader: Loader) -> None:
        """Take the tool's master over. Its own listeners are shut before anything that takes time."""
        started = time.monotonic()
        try:
            master = loader.master
            tool = _tool(master)
            _shut(_proxyserver(master))
            gateway, ports = _prepare(loader, self._script)
            doors = _Doors(master, tool, gateway, ports, started)
            doors.dialer = _take_over(master, gateway, ports, self, doors)
        except Exception as error:
            refuse_to_start(error)


def _tool(master: Master) -> str:
    tool = _TOOLS.get(type(master).__module__)
    if tool is None:
        raise Misused("addons/chain.py runs under mitmdump and mitmweb. For everything else there is `llmauth serve`.")
    if isinstance(master.addons, Sealed):
        raise Misused("addons/chain.py is loaded already. Name it once.")
    if _proxyserver(master).is_running:
        raise Misused("addons/chain.py cannot be loaded into a tool that is serving already. Give it at the start.")
    return tool


def _proxyserver(master: Master) -> Proxyserver:
    found = master.addons.get("proxyserver")
    assert isinstance(found, Proxyserver)
    return found


def _shut(proxyserver: Proxyserver) -> None:
    """Undo what the tool began while it looked for its scripts: its own listeners, on its own addresses."""
    for task in asyncio.all_tasks():
        if task.get_name() == "setup_servers":
            task.cancel()
    for instance in proxyserver.servers:
        for server in getattr(instance, "_servers", ()):
            server.close()
    proxyserver.servers._instances = {}


# ---- before anything is changed ------------------------------------------------------------------------------------


def _prepare(loader: Loader, script: Path) -> tuple[Gateway, Listeners]:
    """Everything that can be wrong with the command line, the environment and the configuration."""
    options = loader.master.options
    for name in _LEAKS:
        if name in os.environ:
            raise Misused(f"{name} is set, so mitmproxy would write the secrets of TLS sessions to a file. Unset it.")
    loader.add_option(OPTION, Sequence[str], [], _HELP)
    try:
        options.process_deferred()
    except (exceptions.OptionsError, TypeError, ValueError) as error:
        raise Misused(f"mitmproxy's options do not fit: {error}") from None
    if not options.scripts or Path(options.scripts[0]).expanduser().resolve() != script.resolve():
        raise Misused("addons/chain.py must be the first script, so that no other is loaded before it.")
    settings = _settings([Path(one).expanduser() for one in options.llmauth_config])
    ports = listeners(settings)
    pinned.check(options, _wanted(loader.master, ports))
    _harden(loader.master, settings)
    return Gateway(settings, os.environ), ports


def _settings(files: Sequence[Path]) -> Settings:
    if not files and not os.environ.get("LLMAUTH_CONFIG"):
        raise Misused(f"no configuration: give `--set {OPTION}=FILE`, or set LLMAUTH_CONFIG.")
    return read_settings(files, os.environ)


def _wanted(master: Master, ports: Listeners) -> Mapping[str, Any]:
    options = master.options
    as_given = {name: getattr(options, name) for name in ("scripts", "confdir", OPTION)}
    if "web_host" in options:
        if not is_loopback(options.web_host):
            raise Misused("mitmweb shows prompts and answers, so its web_host must be an address of loopback.")
        as_given |= {name: getattr(options, name) for name in ("web_host", "web_port")}
    return pinned.wanted(options, {**fixed(ports), **as_given})


def _harden(master: Master, settings: Settings) -> None:
    if master._termlog_addon is not None:
        master._termlog_addon.uninstall()  # its lines hold URLs, and the texts of exceptions
    logs.configure(settings.log.level, settings.log.format)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.umask(0o077)


# ---- the change ----------------------------------------------------------------------------------------------------


def _take_over(master: Master, gateway: Gateway, ports: Listeners, entry: Stock, doors: _Doors) -> Dialer:
    install()
    before = master.addons
    pins = _wanted(master, ports)
    master.addons = addons = Sealed(master)
    exchanges = doors.exchanges
    _silence(master, before)
    proxyserver, scripts = before.get("proxyserver"), before.get("scriptloader")
    # Other scripts stand before the chain: what they do to a request is judged, and a credential is put on after them.
    for kept in (proxyserver, scripts, before.get("webaddon"), before.get("webauth")):
        if kept is not None:
            addons.adopt(kept)
    chain = [*carried(gateway, exchanges, ports), Redact(exchanges)]
    shown = [doors.page.take_over(before.get("webauth"), chain, exchanges)] if doors.page is not None else []
    addons.add(*chain, *shown, doors)
    pinned.pin(master.options, pins, _refuse(master))
    guard = pinned.Guard(master.options)
    addons.add(guard)
    addons.chain.insert(0, addons.chain.pop())
    # mitmweb's page is no place for those whose requests it shows.
    dialer = dial_by_policy(gateway, ports, *([master.options.web_port] if "web_port" in master.options else []))
    # The entry is among the addons of the script's module, which the tool puts in its place when this returns.
    addons.seal([guard, proxyserver, scripts, entry, *chain, doors])
    return dialer


def _refuse(master: Master) -> pinned.Refuse:
    own = master.options.scripts[0]

    def refuse(name: str, value: Any) -> None:
        logger.warning("A change of an option was refused", extra={"option": name})
        if name == "scripts" and own not in value:
            halt(UNLOADED)

    return refuse


def _silence(master: Master, before: Any) -> None:
    """Take away what writes, shows or runs things by itself: the other addons, every command, all logs but ours."""
    before.chain = []
    master.options.changed.disconnect(before._configure_all)
    master.commands.commands.clear()
    master._legacy_log_events.uninstall()
    before.get("errorcheck").finish()
    events = getattr(master, "events", None)
    if events is not None:
        events.logger.uninstall()

    async def load_flow(flow: Flow) -> None:
        # It would walk the chain like a request, and come out signed.
        raise exceptions.OptionsError("flows cannot be loaded here")

    master.load_flow = load_flow  # type: ignore[method-assign]


def _page(master: Master) -> WebOfMitmweb:
    # mitmdump needs nothing of it, and would wait for it at every start.
    from addons.launch.web import WebOfMitmweb

    return WebOfMitmweb(master)


class _Doors:
    """Stands last: when every other addon runs, the listeners are opened, and when they have ended, all is closed."""

    name = "doors"

    def __init__(self, master: Master, tool: str, gateway: Gateway, ports: Listeners, started: float) -> None:
        self.exchanges = Exchanges()
        self._master = master
        self.page = _page(master) if tool == "mitmweb" else None
        self._gateway = gateway
        self._control = Control(gateway)
        self._ports = ports
        self._started = started
        self.dialer: Dialer
        self._reload: Reload | None = None
        self._watch = Watch(gateway.settings)

    async def running(self) -> None:
        try:
            await self._open()
        except Exception as error:
            refuse_to_start(error)

    async def _open(self) -> None:
        stray = pinned.unknown(self._master.options)
        if stray is not None:
            raise stray
        _require_scripts(self._master)
        assert isinstance(self._master.addons, Sealed)
        self._master.addons.serve()
        announce(self._gateway)
        start_gateway(self._gateway)
        await self._control.open()
        proxyserver = _proxyserver(self._master)
        await open_doors(proxyserver, self.exchanges)
        gateway = self._gateway
        drain = Drain(self._master, proxyserver, self.exchanges, lambda: gateway.settings.server.drain_timeout)
        drain.obey_signals()
        self._begin_to_reload(drain)
        tell_ready(self._gateway, self._ports, self._started)
        if self.page is not None:
            self.page.warn()
            # Its address holds the password where none was chosen, which no log line should.
            print(f"Flows are shown at {self._master.web_url}", file=sys.stdout, flush=True)  # type: ignore[attr-defined]  # noqa: T201

    def _begin_to_reload(self, drain: Drain) -> None:
        options, control = self._master.options, self._control
        read = reader_of(self._gateway.settings.files, os.environ, {})
        self._reload = Reload(
            self._gateway,
            self._ports,
            read,
            self._watch,
            self._master,
            self.dialer,
            set_roots=partial(pinned.move, options, "ssl_verify_upstream_trusted_ca"),
            follow=control.follow,
        )
        control.reload = self._reload.reload
        self._reload.obey_signals(drain.stop)
        self._reload.watch()

    async def done(self) -> None:
        if self._reload is not None:
            self._reload.stop()
        await self._control.close()
        self._gateway.close()
        logger.info("Stopped")


def _require_scripts(master: Master) -> None:
    loader = master.addons.get("scriptloader")
    assert isinstance(loader, ScriptLoader)
    for script in loader.addons:
        if isinstance(script, Script) and script.ns is None:
            raise Misused(f"the script {script.path} could not be loaded.")
