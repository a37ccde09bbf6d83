"""Our own endpoints: /health, /ready and /ca.pem for anybody, /metrics for whoever holds a key."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from mitmproxy import http

from addons import convert
from addons.exchange import Exchange, Exchanges
from addons.stage import stage
from llmauth.context import Authenticated, RequestContext
from llmauth.credentials.status import InstanceStatus, StrategyStatus
from llmauth.gateway import Gateway
from llmauth.http import Door, Headers, Response
from llmauth.screening import screen_framing
from llmauth.telemetry.sums import CONTENT_TYPE

_READS = ("GET", "HEAD")
SERVICE = "llm-proxy-auth"
CA, FINGERPRINT = "/ca.pem", b"x-llmauth-ca-sha256"
_OPEN = ("/health", "/ready", CA)


class Endpoints:
    """Health, readiness and our public certificate: open, by exact method and exact path, before anybody is asked who
    they are."""

    name = "endpoints"

    def __init__(self, gateway: Gateway, exchanges: Exchanges) -> None:
        self.gateway = gateway
        self.exchanges = exchanges

    @stage(RequestContext)
    def requestheaders(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        path = exchange.request.url.path
        if not _is_read(exchange) or path not in _OPEN:
            return
        # Before screening, since the probes of some load balancers send no Host; but two proxies that read one head
        # differently would mix up whose answer is whose.
        screen_framing(exchange.request, exchange.plan.head_limits)
        answers = {"/health": self._health, "/ready": self._ready, CA: self._certificate}
        convert.answer(flow, answers[path]())

    def _health(self) -> Response:
        running = len(self.exchanges.open)
        return _answer(200, {"status": "healthy", "stats": {"requests_in_flight": running}})

    def _ready(self) -> Response:
        readiness = self.gateway.readiness()
        ready = readiness.ready and not self.exchanges.draining
        status = "draining" if self.exchanges.draining else "ready" if ready else "not_ready"
        instances = {name: _state(state, time.time()) for name, state in readiness.instances.items()}
        facts = {"status": status, "keys": readiness.keys, "audit": readiness.audit, "instances": instances}
        return _answer(200 if ready else 503, {**facts, "stats": {"instances": len(instances)}})

    def _certificate(self) -> Response:
        """What every tunnel shows anyway: the public half, for whoever compares its fingerprint with the operator's."""
        authority = self.gateway.authority
        fields = _type("application/x-pem-file").adding((FINGERPRINT, authority.fingerprint().encode()))
        return Response(status=200, headers=fields, body=authority.certificate_pem().encode())


class Scrape:
    """The metrics, on the main ports, for any valid key."""

    name = "scrape"

    def __init__(self, gateway: Gateway, exchanges: Exchanges, settle: Callable[[], None]) -> None:
        self.gateway = gateway
        self.exchanges = exchanges
        self._settle = settle

    @stage(Authenticated)
    def requestheaders(self, flow: http.HTTPFlow, exchange: Exchange) -> Awaitable[None] | None:
        if not _is_read(exchange) or exchange.request.url.path != "/metrics" or exchange.promise is not None:
            return None
        if self.gateway.metrics_of_all is not None:
            return _answer_later(flow, self.gateway.metrics_of_all())
        self._settle()
        body, content_type = self.gateway.render_metrics()
        convert.answer(flow, Response(status=200, headers=_type(content_type), body=body))
        return None


async def _answer_later(flow: http.HTTPFlow, metrics: Awaitable[bytes]) -> None:
    """With the metrics of all workers."""
    convert.answer(flow, Response(status=200, headers=_type(CONTENT_TYPE), body=await metrics))


def _state(status: InstanceStatus, now: float) -> dict[str, Any]:
    """Names, states and times; no reason, host or account, since anybody may ask."""
    left = None if status.expires_at is None else max(0, round(status.expires_at - now))
    strategies = {one.label: _standing(one) for one in status.strategies}
    told = {"status": status.state, "strategy": status.strategy, "expires_in": left, "degraded": status.degraded}
    return {**told, "strategies": strategies}


def _standing(one: StrategyStatus) -> str:
    if one.active:
        return "active"
    return "standby" if one.reason is None else "not_used"


def _is_read(exchange: Exchange) -> bool:
    return exchange.door is Door.GATEWAY and exchange.request.method in _READS


def _answer(status: int, facts: dict[str, Any]) -> Response:
    moment = datetime.now(UTC).isoformat(timespec="seconds")
    body = json.dumps({"service": SERVICE, "timestamp": moment, **facts}).encode()
    return Response(status=status, headers=_type("application/json"), body=body)


def _type(content_type: str) -> Headers:
    return Headers([(b"content-type", content_type.encode()), (b"cache-control", b"no-store")])
