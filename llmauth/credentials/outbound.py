"""A call to a token service: over verified TLS, to a public address, bounded in time and size, and never redirected."""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from urllib.parse import urlencode

import certifi

from llmauth.addresses import HostPort, is_private
from llmauth.credentials.base import StrategyFailed
from llmauth.upstream_proxy import HEAD_LIMIT, UpstreamProxy, UpstreamProxyError

# Less than the deadline of a load, so that the reason told is the real one.
TIME_LIMIT = 4.0
MAX_BYTES = 64 * 1024
_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a token service said; `body` holds tokens, and no repr shows it."""

    status: int
    body: bytes = field(repr=False)


class Outbound:
    """How token services are reached: with the roots, addresses and exceptions that are configured for providers."""

    def __init__(
        self,
        *,
        ca_file: Path | None = None,
        resolve: Mapping[str, HostPort] | None = None,
        allow_private: frozenset[str] = frozenset(),
        proxy: UpstreamProxy | None = None,
        time_limit: float = TIME_LIMIT,
    ) -> None:
        self._ca_file = ca_file
        self._resolve = resolve or {}
        self._allow_private = allow_private
        self._proxy = proxy
        self._time_limit = time_limit

    def post_form(self, host: str, path: str, form: Mapping[str, str]) -> Answer:
        """POST a form to port 443 of `host` and return the answer, whatever its status; blocks.

        Raises StrategyFailed, whose reason names the host and repeats neither the form nor the answer.
        """
        ends = time.monotonic() + self._time_limit
        try:
            with self._connected(host, ends) as connection:
                connection.sendall(_rendered(host, path, urlencode(form).encode("ascii")))
                return _answer(connection, ends)
        except ssl.SSLCertVerificationError:
            raise StrategyFailed(
                f"the certificate of {host} could not be verified; a private CA is added with upstream.ca_file"
            ) from None
        except UpstreamProxyError as refusal:
            raise StrategyFailed(f"{host} cannot be asked: {refusal}") from None
        except TimeoutError:
            raise StrategyFailed(f"{host} did not answer within {self._time_limit:g} s") from None
        except (OSError, http.client.HTTPException) as error:
            # The class alone: the texts of these quote what was received.
            raise StrategyFailed(f"{host} cannot be asked: {type(error).__name__}") from None

    @cached_property
    def _context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_verify_locations(certifi.where())
        if self._ca_file is not None:
            context.load_verify_locations(self._ca_file)
        return context

    def _connected(self, host: str, ends: float) -> ssl.SSLSocket:
        plain = self._dialled(host, ends)
        try:
            plain.settimeout(_left(ends))
            return self._context.wrap_socket(plain, server_hostname=host, suppress_ragged_eofs=False)
        except BaseException:
            plain.close()
            raise

    def _dialled(self, host: str, ends: float) -> socket.socket:
        if self._proxy is None or host in self._resolve or not self._proxy.serves(host):
            return _first(self._addresses(host), ends)
        # Of a name, the address is looked up by the proxy and judged by it alone.
        place, target = self._proxy.address.place, HostPort(host, 443)
        connection = _first([(place.host, place.port)], ends)
        try:
            connection.settimeout(_left(ends))
            connection.sendall(self._proxy.question(target))
            self._proxy.check(_head(connection, ends), target)
        except BaseException:
            connection.close()
            raise
        return connection

    def _addresses(self, host: str) -> list[tuple[str, int]]:
        instead = self._resolve.get(host)
        asked = instead or HostPort(host, 443)
        found = [info[4] for info in socket.getaddrinfo(asked.host, asked.port, type=socket.SOCK_STREAM)]
        addresses = [(str(one[0]), int(one[1])) for one in found]
        if instead is None and host not in self._allow_private and any(is_private(one) for one, _ in addresses):
            raise StrategyFailed(
                f"{host} leads to a private address; name it in upstream.allow_private if that is meant"
            )
        return addresses


def _first(addresses: Sequence[tuple[str, int]], ends: float) -> socket.socket:
    """A connection to one of the addresses that were judged, so that a name which changes gains nothing."""
    failure: OSError = OSError("no address")
    for address in addresses:
        try:
            return socket.create_connection(address, timeout=_left(ends))
        except TimeoutError:
            raise
        except OSError as error:
            failure = error
    raise failure


def _head(connection: socket.socket, ends: float) -> bytes:
    """The head of a proxy's answer, byte by byte: what follows it belongs to the connection behind the proxy."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        connection.settimeout(_left(ends))
        piece = connection.recv(1)
        if not piece or len(head) >= HEAD_LIMIT:
            raise ConnectionError
        head += piece
    return head


def _left(ends: float) -> float:
    left = ends - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _rendered(host: str, path: str, body: bytes) -> bytes:
    lines = (
        f"POST {path} HTTP/1.1",
        f"Host: {host}",
        f"Content-Type: {_FORM}",
        "Accept: application/json",
        f"Content-Length: {len(body)}",
        "Connection: close",
        "",
        "",
    )
    return "\r\n".join(lines).encode("ascii") + body


def _answer(connection: ssl.SSLSocket, ends: float) -> Answer:
    # The reader asks for the time that is left at each read: a peer that drips keeps no read waiting for too long, and
    # would keep a thread for hours.
    response = http.client.HTTPResponse(_Reading(connection, ends), method="POST")  # type: ignore[arg-type]
    try:
        response.begin()
        body = response.read(MAX_BYTES + 1)
    finally:
        response.close()
    if len(body) > MAX_BYTES:
        raise http.client.HTTPException
    if response.length:  # a part of what was announced; http.client itself lets that pass where a limit is given
        raise http.client.IncompleteRead(b"")
    return Answer(status=response.status, body=body)


class _Reading(io.RawIOBase):
    """A socket as http.client reads one, with an end for all reads together."""

    def __init__(self, connection: ssl.SSLSocket, ends: float) -> None:
        self._connection = connection
        self._ends = ends

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        self._connection.settimeout(_left(self._ends))
        return self._connection.recv_into(buffer)
