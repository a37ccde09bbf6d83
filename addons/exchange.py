"""What the addons remember: of one client connection, and of one request and its answer."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from mitmproxy import http
from mitmproxy.connection import Client

from llmauth.addresses import HostPort
from llmauth.codecs.base import RefusalShape
from llmauth.context import Decision, Identity, RequestContext, Route
from llmauth.errors import GatewayError
from llmauth.http import Door, Request
from llmauth.providers.base import ProviderHandler
from llmauth.routers.auth import Proof

_ATTRIBUTE = "llmauth"


@dataclass(slots=True)
class Peer:
    """One client connection. `approved` is where its requests may be sent; an identity is kept from CONNECT alone."""

    gateway: bool = False
    tunnel: HostPort | None = None
    identity: Identity | None = None
    proof: Proof | None = None
    approved: set[HostPort] = field(default_factory=set)


@dataclass(slots=True)
class Exchange:
    """One request on its way through the chain. Times are monotonic seconds."""

    context: RequestContext
    request: Request
    door: Door
    shape_of: Callable[[Request], RefusalShape]
    decisions: tuple[Decision, ...] = ()
    route: Route | None = None
    handler: ProviderHandler | None = None
    approved: HostPort | None = None
    generation: int = 0
    error: GatewayError | None = None
    head_took: float = 0.0
    body_in_at: float | None = None
    approved_at: float | None = None
    sent_at: float | None = None
    first_byte_at: float | None = None
    timed_out: bool = False
    provider_request_id: str | None = None
    reported: bool = False

    @property
    def shape(self) -> RefusalShape:
        """The shape of what was called; found out only when something is refused."""
        return self.handler.shape if self.handler is not None else self.shape_of(self.request)


class Exchanges:
    """The memory that the addons share.

    What is known hangs on mitmproxy's own flow and client objects, as an attribute: it lives exactly as long as they,
    and is found without a look-up. A flow's `metadata` would be written into dump files; attributes are not.
    """

    def __init__(self) -> None:
        self.open: set[http.HTTPFlow] = set()
        self.tls_listener: object | None = None
        self.draining = False

    def of(self, flow: http.HTTPFlow) -> Exchange | None:
        """The exchange of a flow, `None` before it began."""
        exchange: Exchange | None = flow.__dict__.get(_ATTRIBUTE)
        return exchange

    def begin(self, flow: http.HTTPFlow, exchange: Exchange) -> Exchange:
        """Remember the exchange of a flow, which counts as running until it is ended."""
        flow.__dict__[_ATTRIBUTE] = exchange
        self.open.add(flow)
        return exchange

    def prune(self) -> None:
        """End what is over without having been told so: nothing outlives its client's connection."""
        self.open = {flow for flow in self.open if flow.live and flow.client_conn.timestamp_end is None}

    def end(self, flow: http.HTTPFlow) -> None:
        """The flow is over: it is no longer waited for, though what is known of it stays until mitmproxy drops it."""
        self.open.discard(flow)

    def peer(self, client: Client) -> Peer:
        """What is known of a client connection."""
        peer: Peer | None = client.__dict__.get(_ATTRIBUTE)
        if peer is None:
            peer = client.__dict__[_ATTRIBUTE] = Peer()
        return peer

    def listens_tls(self, client: Client) -> bool:
        """Whether a client came in by the TLS listener."""
        return self.tls_listener is not None and client.proxy_mode == self.tls_listener


def arrival(client_request_id: str | None) -> RequestContext:
    """A context for a request that has just arrived, under the client's own id where it is a plain one."""
    return RequestContext(
        request_id=client_request_id or f"req_{os.urandom(16).hex()}",
        received_at=time.time(),
        started=time.monotonic(),
    )
