"""The metrics of one process: their names, as promised, their labels and buckets, and the values labels may take."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, disable_created_metrics

from llmauth.chat.messages import Usage
from llmauth.errors import GatewayError
from llmauth.telemetry.definitions import Definitions, Described
from llmauth.telemetry.standing import OF_THE_PROCESS
from llmauth.telemetry.tallies import Count, Counts

OTHER = "other"
NONE = "none"

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT"})
TUNNEL_ENDS = frozenset({"client", "host", "key", "idle", "drain", "policy"})
DIRECTIONS = ("input", "output")
WAYS = (("input", "none"), ("input", "read"), ("input", "write"), ("output", "none"))
"""Direction and cache of tokens: the four parts of what an answer told, of which none holds another."""
# The limits of callers' rules: the words of `llmauth.governance`, which does not stand below.
RATE_LIMITS = ("requests", "tokens", "concurrent", "budget")
FAULTS = ("caller", "policy", "provider", "proxy")
# Why tokens are not known: the words of `llmauth.usage`, which stands above.
UNMETERED = frozenset(
    {"not_told", "cut", "encoding", "content_type", "too_large", "broken", "unknown_operation", "websocket"}
)
# Codes that a refusal gives instead of its class's own.
_MORE_CODES = frozenset(
    {
        *("model_not_allowed", "insufficient_quota", "invalid_request", "content_filter"),
        *("permission_denied", "conflict", "overloaded"),
    }
)

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_FIRST_TOKEN = (0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120, 300, 600)
_OVERHEAD = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1)
_UPSTREAM = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_CONNECT = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
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
    upstream: Callable[[float], None]
    connect: Callable[[float], None]
    count_aborted: Callable[[], None]
    tokens: Callable[[Usage], None]
    count_invocation: Callable[[], None] | None


class Tokens:
    """What counts the tokens of one target. Its series begin with the first answer that tells."""

    __slots__ = ("_cells", "_labels", "_processed", "_reasoning", "_tokens")

    def __init__(self, tokens: Counts, reasoning: Counts, processed: Counts, labels: tuple[str, ...]) -> None:
        self._tokens, self._reasoning, self._processed, self._labels = tokens, reasoning, processed, labels
        self._cells: tuple[Count, ...] = ()

    def count(self, usage: Usage) -> None:
        """Adds what one answer told."""
        told = (usage.input, usage.cache_read, usage.cache_write, usage.output, usage.reasoning, usage.prompt)
        for cell, number in zip(self._cells or self._found(), (*told, usage.output), strict=True):
            cell.value += number

    def _found(self) -> tuple[Count, ...]:
        instance, provider, region, mode, *_ = self._labels
        parts = [self._tokens.labels(*self._labels, *way) for way in WAYS]
        both = [self._processed.labels(instance, provider, region, mode, direction) for direction in DIRECTIONS]
        self._cells = (*parts, self._reasoning.labels(*self._labels), *both)
        return self._cells


class Series:
    """The collectors of what requests make, in a registry of their own; `define` makes more of them there."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self.define = Definitions(self.registry)
        self._define_targets()
        self._define_times()
        self._define_tokens()
        self._define_requests()

    def described(self) -> list[Described]:
        """Every metric that there is."""
        return [*self.define.described, *OF_THE_PROCESS]

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
            upstream=self._upstream.labels(instance).observe,
            connect=self._connect.labels(instance).observe,
            count_aborted=self.aborted.labels(instance).inc,
            tokens=Tokens(self._tokens, self._reasoning, self._processed, labels).count,
            count_invocation=self._invocation(instance, region, str(model)) if provider == "bedrock" else None,
        )

    def _invocation(self, instance: str, region: str, model: str) -> Callable[[], None]:
        return self._invocations.labels(instance, region, model).inc

    def carried(self, instance: str, received: int, sent: int) -> None:
        """Count what a WebSocket carried, from its client and to it."""
        self._carried.labels(instance, "in").inc(received)
        self._carried.labels(instance, "out").inc(sent)

    def begin(self, instances: Collection[str]) -> None:
        """Have these begin at nothing: of a series that begins with its first count, no rise can be told."""
        for instance in instances:
            for counter in (self.aborted, self.unpriced):
                counter.labels(instance)

    def _define_targets(self) -> None:
        define = self.define
        define.about("Requests to instances")
        self._requests = define.counts(
            "bedrock_proxy_requests_total",
            "Requests that were routed to an instance, of every provider.",
            *(*_TARGET, "status"),
        )
        self._invocations = define.counts(
            "bedrock_model_invocations_total",
            "Answers of models on Bedrock, whether or not they told their tokens.",
            *("instance", "region", "model"),
        )
        self.aborted = define.counter(
            "stream_aborted_total", "Answers that had begun and did not end, on either side.", "instance"
        )
        self._carried = define.counter(
            "websocket_bytes_total",
            "Bytes of WebSockets that are over; `in` from the caller, `out` to it.",
            *("instance", "direction"),
        )

    def _define_times(self) -> None:
        define = self.define
        define.about("Time")
        self._request_seconds = define.spreads(
            "bedrock_proxy_request_duration_seconds",
            "From a routed request's arrival to the end of its answer.",
            *_TARGET,
            buckets=_SECONDS,
        )
        self._first_token = define.spreads(
            "time_to_first_token_seconds",
            "From a request's arrival to the first byte of an answer that succeeded.",
            *("instance", "model"),
            buckets=_FIRST_TOKEN,
        )
        self._overhead = define.spreads(
            "proxy_overhead_seconds", "What we took to judge and sign a request.", "instance", buckets=_OVERHEAD
        )
        self._connect = define.spreads(
            "upstream_connect_seconds",
            "What it took to have a connection to the provider; nothing where one was open.",
            "instance",
            buckets=_CONNECT,
        )
        self._upstream = define.spreads(
            "upstream_duration_seconds",
            "From the moment that a request could be sent to its provider to the end of the answer.",
            "instance",
            buckets=_UPSTREAM,
        )

    def _define_tokens(self) -> None:
        define = self.define
        define.about("Tokens and money")
        self._tokens = define.counts(
            "tokens_total",
            "Tokens that answers told; `cache` is `read` for what a cache gave of a prompt, `write` for what was put "
            "into one.",
            *(*_TARGET, "direction", "cache"),
        )
        self._reasoning = define.counts(
            "reasoning_tokens_total", "Tokens of the output that the model thought and did not say.", *_TARGET
        )
        self._processed = define.counts(
            "bedrock_tokens_processed_total",
            "The tokens of every provider in two: all of the prompt, and all that was generated.",
            *("instance", "provider", "region", "mode", "direction"),
        )
        self.unmetered = define.counts(
            "unmetered_usage_total",
            "Answers of models that did not tell their tokens, or not all of them, by reason.",
            *("instance", "reason"),
        )
        self.cost = define.counter(
            "usage_cost_total",
            "What the tokens cost that answers told, by the price table and in its money.",
            *("instance", "model"),
        )
        self.unpriced = define.counter(
            "unpriced_usage_total", "Answers that told tokens of a model that has no price.", "instance"
        )

    def _define_requests(self) -> None:
        define = self.define
        define.about("All requests and refusals")
        self._http_requests = define.counts(
            "http_requests_total", "All requests, with those we answered ourselves.", "method", "status"
        )
        self._http_seconds = define.spreads(
            "http_request_duration_seconds", "From any request's arrival to its end.", "method", buckets=_SECONDS
        )
        self._http_errors = define.counter(
            "http_request_errors_total", "Requests that ended with a status of 400 or more.", "method", "status"
        )
        self.limits = define.counter(
            "limits_reached_total", "What was ended for a limit, by its name in the configuration.", "limit"
        )
        self.rate_limited = define.counter(
            "rate_limited_total", "Requests that were refused for what their caller has used up, by limit.", "limit"
        )
        self.errors = define.counter(
            "error_total", "Refusals of ours, by code, and whose fault it was.", "error_type", "fault"
        )
        self.auth_failures = define.counter("auth_failures_total", "Callers that were not let in.", "method", "reason")
        self.tunnels_ended = define.counter(
            "tunnels_total", "Tunnels to hosts that are no provider and that are over, by what ended them.", "end"
        )
        self.tunnel_bytes = define.counter("tunnel_bytes_total", "Bytes that passed through them.", "direction")
        for limit in RATE_LIMITS:
            self.rate_limited.labels(limit)
        for code, fault in _refusals(GatewayError):
            self.errors.labels(code, fault)
        for status in (500, 502, 503, 504):
            self._http_requests.labels("POST", _code(status))


def codes() -> frozenset[str]:
    """The code of every refusal that this program knows."""
    return frozenset(_codes(GatewayError)) | _MORE_CODES


def _codes(error: type[GatewayError]) -> Iterator[str]:
    return (code for code, _ in _refusals(error))


def _refusals(error: type[GatewayError]) -> Iterator[tuple[str, str]]:
    yield error.code, error.fault
    for below in error.__subclasses__():
        yield from _refusals(below)


def _code(status: int) -> str:
    return str(status) if status else "000"
