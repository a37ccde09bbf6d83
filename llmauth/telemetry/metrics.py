"""Counts what became of requests and tells how things stand, with label values from closed sets only."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple
from wsgiref.simple_server import WSGIServer

from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from llmauth.chat.messages import Usage
from llmauth.clock import Clock, SystemClock
from llmauth.telemetry import scrape, sums
from llmauth.telemetry.definitions import Described
from llmauth.telemetry.series import (
    FAULTS,
    METHODS,
    NONE,
    OTHER,
    RATE_LIMITS,
    TUNNEL_ENDS,
    UNMETERED,
    HttpSeries,
    Series,
    TargetKey,
    TargetSeries,
    codes,
)
from llmauth.telemetry.standing import Standing

_MAX_REASONS = 64
_MOST_UNCOUNTED = 256
_SWITCHING = 101  # the one status below 200 that an answer ends with: a WebSocket was opened


class Observation(NamedTuple):
    """One request and its answer. Times are seconds; the fields of the target are empty where none was reached.

    `first_byte` reaches from its arrival to the answer's first byte; `overhead` is what we took to judge and sign it,
    `connect` what it took to have a connection to the provider, `upstream` reaches from there to the answer's end.
    `error` is the code of a refusal of ours, `fault` whose it was, `limit` the caller's limit that it tells of;
    `aborted` tells that the answer had begun and did not end. `carried` are the bytes of a WebSocket, from the client
    and to it. `usage` is what the answer told of its tokens, `unmetered` why it did not, or not of all; `cost` is what
    they cost, `unpriced` tells that nobody knows.
    """

    method: str
    status: int
    seconds: float
    instance: str = ""
    provider: str = ""
    region: str = ""
    mode: str = ""
    protocol: str = ""
    model: str = ""
    first_byte: float | None = None
    overhead: float | None = None
    connect: float | None = None
    upstream: float | None = None
    error: str | None = None
    fault: str = ""
    limit: str = ""
    aborted: bool = False
    carried: tuple[int, int] | None = None
    usage: Usage | None = None
    unmetered: str | None = None
    cost: float | None = None
    unpriced: bool = False


class Metrics:
    """The metrics of one process. `models` are the names that the configuration has."""

    def __init__(self, models: Collection[str] = (), clock: Clock | None = None) -> None:
        self._series = Series()
        self._clock = clock or SystemClock()
        self._models = frozenset(models)
        self._codes = codes()
        self._reasons: set[tuple[str, str]] = set()
        self._standing = Standing(self._series.define, self._clock)
        # The port of its own asks from another thread.
        self._seen: deque[Observation] = deque()
        self._settling = threading.Lock()
        # Looking a series up by its labels costs more than counting it, so each is looked up once.
        self._http: dict[tuple[str, int], HttpSeries] = {}
        self._targets: dict[TargetKey, TargetSeries] = {}

    def know(self, models: Collection[str]) -> None:
        """Count by these models too from now on: the configuration has them. Those that it had keep their series."""
        self._models |= frozenset(models)

    def known(self, model: str) -> str:
        """The label of a model: its name where the configuration has it."""
        return model if model in self._models else OTHER

    def exported(self, signal: str, result: str) -> None:
        """What became of an export of metrics or traces: `sent` or `failed`; or `dropped`, for each span."""
        self._standing.exported(signal, result)

    def only(self, instances: Collection[str]) -> None:
        """These are the instances that the configuration has: what is told of others ends."""
        self._series.begin(instances)
        self._standing.only(instances)

    def config_reloaded(self, ok: bool) -> None:
        """A configuration was read while running, and taken over if `ok`."""
        self._standing.config_reloaded(ok)

    def observe(self, seen: Observation) -> None:
        """Count one finished request, when somebody next looks or enough have come: in a row they cost a third."""
        self._seen.append(seen)
        if len(self._seen) >= _MOST_UNCOUNTED:
            self._settle()

    def _settle(self) -> None:
        with self._settling:
            while self._seen:
                self._count(self._seen.popleft())

    def _look(self) -> None:
        self._settle()
        self._standing.look()

    def _count(self, seen: Observation) -> None:
        method = seen.method if seen.method in METHODS else OTHER
        status = seen.status if 200 <= seen.status <= 599 or seen.status == _SWITCHING else 0
        http = self._http.get((method, status))
        if http is None:
            http = self._http[method, status] = self._series.http(method, status)
        http.count()
        http.seconds(seen.seconds)
        if http.count_error is not None:
            http.count_error()
        if seen.error is not None:
            self._count_refusal(seen)
        if seen.instance:
            self._count_target(seen, status)

    def _count_refusal(self, seen: Observation) -> None:
        code = seen.error if seen.error in self._codes else OTHER
        self._series.errors.labels(code, seen.fault if seen.fault in FAULTS else OTHER).inc()
        if seen.limit:
            self._series.rate_limited.labels(seen.limit if seen.limit in RATE_LIMITS else OTHER).inc()

    def _count_target(self, seen: Observation, status: int) -> None:
        model = self.known(seen.model)
        key = (seen.instance, seen.provider, seen.region, seen.mode, seen.protocol, model, status)
        target = self._targets.get(key)
        if target is None:
            target = self._targets[key] = self._series.target(key)
        target.count()
        target.seconds(seen.seconds)
        if seen.overhead is not None:
            target.overhead(seen.overhead)
        if seen.connect is not None:
            target.connect(seen.connect)
        if seen.upstream is not None:
            target.upstream(seen.upstream)
        if seen.first_byte is not None and target.first_token is not None:
            target.first_token(seen.first_byte)
        if seen.aborted:
            target.count_aborted()
        if seen.carried is not None:
            self._series.carried(seen.instance, *seen.carried)
        if seen.usage is not None or seen.unmetered is not None:
            self._count_tokens(seen, target, model)

    def _count_tokens(self, seen: Observation, target: TargetSeries, model: str) -> None:
        if target.count_invocation is not None:
            target.count_invocation()
        if seen.usage is not None:
            target.tokens(seen.usage)
        if seen.unmetered is not None:
            reason = seen.unmetered if seen.unmetered in UNMETERED else OTHER
            self._series.unmetered.labels(seen.instance, reason).inc()
        if seen.cost is not None:
            self._series.cost.labels(seen.instance, model).inc(seen.cost)
        elif seen.unpriced:
            self._series.unpriced.labels(seen.instance).inc()

    def client_connected(self) -> None:
        """A client opened a connection."""
        self._standing.clients.inc()

    def client_disconnected(self) -> None:
        """A client's connection is closed."""
        self._standing.clients.dec()

    def tunnel_opened(self) -> None:
        """A tunnel that nobody reads was opened."""
        self._standing.tunnels.inc()

    def tunnel_closed(self, ended_by: str, *, sent: int, received: int) -> None:
        """One is over; who or what ended it comes from our code, sizes are bytes."""
        self._standing.tunnels.dec()
        self._series.tunnels_ended.labels(ended_by if ended_by in TUNNEL_ENDS else OTHER).inc()
        self._series.tunnel_bytes.labels("sent").inc(sent)
        self._series.tunnel_bytes.labels("received").inc(received)

    def limit_reached(self, limit: str) -> None:
        """Something was ended for a limit, by its name in the configuration."""
        self._series.limits.labels(limit).inc()

    def health(self, check: str, healthy: bool) -> None:
        """The outcome of a check of ours: one of `standing.CHECKS`."""
        self._standing.health(check, healthy)

    def watch_requests(self, running: Callable[[], Mapping[str, int]]) -> None:
        """Ask this how many requests run now, by instance, whenever somebody looks; from any thread."""
        self._standing.watch_requests(running)

    def audit_waits(self, records: int) -> None:
        """How many records of the audit are noted and not yet written."""
        self._standing.audit_waits(records)

    def authority_ends(self, at: float) -> None:
        """The Unix time at which the certificate authority ends."""
        self._standing.authority_ends(at)

    def auth_failed(self, method: str, reason: str) -> None:
        """A caller was not let in. Both come from our code; a bound holds should that ever change."""
        known = (method or NONE, reason or NONE)
        if known not in self._reasons:
            if len(self._reasons) >= _MAX_REASONS:
                known = (OTHER, OTHER)
            self._reasons.add(known)
        self._series.auth_failures.labels(*known).inc()

    def credential(self, instance: str, strategy: str | None, expires_at: float | None) -> None:
        """The strategy that now serves an instance, `None` when none does, and the Unix time its credential ends."""
        self._standing.credential(instance, strategy, expires_at)

    def renewal(self, instance: str, *, degraded: bool, place: int | None) -> None:
        """Whether its credential cannot be renewed now, and the place of the strategy that gave it in their order."""
        self._standing.renewal(instance, degraded=degraded, place=place)

    def credential_asked(self, instance: str, result: str) -> None:
        """A source of credentials was asked: `success`, `unavailable` or `error`."""
        self._standing.refreshes.labels(instance, result).inc()

    def credential_retried(self, instance: str) -> None:
        """A request is sent once more, with another credential than the one that the provider refused."""
        self._standing.retries.labels(instance).inc()

    def aws_credential_retrieved(self, instance: str, ok: bool) -> None:
        """AWS, or what stands for it here, was asked for a credential."""
        self._standing.aws_retrievals.labels(instance, "success" if ok else "error").inc()

    def described(self) -> Sequence[Described]:
        """Every metric, and what it is."""
        return self._series.described()

    def render(self) -> tuple[bytes, str]:
        """All metrics in the text format, and its content type."""
        self._look()
        return generate_latest(self._series.registry), CONTENT_TYPE_PLAIN_0_0_4

    def snapshot(self) -> sums.Snapshot:
        """All metrics as plain values, for whoever adds up those of several processes."""
        self._look()
        return sums.snapshot(self._series.registry)

    def serve(self, port: int, host: str = "127.0.0.1", refresh: Callable[[], object] | None = None) -> WSGIServer:
        """Answer `GET /metrics`, and nothing else, on a port of its own, from a thread; `shutdown()` ends it.

        `refresh` is called before each answer, in that thread. Raises OSError when the port cannot be had.
        """
        return scrape.serve(self._series.registry, port, host, refresh=refresh, settle=self._look)
