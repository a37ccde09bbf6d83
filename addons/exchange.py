"""What the addons remember: of one client connection, and of one request and its answer."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from typing import Any, NamedTuple, Protocol

from mitmproxy import http
from mitmproxy.connection import Client

from addons.known import Known, Line
from addons.wire.tunnel import Tunnel
from llmauth.addresses import HostPort
from llmauth.audit.tickets import Ticket
from llmauth.authenticators.sigv4 import Promise
from llmauth.chat.messages import Usage
from llmauth.codecs.base import RefusalShape
from llmauth.config.limits import Limits
from llmauth.context import Decision, Identity, ProtocolRoute, RequestContext, Route, Routed
from llmauth.credentials.cache import Leased
from llmauth.errors import GatewayError
from llmauth.gateway.plan import Plan, Way
from llmauth.governance.governor import Admission
from llmauth.governance.policy import Allowance
from llmauth.hindsight.remembered import Head
from llmauth.http import Door, Field, Headers, Request
from llmauth.protocol import Prepared
from llmauth.providers.base import ProviderHandler
from llmauth.providers.named import Named
from llmauth.routers.auth import Proof, decision_of
from llmauth.routers.doors import SHAPES
from llmauth.translation import StreamFilter
from llmauth.usage.meter import Meter

_ATTRIBUTE = "llmauth"
DEFAULT_LIMITS = Limits()
NO_HEADERS = Headers()
# Longer than a hook may take, and a dial that it leads to.
_LONGEST_HOOK = 60.0


class Awaited(Enum):
    """What a client connection is waiting for."""

    FIRST_HEAD = "the first request, or the first one in a tunnel, with the handshake before it"
    HEAD = "the rest of a request's head"
    IDLE = "the next request"
    BODY = "the rest of a request's body"
    ANSWER = "an answer of ours"
    PIPE = "nothing: bytes of another protocol pass"


class Reader(Protocol):
    """The layer that reads a client's requests."""

    def awaited(self) -> tuple[Awaited, int]:
        """What it waits for, and a number that changes with each new thing of this kind."""
        ...


class Onlooker(Protocol):
    """Sees bytes pass."""

    def feed(self, data: bytes) -> None:
        """The next ones; nothing here raises or takes long."""
        ...


@dataclass(slots=True)
class Peer:
    """One client connection. `approved` is where its requests may be sent; an identity is kept from CONNECT alone.

    `certificate` is what it showed to the TLS listener, in DER and its own first.

    `known` is the last head that passed, which nearly always is the next one too; `unrepeated` counts those in a row
    that were not. What is remembered of requests was judged by `plan`, and counts for no other.
    """

    gateway: bool = False
    plan: Plan | None = field(default=None, repr=False)
    tunnel: HostPort | None = None
    certificate: tuple[bytes, ...] = field(default=(), repr=False)
    identity: Identity | None = None
    proof: Proof | None = None
    known: Known | None = field(default=None, repr=False)
    told: tuple[Known, Head] | None = field(default=None, repr=False)  # what was told of such a head
    unrepeated: int = 0
    approved: set[HostPort] = field(default_factory=set)
    way: Way | None = field(default=None, repr=False)  # how the request goes out that asked for a connection last
    limits: Limits = DEFAULT_LIMITS
    http: Reader | None = None

    @property
    def proved(self) -> bool:
        """Whether a caller has proved who it is on this connection."""
        return self.identity is not None or self.proof is not None

    def follow(self, plan: Plan) -> None:
        """A request arrives under this plan: what another one led to is forgotten. Its tunnel's caller is asked anew
        whether it still stands, as for every request."""
        if self.plan is not plan:
            self.plan, self.known, self.proof = plan, None, None


class Came(NamedTuple):
    """A request as it came, where another one is sent in its place: its fields, and the bytes of its body."""

    fields: tuple[Field, ...]
    size: int
    unchanged: bool


@dataclass(slots=True)
class Exchange:
    """One request on its way through the chain. Times are monotonic seconds.

    `limit` names the limit that ended it; `heard` and `heard_at` are the deadlines' own, what came last and when.
    """

    context: RequestContext
    request: Request
    door: Door
    plan: Plan = field(repr=False)  # of its arrival: from its first hook to its last it is judged by no other
    decisions: tuple[Decision, ...] = ()
    # The addon that answers this request itself: the hooks of the others leave it alone, and the gate stops it.
    claimed_by: object | None = None
    promise: Promise | None = None  # a signature that is yet to be held against the body
    allowance: Allowance | None = field(default=None, repr=False)  # what the caller's rules allow
    asked: str | None = None  # the model in the client's own words, where these are not its provider's
    named: Named | None = field(default=None, repr=False)  # every model that it names, where that is to be judged
    admission: Admission | None = field(default=None, repr=False)  # what the limits let it take, to be settled
    passed: int = 0  # bytes of the answer's body so far
    cost: Decimal | None = None  # what its tokens cost, where there is a price
    ticket: Ticket | None = field(default=None, repr=False)  # of the audit record of what was decided
    route: Route | None = None
    handler: ProviderHandler | None = None
    approved: HostPort | None = None
    leased: Leased | None = field(default=None, repr=False)  # the credential that is on the request
    renewed: bool = False  # whether another one was looked for, after the provider had refused it
    again: bool = False  # whether the request is sent once more, with the credential that is on it now
    error: GatewayError | None = None
    head_took: float = 0.0
    body_in_at: float | None = None
    approved_at: float | None = None
    sent_at: float | None = None
    first_byte_at: float | None = None
    first_data_at: float | None = None  # of an answer that passes piece by piece
    streamed: bool = False  # whether the answer is a stream of events
    proved_before: bool = False  # whether the connection had presented the same before
    came: Came | None = field(default=None, repr=False)  # what the client sent, where `request` is another by now
    timed_out: bool = False
    limit: str | None = None
    heard: int = -1
    heard_at: float = 0.0
    provider_request_id: str | None = None
    reported: bool = False
    secrets: tuple[bytes, ...] = field(default=(), repr=False)  # what was put on the request, and must not come back
    line: Line | None = field(default=None, repr=False)  # the head as it came, its fields apart
    known: Known | None = None  # the head that this one repeats
    untold: bool = False  # whether only the answer's body can tell what it says about our credential
    streams: bool = False  # whether a request of protocol mode asks for a stream
    prepared: Prepared | None = None  # of protocol mode: what is sent in the place of what came
    stream: StreamFilter | None = None  # what the answer's stream goes through
    cut_for: GatewayError | None = None  # why we cut its answer, where it was not the provider
    whole: bool = False  # whether the answer is to be read whole before any of it is sent
    answered: Headers = NO_HEADERS  # the head of such an answer, as the provider gave it
    # Signs a further request with the credential of this one, for the hosts of its handler and for no others.
    authorize: Callable[[Request], Request] | None = field(default=None, repr=False)
    read_beside: Sequence[Any] = ()  # what was read of the answers to such requests, in order
    usage: Usage | None = None
    meter: Meter | None = None  # sees the provider's answer pass
    onlooker: Onlooker | None = None  # sees what the client is sent, where a page shows it

    @property
    def judged(self) -> tuple[Decision, ...]:
        """Every router's decision so far, and with them that of a refusal."""
        made = self.context.decisions
        if len(made) <= 1:  # not routed yet: what the head told of its way is no stage of its own
            made += self.decisions
        refused = decision_of(self.error) if self.error is not None else None
        return made if refused is None else (*made, refused)

    @property
    def shape(self) -> RefusalShape:
        """The shape of what was called; found out only when something is refused."""
        if isinstance(self.route, ProtocolRoute):
            return SHAPES[self.route.protocol]
        if self.handler is None:
            return self.plan.mode.shape_of(self.request)
        return self.handler.shape_of(self.route.path if self.route is not None else self.request.url.path)


class Exchanges:
    """The memory that the addons share.

    What is known hangs on mitmproxy's own flow and client objects, as an attribute: it lives exactly as long as they,
    and is found without a look-up. A flow's `metadata` would be written into dump files; attributes are not.
    """

    def __init__(self) -> None:
        self.open: set[http.HTTPFlow] = set()
        # Over, and not told of yet: since when (monotonic).
        self._untold: dict[http.HTTPFlow, float] = {}
        # By the id of their client connection, of which each takes the whole.
        self.tunnels: dict[str, Tunnel] = {}
        self.sockets: set[http.HTTPFlow] = set()
        self.tls_listener: object | None = None
        self.draining = False
        self.parting = False

    def of(self, flow: http.HTTPFlow) -> Exchange | None:
        """The exchange of a flow, `None` before it began."""
        exchange: Exchange | None = flow.__dict__.get(_ATTRIBUTE)
        return exchange

    def begin(self, flow: http.HTTPFlow, exchange: Exchange) -> Exchange:
        """Remember the exchange of a flow, which counts as running until it is ended."""
        flow.__dict__[_ATTRIBUTE] = exchange
        self.open.add(flow)
        return exchange

    def running(self) -> Mapping[str, int]:
        """How many requests each instance serves now; from any thread."""
        exchanges = (exchange_of(flow) for flow in tuple(self.open))
        contexts = (exchange.context for exchange in exchanges if exchange is not None)
        return Counter(context.target.instance for context in contexts if isinstance(context, Routed))

    def prune(self, now: float | None = None) -> list[http.HTTPFlow]:
        """Wait no longer for what is over without having been told so, and hand over what nobody will tell of any more.

        Nothing outlives its client's connection; but a hook may still be at work for a client that has left, and what
        it sets going is to be told of when it ends.
        """
        now = time.monotonic() if now is None else now
        for flow in [flow for flow in self.open if not flow.live or flow.client_conn.timestamp_end is not None]:
            self.open.discard(flow)
            self._untold[flow] = now
        over = [flow for flow, since in self._untold.items() if not flow.live or now - since > _LONGEST_HOOK]
        for flow in over:
            del self._untold[flow]
        return over

    def end(self, flow: http.HTTPFlow) -> None:
        """The flow is over: it is no longer waited for, though what is known of it stays until mitmproxy drops it."""
        self.open.discard(flow)
        self._untold.pop(flow, None)

    def peer(self, client: Client) -> Peer:
        """What is known of a client connection."""
        return peer_of(client)

    def listens_tls(self, client: Client) -> bool:
        """Whether a client came in by the TLS listener."""
        return self.tls_listener is not None and client.proxy_mode == self.tls_listener


def exchange_of(flow: http.HTTPFlow) -> Exchange | None:
    """The exchange of a flow, for the layers below the addons."""
    exchange: Exchange | None = flow.__dict__.get(_ATTRIBUTE)
    return exchange


def peer_of(client: Client) -> Peer:
    """What is known of a client connection, for the layers below the addons."""
    peer: Peer | None = client.__dict__.get(_ATTRIBUTE)
    if peer is None:
        peer = client.__dict__[_ATTRIBUTE] = Peer()
    return peer


def arrival(client_request_id: str | None) -> RequestContext:
    """A context for a request that has just arrived, under the client's own id where it is a plain one."""
    return RequestContext(
        request_id=client_request_id or fresh_id(),
        received_at=time.time(),
        started=time.monotonic(),
    )


_ID_BYTES = 16
_IDS_AT_ONCE = 256


def _random_ids() -> Iterator[str]:
    """Asking the system for random bytes costs the same for one id and for many."""
    while True:
        random = os.urandom(_ID_BYTES * _IDS_AT_ONCE).hex()
        for place in range(0, len(random), 2 * _ID_BYTES):
            yield f"req_{random[place : place + 2 * _ID_BYTES]}"


fresh_id: Callable[[], str] = _random_ids().__next__
"""A new id for a request."""
