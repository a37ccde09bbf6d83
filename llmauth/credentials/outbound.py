"""Calls of our own to token services and providers: verified TLS, public addresses, bounded, and never redirected."""

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
from llmauth.errors import (
    GatewayError,
    InternalError,
    UpstreamProxyFailed,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from llmauth.http import Headers, Request
from llmauth.upstream_proxy import HEAD_LIMIT, UpstreamProxy, UpstreamProxyError

# Less than the deadline of a load, so that the reason told is the real one.
TIME_LIMIT = 4.0
MAX_BYTES = 64 * 1024
_FORM = "application/x-www-form-urlencoded"
NO_HEADERS = Headers()
_UNREACHED = (OSError, http.client.HTTPException)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What was said; `body` may hold tokens, and no repr shows it."""

    status: int
    body: bytes = field(repr=False)
    headers: Headers = NO_HEADERS


class PrivateAddress(OSError):
    """A name led to an address that the configuration does not allow."""


class Outbound:
    """How token services, and providers beside a client's flow, are reached: with the roots, addresses and exceptions
    that are configured for providers."""

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
            body = urlencode(form).encode("ascii")
            return self._asked(HostPort(host, 443), _rendered(host, path, body), ends, MAX_BYTES)
        except _UNREACHED as error:
            raise StrategyFailed(_reason(host, error, self._time_limit)) from None

    def post(self, request: Request, *, time_limit: float, most: int) -> Answer:
        """POST a request, whole and signed, to the place that its URL names, and return the answer, whatever its
        status; blocks for `time_limit` seconds at most, and reads `most` bytes.

        Where it may go is for whoever signed it to say. UpstreamUnreachable, UpstreamTimeout or UpstreamProxyFailed
        name the host, and repeat nothing of what was sent or received.
        """
        if request.url.scheme != "https":
            raise InternalError("A request would have left in clear text.", detail=request.url.host)
        place = request.url.origin
        try:
            return self._asked(place, _written(request), time.monotonic() + time_limit, most)
        except _UNREACHED as error:
            raise _refusal(place.host, error, time_limit) from None

    def _asked(self, place: HostPort, sent: bytes, ends: float, most: int) -> Answer:
        with self._connected(place, ends) as connection:
            connection.sendall(sent)
            return _answer(connection, ends, most)

    @cached_property
    def _context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_verify_locations(certifi.where())
        if self._ca_file is not None:
            context.load_verify_locations(self._ca_file)
        return context

    def _connected(self, place: HostPort, ends: float) -> ssl.SSLSocket:
        plain = self._dialled(place, ends)
        try:
            plain.settimeout(_left(ends))
            return self._context.wrap_socket(plain, server_hostname=place.host, suppress_ragged_eofs=False)
        except BaseException:
            plain.close()
            raise

    def _dialled(self, target: HostPort, ends: float) -> socket.socket:
        if self._proxy is None or target.host in self._resolve or not self._proxy.serves(target.host):
            return _first(self._addresses(target), ends)
        # Of a name, the address is looked up by the proxy and judged by it alone.
        place = self._proxy.address.place
        connection = _first([(place.host, place.port)], ends)
        try:
            connection.settimeout(_left(ends))
            connection.sendall(self._proxy.question(target))
            self._proxy.check(_head(connection, ends), target)
        except BaseException:
            connection.close()
            raise
        return connection

    def _addresses(self, target: HostPort) -> list[tuple[str, int]]:
        instead = self._resolve.get(target.host)
        asked = instead or target
        found = [info[4] for info in socket.getaddrinfo(asked.host, asked.port, type=socket.SOCK_STREAM)]
        addresses = [(str(one[0]), int(one[1])) for one in found]
        allowed = instead is not None or target.host in self._allow_private
        if not allowed and any(is_private(one) for one, _ in addresses):
            raise PrivateAddress
        return addresses


def _reason(host: str, error: Exception, time_limit: float) -> str:
    """Why a host could not be asked, in words that quote nothing which was received."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate of {host} could not be verified; a private CA is added with upstream.ca_file"
    if isinstance(error, PrivateAddress):
        return f"{host} leads to a private address; name it in upstream.allow_private if that is meant"
    if isinstance(error, UpstreamProxyError):
        return f"{host} cannot be asked: {error}"
    if isinstance(error, TimeoutError):
        return f"{host} did not answer within {time_limit:g} s"
    # The class alone: the texts of these quote what was received.
    return f"{host} cannot be asked: {type(error).__name__}"


def _refusal(host: str, error: Exception, time_limit: float) -> GatewayError:
    reason = _reason(host, error, time_limit)
    if isinstance(error, UpstreamProxyError):
        return UpstreamProxyFailed(f"The provider cannot be asked: {error}.", detail=reason)
    if isinstance(error, TimeoutError):
        return UpstreamTimeout("The provider did not answer in time.", detail=reason)
    return UpstreamUnreachable(f"The provider cannot be asked for a part of this request: {reason}.", detail=reason)


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


def _written(request: Request) -> bytes:
    """A request as it stands: what was signed is what is sent. Its fields tell the length of its body."""
    fields = (*request.headers.fields, (b"Connection", b"close"))
    head = [f"{request.method} {request.url.path} HTTP/1.1".encode("ascii"), *(n + b": " + v for n, v in fields)]
    if any(b"\r" in line or b"\n" in line for line in head):
        raise InternalError("A line of the request would have been two.", detail=request.url.host)
    return b"\r\n".join((*head, b"", request.body))


def _answer(connection: ssl.SSLSocket, ends: float, most: int) -> Answer:
    # The reader asks for the time that is left at each read: a peer that drips keeps no read waiting for too long, and
    # would keep a thread for hours.
    response = http.client.HTTPResponse(_Reading(connection, ends), method="POST")  # type: ignore[arg-type]
    try:
        response.begin()
        body = response.read(most + 1)
    finally:
        response.close()
    if len(body) > most:
        raise http.client.HTTPException
    if response.length:  # a part of what was announced; http.client itself lets that pass where a limit is given
        raise http.client.IncompleteRead(b"")
    told = [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in response.getheaders()]
    return Answer(status=response.status, body=body, headers=Headers(told))


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
