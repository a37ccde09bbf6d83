"""One span a request: what became of it, and nothing of what was in it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from typing import Any

from llmauth.context import Credentialed, RequestContext, Routed
from llmauth.http import Door
from llmauth.storage.key_text import may_hold_key
from llmauth.telemetry.access import Outcome
from llmauth.telemetry.otlp import words
from llmauth.telemetry.otlp.encoding import Value, attributes, nanos
from llmauth.telemetry.otlp.measures import error_type

_SERVER, _FAILED = 2, 2
_PROVIDERS_OWN = 500
# "version-format = trace-id "-" parent-id "-" trace-flags" (W3C Trace Context, 3.2.2.3); a later version may have more.
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SAMPLED = 1
_PROBES = frozenset({"/health", "/ready", "/metrics"})
# A model is written by the client; what is no plain name stays untold.
_MODEL = re.compile(r"[\w.:/@+-]{1,120}", re.ASCII)


def span_of(outcome: Outcome) -> dict[str, Any] | None:
    """The span as OTLP writes it; None for probes of ours, and where the client's own trace is not recorded."""
    request = outcome.request
    if request.door is Door.GATEWAY and request.url.path in _PROBES:
        return None
    parent = _parent(request.headers.all("traceparent"))
    if parent is not None and not parent[2] & _SAMPLED:
        return None
    context, facts = outcome.context, dict(_facts(outcome))
    failed = outcome.cut or outcome.status >= _PROVIDERS_OWN
    return {
        "traceId": parent[0] if parent is not None else os.urandom(16).hex(),
        "spanId": os.urandom(8).hex(),
        **({} if parent is None else {"parentSpanId": parent[1]}),
        "name": _name(facts),
        "kind": _SERVER,
        "startTimeUnixNano": nanos(context.received_at),
        "endTimeUnixNano": nanos(context.received_at + outcome.finished - context.started),
        "attributes": attributes(facts),
        "status": {"code": _FAILED} if failed else {},
    }


def _parent(values: Sequence[str]) -> tuple[str, str, int] | None:
    """The client's trace, its span and its flags; None where it has none, or one that cannot be one."""
    found = _TRACEPARENT.fullmatch(values[0]) if len(values) == 1 else None
    if found is None or (found[4] and values[0].startswith("00")):
        return None
    return found[1], found[2], int(found[3], 16)


def _name(facts: dict[str, Value]) -> str:
    """`{operation} {model}`, as the conventions want it; what asks no model goes by its method."""
    words_of_it = (facts.get("gen_ai.operation.name", facts["http.request.method"]), facts.get("gen_ai.request.model"))
    return " ".join(str(word) for word in words_of_it if word)


def _facts(outcome: Outcome) -> Iterator[tuple[str, Value]]:
    context, request = outcome.context, outcome.request
    yield "http.request.method", words.http_method(request.method)
    yield "http.response.status_code", outcome.status
    yield "llmauth.request_id", context.request_id
    yield "llmauth.door", request.door.value
    yield "llmauth.stage", type(context).__name__
    failed = error_type(outcome)
    if failed is not None:
        yield "error.type", failed
    if outcome.error is not None:
        yield "llmauth.fault", outcome.error.fault
    if isinstance(context, Routed):
        yield from _of_the_target(context, request.method)
    if isinstance(context, Credentialed):
        yield "llmauth.strategy", context.strategy
    yield from _of_the_answer(outcome, context)


def _of_the_target(context: Routed, method: str) -> Iterator[tuple[str, Value]]:
    target = context.target
    yield "llmauth.instance", target.instance
    yield "gen_ai.provider.name", words.provider(target.provider)
    operation = words.operation(context, method)
    if operation is not None:
        yield "gen_ai.operation.name", operation
    if target.model and _MODEL.fullmatch(target.model) and not may_hold_key(target.model):
        yield "gen_ai.request.model", target.model


def _of_the_answer(outcome: Outcome, context: RequestContext) -> Iterator[tuple[str, Value]]:
    usage, first = outcome.usage, outcome.first_data_at or outcome.first_byte_at
    if usage is not None:
        yield "gen_ai.usage.input_tokens", usage.prompt
        yield "gen_ai.usage.output_tokens", usage.output
        if usage.cache_read:
            yield "gen_ai.usage.cache_read.input_tokens", usage.cache_read
        if usage.cache_write:
            yield "gen_ai.usage.cache_creation.input_tokens", usage.cache_write
    if outcome.overhead is not None:
        yield "llmauth.overhead_ms", round(outcome.overhead * 1000, 3)
    if outcome.upstream is not None:
        yield "llmauth.upstream_ms", round(outcome.upstream * 1000, 3)
    if first is not None:
        yield "llmauth.first_token_ms", round((first - context.started) * 1000, 3)
    if outcome.provider_request_id is not None and _MODEL.fullmatch(outcome.provider_request_id):
        yield "llmauth.provider_request_id", outcome.provider_request_id
