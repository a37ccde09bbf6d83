"""Prometheus collectors, under the names the README promises, with label values from closed sets only."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from wsgiref.simple_server import WSGIServer

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
    start_http_server,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from llmauth.clock import Clock, SystemClock
from llmauth.errors import GatewayError

logger = logging.getLogger(__name__)

OTHER = "other"
NONE = "none"

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT"})
# Codes that a refusal gives instead of its class's own.
_MORE_CODES = frozenset({"model_not_allowed", "insufficient_quota"})
_MAX_REASONS = 64

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_FIRST_TOKEN = (0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120, 300, 600)
_OVERHEAD = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1)

# A scraper that is slow to ask keeps a thread; it gets this long.
_SCRAPE_SECONDS = 15
_MOST_UNCOUNTED = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One request and its answer. Times are seconds; the fields of the target are empty where none was reached.

    `first_byte` reaches from its arrival to the answer's first byte; `overhead` is what we took to judge and sign it.
    `error` is the code of a refusal of ours; `aborted` tells that the answer had begun and did not end.
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
    error: str | None = None
    aborted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _HttpSeries:
    count: Callable[[], None]
    seconds: Callable[[float], None]
    count_error: Callable[[], None] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _TargetSeries:
    count: Callable[[], None]
    seconds: Callable[[float], None]
    first_token: Callable[[float], None] | None
    overhead: Callable[[float], None]
    count_aborted: Callable[[], None]


class Metrics:
    """The collectors of one process, in a registry of their own. `models` are the names that the configuration has."""

    def __init__(self, models: Collection[str] = (), clock: Clock | None = None) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        self._clock = clock or SystemClock()
        self._models = frozenset(models)
        self._codes = frozenset(_codes(GatewayError)) | _MORE_CODES
        self._reasons: set[tuple[str, str]] = set()
        self._active: dict[str, str] = {}
        # The port of its own asks from another thread.
        self._seen: deque[Observation] = deque()
        self._settling = threading.Lock()
        # Looking a series up by its labels costs more than counting it, so each is looked up once.
        self._http: dict[tuple[str, int], _HttpSeries] = {}
        self._targets: dict[tuple[str, str, str, str, str, str, int], _TargetSeries] = {}
        self._define_request_metrics()
        self._define_state_metrics()

    def observe(self, seen: Observation) -> None:
        """Count one finished request, when somebody next looks or enough have come: in a row they cost a third."""
        self._seen.append(seen)
        if len(self._seen) >= _MOST_UNCOUNTED:
            self._settle()

    def _settle(self) -> None:
        with self._settling:
            while self._seen:
                self._count(self._seen.popleft())

    def _count(self, seen: Observation) -> None:
        method = seen.method if seen.method in _METHODS else OTHER
        status = seen.status if 200 <= seen.status <= 599 else 0
        http = self._http.get((method, status)) or self._http_series(method, status)
        http.count()
        http.seconds(seen.seconds)
        if http.count_error is not None:
            http.count_error()
        if seen.error is not None:
            self._errors.labels(seen.error if seen.error in self._codes else OTHER).inc()
        if seen.instance:
            self._observe_target(seen, status)

    def _observe_target(self, seen: Observation, status: int) -> None:
        model = seen.model if seen.model in self._models else OTHER
        key = (seen.instance, seen.provider, seen.region, seen.mode, seen.protocol, model, status)
        target = self._targets.get(key) or self._target_series(key)
        target.count()
        target.seconds(seen.seconds)
        if seen.overhead is not None:
            target.overhead(seen.overhead)
        if seen.first_byte is not None and target.first_token is not None:
            target.first_token(seen.first_byte)
        if seen.aborted:
            target.count_aborted()

    def client_connected(self) -> None:
        """A client opened a connection."""
        self._clients.inc()

    def client_disconnected(self) -> None:
        """A client's connection is closed."""
        self._clients.dec()

    def health(self, check: str, healthy: bool) -> None:
        """The outcome of a check of ours: `live` or `ready`."""
        self._health.labels(check).set(1 if healthy else 0)

    def auth_failed(self, method: str, reason: str) -> None:
        """A caller was not let in. Both come from our code; a bound holds should that ever change."""
        known = (method or NONE, reason or NONE)
        if known not in self._reasons:
            if len(self._reasons) >= _MAX_REASONS:
                known = (OTHER, OTHER)
            self._reasons.add(known)
        self._auth_failures.labels(*known).inc()

    def credential(self, instance: str, strategy: str | None, expires_at: float | None) -> None:
        """The strategy that now serves an instance, `None` when none does, and the Unix time its credential ends."""
        before = self._active.get(instance)
        if before is not None and before != strategy:
            self._strategy_active.labels(instance, before).set(0)
            self._remove_expiry(instance, before)
        if strategy is None:
            self._active.pop(instance, None)
            return
        self._active[instance] = strategy
        self._strategy_active.labels(instance, strategy).set(1)
        if expires_at is None:
            self._remove_expiry(instance, strategy)
        else:
            left = self._expiry.labels(instance, strategy)
            left.set_function(lambda: max(0.0, expires_at - self._clock.wall()))

    def aws_credential_retrieved(self, instance: str, ok: bool) -> None:
        """AWS, or what stands for it here, was asked for a credential."""
        self._aws_retrievals.labels(instance, "success" if ok else "error").inc()

    def render(self) -> tuple[bytes, str]:
        """All metrics in the text format, and its content type."""
        self._settle()
        return generate_latest(self._registry), CONTENT_TYPE_PLAIN_0_0_4

    def serve(self, port: int, host: str = "127.0.0.1", refresh: Callable[[], object] | None = None) -> WSGIServer:
        """Answer `GET /metrics`, and nothing else, on a port of its own, from a thread; `shutdown()` ends it.

        `refresh` is called before each answer, in that thread. Raises OSError when the port cannot be had.
        """
        server, _ = start_http_server(port, host, self._registry)
        metrics = server.get_app()

        def only_metrics(environ: Any, start_response: Any) -> Iterable[bytes]:
            if environ.get("PATH_INFO") == "/metrics" and metrics is not None:
                _try(refresh)
                self._settle()
                return metrics(environ, start_response)
            start_response("404 Not Found", [("Content-Type", "text/plain; charset=utf-8")])
            return [b"Only /metrics is served here.\n"]

        server.set_app(only_metrics)
        handler: Any = server.RequestHandlerClass
        server.RequestHandlerClass = type("ScrapeHandler", (handler,), {"timeout": _SCRAPE_SECONDS})
        # The library would print a traceback for each client that leaves early.
        server.handle_error = lambda request, client_address: None  # type: ignore[method-assign]
        return server

    def _http_series(self, method: str, status: int) -> _HttpSeries:
        code = _code(status)
        failed = self._http_errors.labels(method, code).inc if status >= 400 or status == 0 else None
        series = _HttpSeries(
            count=self._http_requests.labels(method, code).inc,
            seconds=self._http_seconds.labels(method).observe,
            count_error=failed,
        )
        self._http[method, status] = series
        return series

    def _target_series(self, key: tuple[str, str, str, str, str, str, int]) -> _TargetSeries:
        *names, model, status = key
        instance, provider, region, mode, protocol = (str(name) or NONE for name in names)
        labels = (instance, provider, region, mode, protocol, str(model))
        series = _TargetSeries(
            count=self._requests.labels(*labels, _code(status)).inc,
            seconds=self._request_seconds.labels(*labels).observe,
            first_token=self._first_token.labels(instance, str(model)).observe if 200 <= status < 400 else None,
            overhead=self._overhead.labels(instance).observe,
            count_aborted=self._aborted.labels(instance).inc,
        )
        self._targets[key] = series
        return series

    def _remove_expiry(self, instance: str, strategy: str) -> None:
        # Removing what was never there is no error to this library.
        self._expiry.remove(instance, strategy)

    def _define_request_metrics(self) -> None:
        target = ("instance", "provider", "region", "mode", "protocol", "model")
        self._requests = self._counter(
            "bedrock_proxy_requests_total", "Requests that were routed to a provider instance.", (*target, "status")
        )
        self._request_seconds = self._histogram(
            "bedrock_proxy_request_duration_seconds", "From a routed request's arrival to its end.", target, _SECONDS
        )
        self._http_requests = self._counter(
            "http_requests_total", "All requests, with those we answered ourselves.", ("method", "status")
        )
        self._http_seconds = self._histogram(
            "http_request_duration_seconds", "From any request's arrival to its end.", ("method",), _SECONDS
        )
        self._http_errors = self._counter(
            "http_request_errors_total", "Requests that ended with a status of 400 or more.", ("method", "status")
        )
        self._errors = self._counter("error_total", "Refusals of ours, by their code.", ("error_type",))
        self._first_token = self._histogram(
            "time_to_first_token_seconds",
            "From a request's arrival to the first byte of an answer that succeeded.",
            ("instance", "model"),
            _FIRST_TOKEN,
        )
        self._overhead = self._histogram(
            "proxy_overhead_seconds", "What we took to judge and sign a request.", ("instance",), _OVERHEAD
        )
        self._aborted = self._counter(
            "stream_aborted_total", "Answers that had begun and did not end, on either side.", ("instance",)
        )

    def _define_state_metrics(self) -> None:
        self._health = self._gauge(
            "health_check_status", "Whether a check of this process passes (1) or not.", ("check",)
        )
        self._clients = Gauge("connected_clients", "Open client connections.", registry=self._registry)
        self._auth_failures = self._counter(
            "auth_failures_total", "Callers that were not let in.", ("method", "reason")
        )
        self._aws_retrievals = self._counter(
            "aws_credential_retrievals_total", "How often AWS credentials were asked for.", ("instance", "result")
        )
        self._expiry = self._gauge(
            "credential_expiry_seconds", "Until the credential in use ends.", ("instance", "strategy")
        )
        self._strategy_active = self._gauge(
            "credential_strategy_active", "Whether a strategy is the one in use (1) or not.", ("instance", "strategy")
        )

    def _counter(self, name: str, text: str, labels: tuple[str, ...]) -> Counter:
        return Counter(name, text, labels, registry=self._registry)

    def _gauge(self, name: str, text: str, labels: tuple[str, ...]) -> Gauge:
        return Gauge(name, text, labels, registry=self._registry)

    def _histogram(self, name: str, text: str, labels: tuple[str, ...], buckets: tuple[float, ...]) -> Histogram:
        return Histogram(name, text, labels, registry=self._registry, buckets=buckets)


def _try(refresh: Callable[[], object] | None) -> None:
    """Old gauges are worth more to a scraper than no answer."""
    try:
        if refresh is not None:
            refresh()
    except Exception:
        logger.exception("The gauges could not be brought up to date")


def _code(status: int) -> str:
    return str(status) if status else "000"


def _codes(error: type[GatewayError]) -> Iterator[str]:
    yield error.code
    for below in error.__subclasses__():
        yield from _codes(below)
