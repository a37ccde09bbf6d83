"""The whole life of a serving process: build, listen, say so, serve, drain, end."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import Mapping

from addons.launch.listeners import listeners
from addons.launch.master import GatewayMaster
from llmauth.config.settings import Settings
from llmauth.credentials import platform
from llmauth.gateway import Gateway

logger = logging.getLogger(__name__)


def serve(settings: Settings, environ: Mapping[str, str]) -> None:
    """Serve until a signal ends it.

    Raises what keeps a server from starting: StateError, CaError, ListenFailed, OSError and ValueError, each with a
    sentence for the operator.
    """
    asyncio.run(_serve(settings, environ, time.monotonic()))


async def _serve(settings: Settings, environ: Mapping[str, str], started: float) -> None:
    gateway = Gateway(settings, environ)
    master = GatewayMaster(gateway, listeners(settings))
    for warning in settings.warnings:
        logger.warning(warning)
    for part in settings.unavailable:
        logger.warning("Configured, but without effect in this version: %s", part)
    platform.announce(environ)
    gateway.start()
    try:
        master.obey_signals()
        await master.run(lambda: _ready(gateway, master, started))
    finally:
        gateway.close()
    logger.info("Stopped")


def _ready(gateway: Gateway, master: GatewayMaster, started: float) -> None:
    # What start-up made lives as long as the process; the collector need not look at it again with every full round.
    gc.freeze()
    server = gateway.settings.server
    authority = gateway.authority
    auth = "api_key" if gateway.settings.auth.enabled else "off"
    logger.info("CA fingerprint %s", authority.fingerprint(), extra={"days_left": authority.days_left()})
    doors = [f"http://{server.host}:{server.port}"]
    if master.exchanges.tls_listener is not None:
        doors.append(f"https://{server.host}:{server.tls_port}")
    took = time.monotonic() - started
    logger.info("Ready on %s in %.1f s", " and ".join(doors), took, extra={"egress": "deny", "auth": auth})
