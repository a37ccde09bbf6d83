"""A head that a client connection has sent before, and all that was judged by this head alone."""

from __future__ import annotations

from dataclasses import dataclass, field

from mitmproxy import http

from llmauth.addresses import HostPort
from llmauth.context import Decision, Route, Target
from llmauth.credentials.cache import Leased
from llmauth.governance.policy import Allowance
from llmauth.http import Field, Request
from llmauth.providers.base import ProviderHandler
from llmauth.routers.auth import Proof

Line = tuple[bytes, bytes, str, int, bytes, bytes, bytes, str | None, bool, HostPort | None]
"""All by which a head is judged beside its fields: method, scheme, host, port, path, authority and version as they
came; and of its connection the TLS name, whether it is a gateway's, and the tunnel."""


def line_of(flow: http.HTTPFlow, gateway: bool, tunnel: HostPort | None) -> Line:
    """All of a head but its fields, before anybody changed it."""
    data = flow.request.data
    where = (data.method, data.scheme, data.host, data.port, data.path, data.authority, data.http_version)
    return (*where, flow.client_conn.sni, gateway, tunnel)


LENGTH = b"content-length"
# As screening has it: nobody's body has a length of twenty digits.
DIGITS = 19


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What became of the head: the request as it left, with a credential that stays the same for every request.

    `length_at` and `id_at` are the places of the fields that are another one each time: Content-Length, and
    X-Request-Id where it is told.
    """

    leased: Leased
    target: Target
    decisions: tuple[Decision, ...]
    method: bytes
    path: bytes
    approved: HostPort
    fields: tuple[Field, ...] = field(repr=False)
    length_at: int
    id_at: int | None
    secrets: tuple[bytes, ...] = field(repr=False)

    def fields_for(self, length: bytes, request_id: str) -> tuple[Field, ...]:
        """The fields for a body of this length."""
        fields = list(self.fields)
        fields[self.length_at] = (fields[self.length_at][0], length)
        if self.id_at is not None:
            fields[self.id_at] = (fields[self.id_at][0], request_id.encode("ascii"))
        return tuple(fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A head that passed every judgement. `request` is without its body; `sent` is `None` where each is signed anew."""

    line: Line
    fields: tuple[Field, ...] = field(repr=False)
    length_at: int
    request: Request
    proof: Proof
    allowance: Allowance
    route: Route
    handler: ProviderHandler
    decisions: tuple[Decision, ...]
    sent: Sent | None

    def announced(self, line: Line, fields: tuple[Field, ...]) -> int | None:
        """How long a body this head announces, if it is the known one; `None` for every other head.

        Every byte is compared, in its place, but for the value of Content-Length: that is judged here, as screening
        judges it, and decides nothing else.
        """
        known, at = self.fields, self.length_at
        if line != self.line or len(fields) != len(known):
            return None
        name, length = fields[at]
        if fields != known:
            if name != known[at][0] or fields[:at] != known[:at] or fields[at + 1 :] != known[at + 1 :]:
                return None
            if not length.isdigit() or len(length) > DIGITS:
                return None
        return int(length)
