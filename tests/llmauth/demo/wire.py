"""A caller that sends exactly the bytes it is given, over TLS under any name, and reads what comes back."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from dataclasses import dataclass
from typing import Any

from llmauth.demo.emulators import Emulators


@dataclass(frozen=True)
class Reply:
    """An answer, its framing undone."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((value for field, value in self.headers if field.lower() == name.lower()), None)

    def json(self) -> Any:
        return json.loads(self.body)


def connect(emulators: Emulators, sni: str | None) -> ssl.SSLSocket:
    """A TLS connection that says `sni` in its hello and trusts the emulators' CA."""
    context = ssl.create_default_context(cafile=str(emulators.ca_file))
    context.check_hostname = sni is not None
    plain = socket.create_connection(("127.0.0.1", emulators.port), timeout=10)
    try:
        return context.wrap_socket(plain, server_hostname=sni, suppress_ragged_eofs=False)
    except BaseException:
        plain.close()
        raise


def head(method: str, target: str, *fields: str) -> bytes:
    """A request head from its lines."""
    return "\r\n".join([f"{method} {target} HTTP/1.1", *fields, "", ""]).encode()


def read_reply(connection: socket.socket, method: str = "GET") -> Reply:
    """The next answer; raises http.client's errors for one that is cut."""
    response = http.client.HTTPResponse(connection, method=method)
    try:
        response.begin()
        return Reply(response.status, response.getheaders(), response.read())
    finally:
        response.close()


def read_all(connection: socket.socket) -> bytes:
    """Everything until the end; raises ConnectionResetError, and ssl.SSLError where TLS ends without its alert."""
    pieces = []
    while piece := connection.recv(65536):
        pieces.append(piece)
    return b"".join(pieces)


def call(
    emulators: Emulators,
    host: str,
    method: str,
    target: str,
    headers: dict[str, str] | None = None,
    body: bytes | str | dict[str, Any] = b"",
) -> Reply:
    """One request on a connection of its own."""
    if isinstance(body, dict):
        body = json.dumps(body)
    if isinstance(body, str):
        body = body.encode()
    fields = [f"Host: {host}", *(f"{name}: {value}" for name, value in (headers or {}).items())]
    if body:
        fields.append(f"Content-Length: {len(body)}")
    with connect(emulators, host) as connection:
        connection.sendall(head(method, target, *fields) + body)
        return read_reply(connection, method)
