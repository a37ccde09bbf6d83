"""The whole life of a serving process: build, listen, say so, serve, drain, end."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

from addons.chain import chain
from addons.launch.listeners import Listeners, listeners, unopened
from addons.launch.master import Chain, GatewayMaster
from addons.launch.reload import Read, Reload, reader_of
from llmauth.config.settings import Settings
from llmauth.config.watching import Watch
from llmauth.control.server import Control
from llmauth.gateway import Gateway
from llmauth.platform import detector

logger = logging.getLogger(__name__)


class Beside(Protocol):
    """A page beside the gateway, on a port of its own, which shows what passes."""

    port: int

    def chain(self, chain: Chain) -> Chain:
        """The same chain, watched."""
        ...

    def open(self, behind: GatewayMaster) -> None:
        """Listen; ListenFailed when the port cannot be had."""
        ...

    def close(self) -> None:
        """Listen no longer, if it did."""
        ...


def serve(
    settings: Settings,
    environ: Mapping[str, str],
    started: float | None = None,
    web: Beside | None = None,
    *,
    overrides: Mapping[str, object] = MappingProxyType({}),
) -> None:
    """Serve until a signal ends it; `started` is the monotonic time at which the process began to, `overrides` what the
    command line says about the configuration.

    Raises what keeps a server from starting: ConfigError, StateError, CaError and OSError (ListenFailed,
    UntestedVersion), each with a sentence for the operator.
    """
    started, again = time.monotonic() if started is None else started, reader_of(settings.files, environ, overrides)
    asyncio.run(_serve(settings, environ, started, again, Watch(settings), web))


async def _serve(
    settings: Settings, environ: Mapping[str, str], started: float, read: Read, watch: Watch, web: Beside | None
) -> None:
    gateway = Gateway(settings, environ)
    control = Control(gateway)
    reload: Reload | None = None
    try:
        ports = listeners(settings)
        master = _master(gateway, ports, web)
        announce(gateway)
        start_gateway(gateway)
        await control.open()
        if web is not None:
            web.open(master)
        master.obey_signals()
        reload = Reload(gateway, ports, read, watch, master, master.dialer, follow=control.follow)
        control.reload = reload.reload
        reload.obey_signals(master.stop)
        reload.watch()
        await master.run(lambda: tell_ready(gateway, ports, started))
    finally:
        if web is not None:
            web.close()
        if reload is not None:
            reload.stop()
        await control.close()
        gateway.close()
    logger.info("Stopped")


def _master(gateway: Gateway, ports: Listeners, web: Beside | None) -> GatewayMaster:
    if web is None:
        return GatewayMaster(gateway, ports)
    return GatewayMaster(gateway, ports, chain=web.chain(chain), more_ports=[web.port])


def announce(gateway: Gateway) -> None:
    """Say what an operator should know of a configuration and of the platform."""
    settings = gateway.settings
    for warning in settings.warnings:
        logger.warning(warning)
    for part in settings.unavailable:
        logger.warning("Configured, but without effect in this version: %s", part)
    detector.announce(gateway.platform, gateway.desktop)


def start_gateway(gateway: Gateway) -> None:
    """Read the keys and open the metrics listener; OSError with a sentence when that port cannot be had."""
    try:
        gateway.start()
    except OSError as error:
        # Of all that starts there, only the listener for metrics opens a port.
        listener = gateway.settings.metrics
        if listener is None:
            raise
        raise unopened(listener.host, listener.port, error, "metrics.port") from None


def tell_ready(gateway: Gateway, ports: Listeners, started: float) -> None:
    """Say that requests are served; `started` is the monotonic time at which the process began to."""
    # What start-up made lives as long as the process; the collector need not look at it again with every full round.
    gc.freeze()
    tell_authority(gateway)
    tell_doors(gateway.settings, ports, started)


def tell_authority(gateway: Gateway) -> None:
    """Say which certificate authority signs here."""
    authority = gateway.authority
    logger.info("CA fingerprint %s", authority.fingerprint(), extra={"days_left": authority.days_left()})


def tell_doors(settings: Settings, ports: Listeners, started: float, **more: int) -> None:
    """Say where requests are served; `more` are further facts."""
    facts = {"egress": settings.egress.default, "auth": "api_key" if settings.auth.enabled else "off", **more}
    took = time.monotonic() - started
    logger.info("Ready on %s in %.1f s", " and ".join(ports.doors), took, extra=facts)
