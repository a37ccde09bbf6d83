"""The ports of all workers: opened once, by the parent, and taken over by each of them."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from mitmproxy.proxy import mode_servers, mode_specs

from addons.launch.listeners import Listeners, unopened
from llmauth.config.settings import Settings

# How many connections may wait for a worker to take them; the system's own bound may be lower.
BACKLOG = 1024
_OPTIONS = ("server.port", "server.tls_port")
_NOT_HERE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)

Place = tuple[str, int]


class _Listening(socket.socket):
    """A socket that asyncio is handed. It would say anew how many may wait, for all processes at once."""

    def listen(self, backlog: int = BACKLOG, /) -> None:
        """It listens already."""


class Doors:
    """Sockets that listen, by host and port as the configuration has them, and the one for metrics."""

    def __init__(self, main: Mapping[Place, Sequence[socket.socket]], metrics: socket.socket | None) -> None:
        self._main = main
        self.metrics = metrics

    def close(self) -> None:
        """Close them in this process. Only when no process has them any more are the ports free."""
        for one in (*(each for several in self._main.values() for each in several), self.metrics):
            if one is not None:
                one.close()

    def take(self) -> None:
        """Have mitmproxy's listeners of this process be these."""

        async def listen(self_: Any, host: str, port: int) -> list[asyncio.Server]:
            # A busy worker takes one connection at a time and not all that wait: another one may be idle.
            return [
                await asyncio.start_server(self_.handle_stream, sock=one, backlog=1) for one in self._main[host, port]
            ]

        mode_servers.RegularInstance.listen = listen  # type: ignore[assignment, method-assign]


def open_doors(settings: Settings, ports: Listeners) -> Doors:
    """Open every port of a configuration; ListenFailed, naming the option, when one cannot be had."""
    with ExitStack() as opened:
        main = {}
        for mode, option in zip(ports.modes, _OPTIONS, strict=False):
            spec = mode_specs.ProxyMode.parse(mode)
            host, port = spec.listen_host(), spec.listen_port() or 0
            main[host, port] = _opened(host, port, option, opened)
        metrics = None
        if settings.metrics is not None:
            (metrics,) = _opened(settings.metrics.host, settings.metrics.port, "metrics.port", opened, most=1)
        opened.pop_all()
    return Doors(main, metrics)


def _opened(host: str, port: int, option: str, opened: ExitStack, most: int | None = None) -> list[socket.socket]:
    """One socket for each address of the host, as asyncio does it, or for the first `most` of them."""
    found: list[socket.socket] = []
    error: OSError | None = None
    try:
        addresses = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        places = list(dict.fromkeys((family, address) for family, _, _, _, address in addresses))
        for family, address in places[:most]:
            try:
                found.append(opened.enter_context(_listening(family, address)))
            except OSError as failed:
                if failed.errno not in _NOT_HERE:
                    raise
                error = failed
    except OSError as failed:
        raise unopened(host, port, failed, option) from None
    if not found:
        raise unopened(host, port, error or OSError(errno.EADDRNOTAVAIL, "no address"), option)
    return found


def _listening(family: int, address: Any) -> _Listening:
    one = _Listening(family, socket.SOCK_STREAM)
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.bind(address)
        socket.socket.listen(one, BACKLOG)
    except OSError:
        one.close()
        raise
    return one
