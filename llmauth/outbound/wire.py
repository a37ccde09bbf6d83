"""One call over one connection: dialled, written as it stands, and read within its time and its size."""

from __future__ import annotations

import http.client
import io
import re
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from llmauth.http import Field, Headers
from llmauth.outbound.objects import json_object
from llmauth.upstream_proxy import HEAD_LIMIT

# A blank would end it, and what follows be read as the version.
_TARGET = re.compile(r"[\x21-\x7e]+")

NO_HEADERS = Headers()
UNREACHED = (OSError, http.client.HTTPException)
"""What a call may raise: whatever keeps it from being asked or answered."""

# Of what is read for a head, and of each byte of a body: a chunk of one byte takes six.
_MOST_OF_HEAD = 256 * 1024
_OF_EACH_BYTE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What was said; `body` may hold tokens, and no repr shows it."""

    status: int
    body: bytes = field(repr=False)
    headers: Headers = NO_HEADERS

    def object(self) -> dict[str, Any] | None:
        """The JSON object that the body is, `None` where it is none."""
        return json_object(self.body)


def first(addresses: Sequence[tuple[str, int]], ends: float) -> socket.socket:
    """A connection to one of the addresses that were judged, so that a name which changes gains nothing.

    Each has its share of the time: one that is silent, as IPv6 often is, does not keep the next from being tried.
    """
    failure: OSError = OSError("no address")
    for before, address in enumerate(addresses):
        try:
            return socket.create_connection(address, timeout=left(ends) / (len(addresses) - before))
        except OSError as error:
            failure = error
    raise failure


def head(connection: socket.socket, ends: float) -> bytes:
    """The head of a proxy's answer, byte by byte: what follows it belongs to the connection behind the proxy."""
    got = b""
    while not got.endswith(b"\r\n\r\n"):
        connection.settimeout(left(ends))
        piece = connection.recv(1)
        if not piece or len(got) >= HEAD_LIMIT:
            raise ConnectionError
        got += piece
    return got


def left(ends: float) -> float:
    """Seconds until this moment of the monotonic clock; TimeoutError when it has passed."""
    remaining = ends - time.monotonic()
    if remaining <= 0:
        raise TimeoutError
    return remaining


def rendered(method: str, target: str, fields: Sequence[Field], body: bytes) -> bytes:
    """A request as it stands: what was signed is what is sent. ValueError where a line of it would have been two.

    Its fields tell its host and the length of its body; one request is all that a connection carries.
    """
    lines = [f"{method} {target} HTTP/1.1".encode("ascii"), *(name + b": " + value for name, value in fields)]
    lines.append(b"Connection: close")
    if any(b"\r" in line or b"\n" in line for line in lines) or not _TARGET.fullmatch(target):
        raise ValueError
    return b"\r\n".join((*lines, b"", body))


def answer(connection: socket.socket, method: str, ends: float, most: int) -> Answer:
    """What comes back, whole: at most `most` bytes of a body, before `ends`."""
    # The reader asks for the time that is left at each read: a peer that drips keeps no read waiting for too long, and
    # would keep a thread for hours. And it counts what it reads: to http.client a chunk of a negative size is all that
    # comes, however much that is.
    reading = _Reading(connection, ends, _MOST_OF_HEAD + _OF_EACH_BYTE * most)
    response = http.client.HTTPResponse(reading, method=method)  # type: ignore[arg-type]
    try:
        response.begin()
        body = response.read(most + 1)
    except ValueError:  # other negative sizes
        raise http.client.HTTPException from None
    finally:
        response.close()
    if len(body) > most:
        raise http.client.HTTPException
    if response.length and method != "HEAD":  # a part of what was announced, which http.client lets pass
        raise http.client.IncompleteRead(b"")
    told = [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in response.getheaders()]
    return Answer(status=response.status, body=body, headers=Headers(told))


class _Reading(io.RawIOBase):
    """A socket as http.client reads one, with an end and a most for all reads together."""

    def __init__(self, connection: socket.socket, ends: float, most: int) -> None:
        self._connection = connection
        self._ends = ends
        self._room = most

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if self._room <= 0:
            raise http.client.HTTPException
        self._connection.settimeout(left(self._ends))
        got = self._connection.recv_into(buffer)
        self._room -= got
        return got
