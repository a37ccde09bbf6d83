"""Whether a caller's rules allow what a request asks for, by every model that could work by it and every price."""

from __future__ import annotations

from addons.exchange import Exchange
from llmauth.context import ProtocolRoute, Routed
from llmauth.errors import UpgradeRefused
from llmauth.gateway.plan import Plan
from llmauth.governance.policy import Allowance, uncertain, uncounted, unpriced
from llmauth.providers.named import NOTHING, Named, works_later
from llmauth.usage.operations import Operation, operation_of
from llmauth.websocket.handshake import is_asked

_HTTP = "Use plain HTTP requests."

Names = tuple[str | None, ...]
"""Of one model: as it was asked for, and as its provider knows it."""


def judge(exchange: Exchange) -> None:
    """Raises where something is not allowed; called when the target is known, and before anything is done for it.

    Without an allowance nothing was judged at the head, which Admission does not let pass.
    """
    context, allowance = exchange.context, exchange.allowance
    assert isinstance(context, Routed)
    if allowance is None:
        return
    exchange.plan.governor.judge(
        context.identity, allowance, instance=context.target.instance, protocol=_protocol(context)
    )
    if exchange.request.method == "GET" and (allowance.needs_model or allowance.scopes):
        _judge_socket(exchange, allowance)
    if allowance.needs_model:
        _judge_models(exchange, context, allowance)
    if counts_money(exchange.plan, allowance):
        _judge_prices(exchange, context)


def counts_money(plan: Plan, allowance: Allowance) -> bool:
    """Whether what a request costs has to be known. A budget without any price is told of at the start."""
    return bool(plan.governor.prices) and allowance.counts_money


def priced_as(exchange: Exchange) -> Names:
    """The names by which a request is priced: of several models that could work, those of the dearest."""
    context, prices = exchange.context, exchange.plan.governor.prices
    assert isinstance(context, Routed)
    every = _every(exchange, context)
    if exchange.allowance is None or not counts_money(exchange.plan, exchange.allowance):
        return every[0]
    if not (exchange.named or NOTHING).certain:
        every = [*every, (None,)]  # the price of all that have none
    return every[0] if len(every) == 1 else max(every, key=lambda names: prices.most(1, 1, *names))


def _protocol(context: Routed) -> str:
    return context.route.protocol if isinstance(context.route, ProtocolRoute) else "transparent"


def _judge_socket(exchange: Exchange, allowance: Allowance) -> None:
    """426, upon which SDKs go on with plain HTTP: messages pass unread, so nothing in them is judged or counted."""
    if not is_asked(exchange.request.headers):
        return
    if allowance.counts_tokens or allowance.counts_money:
        raise UpgradeRefused(
            "A WebSocket's messages pass unread, and nothing of them could be counted for your limits.", hint=_HTTP
        )
    named = exchange.named or NOTHING
    if allowance.needs_model and not named.certain and not named.ambiguous:
        raise UpgradeRefused("On this WebSocket messages name the model, and you may use only some.", hint=_HTTP)


def _judge_models(exchange: Exchange, context: Routed, allowance: Allowance) -> None:
    governor, named = exchange.plan.governor, exchange.named or NOTHING
    answering, *others = _every(exchange, context)
    governor.judge_model(context.identity, allowance, *answering, lists=named.reads)
    for names in others:
        governor.judge_model(context.identity, allowance, *names)
    if not named.certain:
        raise uncertain(context.identity, allowance)


def _judge_prices(exchange: Exchange, context: Routed) -> None:
    """Without a price a budget could be got around."""
    named, prices = exchange.named or NOTHING, exchange.plan.governor.prices
    if named.reads:
        return
    path = context.route.path
    if not isinstance(context.route, ProtocolRoute) and works_later(path):
        raise uncounted(context.identity)
    if _is_free(context, path):
        return
    for names in _every(exchange, context):
        if prices.price_of(*names) is None:
            raise unpriced(context.identity, *names)
    if not named.certain and prices.price_of(None) is None:
        raise unpriced(context.identity)


def _is_free(context: Routed, path: str) -> bool:
    if isinstance(context.route, ProtocolRoute):
        return context.route.operation == "count_tokens"
    return operation_of(context.target.provider, path) is Operation.FREE


def _every(exchange: Exchange, context: Routed) -> list[Names]:
    """The names of each model, first those of the one that answers."""
    named: Named = exchange.named or NOTHING
    return [(exchange.asked, context.target.model or named.model), *((other,) for other in named.others)]
