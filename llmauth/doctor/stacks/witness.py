"""A door in front of the proxy that notes what a client does at it: so that nobody has to guess from error messages."""

from __future__ import annotations

import re
import select
import socket
import ssl
import threading
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

_TIME_LIMIT = 20.0
_SETTLED = 1.0
_HEAD_LIMIT = 64 * 1024
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})")


@dataclass(slots=True)
class Seen:
    """One CONNECT: to where, whether it showed a credential, what the proxy said, and whether bytes went both ways."""

    target: str
    credential: bool
    status: int = 0
    sent: int = 0
    received: int = 0


class Witness:
    """Listens on loopback while it is open, and passes everything on to the proxy as it came, by TLS where given."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        self._proxy = (host, port)
        self._tls = tls
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self.connections = 0
        self.seen: list[Seen] = []
        self._met: list[threading.Thread] = []
        self._last: int | None = None  # the port of a connection of our own, behind all others
        self._reached = threading.Event()

    def __enter__(self) -> Self:
        threading.Thread(target=self._listen, name="doctor-witness", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def settle(self) -> None:
        """Wait until all is noted of a client that has ended: what it did last may still stand in the queue."""
        with suppress(OSError), socket.socket() as barrier:
            barrier.bind(("127.0.0.1", 0))
            self._last = barrier.getsockname()[1]
            barrier.connect(("127.0.0.1", self.port))
            self._reached.wait(_SETTLED)
        for thread in self._met:
            thread.join(_SETTLED / 4)

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                client, address = self._server.accept()
                if address[1] == self._last:
                    client.close()
                    self._reached.set()
                    continue
                self.connections += 1
                met = threading.Thread(target=self._meet, args=(client,), name="doctor-witness", daemon=True)
                self._met.append(met)
                met.start()

    def _meet(self, client: socket.socket) -> None:
        with client, suppress(OSError), self._connected() as proxy:
            client.settimeout(_TIME_LIMIT)
            head = _head(client)
            seen = _of_head(head)
            if seen is not None:
                self.seen.append(seen)
            proxy.sendall(head)
            _pass(client, proxy, seen)

    def _connected(self) -> socket.socket:
        plain = socket.create_connection(self._proxy, _TIME_LIMIT)
        if self._tls is None:
            return plain
        try:
            return self._tls.wrap_socket(plain, server_hostname=self._proxy[0])
        except BaseException:
            plain.close()
            raise


def _head(client: socket.socket) -> bytes:
    got = b""
    while b"\r\n\r\n" not in got and len(got) < _HEAD_LIMIT:
        piece = client.recv(4096)
        if not piece:
            break
        got += piece
    return got


def _of_head(head: bytes) -> Seen | None:
    words = head.partition(b"\r\n")[0].split(b" ")
    if words[0] != b"CONNECT" or len(words) < 2:
        return None
    return Seen(words[1].decode("ascii", "replace"), b"\r\nproxy-authorization:" in head.lower())


def _pass(client: socket.socket, proxy: socket.socket, seen: Seen | None) -> None:
    while True:
        ready, _, _ = select.select([client, proxy], [], [], _TIME_LIMIT)
        if not ready:
            return
        for one in ready:
            data = one.recv(65536)
            if not data:
                return
            _note(seen, data, from_client=one is client)
            (proxy if one is client else client).sendall(data)


def _note(seen: Seen | None, data: bytes, *, from_client: bool) -> None:
    if seen is None:
        return
    if from_client:
        seen.sent += len(data)
    else:
        found = _STATUS.match(data) if not seen.received else None
        seen.status = int(found[1]) if found else seen.status
        seen.received += len(data)
