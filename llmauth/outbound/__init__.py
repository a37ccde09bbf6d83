"""Calls of our own to token services, vaults and providers: verified TLS, known addresses, bounded, no redirects."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from llmauth.addresses import HostPort, is_private
from llmauth.errors import GatewayError, InternalError, UpstreamProxyFailed, UpstreamTimeout, UpstreamUnreachable
from llmauth.http import Field, Request
from llmauth.outbound.trust import METADATA, PUBLIC, Trust
from llmauth.outbound.wire import NO_HEADERS, UNREACHED, Answer, answer, first, head, left, rendered
from llmauth.sources import SourceFailed
from llmauth.upstream_proxy import UpstreamProxy, UpstreamProxyError

__all__ = ["MAX_BYTES", "METADATA", "NO_HEADERS", "TIME_LIMIT", "Answer", "Outbound", "PrivateAddress", "Trust"]

# Less than the deadline of a load, so that the reason told is the real one.
TIME_LIMIT = 4.0
MAX_BYTES = 64 * 1024
_FORM = "application/x-www-form-urlencoded"


class PrivateAddress(OSError):
    """A name led to an address that the configuration does not allow."""


class PublicAddress(OSError):
    """What is asked in clear text leads out of this machine's own network."""


class Outbound:
    """How token services, and providers beside a client's flow, are reached: with the roots, addresses and exceptions
    that are configured for providers. `trusting` makes one for a place that is reached in another way."""

    def __init__(
        self,
        *,
        ca_file: Path | None = None,
        resolve: Mapping[str, HostPort] | None = None,
        allow_private: frozenset[str] = frozenset(),
        proxy: UpstreamProxy | None = None,
        time_limit: float = TIME_LIMIT,
        trust: Trust = PUBLIC,
    ) -> None:
        self._trust = replace(trust, ca_file=ca_file) if ca_file is not None else trust
        self._resolve = resolve or {}
        self._allow_private = allow_private
        self._proxy = proxy
        self.time_limit = time_limit

    def trusting(self, trust: Trust, *, time_limit: float | None = None) -> Outbound:
        """Calls to places inside: what is configured for providers, the company's proxy among it, is not theirs."""
        return Outbound(trust=trust, resolve=self._resolve, time_limit=time_limit or self.time_limit)

    def within(self, time_limit: float) -> Outbound:
        """The same, with another limit of time, in seconds."""
        return Outbound(
            trust=self._trust,
            resolve=self._resolve,
            allow_private=self._allow_private,
            proxy=self._proxy,
            time_limit=time_limit,
        )

    def allowing(self, host: str) -> Outbound:
        """The same, and this name may lead to a private address: it stands in the configuration as it is."""
        return Outbound(
            trust=self._trust,
            resolve=self._resolve,
            allow_private=self._allow_private | {host},
            proxy=self._proxy,
            time_limit=self.time_limit,
        )

    def post_form(self, host: str, path: str, form: Mapping[str, str]) -> Answer:
        """POST a form to port 443 of `host` and return the answer, whatever its status; blocks.

        Raises SourceFailed, whose reason names the host and repeats neither the form nor the answer.
        """
        fields = {"Content-Type": _FORM, "Accept": "application/json"}
        return self.ask("POST", f"https://{host}{path}", fields, urlencode(form).encode("ascii"))

    def ask(
        self, method: str, url: str, fields: Mapping[str, str] | None = None, body: bytes = b"", most: int = MAX_BYTES
    ) -> Answer:
        """One request to the place that its URL names, and the answer, whatever its status; blocks.

        `Host`, `Content-Length` and `Connection` are put in here. Raises SourceFailed, whose reason names the host and
        repeats nothing of what was sent or received.
        """
        place, target, plain = self._place(url)
        if not plain:
            _ = self._context  # before anything is dialled: a CA that cannot be used is told as that
        ends = time.monotonic() + self.time_limit
        try:
            sent = rendered(method, target, _fields(url, fields or {}, method, body), body)
            return self._asked(place, method, sent, ends, most, plain=plain)
        except UNREACHED as error:
            raise SourceFailed(_reason(place.host, error, self.time_limit)) from None
        except ValueError:  # after those above: a certificate that is refused is one as well
            raise SourceFailed(f"a request to {place.host} could not be written on its lines") from None

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
            sent = rendered(request.method, request.url.path, request.headers.fields, request.body)
            return self._asked(place, request.method, sent, time.monotonic() + time_limit, most)
        except UNREACHED as error:
            raise _refusal(place.host, error, time_limit) from None
        except ValueError:
            raise InternalError("A line of the request would have been two.", detail=place.host) from None

    def _place(self, url: str) -> tuple[HostPort, str, bool]:
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            raise SourceFailed("its address is no URL of http or https") from None
        plain = parts.scheme == "http"
        if not host or parts.username is not None or parts.scheme not in ("http", "https"):
            raise SourceFailed("its address is no URL of http or https")
        if plain and not self._trust.plain:
            raise SourceFailed(f"{host} would be asked in clear text; its address must begin with https://")
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return HostPort(host, port or (80 if plain else 443)), target, plain

    def _asked(
        self, place: HostPort, method: str, sent: bytes, ends: float, most: int, *, plain: bool = False
    ) -> Answer:
        with self._connected(place, ends, plain=plain) as connection:
            connection.sendall(sent)
            return answer(connection, method, ends, most)

    @cached_property
    def _context(self) -> ssl.SSLContext:
        return self._trust.context()

    def _connected(self, place: HostPort, ends: float, *, plain: bool) -> socket.socket:
        connection = self._dialled(place, ends, plain=plain)
        try:
            connection.settimeout(left(ends))
            if plain:
                return connection
            return self._context.wrap_socket(connection, server_hostname=place.host, suppress_ragged_eofs=False)
        except BaseException:
            connection.close()
            raise

    def _dialled(self, target: HostPort, ends: float, *, plain: bool) -> socket.socket:
        if self._proxy is None or target.host in self._resolve or not self._proxy.serves(target.host):
            addresses = self._addresses(target)
            # By the address, whatever the name is called: metadata services have one that never leaves the machine.
            if plain and not all(is_private(one) for one, _ in addresses):
                raise PublicAddress
            return first(addresses, ends)
        # Of a name, the address is looked up by the proxy and judged by it alone.
        place = self._proxy.address.place
        connection = first([(place.host, place.port)], ends)
        try:
            connection.settimeout(left(ends))
            connection.sendall(self._proxy.question(target))
            self._proxy.check(head(connection, ends), target)
        except BaseException:
            connection.close()
            raise
        return connection

    def _addresses(self, target: HostPort) -> list[tuple[str, int]]:
        instead = self._resolve.get(target.host)
        asked = instead or target
        found = [info[4] for info in socket.getaddrinfo(asked.host, asked.port, type=socket.SOCK_STREAM)]
        addresses = [(str(one[0]), int(one[1])) for one in found]
        allowed = self._trust.private or instead is not None or target.host in self._allow_private
        if not allowed and any(is_private(one) for one, _ in addresses):
            raise PrivateAddress
        return addresses


def _fields(url: str, fields: Mapping[str, str], method: str, body: bytes) -> Sequence[Field]:
    written = {"Host": urlsplit(url).netloc, **fields}
    if body or method in ("POST", "PUT"):
        written["Content-Length"] = str(len(body))
    return [(name.encode("ascii"), value.encode("latin-1")) for name, value in written.items()]


def _reason(host: str, error: Exception, time_limit: float) -> str:
    """Why a host could not be asked, in words that quote nothing which was received."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate of {host} could not be verified; a private CA is added with upstream.ca_file"
    if isinstance(error, PrivateAddress):
        return f"{host} leads to a private address; name it in upstream.allow_private if that is meant"
    if isinstance(error, PublicAddress):
        return f"{host} is not beside this machine, and would be asked in clear text; it must begin with https://"
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
