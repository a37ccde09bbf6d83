"""What a request may use, guessed before it leaves, and what it did use, settled at its end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from addons.exchange import Exchange
from llmauth.chat.messages import Usage
from llmauth.context import Operation, ProtocolRoute, Routed
from llmauth.governance.estimates import Guess, guess
from llmauth.governance.policy import Allowance
from llmauth.providers.named import Call
from llmauth.usage.meter import Reason, parsed
from llmauth.usage.operations import embeds, needs_no_model
from llmauth.websocket.handshake import is_asked

_NO_GUESS = Guess(0, 0)
_REFUSALS = 400
# To read a longer one takes longer than what would be known by it is worth.
_READ_UP_TO = 8 * 1024
# What bounds an answer in each client's protocol, and how many answers there are.
_BOUNDS: Mapping[Operation, tuple[str, ...]] = {
    "chat": ("max_tokens", "max_completion_tokens", "n"),
    "responses": ("max_output_tokens",),
    "messages": ("max_tokens",),
}


def guessed(exchange: Exchange, allowance: Allowance) -> Guess:
    """What the request may use, where that is counted; nothing where no model works."""
    if not (allowance.counts_tokens or allowance.counts_money):
        return _NO_GUESS
    path = _path(exchange)
    if _is_free(exchange, path):
        return _NO_GUESS
    return guess(exchange.request.body, _asked(exchange), answers=not embeds(path))


def settle(exchange: Exchange, usage: Usage | None, lacks: Reason | None, *, cut: bool, status: int | None) -> None:
    """End what was let in, by what it used.

    `usage` is what was told, `lacks` why that is not all; `status` is what the client got, None where it got nothing.
    """
    admission = exchange.admission
    if admission is None:
        return
    if exchange.sent_at is None or (usage is None and (not admission.reserves or _came_to_nothing(exchange, status))):
        admission.release()
    elif cut or status is None or lacks is Reason.CUT:
        exchange.cost = admission.settle(usage, cut_after=exchange.passed)
    elif usage is None or lacks is not None:
        exchange.cost = admission.settle(usage, untold_after=exchange.passed)
    else:
        exchange.cost = admission.settle(usage)


def _came_to_nothing(exchange: Exchange, status: int | None) -> bool:
    """Whether it was refused, or ended in an error before anything of an answer had passed."""
    return (status is not None and status >= _REFUSALS) or (exchange.error is not None and not exchange.passed)


def _is_free(exchange: Exchange, path: str) -> bool:
    handler, request = exchange.handler, exchange.request
    if handler is None or is_asked(request.headers):
        return False
    if request.method == "POST":
        return needs_no_model(handler.provider, path)
    return not Call(method=request.method, path=path, headers=request.headers).is_disguised


def _path(exchange: Exchange) -> str:
    """The provider's own, as it is sent."""
    route = exchange.route if exchange.prepared is None else exchange.prepared.route
    return route.path if route is not None else exchange.request.url.path


def _asked(exchange: Exchange) -> Any:
    """What is sent, as JSON, where it is known that its provider reads it as we do; None of any other.

    What we wrote ourselves says everything once and in its place. What passes in protocol mode was found to name
    nothing twice; of it those members count that bound an answer in this protocol, and no others.
    """
    prepared, body, context = exchange.prepared, exchange.request.body, exchange.context
    if prepared is None or len(body) > _READ_UP_TO:
        return None
    asked = parsed(body)
    if prepared.translation is not None:
        return asked
    route = context.route if isinstance(context, Routed) else None
    names = _BOUNDS.get(route.operation) if isinstance(route, ProtocolRoute) else None
    if prepared.native is None or names is None or not isinstance(asked, dict):
        return None
    return {name: asked[name] for name in names if name in asked}
