"""The emulators' listener: loopback TCP, and TLS on top of it unless it is plain."""

from __future__ import annotations

import asyncio
import ssl
import time
import weakref
from typing import Any

from llmauth.demo.connection import Connection
from llmauth.demo.reception import Reception
from llmauth.demo.recorder import Link

_HANDSHAKE = 10.0  # seconds for TLS


class Server:
    """Accepts connections and serves them until it is stopped."""

    def __init__(self, reception: Reception, context: ssl.SSLContext | None) -> None:
        """`context` is the server's TLS, `None` for plain HTTP."""
        self._reception = reception
        self._context = context
        self._connections: set[Connection] = set()
        self._names: weakref.WeakKeyDictionary[Any, str | None] = weakref.WeakKeyDictionary()
        self._server: asyncio.Server | None = None
        if context is not None:
            context.sni_callback = self._remember_name

    def _remember_name(self, tls: Any, name: str | None, context: ssl.SSLContext) -> None:
        self._names[tls] = name

    async def start(self, port: int) -> int:
        """Listen on 127.0.0.1; returns the port, which the system chooses for 0."""
        self._server = await asyncio.get_running_loop().create_server(
            lambda: _Doorstep(self), "127.0.0.1", port, backlog=1024
        )
        chosen: int = self._server.sockets[0].getsockname()[1]
        self._reception.open(chosen)
        return chosen

    async def stop(self) -> None:
        """Close the listener and every connection."""
        if self._server is not None:
            self._server.close()
            for connection in list(self._connections):
                connection.abort()
            await asyncio.sleep(0)

    def welcome(self, transport: asyncio.Transport) -> asyncio.Task[None] | None:
        """Serve a connection that was just accepted; the task, if any, is its TLS handshake."""
        link = self._reception.recorder.connected()
        if self._context is None:
            connection = Connection(self._reception, self._connections, link)
            transport.set_protocol(connection)
            connection.connection_made(transport)
            return None
        # Eager, because start_tls must pause the transport before its first byte is read.
        work = self._secure(transport, link, self._context)
        return asyncio.Task(work, loop=asyncio.get_running_loop(), eager_start=True)

    async def _secure(self, transport: asyncio.Transport, link: Link, context: ssl.SSLContext) -> None:
        connection = Connection(self._reception, self._connections, link, transport)
        loop = asyncio.get_running_loop()
        try:
            tls = await loop.start_tls(
                transport, connection, context, server_side=True, ssl_handshake_timeout=_HANDSHAKE
            )
        except (OSError, ssl.SSLError) as problem:
            link.fault = f"TLS: {type(problem).__name__} {problem}".rstrip()
            link.closed_at = time.monotonic()
            transport.abort()
            self._reception.recorder.changed()
            return
        if tls is not None:
            link.sni = self._names.get(tls.get_extra_info("ssl_object"))
            connection.connection_made(tls)


class _Doorstep(asyncio.Protocol):
    """Holds a TCP connection until TLS is up, so that both layers are in hand: FIN and RST are told below TLS."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._handshake: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._handshake = self._server.welcome(transport)
