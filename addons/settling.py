"""What a request may use, guessed before it leaves, and what it did use, settled at its end."""

from __future__ import annotations

from addons.exchange import Exchange
from llmauth.chat.messages import Usage
from llmauth.governance.estimates import Guess, guess
from llmauth.governance.policy import Allowance

_NO_GUESS = Guess(0, 0)
_REFUSALS = 400


def guessed(exchange: Exchange, allowance: Allowance) -> Guess:
    """What the request may use, where that is counted."""
    if not (allowance.counts_tokens or allowance.counts_money):
        return _NO_GUESS
    return guess(exchange.request.body, answers=not _embeds(exchange))


def settle(exchange: Exchange, usage: Usage | None, *, whole: bool, status: int) -> None:
    """End what was let in, by what it used. `whole` tells that the answer said all there is to say of that."""
    admission = exchange.admission
    if admission is None:
        return
    if exchange.sent_at is None or (usage is None and (exchange.error is not None or status >= _REFUSALS)):
        admission.release()
    elif whole and usage is not None:
        exchange.cost = admission.settle(usage)
    else:
        exchange.cost = admission.settle(usage, cut_after=exchange.passed)


def _embeds(exchange: Exchange) -> bool:
    route = exchange.route
    return route is not None and "embed" in route.path
