"""The histograms of the conventions for generative AI, kept for as long as the process lives."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from llmauth.context import Routed
from llmauth.telemetry.access import Outcome
from llmauth.telemetry.otlp import words
from llmauth.telemetry.otlp.encoding import Attributes, histogram, point
from llmauth.telemetry.series import codes
from llmauth.telemetry.tallies import Spread

_Key = tuple[tuple[str, str], ...]
_REFUSED = 400
_CODES = codes()


class Histogram:
    """One metric: its spreads, by their attributes."""

    def __init__(self, name: str, unit: str, text: str, bounds: tuple[float, ...]) -> None:
        self.name, self.unit, self.text, self.bounds = name, unit, text, bounds
        self._spreads: dict[_Key, Spread] = {}

    def record(self, key: _Key, value: float) -> None:
        """One more, of these attributes."""
        spread = self._spreads.get(key)
        if spread is None:
            spread = self._spreads[key] = Spread(self.bounds)
        spread.observe(value)

    def told(self, since: float, now: float) -> dict[str, Any]:
        """As OTLP writes it."""
        points = [
            point(dict(key), self.bounds, list(spread.counts), spread.sum, since, now)
            for key, spread in self._spreads.items()
        ]
        return histogram(self.name, self.unit, self.text, points)

    def __bool__(self) -> bool:
        return bool(self._spreads)


class Measures:
    """Recorded on the event loop, and told from another thread. `known` gives a model its name from a closed set."""

    def __init__(self, known: Callable[[str], str]) -> None:
        self._known = known
        self._since = time.time()
        self._lock = threading.Lock()
        self.tokens = Histogram(
            "gen_ai.client.token.usage", "{token}", "Tokens of prompts and of answers.", words.TOKENS
        )
        self.operation = Histogram(
            "gen_ai.client.operation.duration", "s", "From a request's arrival to the end of its answer.", words.SECONDS
        )
        self.server = Histogram(
            "gen_ai.server.request.duration", "s", "What the provider took, without the proxy.", words.SECONDS
        )
        self.first = Histogram(
            "gen_ai.server.time_to_first_token", "s", "From a request's arrival to the first token.", words.FIRST_TOKEN
        )

    def record(self, outcome: Outcome) -> None:
        """Count one request, where it asked a model for something."""
        context = outcome.context
        if not isinstance(context, Routed):
            return
        operation = words.operation(context, outcome.request.method)
        if operation is None:
            return
        base = self._base(context, operation)
        failed = error_type(outcome)
        key = base if failed is None else (*base, ("error.type", failed))
        with self._lock:
            self.operation.record(key, outcome.finished - context.started)
            if outcome.upstream is not None:
                self.server.record(key, outcome.upstream)
            first = outcome.first_data_at or outcome.first_byte_at
            if first is not None and failed is None:
                self.first.record(base, first - context.started)
            if outcome.usage is not None:
                self.tokens.record((*base, ("gen_ai.token.type", "input")), outcome.usage.prompt)
                self.tokens.record((*base, ("gen_ai.token.type", "output")), outcome.usage.output)

    def _base(self, context: Routed, operation: str) -> _Key:
        target = context.target
        model = self._known(target.model or "")
        return (
            ("gen_ai.operation.name", operation),
            ("gen_ai.provider.name", words.provider(target.provider)),
            ("gen_ai.request.model", model),
            ("llmauth.instance", target.instance),
        )

    def told(self) -> list[dict[str, Any]]:
        """Every metric that has been recorded, now."""
        with self._lock:
            return list(self._told(time.time()))

    def _told(self, now: float) -> Iterator[dict[str, Any]]:
        for one in (self.tokens, self.operation, self.server, self.first):
            if one:
                yield one.told(self._since, now)


def error_type(outcome: Outcome) -> str | None:
    """`error.type`: the code of a refusal of ours, `cut` for what broke off, else the status; None for success."""
    if outcome.error is not None:
        return outcome.error.code if outcome.error.code in _CODES else words.OTHER
    if outcome.cut:
        return "cut"
    return str(outcome.status) if outcome.status >= _REFUSED else None


def resource_of(version: str, name: str) -> Attributes:
    """What tells this process from others."""
    return {"service.name": "llm-proxy-auth", "service.version": version, "service.instance.id": name}
