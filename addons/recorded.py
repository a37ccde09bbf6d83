"""What the audit record says of a request: what was decided when it was, and what became of it at its end."""

from __future__ import annotations

from typing import Any

from addons.exchange import Exchange
from llmauth.audit.records import RequestDecided, RequestEnded
from llmauth.context import Authenticated, Carried, Credentialed, Identity, ProtocolRoute, RequestContext, Routed
from llmauth.http import Door, Request
from llmauth.telemetry.access import Outcome, told

_LONGEST_METHOD = 20


def decided(exchange: Exchange, status: int | None = None) -> RequestDecided:
    """Whether this request is let through, and on what grounds; where it ended in an error it is not.

    `status` is that of an answer of ours, where we gave one: a proxy says 407 where others say 401.
    """
    context, request, error = exchange.context, exchange.request, exchange.error
    return RequestDecided(
        request_id=context.request_id,
        decision="allow" if error is None else "deny",
        **_who(context),
        client=request.source or None,
        door=request.door.value,
        http_method=request.method[:_LONGEST_METHOD],
        host=_host(context, request),
        **_where(exchange),
        status=status if error is None or status is not None else error.status,
        code=error.code if error is not None else None,
        reason=told(error) if error is not None else None,
        decisions=tuple([f"{one.router}: {one.outcome} ({one.reason})" for one in exchange.judged]),
    )


def ended(outcome: Outcome) -> RequestEnded:
    """What became of a request that had been let through."""
    context, usage, carried = outcome.context, outcome.usage, outcome.carried
    identity = _identity(context)
    target = context.target if isinstance(context, Routed) else None
    return RequestEnded(
        request_id=context.request_id,
        status=outcome.status,
        seconds=round(outcome.finished - context.started, 4),
        user=identity.user if identity is not None else None,
        instance=target.instance if target is not None else None,
        model=target.model if target is not None else None,
        provider_request_id=outcome.provider_request_id,
        input_tokens=usage.input if usage is not None else None,
        output_tokens=usage.output if usage is not None else None,
        cost=str(outcome.cost) if outcome.cost is not None else None,
        received=carried[0] if carried is not None else None,
        sent=carried[1] if carried is not None else None,
        cut=outcome.cut or None,
        code=outcome.error.code if outcome.error is not None else None,
    )


def _identity(context: RequestContext) -> Identity | None:
    return context.identity if isinstance(context, Authenticated) else None


def _who(context: RequestContext) -> dict[str, Any]:
    identity = _identity(context)
    if identity is None:
        return {}
    return {"user": identity.user, "method": identity.method, "key_id": identity.key_id, "groups": identity.groups}


def _where(exchange: Exchange) -> dict[str, Any]:
    context, handler = exchange.context, exchange.handler
    route = context.route if isinstance(context, Routed) else exchange.route
    where: dict[str, Any] = {}
    if isinstance(route, ProtocolRoute):
        where |= {"protocol": route.protocol, "operation": route.operation}
    if handler is not None:
        where |= {"instance": handler.name, "provider": handler.provider}
    if isinstance(context, Routed):
        where["model"] = context.target.model
    if isinstance(context, Credentialed):
        where["strategy"] = context.strategy
    return where


def _host(context: RequestContext, request: Request) -> str | None:
    """Where it was to go in the client's own words, where that is not ourselves."""
    if isinstance(context, Carried):
        return str(context.destination)
    if request.door is Door.GATEWAY:
        return None
    return str(request.tunnel) if request.door is Door.CONNECT else request.url.host
