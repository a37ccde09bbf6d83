"""Opens the listeners of a master, and says in a sentence why one could not be opened."""

from __future__ import annotations

import errno
import logging

from mitmproxy.addons.proxyserver import Proxyserver

from addons.exchange import Exchanges
from addons.launch.listeners import ListenFailed, unopened


async def open_doors(proxyserver: Proxyserver, exchanges: Exchanges) -> None:
    """Listen as the option `mode` says; ListenFailed when a port cannot be had."""
    quiet = logging.getLogger("mitmproxy.addons.proxyserver")
    quiet.disabled = True  # it would say, in its own words, what the exception says in ours
    try:
        opened = await proxyserver.setup_servers()
    finally:
        quiet.disabled = False
    if not opened:
        raise why_not(proxyserver, exchanges)


def why_not(proxyserver: Proxyserver, exchanges: Exchanges) -> ListenFailed:
    """The sentence for the first listener that failed."""
    for server in proxyserver.servers:
        if isinstance(server.last_exception, OSError):
            option = "server.tls_port" if server.mode == exchanges.tls_listener else "server.port"
            host, port = server.mode.listen_host(), server.mode.listen_port() or 0
            return unopened(host, port, server.last_exception, option)
    return ListenFailed(errno.EADDRNOTAVAIL, "A port could not be opened.")
