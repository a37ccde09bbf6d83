"""The metrics of one process: their names, as promised, their labels and buckets, and the values labels may take."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, disable_created_metrics

from llmauth.chat.messages import Usage
from llmauth.errors import GatewayError
from llmauth.telemetry.tallies import Count, Counts, Spreads

OTHER = "other"
NONE = "none"

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT"})
TUNNEL_ENDS = frozenset({"client", "host", "key", "idle", "drain", "policy"})
KINDS = ("input", "output", "cache_read", "cache_write", "reasoning")
DIRECTIONS = ("input", "output")
# Why tokens are not known: the words of `llmauth.usage`, which stands above.
UNMETERED = frozenset(
    {"not_told", "cut", "encoding", "content_type", "too_large", "broken", "unknown_operation", "websocket"}
)
# Codes that a refusal gives instead of its class's own.
_MORE_CODES = frozenset({"model_not_allowed", "insufficient_quota"})

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_FIRST_TOKEN = (0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120, 300, 600)
_OVERHEAD = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1)
_TARGET = ("instance", "provider", "region", "mode", "protocol", "model")

TargetKey = tuple[str, str, str, str, str, str, int]
"""Instance, provider, region, mode, protocol, model and status."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSeries:
    """What counts the requests of one method and status."""

    count: Callable[[], None]
    seconds: Callable[[float], None]
    count_error: Callable[[], None] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSeries:
    """What counts the requests to one target that ended with one status."""

    count: Callable[[], None]
    seconds: Callable[[float], None]
    first_token: Callable[[float], None] | None
    overhead: Callable[[float], None]
    count_aborted: Callable[[], None]
    tokens: Callable[[Usage], None]


class Tokens:
    """What counts the tokens of one target. Its series begin with the first answer that tells."""

    __slots__ = ("_cells", "_labels", "_processed", "_tokens")

    def __init__(self, tokens: Counts, processed: Counts, labels: tuple[str, ...]) -> None:
        self._tokens, self._processed, self._labels = tokens, processed, labels
        self._cells: tuple[Count, ...] = ()

    def count(self, usage: Usage) -> None:
        """Adds what one answer told."""
        told = (usage.input, usage.output, usage.cache_read, usage.cache_write, usage.reasoning, usage.prompt)
        for cell, number in zip(self._cells or self._found(), (*told, usage.output), strict=True):
            cell.value += number

    def _found(self) -> tuple[Count, ...]:
        instance, provider, region, mode, *_ = self._labels
        kinds = [self._tokens.labels(*self._labels, kind) for kind in KINDS]
        both = [self._processed.labels(instance, provider, region, mode, direction) for direction in DIRECTIONS]
        self._cells = (*kinds, *both)
        return self._cells


class Series:
    """All collectors, in a registry of their own."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self._define_targets()
        self._define_requests()
        self._define_state()

    def http(self, method: str, status: int) -> HttpSeries:
        """Looks the series up by their labels, which costs more than counting; 0 stands for no status."""
        code = _code(status)
        failed = self._http_errors.labels(method, code).inc if status >= 400 or status == 0 else None
        return HttpSeries(
            count=self._http_requests.labels(method, code).inc,
            seconds=self._http_seconds.labels(method).observe,
            count_error=failed,
        )

    def target(self, key: TargetKey) -> TargetSeries:
        """Looks the series up by their labels, which costs more than counting."""
        *names, model, status = key
        instance, provider, region, mode, protocol = (str(name) or NONE for name in names)
        labels = (instance, provider, region, mode, protocol, str(model))
        return TargetSeries(
            count=self._requests.labels(*labels, _code(status)).inc,
            seconds=self._request_seconds.labels(*labels).observe,
            first_token=self._first_token.labels(instance, str(model)).observe if 200 <= status < 400 else None,
            overhead=self._overhead.labels(instance).observe,
            count_aborted=self._aborted.labels(instance).inc,
            tokens=Tokens(self._tokens, self._processed, labels).count,
        )

    def carried(self, instance: str, received: int, sent: int) -> None:
        """Count what a WebSocket carried, from its client and to it."""
        self._carried.labels(instance, "in").inc(received)
        self._carried.labels(instance, "out").inc(sent)

    def _define_targets(self) -> None:
        self._requests = self._counts(
            "bedrock_proxy_requests_total", "Requests that were routed to a provider instance.", (*_TARGET, "status")
        )
        self._request_seconds = self._spreads(
            "bedrock_proxy_request_duration_seconds", "From a routed request's arrival to its end.", _TARGET, _SECONDS
        )
        self._first_token = self._spreads(
            "time_to_first_token_seconds",
            "From a request's arrival to the first byte of an answer that succeeded.",
            ("instance", "model"),
            _FIRST_TOKEN,
        )
        self._overhead = self._spreads(
            "proxy_overhead_seconds", "What we took to judge and sign a request.", ("instance",), _OVERHEAD
        )
        self._tokens = self._counts(
            "tokens_total", "Tokens that answers told; the reasoning is a part of the output.", (*_TARGET, "kind")
        )
        self._processed = self._counts(
            "bedrock_tokens_processed_total",
            "The same in two: all of the prompt, and all that was generated.",
            ("instance", "provider", "region", "mode", "direction"),
        )
        self.unmetered = self._counts(
            "unmetered_usage_total",
            "Answers of models that did not tell their tokens, or not all of them, by reason.",
            ("instance", "reason"),
        )
        self.cost = self._counter(
            "usage_cost_total", "What the tokens cost that answers told, by the price table.", ("instance", "model")
        )
        self.unpriced = self._counter(
            "unpriced_usage_total", "Answers that told tokens of a model that has no price.", ("instance",)
        )
        self._carried = self._counter(
            "websocket_bytes_total", "Bytes of WebSockets that are over.", ("instance", "direction")
        )
        self._aborted = self._counter(
            "stream_aborted_total", "Answers that had begun and did not end, on either side.", ("instance",)
        )

    def _define_requests(self) -> None:
        self._http_requests = self._counts(
            "http_requests_total", "All requests, with those we answered ourselves.", ("method", "status")
        )
        self._http_seconds = self._spreads(
            "http_request_duration_seconds", "From any request's arrival to its end.", ("method",), _SECONDS
        )
        self._http_errors = self._counter(
            "http_request_errors_total", "Requests that ended with a status of 400 or more.", ("method", "status")
        )
        self.limits = self._counter(
            "limits_reached_total", "What was ended for a limit of the configuration, by its name.", ("limit",)
        )
        self.errors = self._counter("error_total", "Refusals of ours, by their code.", ("error_type",))

    def _define_state(self) -> None:
        self.health = self._gauge(
            "health_check_status", "Whether a check of this process passes (1) or not.", ("check",)
        )
        self.clients = self._gauge("connected_clients", "Open client connections.", ())
        self.tunnels = self._gauge("open_tunnels", "Open tunnels to hosts that are no provider.", ())
        self.tunnels_ended = self._counter("tunnels_total", "Such tunnels that are over, by what ended them.", ("end",))
        self.tunnel_bytes = self._counter("tunnel_bytes_total", "Bytes that passed through them.", ("direction",))
        self.auth_failures = self._counter("auth_failures_total", "Callers that were not let in.", ("method", "reason"))
        self.aws_retrievals = self._counter(
            "aws_credential_retrievals_total", "How often AWS credentials were asked for.", ("instance", "result")
        )
        self.refreshes = self._counter(
            "credential_refresh_total",
            "How often a source of credentials was asked, by what it said.",
            ("instance", "result"),
        )
        self.retries = self._counter(
            "credential_retries_total",
            "Requests that were sent once more, after the provider had refused the credential.",
            ("instance",),
        )
        self.expiry = self._gauge(
            "credential_expiry_seconds", "Until the credential in use ends.", ("instance", "strategy")
        )
        self.strategy_active = self._gauge(
            "credential_strategy_active", "Whether a strategy is the one in use (1) or not.", ("instance", "strategy")
        )

    def _counter(self, name: str, text: str, labels: tuple[str, ...]) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, labels: tuple[str, ...]) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)

    def _counts(self, name: str, text: str, labels: tuple[str, ...]) -> Counts:
        return Counts(name, text, labels, self.registry)

    def _spreads(self, name: str, text: str, labels: tuple[str, ...], buckets: tuple[float, ...]) -> Spreads:
        return Spreads(name, text, labels, self.registry, buckets=buckets)


def codes() -> frozenset[str]:
    """The code of every refusal that this program knows."""
    return frozenset(_codes(GatewayError)) | _MORE_CODES


def _codes(error: type[GatewayError]) -> Iterator[str]:
    yield error.code
    for below in error.__subclasses__():
        yield from _codes(below)


def _code(status: int) -> str:
    return str(status) if status else "000"
